//! `tarim backtest` into a table of the datamart, and into a file.

use std::{fs, process::Output};

use crate::installation::Installation;

/// More than a backtest decides and writes at once.
const APPLICATIONS: usize = 9_000;

/// A bank whose last application, in the order of a backtest, says no product.
fn bank() -> Installation {
    let bank = Installation::new();
    let standard = bank.path("rulebook/standards/applications.toml");
    let text = fs::read_to_string(&standard).expect("it is there");
    let product = "en = \"product\"\ntype = \"utf8\"\n";
    let optional = text.replace(&format!("{product}required = true\n"), product);
    assert_ne!(optional, text, "the standard's field `product` is written otherwise");
    fs::write(&standard, optional).expect("writable");

    let mut rows = String::from("member,application_id,applied_at,product,customer_id,amount_fen\n");
    for i in 0..APPLICATIONS {
        rows += &format!("001,a{i:05},2026-06-01T00:00:00Z,loan,c1,4000000\n");
    }
    rows += "001,z,2026-06-01T00:00:00Z,,c1,4000000\n";
    let file = bank.path("bank/applications.csv");
    fs::write(&file, rows).expect("writable");
    let loaded = bank.run(&["load", file.to_str().expect("UTF-8")]);
    assert!(loaded.contains(&format!("{} good, 0 quarantined", APPLICATIONS + 1)), "{loaded}");
    bank
}

/// Writes the decisions on the applications that are meant.
fn backtest(bank: &Installation, to: &[&str], applications: &str) -> Output {
    bank.output(&[&["backtest", "--where", applications], to].concat())
}

/// The rows of the table, and its versions.
fn state(bank: &Installation) -> (String, Vec<String>) {
    let rows = bank.run(&["sql", "SELECT application_id, outcome FROM decisions ORDER BY application_id"]);
    let log = fs::read_dir(bank.path("home/datamart/decisions/_delta_log")).expect("a Delta table");
    let file = |entry: std::io::Result<fs::DirEntry>| entry.expect("a file").file_name();
    let mut files: Vec<String> = log.map(|entry| file(entry).to_string_lossy().into_owned()).collect();
    files.sort();
    (rows, files)
}

#[test]
fn one_that_fails_leaves_the_table_as_it_was() {
    let bank = bank();
    let to = ["--write-table", "decisions"];
    let good = backtest(&bank, &to, "application_id < 'a00003'");
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    let before = state(&bank);
    assert!(before.0.contains("a00002") && before.0.contains("3 rows"), "{}", before.0);
    // It fails in what it decides first; then, after that is handed to the writer.
    for applications in ["application_id = 'z'", "application_id >= 'a'"] {
        let failed = backtest(&bank, &to, applications);
        let said = String::from_utf8_lossy(&failed.stderr).into_owned();
        assert_eq!(failed.status.code(), Some(1), "{applications}: {said}");
        assert!(said.contains("z has no member or product"), "{applications}: {said}");
        assert_eq!(state(&bank), before, "{applications}");
    }
    // Nobody to decide: an empty table in the place of this one would say that all is well.
    let nobody = backtest(&bank, &[&to[..], &["--verify-online"]].concat(), "member = '077'");
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert_eq!(nobody.status.code(), Some(1), "{said}");
    assert!(said.contains("no application of the table `applications` has --where member = '077'"), "{said}");
    assert_eq!(state(&bank), before);
    // And the file, where both are asked for; nothing is left beside it.
    fs::create_dir(bank.path("out")).expect("a folder");
    for (name, begins) in [("decisions.ndjson", "{\""), ("decisions.parquet", "PAR1")] {
        let file = bank.path(&format!("out/{name}"));
        let both = [&to[..], &["--out", file.to_str().expect("UTF-8")]].concat();
        assert!(!backtest(&bank, &both, "application_id >= 'a'").status.success());
        assert!(!file.exists(), "{name}");
        let good = backtest(&bank, &both, "application_id < 'a00003'");
        assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
        let (whole, table) = (fs::read(&file).expect("written"), state(&bank));
        assert!(whole.starts_with(begins.as_bytes()), "{name}");
        assert!(!backtest(&bank, &both, "application_id >= 'a'").status.success());
        assert_eq!((fs::read(&file).expect("it is there"), state(&bank)), (whole, table), "{name}");
    }
    assert_eq!(fs::read_dir(bank.path("out")).expect("a folder").count(), 2);
}
