//! The synthetic bank through the quality gate: what was spoiled is quarantined for the rule that it was spoiled
//! to break, and nothing else is.

use std::{collections::BTreeMap, fs, path::Path};

use arrow::array::{Array, AsArray, cast::as_string_array};
use arrow::datatypes::Int64Type;
use indicatif::ProgressBar;
use tarim_datamart::{Datamart, LoadOptions, Standards, Tokeniser};
use tarim_examples::{Plan, synthesise};

/// Table and line of a row, with the rules that it breaks, separated by commas.
type Rows = BTreeMap<(String, i64), String>;

/// Rows that were spoiled, from the ground truth.
fn spoiled(bank: &Path) -> Rows {
    let mut reader = csv::Reader::from_path(bank.join("truth/planted.csv")).unwrap();
    let rows = reader.records().map(|row| row.unwrap());
    rows.filter_map(|row| {
        // detail: "line 27, id_number: rule gb11643"
        let (line, rule) = row[5].strip_prefix("line ")?.split_once(": rule ")?;
        let line = line.split(',').next()?.parse().unwrap();
        Some(((row[2].to_owned(), line), rule.to_owned()))
    })
    .collect()
}

/// Rows that were quarantined.
async fn quarantined(mart: &Datamart) -> Rows {
    let session = mart.session().await.unwrap();
    let mut found = Rows::new();
    for table in mart.standards().tables() {
        let query = format!("SELECT source_line, arrow_cast(rules, 'Utf8') FROM quarantine_{}", table.name);
        for batch in session.sql(&query).await.unwrap().collect().await.unwrap() {
            let lines = batch.column(0).as_primitive::<Int64Type>();
            let rules = as_string_array(batch.column(1));
            for row in 0..rules.len() {
                found.insert((table.name.clone(), lines.value(row)), rules.value(row).to_owned());
            }
        }
    }
    found
}

#[tokio::test]
async fn what_was_spoiled_is_quarantined_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let bank = folder.path().join("bank");
    let plan = Plan { dirty: 0.01, ..Plan::new(500, 13) };
    let made = synthesise(plan, &bank, &ProgressBar::hidden()).unwrap();

    let rulebook = Path::new(env!("CARGO_MANIFEST_DIR")).join("rulebook");
    let mart = Datamart::open(&folder.path().join("mart"), Standards::read(&rulebook).unwrap()).unwrap();
    let tokeniser = Tokeniser::open_or_create(&folder.path().join("token.key")).unwrap();
    for file in fs::read_dir(&bank).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    {
        let report = mart.load(&file, &LoadOptions::default(), &tokeniser).await.unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let written = made.files.iter().find(|f| f.file == name).unwrap().rows;
        assert_eq!(report.record.rows, written, "{name}");
    }

    let (spoiled, quarantined) = (spoiled(&bank), quarantined(&mart).await);
    assert!(spoiled.len() > 100, "{} rows were spoiled", spoiled.len());
    for (place, rule) in &spoiled {
        let broken =
            quarantined.get(place).unwrap_or_else(|| panic!("{place:?} was let in, for all its {rule}"));
        assert!(broken.split(',').any(|r| r.trim() == rule), "{place:?} breaks {broken}, not {rule}");
    }
    for (place, broken) in &quarantined {
        assert!(spoiled.contains_key(place), "{place:?} was not spoiled, but breaks {broken}");
    }
}
