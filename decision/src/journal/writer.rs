//! The thread that writes: it takes what is queued, syncs once, and tells everyone.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
    mpsc,
};

use super::{JournalError, index::Index, log::Appender};

/// Told of a record's number once it is durable, or why it is not.
pub type Done = Box<dyn FnOnce(Result<u64, Arc<JournalError>>) + Send>;

/// How the writer ended: in order, or with the error after which it took nothing more.
pub type Ended = Result<(), Arc<JournalError>>;

/// What the writer is asked to do.
pub enum Order {
    /// Write a record; `hash` is its key's.
    Write { hash: u64, payload: Vec<u8>, done: Done },
    /// Mark the end and stop.
    Close,
}

/// A batch ends with the record that reaches this many bytes: what waits for one sync has a bound.
const BATCH_BYTES: usize = 8 << 20;

/// Writes batch by batch until told to close (or until nobody is left to tell it).
///
/// After an error it goes on taking orders, and refuses each; `open` is false from then on.
pub fn run(
    mut appender: Appender,
    index: &Index,
    open: &AtomicBool,
    orders: &mpsc::Receiver<Order>,
) -> Ended {
    let mut batch = Vec::new();
    let mut places = Vec::new();
    let mut failed: Ended = Ok(());
    loop {
        let more = take(orders, &mut batch);
        let first = appender.next();
        places.clear();
        if failed.is_ok() && !batch.is_empty() {
            let payloads = batch.iter().map(|(_, payload, _): &(u64, Vec<u8>, Done)| &payload[..]);
            failed = appender.append(payloads, &mut places).map_err(Arc::new);
            if let Err(e) = &failed {
                open.store(false, Ordering::Release);
                tracing::error!("the journal takes no more decisions: {e}");
            }
        }
        for (i, (hash, _, done)) in batch.drain(..).enumerate() {
            done(match &failed {
                Ok(()) => {
                    index.insert(hash, places[i]);
                    Ok(first + i as u64)
                }
                Err(e) => Err(e.clone()),
            });
        }
        if !more {
            failed?;
            return appender.mark().map_err(Arc::new);
        }
    }
}

/// Waits for one order, then takes those that wait already. False: it is time to stop.
fn take(orders: &mpsc::Receiver<Order>, batch: &mut Vec<(u64, Vec<u8>, Done)>) -> bool {
    let mut bytes = 0;
    let mut next = orders.recv().ok();
    loop {
        match next {
            Some(Order::Write { hash, payload, done }) => {
                bytes += payload.len();
                batch.push((hash, payload, done));
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
