//! Knows when no thread of some runtimes has anything to do.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::runtime::Builder;

/// Tells when all threads of the runtimes that it watches wait. Clones are of the same.
#[derive(Clone)]
pub struct Idle(Arc<State>);

struct State {
    busy: AtomicUsize,
    told: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Idle {
    /// Of so many threads in all, each of which begins busy.
    pub fn of(threads: usize) -> Self {
        Self(Arc::new(State { busy: AtomicUsize::new(threads), told: OnceLock::new() }))
    }

    /// Watches the threads of a runtime that is being built.
    pub fn watch<'b>(&self, builder: &'b mut Builder) -> &'b mut Builder {
        let (parks, wakes) = (self.clone(), self.clone());
        builder.on_thread_park(move || parks.parks()).on_thread_unpark(move || wakes.wakes())
    }

    /// From now on `told` is called, quickly and on one of the threads, whenever the last of them is about to wait. False:
    /// another one is, and this one never will be.
    pub fn tell(&self, told: impl Fn() + Send + Sync + 'static) -> bool {
        self.0.told.set(Box::new(told)).is_ok()
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

    use tokio::runtime::Runtime;

    use super::*;

    /// So many threads, and what knows when all of them wait.
    fn runtime(threads: usize) -> (Runtime, Idle) {
        let idle = Idle::of(threads);
        let runtime = idle.watch(Builder::new_multi_thread().worker_threads(threads)).build();
        (runtime.expect("threads"), idle)
    }

    #[test]
    fn it_tells_when_all_threads_wait_and_not_before() {
        for threads in [1, 2] {
            let (runtime, idle) = runtime(threads);
            let (waits, waited) = mpsc::channel();
            assert!(idle.tell(move || _ = waits.send(())));
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
        let (runtime, idle) = runtime(1);
        let (waits, waited) = mpsc::channel();
        assert!(idle.tell(move || _ = waits.send(())));
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
