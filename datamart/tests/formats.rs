//! Parquet as a source, many chunks, and two loads at once.

use std::{cell::Cell, fs::File, sync::Arc};

use crate::common::Home;
use arrow::array::{
    ArrayRef, BinaryArray, Date32Array, Decimal128Array, Int32Array, ListArray, RecordBatch, StringArray,
    TimestampMillisecondArray, types::Int32Type,
};
use datafusion::parquet::{
    arrow::ArrowWriter,
    data_type::{DataType as ParquetType, Int32Type as ParquetInt32, Int64Type, Int96, Int96Type},
    file::writer::{SerializedFileWriter, SerializedRowGroupWriter},
    schema::parser::parse_message_type,
};
use tarim_datamart::LoadOptions;

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
type = "int64"
[[field]]
name = "signed_on"
zh = "签约日期"
en = "date of signing"
type = "date32"
[[field]]
name = "seen_at"
zh = "获知时间"
en = "seen at"
type = "timestamp"
[[field]]
name = "amount_fen"
zh = "金额"
en = "amount"
type = "int64"
[[field]]
name = "kind"
zh = "种类"
en = "kind"
type = "utf8"
[[source]]
name = "warehouse"
files = "*.parquet"
format = "parquet"
[source.map]
member = { constant = "001" }
amount_fen = { column = "amount", scale = 100 }
[[source]]
name = "text"
files = "*.csv"
format = "csv"
"#;

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
    bytes
}

#[tokio::test]
async fn parquet_is_read_by_its_text() {
    let home = Home::new(&[("loans", STANDARD)]);
    let amounts = Decimal128Array::from(vec![Some(1_234_500), Some(10_050), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("kind", Arc::new(StringArray::from(vec![Some("car"), Some(" "), None]))),
        ("loan_id", Arc::new(Int32Array::from(vec![1, 2, 1]))),
        ("amount", Arc::new(amounts.with_precision_and_scale(12, 4).expect("a decimal"))),
        ("signed_on", Arc::new(Date32Array::from(vec![20_000, 20_001, 20_002]))),
        (
            "seen_at",
            Arc::new(TimestampMillisecondArray::from(vec![1_767_225_600_001; 3]).with_timezone("UTC")),
        ),
    ];
    let report = home.load(&home.file("loans.parquet", parquet(columns))).await;
    assert_eq!(report.record.rules.keys().collect::<Vec<_>>(), ["key", "scale"]);
    let rows = home.rows("SELECT * FROM loans").await;
    assert_eq!(rows, ["001 | 1 | 2024-10-04 | 2026-01-01T00:00:00.001 | 12345 | car"]);
    let bad = home.rows("SELECT source_line, rules FROM quarantine_loans ORDER BY 1").await;
    assert_eq!(bad, ["2 | scale", "3 | key"]);
}

/// Spark, Hive and Impala write times as INT96; in nanoseconds, years end with 2262.
#[tokio::test]
async fn parquet_times_of_96_bits_keep_their_year() {
    const SCHEMA: &str = "message loans { required int64 loan_id; required int32 signed_on (DATE); \
                          required int96 seen_at; required int64 amount; }";
    let schema = parse_message_type(SCHEMA).expect("a schema");
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, schema.into(), Default::default()).expect("a writer");
    let mut rows = writer.next_row_group().expect("rows");
    // The day of 9999-12-31 and of 1500-01-01, as days of the Julian calendar's count.
    let times = [(5_373_484, 1_000), (2_268_924, 0)].map(|(day, nanoseconds)| {
        let mut time = Int96::new();
        time.set_data(nanoseconds, 0, day);
        time
    });
    write_column::<Int64Type>(&mut rows, &[1, 2]);
    write_column::<ParquetInt32>(&mut rows, &[20_000, 20_000]);
    write_column::<Int96Type>(&mut rows, &times);
    write_column::<Int64Type>(&mut rows, &[5, 5]);
    rows.close().expect("closed");
    writer.close().expect("closed");

    let home = Home::new(&[("loans", STANDARD)]);
    home.load(&home.file("loans.parquet", bytes)).await;
    let rows = home.rows("SELECT loan_id, seen_at FROM loans ORDER BY 1").await;
    assert_eq!(rows, ["1 | 9999-12-31T00:00:00.000001", "2 | 1500-01-01T00:00:00"]);
}

fn write_column<T: ParquetType>(rows: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>, values: &[T::T]) {
    let mut column = rows.next_column().expect("a column").expect("one more");
    column.typed::<T>().write_batch(values, None, None).expect("written");
    column.close().expect("closed");
}

#[tokio::test]
async fn parquet_bytes_that_are_no_utf_8_are_told() {
    let home = Home::new(&[("loans", STANDARD)]);
    // The second is 张 in GBK.
    let kinds = vec![Some("car".as_bytes()), Some(&[0xD5, 0xC5][..]), None];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("kind", Arc::new(BinaryArray::from(kinds))),
        ("loan_id", Arc::new(Int32Array::from(vec![1, 2, 3]))),
        ("amount", Arc::new(Int32Array::from(vec![5; 3]))),
        ("signed_on", Arc::new(Date32Array::from(vec![20_000; 3]))),
    ];
    let report = home.load(&home.file("loans.parquet", parquet(columns))).await;
    assert_eq!(home.rows("SELECT loan_id, kind FROM loans ORDER BY 1").await, ["1 | car", "3 | –"]);
    let bad = home.rows("SELECT source_line, rules FROM quarantine_loans").await;
    assert_eq!(bad, ["2 | encoding"]);
    assert_eq!(report.samples["encoding"][0].message, "the column `kind` has bytes that are no UTF-8");
}

#[tokio::test]
async fn a_parquet_column_without_a_text_form_is_an_error() {
    let home = Home::new(&[("loans", STANDARD)]);
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1)])]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("loan_id", Arc::new(list)),
        ("amount", Arc::new(Int32Array::from(vec![1]))),
        ("signed_on", Arc::new(Date32Array::from(vec![1]))),
    ];
    let file = home.file("loans.parquet", parquet(columns));
    let error = home.mart.load(&file, &LoadOptions::default(), &home.tokeniser).await;
    let error = error.expect_err("a list is no number").to_string();
    assert!(error.contains("column `loan_id` is List"), "{error}");
    assert!(
        home.mart
            .load(&file.with_file_name("none.parquet"), &LoadOptions::default(), &home.tokeniser)
            .await
            .is_err()
    );
    File::create(file.with_file_name("torn.parquet")).expect("made");
    assert!(
        home.mart
            .load(&file.with_file_name("torn.parquet"), &LoadOptions::default(), &home.tokeniser)
            .await
            .is_err()
    );
    assert_eq!(home.rows("SELECT count(*) FROM loads").await, ["0"]);
}

/// Chunks have 8,192 rows and blocks 256 KiB: rows, lines and keys must not care.
#[tokio::test]
async fn rows_are_the_same_however_they_fall_into_chunks() {
    let home = Home::new(&[("loans", STANDARD)]);
    let mut text = String::from("member,loan_id,signed_on,kind\n");
    for i in 0..50_000 {
        let kind = if i % 7 == 0 { "\"of two\nlines\"" } else { "一行" };
        let day = if i == 40_000 { "2026-02-30" } else { "2026-02-20" };
        text += &format!("001,{i},{day},{kind}\n");
    }
    text += "001,123,2026-02-20,again\n";
    let report = home.load(&home.file("loans.csv", &text)).await;
    assert_eq!((report.record.good, report.record.bad), (49_999, 2));
    let line = |row: usize| 2 + row + (0..row).filter(|i| i % 7 == 0).count();
    let bad = home.rows("SELECT source_line, rules FROM quarantine_loans ORDER BY 1").await;
    assert_eq!(bad, [format!("{} | type", line(40_000)), format!("{} | key", line(50_000))]);
    let sums = home.rows("SELECT sum(loan_id), count(kind), count(DISTINCT kind) FROM loans").await;
    let sum: u64 = (0..50_000).sum();
    assert_eq!(sums, [format!("{} | 49999 | 2", sum - 40_000)]);
}

/// A line of more than a MiB is no row, and nothing that stands in it is one.
#[tokio::test]
async fn a_line_longer_than_any_is_one_bad_row() {
    let home = Home::new(&[("loans", STANDARD)]);
    let mut text = String::from("member,loan_id,signed_on,kind\n001,1,2026-02-20,x\n001,2,2026-02-20,");
    (0..150_000).for_each(|_| text += "001,2,2026-02-20,");
    text += "\n\n001,3,2026-02-20,x\n001,4,2026-02-20,";
    (0..1_000_000).for_each(|_| text.push('长'));
    for end in ["\n", ""] {
        let report = home.load(&home.file(&format!("loans{}.csv", end.len()), format!("{text}{end}"))).await;
        assert_eq!((report.record.rows, report.record.bad), (4, 4 - report.record.good), "{report}");
        assert_eq!(report.samples["row"][0].message, "the line is longer than 1 MiB");
    }
    assert_eq!(home.rows("SELECT loan_id FROM loans ORDER BY 1").await, ["1", "3"]);
    let lines = "SELECT DISTINCT source_line, rules FROM quarantine_loans WHERE rules = 'row' ORDER BY 1";
    assert_eq!(home.rows(lines).await, ["3 | row", "6 | row"]);
}

/// Blocks have 256 KiB, and where in them a line stands must not matter.
#[tokio::test]
async fn a_line_is_too_long_wherever_it_stands() {
    const LONGEST: usize = 1 << 20;
    for before in [0, 100_000, 200_000] {
        let home = Home::new(&[("loans", STANDARD)]);
        let mut text = String::from("member,loan_id,signed_on,kind\n");
        for (id, kind, length) in [
            (1, "x", before),
            (2, "x", LONGEST),
            (3, "x", LONGEST + 1),
            (4, "x", LONGEST + 200_000),
            (5, "\"x\"", LONGEST),
            (6, "\"x\"", LONGEST + 100_000),
            (7, "\"x\ny\"", LONGEST),
            (8, "\"x\ny\"", LONGEST + 1),
            (9, "x", 0),
        ] {
            let line = format!("001,{id},2026-02-20,{kind}");
            let filler = "x".repeat(1 + length.saturating_sub(line.len()));
            text += &(line.replace('x', &filler) + "\n");
        }
        let report = home.load(&home.file("loans.csv", text)).await;
        assert_eq!(home.rows("SELECT loan_id FROM loans ORDER BY 1").await, ["1", "2", "5", "7", "9"]);
        let bad = home.rows("SELECT source_line, rules FROM quarantine_loans ORDER BY 1").await;
        assert_eq!(bad, ["4 | row", "5 | row", "7 | row", "10 | row", "11 | row"]);
        let messages = report.samples["row"].iter().map(|sample| sample.message.as_str());
        assert!(messages.eq(["the line is longer than 1 MiB"; 3]), "{report}");
    }
}

/// A session sees every load that completes while it is opened with its rows, and once, or not at all.
#[tokio::test]
async fn a_session_opened_while_loads_complete_sees_whole_loads() {
    let home = Home::new(&[("loans", STANDARD)]);
    let files: Vec<_> = (0..20)
        .map(|i| {
            let text = format!("member,loan_id,signed_on,kind\n001,{i},2026-02-20,x\n001,{i},2026-02-30,x\n");
            home.file(&format!("loans{i}.csv"), text)
        })
        .collect();
    let complete = Cell::new(false);
    let load = async {
        for file in &files {
            home.load(file).await;
        }
        complete.set(true);
    };
    let look = async {
        while !complete.get() {
            let seen = "SELECT (SELECT count(*) FROM loans) AS good, \
                        (SELECT count(*) FROM quarantine_loans) AS bad, \
                        (SELECT count(*) FROM loads) AS loads, \
                        (SELECT count(DISTINCT load_id) FROM loads) AS different";
            let seen = home.rows(seen).await.remove(0);
            let counts: Vec<&str> = seen.split(" | ").collect();
            assert!(counts.iter().all(|count| *count == counts[0]), "{seen}");
        }
    };
    tokio::join!(load, look);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_loads_of_one_file_at_once_one_changes_nothing() {
    let home = Home::new(&[("loans", STANDARD)]);
    let text: String = (0..2_000).map(|i| format!("001,{i},2026-02-20,x\n")).collect();
    let file = home.file("loans.csv", format!("member,loan_id,signed_on,kind\n{text}"));
    let (one, other) = tokio::join!(home.load(&file), home.load(&file));
    assert_ne!(one.already_loaded, other.already_loaded);
    assert_eq!(home.rows("SELECT count(*) FROM loans").await, ["2000"]);
    assert_eq!(home.rows("SELECT count(*) FROM loads").await, ["1"]);
}
