//! Keys of operations: what was done is found by its key, and answered as it was the first time.
//!
//! ```text
//!  key, 128 bits ─┬─ one half ──► index ─► row ── the other half, content, number, answer, exposure
//!                 └─ compared with the row's
//!  thinning: table by table of the index, rows that are still wanted go to keys beside; then those take the place of these
//! ```
//!
//! An exposure that was closed long ago is **gone**: whatever is asked of it is refused, so nothing is done twice, and the keys of
//! its operations need not be kept. The key by which it was reserved is: by it one knows that it was there.

use prost::Message;

use super::{
    Core, Exposure, MINUTE_US,
    column::{Column, fixed},
    index::{Index, TABLES},
    text::{Ref, Texts},
};
use crate::exposure::operation::{Answer, Refusal};

/// Keys of operations that were done.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    pub rows: Column<Done>,
    pub index: Index,
    /// Answers to which there is more than the number.
    pub answers: Column<Ref>,
    pub texts: Texts,
}

/// An operation that has a key.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// The half of the key by which the index does not find it.
    key: u64,
    pub content: u64,
    pub sequence: u64,
    pub exposure: u32,
    /// [`OPENING`], and the number of its answer; 0: there is no more to it than the number.
    answer: u32,
}
fixed!(Done { key: u64, content: u64, sequence: u64, exposure: u32, answer: u32 });

/// It reserved the exposure.
const OPENING: u32 = 1 << 31;

/// The closing minute of an exposure whose keys were dropped.
pub const DROPPED: u32 = u32::MAX;

/// Minutes of a day.
const DAY: u32 = 24 * 60;

/// Keys that are being thinned.
#[derive(Clone, Debug)]
pub struct Thinning {
    keys: Keys,
    /// Tables of the index before it are done.
    cursor: usize,
}

impl Keys {
    #[inline]
    pub fn find(&self, key: u128) -> Option<&Done> {
        let is = |at: u32| self.rows.get(at).key == (key >> 64) as u64;
        self.index.find(key as u64, is).map(|at| self.rows.get(at))
    }

    pub fn is_full(&self) -> bool {
        self.rows.is_full() || self.answers.len() >= OPENING - 1 || self.texts.is_full()
    }

    /// The answer that was given.
    pub fn answer(&self, done: &Done) -> Answer {
        match (done.answer & !OPENING).checked_sub(1) {
            None => Answer { sequence: done.sequence, ..Answer::default() },
            Some(at) => {
                let text = self.texts.get(*self.answers.get(at));
                Answer::decode(text).expect("it was kept as it was said")
            }
        }
    }

    /// Keeps what was done, and not before.
    fn push(&mut self, key: u128, content: u64, exposure: u32, opening: bool, answer: &Answer) {
        let more = !answer.warnings.is_empty() || !answer.large.is_empty();
        let text = more.then(|| self.texts.push(&answer.encode_to_vec()));
        let kept = text.map_or(0, |text| self.answers.push(text) + 1);
        let answer = (kept | if opening { OPENING } else { 0 }, answer.sequence);
        let done = Done { key: (key >> 64) as u64, content, sequence: answer.1, exposure, answer: answer.0 };
        let at = self.rows.push(done);
        self.index.insert(key as u64, at);
    }

    /// The same of a row of other keys.
    fn take(&mut self, hash: u64, from: &Keys, row: &Done) {
        let mut row = *row;
        if let Some(at) = (row.answer & !OPENING).checked_sub(1) {
            let text = self.texts.push(from.texts.get(*from.answers.get(at)));
            row.answer = (row.answer & OPENING) | (self.answers.push(text) + 1);
        }
        let at = self.rows.push(row);
        self.index.insert(hash, at);
    }
}

impl Core {
    /// From now on keys of exposures are kept so long after they were closed; [`i64::MAX`]: for ever, as they are until this is said.
    pub fn keep_keys(&mut self, us: i64) {
        self.keep_us = us;
    }

    /// Keeps what was done.
    pub(super) fn keep(&mut self, key: u128, content: u64, exposure: u32, opening: bool, answer: &Answer) {
        self.keys.push(key, content, exposure, opening, answer);
        if let Some(thinning) = self.thinning.as_mut().filter(|t| Index::table_of(key as u64) < t.cursor) {
            thinning.keys.push(key, content, exposure, opening, answer);
        }
    }

    /// An exposure of which nothing is left is closed.
    pub(super) fn close(&mut self, exposure: u32) {
        let minute = self.now_us.div_euclid(MINUTE_US).clamp(0, i64::from(DROPPED) - 1) as u32;
        // What it would have expired at is of no use to it any more.
        self.exposures.get_mut(exposure).expires = minute;
        *std::sync::Arc::make_mut(&mut self.closings).entry(minute / DAY).or_default() += 1;
    }

    pub(super) fn check_gone(&self, exposure: u32, id: &str) -> Result<(), Refusal> {
        match is_gone(self.exposures.get(exposure), self.keep_us, self.now_us) {
            true => Err(Refusal::Gone(id.into())),
            false => Ok(()),
        }
    }

    /// Whether so many exposures are gone that it is worth while to drop their keys: a sixteenth of all.
    pub fn has_keys_to_drop(&self) -> bool {
        let gone: u64 = self.closings.range(..self.last_gone_day()).map(|(_, count)| u64::from(*count)).sum();
        gone > 0 && 16 * gone >= u64::from(self.exposures.len())
    }

    /// Those that were closed on an earlier day are gone.
    fn last_gone_day(&self) -> u32 {
        let minute = self.now_us.saturating_sub(self.keep_us).div_euclid(MINUTE_US).max(0);
        u32::try_from(minute).unwrap_or(DROPPED) / DAY
    }

    /// Begins to drop keys of what is gone.
    pub fn begin_thinning(&mut self) {
        let day = self.last_gone_day();
        std::sync::Arc::make_mut(&mut self.closings).retain(|closed, _| *closed >= day);
        self.thinning = Some(Box::new(Thinning { keys: Keys::default(), cursor: 0 }));
    }

    /// How many keys are held.
    pub fn keys_held(&self) -> u32 {
        self.keys.rows.len()
    }

    pub fn is_thinning(&self) -> bool {
        self.thinning.is_some()
    }

    /// Goes on with one table. Nothing that can be asked changes by it.
    pub fn advance_thinning(&mut self) {
        let Self { thinning: Some(thinning), keys, exposures, keep_us, now_us, .. } = self else { return };
        for (hash, at) in keys.index.of_table(thinning.cursor) {
            let row = keys.rows.get(at);
            let exposure = exposures.get(row.exposure);
            if row.answer & OPENING != 0 || !is_gone(exposure, *keep_us, *now_us) {
                thinning.keys.take(hash, keys, row);
            } else if exposure.expires != DROPPED {
                exposures.get_mut(row.exposure).expires = DROPPED;
            }
        }
        thinning.cursor += 1;
        if thinning.cursor == TABLES {
            self.keys = self.thinning.take().expect("it is being done").keys;
        }
    }
}

fn is_gone(row: &Exposure, keep_us: i64, now_us: i64) -> bool {
    let closed_us = || i64::from(row.expires) * MINUTE_US;
    row.used() == 0 && (row.expires == DROPPED || closed_us().saturating_add(keep_us) <= now_us)
}
