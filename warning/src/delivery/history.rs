//! What a rulebook's budgets would have done: a file of alerts through the stage, by the alerts' own time.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::{Course, Kind, Managers, Policy, Push, What, push_json};
use crate::{
    clock::Clock,
    feed::{FileError, alert_of},
    lifecycle::Inspections,
    replay::{EventFile, OutFile, ReplayError},
};

/// What a history came to.
#[derive(Debug, Default)]
pub struct History {
    pub alerts: u64,
    /// Came twice.
    pub known: u64,
    pub pushes: u64,
    /// By member and reader.
    pub readers: BTreeMap<(Arc<str>, Arc<str>), ReaderCount>,
}

/// What one reader would have been told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReaderCount {
    /// Alerts pushed at once.
    pub at_once: u64,
    /// Alerts in digests, and warnings that they came as.
    pub in_digests: u64,
    pub lines: u64,
    pub digests: u64,
    /// Escalations pushed at once, and in digests.
    pub escalations: u64,
    /// Most pushes of any kind on one day.
    pub most: u64,
    /// The last day, and its pushes.
    day: (i32, u64),
}

/// Runs alerts of a file through the stage. An alert is taken at the time when it arose, or at that of the alert before it, if
/// that is later; nobody looks into anything. After an error the file is as it was. `progress` is told, now and then, how many
/// bytes have been read.
pub fn deliver(
    policy: &Policy,
    managers: Managers,
    from: &Path,
    to: &Path,
    mut progress: impl FnMut(u64),
) -> Result<History, FileError> {
    if from.canonicalize().ok().is_some_and(|from| to.canonicalize().ok() == Some(from)) {
        return Err(ReplayError::Same(to.into()).into());
    }
    let mut records = EventFile::open(from)?;
    let mut out = OutFile::create(to)?;
    let mut course = Course::new(policy.clone(), managers);
    let mut history = History::default();
    let mut now_us = i64::MIN;
    while let Some((format, record)) = records.read()? {
        let alert = alert_of(format, record, &Inspections::default(), &Clock::Fixed(0));
        let record = history.alerts + 1;
        let refused = |what| FileError::NoAlert { file: from.into(), record, what };
        let alert = alert.map_err(refused)?;
        history.alerts += 1;
        now_us = now_us.max(alert.alert().raised_at_us);
        // Each thing at its own time, not all of them when the next alert comes.
        while let Some(due_us) = course.next_due_us().filter(|due_us| *due_us <= now_us) {
            let pushes = course.tick(due_us);
            history.write(policy, &mut out, &pushes, &course)?;
        }
        let pushes = course.alert(&alert, now_us);
        history.write(policy, &mut out, &pushes, &course)?;
        if history.alerts % 1000 == 0 {
            progress(records.bytes());
        }
    }
    while let Some(due_us) = course.next_due_us() {
        let pushes = course.tick(due_us);
        history.write(policy, &mut out, &pushes, &course)?;
    }
    OutFile::finish([out])?;
    history.known = course.known;
    progress(records.bytes());
    Ok(history)
}

impl History {
    fn write(
        &mut self,
        policy: &Policy,
        out: &mut OutFile,
        pushes: &[Arc<Push>],
        course: &Course,
    ) -> Result<(), FileError> {
        for push in pushes {
            let message = push.wire(course).map_err(|e| FileError::Ledger(Arc::new(e)))?;
            out.put(&message, || push_json(&message))?;
            self.pushes += 1;
            let reader = self.readers.entry((push.member.clone(), push.reader.clone())).or_default();
            reader.count(push, policy.calendar.day(push.at_us));
        }
        Ok(())
    }
}

impl ReaderCount {
    /// Both together; the most on a day is that of the busier one.
    pub fn with(self, other: &Self) -> Self {
        Self {
            at_once: self.at_once + other.at_once,
            in_digests: self.in_digests + other.in_digests,
            lines: self.lines + other.lines,
            digests: self.digests + other.digests,
            escalations: self.escalations + other.escalations,
            most: self.most.max(other.most),
            day: self.day,
        }
    }

    fn count(&mut self, push: &Push, day: i32) {
        self.day = if self.day.0 == day { (day, self.day.1 + 1) } else { (day, 1) };
        self.most = self.most.max(self.day.1);
        match (push.kind(), &push.what) {
            (Kind::Alert, _) => self.at_once += 1,
            (_, What::Digest(digest)) => {
                // A long one is still one digest.
                self.digests += u64::from(digest.part == 1);
                for line in digest.groups.iter().flat_map(|group| &group.lines) {
                    self.lines += 1;
                    self.in_digests += u64::from(line.waited.alerts);
                    self.escalations += u64::from(line.waited.escalated_from.is_some());
                }
            }
            _ => self.escalations += 1,
        }
    }
}
