//! What ends with this program, also where it is interrupted: servers in sessions of their own, which ctrl-c does not reach, and
//! folders of fixtures.

use std::{
    collections::BTreeMap,
    fs, io,
    process::{self, Child, Command},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::signal::unix::{SignalKind, signal};

type Ends = BTreeMap<u64, Box<dyn FnOnce() + Send>>;

/// In the order in which they began.
static ALL: Mutex<Ends> = Mutex::new(Ends::new());
static NEXT: AtomicU64 = AtomicU64::new(0);

fn all() -> MutexGuard<'static, Ends> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends something when this is dropped, or when the program is interrupted, whichever comes first; once.
#[must_use]
#[derive(Debug)]
pub struct Ending(u64);

impl Ending {
    /// To be made before what it ends begins: an interruption may come in between. `end` must make and drop no other one.
    pub fn new(end: impl FnOnce() + Send + 'static) -> Self {
        let mut all = all();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        all.insert(number, Box::new(end));
        Self(number)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        // Held until it has ended: whoever is interrupted meanwhile waits for it.
        let mut all = all();
        if let Some(end) = all.remove(&self.0) {
            end();
        }
    }
}

/// Everything has ended, and nothing that has to be ended begins or ends as long as this is held.
pub struct Ended(#[allow(dead_code)] MutexGuard<'static, Ends>);

/// Ends everything, the last first.
pub fn end_all() -> Ended {
    let mut all = all();
    while let Some((_, end)) = all.pop_last() {
        end();
    }
    Ended(all)
}

/// Returns at once, but for who is being interrupted: nothing new is to begin then.
pub fn unless_interrupted() {
    drop(all());
}

/// From here on SIGINT (ctrl-c) and SIGTERM end the children of this process, then everything else, then the program with status
/// 130.
pub fn on_interrupt() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::Builder::new().name("interrupt".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        eprintln!("interrupted: what was started is ended …");
        terminate_children();
        let _held = end_all();
        process::exit(130);
    })?;
    Ok(())
}

/// SIGTERM to the processes that this one has started and not waited for yet. A terminal's ctrl-c has reached them already.
fn terminate_children() {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return };
    let told = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<String> =
        told.flat_map(|ids| ids.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    if !children.is_empty() {
        // One that has just ended is an error to kill(1), and none here.
        let _ = Command::new("kill").arg("-TERM").args(children).output();
    }
}

/// Waits for a child that was told to end; one that takes longer than it may is killed.
pub fn end_child(child: &mut Child, patience: Duration) {
    let since = Instant::now();
    while let Ok(None) = child.try_wait() {
        if since.elapsed() >= patience {
            eprintln!("process {} does not end within {patience:?}: it is killed", child.id());
            // It may have ended just now.
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        process::Stdio,
        sync::{Arc, mpsc},
    };

    use super::*;

    #[test]
    fn each_ends_once_and_the_last_one_first() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let ending = |name: &'static str| {
            let told = told.clone();
            Ending::new(move || told.lock().unwrap().push(name))
        };
        let (folder, broker, gone) = (ending("folder"), ending("broker"), ending("gone"));
        drop(gone);
        assert_eq!(*told.lock().unwrap(), ["gone"]);
        let held = end_all();
        assert_eq!(*told.lock().unwrap(), ["gone", "broker", "folder"]);
        // Whoever goes on meanwhile begins nothing.
        let (sender, begun) = mpsc::channel();
        let beginning = thread::spawn(move || {
            unless_interrupted();
            sender.send(()).unwrap();
        });
        assert_eq!(begun.try_recv(), Err(mpsc::TryRecvError::Empty));
        drop(held);
        beginning.join().unwrap();
        assert_eq!(begun.recv(), Ok(()));
        drop((folder, broker));
        assert_eq!(told.lock().unwrap().len(), 3);
    }

    #[test]
    fn a_child_that_does_not_end_is_killed() {
        let mut stubborn = Command::new("sleep").arg("1000").spawn().unwrap();
        end_child(&mut stubborn, Duration::ZERO);
        assert!(!stubborn.wait().unwrap().success());
        let mut good = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        drop(good.stdin.take());
        end_child(&mut good, Duration::from_secs(600));
        assert!(good.wait().unwrap().success(), "it has ended by itself");
    }
}
