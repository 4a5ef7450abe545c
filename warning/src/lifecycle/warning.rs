//! A warning and its versions.

use std::{fmt, str::FromStr, sync::Arc};

use tarim_proto::warning::v1::{Alert, Level};

use super::{Inspection, NewAlert, NewChange, State};

/// Id of an alert, and of the warning that it opened: 32 hexadecimal characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id([u8; 16]);

/// A warning at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Warning {
    /// That of the alert that opened it.
    pub id: Id,
    /// Its number within the member, from 0 in the order of opening.
    pub number: u32,
    /// The alert that opened it.
    pub alert: Arc<Alert>,
    /// The highest of its alerts.
    pub level: Level,
    pub state: State,
    /// Alerts that it stands for.
    pub count: u32,
    /// When the first and the last of its alerts arose, in microseconds since 1970-01-01T00:00:00Z.
    pub first_raised_us: i64,
    pub last_raised_us: i64,
    /// The opening is not among them.
    pub history: Vec<Step>,
    pub inspection: Option<Inspection>,
}

/// Who steps of the system are by.
const SYSTEM: &str = "system";

/// From one state to another: who, when, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub from: State,
    pub to: State,
    pub by: String,
    pub at_us: i64,
    pub why: String,
    /// Nobody looked into it for too long: passed on to this role by the system. The state stays open.
    pub escalated_to: Option<Arc<str>>,
}

impl Warning {
    pub(super) fn opened(alert: &NewAlert, number: u32) -> Self {
        let raised_at_us = alert.alert().raised_at_us;
        Self {
            id: alert.id(),
            number,
            alert: alert.alert().clone(),
            level: alert.alert().level(),
            state: State::Open,
            count: 1,
            first_raised_us: raised_at_us,
            last_raised_us: raised_at_us,
            history: Vec::new(),
            inspection: alert.inspect_by_us().map(|due_at_us| Inspection { due_at_us, done: false }),
        }
    }

    /// With an alert more.
    pub(super) fn repeated(&self, repeat: &NewAlert) -> Self {
        let raised_at_us = repeat.alert().raised_at_us;
        let owed = || repeat.inspect_by_us().map(|due_at_us| Inspection { due_at_us, done: false });
        Self {
            level: self.level.max(repeat.alert().level()),
            count: self.count.saturating_add(1),
            first_raised_us: self.first_raised_us.min(raised_at_us),
            last_raised_us: self.last_raised_us.max(raised_at_us),
            // One visit is enough, and the first is due the earliest.
            inspection: self.inspection.or_else(owed),
            ..self.clone()
        }
    }

    /// In the next state. The caller has seen that it may.
    pub(super) fn changed(&self, change: &NewChange) -> Self {
        let NewChange { to, by, at_us, why, .. } = change.clone();
        let mut history = Vec::with_capacity(self.history.len() + 1);
        history.extend_from_slice(&self.history);
        history.push(Step { from: self.state, to, by, at_us, why, escalated_to: None });
        let mut inspection = self.inspection;
        if let (Some(inspection), State::Disposed | State::Closed) = (&mut inspection, to) {
            inspection.done = true;
        }
        Self { state: to, history, inspection, ..self.clone() }
    }

    /// Passed on to a role because nobody looks into it. The caller has seen that it is open.
    pub(super) fn passed_on(&self, to: &Arc<str>, at_us: i64, why: &str) -> Self {
        let mut history = Vec::with_capacity(self.history.len() + 1);
        history.extend_from_slice(&self.history);
        history.push(Step {
            from: self.state,
            to: self.state,
            by: SYSTEM.into(),
            at_us,
            why: why.into(),
            escalated_to: Some(to.clone()),
        });
        Self { history, ..self.clone() }
    }

    /// Was it passed on to this role?
    pub fn was_passed_on(&self, to: &str) -> bool {
        self.history.iter().any(|step| step.escalated_to.as_deref() == Some(to))
    }

    /// Id of a step; 0 is the opening, the others are counted from 1 in the history.
    pub fn change_id(&self, step: usize) -> String {
        format!("{}-{step}", self.id)
    }
}

impl FromStr for Id {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digit = |c: u8| match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        };
        let text: &[u8; 32] = text.as_bytes().try_into().map_err(|_| ())?;
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(text.as_chunks::<2>().0) {
            *byte = digit(pair[0]).zip(digit(pair[1])).map(|(high, low)| high << 4 | low).ok_or(())?;
        }
        Ok(Self(id))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
