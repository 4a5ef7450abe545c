//! Loads that die: nothing of them is seen, and running them again completes them.

use crate::common;

use std::fs;

use crate::common::Home;
use proptest::prelude::*;
use tarim_datamart::{LoadError, LoadOptions, load::FailPoint};

const STANDARD: &str = r#"
[table]
name = "payments"
zh = "还款"
en = "payments"
key = ["payment_id"]
event_time = "paid_on"
[[field]]
name = "payment_id"
zh = "还款编号"
en = "payment id"
type = "utf8"
[[field]]
name = "paid_on"
zh = "还款日"
en = "paid on"
type = "date32"
[[field]]
name = "amount_fen"
zh = "金额（分）"
en = "amount in fen"
type = "int64"
required = true
"#;

fn home() -> Home {
    Home::new(&[("payments", STANDARD)])
}

/// Rows `from..to`, every tenth without an amount.
fn csv(from: u32, to: u32) -> String {
    let mut text = String::from("member,payment_id,paid_on,amount_fen\n");
    for i in from..to {
        let amount = if i % 10 == 0 { String::new() } else { i.to_string() };
        text += &format!("001,p{i:05},2026-01-31,{amount}\n");
    }
    text
}

#[tokio::test]
async fn a_load_that_dies_leaves_nothing_and_is_completed_by_the_next() {
    // More than a chunk, so that it can die between two.
    let (first, second) = (csv(0, 100), csv(100, 9_100));
    let expected = {
        let home = home();
        home.load(&home.file("payments.csv", &first)).await;
        let before = home.state("payments").await;
        home.load(&home.file("payments.csv", &second)).await;
        (before, home.state("payments").await)
    };
    for point in FailPoint::ALL {
        let home = home();
        home.load(&home.file("payments.csv", &first)).await;
        let file = home.file("payments.csv", &second);
        let options = LoadOptions { stop_at: Some(point), ..LoadOptions::default() };
        let died = home.mart.load(&file, &options, &home.tokeniser).await;
        assert!(matches!(died, Err(LoadError::Stopped(p)) if p == point), "{point:?}");
        // The commit of the table's rows is the load: before it nothing is seen, after it everything.
        let committed = matches!(point, FailPoint::TableCommitted | FailPoint::Indexed);
        let (before, after) = &expected;
        let seen = home.state("payments").await;
        assert!(seen == *if committed { after } else { before }, "what is seen after a death at {point:?}");
        let again = home.load(&file).await;
        assert_eq!(again.already_loaded, committed, "{point:?}");
        assert_eq!((again.record.good, again.record.bad), (8_100, 900), "{point:?}");
        assert!(home.state("payments").await == *after, "the state after a second attempt, {point:?}");
        let third = home.load(&file).await;
        assert!(third.already_loaded);
        assert!(home.state("payments").await == *after, "the state after a third attempt, {point:?}");
    }
}

#[tokio::test]
async fn the_same_bytes_under_another_name_change_nothing() {
    let home = home();
    let first = home.load(&home.file("payments.csv", csv(0, 50))).await;
    let state = home.state("payments").await;
    fs::create_dir_all(home.folder.path().join("files/again")).expect("made");
    let again = home.load(&home.file("again/payments.csv", csv(0, 50))).await;
    assert!(again.already_loaded);
    assert_eq!(again.record, first.record);
    assert!(again.to_string().contains("nothing was changed"), "{again}");
    assert_eq!(home.state("payments").await, state);
}

#[tokio::test]
async fn the_same_bytes_for_another_member_are_another_load() {
    let home = home();
    let file = home.file("payments.csv", "payment_id,paid_on,amount_fen\np1,2026-01-31,5\n");
    for member in ["001", "002"] {
        let options = LoadOptions { member: Some(member.into()), ..LoadOptions::default() };
        assert!(!home.load_with(&file, options).await.already_loaded);
    }
    let rows = home.rows("SELECT * FROM payments ORDER BY member").await;
    assert_eq!(rows, ["001 | p1 | 2026-01-31 | 5", "002 | p1 | 2026-01-31 | 5"]);
}

#[tokio::test]
async fn keys_that_the_table_has_are_taken() {
    let home = home();
    home.load(&home.file("payments.csv", csv(1, 40))).await;
    // 1…39 are there (without 10, 20 and 30), 40…59 are new.
    let report = home.load(&home.file("payments.csv", csv(1, 60))).await;
    assert_eq!(report.record.rules["key"], 36);
    assert_eq!(report.record.rules["required"], 5);
    assert_eq!((report.record.good, report.record.bad), (18, 41));
    assert_eq!(home.rows("SELECT count(*), count(DISTINCT payment_id) FROM payments").await, ["54 | 54"]);
}

/// The same installation with another standard.
fn with_standard(home: Home, standard: &str) -> Home {
    common::write(&home.folder.path().join("rulebook/standards/payments.toml"), standard.as_bytes());
    let standards = tarim_datamart::Standards::read(&home.folder.path().join("rulebook")).expect("sound");
    let mart = tarim_datamart::Datamart::open(home.mart.folder(), standards).expect("opened");
    Home { mart, ..home }
}

/// STANDARD, read with such dates.
fn dated(format: &str) -> String {
    format!(
        "{STANDARD}\n[[source]]\nname = \"core\"\nfiles = \"*.csv\"\nformat = \"csv\"\ndate_format = \"{format}\"\n"
    )
}

#[tokio::test]
async fn a_file_without_a_good_row_is_loaded_again_by_other_standards_only() {
    let (wrong, worse, right) = (dated("%d.%m.%Y"), dated("%d/%m/%Y"), dated("%Y-%m-%d"));
    let mut home = home();
    let file = home.file("payments.csv", csv(1, 10));
    for (standard, good, already_loaded) in [
        // By each of the wrong ones once, however they take turns.
        (&wrong, 0, false),
        (&wrong, 0, true),
        (&worse, 0, false),
        (&wrong, 0, true),
        (&worse, 0, true),
        (&right, 9, false),
        // Once it is loaded, standards do not matter.
        (&right, 9, true),
        (&wrong, 9, true),
    ] {
        home = with_standard(home, standard);
        let report = home.load(&file).await;
        assert_eq!((report.record.good, report.already_loaded), (good, already_loaded), "{report}");
    }
    assert_eq!(home.rows("SELECT count(*) FROM payments").await, ["9"]);
    assert_eq!(home.rows("SELECT count(*) FROM quarantine_payments").await, ["18"]);
    assert_eq!(home.rows("SELECT good FROM loads ORDER BY good").await, ["0", "0", "9"]);
}

#[tokio::test]
async fn a_load_by_other_standards_that_dies_is_completed_by_the_next() {
    for point in FailPoint::ALL {
        let home = with_standard(home(), &dated("%d.%m.%Y"));
        let file = home.file("payments.csv", csv(1, 10));
        home.load(&file).await;
        let home = with_standard(home, &dated("%Y-%m-%d"));
        let options = LoadOptions { stop_at: Some(point), ..LoadOptions::default() };
        let died = home.mart.load(&file, &options, &home.tokeniser).await;
        assert!(matches!(died, Err(LoadError::Stopped(p)) if p == point), "{point:?}");
        let committed = matches!(point, FailPoint::TableCommitted | FailPoint::Indexed);
        let again = home.load(&file).await;
        assert_eq!((again.record.good, again.already_loaded), (9, committed), "{point:?}");
        assert_eq!(home.rows("SELECT count(*) FROM payments").await, ["9"], "{point:?}");
    }
}

#[tokio::test]
async fn more_bad_rows_than_allowed_load_nothing() {
    let home = home();
    home.load(&home.file("payments.csv", csv(0, 10))).await;
    let before = home.state("payments").await;
    let file = home.file("payments.csv", csv(10, 110));
    let with = |percent| LoadOptions { max_bad_percent: Some(percent), ..LoadOptions::default() };
    let refused = home.mart.load(&file, &with(9.9), &home.tokeniser).await;
    let refused = refused.expect_err("too many are bad");
    let said = refused.to_string();
    assert!(said.contains("worst fields: amount_fen (10)"), "{said}");
    assert!(!said.contains("tarim sql"), "what was discarded is nowhere to be seen: {said}");
    let LoadError::TooManyBad { percent, report, .. } = refused else { panic!("{said}") };
    assert_eq!((percent, report.record.bad), (10.0, 10));
    assert_eq!(home.state("payments").await, before);
    let report = home.load_with(&file, with(10.0)).await;
    assert_eq!((report.record.good, report.record.bad), (90, 10));
    assert!(report.to_string().contains("see: tarim sql"), "{report}");
}

#[tokio::test]
async fn no_file_is_left_by_a_load_that_was_refused_or_repeated_keys() {
    let home = home();
    home.load(&home.file("payments.csv", csv(0, 100))).await;
    let file = home.file("payments.csv", csv(50, 150));
    let options = LoadOptions { max_bad_percent: Some(0.0), ..LoadOptions::default() };
    assert!(home.mart.load(&file, &options, &home.tokeniser).await.is_err());
    home.load(&file).await;
    for table in ["payments", "_quarantine/payments"] {
        let files = fs::read_dir(home.mart.folder().join(table)).expect("a folder");
        let parquet =
            files.filter(|f| f.as_ref().is_ok_and(|f| f.path().extension().is_some_and(|e| e == "parquet")));
        assert_eq!(parquet.count(), 2, "{table}: one file for each load");
    }
}

#[tokio::test]
async fn a_field_that_is_added_later_is_null_in_older_rows() {
    let home = home();
    home.load(&home.file("payments.csv", csv(1, 3))).await;
    let wider = format!(
        "{STANDARD}\n[[field]]\nname = \"channel\"\nzh = \"渠道\"\nen = \"channel\"\ntype = \"utf8\"\n"
    );
    let home = with_standard(home, &wider);
    assert_eq!(home.rows("SELECT channel FROM payments").await, ["–", "–"]);
    let file =
        home.file("payments.csv", "member,payment_id,paid_on,amount_fen,channel\n001,q,2026-02-01,5,web\n");
    home.load(&file).await;
    let rows = home.rows("SELECT payment_id, channel FROM payments ORDER BY 1").await;
    assert_eq!(rows, ["p00001 | –", "p00002 | –", "q | web"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// However the rows of a file are shuffled, repeated and cut into files that overlap, the table ends up
    /// with the same keys, and every row is either in it or in the quarantine.
    #[test]
    fn shuffled_and_repeated_rows_load_to_the_same_keys(
        rows in prop::collection::vec(0..30_u32, 1..60), cut in 0..60_usize,
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let home = home();
            let header = "member,payment_id,paid_on,amount_fen\n";
            let text = |rows: &[u32]| {
                let line = |i: &u32| format!("001,p{i},2026-01-31,{i}\n");
                format!("{header}{}", rows.iter().map(line).collect::<String>())
            };
            let cut = cut.min(rows.len());
            // The middle stands in both files.
            let (first, second) = (&rows[..cut], &rows[cut / 2..]);
            let mut total = 0;
            for part in [first, second] {
                let report = home.load(&home.file("payments.csv", text(part))).await;
                total += if report.already_loaded { 0 } else { part.len() };
            }
            let mut keys: Vec<u32> = rows.clone();
            keys.sort_unstable();
            keys.dedup();
            let count = home.rows("SELECT count(*), count(DISTINCT payment_id) FROM payments").await;
            assert_eq!(count, [format!("{} | {}", keys.len(), keys.len())]);
            let bad = home.rows("SELECT count(*) FROM quarantine_payments WHERE rules = 'key'").await;
            assert_eq!(bad, [(total - keys.len()).to_string()]);
        });
    }
}
