//! The thread that writes: it takes what is queued, syncs once, and tells everyone.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use super::{JournalError, Records, Stats, index::Index, log::Appender};

/// Told of the number of the first of its records once all are durable, or why they never will be.
pub type Done = Box<dyn FnOnce(Result<u64, Arc<JournalError>>) + Send>;

/// Tells everyone who has a record in a group.
pub type Telling = Box<dyn FnOnce() + Send>;

/// What the writer's thread and the others look at.
pub struct Shared {
    pub index: Index,
    /// False once nothing more is taken.
    pub open: AtomicBool,
    pub stats: Stats,
    /// Who does the telling; nobody: the writer's thread.
    pub teller: OnceLock<Box<dyn Fn(Telling) + Send + Sync>>,
}

/// How the writer ended: in order, or with the error after which it took nothing more.
pub type Ended = Result<(), Arc<JournalError>>;

/// What the writer is asked to do.
pub enum Order {
    /// Write records, one after the other in one batch.
    Write(Write),
    /// Mark the end and stop.
    Close,
}

/// Records that are written together, and who is told.
pub struct Write {
    pub records: Records,
    pub done: Done,
}

/// A batch ends with the order that reaches this many bytes: what waits for one sync has a bound.
const BATCH_BYTES: usize = 8 << 20;

/// Longest that is waited for others to join a group.
const PAUSE_MAX: Duration = Duration::from_micros(250);

/// Writes batch by batch until told to close (or until nobody is left to tell it).
///
/// After an error it goes on taking orders, and refuses each; `open` is false from then on.
pub fn run(mut appender: Appender, shared: &Shared, orders: &mpsc::Receiver<Order>) -> Ended {
    let Shared { index, open, stats, teller } = shared;
    let mut batch = Vec::new();
    let mut places = Vec::new();
    let mut failed: Ended = Ok(());
    let mut pause = Duration::ZERO;
    loop {
        let more = take(orders, pause, &mut batch);
        let mut number = appender.next();
        places.clear();
        if !batch.is_empty() {
            let since = stats.writing();
            let payloads = || batch.iter().flat_map(|write: &Write| &write.records).map(|r| &r.payload[..]);
            if failed.is_ok() {
                failed = appender.append(payloads(), &mut places).map_err(Arc::new);
                if let Err(e) = &failed {
                    open.store(false, Ordering::Release);
                    tracing::error!("the journal takes no more decisions: {e}");
                }
            }
            let bytes = failed.is_ok().then(|| payloads().map(<[u8]>::len).sum());
            stats.written(since, payloads().count(), bytes);
            // Where several share a sync more would, had it waited for them: a sync costs the processor, too.
            pause = if batch.len() > 1 { since.elapsed().min(PAUSE_MAX) } else { Duration::ZERO };
        }
        let mut places = places.iter();
        let told = batch.drain(..).map(|Write { records, done }| {
            let durable = match &failed {
                Ok(()) => {
                    for (record, place) in records.iter().zip(&mut places) {
                        index.insert(record.hash, *place);
                        record.subject.into_iter().for_each(|hash| index.insert(hash, *place));
                    }
                    let first = number;
                    number += records.len() as u64;
                    Ok(first)
                }
                Err(e) => Err(e.clone()),
            };
            (done, durable)
        });
        let told: Vec<_> = told.collect();
        if !told.is_empty() {
            let tell = move || told.into_iter().for_each(|(done, durable)| done(durable));
            match teller.get() {
                Some(teller) => teller(Box::new(tell)),
                None => tell(),
            }
            if failed.is_ok() {
                appender.make_room();
            }
        }
        if !more {
            failed?;
            return appender.mark().map_err(Arc::new);
        }
    }
}

/// Waits for one order, and for `pause` longer, then takes those that wait already. False: it is time to stop.
fn take(orders: &mpsc::Receiver<Order>, pause: Duration, batch: &mut Vec<Write>) -> bool {
    let mut bytes = 0;
    let mut next = orders.recv().ok();
    if !pause.is_zero() && matches!(next, Some(Order::Write(_))) {
        thread::sleep(pause);
    }
    loop {
        match next {
            Some(Order::Write(write)) => {
                bytes += write.records.iter().map(|record| record.payload.len()).sum::<usize>();
                batch.push(write);
            }
            Some(Order::Close) | None => return false,
        }
        if bytes >= BATCH_BYTES {
            return true;
        }
        match orders.try_recv() {
            Ok(order) => next = Some(order),
            Err(mpsc::TryRecvError::Empty) => return true,
            Err(mpsc::TryRecvError::Disconnected) => return false,
        }
    }
}
