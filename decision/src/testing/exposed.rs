//! How the counters of a case's exposure stand: what it does not say follows from what it says.

use std::collections::BTreeMap;

use tarim_datamart::Value;
use tarim_features::row::{Row, RowBuilder};

use crate::{
    exposure::{
        CounterUse, Spare,
        standing::{Standing, layout},
    },
    rulebook::{APPLICATION, Mapping},
};

/// Fills in what is not given. A case that names `cap_fen`, or `headroom_fen`, has one counter; one that names neither has none, and
/// all the room there is. The rest follows from that counter, and from what the application asks for.
pub fn complete(
    values: &mut BTreeMap<(usize, usize), Value>,
    relation: usize,
    mapping: &Mapping,
    missing: impl Fn(usize) -> bool,
) {
    let layout = layout();
    let column = |name: &str| layout.index(name).expect("a column of how counters stand");
    let int =
        |key: (usize, usize)| if let Some(Value::Int64(fen)) = values.get(&key) { Some(*fen) } else { None };
    let given = |name: &str| int((relation, column(name)));
    let used_fen = given("used_fen").unwrap_or(0);
    let hard_fen = given("cap_fen").or(given("headroom_fen").map(|left| used_fen.saturating_add(left)));
    let limit = match values.get(&(relation, column("limit"))) {
        Some(Value::Utf8(limit)) => limit.clone(),
        _ => "a limit".into(),
    };
    let counter = hard_fen.map(|hard_fen| CounterUse {
        limit,
        used_fen,
        hard_fen,
        warning_fen: hard_fen,
        ..CounterUse::default()
    });
    let standing = Standing::of(counter.as_slice(), int((APPLICATION, mapping.amount)));
    let mut row = RowBuilder::new(&layout);
    standing.pack(&mut row, &mut Spare::default()).expect("a row of its own layout");
    let row = Row::new(&layout, row.finish(), layout.codes(), 0).expect("it was just packed");
    for i in (0..layout.columns().len()).filter(|i| !missing(*i)) {
        values.entry((relation, i)).or_insert_with(|| row.get(i));
    }
}
