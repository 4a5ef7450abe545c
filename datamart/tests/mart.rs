//! Result tables and sessions.

use std::{path::Path, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    },
    util::pretty::pretty_format_batches,
};
use datafusion::prelude::SessionContext;
use futures::stream;
use tarim_datamart::{Datamart, Standards, Type, WriteMode};

const STANDARD: &str = r#"
[table]
name = "loans"
zh = "贷款"
en = "loans"
key = ["loan_id"]
event_time = "signed_on"
[[field]]
name = "loan_id"
zh = "贷款编号"
en = "loan id"
type = "utf8"
[[field]]
name = "signed_on"
zh = "签约日期"
en = "date of signing"
type = "date32"
"#;

fn datamart(folder: &Path) -> Datamart {
    let standards = folder.join("rulebook/standards");
    std::fs::create_dir_all(&standards).expect("made");
    std::fs::write(standards.join("loans.toml"), STANDARD).expect("written");
    let standards = Standards::read(&folder.join("rulebook")).unwrap_or_else(|p| panic!("{p}"));
    Datamart::open(&folder.join("datamart"), standards).expect("a datamart")
}

async fn show(session: &SessionContext, sql: &str) -> String {
    let frame = session.sql(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let batches = frame.collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    pretty_format_batches(&batches).expect("printable").to_string()
}

fn all_types() -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("b", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("i", Arc::new(Int64Array::from(vec![Some(i64::MIN), None]))),
        ("x", Arc::new(Float64Array::from(vec![Some(0.5), None]))),
        ("s", Arc::new(StringArray::from(vec![Some("甲"), None]))),
        ("d", Arc::new(Date32Array::from(vec![Some(20_000), None]))),
        ("t", Arc::new(TimestampMicrosecondArray::from(vec![Some(1_767_225_600_000_001), None]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).expect("a batch")
}

#[tokio::test]
async fn a_result_table_keeps_the_six_types_and_is_replaced_or_extended() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let datamart = datamart(folder.path());
    let batch = all_types();
    let write = async |mode| {
        let batches = stream::iter([Ok(batch.clone())]);
        datamart.write("decisions", batch.schema(), batches, mode).await.unwrap_or_else(|e| panic!("{e}"))
    };
    assert_eq!(write(WriteMode::Append).await, 1);
    assert_eq!(write(WriteMode::Append).await, 2);
    let session = datamart.session().await.expect("a session");
    let rows = session.sql("SELECT * FROM decisions").await.expect("plans");
    let types: Vec<Option<Type>> =
        rows.schema().fields().iter().map(|f| Type::from_arrow(f.data_type())).collect();
    let six = [Type::Boolean, Type::Int64, Type::Float64, Type::Utf8, Type::Date32, Type::Timestamp];
    assert_eq!(types, six.map(Some));
    let batches = rows.collect().await.expect("runs");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 4);
    assert_eq!(batches[0].slice(0, 2), batch);

    assert_eq!(write(WriteMode::Overwrite).await, 3);
    let session = datamart.session().await.expect("a session");
    let count =
        show(&session, "SELECT count(*) AS n, count(s) AS s FROM decisions WHERE i IS NULL OR s = '甲'")
            .await;
    assert!(count.contains("| 2 | 1 |"), "{count}");
}

#[tokio::test]
async fn tables_that_were_never_loaded_are_empty_but_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let datamart = datamart(folder.path());
    let session = datamart.session().await.expect("a session");
    for table in ["loans", "quarantine_loans", "loads"] {
        let rows = show(&session, &format!("SELECT count(*) FROM {table}")).await;
        assert!(rows.contains("| 0 "), "{table}: {rows}");
    }
    assert!(!datamart.folder().exists(), "whoever reads makes nothing");
    let batches = stream::iter([Ok(all_types())]);
    let refused = datamart.write("loans", all_types().schema(), batches, WriteMode::Append).await;
    assert!(refused.is_err_and(|e| e.to_string().contains("cannot be the name of a result table")));
}

#[tokio::test]
async fn sessions_have_the_functions_of_national_codes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let session = datamart(folder.path()).session().await.expect("a session");
    let answers = show(
        &session,
        "SELECT valid_gb11643('11010519491231002X') AS a, valid_gb11643('110105194912310021') AS b, \
         gbt4754_consistent('J', '66', '662', '6621') AS c, gbt4754_consistent('A', '66', NULL, NULL) AS d, \
         gbt4754_consistent('J', '66', NULL, NULL) AS e, gbt4754_section('6621') AS f",
    )
    .await;
    assert!(answers.contains("| true | false | true | false |   | J |"), "{answers}");
}

#[tokio::test]
async fn times_of_sessions_are_in_microseconds() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let session = datamart(folder.path()).session().await.expect("a session");
    let dates = "(SELECT DATE '9999-12-31' AS d, TIMESTAMP '2026-06-30 12:00:00' AS t \
                 UNION ALL SELECT DATE '0001-01-01', NULL)";
    for (sql, told) in [
        ("count(*) FILTER (WHERE d >= t)", "1"),
        ("count(*) FILTER (WHERE t BETWEEN DATE '2026-06-30' AND d)", "1"),
        ("count(*) FILTER (WHERE t IN (d, DATE '2026-06-30'))", "0"),
        ("max(CAST(d AS TIMESTAMP))", "9999-12-31T00:00:00"),
        ("min(TRY_CAST(d AS TIMESTAMP))", "0001-01-01T00:00:00"),
        ("max(coalesce(t, d))", "2026-06-30T12:00:00"),
        ("max(CASE WHEN t IS NULL THEN t ELSE d END)", "9999-12-31T00:00:00"),
        ("max(CAST('9999-12-31 10:00:00' AS TIMESTAMP))", "9999-12-31T10:00:00"),
        ("max(date_trunc('month', d))", "9999-12-01T00:00:00"),
        ("min(date_trunc('week', d))", "0001-01-01T00:00:00"),
        ("max(datetrunc('quarter', t))", "2026-04-01T00:00:00"),
        ("date_trunc('day', TIMESTAMP '9999-12-31 10:00:00') > max(t)", "true"),
        ("max(date_trunc('year', '9999-12-31'))", "9999-01-01T00:00:00"),
        // What is in nanoseconds meets them as before.
        ("max(to_timestamp('2026-06-30 12:00:00.000000001')) > max(t)", "true"),
        ("max(CAST(1 AS TIMESTAMP))", "1970-01-01T00:00:01"),
    ] {
        let shown = show(&session, &format!("SELECT {sql} AS told FROM {dates}")).await;
        assert!(shown.contains(&format!("| {told} ")), "{sql}: {shown}");
    }
    let union = "SELECT max(u) FROM (SELECT d AS u FROM {dates} UNION ALL SELECT t FROM {dates})";
    let shown = show(&session, &union.replace("{dates}", dates)).await;
    assert!(shown.contains("| 9999-12-31T00:00:00 |"), "{shown}");
    let rows = "SELECT max(t) FROM (VALUES (TIMESTAMP '2026-06-30 12:00:00'), (NULL)) AS v (t)";
    let shown = show(&session, rows).await;
    assert!(shown.contains("| 2026-06-30T12:00:00 |"), "{shown}");
    // What comes back in a recursion has the types that it began with, whatever is compared with it there and behind.
    for (first, limit) in [
        ("TIMESTAMP '2026-01-01'", "DATE '2026-01-03'"),
        ("CAST(DATE '2026-01-01' AS TIMESTAMP)", "TIMESTAMP '2026-01-03 00:00:00'"),
        ("(SELECT min(signed_on) FROM one)", "TIMESTAMP '2026-01-03 00:00:00'"),
    ] {
        let days = format!(
            "WITH RECURSIVE one(signed_on) AS (SELECT DATE '2026-01-01'), days(x) AS (SELECT {first} UNION ALL \
             SELECT x + INTERVAL '1' DAY FROM days WHERE x < {limit}) SELECT count(*) AS n, max(x) AS last FROM days \
             WHERE x <= DATE '2026-12-31'"
        );
        let shown = show(&session, &days).await;
        assert!(shown.contains("| 3 | 2026-01-03"), "{days}: {shown}");
    }
}

#[tokio::test]
async fn a_difference_of_two_times_is_no_interval() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let session = datamart(folder.path()).session().await.expect("a session");
    let times =
        "(SELECT TIMESTAMP '2026-06-30' AS t, TIMESTAMP '2026-01-01' AS u, DATE '9999-12-31' AS d, 1 AS i)";
    for sql in [
        "t - u < INTERVAL '1' DAY",
        "d - t > INTERVAL '30' DAY",
        "INTERVAL '1' MONTH >= t - u",
        "t - u BETWEEN INTERVAL '1' DAY AND INTERVAL '2' DAY",
        "t - u IN (INTERVAL '1' DAY)",
        "CASE t - u WHEN INTERVAL '1' DAY THEN 1 END",
        "coalesce(t - u, INTERVAL '1' DAY)",
        "CAST(t - u AS INTERVAL)",
        "TRY_CAST(t - u AS INTERVAL)",
        "(SELECT max(t - u) FROM {times}) > INTERVAL '1' DAY",
        "EXISTS (SELECT i FROM {times} AS v WHERE w.t - v.u > INTERVAL '1' DAY)",
    ] {
        let sql = format!("SELECT {sql} FROM {times} AS w").replace("{times}", times);
        let rows = session.sql(&sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let error = rows.collect().await.expect_err(&sql).to_string();
        assert!(error.contains("a difference of two times is no INTERVAL"), "{sql}: {error}");
        assert!(error.contains("write booked_at > as_of - INTERVAL '90' DAY"), "{sql}: {error}");
    }
    for (sql, told) in [
        ("u > t - INTERVAL '181' DAY", "true"),
        ("u > t - INTERVAL '180' DAY", "false"),
        ("date_part('day', t - u)", "180"),
        ("date_part('day', d - t) > 30", "true"),
        ("t - u > u - t", "true"),
        ("INTERVAL '2' DAY > INTERVAL '1' DAY", "true"),
    ] {
        let shown = show(&session, &format!("SELECT {sql} AS told FROM {times}")).await;
        assert!(shown.contains(&format!("| {told} ")), "{sql}: {shown}");
    }
}
