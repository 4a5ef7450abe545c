//! Events that stand in another partition than their customer's others: a state that knows half of a customer tells nothing, or
//! what is not so.

use serde_json::json;
use tarim_warning::{
    core::{Losses, Outbox, Position, Worker},
    partitioner::{Partitioner, Places},
};

use crate::support::{Record, book, event, run};

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
    let misplaced = (50 - at_home.len()) as u64;
    assert_eq!(worker.counts().losses(), Losses { misplaced, ..Losses::default() });
    // Under another rulebook it is as before.
    worker.swap(book(), None);
    assert_eq!(taken(&mut worker), at_home);
}

#[test]
fn what_is_not_taken_is_counted_by_reason() {
    let mut worker = Worker::new(book());
    let at = |time: &str, body| Record::json(&event("e1", "c1", time, "login", body));
    let unreadable = Record { payload: b"{".to_vec(), ..at("2026-01-01", json!({})) };
    let records = [
        at("2026-06-01", json!({})),
        unreadable.clone(),
        unreadable.clone(),
        Record { format: tarim_warning::event::Format::Protobuf, ..unreadable },
        at("2026-06-01", json!({ "risk": 7 })),
        at("2026-06-01", json!({ "rsik": 0.5 })),
        at("2026-01-01", json!({})),
    ];
    let dead: usize = run(&mut worker, 0, &records).iter().map(|out| out.dead.len()).sum();
    let wanted = Losses { unreadable: 3, invalid: 2, late: 1, ..Losses::default() };
    assert_eq!((dead, worker.counts().losses()), (6, wanted));
    // Under another rulebook counting goes on.
    worker.swap(book(), None);
    assert_eq!(worker.counts().losses(), wanted);
    let mut sum = Losses { late: 1, ..wanted };
    sum.add(Losses { invalid: 1, ..Losses::default() }, wanted);
    assert_eq!(sum, Losses { unreadable: 6, invalid: 3, late: 2, ..wanted });
}
