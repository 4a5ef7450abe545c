//! A push, as it is kept and as it is told.

use std::sync::Arc;

use tarim_proto::warning::v1::{self as wire, Level};

use super::{Digest, Way};
use crate::{
    ledger::{Bodies, LedgerError},
    lifecycle::{Id, Place},
};

/// What one reader is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    pub member: Arc<str>,
    pub reader: Arc<str>,
    pub at_us: i64,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Alert {
        warning: Id,
        alert: Id,
        level: Level,
        /// Where the alert stands.
        body: Place,
    },
    /// Nobody looked into a warning.
    Escalation {
        warning: Id,
        /// Where the alert stands that opened it.
        body: Place,
        level: Level,
        count: u32,
        /// Whose it is, and since when it is open.
        from: Arc<str>,
        since_us: i64,
    },
    Digest(Digest),
}

/// Kinds of pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Alert,
    Digest,
    Escalation,
}

impl Kind {
    /// None: unspecified.
    pub fn of_wire(kind: wire::PushKind) -> Option<Self> {
        match kind {
            wire::PushKind::Unspecified => None,
            wire::PushKind::Alert => Some(Self::Alert),
            wire::PushKind::Digest => Some(Self::Digest),
            wire::PushKind::Escalation => Some(Self::Escalation),
        }
    }

    fn wire(self) -> wire::PushKind {
        match self {
            Self::Alert => wire::PushKind::Alert,
            Self::Digest => wire::PushKind::Digest,
            Self::Escalation => wire::PushKind::Escalation,
        }
    }
}

impl Push {
    pub(super) fn new(member: &Arc<str>, way: &Way, what: What) -> Self {
        Self { member: member.clone(), reader: way.reader.clone(), at_us: way.at_us, what }
    }

    /// The same push always has the same one, and no other has it.
    pub fn id(&self) -> String {
        let Self { member, reader, .. } = self;
        match &self.what {
            What::Alert { alert, .. } => format!("{member}/{alert}/alert"),
            // A warning is escalated to a role once.
            What::Escalation { warning, .. } => format!("{member}/{warning}/{reader}"),
            // By its number: a clock that was set back may give a time twice.
            What::Digest(digest) => format!("{member}/{reader}/digest/{}/{}", digest.number, digest.part),
        }
    }

    pub fn kind(&self) -> Kind {
        match &self.what {
            What::Alert { .. } => Kind::Alert,
            What::Escalation { .. } => Kind::Escalation,
            What::Digest(_) => Kind::Digest,
        }
    }

    /// Warnings that it tells of.
    pub fn lines(&self) -> usize {
        match &self.what {
            What::Digest(digest) => digest.groups.iter().map(|group| group.lines.len()).sum(),
            _ => 1,
        }
    }

    /// As it is told, with what its alerts say.
    pub fn wire(&self, bodies: &dyn Bodies) -> Result<wire::PushMessage, LedgerError> {
        let mut message = wire::PushMessage {
            push_id: self.id(),
            kind: self.kind().wire().into(),
            member: self.member.to_string(),
            manager: self.reader.to_string(),
            at_us: self.at_us,
            ..Default::default()
        };
        match &self.what {
            What::Alert { warning, body, .. } => {
                message.warning_id = warning.to_string();
                message.alert = Some(bodies.body(*body)?);
            }
            What::Escalation { warning, body, level, count, from, since_us } => {
                message.warning_id = warning.to_string();
                message.alert = Some(bodies.body(*body)?);
                message.escalation = Some(wire::Escalation {
                    from: from.to_string(),
                    open_since_us: *since_us,
                    level: (*level).into(),
                    count: *count,
                });
            }
            What::Digest(digest) => message.digest = Some(digest.wire(&self.member, bodies)?),
        }
        Ok(message)
    }
}
