//! Rules that read features allocate nothing for an event that brings no alert: rows are read where they stand.

use std::{fs, sync::Arc};

use crate::support::{
    Record, event,
    known::{self, Rows, Store},
};
use serde_json::json;
use tarim_warning::{
    core::{Outbox, Position, Worker},
    rulebook::WarningBook,
};

/// 2026-01-01T00:00:00Z.
const AS_OF_US: i64 = 1_767_225_600_000_000;

/// Conditions alone: what waits for something is written down at each event that may be it.
fn book() -> Arc<WarningBook> {
    let folder = known::folder();
    for part in ["warnings", "models"] {
        fs::remove_dir_all(folder.path().join(part)).unwrap();
    }
    let rule = |id: &str, when: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\nzh = \"规\"\nen = \"rule\"\nlevel = \"blue\"\nevent = \"repayment_missed\"\nwhen = \"{when}\"\n"
        )
    };
    fs::create_dir(folder.path().join("warnings")).unwrap();
    let rules = rule("A", "event.dpd >= 1 AND event.dpd > customer.balance_avg_fen")
        + &rule("B", "customer.grade IN ('A', 'C') AND customer.city = '南宁'")
        + &rule("C", "event.dpd >= 1 AND window.missed_90d > customer.balance_avg_fen");
    fs::write(folder.path().join("warnings/rules.toml"), rules).unwrap();
    Arc::new(WarningBook::read(folder.path()).unwrap_or_else(|p| panic!("{p}")))
}

#[test]
fn an_event_that_brings_nothing_allocates_nothing() {
    let book = book();
    let mut store = Store::new();
    let text = json!({ "customer 001/c1": { "balance_avg_fen": 1e9, "grade": "B", "city": "桂林", "enquiries": 1 } });
    let rows: Rows = serde_json::from_str(&text.to_string()).unwrap();
    let version = store.publish(&book, AS_OF_US, &rows);
    let mut worker = Worker::new(book);
    store.known.give(&mut worker, &version).unwrap();
    // Of one hour, so that no window has another pane; and of a kind without checks over the whole row, which read texts anew.
    let of = |i: usize| {
        let time = format!("2026-01-02T08:{:02}:{:02}Z", i / 60, i % 60);
        let body = json!({ "loan_id": "l1", "dpd": 3 });
        Record::protobuf(&event("e", "c1", &time, "repayment_missed", body)).unwrap()
    };
    let records: Vec<Record> = (0..600).map(of).collect();
    let mut out = Outbox::default();
    let mut take = |records: &[Record]| {
        for record in records {
            let at = Position { partition: 0, offset: 0 };
            worker.take(at, record.format, &record.payload, &mut out);
        }
        out.alerts.len()
    };
    // With the first ones buffers grow.
    take(&records[..300]);
    let mut raised = 0;
    let counted = allocation_counter::measure(|| raised = take(&records[300..]));
    assert_eq!((raised, counted.count_total), (0, 0));
}
