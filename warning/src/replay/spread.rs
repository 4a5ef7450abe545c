//! Alerts spread while history runs: to a file of their own, and at once back into the worker.
//!
//! The records of the history stand in partition 0, which is its file; those that are spread stand in partition 1, which is the
//! file that they are written to. So evidence that names a record says where to find it.

use std::{path::PathBuf, sync::Arc};

use tarim_proto::event::v1::Event;

use super::{EventFile, ReplayError, file::OutFile};
use crate::{
    contagion::{Live, Network, json, record, spread},
    core::{Backfill, Outbox, Position, Worker},
    event::Format,
    rulebook::WarningBook,
};

/// Number of the partition in which spread events stand.
pub const PARTITION: i32 = 1;

/// How alerts spread in a replay.
#[derive(Clone, Debug)]
pub struct Contagion {
    pub network: Arc<Network>,
    /// File for the events that alerts spread. It is written if the rulebook says that some do.
    pub to: PathBuf,
}

/// The same at work.
pub struct Spreader<'a> {
    contagion: &'a Contagion,
    live: Option<Arc<Live>>,
    file: Option<OutFile>,
    events: Vec<Event>,
    /// Of each event that was spread, the record of the history that brought it.
    behind: Vec<i64>,
    pub spread: u64,
    pub cut: u64,
}

impl<'a> Spreader<'a> {
    pub fn new(contagion: &'a Contagion, book: &Arc<WarningBook>) -> Result<Self, ReplayError> {
        let (live, file) = (None, None);
        let mut spreader =
            Self { contagion, live, file, events: Vec::new(), behind: Vec::new(), spread: 0, cut: 0 };
        spreader.change(book)?;
        Ok(spreader)
    }

    /// Another rulebook, with edges of its own.
    pub fn change(&mut self, book: &Arc<WarningBook>) -> Result<(), ReplayError> {
        self.live = self.contagion.network.of(book)?;
        if self.live.is_some() && self.file.is_none() {
            self.file = Some(OutFile::create(&self.contagion.to)?);
        }
        Ok(())
    }

    /// Spreads the alerts of a record, which are those from the index `first` on, and gives the worker what comes of it.
    pub fn spread(
        &mut self,
        worker: &mut Worker,
        (offset, first): (i64, usize),
        out: &mut Outbox,
    ) -> Result<(), ReplayError> {
        let (Some(live), Some(file)) = (&self.live, &mut self.file) else { return Ok(()) };
        if out.alerts.len() == first {
            return Ok(());
        }
        let edges = live.edges();
        for (i, alert) in out.alerts.iter().enumerate().skip(first) {
            if !out.by_contagion.contains(&i) {
                self.cut += u64::from(spread(worker.book(), &edges, alert, &mut self.events));
            }
        }
        // What comes of these spreads no further.
        for event in self.events.drain(..) {
            file.put(&event, || json(&event))?;
            let at = Position { partition: PARTITION, offset: self.spread as i64 };
            self.spread += 1;
            self.behind.push(offset);
            worker.take(at, Format::Protobuf, &record(&event), out);
        }
        Ok(())
    }

    /// What has been spread so far, to be read again: each behind the record that brought it.
    pub fn history(&mut self) -> Result<Option<Spread<'_>>, ReplayError> {
        let Some(file) = &mut self.file else { return Ok(None) };
        Ok(Some(Spread { events: file.read()?, behind: &self.behind, next: 0 }))
    }

    /// The file, if there is one: all has been spread.
    pub fn into_file(self) -> Option<OutFile> {
        self.file
    }
}

/// What has been spread, read again.
pub struct Spread<'a> {
    events: EventFile,
    behind: &'a [i64],
    next: usize,
}

impl Spread<'_> {
    /// Gives what stood behind a record.
    pub fn behind(&mut self, offset: i64, history: &mut Backfill) -> Result<(), ReplayError> {
        while self.behind.get(self.next) == Some(&offset) {
            let Some((format, record)) = self.events.read()? else { break };
            history.take(Position { partition: PARTITION, offset: self.next as i64 }, format, record);
            self.next += 1;
        }
        Ok(())
    }
}
