//! Point in time, by cases: `point_in_time/*.toml`. Each case gives tables, a spine, and what its rows are
//! expected to see. Every case is also materialised at its first and last time, and what a decision would read
//! then must be what a spine at that time sees, bit for bit.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use crate::support::{at_one_time, csv, rows, rulebook, session, spine_schema};
use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType},
};
use datafusion::prelude::SessionContext;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use tarim_datamart::{Type, Value};
use tarim_features::{
    materialise::{Selection, materialise},
    row::Row,
    spine::{point_in_time, stale_column},
    store::{EmbeddedStore, OnlineStore},
    view::FeatureSet,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    about: String,
    #[serde(default)]
    tables: BTreeMap<String, String>,
    spine: String,
    expect: String,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/point_in_time");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        toml::from_str::<File>(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())).case
    };
    files.iter().flat_map(read).collect()
}

async fn run(session: &SessionContext, features: &FeatureSet, spine: RecordBatch) -> Vec<RecordBatch> {
    let spine = session.read_batch(spine).unwrap();
    point_in_time(session, features, spine).await.unwrap().collect().await.unwrap()
}

#[tokio::test]
async fn every_row_sees_what_was_known_at_its_time() {
    let (features, standards) = rulebook();
    for case in cases() {
        let session = session(&standards, &case.tables);
        let found = run(&session, &features, csv(&case.spine, &spine_schema())).await;
        let expected: Vec<Vec<String>> =
            case.expect.trim().lines().map(|l| l.split(',').map(str::to_owned).collect()).collect();
        let header: Vec<&str> = expected[0].iter().map(String::as_str).collect();
        assert_eq!(rows(&found, &header), expected[1..], "{}\n{header:?}", case.about);
    }
}

#[tokio::test]
async fn a_materialised_row_is_what_a_spine_sees_at_that_time() {
    let (features, standards) = rulebook();
    let features = Arc::new(features);
    for case in cases() {
        let session = session(&standards, &case.tables);
        let spine = csv(&case.spine, &spine_schema());
        let mut times = spine.column(2).as_primitive::<TimestampMicrosecondType>().values().to_vec();
        times.sort_unstable();
        // The first and the last: planning takes longer than these tables, and random facts have other times.
        times.drain(1..times.len().max(2) - 1);
        times.dedup();
        for at in times {
            let spine = at_one_time(&spine, at);
            let found = run(&session, &features, spine.clone()).await;
            compare(&session, &features, at, &spine, &found, &case.about).await;
        }
    }
}

/// Random facts of few customers, so that times, keys and versions collide.
fn random_tables(random: &mut ChaCha8Rng) -> BTreeMap<String, String> {
    let time = |random: &mut ChaCha8Rng| {
        format!(
            "2026-0{}-0{}T0{}:00:00",
            random.random_range(1..7),
            random.random_range(1..4),
            random.random_range(0..2)
        )
    };
    let pick = |random: &mut ChaCha8Rng, of: &[&str]| of[random.random_range(0..of.len())].to_owned();
    let member = |random: &mut ChaCha8Rng| pick(random, &["001", "001", "002"]);
    let customer = |random: &mut ChaCha8Rng| pick(random, &["C1", "C2", "C3", "C4", ""]);
    let mut tables = BTreeMap::new();
    let mut add = |name: &str, header: &str, rows: Vec<String>| {
        tables.insert(name.to_owned(), format!("{header}\n{}\n", rows.join("\n")));
    };
    let rows =
        |random: &mut ChaCha8Rng, most: usize, row: &mut dyn FnMut(&mut ChaCha8Rng, usize) -> Vec<String>| {
            let n = random.random_range(1..most);
            (0..n).map(|i| row(random, i).join(",")).collect()
        };
    let mut versions = std::collections::HashSet::new();
    let customers: Vec<String> = rows(random, 12, &mut |r, _| {
        let city = pick(r, &["南宁", "Guilin", "\"a,b\"", ""]);
        let income = pick(r, &["", "0", "-5", "900000"]);
        vec![member(r), pick(r, &["C1", "C2", "C3"]), time(r), time(r), city, income]
    });
    // A key comes again only with another known-at time.
    let is_new = |row: &String, columns: &[usize], versions: &mut std::collections::HashSet<Vec<String>>| {
        let cells: Vec<&str> = row.split(',').collect();
        versions.insert(columns.iter().map(|c| cells[*c].to_owned()).collect())
    };
    let customers = customers.into_iter().filter(|row| is_new(row, &[0, 1, 3], &mut versions)).collect();
    add("customers", "member,customer_id,opened_at,known_at,city,income_fen", customers);
    let transactions = rows(random, 60, &mut |r, i| {
        let rate = pick(r, &["", "0.1", "-0.3", "1e17", "-1e17", "-0.0"]);
        let account = pick(r, &["A1", "A2"]);
        let amount =
            pick(r, &["", "100", "-100", "2000000", "7", "9223372036854775807", "-9223372036854775808"]);
        vec![member(r), format!("T{i}"), customer(r), account, time(r), time(r), amount, rate]
    });
    add(
        "transactions",
        "member,txn_id,customer_id,account_id,booked_at,known_at,amount_fen,rate",
        transactions,
    );
    versions.clear();
    let accounts: Vec<String> = rows(random, 8, &mut |r, _| {
        let known = format!("2026-0{}-01", r.random_range(1..7));
        vec![
            member(r),
            pick(r, &["A1", "A2"]),
            customer(r),
            "2026-01-01".into(),
            known,
            pick(r, &["0", "1000", ""]),
        ]
    });
    let accounts = accounts.into_iter().filter(|row| is_new(row, &[0, 1, 4], &mut versions)).collect();
    add("accounts", "member,account_id,customer_id,opened_on,known_at,balance_fen", accounts);
    versions.clear();
    let entries: Vec<String> = rows(random, 12, &mut |r, _| {
        let entry = pick(r, &["E1", "E2", "E3", "E4"]);
        let list = pick(r, &["aml_black", "device_grey", "staff_white", "unlisted"]);
        let until = if r.random_bool(0.5) { time(r) } else { String::new() };
        let from = pick(r, &["", "2026-02-01", "2026-04-01"]);
        vec![
            member(r),
            entry,
            list,
            customer(r),
            pick(r, &["D1", ""]),
            String::new(),
            "S".into(),
            time(r),
            from,
            until,
        ]
    });
    let entries = entries.into_iter().filter(|row| is_new(row, &[0, 1, 7], &mut versions)).collect();
    add(
        "list_entries",
        "member,entry_id,list,customer_id,device_id,reason,source,known_at,valid_from,expires_at",
        entries,
    );
    tables
}

#[tokio::test]
async fn random_facts_are_the_same_materialised_and_by_spine() {
    let (features, standards) = rulebook();
    let features = Arc::new(features);
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut spine = "spine_id,member,as_of,customer_id,device_id\n".to_owned();
    for (id, (member, customer)) in
        ["001", "002", "003"].iter().flat_map(|m| ["C1", "C2", "C3", "C4", ""].map(|c| (m, c))).enumerate()
    {
        spine.push_str(&format!(
            "{id},{member},2026-01-01T00:00:00,{customer},{}\n",
            ["D1", "D2", ""][id % 3]
        ));
    }
    let spine = csv(&spine, &spine_schema());
    for case in 0..12 {
        let tables = random_tables(&mut random);
        let session = session(&standards, &tables);
        let at = 1_767_225_600_000_000 + random.random_range(0..180) * 86_400_000_000;
        let spine = at_one_time(&spine, at);
        let found = run(&session, &features, spine.clone()).await;
        compare(&session, &features, at, &spine, &found, &format!("case {case}: {tables:#?}")).await;
    }
}

/// Materialises at a time and compares what each row of the spine reads from the store with `found`.
async fn compare(
    session: &SessionContext,
    features: &Arc<FeatureSet>,
    at_us: i64,
    spine: &RecordBatch,
    found: &[RecordBatch],
    about: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    let report = materialise(session, features, at_us, folder.path(), &Selection::All, &mut |_| {}).await;
    report.unwrap_or_else(|e| panic!("{about}: {e}"));
    let store = EmbeddedStore::open(folder.path(), features.clone()).unwrap();
    let snapshot = store.snapshot();
    let ids = spine.column(0).as_primitive::<Int64Type>();
    let text = |row: usize, column: &str| {
        let texts = spine.column_by_name(column).unwrap().as_string::<i32>();
        texts.is_valid(row).then(|| texts.value(row))
    };
    for batch in found {
        for i in 0..batch.num_rows() {
            let id = batch.column(0).as_primitive::<Int64Type>().value(i);
            let asked = ids.values().iter().position(|v| *v == id).unwrap();
            let member = text(asked, "member").unwrap();
            for (e, entity) in features.entities().iter().enumerate() {
                let row = text(asked, &entity.application).and_then(|key| snapshot.get(e, member, key));
                let bytes = row.unwrap_or_else(|| entity.unknown_row());
                let row = Row::new(&entity.layout, bytes, snapshot.dictionary(e), at_us).unwrap();
                for (c, column) in entity.layout.columns().iter().enumerate() {
                    let name = format!("{}.{}", entity.name, column.name);
                    assert_eq!(row.get(c), value(batch, &name, i), "{about}: {name} of {id}");
                    if column.group > 0 {
                        let view = &entity.layout.groups()[usize::from(column.group)].name;
                        let stale = Value::Boolean(row.is_stale(c));
                        assert_eq!(
                            stale,
                            value(batch, &stale_column(&entity.name, view), i),
                            "{about}: {name}"
                        );
                    }
                }
            }
            for (l, list) in features.lists().iter().enumerate() {
                let answer =
                    text(asked, &list.field).and_then(|v| snapshot.list_hit(l, member, v, at_us).truth());
                let online = answer.map_or(Value::Null, Value::Boolean);
                assert_eq!(online, value(batch, &format!("list.{}", list.name), i), "{about}: {}", list.name);
            }
        }
    }
}

fn value(batch: &RecordBatch, column: &str, row: usize) -> Value {
    let array = batch.column_by_name(column).unwrap_or_else(|| panic!("no column {column}"));
    if array.is_null(row) {
        return Value::Null;
    }
    match Type::from_arrow(array.data_type()).unwrap_or_else(|| panic!("{column} is {}", array.data_type())) {
        Type::Boolean => Value::Boolean(array.as_boolean().value(row)),
        Type::Int64 => Value::Int64(array.as_primitive::<Int64Type>().value(row)),
        Type::Float64 => Value::Float64(array.as_primitive::<Float64Type>().value(row)),
        Type::Utf8 => Value::Utf8(array.as_string::<i32>().value(row).to_owned()),
        Type::Date32 => Value::Date32(array.as_primitive::<Date32Type>().value(row)),
        Type::Timestamp => Value::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row)),
    }
}
