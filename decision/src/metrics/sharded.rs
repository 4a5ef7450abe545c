//! One of something for each thread, or nearly.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Several of the same, in cache lines of their own. Threads spread over them; two may share one, so what is in
/// them must be safe to share.
pub struct Sharded<T>(Box<[Line<T>]>);

/// Two lines: processors fetch them in pairs.
#[repr(align(128))]
struct Line<T>(T);

impl<T> Sharded<T> {
    /// About as many as threads can run at once.
    pub fn new(make: impl Fn() -> T) -> Self {
        let threads = std::thread::available_parallelism().map_or(4, usize::from);
        // Connections and long work have one for each processor (`service::threads`), and the journal and the runtime's
        // helpers have some as well.
        Self((0..(4 * threads).next_power_of_two()).map(|_| Line(make())).collect())
    }

    /// The one of this thread.
    pub fn mine(&self) -> &T {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed);
        }
        &self.0[NUMBER.with(|number| *number) % self.0.len()].0
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|line| &line.0)
    }
}
