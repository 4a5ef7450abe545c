//! Events that stand in another partition than their customer's others: a state that knows half of a customer tells nothing, or
//! what is not so.

use serde_json::json;
use tarim_warning::{
    core::{Outbox, Position, Worker},
    partitioner::{Partitioner, Places},
};

use crate::support::{Record, book, event};

/// Customers, of fifty, whose events a worker of partition 2 of 5 takes.
fn taken(worker: &mut Worker) -> Vec<usize> {
    let takes = |i: &usize| {
        let json = event(&format!("e{i}"), &format!("001/c{i}"), "2026-01-01", "login", json!({}));
        let mut out = Outbox::default();
        let Record { format, payload } = Record::json(&json);
        worker.take(Position { partition: 2, offset: *i as i64 }, format, &payload, &mut out);
        let reasons: Vec<&str> = out.dead.iter().map(|letter| letter.reason.as_str()).collect();
        assert!(
            reasons.iter().all(|r| r.contains(&format!("`001/c{i}`")) && r.contains("murmur2")),
            "{reasons:?}"
        );
        reasons.is_empty()
    };
    (0..50).filter(takes).collect()
}

#[test]
fn only_a_customers_own_partition_is_taken_from() {
    let place = |i: &usize| Partitioner::Murmur2.partition(format!("001/c{i}").as_bytes(), 5);
    let at_home: Vec<usize> = (0..50).filter(|i| place(i) == Some(2)).collect();
    assert!((3..20).contains(&at_home.len()), "{at_home:?}");
    let mut worker = Worker::new(book());
    assert_eq!(taken(&mut worker).len(), 50, "where nobody has said where they must stand");
    worker.set_places(Places::new(Partitioner::Murmur2, 5));
    assert_eq!(taken(&mut worker), at_home);
    // Under another rulebook it is as before.
    worker.swap(book(), None);
    assert_eq!(taken(&mut worker), at_home);
}
