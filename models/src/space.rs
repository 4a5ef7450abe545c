//! What a set of rows covers: do two rows overlap, is there a point that no row matches?
//!
//! A row of cells is a box: a set of keys on each axis, and perhaps the unknown value. The questions
//! are decided exactly by cutting each axis where a row begins or ends and walking the pieces; a
//! budget bounds the work, and a table that exhausts it is *undecided*, never guessed at.

use std::collections::HashSet;

use crate::cell::Cell;

/// A part of one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Keys first..=last.
    Keys(i64, i64),
    Unknown,
}

/// Is every point of a region in some row?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cover {
    Whole,
    /// A box that no row matches, one piece an axis.
    Hole(Vec<Piece>),
    /// Too many combinations to tell.
    Undecided,
}

/// How much walking is allowed: about a second in the slowest build.
pub struct Budget(u64);

impl Default for Budget {
    fn default() -> Self {
        Self(20_000_000)
    }
}

impl Budget {
    /// A smaller or larger one, in steps.
    pub fn of(steps: u64) -> Self {
        Self(steps)
    }

    fn spend(&mut self, steps: usize) -> Option<()> {
        self.0 = self.0.checked_sub(steps as u64 + 1)?;
        Some(())
    }
}

/// Is there a point that both rows match?
pub fn overlap(a: &[Cell], b: &[Cell]) -> bool {
    a.iter().zip(b).all(|(a, b)| match (a, b) {
        (Cell::Any, _) | (_, Cell::Any) | (Cell::Null, Cell::Null) => true,
        (Cell::Null, Cell::In(_)) | (Cell::In(_), Cell::Null) => false,
        (Cell::In(a), Cell::In(b)) => {
            a.as_slice().iter().any(|&(first, last)| meets(b.as_slice(), first, last))
        }
    })
}

fn meets(ranges: &[(i64, i64)], first: i64, last: i64) -> bool {
    ranges.iter().any(|&(a, z)| a <= last && first <= z)
}

/// Do `rows` match every point of `region` (for each axis, its pieces)?
pub fn cover(rows: &[&[Cell]], region: &[Vec<Piece>], budget: &mut Budget) -> Cover {
    let mut walk = Walk { rows, region, budget, covered: HashSet::new(), path: Vec::new() };
    let all: Vec<u32> = (0..rows.len() as u32).collect();
    match walk.hole(&all) {
        None => Cover::Undecided,
        Some(false) => Cover::Whole,
        Some(true) => {
            let mut hole = walk.path;
            // Where no row is left, everything further on is missing too: its first piece stands for it.
            hole.extend(region[hole.len()..].iter().map(|pieces| pieces[0]));
            Cover::Hole(hole)
        }
    }
}

struct Walk<'a> {
    rows: &'a [&'a [Cell]],
    region: &'a [Vec<Piece>],
    budget: &'a mut Budget,
    /// (axis, rows left) that are known to be covered.
    covered: HashSet<(usize, Vec<u32>)>,
    /// Pieces chosen so far, one an axis.
    path: Vec<Piece>,
}

impl Walk<'_> {
    /// Is there a hole among the points of `path`, where only the rows `left` can match? None: out of budget.
    fn hole(&mut self, left: &[u32]) -> Option<bool> {
        let axis = self.path.len();
        if left.is_empty() {
            return Some(true);
        }
        let rows = self.rows;
        if left.iter().any(|&r| rows[r as usize][axis..].iter().all(|c| *c == Cell::Any)) {
            return Some(false);
        }
        let key = (axis, left.to_vec());
        if self.covered.contains(&key) {
            return Some(false);
        }
        for (piece, rows) in self.cut(axis, left)? {
            self.path.push(piece);
            if self.hole(&rows)? {
                return Some(true);
            }
            self.path.pop();
        }
        self.covered.insert(key);
        Some(false)
    }

    /// Cuts an axis into the largest pieces on which the same rows match.
    fn cut(&mut self, axis: usize, left: &[u32]) -> Option<Vec<(Piece, Vec<u32>)>> {
        let cell = |r: u32| &self.rows[r as usize][axis];
        let mut out: Vec<(Piece, Vec<u32>)> = Vec::new();
        for piece in &self.region[axis] {
            let Piece::Keys(first, last) = *piece else {
                self.budget.spend(left.len())?;
                let rows =
                    left.iter().copied().filter(|&r| matches!(cell(r), Cell::Any | Cell::Null)).collect();
                out.push((Piece::Unknown, rows));
                continue;
            };
            // A new piece begins where some row's range begins, or has just ended.
            let mut starts = vec![first];
            for &r in left {
                if let Cell::In(ranges) = cell(r) {
                    for &(a, z) in ranges.as_slice() {
                        starts.extend([Some(a), z.checked_add(1)].into_iter().flatten());
                    }
                }
            }
            starts.retain(|&s| first <= s && s <= last);
            starts.sort_unstable();
            starts.dedup();
            for (i, &start) in starts.iter().enumerate() {
                self.budget.spend(left.len())?;
                let end = starts.get(i + 1).map_or(last, |next| next - 1);
                let rows: Vec<u32> =
                    left.iter().copied().filter(|&r| cell(r).matches(Some(start)) == Some(true)).collect();
                match out.last_mut() {
                    Some((Piece::Keys(_, before), same)) if *before == start - 1 && *same == rows => {
                        *before = end
                    }
                    _ => out.push((Piece::Keys(start, end), rows)),
                }
            }
        }
        Some(out)
    }
}

/// The region in which a row matches for certain, `null` cells and `*` including the unknown.
pub fn region_of(row: &[Cell], bounds: &[(i64, i64)]) -> Vec<Vec<Piece>> {
    row.iter()
        .zip(bounds)
        .map(|(cell, &(min, max))| match cell {
            Cell::Any => vec![Piece::Keys(min, max), Piece::Unknown],
            Cell::Null => vec![Piece::Unknown],
            Cell::In(ranges) => ranges.as_slice().iter().map(|&(a, z)| Piece::Keys(a, z)).collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Domain;
    use tarim_datamart::Type;

    /// Rows over two int64 axes.
    fn rows(texts: &[(&str, &str)]) -> Vec<Vec<Cell>> {
        let mut d = Domain::new(Type::Int64);
        texts
            .iter()
            .map(|(a, b)| vec![Cell::parse(a, &mut d).unwrap(), Cell::parse(b, &mut d).unwrap()])
            .collect()
    }

    fn known() -> Vec<Vec<Piece>> {
        vec![vec![Piece::Keys(i64::MIN, i64::MAX)]; 2]
    }

    fn covers(texts: &[(&str, &str)]) -> Cover {
        let rows = rows(texts);
        let rows: Vec<&[Cell]> = rows.iter().map(Vec::as_slice).collect();
        cover(&rows, &known(), &mut Budget::default())
    }

    #[test]
    fn a_hole_is_found_and_named() {
        assert_eq!(covers(&[("<0", "*"), (">=0", "<=9"), (">=0", ">=10")]), Cover::Whole);
        assert_eq!(
            covers(&[("<0", "*"), (">=0", "<10"), (">=0", ">10")]),
            Cover::Hole(vec![Piece::Keys(0, i64::MAX), Piece::Keys(10, 10)])
        );
        assert_eq!(covers(&[]), Cover::Hole(vec![Piece::Keys(i64::MIN, i64::MAX); 2]));
    }

    #[test]
    fn overlap_needs_a_common_point_on_every_axis() {
        let r = rows(&[("[0,10]", "*"), ("[10,20]", "5"), ("[11,20]", "5"), ("null", "5"), ("*", "null")]);
        assert!(overlap(&r[0], &r[1]));
        assert!(!overlap(&r[0], &r[2]));
        assert!(!overlap(&r[0], &r[3]));
        assert!(overlap(&r[0], &r[4]));
        assert!(!overlap(&r[1], &r[4]));
    }

    #[test]
    fn unknown_is_a_point_of_its_own() {
        let r = rows(&[("*", "*"), ("null", "*"), (">=0", "*"), ("<0", "*")]);
        let bounds = [(i64::MIN, i64::MAX); 2];
        let region = region_of(&r[0], &bounds);
        let later = |rows: &[&[Cell]]| cover(rows, &region, &mut Budget::default());
        assert_eq!(later(&[&r[1], &r[2], &r[3]]), Cover::Whole);
        assert_eq!(
            later(&[&r[2], &r[3]]),
            Cover::Hole(vec![Piece::Unknown, Piece::Keys(i64::MIN, i64::MAX)])
        );
    }

    #[test]
    fn what_costs_too_much_is_undecided() {
        let r = rows(&[("[0,10]", "[0,10]"), ("[5,20]", "[3,9]")]);
        let r: Vec<&[Cell]> = r.iter().map(Vec::as_slice).collect();
        assert_eq!(cover(&r, &known(), &mut Budget::of(3)), Cover::Undecided);
    }
}
