//! What a record of the ledger does to what is in memory: the same when it is written and when it is read again.

use std::sync::Arc;

use prost::Message as _;
use tarim_proto::warning::v1 as wire;

use super::{Position, view::Version};
use crate::lifecycle::{Changed, Lifecycle, NewAlert, NewChange, Raised, Refused, State, Warning};

/// A record holds so many bytes of alerts, about.
const ENTRY_BYTES: usize = 1 << 20;

/// What records did, that readers do not see yet.
#[derive(Default)]
pub struct Done {
    pub versions: Vec<Version>,
    /// Changes to be told: the warning just after, and the step.
    pub changes: Vec<(Arc<Warning>, usize)>,
    pub positions: Vec<Position>,
    pub sent: Option<u64>,
}

/// What became of alerts that were handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub opened: u64,
    pub repeated: u64,
    /// Were taken before.
    pub known: u64,
}

impl Done {
    /// Takes alerts. What is to be written of them goes to `write`, record by record: nothing, if there is nothing new.
    pub fn alerts(
        &mut self,
        lifecycle: &mut Lifecycle,
        alerts: &[NewAlert],
        at: Option<Position>,
        mut write: impl FnMut(&[u8]),
    ) -> Taken {
        let mut taken = Taken::default();
        let mut entry = wire::LedgerEntry::default();
        let mut bytes = 0;
        for alert in alerts {
            match self.alert(lifecycle, alert) {
                Raised::Known => {
                    taken.known += 1;
                    continue;
                }
                Raised::Opened(_) => taken.opened += 1,
                Raised::Repeated(_) => taken.repeated += 1,
            }
            bytes += alert.alert().encoded_len();
            let inspect_by_us = alert.inspect_by_us();
            entry
                .alerts
                .push(wire::LedgerAlert { alert: Some(alert.alert().as_ref().clone()), inspect_by_us });
            if bytes >= ENTRY_BYTES {
                write(&std::mem::take(&mut entry).encode_to_vec());
                bytes = 0;
            }
        }
        // The position goes with the last of them: after a crash between two records the rest comes again.
        if let Some(at) = at {
            let Position { topic, partition, next } = at.clone();
            entry.position = Some(wire::LedgerPosition { topic, partition, next });
            self.positions.push(at);
        }
        if !entry.alerts.is_empty() || entry.position.is_some() {
            write(&entry.encode_to_vec());
        }
        taken
    }

    /// Makes a change, if it is allowed. It is written if it is new.
    pub fn change(
        &mut self,
        lifecycle: &mut Lifecycle,
        change: &NewChange,
        mut write: impl FnMut(&[u8]),
    ) -> Result<Changed, Refused> {
        let changed = lifecycle.apply_change(change)?;
        if let Changed::Made(warning) = &changed {
            self.changes.push((warning.clone(), warning.history.len()));
            self.versions.push(Version { warning: warning.clone(), alert: None });
            let change = wire::LedgerChange {
                member: change.member.clone(),
                request_id: change.request.clone(),
                warning_id: change.warning.to_string(),
                to: change.to.wire().into(),
                by: change.by.clone(),
                at_us: change.at_us,
                why: change.why.clone(),
            };
            write(&wire::LedgerEntry { change: Some(change), ..Default::default() }.encode_to_vec());
        }
        Ok(changed)
    }

    /// Notes that changes are on their topic.
    pub fn sent(&mut self, through: u64, mut write: impl FnMut(&[u8])) {
        self.sent = self.sent.max(Some(through));
        write(&wire::LedgerEntry { sent: Some(through), ..Default::default() }.encode_to_vec());
    }

    /// Does again what a record did, or says why it cannot have.
    pub fn again(&mut self, lifecycle: &mut Lifecycle, record: &[u8]) -> Result<(), String> {
        let entry = wire::LedgerEntry::decode(record).map_err(|e| format!("not a ledger entry: {e}"))?;
        self.apply(lifecycle, entry)
    }

    /// As [`Done::again`], of an entry that is decoded.
    pub fn apply(&mut self, lifecycle: &mut Lifecycle, entry: wire::LedgerEntry) -> Result<(), String> {
        for wire::LedgerAlert { alert, inspect_by_us } in entry.alerts {
            let alert = alert.ok_or("an alert is empty")?;
            let alert = NewAlert::again(alert, inspect_by_us).map_err(|e| e.to_string())?;
            self.alert(lifecycle, &alert);
        }
        if let Some(wire::LedgerPosition { topic, partition, next }) = entry.position {
            self.positions.push(Position { topic, partition, next });
        }
        if let Some(change) = entry.change {
            let to = State::of_wire(change.to()).ok_or("a change to no state")?;
            let warning = change.warning_id.parse().map_err(|()| "a change of no warning".to_owned())?;
            let wire::LedgerChange { member, request_id: request, by, at_us, why, .. } = change;
            let change = NewChange { member, request, warning, to, by, at_us, why };
            self.change(lifecycle, &change, |_| ()).map_err(|e| e.to_string())?;
        }
        self.sent = self.sent.max(entry.sent);
        Ok(())
    }

    fn alert(&mut self, lifecycle: &mut Lifecycle, alert: &NewAlert) -> Raised {
        let raised = lifecycle.apply_alert(alert);
        if let Raised::Opened(warning) | Raised::Repeated(warning) = &raised {
            self.versions.push(Version { warning: warning.clone(), alert: Some(alert.id()) });
        }
        if let Raised::Opened(warning) = &raised {
            self.changes.push((warning.clone(), 0));
        }
        raised
    }
}
