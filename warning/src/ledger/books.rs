//! What a record of the ledger does to what is in memory: the same when it is written and when it is read again.
//!
//! What is pushed is decided when a record is written, by the rulebook and the clock, and stands in it; read again, it is what
//! was decided then.

use std::sync::Arc;

use prost::Message as _;
use tarim_proto::warning::v1 as wire;

use super::{
    Position,
    bodies::Records,
    entry::{self, ReadAlert},
    outbox::Change,
    view::Whole,
};
use crate::{
    delivery::{Budget, Delivery, Due, Push, Stage, Way},
    lifecycle::{Changed, Head, NewAlert, NewChange, Place, Raised, Refused, State, Warning},
};

/// A record holds so many bytes of alerts, about.
const ENTRY_BYTES: usize = 1 << 20;

/// All that records come to.
#[derive(Default)]
pub struct Books {
    pub lifecycle: Whole,
    pub delivery: Delivery,
    /// None: nothing is pushed.
    pub stage: Option<Stage>,
}

/// What records did, that readers do not see yet.
#[derive(Default)]
pub struct Done {
    /// Warnings that are others than before.
    pub versions: Vec<Arc<Warning>>,
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
    /// Takes alerts. What is to be written of them goes to `records`: nothing, if there is nothing new.
    pub fn alerts(
        &mut self,
        books: &mut Books,
        alerts: &[NewAlert],
        at: Option<Position>,
        now_us: i64,
        records: &mut impl Records,
    ) -> Taken {
        let mut taken = Taken::default();
        let mut entry = Vec::new();
        for alert in alerts {
            let head = alert.head();
            let number = books.lifecycle.read().would_belong_to(&head);
            let Some(number) = number else {
                taken.known += 1;
                continue;
            };
            let Books { delivery, stage, .. } = books;
            let way = stage.as_ref().map(|stage| stage.way_of_alert(delivery, &head, number, now_us));
            // Where the body stands depends on the length of what stands around it, so it is written first.
            let place = entry::put(&mut entry, records.begins(), alert, way.clone().map(wire_way));
            match self.alert(books, &head, place, way.as_ref()) {
                Raised::Opened(_) => taken.opened += 1,
                Raised::Repeated(_) => taken.repeated += 1,
                Raised::Known => unreachable!("alert {} is not known", head.id),
            }
            if entry.len() >= ENTRY_BYTES {
                records.gather(&entry);
                entry.clear();
            }
        }
        // The position goes with the last of them: after a crash between two records the rest comes again.
        if let Some(at) = at {
            let Position { topic, partition, next } = at.clone();
            let position = Some(wire::LedgerPosition { topic, partition, next });
            let rest = wire::LedgerEntry { position, ..Default::default() };
            entry.extend_from_slice(&rest.encode_to_vec());
            self.positions.push(at);
        }
        if !entry.is_empty() {
            records.gather(&entry);
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
        let changed = books.lifecycle.write().apply_change(change)?;
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
                    let made = self.pushes.len();
                    self.digest(books, now_us, &[]).expect("nothing is said of its parts");
                    // How long a line is may be counted otherwise one day, and then what was not sent would be other pushes.
                    let digest_parts = self.pushes[made..].iter().map(|push| push.lines() as u32).collect();
                    wire::LedgerEntry { digest_at_us: Some(now_us), digest_parts, ..Default::default() }
                }
                Due::Escalation { member, number, level, step, .. } => {
                    let Books { lifecycle, delivery, stage: Some(stage) } = &mut *books else { return };
                    let way = stage.way_of_escalation(delivery, &member, &step, level, now_us);
                    let warning = lifecycle.read().warning(&member, number);
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

    /// Does again what a record did, which begins at an offset of the log, or says why it cannot have.
    pub fn again(&mut self, books: &mut Books, begins: u64, record: &[u8]) -> Result<(), String> {
        let (alerts, entry) = entry::read(record, begins)?;
        self.apply(books, &alerts, entry)
    }

    /// As [`Done::again`], of an entry that is read.
    pub fn apply(
        &mut self,
        books: &mut Books,
        alerts: &[ReadAlert<'_>],
        entry: wire::LedgerEntry,
    ) -> Result<(), String> {
        for ReadAlert { head, place, way } in alerts {
            let way = way.as_ref().map(|way| books.way(head.member, way)).transpose()?;
            self.alert(books, head, *place, way.as_ref());
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
            let warning = books.lifecycle.read().by_alert(&member, id);
            let number = warning.ok_or("an escalation of an unknown warning")?.number;
            let way = books.way(&member, &way.ok_or("an escalation to nobody")?)?;
            if !self.escalate(books, &member, number, &why, &way) {
                return Err(format!("an escalation of warning {id}, which is not open"));
            }
        }
        if let Some(at_us) = entry.digest_at_us {
            self.digest(books, at_us, &entry.digest_parts)?;
        }
        self.sent = self.sent.max(entry.sent);
        self.pushed = self.pushed.max(entry.pushed);
        Ok(())
    }

    /// `parts`: how many lines each has; empty: that is not said.
    fn digest(&mut self, books: &mut Books, at_us: i64, parts: &[u32]) -> Result<(), &'static str> {
        let known = (!parts.is_empty()).then(|| parts.iter());
        let pushes = books.delivery.digest(&books.lifecycle.read(), at_us, known)?;
        self.pushes.extend(pushes.into_iter().map(Arc::new));
        Ok(())
    }

    /// Passes a warning on. False: somebody looks into it.
    fn escalate(&mut self, books: &mut Books, member: &str, number: u32, why: &str, way: &Way) -> bool {
        let Books { lifecycle, delivery, stage } = books;
        let passed_on = lifecycle.write().pass_on(member, number, &way.reader, way.at_us, why);
        let Some(warning) = passed_on else { return false };
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
        self.versions.push(warning.clone());
    }

    /// Takes an alert, and tells its reader by the way that was decided, if one was.
    fn alert(&mut self, books: &mut Books, alert: &Head<'_>, body: Place, way: Option<&Way>) -> Raised {
        let Books { lifecycle, delivery, stage } = books;
        let raised = lifecycle.write().apply_alert(alert, body);
        if let Raised::Opened(warning) | Raised::Repeated(warning) = &raised {
            self.versions.push(warning.clone());
            if let Some(way) = way {
                self.pushes.extend(delivery.alert(warning, alert, body, way).map(Arc::new));
            }
            if let Some(stage) = stage {
                stage.arm(delivery, warning);
            }
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
        stage.as_mut()?.next(delivery, &lifecycle.read())
    }

    /// A way that was decided before.
    fn way(&self, member: &str, way: &wire::LedgerWay) -> Result<Way, String> {
        let wire::LedgerWay { at_us, reader, at_once, day, budget } = way;
        let (at_us, at_once, day, budget) = (*at_us, *at_once, *day, *budget);
        let budget = match (budget as usize).checked_sub(1) {
            None => None,
            Some(index) => Some(Budget::of_index(index).ok_or("a push of an unknown budget")?),
        };
        if reader.is_empty() {
            return Err("a push to nobody".into());
        }
        Ok(Way { at_us, reader: self.delivery.name(member, reader), at_once, day, budget })
    }
}

fn wire_way(way: Way) -> wire::LedgerWay {
    let Way { at_us, reader, at_once, day, budget } = way;
    let budget = budget.map_or(0, |budget| budget.index() as u32 + 1);
    wire::LedgerWay { at_us, reader: reader.to_string(), at_once, day, budget }
}
