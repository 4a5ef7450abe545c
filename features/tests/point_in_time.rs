//! Point in time, by cases: `point_in_time/*.toml`. Each case gives tables, a spine, and what its rows are
//! expected to see. Every case is also materialised at each of its times, and what a decision would read
//! then must be what a spine at that time sees, bit for bit.

mod support;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Float64Type, Int64Type, TimestampMicrosecondType},
};
use datafusion::prelude::SessionContext;
use serde::Deserialize;
use support::{at_one_time, csv, rows, rulebook, session, spine_schema};
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
        times.dedup();
        for at in times {
            let spine = at_one_time(&spine, at);
            let found = run(&session, &features, spine.clone()).await;
            compare(&session, &features, at, &spine, &found, &case.about).await;
        }
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
        other => panic!("{column}: the test rulebook has no {other}"),
    }
}
