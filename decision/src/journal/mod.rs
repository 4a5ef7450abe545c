//! The decision journal: every decision, on disk before it is answered.
//!
//! ```text
//! request → decide → submit ─┐            ┌─ one write, one sync ─┐
//! request → decide → submit ─┼─→ queue ─→ │ whatever has queued   │ ─→ index ─→ answer all of them
//! request → decide → submit ─┘            └─ up during the last  ─┘
//! ```
//!
//! Group commit: one thread takes what is queued, writes it, syncs once, and tells everyone. While it syncs the next
//! group gathers, so one caller waits for one sync and a thousand callers share it. A lone record is written at
//! once; where records come in company a group gathers as long as all threads that decide are busy (and no longer than a
//! millisecond), since a sync costs the processor too ([`queue`]).
//!
//! Syncing bytes that are on the disk already costs less than syncing a file that grows, so between two groups what lies
//! behind the records is filled with zeros ([`log::Appender::make_room`]); but for groups so long that it would be more to
//! write their bytes twice. And where bursts have filled segments, the next ones are made ahead at rest ([`reserve`]). The
//! exposure ledger writes the same log, without a reserve.
//!
//! - **What was answered is there.** A record is reported durable only after its sync. If a write or a
//!   sync fails, everything waiting is told so and nothing more is taken: after a failed sync only a
//!   restart, which reads the disk again, knows what is on it.
//! - **What is there is a prefix.** A torn tail is cut off at open; anything else that cannot be read is
//!   an error that names file and byte ([`frame`] says how the two are told apart).
//! - **What was decided twice is answered once.** [`Journal::find`] looks a decision up by (member, request
//!   id) through an index in memory that is rebuilt at open.
//! - **Interceptions and overrides** are entries as well, found by what passes the control point, too
//!   ([`Journal::latest`]): nothing else keeps their state.
//!
//! A record is a [`JournalEntry`] in protobuf, so that a later release, another language or a Kafka
//! topic can read it. Its number, counted from 1, is the `decision_id`.

mod disk;
mod error;
mod frame;
mod index;
pub(crate) mod log;
#[cfg(test)]
pub(crate) mod power;
mod queue;
mod record;
pub mod replay;
mod reserve;
pub(crate) mod scan;
mod stats;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fs::File,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use prost::Message;
use smallvec::smallvec;
use tarim_proto::{
    decision::v1::{Interception, JournalEntry},
    encoded,
};

pub use self::{
    disk::{Disk, DiskFile, Folder},
    error::JournalError,
    index::Place,
    record::{APPLICATION, EncodedEntry, EntryHead, Record, Records},
    stats::Stats,
};
pub(crate) use self::{frame::PAYLOAD_MAX, writer::tell};
use self::{
    index::Index,
    log::Log,
    queue::Queue,
    writer::{Ended, Shared, Write},
};

/// A segment that has reached this length is followed by another.
const SEGMENT_BYTES: u64 = 64 << 20;

/// A journal that is open for reading and writing. One per folder.
pub struct Journal {
    log: Arc<Log>,
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<Ended>>>,
    /// Held as long as the journal is open.
    _lock: Option<File>,
}

/// The last entry, or another one: its number, and what tells it from the entry of that number of another journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tip {
    /// 0: there is none.
    pub number: u64,
    /// CRC-32 of its bytes; None: nobody knows it any more.
    pub crc: Option<u32>,
}

/// Just enough of an entry to index it; everything else is skipped, not decoded.
#[derive(Clone, PartialEq, prost::Message)]
struct EntryKey {
    #[prost(string, tag = "1")]
    member: String,
    #[prost(string, tag = "2")]
    request_id: String,
    #[prost(message, tag = "8")]
    interception: Option<SubjectKey>,
}

/// Of an interception the same.
#[derive(Clone, PartialEq, prost::Message)]
struct SubjectKey {
    #[prost(int32, tag = "4")]
    point: i32,
    #[prost(string, tag = "5")]
    subject: String,
}

impl Journal {
    /// Opens the journal of a folder, which is created if it is not there. Reads every record once.
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        std::fs::create_dir_all(folder).map_err(JournalError::io("create", folder.into()))?;
        let file = folder.join("lock");
        let lock = File::create(&file).map_err(JournalError::io("create", file.clone()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(JournalError::InUse { folder: folder.into() });
            }
            Err(std::fs::TryLockError::Error(e)) => return Err(JournalError::io("lock", file)(e)),
        }
        let mut journal = Self::open_on(Arc::new(Folder::new(folder)), SEGMENT_BYTES)?;
        journal._lock = Some(lock);
        Ok(journal)
    }

    /// As [`Journal::open`], on any disk. Whoever calls sees to it that nobody else writes there.
    pub fn open_on(disk: Arc<dyn Disk>, segment_bytes: u64) -> Result<Self, JournalError> {
        let index = Index::new();
        let mut last = None;
        let (appender, torn) = log::open(disk.clone(), segment_bytes, &mut |place, _, payload| {
            let key = EntryKey::decode(payload).map_err(|e| format!("not a journal entry: {e}"))?;
            last = Some(place);
            index.insert(index.hash(&key.member, &key.request_id), place);
            if let Some(of) = key.interception {
                index.insert_of_subject(index.subject_hash(&key.member, of.point, &of.subject), place);
            }
            Ok(())
        })?;
        if let Some(torn) = torn {
            tracing::warn!(
                "{}: cut {} bytes of an unfinished write off at byte {}; nothing of it was answered",
                disk.path(&torn.name).display(),
                torn.bytes,
                torn.end,
            );
        }
        let log = appender.log().clone();
        let writer = std::thread::Builder::new().name("journal".into());
        let crc =
            last.map(|place| log.read(place)).transpose()?.map(|(_, payload)| crc32fast::hash(&payload));
        let tip = Mutex::new(Tip { number: appender.next() - 1, crc });
        let (queue, open, stats) = (Queue::default(), AtomicBool::new(true), Stats::new());
        let shared = Arc::new(Shared { queue, index, open, tip, stats });
        let with = shared.clone();
        let writer = writer
            .spawn(move || writer::run(appender, &with))
            .map_err(JournalError::io("start the writer of", disk.path("")))?;
        Ok(Self { log, shared, writer: Mutex::new(Some(writer)), _lock: None })
    }

    /// From now on somebody calls [`Journal::urge`]: records may wait for each other until then, a millisecond at most.
    pub fn will_be_urged(&self) {
        self.shared.queue.will_be_urged();
    }

    /// A thread that decides has nothing to do: what was submitted is written now.
    pub fn urge(&self) {
        self.shared.queue.urge();
    }

    /// Hands records over to be written together, and returns at once. `done` is called on the writer's thread, so it is
    /// to be quick and not to wait: once all are durable and found by [`Journal::find`], with the number of the first
    /// (the others follow), or with the reason why they never will be. (When the journal has been closed it is called
    /// here, or dropped uncalled.)
    ///
    /// The queue has no bound of its own: callers bound what they have in flight.
    pub fn submit(
        &self,
        records: Records,
        done: impl FnOnce(Result<u64, Arc<JournalError>>) + Send + 'static,
    ) {
        debug_assert!(!records.is_empty(), "there is a first");
        self.shared.stats.submitted(records.len());
        let write = Write { records, done: Box::new(done) };
        if let Err(write) = self.shared.queue.push(write) {
            (write.done)(Err(Arc::new(JournalError::Closed("the service is shutting down".into()))));
        }
    }

    /// As [`Journal::submit`], one entry.
    pub fn submit_entry(
        &self,
        entry: &JournalEntry,
        done: impl FnOnce(Result<u64, Arc<JournalError>>) + Send + 'static,
    ) {
        let hash = self.hash(&entry.member, &entry.request_id);
        match Record::new(hash, entry.encode_to_vec().into()) {
            Ok(record) => self.submit(smallvec![record], done),
            Err(e) => done(Err(Arc::new(e))),
        }
    }

    /// Does it still take entries? Not after a failed write, and not after [`Journal::close`].
    pub fn is_open(&self) -> bool {
        self.shared.open.load(Ordering::Acquire)
    }

    /// The last entry that is durable.
    pub fn tip(&self) -> Tip {
        *self.shared.tip.lock().expect("not poisoned")
    }

    /// The entry of a number, as [`Journal::tip`] tells it. Reads its segment: not for an async thread.
    pub fn tip_at(&self, number: u64) -> Result<Tip, JournalError> {
        let crc = self.log.find(number)?.map(|payload| crc32fast::hash(&payload));
        Ok(Tip { number, crc })
    }

    /// How it fares.
    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// Hash of a key, in this journal and process.
    pub fn hash(&self, member: &str, request_id: &str) -> u64 {
        self.shared.index.hash(member, request_id)
    }

    /// Hash of what passes a control point, in this journal and process.
    pub fn subject_hash(&self, member: &str, point: i32, subject: &str) -> u64 {
        self.shared.index.subject_hash(member, point, subject)
    }

    /// The latest entry, an interception or an override, of a subject at a point, of those that `wanted` chooses; and
    /// its number. Reads the disk: not for an async thread.
    pub fn latest(
        &self,
        member: &str,
        point: i32,
        subject: &str,
        wanted: impl Fn(&Interception) -> bool,
    ) -> Result<Option<(u64, JournalEntry)>, JournalError> {
        let (index, hash) = (&self.shared.index, self.subject_hash(member, point, subject));
        // What is added meanwhile is later than this question.
        let places = (0..index.count_of_subject(hash)).rev();
        for place in places.filter_map(|nth| index.place_of_subject(hash, nth)) {
            let (number, payload) = self.log.read(place)?;
            let entry = self.log.decode::<JournalEntry>(place, payload.into())?;
            let of = |i: &Interception| i.point == point && i.subject == subject && wanted(i);
            if entry.member == member && entry.interception.as_ref().is_some_and(of) {
                return Ok(Some((number, entry)));
            }
        }
        Ok(None)
    }

    /// Can a key of this hash be in the journal? FALSE is certain and costs nothing; TRUE asks for
    /// [`Journal::find`].
    pub fn may_hold(&self, hash: u64) -> bool {
        self.shared.index.holds(hash)
    }

    /// The entry of a key and its number, if there is one. Its decision is as it was encoded. Reads the disk:
    /// not for an async thread.
    pub fn find(
        &self,
        member: &str,
        request_id: &str,
    ) -> Result<Option<(u64, encoded::JournalEntry)>, JournalError> {
        for place in self.shared.index.places(self.hash(member, request_id)) {
            let (number, payload) = self.log.read(place)?;
            let entry = self.log.decode::<encoded::JournalEntry>(place, payload.into())?;
            if entry.member == member && entry.request_id == request_id {
                return Ok(Some((number, entry)));
            }
        }
        Ok(None)
    }

    /// Writes what was submitted before, marks the end, and stops. Later calls do nothing.
    ///
    /// Gives the reason if the writer had failed.
    pub fn close(&self) -> Ended {
        let Some(writer) = self.writer.lock().expect("not poisoned").take() else {
            return Ok(());
        };
        self.shared.open.store(false, Ordering::Release);
        self.shared.queue.close();
        writer.join().unwrap_or_else(|_| Err(Arc::new(JournalError::Closed("its writer panicked".into()))))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Err(e) = self.close() {
            tracing::error!("the journal did not close in order: {e}");
        }
    }
}

/// Reads every entry of a journal's folder in order, without changing anything; a server may be
/// writing to it meanwhile. `visit` gets the number, the entry, and its size in bytes.
pub fn read(
    folder: &Path,
    visit: &mut dyn FnMut(u64, JournalEntry, u64) -> Result<(), String>,
) -> Result<(), JournalError> {
    scan::scan(&Folder::new(folder), &mut |_, number, payload| {
        let entry = JournalEntry::decode(payload).map_err(|e| format!("not a journal entry: {e}"))?;
        visit(number, entry, payload.len() as u64)
    })
    .map(drop)
}

/// Bytes of a journal's segments, for whoever shows progress.
pub fn size(folder: &Path) -> Result<u64, JournalError> {
    let disk = Folder::new(folder);
    let size = || -> std::io::Result<u64> {
        let names = disk.names()?.into_iter().filter(|name| name.ends_with(".segment"));
        names.map(|name| disk.open(&name)?.size()).sum()
    };
    size().map_err(JournalError::io("read", folder.into()))
}
