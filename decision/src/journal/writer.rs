//! The thread that writes: it takes what is queued, syncs once, and tells everyone.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    JournalError, Records, Stats, Tip,
    index::Index,
    log::Appender,
    queue::{Queue, Taken},
};

/// The writer rests once nothing came for so long: then it does what nobody should wait for ([`Appender::rest`]), a little
/// at a time.
const REST_AFTER: Duration = Duration::from_millis(20);

/// Told of the number of the first of its records once all are durable, or why they never will be.
pub type Done = Box<dyn FnOnce(Result<u64, Arc<JournalError>>) + Send>;

/// What the writer's thread and the others look at.
pub struct Shared {
    pub queue: Queue,
    pub index: Index,
    /// False once nothing more is taken.
    pub open: AtomicBool,
    /// The last entry that is durable.
    pub tip: Mutex<Tip>,
    pub stats: Stats,
}

/// How the writer ended: in order, or with the error after which it took nothing more.
pub type Ended = Result<(), Arc<JournalError>>;

/// Records that are written together, and who is told.
pub struct Write {
    pub records: Records,
    pub done: Done,
}

impl Write {
    /// Bytes of its records.
    pub fn bytes(&self) -> usize {
        self.records.iter().map(|record| record.payload.len()).sum()
    }
}

/// When it goes, nothing more is taken, and it is known.
struct Abandoned<'a>(&'a Shared);

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        self.0.open.store(false, Ordering::Release);
        self.0.queue.abandon();
    }
}

/// Tells one of those who wait. A panic, which nobody who is told should be able to cause, is not to keep the others
/// waiting.
pub(crate) fn tell(one: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(one)).is_err() {
        tracing::error!("somebody could not be told what became of what he handed over");
    }
}

/// Writes group by group until the queue is closed.
///
/// After an error it goes on taking orders, and refuses each; `open` is false from then on.
pub fn run(mut appender: Appender, shared: &Shared) -> Ended {
    let Shared { queue, index, open, tip, stats } = shared;
    let mut batch = Vec::new();
    // However this ends, nobody waits for it any more. (It is known before those are dropped who waited in the batch: one of
    // them may hold a claim, and whoever takes that next asks whether anything more is written.)
    let _abandoned = Abandoned(shared);
    let mut places = Vec::new();
    let mut failed: Ended = Ok(());
    let mut rest_after = REST_AFTER;
    loop {
        let rests = failed.is_ok() && appender.wants_rest();
        let taken = queue.take(&mut batch, rests.then_some(rest_after));
        if taken == Taken::Nothing {
            appender.rest();
            rest_after = Duration::ZERO;
            continue;
        }
        rest_after = REST_AFTER;
        let mut number = appender.next();
        places.clear();
        if !batch.is_empty() {
            let since = stats.writing();
            let payloads = || batch.iter().flat_map(|write: &Write| &write.records).map(|r| &r.payload[..]);
            if failed.is_ok() {
                failed = appender.append(payloads(), &mut places).map_err(Arc::new);
                match &failed {
                    Ok(()) => {
                        let crc = payloads().last().map(crc32fast::hash);
                        *tip.lock().expect("not poisoned") = Tip { number: appender.next() - 1, crc };
                    }
                    Err(e) => {
                        open.store(false, Ordering::Release);
                        tracing::error!("the journal takes no more decisions: {e}");
                    }
                }
            }
            let bytes = failed.is_ok().then(|| payloads().map(<[u8]>::len).sum());
            stats.written(since, payloads().count(), bytes);
        }
        let mut places = places.iter();
        let told = batch.drain(..).map(|Write { records, done }| {
            let durable = match &failed {
                Ok(()) => {
                    for (record, place) in records.iter().zip(&mut places) {
                        index.insert(record.hash, *place);
                        record.subject.into_iter().for_each(|hash| index.insert_of_subject(hash, *place));
                    }
                    let first = number;
                    number += records.len() as u64;
                    Ok(first)
                }
                Err(e) => Err(e.clone()),
            };
            (done, durable)
        });
        // All are found before the first is told: whoever hears of one may ask for another.
        let told: Vec<_> = told.collect();
        let some = !told.is_empty();
        told.into_iter().for_each(|(done, durable)| tell(|| done(durable)));
        if some && failed.is_ok() {
            appender.make_room();
        }
        if taken == Taken::Last {
            failed?;
            return appender.mark().map_err(Arc::new);
        }
    }
}
