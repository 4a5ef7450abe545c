//! Tells when a thread has nothing to do.

use std::sync::{Arc, OnceLock};

use tokio::runtime::Builder;

/// Tells whenever a thread of the runtimes that it watches is about to wait.
#[derive(Default)]
pub struct Idle(Arc<OnceLock<Box<dyn Fn() + Send + Sync>>>);

impl Idle {
    /// Watches the threads of a runtime that is being built.
    pub fn watch<'b>(&self, builder: &'b mut Builder) -> &'b mut Builder {
        let idle = self.0.clone();
        builder.on_thread_park(move || {
            if let Some(told) = idle.get() {
                told();
            }
        })
    }

    /// From now on `told` is called, quickly and on the thread that is about to wait. False: another one is, and this one
    /// never will be.
    pub fn tell(&self, told: impl Fn() + Send + Sync + 'static) -> bool {
        self.0.set(Box::new(told)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    #[test]
    fn it_tells_when_a_thread_waits_and_not_before() {
        let idle = Idle::default();
        let workers = idle.watch(Builder::new_multi_thread().worker_threads(1)).build().expect("a thread");
        let lane = idle.watch(&mut Builder::new_current_thread()).build().expect("a runtime");
        let (waits, waited) = mpsc::channel();
        assert!(idle.tell(move || waits.send(thread::current().id()).expect("the test listens")));
        assert!(!idle.tell(|| {}), "there is one already");

        let (end, ends) = mpsc::channel::<()>();
        let (begun, begins) = mpsc::channel();
        // As far as the runtime knows it is busy.
        let busy = workers.spawn(async move {
            begun.send(thread::current().id()).expect("the test waits");
            // An error: nobody sends, as it should be.
            let _ = ends.recv();
        });
        let worker = begins.recv().expect("it runs");
        // What came before it was begun does not count.
        while waited.try_recv().is_ok() {}
        let here = thread::current().id();
        lane.block_on(async {
            assert_eq!(waited.try_recv(), Err(mpsc::TryRecvError::Empty), "both have something to do");
            drop(end);
            busy.await.expect("no panic");
        });
        // The lane has waited for the worker, or found it done already; the worker has nothing more to do in any case.
        let told = waited.iter().find(|thread| *thread == worker);
        assert!(told.is_some());
        let (wake, woken) = tokio::sync::oneshot::channel::<()>();
        let waker = thread::spawn(move || {
            let told = waited.iter().find(|thread| *thread == here);
            drop(wake);
            told
        });
        // An error: nobody sends.
        let _ = lane.block_on(woken);
        assert!(waker.join().expect("no panic").is_some());
    }
}
