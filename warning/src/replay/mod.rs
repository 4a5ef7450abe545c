//! The edge of files: history through the pipeline, without any server.

mod file;
mod spread;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tarim_datamart::Problems;
use tracing::warn;

pub(crate) use file::OutFile;
pub use file::{Encoding, EventFile};
pub use spread::{Contagion, PARTITION as SPREAD_PARTITION};

use self::spread::{Spread, Spreader};
use crate::{
    alert,
    contagion::NetworkError,
    core::{Backfill, Counts, FORESEEN, Outbox, Position, Worker},
    event::Format,
    known::{Known, KnownError},
    rulebook::WarningBook,
};

/// What to replay.
#[derive(Clone, Debug)]
pub struct Replay {
    pub from: PathBuf,
    pub to: PathBuf,
    /// For what could not be taken.
    pub dead: PathBuf,
    /// Folder of published rulebooks, for events that change it.
    pub published: PathBuf,
    /// How alerts spread. None: somebody has said that nothing does, whatever the rulebook says.
    pub contagion: Option<Contagion>,
    /// The online store, for rules that read features, and the generation that they read from the first record on.
    pub known: Known,
}

impl Replay {
    /// What is written would else be the end of what is read.
    fn apart(&self) -> Result<(), ReplayError> {
        let real = |path: &PathBuf| path.canonicalize().or_else(|_| std::path::absolute(path)).ok();
        let spread = self.contagion.as_ref().map(|c| &c.to);
        let all: Vec<&PathBuf> = [&self.from, &self.to, &self.dead].into_iter().chain(spread).collect();
        let known: Vec<_> = all.iter().map(|path| real(path)).collect();
        match (1..all.len()).find(|i| known[..*i].contains(&known[*i])) {
            Some(i) => Err(ReplayError::Same(all[i].clone())),
            None => Ok(()),
        }
    }
}

/// What a replay did.
#[derive(Clone, Debug)]
pub struct Report {
    pub records: u64,
    pub bytes: u64,
    pub alerts: u64,
    pub dead: u64,
    /// Events that alerts have spread, and alerts with more neighbours than the rulebook lets through.
    pub spread: u64,
    pub cut: u64,
    pub customers: usize,
    pub state_bytes: usize,
    pub counts: Counts,
}

/// Why a replay stops.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("the events change to a rulebook that cannot be taken:\n{0}")]
    Rulebook(Problems),
    #[error("cannot tell the format of {0}: name it .ndjson (JSON lines) or .pb (length-delimited Protobuf)")]
    Format(PathBuf),
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("{path}: record {record} is cut off: the file is not whole")]
    Cut { path: PathBuf, record: u64 },
    #[error(transparent)]
    Contagion(#[from] NetworkError),
    #[error(transparent)]
    Known(#[from] KnownError),
    #[error("{0} stands for two files: name events, alerts, dead letters and contagion apart")]
    Same(PathBuf),
}

/// Runs a file of events through the pipeline. What it writes takes its place when all of it is whole: after an error the files
/// are as they were. `progress` is told, now and then, how many bytes have been read; where the rulebook
/// changes and history is read again, it begins anew.
/// A record's offset is its number in the file, from 0. Events that alerts spread are taken behind the record that brought the
/// alert; they stand in [`SPREAD_PARTITION`], and in a file of their own.
pub fn replay(
    book: Arc<WarningBook>,
    replay: &Replay,
    mut progress: impl FnMut(u64),
) -> Result<Report, ReplayError> {
    replay.apart()?;
    let mut events = EventFile::open(&replay.from)?;
    let mut alerts = OutFile::create(&replay.to)?;
    let mut dead = OutFile::create(&replay.dead)?;
    let mut spreader = replay.contagion.as_ref().map(|c| Spreader::new(c, &book)).transpose()?;
    let mut worker = Worker::new(book);
    replay.known.begin(&mut worker)?;
    let mut out = Outbox::default();
    let mut report = Report {
        records: 0,
        bytes: 0,
        alerts: 0,
        dead: 0,
        spread: 0,
        cut: 0,
        customers: 0,
        state_bytes: 0,
        counts: Counts::default(),
    };
    let mut batch = Batch::default();
    loop {
        // What is whole before a cut is taken, before the cut is told: it may have an error of its own, which comes first.
        let mut cut = None;
        while batch.len() < FORESEEN {
            match events.read() {
                Ok(Some((format, record))) => batch.push(format, record),
                Ok(None) => break,
                Err(e) => {
                    cut = Some(e);
                    break;
                }
            }
        }
        if let (0, None) = (batch.len(), &cut) {
            break;
        }
        worker.foresee(batch.iter());
        for (format, record) in batch.iter() {
            let at = Position { partition: 0, offset: report.records as i64 };
            let first = out.alerts.len();
            worker.take(at, format, record, &mut out);
            report.records += 1;
            if let Some(spreader) = &mut spreader {
                spreader.spread(&mut worker, (at.offset, first), &mut out)?;
            }
            if out.is_blind {
                Known::blind(worker.book())?;
            }
            let features = out.features.take();
            if let Some(version) = out.rulebook.take() {
                let book = WarningBook::published(&replay.published, &version);
                let book = book.map_err(ReplayError::Rulebook)?;
                let mut swap = replay.known.prepare(&worker, Arc::new(book), features.as_deref())?;
                if let Some(history) = &mut swap.history {
                    let spread = spreader.as_mut().map(Spreader::history).transpose()?.flatten();
                    again((&replay.from, at.offset), spread, history, &mut progress)?;
                }
                swap.make(&mut worker);
                if let Some(spreader) = &mut spreader {
                    spreader.change(worker.book())?;
                }
            } else if let Some(version) = features {
                replay.known.give(&mut worker, &version)?;
            }
        }
        batch.clear();
        if !out.alerts.is_empty() || !out.dead.is_empty() {
            report.alerts += out.alerts.len() as u64;
            report.dead += out.dead.len() as u64;
            for message in &out.alerts {
                alerts.put(message, || alert::alert(message))?;
            }
            for message in &out.dead {
                dead.put(message, || alert::dead_letter(message))?;
            }
            out.clear();
        }
        progress(events.bytes());
        if let Some(cut) = cut {
            return Err(cut);
        }
    }
    let mut spread = None;
    if let Some(spreader) = spreader {
        (report.spread, report.cut) = (spreader.spread, spreader.cut);
        spread = spreader.into_file();
    }
    // The alerts last: where they are, what they point to is.
    OutFile::finish([Some(dead), spread, Some(alerts)].into_iter().flatten())?;
    report.bytes = events.bytes();
    report.customers = worker.customers();
    report.state_bytes = worker.state_bytes();
    report.counts = worker.counts().clone();
    progress(report.bytes);
    Ok(report)
}

/// Reads the records before an offset again, for what a new rulebook asks of them.
fn again(
    (from, to): (&Path, i64),
    mut spread: Option<Spread<'_>>,
    history: &mut Backfill,
    progress: &mut impl FnMut(u64),
) -> Result<(), ReplayError> {
    let mut events = EventFile::open(from)?;
    for offset in 0..to {
        let Some((format, record)) = events.read()? else { break };
        history.take(Position { partition: 0, offset }, format, record);
        if let Some(spread) = &mut spread {
            spread.behind(offset, history)?;
        }
        if offset % 4096 == 0 {
            progress(events.bytes());
        }
    }
    if history.refused() > 0 {
        let events = history.refused();
        warn!(events, "not in new windows: the rulebook of that time took them, this one does not");
    }
    Ok(())
}

/// Where dead letters go when nothing is said: beside the alerts.
pub fn dead_beside(to: &Path) -> PathBuf {
    beside(to, "dead")
}

/// Where the events that alerts spread go when nothing is said: beside the alerts.
pub fn contagion_beside(to: &Path) -> PathBuf {
    beside(to, "contagion")
}

fn beside(to: &Path, what: &str) -> PathBuf {
    let stem = to.file_stem().unwrap_or_default().to_string_lossy();
    let extension = to.extension().unwrap_or_default().to_string_lossy();
    to.with_file_name(format!("{stem}.{what}.{extension}"))
}

/// Records one behind the other.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<(Format, usize)>,
}

impl Batch {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn push(&mut self, format: Format, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.ends.push((format, self.bytes.len()));
    }

    fn iter(&self) -> impl Iterator<Item = (Format, &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |(format, end)| {
            let record = &self.bytes[start..*end];
            start = *end;
            (*format, record)
        })
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}
