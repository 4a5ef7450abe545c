//! How the counters of an exposure stand, in numbers, and as the row `exposure` that policies read.
//!
//! ```text
//!  Core::look ─► counters that a reservation would touch ─► Standing, with what is asked for ─► row `exposure`
//! ```
//!
//! Unknown is not room: where the ledger did not answer, `known` is FALSE and the rest is NULL. Where nobody asked (a
//! backtest), `known` is NULL too.

use std::sync::{Arc, LazyLock};

use tarim_datamart::Type;
use tarim_features::row::{CellError, Column, Layout, RowBuilder};

use super::{
    operation::{Attribute, CounterUse, FEN_MAX},
    scheme::Lines,
    spare::Spare,
};

/// A counter that was looked at. Its figures are at hand; its names are put together only where they are told.
pub trait Seen {
    fn used_fen(&self) -> i64;
    fn lines(&self) -> Lines;
    /// Id of its limit.
    fn limit(&self) -> &str;
    /// Whether it is per customer and nothing else.
    fn is_of_customer(&self) -> bool;
    /// With all its names.
    fn tell(&self, spare: &mut Spare) -> CounterUse;

    /// What may still be taken. Below 0: it is over its hard line.
    fn headroom_fen(&self) -> i64 {
        self.lines().hard_fen.saturating_sub(self.used_fen())
    }
}

/// One that was told before.
impl Seen for CounterUse {
    fn used_fen(&self) -> i64 {
        self.used_fen
    }

    fn lines(&self) -> Lines {
        Lines { warning_fen: self.warning_fen, hard_fen: self.hard_fen }
    }

    fn limit(&self) -> &str {
        &self.limit
    }

    fn is_of_customer(&self) -> bool {
        matches!(&self.per[..], [only] if only.name == "customer")
    }

    fn tell(&self, spare: &mut Spare) -> CounterUse {
        let Self { limit, member, used_fen, warning_fen, hard_fen, .. } = self;
        let (used_fen, warning_fen, hard_fen) = (*used_fen, *warning_fen, *hard_fen);
        let mut told = CounterUse { used_fen, warning_fen, hard_fen, ..spare.counter(limit, member) };
        told.per.extend(self.per.iter().map(|a| spare.attribute(&a.name, &a.value)));
        told
    }
}

/// How the counters stand that an exposure would touch.
#[derive(Clone, Debug)]
pub struct Standing<'a, C> {
    /// What is asked for. None: it is not known.
    pub asked_fen: Option<i64>,
    /// What all of them leave, and a ledger takes at once; below 0 where one is over its hard line.
    pub headroom_fen: i64,
    /// The one that leaves the least. None: no limit that is in force is about it.
    pub tightest: Option<&'a C>,
    /// Of those that are per customer and nothing else, the one that leaves the least.
    pub of_customer: Option<&'a C>,
    /// The highest share of a hard line that is used; 0 where there is none.
    pub utilisation: f64,
    /// Whether what is asked for would put one above its warning line, or its hard line.
    pub above_warning: Option<bool>,
    pub above_hard: Option<bool>,
}

impl<'a, C: Seen> Standing<'a, C> {
    /// Sums up what [`Core::look`](super::Core::look) shows.
    pub fn of(counters: &'a [C], asked_fen: Option<i64>) -> Self {
        // The first of those that leave the same: limits stand in the order of the rulebook.
        let tightest = counters.iter().min_by_key(|c| c.headroom_fen());
        let of_customer = counters.iter().filter(|c| c.is_of_customer()).min_by_key(|c| c.headroom_fen());
        let above = |line: fn(Lines) -> i64| {
            asked_fen.map(|fen| counters.iter().any(|c| c.used_fen().saturating_add(fen) > line(c.lines())))
        };
        let share = |c: &C| c.used_fen() as f64 / c.lines().hard_fen as f64;
        Self {
            asked_fen,
            headroom_fen: tightest.map_or(FEN_MAX, |c| c.headroom_fen().min(FEN_MAX)),
            of_customer,
            tightest,
            // A hard line is at least 1 fen.
            utilisation: counters.iter().map(share).fold(0.0, f64::max),
            above_warning: above(|lines| lines.warning_fen),
            above_hard: above(|lines| lines.hard_fen),
        }
    }

    /// Writes it into a row of [`layout`] in which nothing is set.
    ///
    /// # Errors
    /// None, for a row of that layout.
    pub fn pack(&self, row: &mut RowBuilder, spare: &mut Spare) -> Result<(), CellError> {
        row.set_bool(KNOWN, true)?;
        if let Some(fen) = self.asked_fen {
            row.set_int(ASKED, fen)?;
            row.set_int(SHORTFALL, fen.saturating_sub(self.headroom_fen).max(0))?;
        }
        row.set_int(HEADROOM, self.headroom_fen)?;
        row.set_float(UTILISATION, self.utilisation)?;
        for (column, above) in [(ABOVE_WARNING, self.above_warning), (ABOVE_HARD, self.above_hard)] {
            if let Some(above) = above {
                row.set_bool(column, above)?;
            }
        }
        row.set_text(LIMIT, self.tightest.map_or(NONE, C::limit))?;
        if let Some(counter) = self.tightest {
            let told = counter.tell(spare);
            let text = spare.text();
            write_name(&told, text);
            row.set_text(COUNTER, text)?;
            row.set_int(USED, told.used_fen)?;
            row.set_int(CAP, told.hard_fen)?;
            spare.take_back(told);
        }
        if let Some(counter) = self.of_customer {
            row.set_int(CUSTOMER_USED, counter.used_fen())?;
            row.set_int(CUSTOMER_USED + 1, counter.lines().hard_fen)?;
            row.set_int(CUSTOMER_USED + 2, counter.headroom_fen())?;
        }
        Ok(())
    }
}

/// Says that the ledger was asked and it is not known how the counters stand: in a row in which nothing is set.
pub fn pack_unknown(row: &mut RowBuilder) -> Result<(), CellError> {
    row.set_bool(KNOWN, false)
}

/// What a counter is of: `customer c1, industry.section K`; of all that its limit is about, the member, or `federation`.
pub fn name(counter: &CounterUse) -> String {
    let mut name = String::new();
    write_name(counter, &mut name);
    name
}

fn write_name(counter: &CounterUse, out: &mut String) {
    let mut write = |texts: &[&str]| texts.iter().for_each(|text| out.push_str(text));
    match &counter.per[..] {
        [] if counter.member.is_empty() => write(&["federation"]),
        [] => write(&["member ", &counter.member]),
        [first, others @ ..] => {
            write(&[&first.name, " ", &first.value]);
            others.iter().for_each(|Attribute { name, value }| write(&[", ", name, " ", value]));
        }
    }
}

/// What the tightest limit is called where there is none: a comparison with it can always be told.
pub const NONE: &str = "none";

const COLUMNS: [(&str, Type); 14] = [
    ("known", Type::Boolean),
    ("asked_fen", Type::Int64),
    ("headroom_fen", Type::Int64),
    ("shortfall_fen", Type::Int64),
    ("utilisation", Type::Float64),
    ("above_warning", Type::Boolean),
    ("above_hard", Type::Boolean),
    ("limit", Type::Utf8),
    ("counter", Type::Utf8),
    ("used_fen", Type::Int64),
    ("cap_fen", Type::Int64),
    ("customer_used_fen", Type::Int64),
    ("customer_cap_fen", Type::Int64),
    ("customer_headroom_fen", Type::Int64),
];
/// Places of columns.
pub const KNOWN: usize = 0;
const ASKED: usize = 1;
pub const HEADROOM: usize = 2;
const SHORTFALL: usize = 3;
const UTILISATION: usize = 4;
const ABOVE_WARNING: usize = 5;
const ABOVE_HARD: usize = 6;
const LIMIT: usize = 7;
const COUNTER: usize = 8;
const USED: usize = 9;
const CAP: usize = 10;
const CUSTOMER_USED: usize = 11;

/// The row that policies read.
pub fn layout() -> Arc<Layout> {
    static LAYOUT: LazyLock<Arc<Layout>> = LazyLock::new(|| {
        let columns = COLUMNS.iter().map(|(name, ty)| Column::new(*name, *ty)).collect();
        Arc::new(Layout::new(columns, Vec::new()).expect("names are distinct"))
    });
    LAYOUT.clone()
}
