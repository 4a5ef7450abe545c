//! Knows when no thread of a runtime has anything to do.

use std::{
    fmt, io,
    num::NonZero,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
};

use tokio::runtime::{Builder, Runtime};

/// Tells when all worker threads of its runtime wait. Clones are of one runtime.
#[derive(Clone)]
pub struct Idle(Arc<State>);

struct State {
    busy: AtomicUsize,
    told: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Idle {
    /// A runtime with so many worker threads (None: one for each processor), and what knows when all of them wait.
    pub fn runtime(threads: Option<NonZero<usize>>) -> io::Result<(Runtime, Self)> {
        let threads = threads.map_or_else(available_parallelism, Ok)?.get();
        let idle = Self(Arc::new(State { busy: AtomicUsize::new(threads), told: OnceLock::new() }));
        let (parks, wakes) = (idle.clone(), idle.clone());
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .on_thread_park(move || parks.parks())
            .on_thread_unpark(move || wakes.wakes())
            .enable_all()
            .build()?;
        Ok((runtime, idle))
    }

    /// From now on `told` is called, quickly and on a worker thread, whenever the last of them is about to wait. A second
    /// call changes nothing.
    pub(super) fn tell(&self, told: impl Fn() + Send + Sync + 'static) {
        // Fails on a second call.
        let _ = self.0.told.set(Box::new(told));
    }

    fn parks(&self) {
        // What the others have handed over before they waited is seen by the last one.
        if self.0.busy.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(told) = self.0.told.get()
        {
            told();
        }
    }

    fn wakes(&self) {
        self.0.busy.fetch_add(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idle").field("busy", &self.0.busy).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, mpsc};

    use super::*;

    #[test]
    fn it_tells_when_all_threads_wait_and_not_before() {
        for threads in [1, 2] {
            let (runtime, idle) = Idle::runtime(NonZero::new(threads)).expect("threads");
            let (waits, waited) = mpsc::channel();
            idle.tell(move || _ = waits.send(()));
            let all = Arc::new(Barrier::new(threads));
            let busy: Vec<_> = (0..threads).map(|_| runtime.spawn(hold(all.clone()))).collect();
            let waited = runtime.block_on(async move {
                for task in busy {
                    task.await.expect("no panic");
                }
                waited
            });
            waited.recv().expect("all wait");
        }
    }

    /// Holds its thread until all are held. (As far as the runtime knows it is busy.)
    async fn hold(all: Arc<Barrier>) {
        all.wait();
    }

    #[test]
    fn a_busy_thread_is_not_idle() {
        let (runtime, idle) = Idle::runtime(NonZero::new(1)).expect("a thread");
        let (waits, waited) = mpsc::channel();
        idle.tell(move || _ = waits.send(()));
        let (end, ends) = mpsc::channel::<()>();
        let busy = runtime.spawn(async move {
            // What came before does not count. From here on the only thread is busy.
            while waited.try_recv().is_ok() {}
            // An error: nobody sends, as it should be.
            let _ = ends.recv();
            waited.try_recv()
        });
        drop(end);
        assert_eq!(runtime.block_on(busy).expect("no panic"), Err(mpsc::TryRecvError::Empty));
    }
}
