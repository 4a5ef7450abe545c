//! A file of alerts, as `tarim warn replay` writes them.

use std::path::{Path, PathBuf};

use prost::Message as _;
use tarim_proto::warning::v1::Alert;

use super::alert_of_json;
use crate::{
    clock::Clock,
    event::Format,
    ledger::{Failure, Ledger, Taken},
    lifecycle::{Inspections, NewAlert},
    replay::{EventFile, ReplayError},
};

/// Why a file of alerts is not taken to its end. What stands before is.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error(transparent)]
    File(#[from] ReplayError),
    #[error("{}: record {record} is no alert: {what}\n    fix: give a file of alerts, as `tarim warn replay --to` writes it", file.display())]
    NoAlert { file: PathBuf, record: u64, what: String },
    #[error("{0}")]
    Ledger(Failure),
}

/// Alerts that are handed over, and written, together.
const BATCH: usize = 2000;

/// Takes all alerts of a file. Those that were taken before, from wherever, change nothing. `progress` is told, now and then,
/// how many bytes have been read.
pub fn take_file(
    ledger: &Ledger,
    file: &Path,
    inspections: &Inspections,
    clock: &Clock,
    mut progress: impl FnMut(u64),
) -> Result<Taken, FileError> {
    let mut records = EventFile::open(file)?;
    let (mut number, mut batch, mut all) = (0, Vec::new(), Taken::default());
    loop {
        let ended = match records.read()? {
            None => true,
            Some((format, record)) => {
                number += 1;
                let alert = alert_of(format, record, inspections, clock);
                let refused = |what| FileError::NoAlert { file: file.into(), record: number, what };
                batch.push(alert.map_err(refused)?);
                false
            }
        };
        if batch.len() == BATCH || (ended && !batch.is_empty()) {
            let taken = ledger.take_now(std::mem::take(&mut batch), None).map_err(FileError::Ledger)?;
            all.opened += taken.opened;
            all.repeated += taken.repeated;
            all.known += taken.known;
            progress(records.bytes());
        }
        if ended {
            return Ok(all);
        }
    }
}

/// An alert as it came, or what is wrong with it.
pub fn alert_of(
    format: Format,
    record: &[u8],
    inspections: &Inspections,
    clock: &Clock,
) -> Result<NewAlert, String> {
    let alert = match format {
        Format::Json => alert_of_json(record)?,
        Format::Protobuf => Alert::decode(record).map_err(|e| format!("it is no Protobuf alert: {e}"))?,
    };
    NewAlert::new(alert, inspections, clock.now_us()).map_err(|e| e.to_string())
}
