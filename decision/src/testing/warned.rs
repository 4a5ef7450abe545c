//! What stands against the applicant of a case: what it does not say follows from what it says.

use std::collections::BTreeMap;

use tarim_datamart::Value;
use tarim_features::{
    row::{Row, RowBuilder},
    warnings::{LEVELS, Standing, layout},
};

/// Fills in what is not given: a level that is not named has no warning, and nobody has looked at those that stand. When
/// they were raised is NULL unless it is given.
pub fn complete(
    values: &mut BTreeMap<(usize, usize), Value>,
    relation: usize,
    missing: impl Fn(usize) -> bool,
) {
    let layout = layout();
    let column = |name: &str| layout.index(name).expect("a column of what stands");
    let mut standing = Standing::default();
    for (name, level) in LEVELS {
        if let Some(Value::Int64(count)) = values.get(&(relation, column(name))) {
            standing.by_level[level as usize] = u32::try_from(*count).unwrap_or(u32::MAX);
        }
    }
    let unread = match values.get(&(relation, column("unacknowledged"))) {
        Some(Value::Int64(count)) => u32::try_from(*count).unwrap_or(u32::MAX),
        _ => u32::MAX,
    };
    // Of fewer than stand it is not said which: as many of each level as may be.
    standing.unacknowledged = standing.by_level.map(|count| count.min(unread));
    let mut row = RowBuilder::new(&layout);
    standing.pack(&mut row).expect("a row of its own layout");
    let row = Row::new(&layout, row.finish(), layout.codes(), 0).expect("it was just packed");
    let raised = ["oldest_raised_at", "latest_raised_at"].map(column);
    for i in (0..layout.columns().len()).filter(|i| !raised.contains(i) && !missing(*i)) {
        values.entry((relation, i)).or_insert_with(|| row.get(i));
    }
}
