//! The thread that writes: it takes all that was done meanwhile, syncs once, and answers.
//!
//! ```text
//!  writer: apply ─► apply ─► apply ─► …                while the disk syncs, the next operations are done in memory
//!             └──────┬─────────┘
//!  syncer:      one write, one sync ─► answers         so the longer a sync takes, the more of them share the next one
//!                                   ─► looks           each at a copy, from when it was asked, that is durable now
//! ```

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};

use super::{
    core::Core,
    error::LedgerError,
    machine::{Group, Log},
    operation::Answer,
    writer::{Done, Look},
};
use crate::journal::{Stats, tell};

/// Most groups that are on their way to the disk.
const AHEAD: usize = 1024;

/// What it is handed.
enum Work {
    /// What was done, who is to be told (the last of the answers), and how many of those somebody handed over.
    Group(Group, Vec<Done<Answer>>, usize),
    /// Look once all before is durable, at the ledger as it was then.
    Look(Box<Core>, Look),
    /// Tell when all before is durable.
    Flush(mpsc::SyncSender<Result<(), LedgerError>>),
}

/// The thread.
pub struct Syncer {
    work: Option<mpsc::SyncSender<Work>>,
    failed: Arc<OnceLock<LedgerError>>,
    /// How much of what was handed over is on its way.
    ahead: Arc<AtomicU64>,
    thread: JoinHandle<Result<(), LedgerError>>,
}

impl Syncer {
    /// `open` is false once something could not be written.
    pub fn start(log: Log, stats: Arc<Stats>, open: Arc<AtomicBool>) -> std::io::Result<Self> {
        let (sender, work) = mpsc::sync_channel(AHEAD);
        let failed = Arc::<OnceLock<LedgerError>>::default();
        let ahead = Arc::<AtomicU64>::default();
        let (told, done) = (failed.clone(), ahead.clone());
        let thread = std::thread::Builder::new().name("exposure-sync".into());
        let thread = thread.spawn(move || run(log, &work, &stats, (&told, &open, &done)))?;
        Ok(Self { work: Some(sender), failed, ahead, thread })
    }

    /// Hands over what was done. An error if something before could not be written: then what is handed over is told so.
    pub fn put(&self, group: Group, told: Vec<Done<Answer>>, asked: usize) -> Result<(), LedgerError> {
        self.send(Work::Group(group, told, asked))?;
        self.check()
    }

    /// Looks at the ledger as it is now, once all that was handed over is durable. Nobody waits for the disk here: what is not durable
    /// yet is looked at later, in a copy.
    pub fn look(&self, core: &Core, look: Look) -> Result<(), LedgerError> {
        if self.ahead.load(Ordering::Acquire) > 0 {
            return self.send(Work::Look(Box::new(core.clone()), look));
        }
        look(self.check().map(|()| core));
        Ok(())
    }

    /// Tells whoever waits for it when all that was handed over is durable.
    pub fn flush(&self) -> mpsc::Receiver<Result<(), LedgerError>> {
        let (sender, flushed) = mpsc::sync_channel(1);
        // If the thread has ended the sender is dropped, and so whoever waits is told.
        let _ = self.send(Work::Flush(sender));
        flushed
    }

    fn send(&self, work: Work) -> Result<(), LedgerError> {
        let sender = self.work.as_ref().expect("it is there until it is ended");
        self.ahead.fetch_add(1, Ordering::Relaxed);
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
    (failed, open, ahead): (&OnceLock<LedgerError>, &AtomicBool, &AtomicU64),
) -> Result<(), LedgerError> {
    while let Ok(first) = work.recv() {
        let (mut groups, mut told, mut count) = (Vec::new(), Vec::new(), 0);
        let (mut looks, mut flushed, mut taken) = (Vec::new(), Vec::new(), 0);
        for work in std::iter::once(first).chain(work.try_iter()) {
            taken += 1;
            match work {
                Work::Group(group, dones, asked) => {
                    count += asked;
                    groups.push(group);
                    told.push(dones);
                }
                Work::Look(core, look) => looks.push((core, look)),
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
        ahead.fetch_sub(taken, Ordering::Release);
        for (Group { mut answers, .. }, dones) in groups.into_iter().zip(told) {
            // Before those that somebody asked for is what was due.
            let answers = answers.drain(answers.len() - dones.len()..);
            for (done, answer) in dones.into_iter().zip(answers) {
                let answer = match &written {
                    Ok(()) => answer.map_err(LedgerError::Refused),
                    Err(e) => Err(e.clone()),
                };
                tell(|| done(answer));
            }
        }
        for (core, look) in looks {
            look(written.as_ref().map(|()| &*core).map_err(Clone::clone));
        }
        flushed.into_iter().for_each(|sender| _ = sender.send(written.clone()));
        log.make_room();
    }
    match failed.get() {
        None => log.close(),
        Some(e) => Err(e.clone()),
    }
}
