//! The threads that serve.
//!
//! ```text
//!  lanes, one a processor:    connections, each on one of them from its first byte to its last
//!  workers, one a processor:  parts of streams, batches, all else; any of them takes any piece
//!                             all of these wait ─► Idle
//! ```
//!
//! A single call takes microseconds. Threads that share such work spend as much again on waking each other to look
//! for it, and who is woken for nothing keeps another waiting; so connections are dealt out once, to whoever has
//! the fewest, and stay there. Long work is spread, so that none keeps the calls of a lane waiting.

mod idle;

use std::{
    fmt, io,
    num::NonZero,
    sync::Arc,
    thread::{self, available_parallelism},
};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::watch,
    task::JoinSet,
};

pub use self::idle::Idle;

/// The threads of a service; they end with the last clone of this.
#[derive(Clone)]
pub struct Threads(Arc<State>);

struct State {
    lanes: Vec<Lane>,
    idle: Idle,
    /// The lanes' threads wait for its end.
    _running: watch::Sender<()>,
}

/// A thread that has connections.
#[derive(Clone)]
pub struct Lane {
    runtime: Handle,
    /// Of which each of its connections has a clone.
    connections: Arc<()>,
}

impl Threads {
    /// Starts so many lanes and as many workers (None: one of each for each processor). The runtime is the workers'.
    pub fn start(threads: Option<NonZero<usize>>) -> io::Result<(Runtime, Self)> {
        let threads = threads.map_or_else(available_parallelism, Ok)?.get();
        let idle = Idle::of(2 * threads);
        let workers = idle.watch(Builder::new_multi_thread().worker_threads(threads)).enable_all().build()?;
        let (running, ended) = watch::channel(());
        let lanes = (0..threads).map(|_| Lane::start(&idle, ended.clone())).collect::<io::Result<_>>()?;
        Ok((workers, Self(Arc::new(State { lanes, idle, _running: running }))))
    }

    /// The lane that has the fewest connections.
    pub(super) fn lane(&self) -> &Lane {
        let lanes = self.0.lanes.iter();
        lanes.min_by_key(|lane| Arc::strong_count(&lane.connections)).expect("there is a thread at least")
    }

    /// Knows when all of them wait.
    pub(super) fn idle(&self) -> &Idle {
        &self.0.idle
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").field("lanes", &self.0.lanes.len()).finish_non_exhaustive()
    }
}

impl Lane {
    fn start(idle: &Idle, mut ended: watch::Receiver<()>) -> io::Result<Self> {
        let runtime = idle.watch(&mut Builder::new_current_thread()).enable_all().build()?;
        let lane = Self { runtime: runtime.handle().clone(), connections: Arc::default() };
        let run = move || runtime.block_on(async move { while ended.changed().await.is_ok() {} });
        thread::Builder::new().name("connections".into()).spawn(run)?;
        Ok(lane)
    }

    /// Begins a connection.
    pub fn begin(&self, connections: &mut JoinSet<()>, talk: impl Future<Output = ()> + Send + 'static) {
        let held = self.connections.clone();
        let talk = async move {
            talk.await;
            drop(held);
        };
        connections.spawn_on(talk, &self.runtime);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn connections_are_dealt_out_evenly_and_stay_on_their_thread() {
        let (workers, threads) = Threads::start(NonZero::new(2)).expect("threads");
        let mut connections = JoinSet::new();
        let (tell, told) = mpsc::channel();
        // A connection that tells its thread and goes when it is let.
        let mut begin = || {
            let (tell, (leave, left)) = (tell.clone(), oneshot::channel::<()>());
            threads.lane().begin(&mut connections, async move {
                let here = thread::current().id();
                tokio::task::yield_now().await;
                assert_eq!(thread::current().id(), here);
                tell.send(here).expect("the test waits");
                // An error, which is as good: the test is over.
                let _ = left.await;
            });
            (told.recv().expect("it runs"), leave)
        };
        let (first, second) = (begin(), begin());
        assert_ne!(first.0, second.0);
        first.1.send(()).expect("it waits");
        workers.block_on(connections.join_next()).expect("one has left").expect("no panic");
        let mut begin = || {
            let tell = tell.clone();
            threads.lane().begin(&mut connections, async move {
                tell.send(thread::current().id()).expect("the test waits");
            });
            told.recv().expect("it runs")
        };
        assert_eq!(begin(), first.0, "there was room");
    }

    #[test]
    fn they_end_with_the_last_clone() {
        let (workers, threads) = Threads::start(NonZero::new(1)).expect("threads");
        let mut connections = JoinSet::new();
        threads.lane().begin(&mut connections, std::future::pending());
        drop(threads.clone());
        threads.lane().begin(&mut connections, async {});
        workers.block_on(connections.join_next()).expect("it runs").expect("it is not cancelled");
        drop(threads);
        let ended = workers.block_on(connections.join_next()).expect("the first");
        assert!(ended.expect_err("its thread has ended").is_cancelled());
    }
}
