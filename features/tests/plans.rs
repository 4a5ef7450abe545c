//! The shape of plans, and their cost at scale.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use crate::support::{rulebook, session_of, spine_schema};
use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{Schema, SchemaRef},
};
use datafusion::physical_plan::displayable;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tarim_features::{
    materialise::{Progress, Selection, materialise},
    spine::point_in_time,
};

const DAY: i64 = 86_400_000_000;

/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600_000_000;

fn texts(values: impl Iterator<Item = String>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn times(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values))
}

fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>) -> RecordBatch {
    let fields = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).unwrap()
}

fn customer(i: usize) -> String {
    format!("C{i:07}")
}

/// Customers with `facts` transactions each, over 200 days, and a spine of one application each.
fn bank(
    standards: &tarim_datamart::Standards,
    customers: usize,
    facts: usize,
) -> (BTreeMap<String, Vec<Vec<RecordBatch>>>, RecordBatch) {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let member = |i: usize| format!("{:03}", i % 4);
    let n = customers * facts;
    let booked: Vec<i64> = (0..n).map(|_| START + random.random_range(0..200 * DAY)).collect();
    let schema = |name: &str| standards.table(name).unwrap().schema();
    let transactions = batch(
        &schema("transactions"),
        vec![
            texts((0..n).map(|i| member(i % customers))),
            texts((0..n).map(|i| format!("T{i}"))),
            texts((0..n).map(|i| customer(i % customers))),
            texts((0..n).map(|i| format!("A{}", i % customers))),
            times(booked.iter().copied()),
            times(booked.iter().map(|t| t + DAY / 2)),
            Arc::new(Int64Array::from_iter_values((0..n as i64).map(|i| i * 7919 % 1_000_003))),
            Arc::new(Float64Array::from_iter_values((0..n).map(|_| random.random::<f64>()))),
        ],
    );
    let people = batch(
        &schema("customers"),
        vec![
            texts((0..customers).map(member)),
            texts((0..customers).map(customer)),
            times((0..customers).map(|_| START)),
            times((0..customers).map(|_| START)),
            texts((0..customers).map(|i| format!("city {}", i % 14))),
            Arc::new(Int64Array::from_iter_values(0..customers as i64)),
        ],
    );
    let spine = batch(
        &spine_schema(),
        vec![
            Arc::new(Int64Array::from_iter_values(0..customers as i64)),
            texts((0..customers).map(member)),
            times((0..customers).map(|_| START + random.random_range(100 * DAY..200 * DAY))),
            texts((0..customers).map(customer)),
            texts((0..customers).map(|i| format!("D{i}"))),
        ],
    );
    let split = |batch: RecordBatch| {
        let parts = (0..batch.num_rows()).step_by(8192);
        let rows: Vec<_> = parts.map(|at| batch.slice(at, 8192.min(batch.num_rows() - at))).collect();
        vec![rows]
    };
    let tables = [("transactions", transactions), ("customers", people)];
    (tables.into_iter().map(|(name, b)| (name.to_owned(), split(b))).collect(), spine)
}

#[tokio::test]
async fn facts_are_joined_by_hash_on_member_and_key() {
    let (features, standards) = rulebook();
    let (tables, spine) = bank(&standards, 100, 3);
    let session = session_of(&standards, tables);
    let spine = session.read_batch(spine).unwrap();
    let frame = point_in_time(&session, &features, spine).await.unwrap();
    let plan = frame.create_physical_plan().await.unwrap();
    let plan = displayable(plan.as_ref()).indent(true).to_string();
    for slow in ["CrossJoinExec", "NestedLoopJoinExec"] {
        assert!(!plan.contains(slow), "{slow}\n{plan}");
    }
    // Five views and the customers' table; lists without entries are not asked.
    let facts: Vec<&str> =
        plan.lines().filter(|l| l.contains("HashJoinExec") && l.contains("__key@")).collect();
    assert_eq!(facts.len(), 6, "{plan}");
    assert!(facts.iter().all(|join| join.contains("__member@") && join.contains("filter=")), "{facts:#?}");
}

/// cargo test -p tarim -p tarim-features --test suite plans:: -- --ignored --nocapture
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute: prints times of 100,000 applications × 20 facts"]
async fn a_hundred_thousand_applications_of_twenty_facts() {
    let (features, standards) = rulebook();
    let (tables, spine) = bank(&standards, 100_000, 20);
    let session = session_of(&standards, tables);
    let start = Instant::now();
    let spine = session.read_batch(spine).unwrap();
    let frame = point_in_time(&session, &features, spine).await.unwrap();
    let rows: usize = frame.collect().await.unwrap().iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 100_000);
    println!("point in time: {:.1} s", start.elapsed().as_secs_f64());
    let folder = tempfile::tempdir().unwrap();
    let mut quiet = |_: Progress<'_>| {};
    let end = START + 200 * DAY;
    let report = materialise(&session, &features, end, folder.path(), &Selection::All, &mut quiet).await;
    println!("materialise: {:#?}", report.unwrap().entities);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default());
}
