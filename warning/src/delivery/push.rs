//! A push, as it is kept and as it is told.

use std::sync::Arc;

use tarim_proto::warning::v1::{self as wire, Alert};

use super::{Digest, Way};
use crate::lifecycle::{Id, Warning};

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
        alert: Arc<Alert>,
    },
    /// Nobody looked into a warning.
    Escalation {
        warning: Arc<Warning>,
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
            What::Alert { alert, .. } => format!("{member}/{}/alert", alert.alert_id),
            // A warning is escalated to a role once.
            What::Escalation { warning, .. } => format!("{member}/{}/{reader}", warning.id),
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

    pub fn wire(&self) -> wire::PushMessage {
        let mut message = wire::PushMessage {
            push_id: self.id(),
            kind: self.kind().wire().into(),
            member: self.member.to_string(),
            manager: self.reader.to_string(),
            at_us: self.at_us,
            ..Default::default()
        };
        match &self.what {
            What::Alert { warning, alert } => {
                message.warning_id = warning.to_string();
                message.alert = Some(alert.as_ref().clone());
            }
            What::Escalation { warning, from, since_us } => {
                message.warning_id = warning.id.to_string();
                message.alert = Some(warning.alert.as_ref().clone());
                message.escalation = Some(wire::Escalation {
                    from: from.to_string(),
                    open_since_us: *since_us,
                    level: warning.level.into(),
                    count: warning.count,
                });
            }
            What::Digest(digest) => message.digest = Some(digest.wire()),
        }
        message
    }
}
