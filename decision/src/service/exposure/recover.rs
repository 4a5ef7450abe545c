//! After a breakdown: room that was taken for decisions which were never made is given back.
//!
//! A decision reserves first and is journaled then, so that no answer promises room that was not taken. In between a
//! service may break down. What it leaves is found at the next start: exposures that a decision reserved, and the journal does
//! not know the decision.

use std::sync::Arc;

use super::looks::names;
use crate::{
    exposure::{Ledger, LedgerError, Operation, Release},
    journal::Journal,
};

/// Key of the operation that gives room back.
pub const KEY: &str = "never decided";

/// Gives back what is held for nothing; gives how many exposures held it. `most`: as many decisions can be made at once. Waits for
/// the ledger: not for an async thread.
pub fn recover(ledger: &Ledger, journal: &Arc<Journal>, most: usize) -> Result<usize, LedgerError> {
    let journaled = journal.clone();
    let left = ledger.ask(move |core| {
        let unknown = |member: &str, exposure: &str| {
            let request_id = names::request_of(exposure)?;
            let known = journaled.may_hold(journaled.hash(member, request_id));
            (!known).then(|| (member.to_owned(), exposure.to_owned()))
        };
        core.reserved().filter_map(|(member, exposure)| unknown(member, exposure)).collect::<Vec<_>>()
    })?;
    // More than one breakdown can leave: then this is not the journal of those decisions, and what they promised holds.
    if left.len() > most || (!left.is_empty() && journal.is_empty()) {
        tracing::error!(
            "{} exposures were reserved by decisions that the journal does not know, so it is not theirs; they hold their room \
             until they expire. Bring back the journal that belongs to the exposure ledger, and start anew",
            left.len()
        );
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
    Ok(left.len())
}
