//! What is kept for the windows: panes of cells, each thing once however many windows tell of it.
//!
//! ```text
//!  windows of a kind of events, a filter and a pane length ──► Track: | pane | cell | cell | … |   an entry per pane
//!  windows that count different values ──────────────────────► Values: | hash of a value | its last pane |
//! ```
//!
//! "Spent in 7 days" and "spent in 30 days" are one cell of a track of days; their average adds a count. Each filter has tracks
//! of its own: of a day on which nothing was spent, nothing is kept. (One track for all filters took twice the memory, and
//! windows had empty cells to look through.)

use std::sync::Arc;

use tarim_datamart::{Problem, Type, Value};

use super::{
    grain::Grain,
    panes::VALUE,
    read::{DISTINCT_MAX, Measure},
    set::{StreamSet, Window},
};
use crate::expr::{Answers, Checked, ExprId, ExprSet, Number, Scope};

/// Greatest magnitude of what is summed: a thousand times all the money of a great bank, in fen. Nine thousand of
/// them fit in one pane.
pub const SUMMED_MAX: i64 = 1_000_000_000_000_000;
/// The same of what is squared.
pub const SQUARED_MAX: i64 = 1_000_000_000_000;

/// What is kept for all windows of a rulebook.
#[derive(Debug)]
pub struct Plan {
    kinds: Vec<KindPlan>,
    pub(super) tracks: Vec<Track>,
    pub(super) values: Vec<Values>,
    /// By window.
    readings: Vec<Reading>,
}

/// What is asked of an event of a kind.
#[derive(Debug)]
struct KindPlan {
    /// Conditions, then values.
    exprs: Vec<Checked>,
    conditions: usize,
    tracks: Vec<usize>,
    values: Vec<usize>,
    /// What cells and values take of an event: each once.
    sources: Vec<Source>,
    /// Of each source: the greatest magnitude that it may take, and the window that sets it.
    bounds: Vec<Option<(i64, Arc<str>)>>,
}

/// Panes of a length over those events of a kind that pass a filter.
#[derive(Debug)]
pub(super) struct Track {
    pub kind: usize,
    /// Index of a condition; None: all events pass.
    pub filter: Option<usize>,
    pub grain: Grain,
    /// Most panes of a window.
    pub panes: u32,
    pub cells: Vec<Cell>,
    /// What the cells take, each once.
    pub sources: Vec<usize>,
    /// Bytes of an entry: the pane, then its cells.
    pub entry: usize,
}

/// One thing that is kept of a pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub keeps: Keeps,
    /// Index of what it takes.
    pub source: usize,
    /// Where in the entry.
    pub at: usize,
    /// Most panes of a window that reads it. The track may keep more; what a swap has filled from history is these.
    pub panes: u32,
}

/// What a cell keeps of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    Count,
    Sum,
    Squares,
    Min(Order),
    Max(Order),
    /// Time and value.
    First,
    Last,
}

/// How values are compared that are kept as eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Ints,
    Floats,
}

/// Which events count and what is taken of them: indexes of conditions and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub filter: Option<usize>,
    pub of: Option<usize>,
}

/// Different values, each with its last pane.
#[derive(Debug)]
pub(super) struct Values {
    pub kind: usize,
    pub grain: Grain,
    pub panes: u32,
    /// Index of what it takes.
    pub source: usize,
}

/// How a window's value is read.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub from: From,
    pub panes: u32,
    pub ty: Type,
    pub default: Number,
}

/// Indexes of a track and places of its cells, or of values.
#[derive(Clone, Copy, Debug)]
pub(super) enum From {
    Count { track: usize, at: usize },
    Sum { track: usize, at: usize },
    Avg { track: usize, sum: usize, count: usize },
    Stddev { track: usize, sum: usize, count: usize, squares: usize },
    Least { track: usize, at: usize, order: Order },
    Greatest { track: usize, at: usize, order: Order },
    First { track: usize, at: usize },
    Last { track: usize, at: usize },
    Distinct { values: usize },
}

/// What an event says. Reusable.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Of each condition whether it holds, of each value its bits.
    holds: Vec<bool>,
    values: Vec<Option<i64>>,
    /// Of each source what it takes; None: the event does not count, or says nothing of it.
    pub(super) taken: Vec<Option<i64>>,
}

/// An event whose value cannot be summed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("window `{window}` measures {value}, beyond ±{max}: correct the event")]
pub struct TooLarge {
    pub window: Arc<str>,
    pub value: i64,
    pub max: i64,
}

impl From {
    /// Of windows that are read from a track: which one, and the places of their cells.
    pub(super) fn cells(self) -> Option<(usize, Vec<usize>)> {
        Some(match self {
            From::Avg { track, sum, count } => (track, vec![sum, count]),
            From::Stddev { track, sum, count, squares } => (track, vec![sum, count, squares]),
            From::Count { track, at }
            | From::Sum { track, at }
            | From::Least { track, at, .. }
            | From::Greatest { track, at, .. }
            | From::First { track, at }
            | From::Last { track, at } => (track, vec![at]),
            From::Distinct { .. } => return None,
        })
    }

    /// Of windows that count different values: which.
    pub(super) fn values(self) -> Option<usize> {
        match self {
            From::Distinct { values } => Some(values),
            _ => None,
        }
    }
}

impl Keeps {
    pub(super) fn bytes(self) -> usize {
        match self {
            Keeps::Count => 4,
            Keeps::Sum | Keeps::Min(_) | Keeps::Max(_) => 8,
            Keeps::Squares | Keeps::First | Keeps::Last => 16,
        }
    }
}

impl Plan {
    pub fn new(set: &StreamSet) -> Self {
        let kind = |_| KindPlan {
            exprs: Vec::new(),
            conditions: 0,
            tracks: Vec::new(),
            values: Vec::new(),
            sources: Vec::new(),
            bounds: Vec::new(),
        };
        let mut builder = Builder {
            plan: Plan {
                kinds: set.kinds().iter().map(kind).collect(),
                tracks: Vec::new(),
                values: Vec::new(),
                readings: Vec::new(),
            },
            filters: vec![Vec::new(); set.kinds().len()],
            ofs: vec![Vec::new(); set.kinds().len()],
        };
        for window in set.windows() {
            let reading = builder.window(window);
            builder.plan.readings.push(reading);
        }
        builder.finish()
    }

    /// How many windows there are.
    pub fn windows(&self) -> usize {
        self.readings.len()
    }

    /// Sections that a customer's state has for the windows: those from 0 on.
    pub fn sections(&self) -> usize {
        self.tracks.len() + self.values.len()
    }

    /// Bytes that the windows of a customer take at most: a customer to whom something happens in every pane.
    pub fn bytes_most(&self) -> usize {
        let tracks = self.tracks.iter().map(|t| t.panes as usize * t.entry);
        // One more, before the oldest goes.
        let values = self.values.iter().map(|_| (DISTINCT_MAX + 1) * VALUE);
        tracks.chain(values).sum()
    }

    pub(super) fn values_section(&self, values: usize) -> usize {
        self.tracks.len() + values
    }

    pub(super) fn source(&self, kind: usize, source: usize) -> Source {
        self.kinds[kind].sources[source]
    }

    /// A condition of a kind's events, and a value that is measured.
    pub(super) fn condition(&self, kind: usize, i: usize) -> &Checked {
        &self.kinds[kind].exprs[i]
    }

    pub(super) fn measured(&self, kind: usize, i: usize) -> &Checked {
        &self.kinds[kind].exprs[self.kinds[kind].conditions + i]
    }

    pub(super) fn reading(&self, window: usize) -> &Reading {
        &self.readings[window]
    }

    /// Whether any window is over events of a kind.
    pub fn listens(&self, kind: usize) -> bool {
        !self.kinds[kind].sources.is_empty()
    }

    pub(super) fn fed_by(&self, kind: usize) -> (&[usize], &[usize]) {
        (&self.kinds[kind].tracks, &self.kinds[kind].values)
    }

    /// The expressions over an event of a kind whose answers [`Plan::listen`] takes, compiled in a scope in which the event
    /// is relation 0.
    pub fn exprs(&self, kind: usize, scope: &Scope) -> Result<ExprSet, Problem> {
        ExprSet::compile(scope, self.kinds[kind].exprs.clone())
    }

    /// Takes what an event of a kind says to the windows. Nothing has been changed yet if it cannot be summed.
    pub fn listen(&self, kind: usize, answers: &impl Answers, said: &mut Said) -> Result<(), TooLarge> {
        let KindPlan { exprs, conditions, sources, bounds, .. } = &self.kinds[kind];
        said.holds.clear();
        // Unknown is not true, as in SQL's FILTER.
        said.holds.extend((0..*conditions as u32).map(|id| answers.truth(ExprId(id)) == Some(true)));
        said.values.clear();
        for (id, expr) in (*conditions as u32..).zip(&exprs[*conditions..]) {
            let id = ExprId(id);
            said.values.push(match expr.ty() {
                Type::Int64 => answers.int(id),
                Type::Float64 => answers.float(id).map(|x| x.to_bits() as i64),
                Type::Utf8 => answers.text(id).map(|text| hash(text.as_bytes())),
                Type::Date32 => answers.date(id).map(i64::from),
                Type::Timestamp => answers.timestamp(id),
                // Only counted: TRUE and FALSE alike.
                Type::Boolean => answers.truth(id).map(i64::from),
            });
        }
        let Said { holds, values, taken } = said;
        taken.clear();
        for (source, bound) in sources.iter().zip(bounds) {
            let counts = source.filter.is_none_or(|filter| holds[filter]);
            let value = source.of.map_or(Some(1), |of| values[of]).filter(|_| counts);
            // What no window counts may be as large as it likes.
            if let (Some(value), Some((max, window))) = (value, bound)
                && value.unsigned_abs() > *max as u64
            {
                return Err(TooLarge { window: window.clone(), value, max: *max });
            }
            taken.push(value);
        }
        Ok(())
    }
}

/// Stands for a text among different values. (Of a thousand, two are taken for one once in 10^13 customers.)
pub(super) fn hash(bytes: &[u8]) -> i64 {
    twox_hash::XxHash3_64::oneshot(bytes) as i64
}

/// A window's default, which is of an ordered type.
fn number(value: &Value) -> Number {
    match value {
        Value::Null => Number::default(),
        Value::Int64(n) | Value::Timestamp(n) => Number::int(*n),
        Value::Float64(x) => Number::float(*x),
        Value::Date32(day) => Number::int((*day).into()),
        Value::Boolean(_) | Value::Utf8(_) => unreachable!("no window is of this type"),
    }
}

struct Builder {
    plan: Plan,
    /// By kind: conditions and values so far, with their text.
    filters: Vec<Vec<(String, Checked)>>,
    ofs: Vec<Vec<(String, Checked)>>,
}

impl Builder {
    fn window(&mut self, window: &Window) -> Reading {
        let source = Source {
            filter: window.filter.as_ref().map(|e| index_of(&mut self.filters[window.kind], e)),
            of: window.of.as_ref().map(|e| index_of(&mut self.ofs[window.kind], e)),
        };
        let KindPlan { sources, bounds, .. } = &mut self.plan.kinds[window.kind];
        let source = sources.iter().position(|s| *s == source).unwrap_or_else(|| {
            sources.push(source);
            bounds.push(None);
            sources.len() - 1
        });
        self.bound(window, source);
        let from = match window.measure {
            Measure::Distinct => From::Distinct { values: self.values(window, source) },
            _ => self.cells(window, source),
        };
        Reading { from, panes: window.panes, ty: window.ty, default: number(&window.default) }
    }

    /// The tightest bound of a source is that of whoever needs most room for it.
    fn bound(&mut self, window: &Window, source: usize) {
        let max = match window.measure {
            Measure::Stddev => Some(SQUARED_MAX),
            Measure::Sum | Measure::Avg => Some(SUMMED_MAX),
            // The very last numbers say that a cell holds nothing.
            Measure::Min | Measure::Max if window.ty == Type::Int64 => Some(i64::MAX - 1),
            _ => None,
        };
        let bound = &mut self.plan.kinds[window.kind].bounds[source];
        if let Some(max) = max
            && bound.as_ref().is_none_or(|(old, _)| max < *old)
        {
            *bound = Some((max, Arc::from(window.name.as_str())));
        }
    }

    fn cells(&mut self, window: &Window, source: usize) -> From {
        let Window { kind, grain, panes, .. } = *window;
        let filter = self.plan.source(kind, source).filter;
        let tracks = &mut self.plan.tracks;
        let same = |t: &Track| (t.kind, t.filter, t.grain) == (kind, filter, grain);
        let track = tracks.iter().position(same).unwrap_or_else(|| {
            let (cells, sources) = Default::default();
            tracks.push(Track { kind, filter, grain, panes: 0, cells, sources, entry: 4 });
            self.plan.kinds[kind].tracks.push(tracks.len() - 1);
            tracks.len() - 1
        });
        let of = &mut tracks[track];
        of.panes = of.panes.max(panes);
        let order = if window.ty == Type::Float64 { Order::Floats } else { Order::Ints };
        let mut cell = |keeps| of.cell(keeps, source, panes);
        match window.measure {
            Measure::Count => From::Count { track, at: cell(Keeps::Count) },
            Measure::Sum => From::Sum { track, at: cell(Keeps::Sum) },
            Measure::Avg => From::Avg { track, sum: cell(Keeps::Sum), count: cell(Keeps::Count) },
            Measure::Stddev => From::Stddev {
                track,
                sum: cell(Keeps::Sum),
                count: cell(Keeps::Count),
                squares: cell(Keeps::Squares),
            },
            Measure::Min => From::Least { track, at: cell(Keeps::Min(order)), order },
            Measure::Max => From::Greatest { track, at: cell(Keeps::Max(order)), order },
            Measure::First => From::First { track, at: cell(Keeps::First) },
            Measure::Last => From::Last { track, at: cell(Keeps::Last) },
            Measure::Distinct => unreachable!("different values are not kept in cells"),
        }
    }

    fn values(&mut self, window: &Window, source: usize) -> usize {
        let Window { kind, grain, panes, .. } = *window;
        let all = &mut self.plan.values;
        let same = |v: &Values| v.kind == kind && v.grain == grain && v.source == source;
        let at = all.iter().position(same).unwrap_or_else(|| {
            all.push(Values { kind, grain, panes: 0, source });
            self.plan.kinds[kind].values.push(all.len() - 1);
            all.len() - 1
        });
        all[at].panes = all[at].panes.max(panes);
        at
    }

    fn finish(mut self) -> Plan {
        for (kind, (filters, ofs)) in self.plan.kinds.iter_mut().zip(std::iter::zip(self.filters, self.ofs)) {
            kind.conditions = filters.len();
            kind.exprs = filters.into_iter().chain(ofs).map(|(_, checked)| checked).collect();
            assert_eq!(kind.sources.len(), kind.bounds.len(), "each source has a bound, or None");
        }
        self.plan
    }
}

impl Track {
    /// Place of a cell, which is added if it is new.
    fn cell(&mut self, keeps: Keeps, source: usize, panes: u32) -> usize {
        if let Some(cell) = self.cells.iter_mut().find(|c| c.keeps == keeps && c.source == source) {
            cell.panes = cell.panes.max(panes);
            return cell.at;
        }
        let at = self.entry;
        self.cells.push(Cell { keeps, source, at, panes });
        if !self.sources.contains(&source) {
            self.sources.push(source);
        }
        self.entry += keeps.bytes();
        at
    }
}

/// Index of an expression among those of its text, which it joins if it is new.
fn index_of(all: &mut Vec<(String, Checked)>, expr: &Checked) -> usize {
    let text = expr.sql();
    all.iter().position(|(t, _)| *t == text).unwrap_or_else(|| {
        all.push((text, expr.clone()));
        all.len() - 1
    })
}
