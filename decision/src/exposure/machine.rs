//! The core and its log: what the ledger's thread works with, and a test drives without one.
//!
//! ```text
//!  group of operations ─► Core::apply each ─► records ─► one write, one sync ─► answers
//!  open: newest whole snapshot ─► records behind it, applied again and compared with what they came to
//! ```

use std::sync::Arc;

use super::{
    core::{Applied, Core},
    error::LedgerError,
    operation::{Answer, Operation, Prepared, Refusal},
    snapshot,
};
use crate::journal::{
    Disk,
    log::{self, Appender},
    scan::{scan_from, segment_name},
};

/// What the log keeps of an operation.
#[derive(Clone, PartialEq, prost::Message)]
struct Record {
    /// The core's time at it.
    #[prost(sint64, tag = "1")]
    now_us: i64,
    #[prost(oneof = "Operation", tags = "2, 3, 4, 5, 6, 7, 8, 9")]
    operation: Option<Operation>,
    /// What the exposure came to, reserved and outstanding: of operations on none, the total and the number of exposures.
    #[prost(sint64, tag = "10")]
    first: i64,
    #[prost(sint64, tag = "11")]
    second: i64,
}

/// A ledger that is open.
pub struct Machine {
    disk: Arc<dyn Disk>,
    core: Core,
    log: Log,
}

/// Where what was done is written.
pub struct Log {
    appender: Appender,
    /// A write failed: nobody knows what is on the disk, and the core may be ahead of it.
    failed: bool,
}

/// What some operations came to. They are done in memory alone until they are written.
#[derive(Default)]
pub struct Group {
    pub answers: Vec<Result<Answer, Refusal>>,
    /// Records, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Group {
    /// Something was asked that needed nothing done.
    pub fn answered(answer: Answer) -> Self {
        Self { answers: vec![Ok(answer)], ..Self::default() }
    }
}

impl Machine {
    /// Opens the ledger of a disk: an empty one if nothing is there.
    ///
    /// A snapshot that is damaged is passed over for an earlier one, loudly: the log makes up for it, or it is an error.
    pub fn open(disk: Arc<dyn Disk>, segment_bytes: u64) -> Result<Self, LedgerError> {
        snapshot::clear_drafts(&*disk)?;
        let (mut core, damaged) = newest(&disk, |_| Ok(true))?;
        let from = core.sequence() + 1;
        let opened = log::open_from(disk.clone(), segment_bytes, from, &mut |_, number, payload| {
            again(&mut core, number, payload)
        });
        let (appender, torn) = match (opened, damaged) {
            (Ok(opened), _) => opened,
            (Err(e), Some((number, what))) => {
                tracing::error!("{e}");
                return Err(LedgerError::Snapshot {
                    file: disk.path(&snapshot::name(number)),
                    what,
                    wanted: from,
                });
            }
            (Err(e), None) => return Err(e.into()),
        };
        if let Some(torn) = torn {
            tracing::warn!(
                "{}: cut {} bytes of an unfinished write off at byte {}; nothing of it was answered",
                disk.path(&torn.name).display(),
                torn.bytes,
                torn.end,
            );
        }
        // A snapshot is of what was durable, so the log has at least as much.
        if appender.next() != core.sequence() + 1 {
            let what = format!(
                "the snapshot is of operation {}, and the log ends with {}",
                core.sequence(),
                appender.next() - 1
            );
            return Err(LedgerError::Snapshot {
                file: disk.path(&snapshot::name(core.sequence())),
                what,
                wanted: appender.next(),
            });
        }
        Ok(Self { disk, core, log: Log { appender, failed: false } })
    }

    /// For two threads: one does, and the other writes.
    pub fn split(self) -> (Arc<dyn Disk>, Core, Log) {
        (self.disk, self.core, self.log)
    }
}

/// On one thread: as tests drive it, step by step.
#[cfg(test)]
impl Machine {
    /// As it is in memory; durable up to the last group.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// For counting beside: nothing that the log knows of may be changed through it.
    pub fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Does operations and makes them durable together; then their answers may be given.
    ///
    /// After an error none may be: the ledger must be opened anew.
    pub fn commit<'a>(
        &mut self,
        group: impl Iterator<Item = &'a Prepared>,
        now_us: i64,
    ) -> Result<Vec<Result<Answer, Refusal>>, LedgerError> {
        self.log.check()?;
        let group = apply(&mut self.core, group, now_us);
        self.log.write(std::slice::from_ref(&group))?;
        assert_eq!(self.log.appender.next(), self.core.sequence() + 1, "the log has what was done");
        Ok(group.answers)
    }

    /// Says on disk that everything is durable. To be done last.
    pub fn close(&mut self) -> Result<(), LedgerError> {
        self.log.close()
    }
}

/// Does operations in memory.
pub fn apply<'a>(core: &mut Core, operations: impl Iterator<Item = &'a Prepared>, now_us: i64) -> Group {
    let mut group = Group::default();
    for prepared in operations {
        let applied = core.apply(prepared, now_us);
        if let Ok(Applied { fresh: true, .. }) = applied {
            record(core, prepared, &mut group.bytes);
            group.ends.push(group.bytes.len());
        }
        group.answers.push(applied.map(|applied| applied.answer));
    }
    group
}

impl Log {
    fn check(&self) -> Result<(), LedgerError> {
        if self.failed { Err(LedgerError::Closed("a write failed before".into())) } else { Ok(()) }
    }

    /// Makes groups durable together, in the order in which they were done. After an error nothing is written any more.
    pub fn write(&mut self, groups: &[Group]) -> Result<(), LedgerError> {
        self.check()?;
        let payloads = groups.iter().flat_map(|group| {
            let starts = std::iter::once(0).chain(group.ends.iter().copied());
            starts.zip(&group.ends).map(|(start, end)| &group.bytes[start..*end])
        });
        if groups.iter().all(|group| group.ends.is_empty()) {
            return Ok(());
        }
        self.failed = true;
        self.appender.append(payloads, &mut Vec::new())?;
        self.failed = false;
        Ok(())
    }

    /// Room for what is written next. To be made when nobody waits.
    pub fn make_room(&mut self) {
        if !self.failed {
            self.appender.make_room();
        }
    }

    /// Says on disk that everything is durable. To be done last.
    pub fn close(&mut self) -> Result<(), LedgerError> {
        if self.failed { Ok(()) } else { Ok(self.appender.mark()?) }
    }
}

/// The ledger of a disk as it was at a time: from the snapshot before, and the log from there, to operation `last` at most. Changes
/// nothing, and may run beside the server.
pub fn as_of(disk: &Arc<dyn Disk>, at_us: i64, last: u64) -> Result<Core, LedgerError> {
    // Of those that are too new the beginning alone is read.
    let (mut core, _) =
        newest(disk, |number| Ok(snapshot::time(disk, number)?.is_none_or(|us| us <= at_us)))?;
    let from = core.sequence() + 1;
    let names = disk.names().map_err(LedgerError::io("list", disk.path("")))?;
    let first = names.iter().filter(|name| name.ends_with(".segment")).min();
    if let Some(first) = first.filter(|first| **first > segment_name(from)) {
        let what = format!("operation {from} is needed, and the log begins with {first}");
        return Err(LedgerError::TooEarly(what));
    }
    let mut past = false;
    let scanned = scan_from(&**disk, from, &mut |_, number, payload| {
        past = number > last || decode(payload)?.now_us > at_us;
        // Nothing behind it is looked at: an error is what ends a scan.
        if past {
            Err("it is later than what is asked for".into())
        } else {
            again(&mut core, number, payload)
        }
    });
    match scanned {
        Err(_) if past => Ok(core),
        scanned => scanned.map(|_| core).map_err(LedgerError::from),
    }
}

/// The newest whole snapshot whose number is wanted, or an empty ledger; and the newest that is damaged.
fn newest(
    disk: &Arc<dyn Disk>,
    is: impl Fn(u64) -> Result<bool, LedgerError>,
) -> Result<(Core, Option<(u64, String)>), LedgerError> {
    let mut damaged = None;
    for number in snapshot::numbers(&**disk)? {
        if !is(number)? {
            continue;
        }
        match snapshot::read(disk, number)? {
            Ok(core) => return Ok((core, damaged)),
            Err(what) => {
                tracing::error!(
                    "{}: {what}; it is passed over",
                    disk.path(&snapshot::name(number)).display()
                );
                damaged.get_or_insert((number, what));
            }
        }
    }
    Ok((Core::new(), damaged))
}

fn decode(payload: &[u8]) -> Result<Record, String> {
    prost::Message::decode(payload).map_err(|e| format!("not a record of a ledger: {e}"))
}

/// Does again what the log says was done, and compares.
fn again(core: &mut Core, number: u64, payload: &[u8]) -> Result<(), String> {
    let Record { now_us, operation, first, second } = decode(payload)?;
    let operation = operation.ok_or("this record is of an operation that this release does not know")?;
    let prepared = Prepared::new(operation);
    if core.now_us() > now_us {
        return Err(format!("this record is of an earlier time ({now_us}) than the one before"));
    }
    match core.apply_again(&prepared, now_us) {
        Ok(Applied { fresh: true, answer }) if answer.sequence == number => {}
        Ok(_) => return Err("what this record did was done before".into()),
        Err(e) => return Err(format!("what this record did cannot be done any more: {e}")),
    }
    match core.amounts(&prepared) {
        amounts if amounts == (first, second) => Ok(()),
        (a, b) => Err(format!("this record came to {first} and {second}, and now comes to {a} and {b}")),
    }
}

fn record(core: &Core, prepared: &Prepared, bytes: &mut Vec<u8>) {
    let (first, second) = core.amounts(prepared);
    let now_us = core.now_us();
    // Encoded as a record is, without a copy of the operation.
    let head = Record { now_us, operation: None, first, second };
    prost::Message::encode(&head, bytes).expect("a vector grows");
    prepared.operation().encode(bytes);
}

/// Whether an operation fits into one record of the log.
pub fn fits(prepared: &Prepared) -> bool {
    prepared.operation().encoded_len() + 64 <= crate::journal::PAYLOAD_MAX
}
