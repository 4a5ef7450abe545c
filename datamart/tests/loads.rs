//! Loads as data: every case of `data/loads/*.toml` is a standard, a file, and what becomes of its rows.

use std::{fs, panic::AssertUnwindSafe};

use crate::common::Home;
use futures::FutureExt;
use serde::Deserialize;
use tarim_datamart::LoadOptions;

#[derive(Deserialize)]
struct Cases {
    table: String,
    standard: String,
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    file: String,
    #[serde(default)]
    text: String,
    /// `gb18030` writes the text so; `hex` takes it as bytes in hex.
    #[serde(default)]
    encoding: String,
    member: Option<String>,
    /// Rows of the table, in order of key.
    #[serde(default)]
    good: Vec<String>,
    /// `line: rules`, in order of line.
    #[serde(default)]
    bad: Vec<String>,
    /// Each is part of some message or quarantined row.
    #[serde(default)]
    says: Vec<String>,
    /// None of these is anywhere in the quarantine, the report, or the error.
    #[serde(default)]
    never_says: Vec<String>,
    /// The file cannot be loaded at all; part of what is said.
    error: Option<String>,
}

impl Case {
    fn bytes(&self) -> Vec<u8> {
        match self.encoding.as_str() {
            "gb18030" => encoding_rs::GB18030.encode(&self.text).0.into_owned(),
            "hex" => {
                let digits: Vec<u32> = self.text.chars().filter_map(|c| c.to_digit(16)).collect();
                digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
            }
            _ => self.text.clone().into_bytes(),
        }
    }

    fn keeps_its_secrets(&self, said: &str) {
        for secret in &self.never_says {
            assert!(!said.contains(secret), "{}: `{secret}` is told:\n{said}", self.name);
        }
    }
}

#[tokio::test]
async fn the_cases_hold() {
    let (mut count, mut failed) = (0, 0);
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/loads")).expect("a folder") {
        let path = entry.expect("a file").path();
        let text = fs::read_to_string(&path).expect("readable");
        let cases: Cases = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for case in &cases.case {
            // One that fails says why; the others are tried all the same.
            failed += usize::from(AssertUnwindSafe(check(&cases, case)).catch_unwind().await.is_err());
            count += 1;
        }
    }
    assert_eq!(failed, 0, "of {count} cases");
    assert!(count >= 25, "{count} cases");
}

async fn check(cases: &Cases, case: &Case) {
    let home = Home::new(&[(&cases.table, &cases.standard)]);
    let file = home.file(&case.file, case.bytes());
    let options = LoadOptions { member: case.member.clone(), ..LoadOptions::default() };
    let report = match (home.mart.load(&file, &options, &home.tokeniser).await, &case.error) {
        (Ok(report), None) => report,
        (Err(error), Some(part)) => {
            let said = error.to_string();
            assert!(said.contains(part), "{}: {said}", case.name);
            case.keeps_its_secrets(&said);
            return;
        }
        (Ok(_), Some(_)) => panic!("{}: the file was loaded", case.name),
        (Err(error), None) => panic!("{}: {error}", case.name),
    };
    let table = &cases.table;
    let good = home.rows(&format!("SELECT * FROM {table} ORDER BY 2, 3")).await;
    assert_eq!(good, case.good, "{}: good rows", case.name);
    let quarantine = home
        .rows(&format!("SELECT source_line || ': ' || rules FROM quarantine_{table} ORDER BY source_line"))
        .await;
    assert_eq!(quarantine, case.bad, "{}: quarantined rows", case.name);
    let record = &report.record;
    assert_eq!((record.good, record.bad), (good.len() as u64, quarantine.len() as u64), "{}", case.name);
    assert_eq!(record.rows, record.good + record.bad, "{}", case.name);

    let mut said = home.rows(&format!("SELECT row, broken FROM quarantine_{table}")).await.join("\n");
    said += &report.to_string();
    for part in &case.says {
        assert!(said.contains(part), "{}: nothing says `{part}`:\n{said}", case.name);
    }
    said += &serde_json::to_string(&report).expect("the report is JSON");
    case.keeps_its_secrets(&said);
}
