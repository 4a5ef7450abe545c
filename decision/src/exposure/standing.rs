//! How the counters of an exposure stand, in numbers, and as the row `exposure` that policies read.
//!
//! ```text
//!  Core::outlook ─► counters that a reservation would touch ─► Standing, with what is asked for ─► row `exposure`
//! ```
//!
//! Unknown is not room: where the ledger did not answer, `known` is FALSE and the rest is NULL. Where nobody asked (a
//! backtest), `known` is NULL too.

use std::sync::{Arc, LazyLock};

use tarim_datamart::Type;
use tarim_features::row::{CellError, Column, Layout, RowBuilder};

use super::operation::{Attribute, CounterUse, FEN_MAX};

/// How the counters stand that an exposure would touch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// What is asked for. None: it is not known.
    pub asked_fen: Option<i64>,
    /// What all of them leave, and a ledger takes at once; below 0 where one is over its hard line.
    pub headroom_fen: i64,
    /// The one that leaves the least. None: no limit that is in force is about it.
    pub tightest: Option<CounterUse>,
    /// Of those that are per customer and nothing else, the one that leaves the least.
    pub of_customer: Option<CounterUse>,
    /// The highest share of a hard line that is used; 0 where there is none.
    pub utilisation: f64,
    /// Whether what is asked for would put one above its warning line, or its hard line.
    pub above_warning: Option<bool>,
    pub above_hard: Option<bool>,
}

impl Standing {
    /// Sums up what [`Core::outlook`](super::Core::outlook) tells.
    pub fn of(counters: &[CounterUse], asked_fen: Option<i64>) -> Self {
        // The first of those that leave the same: limits stand in the order of the rulebook.
        let least = |of: &dyn Fn(&CounterUse) -> bool| {
            counters.iter().filter(|c| of(c)).min_by_key(|c| c.headroom_fen()).cloned()
        };
        let tightest = least(&|_| true);
        let above = |line: fn(&CounterUse) -> i64| {
            asked_fen.map(|fen| counters.iter().any(|c| c.used_fen.saturating_add(fen) > line(c)))
        };
        let share = |c: &CounterUse| c.used_fen as f64 / c.hard_fen as f64;
        Self {
            asked_fen,
            headroom_fen: tightest.as_ref().map_or(FEN_MAX, |c| c.headroom_fen().min(FEN_MAX)),
            of_customer: least(&|c| matches!(&c.per[..], [only] if only.name == "customer")),
            tightest,
            // A hard line is at least 1 fen.
            utilisation: counters.iter().map(share).fold(0.0, f64::max),
            above_warning: above(|c| c.warning_fen),
            above_hard: above(|c| c.hard_fen),
        }
    }

    /// Writes it into a row of [`layout`] in which nothing is set.
    ///
    /// # Errors
    /// None, for a row of that layout.
    pub fn pack(&self, row: &mut RowBuilder) -> Result<(), CellError> {
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
        row.set_text(LIMIT, self.tightest.as_ref().map_or(NONE, |c| &c.limit))?;
        if let Some(counter) = &self.tightest {
            row.set_text(COUNTER, &name(counter))?;
            row.set_int(USED, counter.used_fen)?;
            row.set_int(CAP, counter.hard_fen)?;
        }
        if let Some(counter) = &self.of_customer {
            row.set_int(CUSTOMER_USED, counter.used_fen)?;
            row.set_int(CUSTOMER_USED + 1, counter.hard_fen)?;
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
    let part = |Attribute { name, value }: &Attribute| format!("{name} {value}");
    match &counter.per[..] {
        [] if counter.member.is_empty() => "federation".into(),
        [] => format!("member {}", counter.member),
        per => per.iter().map(part).collect::<Vec<_>>().join(", "),
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
