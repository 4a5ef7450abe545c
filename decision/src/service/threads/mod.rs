//! The threads that serve.
//!
//! ```text
//!  lanes, one a processor:    connections, each on one of them from its first byte to its last
//!  workers, one a processor:  parts of streams, batches, all else; any of them takes any piece
//!                             one of these waits ─► Idle
//! ```
//!
//! A single call takes microseconds. Threads that share such work spend as much again on waking each other to look
//! for it, and who is woken for nothing keeps another waiting; so connections are dealt out once, to whoever has
//! the fewest, and stay there. Long work is spread, so that none keeps the calls of a lane waiting.

mod idle;

use std::{
    fmt, io,
    num::NonZero,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle, available_parallelism},
};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::watch,
    task::JoinSet,
};

use self::idle::Idle;

/// The threads of a service. Clones are of the same; with the last one the lanes end, and what is left on them.
#[derive(Clone)]
pub struct Threads(Arc<State>);

struct State {
    lanes: Vec<Lane>,
    idle: Idle,
    /// True ends the lanes, and so does its own end.
    ended: watch::Sender<bool>,
    running: Mutex<Vec<JoinHandle<()>>>,
}

/// A thread that has connections.
pub struct Lane {
    runtime: Handle,
    /// Of which each of its connections has a clone.
    connections: Arc<()>,
}

/// Turns of connections between two looks at the sockets, and at what other threads have woken. A turn may take a
/// millisecond, and the runtime's own interval is 61.
const LOOK_EVERY: u32 = 4;

impl Threads {
    /// Starts so many lanes and as many workers (None: one of each for each processor). The runtime is the workers', and
    /// what is served over these lanes is served on it.
    pub fn start(threads: Option<NonZero<usize>>) -> io::Result<(Runtime, Self)> {
        let threads = threads.map_or_else(available_parallelism, Ok)?.get();
        let idle = Idle::default();
        let workers = idle.watch(Builder::new_multi_thread().worker_threads(threads)).enable_all().build()?;
        let (ended, ends) = watch::channel(false);
        let lanes = (0..threads).map(|_| Lane::start(&idle, ends.clone())).collect::<io::Result<Vec<_>>>()?;
        let (lanes, running): (_, Vec<_>) = lanes.into_iter().unzip();
        let state = State { lanes, idle, ended, running: Mutex::new(running) };
        Ok((workers, Self(Arc::new(state))))
    }

    /// Ends the lanes, and what is left on them. Waits: not for an async thread.
    pub(super) fn end(&self) {
        self.0.ended.send_replace(true);
        let running = std::mem::take(&mut *self.0.running.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in running {
            if thread.join().is_err() {
                tracing::error!("a thread that had connections panicked");
            }
        }
    }

    /// The lane that has the fewest connections.
    pub(super) fn lane(&self) -> &Lane {
        let lanes = self.0.lanes.iter();
        lanes.min_by_key(|lane| Arc::strong_count(&lane.connections)).expect("there is a thread at least")
    }

    /// Connections on all lanes.
    #[cfg(test)]
    pub fn connections(&self) -> usize {
        self.0.lanes.iter().map(|lane| Arc::strong_count(&lane.connections) - 1).sum()
    }

    /// From now on `told` is called whenever one of them has nothing to do, by itself and quickly. False: somebody else
    /// is told already.
    pub(super) fn tell_when_idle(&self, told: impl Fn() + Send + Sync + 'static) -> bool {
        self.0.idle.tell(told)
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").field("lanes", &self.0.lanes.len()).finish_non_exhaustive()
    }
}

impl Lane {
    fn start(idle: &Idle, mut ends: watch::Receiver<bool>) -> io::Result<(Self, JoinHandle<()>)> {
        let runtime = idle
            .watch(&mut Builder::new_current_thread())
            .event_interval(LOOK_EVERY)
            .global_queue_interval(LOOK_EVERY)
            .enable_all()
            .build()?;
        let lane = Self { runtime: runtime.handle().clone(), connections: Arc::default() };
        // An error means that nobody is left who could end it.
        let run = move || runtime.block_on(async move { _ = ends.wait_for(|ended| *ended).await });
        let thread = thread::Builder::new().name("connections".into()).spawn(run)?;
        Ok((lane, thread))
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
    use std::{
        io::Write,
        sync::atomic::{AtomicU64, Ordering},
        task::Poll,
    };

    use tokio::{
        io::AsyncReadExt,
        sync::{mpsc, oneshot},
    };

    use super::*;

    #[test]
    fn connections_are_dealt_out_evenly_and_stay_on_their_thread() {
        let (workers, threads) = Threads::start(NonZero::new(2)).expect("threads");
        let mut connections = JoinSet::new();
        let (tell, told) = std::sync::mpsc::channel();
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

    /// One that is busy for ever does not keep a lane from those whom another thread wakes, or a socket.
    #[test]
    fn who_is_woken_waits_for_a_few_turns_of_others_at_most() {
        let (_workers, threads) = Threads::start(NonZero::new(1)).expect("threads");
        let mut connections = JoinSet::new();
        let turns = Arc::new(AtomicU64::new(0));
        let count = turns.clone();
        threads.lane().begin(
            &mut connections,
            std::future::poll_fn(move |context| {
                count.fetch_add(1, Ordering::SeqCst);
                context.waker().wake_by_ref();
                Poll::<()>::Pending
            }),
        );
        let (mut here, there) = std::os::unix::net::UnixStream::pair().expect("a pair");
        there.set_nonblocking(true).expect("a socket");
        let (wake, mut woken) = mpsc::unbounded_channel();
        let (seen, told) = std::sync::mpsc::channel();
        let count = turns.clone();
        threads.lane().begin(&mut connections, async move {
            let mut there = tokio::net::UnixStream::from_std(there).expect("a runtime");
            while woken.recv().await.is_some() {
                seen.send(count.load(Ordering::SeqCst)).expect("the test waits");
                there.read_u8().await.expect("a byte");
                seen.send(count.load(Ordering::SeqCst)).expect("the test waits");
            }
        });
        for _ in 0..100 {
            for wakes in
                [&mut || wake.send(()).expect("it listens"), &mut || here.write_all(b"x").expect("written")]
                    as [&mut dyn FnMut(); 2]
            {
                wakes();
                let before = turns.load(Ordering::SeqCst);
                let after = told.recv().expect("it is woken");
                // A look at the sockets, and then it has its turn among those that wait.
                assert!(after <= before + 2 * u64::from(LOOK_EVERY), "{} turns", after - before);
            }
        }
    }

    #[test]
    fn they_end_when_they_are_told() {
        let (workers, threads) = Threads::start(NonZero::new(2)).expect("threads");
        let mut connections = JoinSet::new();
        threads.lane().begin(&mut connections, std::future::pending());
        threads.end();
        threads.end();
        let ended = workers.block_on(connections.join_next()).expect("it was begun");
        assert!(ended.expect_err("its thread has ended").is_cancelled());
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
