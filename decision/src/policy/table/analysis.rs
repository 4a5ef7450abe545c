//! What can be said of a table before it runs: rows that overlap, gaps, rows that are never reached.
//!
//! Rows are compared as boxes over their inputs. When two inputs read the same column, some points of
//! that space cannot occur, so an overlap or a gap may be of such points only: then the answer is
//! *undecided*. That rows are disjoint, or that they cover everything, holds either way.

use tarim_models::space::{Budget, Cover, Piece, cover, overlap, region_of};

use super::{Hit, Row, Table};

/// What was found out about a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The first rows that overlap, of a table where at most one may match.
    pub overlap: Overlap,
    pub gap: Gap,
    /// Rows that an earlier row always goes before, of hit policy `first`: indices.
    pub unreachable: Vec<usize>,
}

/// Can two rows match the same input?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overlap {
    Disjoint,
    /// Indices of pairs of rows, the later first; at most [`MOST`].
    Overlapping(Vec<(usize, usize)>),
    Undecided(Vec<(usize, usize)>),
}

/// Is there an input that no row matches? The text names one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    None,
    Found(String),
    /// Possibly the named one; empty when the search was given up.
    Undecided(String),
}

/// So many overlaps are told at once.
pub const MOST: usize = 5;

/// Analyses a table. `independent`: no two inputs read the same column.
pub fn analyse(table: &Table, independent: bool) -> Check {
    let mut budget = Budget::default();
    let overlap = if table.hit == Hit::Unique { overlaps(table, independent) } else { Overlap::Disjoint };
    let gap = gap(table, independent, &mut budget);
    let unreachable = if table.hit == Hit::First { unreachable(table, &mut budget) } else { Vec::new() };
    Check { overlap, gap, unreachable }
}

fn overlaps(table: &Table, independent: bool) -> Overlap {
    let mut pairs = Vec::new();
    'rows: for (i, row) in table.rows.iter().enumerate() {
        for (j, before) in table.rows[..i].iter().enumerate() {
            if overlap(&row.cells, &before.cells) {
                pairs.push((i, j));
                if pairs.len() == MOST {
                    break 'rows;
                }
            }
        }
    }
    match (pairs.is_empty(), independent) {
        (true, _) => Overlap::Disjoint,
        (false, true) => Overlap::Overlapping(pairs),
        (false, false) => Overlap::Undecided(pairs),
    }
}

fn bounds(table: &Table) -> Vec<(i64, i64)> {
    table.inputs.iter().map(|i| i.domain.bounds()).collect()
}

/// An unknown input is a gap only in a column that names `null`; elsewhere `if_unknown` says what it means.
fn gap(table: &Table, independent: bool, budget: &mut Budget) -> Gap {
    let region: Vec<Vec<Piece>> = table
        .inputs
        .iter()
        .map(|input| {
            let (min, max) = input.domain.bounds();
            let unknown = input.names_null.then_some(Piece::Unknown);
            std::iter::once(Piece::Keys(min, max)).chain(unknown).collect()
        })
        .collect();
    let rows: Vec<&[_]> = table.rows.iter().map(|r| r.cells.as_slice()).collect();
    match cover(&rows, &region, budget) {
        Cover::Whole => Gap::None,
        Cover::Undecided => Gap::Undecided(String::new()),
        Cover::Hole(hole) if independent => Gap::Found(describe(table, &hole)),
        Cover::Hole(hole) => Gap::Undecided(describe(table, &hole)),
    }
}

fn describe(table: &Table, hole: &[Piece]) -> String {
    let parts: Vec<String> = table
        .inputs
        .iter()
        .zip(hole)
        .filter_map(|(input, piece)| {
            let Piece::Keys(first, last) = *piece else { return Some(format!("{} unknown", input.name)) };
            // An input that may be anything says nothing about the gap.
            ((first, last) != input.domain.bounds())
                .then(|| format!("{} {}", input.name, input.domain.describe(first, last)))
        })
        .collect();
    if parts.is_empty() { "any input".into() } else { parts.join(", ") }
}

/// Rows that are covered by those before them. Never guessed: what cannot be decided counts as reachable.
fn unreachable(table: &Table, budget: &mut Budget) -> Vec<usize> {
    let bounds = bounds(table);
    let mut covered = |(i, row): &(usize, &Row)| {
        let before: Vec<&[_]> = table.rows[..*i]
            .iter()
            .map(|r| r.cells.as_slice())
            .filter(|cells| overlap(cells, &row.cells))
            .collect();
        !before.is_empty() && cover(&before, &region_of(&row.cells, &bounds), budget) == Cover::Whole
    };
    table.rows.iter().enumerate().filter(|pair| covered(pair)).map(|(i, _)| i).collect()
}
