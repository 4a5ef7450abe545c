//! The index of a table: which rows match, found without looking at each.
//!
//! Each input column is cut into [intervals](tarim_models::intervals), inside which every cell says the
//! same, and each interval has the set of the rows whose cell it matches. The rows that match are those that
//! the sets of all columns have in common:
//!
//! ```text
//!   row               1 2 3 4
//!   age   (,17]       x             unknown: for certain  . . . x
//!         [18,59]     . x x .                perhaps      x x x x
//!         [60,)       x . . x
//!                       AND
//!   term  (,12]       x x . x       unknown: for certain  . . . x
//!         [13,)       . . x x                perhaps      x x x x
//! ```
//!
//! Of up to 64 rows a set is one word. Of more rows it has two levels: a word for each *group* of 64 rows,
//! but only of the groups that have a row in the set, and above them a bit for each group. Where the bits of
//! all columns agree, their words are looked at. So the cost of a look-up depends on the rows that match the
//! columns one by one, not on the rows that there are.
//!
//! Long tables mostly have a column of narrow intervals (an amount, a score), each of which one row matches alone:
//! then that row is the only one that can be meant, and what is left is whether the other columns have it.
//!
//! Memory: the sets of a column take [`MOST_WORDS`] (1 MiB) or less. A column that would take more (ten
//! thousand nested ranges, say) is cut more coarsely; then a set also has rows that match close by only, and
//! a row that is found has to be confirmed by its cells.

use std::{
    collections::HashMap,
    mem::{Discriminant, discriminant},
};

use tarim_models::{cell::Cell, domain::known_float_key, intervals::Intervals};

use super::{Input, Row};
use crate::policy::answer::Out;

/// So many words a column's sets may take.
const MOST_WORDS: usize = 1 << 17;

const WORD: usize = u64::BITS as usize;

#[derive(Clone, Debug)]
pub struct Index {
    columns: Box<[Column]>,
    /// Words of the top level of a set.
    tops: usize,
    /// The bits of the top level are rows already, not groups.
    single_word: bool,
    exact: bool,
    /// Of each row, the first row with the same outputs.
    same: Box<[usize]>,
    /// Number of outputs, and those of all rows.
    outputs: usize,
    outs: Box<[Out]>,
}

/// The sets of one column: of each interval one, then the two of an unknown value.
#[derive(Clone, Debug)]
struct Column {
    intervals: Intervals,
    /// Of each set, [`Index::tops`] words.
    top: Vec<u64>,
    /// Of each word of `top`, where in `words` its groups begin.
    at: Vec<u32>,
    words: Vec<u64>,
    /// Of each interval, the row that is alone in its set, if one is; [`NOT_ALONE`]. Of up to 64 rows it is not asked for.
    alone: Vec<u32>,
}

/// There is no row in a set, or more than one.
const NOT_ALONE: u32 = u32::MAX;

/// Which sets of a column an input chooses: one and the same, unless it is unknown.
#[derive(Clone, Copy, Debug)]
pub struct Pick {
    certain: usize,
    perhaps: usize,
}

impl Index {
    /// There is at least one input.
    pub fn of(inputs: &[Input], rows: &[Row]) -> Self {
        Self::within(MOST_WORDS, inputs, rows)
    }

    /// The sets of a column take no more words than `most`.
    pub(super) fn within(most: usize, inputs: &[Input], rows: &[Row]) -> Self {
        let mut exact = true;
        let columns = inputs.iter().enumerate().map(|(i, input)| {
            let cells: Vec<&Cell> = rows.iter().map(|row| &row.cells[i]).collect();
            let finest = Intervals::cut(cells.iter().flat_map(|cell| ranges(cell)));
            let mut every = 1;
            loop {
                let intervals = finest.coarser(every);
                match Column::of(intervals, &cells, input.names_null, most) {
                    Some(column) => return column,
                    None => every *= 2,
                }
                exact = false;
            }
        });
        Self {
            columns: columns.collect(),
            tops: rows.len().div_ceil(WORD * WORD),
            single_word: rows.len() <= WORD,
            exact,
            same: same_outputs(rows),
            outputs: rows.first().map_or(0, |row| row.outs.len()),
            outs: rows.iter().flat_map(|row| row.outs.iter().copied()).collect(),
        }
    }

    /// Do two rows have the same outputs?
    pub fn agree(&self, a: usize, b: usize) -> bool {
        self.same[a] == self.same[b]
    }

    /// False: rows that match are to be confirmed by their cells.
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// The row that is meant, where it shows at once: everything is known, and no other one (of `first`: none before it)
    /// matches. None: look at all that match.
    #[inline(always)]
    pub fn sole(&self, key: impl Fn(usize) -> Option<i64>, first: bool) -> Option<usize> {
        if !self.exact {
            return None;
        }
        if !self.single_word {
            return self.alone(key);
        }
        let mut rows = u64::MAX;
        for (i, column) in self.columns.iter().enumerate() {
            rows &= column.top[column.intervals.of(key(i)?)];
        }
        let alone = first || rows.is_power_of_two();
        (rows != 0 && alone).then(|| rows.trailing_zeros() as usize)
    }

    /// The row that is alone in the set of some column, and in those of all others.
    #[inline(never)]
    fn alone(&self, key: impl Fn(usize) -> Option<i64>) -> Option<usize> {
        let mut columns = self.columns.iter().enumerate();
        let (of, row) = columns.find_map(|(i, column)| {
            let row = column.alone[column.intervals.of(key(i)?)];
            (row != NOT_ALONE).then_some((i, row as usize))
        })?;
        for (i, column) in self.columns.iter().enumerate().filter(|(i, _)| *i != of) {
            let set = column.intervals.of(key(i)?);
            if !column.has(set * self.tops, row) {
                return None;
            }
        }
        Some(row)
    }

    /// The outputs of a row.
    #[inline]
    pub fn outs(&self, row: usize) -> &[Out] {
        &self.outs[row * self.outputs..][..self.outputs]
    }

    /// Rows that match for certain (true) or perhaps (false), in their order. `picks` is overwritten.
    pub fn matches<'a>(&'a self, keys: &[Option<i64>], picks: &'a mut Vec<Pick>) -> Matches<'a> {
        picks.clear();
        let chosen = self.columns.iter().zip(keys).map(|(column, key)| column.pick(*key));
        let (mut top, mut certain, mut perhaps) = (0, 0, 0);
        if self.single_word {
            (certain, perhaps) = common(self.columns.iter().zip(chosen), |column, set| column.top[set]);
            top = self.tops;
        } else {
            picks.extend(chosen);
        }
        Matches { index: self, picks, top, groups: 0, first_row: 0, certain, perhaps }
    }
}

/// Of each row, the first row with the same outputs.
fn same_outputs(rows: &[Row]) -> Box<[usize]> {
    // Both zeros have one key, as they are equal.
    let identity = |out: &Out| -> (Discriminant<Out>, Option<i64>) {
        let key = match *out {
            Out::Null => None,
            Out::Boolean(b) => Some(i64::from(b)),
            Out::Int64(i) | Out::Timestamp(i) => Some(i),
            Out::Float64(x) => known_float_key(x),
            Out::Text(code) => Some(i64::from(code)),
            Out::Date32(day) => Some(i64::from(day)),
        };
        (discriminant(out), key)
    };
    let mut firsts: HashMap<Vec<_>, usize> = HashMap::new();
    let outs = rows.iter().map(|row| row.outs.iter().map(identity).collect());
    outs.enumerate().map(|(i, outs)| *firsts.entry(outs).or_insert(i)).collect()
}

/// The keys that a cell matches.
fn ranges(cell: &Cell) -> &[(i64, i64)] {
    match cell {
        Cell::Any => &[(i64::MIN, i64::MAX)],
        Cell::Null => &[],
        Cell::In(ranges) => ranges.as_slice(),
    }
}

impl Column {
    /// None if its sets would take more than `most` words, unless there is but one interval.
    fn of(intervals: Intervals, cells: &[&Cell], names_null: bool, most: usize) -> Option<Self> {
        // At this interval, this row comes into the set or leaves it.
        let mut turns: Vec<(usize, usize)> = Vec::new();
        for (row, cell) in cells.iter().enumerate() {
            let mut end = 0;
            for &(first, last) in ranges(cell) {
                // Ranges that are apart may lie in the same interval when it is a coarse one.
                let (from, to) = (intervals.of(first).max(end), intervals.of(last) + 1);
                if from < to {
                    turns.extend([(from, row), (to, row)]);
                    end = to;
                }
            }
        }
        turns.sort_unstable();
        let mut turns = turns.into_iter().peekable();
        let mut set = Set::none(cells.len());
        let mut column =
            Self { intervals, top: Vec::new(), at: Vec::new(), words: Vec::new(), alone: Vec::new() };
        for interval in 0..column.intervals.count() {
            while let Some((_, row)) = turns.next_if(|(at, _)| *at == interval) {
                set.flip(row);
            }
            column.push(&set);
            column.alone.push(set.alone().unwrap_or(NOT_ALONE));
            if column.top.len() + column.words.len() > most && column.intervals.count() > 1 {
                return None;
            }
        }
        let unknown = |with: fn(Option<bool>) -> bool| {
            let mut set = Set::none(cells.len());
            let says = cells.iter().map(|cell| cell.matches(None)).enumerate();
            says.filter(|(_, says)| with(*says)).for_each(|(row, _)| set.flip(row));
            set
        };
        // Where `null` is named, unknown is a value that other cells do not match.
        let certain = unknown(|says| says == Some(true));
        let perhaps = if names_null { certain.clone() } else { unknown(|says| says != Some(false)) };
        column.push(&certain);
        column.push(&perhaps);
        Some(column)
    }

    fn push(&mut self, set: &Set) {
        if let [word] = *set.0 {
            self.top.push(word);
            return;
        }
        for groups in set.0.chunks(WORD) {
            self.at.push(self.words.len() as u32);
            let bits = groups.iter().enumerate().map(|(i, word)| u64::from(*word != 0) << i);
            self.top.push(bits.fold(0, |all, bit| all | bit));
            self.words.extend(groups.iter().filter(|word| **word != 0));
        }
    }

    #[inline]
    fn pick(&self, key: Option<i64>) -> Pick {
        match key {
            Some(key) => {
                let interval = self.intervals.of(key);
                Pick { certain: interval, perhaps: interval }
            }
            None => {
                let unknown = self.intervals.count();
                Pick { certain: unknown, perhaps: unknown + 1 }
            }
        }
    }

    /// Rows of a group, by the word of `top` that tells of it.
    fn word(&self, top: usize, group: u32) -> u64 {
        let groups = self.top[top];
        if groups >> group & 1 == 0 {
            return 0;
        }
        let before = (groups & ((1 << group) - 1)).count_ones();
        self.words[(self.at[top] + before) as usize]
    }

    /// Is the row in the set whose words of the top level begin at `top`?
    fn has(&self, top: usize, row: usize) -> bool {
        let group = row / WORD;
        self.word(top + group / WORD, (group % WORD) as u32) >> (row % WORD) & 1 == 1
    }
}

/// A set of rows while the index is built.
#[derive(Clone)]
struct Set(Vec<u64>);

impl Set {
    fn none(rows: usize) -> Self {
        Self(vec![0; rows.div_ceil(WORD)])
    }

    fn flip(&mut self, row: usize) {
        self.0[row / WORD] ^= 1 << (row % WORD);
    }

    /// The only row in it.
    fn alone(&self) -> Option<u32> {
        let mut words = self.0.iter().enumerate().filter(|(_, word)| **word != 0);
        match (words.next(), words.next()) {
            (Some((i, word)), None) if word.is_power_of_two() => {
                Some(i as u32 * WORD as u32 + word.trailing_zeros())
            }
            _ => None,
        }
    }
}

/// The rows that match: an iterator over (for certain?, row).
pub struct Matches<'a> {
    index: &'a Index,
    picks: &'a [Pick],
    /// Next word of the top level.
    top: usize,
    /// Groups of the word before that are still to be looked at.
    groups: u64,
    /// Row of the lowest bit of the two words that follow.
    first_row: usize,
    certain: u64,
    perhaps: u64,
}

/// What one word of the chosen sets has in common, for certain and perhaps.
#[inline]
fn common<'a>(
    columns: impl Iterator<Item = (&'a Column, Pick)>,
    word: impl Fn(&Column, usize) -> u64,
) -> (u64, u64) {
    let (mut certain, mut perhaps) = (u64::MAX, u64::MAX);
    for (column, pick) in columns {
        let more = word(column, pick.perhaps);
        certain &= if pick.certain == pick.perhaps { more } else { word(column, pick.certain) };
        perhaps &= more;
    }
    (certain, perhaps)
}

impl Matches<'_> {
    /// Goes on to the next group that has rows in every column.
    #[inline(never)]
    fn next_group(&mut self) -> Option<()> {
        let tops = self.index.tops;
        let columns = || self.index.columns.iter().zip(self.picks.iter().copied());
        while self.groups == 0 {
            if self.top == tops {
                return None;
            }
            (_, self.groups) = common(columns(), |column, set| column.top[set * tops + self.top]);
            self.top += 1;
        }
        let group = self.groups.trailing_zeros();
        self.groups &= self.groups - 1;
        let top = self.top - 1;
        self.first_row = (top * WORD + group as usize) * WORD;
        (self.certain, self.perhaps) = common(columns(), |column, set| column.word(set * tops + top, group));
        Some(())
    }
}

impl Iterator for Matches<'_> {
    type Item = (bool, usize);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        while self.perhaps == 0 {
            self.next_group()?;
        }
        let bit = self.perhaps.trailing_zeros();
        self.perhaps &= self.perhaps - 1;
        Some((self.certain >> bit & 1 == 1, self.first_row + bit as usize))
    }
}
