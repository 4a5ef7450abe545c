//! The bank as a whole: the same seed makes the same bytes, files are what they say, planted rates hold.

use std::{collections::BTreeMap, fs, path::Path};

use indicatif::ProgressBar;
use tarim_examples::{Plan, Report, synthesise};

fn make(folder: &Path, plan: Plan) -> Report {
    synthesise(plan, folder, &ProgressBar::hidden()).unwrap()
}

/// BLAKE3 of each file.
fn digests(folder: &Path) -> BTreeMap<String, String> {
    let all = [folder.to_owned(), folder.join("truth")].map(|f| fs::read_dir(f).unwrap());
    all.into_iter()
        .flatten()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_file())
        .map(|entry| {
            let digest = blake3::hash(&fs::read(entry.path()).unwrap()).to_hex().to_string();
            (entry.file_name().into_string().unwrap(), digest)
        })
        .collect()
}

/// Rows of a CSV file, by column name.
fn rows(folder: &Path, file: &str, delimiter: u8) -> Vec<BTreeMap<String, String>> {
    let bytes = fs::read(folder.join(file)).unwrap();
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(&bytes).unwrap().into()
        }
    };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    reader.deserialize().map(|row| row.unwrap()).collect()
}

#[test]
fn the_same_seed_makes_the_same_bytes() {
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let reports: Vec<Report> =
        [7, 7, 8].into_iter().zip(&folders).map(|(seed, f)| make(f.path(), Plan::new(600, seed))).collect();
    assert_eq!(reports[0], reports[1]);
    assert_eq!(digests(folders[0].path()), digests(folders[1].path()));
    for (file, digest) in digests(folders[2].path()) {
        assert_ne!(digests(folders[0].path())[&file], digest, "{file} does not depend on the seed");
    }
}

/// Dirt spoils rows of the bank, and changes nothing else.
#[test]
fn a_cleaner_bank_is_the_same_bank() {
    let (clean, dirty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let plan = |dirty| Plan { dirty, ..Plan::new(600, 3) };
    let (none, some) = (make(clean.path(), plan(0.0)), make(dirty.path(), plan(0.02)));
    let clean_rows = rows(clean.path(), "customers.csv", b',');
    let dirty_rows = rows(dirty.path(), "customers.csv", b',');
    let differ = clean_rows.iter().filter(|row| !dirty_rows.contains(row)).count();
    assert!((3..40).contains(&differ), "{differ} customers differ");

    let twice = some.planted["duplicate_key"];
    // Events are not spoiled.
    let count = |report: &Report| {
        report.files.iter().filter(|f| !f.file.starts_with("events/")).map(|f| f.rows).sum::<u64>()
    };
    assert_eq!(count(&some), count(&none) + twice);
    let kinds =
        ["bad_checksum", "duplicate_key", "impossible_date", "missing", "not_a_number", "unknown_code"];
    let spoiled: u64 = kinds.map(|kind| some.planted[kind]).iter().sum();
    let share = spoiled as f64 / count(&none) as f64;
    // A little less where it lands on an empty cell, a little more as each kind shows at least once.
    assert!((0.015..0.025).contains(&share), "{share}");
    assert!(kinds.iter().all(|kind| !none.planted.contains_key(kind)));
}

#[test]
fn what_was_planted_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { applications: Some(3000), dirty: 0.0, ..Plan::new(3000, 11) };
    let report = make(folder.path(), plan);
    let planted = |kind: &str| report.planted[kind] as f64;
    assert!((0.005..0.03).contains(&(planted("fraud_ring") / 3000.0)), "{:?}", report.planted);
    assert!((0.001..0.01).contains(&(planted("structuring") / 3000.0)), "{:?}", report.planted);
    assert!((0.005..0.03).contains(&(planted("guarantee_circle") / 3000.0)), "{:?}", report.planted);
    assert!((0.06..0.15).contains(&(planted("default") / 3000.0)), "{:?}", report.planted);

    // A ring shares one device, and its members apply within days.
    let truth = rows(folder.path(), "truth/planted.csv", b',');
    let applications = rows(folder.path(), "applications.csv", b',');
    assert_eq!(applications.len(), 3000);
    let of = |cluster: &str, member: &str| -> Vec<&BTreeMap<String, String>> {
        let keys: Vec<&String> = truth
            .iter()
            .filter(|t| t["cluster"] == cluster && t["member"] == member)
            .map(|t| &t["key"])
            .collect();
        applications.iter().filter(|a| keys.contains(&&a["customer_id"])).collect()
    };
    let ring = truth.iter().find(|t| t["kind"] == "fraud_ring").unwrap();
    let together = of(&ring["cluster"], &ring["member"]);
    assert!(together.len() >= 6);
    assert!(together.iter().all(|a| a["device_id"] == together[0]["device_id"]));

    // Nobody's bookings overdraw the account, and no row but an outcome is known after the last day.
    let bookings = rows(folder.path(), "transactions.csv", b',');
    assert!(bookings.iter().all(|t| t["balance_fen"].parse::<i64>().unwrap() >= 0));
    assert!(bookings.iter().all(|t| t["known_at"].as_str() <= "2026-06-30T23:59:59Z"));
    assert!(bookings.iter().all(|t| t["booked_at"] <= t["known_at"]));
    let outcomes = rows(folder.path(), "loan_outcomes.csv", b',');
    assert_eq!(outcomes.len(), applications.len());

    // Companies come in GB18030 between bars, bureau reports as JSON lines.
    let companies = rows(folder.path(), "companies.csv", b'|');
    assert!(companies.iter().all(|c| c["class"].starts_with(&c["division"]) && c["uscc"].len() == 18));
    assert!(std::str::from_utf8(&fs::read(folder.path().join("companies.csv")).unwrap()).is_err());
    for line in fs::read_to_string(folder.path().join("bureau_reports.ndjson")).unwrap().lines() {
        let report: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(report["enquiries_3m"].as_i64() <= report["enquiries_6m"].as_i64());
    }
}

/// The hidden risk shows: those who default have more overdue months at the bureau.
#[test]
fn defaults_can_be_foreseen_but_not_perfectly() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), Plan { applications: Some(4000), dirty: 0.0, ..Plan::new(4000, 5) });
    let mut overdue = BTreeMap::new();
    for line in fs::read_to_string(folder.path().join("bureau_reports.ndjson")).unwrap().lines() {
        let report: serde_json::Value = serde_json::from_str(line).unwrap();
        let customer = report["customer_id"].as_str().unwrap().to_owned();
        overdue.insert(customer, report["overdue_months_24m"].as_i64().unwrap());
    }
    let mean = |bad: &str| {
        let months: Vec<i64> = rows(folder.path(), "loan_outcomes.csv", b',')
            .iter()
            .filter(|o| o["defaulted"] == bad)
            .filter_map(|o| overdue.get(&o["customer_id"]).copied())
            .collect();
        months.iter().sum::<i64>() as f64 / months.len() as f64
    };
    let (bad, good) = (mean("true"), mean("false"));
    assert!(bad > 1.5 * good && good > 0.05, "bad {bad}, good {good}");
}

#[test]
fn sizes_are_exact_and_bounds_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { applications: Some(1234), members: 7, dirty: 0.0, ..Plan::new(700, 1) };
    let report = make(folder.path(), plan);
    let rows = |file: &str| report.files.iter().find(|f| f.file == file).unwrap().rows;
    assert_eq!((rows("customers.csv"), rows("applications.csv")), (700, 1234));
    let wrong = synthesise(Plan::new(10, 1), folder.path(), &ProgressBar::hidden()).unwrap_err();
    assert!(wrong.to_string().contains("customers is 10, and must be between 400 and"), "{wrong}");
}
