//! From the state of one rulebook to that of another: what both keep stays, whatever else changes; and what the new one
//! keeps besides is taken from a state that history has filled, if there is one.
//!
//! ```text
//!  old:     | pane | sum of outgoing | count |       new: | pane | count | sum of outgoing | greatest |
//!                           └───────────────────────────────────────────────►┘                ▲
//!  history: | pane | greatest |  └────────────────────────────────────────────────────────────┘  (else it begins empty)
//! ```
//!
//! A cell is *whole* for the panes of the windows that read it. If the new rulebook looks further back than the old one did, the
//! last panes are the old state's, and those before them history's: what is known of them is not lost where history is
//! shorter.

use super::{
    grain::Moment,
    panes::{VALUE, last_pane, pane_of},
    plan::{Cell, Plan, Source, Track, Values},
    read::DISTINCT_MAX,
    set::StreamSet,
    state::Sections,
};
use crate::expr::Checked;

/// A customer's state, and how many sections it has.
pub type Kept<'a> = (&'a [u8], usize);

/// A rulebook's windows.
type Book<'a> = (&'a StreamSet, &'a Plan);

/// How the windows' sections of a state become those of another rulebook.
#[derive(Debug)]
pub struct Migration {
    /// By track of the new plan: what comes from history, and what, over it, from the old state.
    tracks: Vec<[Moves; 2]>,
    /// By values of the new plan: the section of those of history, and of the old state.
    values: Vec<[Option<usize>; 2]>,
    /// Tracks of the new plan.
    new: usize,
}

/// Where a track of the new plan takes its cells from.
#[derive(Debug, Default)]
struct Moves {
    /// Track of the other plan, and bytes of its entries.
    from: Option<(usize, usize)>,
    /// Bytes that go from a place in the other's entry to one in the new.
    cells: Vec<Move>,
}

#[derive(Debug)]
struct Move {
    from: usize,
    to: usize,
    bytes: usize,
    /// How many panes are taken, counted from the present one.
    panes: u32,
}

impl Migration {
    /// From one plan to another, each with its windows; and from that of the windows that history has filled, if any.
    pub fn new(old: Book<'_>, history: Option<Book<'_>>, new: Book<'_>) -> Self {
        let moves = |track: &Track| {
            let filled = history.map_or_else(Moves::default, |history| {
                let is_short = |cell: &Cell| !reaches(found(old, new, track, cell), cell);
                moves(history, new, track, is_short, |_, _| u32::MAX)
            });
            let is_filled = |cell: &Cell| filled.cells.iter().any(|m| m.to == cell.at);
            // What history has not filled is taken as far as it goes.
            let panes = |cell: &Cell, before: &Cell| if is_filled(cell) { before.panes } else { u32::MAX };
            let kept = moves(old, new, track, |_| true, panes);
            [filled, kept]
        };
        let values = |v: &Values| {
            let section = |book: Book<'_>, i| book.1.values_section(i);
            let kept = values_of(old, new, v);
            let short = kept.is_none_or(|i| old.1.values[i].panes < v.panes);
            let filled = history.filter(|_| short).and_then(|h| Some(section(h, values_of(h, new, v)?)));
            [filled, kept.map(|i| section(old, i))]
        };
        Self {
            tracks: new.1.tracks.iter().map(moves).collect(),
            values: new.1.values.iter().map(values).collect(),
            new: new.1.tracks.len(),
        }
    }

    /// The windows of a new plan that the state of an old one does not tell of, or not as far back.
    pub fn missing(old: Book<'_>, new: Book<'_>) -> Vec<usize> {
        let is_missing = |window: &usize| match new.1.reading(*window).from.cells() {
            Some((track, places)) => {
                let track = &new.1.tracks[track];
                let mut cells = track.cells.iter().filter(|cell| places.contains(&cell.at));
                cells.any(|cell| !reaches(found(old, new, track, cell), cell))
            }
            None => new.1.reading(*window).from.values().is_some_and(|v| {
                let v = &new.1.values[v];
                values_of(old, new, v).is_none_or(|i| old.1.values[i].panes < v.panes)
            }),
        };
        (0..new.0.windows().len()).filter(is_missing).collect()
    }

    /// Writes the windows' sections of a state of `now_us`, from the old state and from that which history has filled. What
    /// is before every window of the new plan stays behind, so that they take no more than that plan may. None: they do
    /// not fit all the same.
    pub fn apply(
        &self,
        plan: &Plan,
        now_us: i64,
        (old, history): (Kept<'_>, Option<Kept<'_>>),
        sections: &mut Sections,
        new_count: usize,
    ) -> Option<()> {
        let (states, now) = ([history, Some(old)], Moment::at(now_us));
        let mut buffer = Vec::new();
        for (i, moves) in self.tracks.iter().enumerate() {
            buffer.clear();
            plan.tracks[i].merge(moves, states, &now, &mut buffer);
            if !buffer.is_empty() {
                sections.replace(i, new_count, &buffer)?;
            }
        }
        for (i, from) in self.values.iter().enumerate() {
            buffer.clear();
            let of = |n: usize| {
                let (state, count) = states[n]?;
                Some(Sections::section_of(state, from[n]?, count))
            };
            plan.values[i].merge([of(0), of(1)], &now, &mut buffer);
            if !buffer.is_empty() {
                sections.replace(self.new + i, new_count, &buffer)?;
            }
        }
        Some(())
    }
}

impl Track {
    /// Entries of both states, in the order of their panes.
    fn merge(&self, moves: &[Moves; 2], states: [Option<Kept<'_>>; 2], now: &Moment, to: &mut Vec<u8>) {
        let (first, now) = (self.first_pane(now), now.pane(self.grain));
        let entries = |n: usize| {
            let (state, count) = states[n]?;
            let (track, entry) = moves[n].from.filter(|_| !moves[n].cells.is_empty())?;
            let all = Sections::section_of(state, track, count).chunks_exact(entry);
            Some(all.skip_while(move |entry| pane_of(entry) < first))
        };
        let mut rest = [entries(0), entries(1)].map(|entries| entries.into_iter().flatten().peekable());
        while let Some(pane) = rest.iter_mut().filter_map(|r| r.peek().map(|entry| pane_of(entry))).min() {
            let start = to.len();
            to.resize(start + self.entry, 0);
            let new = &mut to[start..];
            self.begin(pane, new);
            for (rest, moves) in rest.iter_mut().zip(moves) {
                let Some(entry) = rest.next_if(|entry| pane_of(entry) == pane) else { continue };
                for Move { from, to, bytes, panes } in &moves.cells {
                    if pane >= now.saturating_sub_unsigned(panes - 1) {
                        new[*to..to + bytes].copy_from_slice(&entry[*from..from + bytes]);
                    }
                }
            }
        }
    }
}

impl Values {
    /// Values of both states, each with the later of its last panes; both are sorted.
    fn merge(&self, states: [Option<&[u8]>; 2], now: &Moment, to: &mut Vec<u8>) {
        let first = self.first_pane(now);
        let seen = |all: Option<&'_ [u8]>| -> Vec<(i64, i32)> {
            let all = all.unwrap_or_default().chunks_exact(VALUE).filter(|v| last_pane(v) >= first);
            all.map(|v| (i64::from_le_bytes(v[..8].try_into().expect("eight bytes")), last_pane(v))).collect()
        };
        let mut all = seen(states[0]);
        all.extend(seen(states[1]));
        // Of equal ones the later comes first.
        all.sort_unstable_by_key(|(value, pane)| (*value, std::cmp::Reverse(*pane)));
        all.dedup_by_key(|(value, _)| *value);
        if all.len() > DISTINCT_MAX {
            all.sort_by_key(|(_, pane)| std::cmp::Reverse(*pane));
            all.truncate(DISTINCT_MAX);
            all.sort_unstable();
        }
        for (value, pane) in all {
            to.extend(value.to_le_bytes());
            to.extend(pane.to_le_bytes());
        }
    }
}

/// Whether windows keep the same: they do if they take the same of the same events.
fn same(
    a: Book<'_>,
    (a_kind, a_source): (usize, usize),
    b: Book<'_>,
    (b_kind, b_source): (usize, usize),
) -> bool {
    is_kind(a, a_kind, b, b_kind) && a.1.meaning(a_kind, a_source) == b.1.meaning(b_kind, b_source)
}

fn is_kind((a, _): Book<'_>, a_kind: usize, (b, _): Book<'_>, b_kind: usize) -> bool {
    a.kinds()[a_kind].name == b.kinds()[b_kind].name
}

/// The track of a plan that has the same panes of the same events.
fn track_of(of: Book<'_>, new: Book<'_>, track: &Track) -> Option<usize> {
    let filter = |plan: &Plan, t: &Track| t.filter.map(|i| said(plan.condition(t.kind, i)));
    let same = |t: &Track| {
        is_kind(of, t.kind, new, track.kind)
            && t.grain == track.grain
            && filter(of.1, t) == filter(new.1, track)
    };
    of.1.tracks.iter().position(same)
}

/// The cell of a plan that keeps the same as one of the new plan's track.
fn found<'b>(of: Book<'b>, new: Book<'_>, track: &Track, cell: &Cell) -> Option<&'b Cell> {
    let before = &of.1.tracks[track_of(of, new, track)?];
    let is = |c: &&Cell| {
        c.keeps == cell.keeps && same(of, (before.kind, c.source), new, (track.kind, cell.source))
    };
    before.cells.iter().find(is)
}

fn reaches(before: Option<&Cell>, cell: &Cell) -> bool {
    before.is_some_and(|before| before.panes >= cell.panes)
}

/// What a track of the new plan takes from another plan.
fn moves(
    of: Book<'_>,
    new: Book<'_>,
    track: &Track,
    takes: impl Fn(&Cell) -> bool,
    panes: impl Fn(&Cell, &Cell) -> u32,
) -> Moves {
    let Some(from) = track_of(of, new, track) else { return Moves::default() };
    let cells = track.cells.iter().filter(|cell| takes(cell)).filter_map(|cell| {
        let before = found(of, new, track, cell)?;
        let panes = panes(cell, before);
        Some(Move { from: before.at, to: cell.at, bytes: cell.keeps.bytes(), panes })
    });
    Moves { cells: cells.collect(), from: Some((from, of.1.tracks[from].entry)) }
}

/// The values of a plan that are the same as some of the new one's.
fn values_of(of: Book<'_>, new: Book<'_>, v: &Values) -> Option<usize> {
    let is = |o: &Values| o.grain == v.grain && same(of, (o.kind, o.source), new, (v.kind, v.source));
    of.1.values.iter().position(is)
}

impl Plan {
    /// What a source takes, in words: equal words, equal values.
    fn meaning(&self, kind: usize, source: usize) -> [Option<String>; 2] {
        let Source { filter, of } = self.source(kind, source);
        [filter.map(|i| said(self.condition(kind, i))), of.map(|i| said(self.measured(kind, i)))]
    }
}

fn said(expr: &Checked) -> String {
    format!("{} {}", expr.ty(), expr.sql())
}
