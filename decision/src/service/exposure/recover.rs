//! After a breakdown: room that was taken for decisions which were never made is given back.
//!
//! A decision reserves first and is journaled then, so that no answer promises room that was not taken. In between a
//! service may break down. What it leaves is found at the next start: exposures that a decision reserved, and the journal does
//! not know the decision.
//!
//! But the journal may have lost its end: an older copy was brought back, or a damaged segment was moved away. Then decisions that it
//! does not know were answered, and what they promised holds. It is known by any of these:
//!
//! - The ledger noted that the journal had more entries, or another one as the last of so many. It does every so often, and when
//!   the service ends ([`note`]).
//! - Something was drawn of what such a decision reserved: somebody was answered.
//! - There are more of them than can be made at once, or the journal has nothing at all.
//!
//! Then all that was reserved until now is held, at later starts too ([`JournalNote::held`]): the journal goes on, and soon has as many
//! entries again. To hold what could be given back does little harm: it expires, or a repeat of the request gives it back.

use std::sync::Arc;

use super::looks::names;
use crate::{
    exposure::{JournalNote, Ledger, LedgerError, Operation, Release},
    journal::Journal,
};

/// Key of the operation that gives room back.
pub const KEY: &str = "never decided";

/// Gives back what is held for nothing; gives how many exposures held it. `most`: as many decisions can be made at once. Waits for
/// the ledger: not for an async thread.
pub fn recover(ledger: &Ledger, journal: &Arc<Journal>, most: usize) -> Result<usize, LedgerError> {
    let (noted, tip) = (ledger.journal_note()?, journal.tip());
    let journaled = journal.clone();
    let (left, drawn, sequence) = ledger.ask(move |core| {
        let unknown = |(member, exposure): (&str, &str)| {
            let request_id = names::request_of(exposure)?;
            let known = journaled.may_hold(journaled.hash(member, request_id));
            let is_held = || core.reserved_at(member, exposure).is_none_or(|at| at <= noted.held);
            (!known && !is_held()).then(|| (member.to_owned(), exposure.to_owned()))
        };
        let left: Vec<_> = core.reserved().filter_map(unknown).collect();
        // All exposures are read for it, so only when it matters.
        let drawn = if left.is_empty() { None } else { core.drawn().find_map(unknown) };
        (left, drawn, core.sequence())
    })?;
    let why = match other(noted, journal)? {
        None => lost(noted, tip.number, &left, drawn, most),
        other => other,
    };
    if let Some(why) = why {
        tracing::error!(
            "the decision journal is not the one that the exposure ledger was kept with, or has lost its end: {why}. What decisions have \
             reserved that it does not know, {} exposures, holds its room until it expires, or a repeat of the request gives it \
             back. Bring back the journal that belongs to the ledger, if there is one, and start anew",
            left.len()
        );
        ledger.note_journal(JournalNote { held: sequence, ..noted.with(tip) })?;
        return Ok(0);
    }
    for (member, exposure) in &left {
        let (member, exposure) = (member.clone(), exposure.clone());
        tracing::warn!(
            member,
            exposure,
            "room is given back: it was taken for a decision that was never made"
        );
        ledger.call(Operation::Release(Release { member, exposure, key: KEY.into(), fen: 0 }))?;
    }
    note(ledger, journal)?;
    Ok(left.len())
}

type Exposure = (String, String);

/// Why the journal is not the one that was noted, if so: it has as many entries and more, but others. (A copy was brought back, was
/// served with for a while, and now the right one is here again: what was decided meanwhile it does not know.)
fn other(noted: JournalNote, journal: &Journal) -> Result<Option<String>, LedgerError> {
    let is = match noted.crc {
        Some(_) if noted.number <= journal.tip().number => journal.tip_at(noted.number)?.crc,
        _ => None,
    };
    let differs = is.is_some() && is != noted.crc;
    Ok(differs.then(|| format!("its entry {} is another one than it had", noted.number)))
}

/// Why the journal does not have all that it had, if so.
fn lost(
    noted: JournalNote,
    last: u64,
    left: &[Exposure],
    drawn: Option<Exposure>,
    most: usize,
) -> Option<String> {
    if last < noted.number {
        return Some(format!("it had {} entries at least, and has {last}", noted.number));
    }
    if let Some((member, exposure)) = drawn {
        return Some(format!(
            "exposure `{exposure}` of member `{member}` was drawn, and it has no such decision"
        ));
    }
    if !left.is_empty() && last == 0 {
        return Some("it is empty".into());
    }
    (left.len() > most).then(|| format!("so many decisions are never made at once, but {most} at most"))
}

/// Has the ledger remember how far the journal has come. Reads the disk, and waits for it if there is something new.
pub fn note(ledger: &Ledger, journal: &Journal) -> Result<(), LedgerError> {
    let (noted, tip) = (ledger.journal_note()?, journal.tip());
    // While the journal has less than it had, that must stay known.
    if tip.number > noted.number { ledger.note_journal(noted.with(tip)) } else { Ok(()) }
}
