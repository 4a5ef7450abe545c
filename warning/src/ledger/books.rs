//! What a record of the ledger does to what is in memory: the same when it is written and when it is read again.
//!
//! What is pushed is decided when a record is written, by the rulebook and the clock, and stands in it; read again, it is what
//! was decided then.

use std::sync::Arc;

use prost::Message as _;
use tarim_proto::warning::v1 as wire;

use super::{Position, outbox::Change, view::Version};
use crate::{
    delivery::{Budget, Delivery, Due, Push, Stage, Way},
    lifecycle::{Changed, Lifecycle, NewAlert, NewChange, Raised, Refused, State, Warning},
};

/// A record holds so many bytes of alerts, about.
const ENTRY_BYTES: usize = 1 << 20;

/// All that records come to.
#[derive(Default)]
pub struct Books {
    pub lifecycle: Lifecycle,
    pub delivery: Delivery,
    /// None: nothing is pushed.
    pub stage: Option<Stage>,
}

/// What records did, that readers do not see yet.
#[derive(Default)]
pub struct Done {
    pub versions: Vec<Version>,
    /// To be told.
    pub changes: Vec<Change>,
    pub pushes: Vec<Arc<Push>>,
    pub positions: Vec<Position>,
    pub sent: Option<u64>,
    pub pushed: Option<u64>,
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
        books: &mut Books,
        alerts: &[NewAlert],
        at: Option<Position>,
        now_us: i64,
        mut write: impl FnMut(&[u8]),
    ) -> Taken {
        let mut taken = Taken::default();
        let mut entry = wire::LedgerEntry::default();
        let mut bytes = 0;
        for alert in alerts {
            let way = match self.alert(books, alert) {
                Raised::Known => {
                    taken.known += 1;
                    continue;
                }
                Raised::Opened(warning) => {
                    taken.opened += 1;
                    self.deliver(books, alert, &warning, now_us)
                }
                Raised::Repeated(warning) => {
                    taken.repeated += 1;
                    self.deliver(books, alert, &warning, now_us)
                }
            };
            bytes += alert.alert().encoded_len();
            entry.alerts.push(wire::LedgerAlert {
                alert: Some(alert.alert().as_ref().clone()),
                inspect_by_us: alert.inspect_by_us(),
                way: way.map(wire_way),
            });
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
        books: &mut Books,
        change: &NewChange,
        mut write: impl FnMut(&[u8]),
    ) -> Result<Changed, Refused> {
        let changed = books.lifecycle.apply_change(change)?;
        if let Changed::Made(warning) = &changed {
            books.delivery.changed(warning);
            self.stepped(warning);
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

    /// Notes that pushes are on their topic.
    pub fn pushed(&mut self, through: u64, mut write: impl FnMut(&[u8])) {
        self.pushed = self.pushed.max(Some(through));
        write(&wire::LedgerEntry { pushed: Some(through), ..Default::default() }.encode_to_vec());
    }

    /// Does what is due by now: digests, and escalations.
    pub fn due(&mut self, books: &mut Books, now_us: i64, mut write: impl FnMut(&[u8])) {
        while let Some(due) = books.next_due()
            && due.at_us() <= now_us
        {
            let entry = match due {
                Due::Digest { .. } => {
                    self.digest(books, now_us);
                    wire::LedgerEntry { digest_at_us: Some(now_us), ..Default::default() }
                }
                Due::Escalation { member, number, level, step, .. } => {
                    let Books { lifecycle, delivery, stage: Some(stage) } = &mut *books else { return };
                    let way = stage.way_of_escalation(delivery, &member, &step, level, now_us);
                    let warning = lifecycle.warning(&member, number);
                    let escalation = wire::LedgerEscalation {
                        member: member.to_string(),
                        warning_id: warning.map(|w| w.id.to_string()).unwrap_or_default(),
                        why: step.why.clone(),
                        way: Some(wire_way(way.clone())),
                    };
                    if !self.escalate(books, &member, number, &step.why, &way) {
                        // What is due is open.
                        unreachable!("warning {number} of member {member} is not open");
                    }
                    wire::LedgerEntry { escalation: Some(escalation), ..Default::default() }
                }
            };
            write(&entry.encode_to_vec());
        }
    }

    /// Does again what a record did, or says why it cannot have.
    pub fn again(&mut self, books: &mut Books, record: &[u8]) -> Result<(), String> {
        let entry = wire::LedgerEntry::decode(record).map_err(|e| format!("not a ledger entry: {e}"))?;
        self.apply(books, entry)
    }

    /// As [`Done::again`], of an entry that is decoded.
    pub fn apply(&mut self, books: &mut Books, entry: wire::LedgerEntry) -> Result<(), String> {
        for wire::LedgerAlert { alert, inspect_by_us, way } in entry.alerts {
            let alert = alert.ok_or("an alert is empty")?;
            let alert = NewAlert::again(alert, inspect_by_us).map_err(|e| e.to_string())?;
            let raised = self.alert(books, &alert);
            if let (Raised::Opened(warning) | Raised::Repeated(warning), Some(way)) = (raised, way) {
                let way = books.way(&alert.alert().member, way)?;
                self.pushes.extend(books.delivery.alert(&warning, alert.alert(), &way).map(Arc::new));
            }
        }
        if let Some(wire::LedgerPosition { topic, partition, next }) = entry.position {
            self.positions.push(Position { topic, partition, next });
        }
        if let Some(change) = entry.change {
            let to = State::of_wire(change.to()).ok_or("a change to no state")?;
            let warning = change.warning_id.parse().map_err(|()| "a change of no warning".to_owned())?;
            let wire::LedgerChange { member, request_id: request, by, at_us, why, .. } = change;
            let change = NewChange { member, request, warning, to, by, at_us, why };
            self.change(books, &change, |_| ()).map_err(|e| e.to_string())?;
        }
        if let Some(wire::LedgerEscalation { member, warning_id, why, way }) = entry.escalation {
            let id = warning_id.parse().map_err(|()| "an escalation of no warning".to_owned())?;
            let warning =
                books.lifecycle.by_alert(&member, id).ok_or("an escalation of an unknown warning")?;
            let number = warning.number;
            let way = books.way(&member, way.ok_or("an escalation to nobody")?)?;
            if !self.escalate(books, &member, number, &why, &way) {
                return Err(format!("an escalation of warning {id}, which is not open"));
            }
        }
        if let Some(at_us) = entry.digest_at_us {
            self.digest(books, at_us);
        }
        self.sent = self.sent.max(entry.sent);
        self.pushed = self.pushed.max(entry.pushed);
        Ok(())
    }

    /// Decides how an alert goes to its reader, and does so.
    fn deliver(
        &mut self,
        books: &mut Books,
        alert: &NewAlert,
        warning: &Warning,
        now_us: i64,
    ) -> Option<Way> {
        let Books { delivery, stage, .. } = books;
        let stage = stage.as_mut()?;
        let way = stage.way_of_alert(delivery, alert.alert(), warning, now_us);
        self.pushes.extend(delivery.alert(warning, alert.alert(), &way).map(Arc::new));
        stage.arm(delivery, warning);
        Some(way)
    }

    fn digest(&mut self, books: &mut Books, at_us: i64) {
        let pushes = books.delivery.digest(&books.lifecycle, at_us);
        self.pushes.extend(pushes.into_iter().map(Arc::new));
    }

    /// Passes a warning on. False: somebody looks into it.
    fn escalate(&mut self, books: &mut Books, member: &str, number: u32, why: &str, way: &Way) -> bool {
        let Books { lifecycle, delivery, stage } = books;
        let Some(warning) = lifecycle.pass_on(member, number, &way.reader, way.at_us, why) else {
            return false;
        };
        self.stepped(&warning);
        self.pushes.extend(delivery.escalated(&warning, way).map(Arc::new));
        if let Some(stage) = stage {
            stage.arm(delivery, &warning);
        }
        true
    }

    /// The last step of a warning is to be shown and told.
    fn stepped(&mut self, warning: &Arc<Warning>) {
        self.changes.push(Change { warning: warning.clone(), step: warning.history.len() });
        self.versions.push(Version { warning: warning.clone(), alert: None });
    }

    fn alert(&mut self, books: &mut Books, alert: &NewAlert) -> Raised {
        let raised = books.lifecycle.apply_alert(alert);
        if let Raised::Opened(warning) | Raised::Repeated(warning) = &raised {
            self.versions.push(Version { warning: warning.clone(), alert: Some(alert.id()) });
        }
        if let Raised::Opened(warning) = &raised {
            self.changes.push(Change { warning: warning.clone(), step: 0 });
        }
        raised
    }
}

impl Books {
    /// What is due first, whenever that is.
    pub fn next_due(&mut self) -> Option<Due> {
        let Self { lifecycle, delivery, stage } = self;
        stage.as_mut()?.next(delivery, lifecycle)
    }

    /// A way that was decided before.
    fn way(&self, member: &str, way: wire::LedgerWay) -> Result<Way, String> {
        let wire::LedgerWay { at_us, reader, at_once, day, budget } = way;
        let budget = match (budget as usize).checked_sub(1) {
            None => None,
            Some(index) => Some(Budget::of_index(index).ok_or("a push of an unknown budget")?),
        };
        if reader.is_empty() {
            return Err("a push to nobody".into());
        }
        Ok(Way { at_us, reader: self.delivery.name(member, &reader), at_once, day, budget })
    }
}

fn wire_way(way: Way) -> wire::LedgerWay {
    let Way { at_us, reader, at_once, day, budget } = way;
    let budget = budget.map_or(0, |budget| budget.index() as u32 + 1);
    wire::LedgerWay { at_us, reader: reader.to_string(), at_once, day, budget }
}
