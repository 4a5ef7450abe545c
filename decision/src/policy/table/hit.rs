//! The hit policies: from the rows that match, for certain or perhaps, to the table's answer.

use super::{Answer, Collect, Hit, Output, Pick, Table};
use crate::policy::answer::Out;

impl Table {
    /// What the table says of the keys of its inputs. `out` is appended to, and means something if the answer is known;
    /// `keys` and `picks` are overwritten.
    #[inline(always)]
    pub(super) fn answer(
        &self,
        key: impl Fn(usize) -> Option<i64>,
        keys: &mut Vec<Option<i64>>,
        picks: &mut Vec<Pick>,
        out: &mut Vec<Out>,
    ) -> Answer {
        if self.hit != Hit::Collect
            && let Some(row) = self.index.sole(&key, self.hit == Hit::First)
        {
            // One by one: they are one or two, and to copy them as a block is a call.
            self.index.outs(row).iter().for_each(|o| out.push(*o));
            return Answer::Known;
        }
        keys.clear();
        keys.extend((0..self.inputs.len()).map(key));
        self.answer_of_all(keys, picks, out)
    }

    /// The same, from all rows that match.
    #[inline(never)]
    fn answer_of_all(&self, keys: &[Option<i64>], picks: &mut Vec<Pick>, out: &mut Vec<Out>) -> Answer {
        match self.hit {
            Hit::Unique => self.unique(self.candidates(keys, picks), out),
            Hit::First => self.first(self.candidates(keys, picks), out),
            Hit::Collect => self.collect(keys, picks, out),
        }
    }

    /// Rows that match for certain (true) or perhaps (false).
    fn candidates<'a>(
        &'a self,
        keys: &'a [Option<i64>],
        picks: &'a mut Vec<Pick>,
    ) -> impl Iterator<Item = (bool, usize)> + 'a {
        let exact = self.index.is_exact();
        self.index.matches(keys, picks).filter_map(move |(certain, row)| {
            let certain = if exact { certain } else { self.confirm(row, keys)? };
            Some((certain, row))
        })
    }

    /// Does the row match for certain (true) or perhaps (false)? None: it does not match.
    fn confirm(&self, row: usize, keys: &[Option<i64>]) -> Option<bool> {
        let mut certain = true;
        for ((cell, key), input) in self.rows[row].cells.iter().zip(keys).zip(&self.inputs) {
            match cell.matches(*key) {
                Some(false) => return None,
                None if input.names_null => return None,
                None => certain = false,
                Some(true) => {}
            }
        }
        Some(certain)
    }

    /// One row must match for certain, and none that could match may say anything else. So two rows that
    /// match (the check could not rule it out) are an answer only if they agree.
    fn unique(&self, candidates: impl Iterator<Item = (bool, usize)>, out: &mut Vec<Out>) -> Answer {
        let mut any_certain = false;
        let mut said: Option<usize> = None;
        for (certain, row) in candidates {
            any_certain |= certain;
            match said {
                Some(before) if !self.index.agree(before, row) => return Answer::Unknown,
                _ => said = Some(row),
            }
        }
        match said {
            None => Answer::NoMatch,
            Some(_) if !any_certain => Answer::Unknown,
            Some(row) => {
                out.extend(self.index.outs(row).iter().copied());
                Answer::Known
            }
        }
    }

    /// The first row that matches for certain, unless one before it could match and say anything else.
    fn first(&self, candidates: impl Iterator<Item = (bool, usize)>, out: &mut Vec<Out>) -> Answer {
        let mut said: Option<usize> = None;
        for (certain, row) in candidates {
            if said.is_some_and(|before| !self.index.agree(before, row)) {
                return Answer::Unknown;
            }
            if certain {
                out.extend(self.index.outs(row).iter().copied());
                return Answer::Known;
            }
            said = Some(row);
        }
        if said.is_some() { Answer::Unknown } else { Answer::NoMatch }
    }

    /// Aggregates of the certain rows, if the uncertain ones could not change any of them.
    fn collect(&self, keys: &[Option<i64>], picks: &mut Vec<Pick>, out: &mut Vec<Out>) -> Answer {
        let (mut any_certain, mut any_perhaps) = (false, false);
        let start = out.len();
        out.extend(self.outputs.iter().map(Output::of_nothing));
        let totals = &mut out[start..];
        for (certain, row) in self.candidates(keys, picks) {
            any_certain |= certain;
            any_perhaps |= !certain;
            if certain {
                let cells = self.outputs.iter().zip(self.index.outs(row));
                for (total, (output, cell)) in totals.iter_mut().zip(cells) {
                    let Some(more) = output.collect(*total, *cell) else { return Answer::Unknown };
                    *total = more;
                }
            }
        }
        let mut could_change = || {
            self.candidates(keys, picks).filter(|(certain, _)| !certain).any(|(_, row)| {
                let cells = self.outputs.iter().zip(self.index.outs(row));
                cells.zip(&*totals).any(|((output, cell), total)| output.could_change(*total, *cell))
            })
        };
        match (any_certain, any_perhaps) {
            (false, false) => Answer::NoMatch,
            (false, true) => Answer::Unknown,
            (true, true) if could_change() => Answer::Unknown,
            (true, _) => Answer::Known,
        }
    }
}

impl Output {
    /// The total with one more row's cell; None if a sum of integers overflows.
    fn collect(&self, total: Out, cell: Out) -> Option<Out> {
        Some(match (self.collect.unwrap_or(Collect::Count), total, cell) {
            (Collect::Count, Out::Int64(rows), _) => Out::Int64(rows + 1),
            (_, total, Out::Null) => total,
            (_, Out::Null, cell) => cell,
            (Collect::Sum, Out::Int64(a), Out::Int64(b)) => Out::Int64(a.checked_add(b)?),
            (Collect::Sum, Out::Float64(a), Out::Float64(b)) => Out::Float64(a + b),
            (Collect::Min, total, cell) if less(cell, total) => cell,
            (Collect::Max, total, cell) if less(total, cell) => cell,
            // The reader lets only numbers be summed, and an output has one type.
            (_, total, _) => total,
        })
    }

    /// Could one more row with this cell change the total? If none of several rows could, no choice of them
    /// could.
    fn could_change(&self, total: Out, cell: Out) -> bool {
        match (self.collect.unwrap_or(Collect::Count), cell) {
            (Collect::Count, _) => true,
            (_, Out::Null) => false,
            (Collect::Sum, Out::Int64(i)) => i != 0,
            (Collect::Sum, Out::Float64(x)) => x != 0.0,
            (Collect::Min, cell) => total == Out::Null || less(cell, total),
            (Collect::Max, cell) => total == Out::Null || less(total, cell),
            (Collect::Sum, _) => true,
        }
    }
}

fn less(a: Out, b: Out) -> bool {
    match (a, b) {
        (Out::Int64(a), Out::Int64(b)) | (Out::Timestamp(a), Out::Timestamp(b)) => a < b,
        (Out::Float64(a), Out::Float64(b)) => a < b,
        (Out::Date32(a), Out::Date32(b)) => a < b,
        _ => false,
    }
}
