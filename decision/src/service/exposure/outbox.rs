//! Events of large exposures, told to others: at least once, in order, whatever crashes.
//!
//! ```text
//!  Ledger ── events behind the position, all durable ──► sink: a topic, or a file ──► position, on disk
//!              every second, once more at the end           returns when it is safe      so many were told
//! ```
//!
//! What is to be told follows from the ledger, which loses nothing. So only how far it was told is kept here: who is killed between
//! the sink and the position tells some again, with the same ids.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::Ordering, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{ExposureError, metrics::Metrics};
use crate::exposure::{LargeEvent, Ledger};

/// Takes events to others.
pub trait EventSink: Send {
    /// Returns when they are safe there. After an error they are all told again.
    fn put(&mut self, events: Vec<LargeEvent>) -> Result<(), String>;
}

/// Where events go, and the file in which stands how many have gone.
pub struct Outbox {
    pub position: PathBuf,
    pub sink: Box<dyn EventSink>,
}

/// Told together, at most.
const BATCH: usize = 1000;
/// From one look for events to the next.
const LOOK: Duration = Duration::from_secs(1);

/// The thread that tells.
pub struct Telling {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Outbox {
    /// How many events were told.
    fn told(&self, ledger: &Ledger) -> Result<u32, ExposureError> {
        let told = read(&self.position).map_err(ExposureError::Events)?;
        let count = ledger.ask(|core| core.large_event_count())?;
        if told > count {
            return Err(ExposureError::Events(format!(
                "{}: {told} events of large exposures were told, and the ledger has {count}\n    fix: it is of another \
                 ledger; remove it, and all events are told again",
                self.position.display()
            )));
        }
        Ok(told)
    }

    /// Tells, from where it had come to, until it is stopped.
    fn run(mut self, mut told: u32, ledger: &Ledger, metrics: &Metrics, stopped: &mpsc::Receiver<()>) {
        let mut logged = String::new();
        loop {
            let last = !matches!(stopped.recv_timeout(LOOK), Err(mpsc::RecvTimeoutError::Timeout));
            // Whoever stops does not wait for somebody who is away.
            if last && !logged.is_empty() {
                return;
            }
            let ended = self.tell(ledger, &mut told, metrics);
            metrics.events_failing.store(ended.is_err(), Ordering::Relaxed);
            match ended {
                Ok(()) => logged.clear(),
                Err(e) if e == logged => {}
                Err(e) => {
                    tracing::error!("events of large exposures wait: {e}");
                    logged = e;
                }
            }
            if last {
                return;
            }
        }
    }

    /// Tells what there is.
    fn tell(&mut self, ledger: &Ledger, told: &mut u32, metrics: &Metrics) -> Result<(), String> {
        loop {
            let from = *told;
            let look = ledger.ask(move |core| {
                (core.large_event_count() - from, core.large_events(from).take(BATCH).collect::<Vec<_>>())
            });
            let (waiting, events) = look.map_err(|e| e.to_string())?;
            metrics.events_waiting.store(waiting.into(), Ordering::Relaxed);
            let count = events.len() as u32;
            if count == 0 {
                return Ok(());
            }
            self.sink.put(events)?;
            let position = self.position.display();
            write(&self.position, from + count).map_err(|e| format!("cannot write {position}: {e}"))?;
            *told += count;
            metrics.events_told.fetch_add(count.into(), Ordering::Relaxed);
            metrics.events_waiting.store((waiting - count).into(), Ordering::Relaxed);
        }
    }
}

impl Telling {
    /// Begins to tell, from where it had come to; None: nobody wants to be told. The outbox is taken by the thread that tells, and
    /// by nobody else: after an error it is there for the next try.
    pub fn start(
        outbox: &Arc<Mutex<Option<Outbox>>>,
        ledger: Arc<Ledger>,
        metrics: Arc<Metrics>,
    ) -> Result<Option<Self>, ExposureError> {
        let told =
            outbox.lock().expect("not poisoned").as_ref().map(|outbox| outbox.told(&ledger)).transpose()?;
        let Some(told) = told else { return Ok(None) };
        let (stop, stopped) = mpsc::channel();
        let outbox = outbox.clone();
        let run = move || {
            let outbox = outbox.lock().expect("not poisoned").take();
            outbox.expect("only this thread takes it").run(told, &ledger, &metrics, &stopped);
        };
        let thread = thread::Builder::new().name("exposure-events".into()).spawn(run);
        let thread = thread.map_err(|e| ExposureError::Events(format!("no thread can be started: {e}")))?;
        Ok(Some(Self { stop, thread }))
    }

    /// Tells what there is, if all was told so far, and ends. What cannot be told is told after the next start.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread that tells events of large exposures panicked");
        }
    }
}

fn read(position: &Path) -> Result<u32, String> {
    let wrong = |what: String| {
        format!(
            "{}: {what}\n    fix: restore it, or remove it, and all events of large exposures are told again",
            position.display()
        )
    };
    match fs::read_to_string(position) {
        Ok(text) => text.trim_end().parse().map_err(|_| wrong("it is no number".into())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(wrong(format!("it cannot be read: {e}"))),
    }
}

/// Durable on return; whoever reads finds the one before, or this one.
fn write(position: &Path, told: u32) -> io::Result<()> {
    let mut draft = position.as_os_str().to_owned();
    draft.push(".draft");
    let mut file = File::create(&draft)?;
    writeln!(file, "{told}")?;
    file.sync_all()?;
    fs::rename(&draft, position)?;
    File::open(position.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{exposure::Config, journal::power::Power};

    struct Nowhere;

    impl EventSink for Nowhere {
        fn put(&mut self, _: Vec<LargeEvent>) -> Result<(), String> {
            Ok(())
        }
    }

    #[test]
    fn what_could_not_begin_to_tell_begins_at_the_next_try() {
        let folder = tempfile::tempdir().expect("a folder");
        let position = folder.path().join("events.told");
        let outbox =
            Arc::new(Mutex::new(Some(Outbox { position: position.clone(), sink: Box::new(Nowhere) })));
        let ledger = Ledger::open_on(Arc::new(Power::default()), Config::new(Arc::new(|| 0)));
        let ledger = Arc::new(ledger.expect("a whole disk"));
        let start = || Telling::start(&outbox, ledger.clone(), Arc::default());
        for of_another in ["5", "five"] {
            fs::write(&position, of_another).expect("writable");
            for _ in 0..2 {
                assert!(matches!(start(), Err(ExposureError::Events(_))), "{of_another}");
            }
        }
        fs::remove_file(&position).expect("there");
        start().expect("it is whole again").expect("there is somebody to tell").stop();
        assert!(outbox.lock().expect("not poisoned").is_none());
        assert!(start().expect("nobody").is_none(), "there is nobody else to tell");
    }
}
