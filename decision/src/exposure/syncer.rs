//! The thread that writes: it takes all that was done meanwhile, syncs once, and answers.
//!
//! ```text
//!  writer: apply ─► apply ─► apply ─► …                while the disk syncs, the next operations are done in memory
//!             └──────┬─────────┘
//!  syncer:      one write, one sync ─► answers         so the longer a sync takes, the more of them share the next one
//! ```

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};

use super::{
    error::LedgerError,
    machine::{Group, Log},
    operation::Answer,
    writer::Done,
};
use crate::journal::{Stats, Telling};

/// Whoever tells callers in its stead.
pub type Teller = OnceLock<Box<dyn Fn(Telling) + Send + Sync>>;

/// Most groups that are on their way to the disk.
const AHEAD: usize = 1024;

/// What it is handed.
enum Work {
    /// What was done, who is to be told (the last of the answers), and how many of those somebody handed over.
    Group(Group, Vec<Done<Answer>>, usize),
    /// Tell when all before is durable.
    Flush(mpsc::SyncSender<()>),
}

/// The thread.
pub struct Syncer {
    work: Option<mpsc::SyncSender<Work>>,
    failed: Arc<OnceLock<LedgerError>>,
    thread: JoinHandle<Result<(), LedgerError>>,
}

impl Syncer {
    /// `open` is false once something could not be written.
    pub fn start(
        log: Log,
        stats: Arc<Stats>,
        teller: Arc<Teller>,
        open: Arc<AtomicBool>,
    ) -> std::io::Result<Self> {
        let (sender, work) = mpsc::sync_channel(AHEAD);
        let failed = Arc::<OnceLock<LedgerError>>::default();
        let told = failed.clone();
        let thread = std::thread::Builder::new().name("exposure-sync".into());
        let thread = thread.spawn(move || run(log, &work, &stats, &teller, (&told, &open)))?;
        Ok(Self { work: Some(sender), failed, thread })
    }

    /// Hands over what was done. An error if something before could not be written: then what is handed over is told so.
    pub fn put(&self, group: Group, told: Vec<Done<Answer>>, asked: usize) -> Result<(), LedgerError> {
        self.send(Work::Group(group, told, asked))?;
        self.check()
    }

    /// Returns when all that was handed over is durable.
    pub fn flush(&self) -> Result<(), LedgerError> {
        let (sender, flushed) = mpsc::sync_channel(1);
        self.send(Work::Flush(sender))?;
        let _ = flushed.recv();
        self.check()
    }

    fn send(&self, work: Work) -> Result<(), LedgerError> {
        let sender = self.work.as_ref().expect("it is there until it is ended");
        sender.send(work).map_err(|_| LedgerError::Closed("the thread that writes has ended".into()))
    }

    pub fn check(&self) -> Result<(), LedgerError> {
        self.failed.get().map_or(Ok(()), |e| Err(e.clone()))
    }

    /// Writes what was handed over, and that it is all.
    pub fn end(mut self) -> Result<(), LedgerError> {
        self.work = None;
        self.thread.join().unwrap_or_else(|_| Err(LedgerError::Closed("its thread panicked".into())))
    }
}

fn run(
    mut log: Log,
    work: &mpsc::Receiver<Work>,
    stats: &Stats,
    teller: &Teller,
    (failed, open): (&OnceLock<LedgerError>, &AtomicBool),
) -> Result<(), LedgerError> {
    while let Ok(first) = work.recv() {
        let (mut groups, mut told, mut flushed, mut count) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for work in std::iter::once(first).chain(work.try_iter()) {
            match work {
                Work::Group(group, dones, asked) => {
                    count += asked;
                    groups.push(group);
                    told.push(dones);
                }
                Work::Flush(sender) => flushed.push(sender),
            }
        }
        let since = stats.writing();
        let written = match failed.get() {
            None => log.write(&groups),
            Some(e) => Err(e.clone()),
        };
        stats.written(since, count, (written.is_ok() && count > 0).then_some(0));
        if let Err(e) = &written {
            let _ = failed.set(e.clone());
            open.store(false, Ordering::Release);
        }
        let tell = move || {
            for (Group { mut answers, .. }, dones) in groups.into_iter().zip(told) {
                // Before those that somebody asked for is what was due.
                let answers = answers.drain(answers.len() - dones.len()..);
                for (done, answer) in dones.into_iter().zip(answers) {
                    done(match &written {
                        Ok(()) => answer.map_err(LedgerError::Refused),
                        Err(e) => Err(e.clone()),
                    });
                }
            }
        };
        match teller.get().filter(|_| count > 0) {
            Some(teller) => teller(Box::new(tell)),
            None => tell(),
        }
        flushed.into_iter().for_each(|sender| _ = sender.send(()));
    }
    match failed.get() {
        None => log.close(),
        Some(e) => Err(e.clone()),
    }
}
