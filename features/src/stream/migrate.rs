//! From the state of one rulebook to that of another: what both keep stays, whatever else changes.
//!
//! ```text
//!  old: | pane | sum of outgoing | count |            new: | pane | count | sum of outgoing | greatest |
//!                     └────────────────────────────────────────────────►┘        └ begins empty
//! ```

use super::{
    panes::{VALUE, last_pane, pane_of},
    plan::{Plan, Source, Track},
    set::StreamSet,
    state::Sections,
};

/// How the windows' sections of a state become those of another rulebook.
#[derive(Debug)]
pub struct Migration {
    tracks: Vec<Moves>,
    /// By values of the new plan: those of the old one.
    values: Vec<Option<usize>>,
    /// Sections of both plans' windows.
    old: usize,
    new: usize,
}

/// Where a track of the new plan takes its cells from.
#[derive(Debug)]
struct Moves {
    /// Track of the old plan, and bytes of its entries.
    from: Option<(usize, usize)>,
    /// Bytes that go from a place in the old entry to one in the new.
    cells: Vec<Move>,
}

#[derive(Debug)]
struct Move {
    from: usize,
    to: usize,
    bytes: usize,
}

impl Migration {
    /// From one plan to another, each with its windows.
    pub fn new((old_set, old): (&StreamSet, &Plan), (new_set, new): (&StreamSet, &Plan)) -> Self {
        let kind = |set: &StreamSet, kind: usize| set.kinds()[kind].name.clone();
        // Windows keep the same if they take the same of the same events.
        let same = |(a_kind, a): (usize, usize), (b_kind, b): (usize, usize)| {
            kind(old_set, a_kind) == kind(new_set, b_kind) && old.meaning(a_kind, a) == new.meaning(b_kind, b)
        };
        let moves = |track: &Track| {
            let found = old
                .tracks
                .iter()
                .position(|t| kind(old_set, t.kind) == kind(new_set, track.kind) && t.grain == track.grain);
            let Some(from) = found else { return Moves { from: None, cells: Vec::new() } };
            let before = &old.tracks[from];
            let cells = track.cells.iter().filter_map(|cell| {
                let is = |c: &&super::plan::Cell| {
                    c.keeps == cell.keeps && same((before.kind, c.source), (track.kind, cell.source))
                };
                let found = before.cells.iter().find(is)?;
                Some(Move { from: found.at, to: cell.at, bytes: cell.keeps.bytes() })
            });
            Moves { cells: cells.collect(), from: Some((from, before.entry)) }
        };
        let values = new.values.iter().map(|v| {
            old.values.iter().position(|o| o.grain == v.grain && same((o.kind, o.source), (v.kind, v.source)))
        });
        Self {
            tracks: new.tracks.iter().map(moves).collect(),
            values: values.collect(),
            old: old.tracks.len(),
            new: new.tracks.len(),
        }
    }

    /// Writes the windows' sections of a state of `now_us`. What is before every window of the new plan stays behind, so that
    /// they take no more than that plan may. None: they do not fit all the same.
    pub fn apply(
        &self,
        plan: &Plan,
        now_us: i64,
        (state, old_count): (&[u8], usize),
        sections: &mut Sections,
        new_count: usize,
    ) -> Option<()> {
        let mut buffer = Vec::new();
        for (i, Moves { from, cells }) in self.tracks.iter().enumerate() {
            let Some((from, entry)) = from.filter(|_| !cells.is_empty()) else { continue };
            buffer.clear();
            let first = plan.tracks[i].first_pane(now_us);
            let entries = Sections::section_of(state, from, old_count).chunks_exact(entry);
            for old in entries.filter(|entry| pane_of(entry) >= first) {
                let start = buffer.len();
                buffer.resize(start + plan.tracks[i].entry, 0);
                let new = &mut buffer[start..];
                plan.tracks[i].begin(pane_of(old), new);
                for Move { from, to, bytes } in cells {
                    new[*to..to + bytes].copy_from_slice(&old[*from..from + bytes]);
                }
            }
            sections.replace(i, new_count, &buffer)?;
        }
        for (i, from) in self.values.iter().enumerate() {
            if let Some(from) = from {
                let first = plan.values[i].first_pane(now_us);
                let all = Sections::section_of(state, self.old + from, old_count).chunks_exact(VALUE);
                buffer.clear();
                all.filter(|value| last_pane(value) >= first)
                    .for_each(|value| buffer.extend_from_slice(value));
                sections.replace(self.new + i, new_count, &buffer)?;
            }
        }
        Some(())
    }
}

impl Plan {
    /// What a source takes, in words: equal words, equal values.
    fn meaning(&self, kind: usize, source: usize) -> [Option<String>; 2] {
        let Source { filter, of } = self.source(kind, source);
        let said = |expr: &crate::expr::Checked| format!("{} {}", expr.ty(), expr.sql());
        [filter.map(|i| said(self.condition(kind, i))), of.map(|i| said(self.measured(kind, i)))]
    }
}
