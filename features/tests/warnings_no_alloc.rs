//! What stands against a customer is read without allocating, into the row that policies see.

use std::time::Duration;

use tarim_features::{
    row::RowBuilder,
    warnings::{Feed, Level, Standing, layout},
};

#[test]
fn a_look_up_allocates_nothing() {
    let feed = Feed::new(Duration::from_secs(300));
    let mut red = Standing::default();
    red.add(Level::Red, false, false, 1, 2);
    let keys: Vec<String> = (0..1000).map(|i| format!("C{i}")).collect();
    feed.put(keys.iter().step_by(2).map(|key| ("001", key.as_str(), red)));
    feed.heard(0);
    let warnings = feed.warnings();
    let mut row = RowBuilder::new(&layout());
    // A thread's first look at an ArcSwap makes the place where its readers are noted, and the first row its memory.
    for _ in 0..2 {
        row.clear();
        warnings.of_at("001", "C0", 0).unwrap().pack(&mut row).unwrap();
    }
    let mut open = 0;
    let allocations = allocation_counter::measure(|| {
        for key in &keys {
            let standing = warnings.of_at("001", key, 0).unwrap();
            row.clear();
            standing.pack(&mut row).unwrap();
            open += standing.open();
        }
        assert_eq!(warnings.of_at("001", "C0", i64::MAX), None);
    });
    assert_eq!((open, allocations.count_total), (500, 0));
}
