//! Homes that are new, or mistyped: whoever reads is told, whoever loads gets through, and nothing is made by the way.

use std::fs;

use crate::installation::Installation;

/// What is said by a command on another home of an installation.
fn elsewhere(installation: &Installation, home: &str, args: &[&str]) -> String {
    let home = installation.path(home);
    // Behind the verb it has the last word.
    installation.fails(&[args, &["--home", home.to_str().expect("UTF-8")]].concat())
}

#[test]
fn whoever_reads_a_home_that_is_not_there_is_told() {
    let installation = Installation::new();
    for (args, said) in [
        (&["sql", "SELECT count(*) FROM customers"][..], "nothing was ever loaded into"),
        (&["materialize"], "nothing was ever loaded into"),
        (&["materialize", "--list"], "is empty"),
        (&["materialize", "--rollback", "1"], "is empty"),
        (&["materialize", "--rollback", "1-189322c8"], "is empty"),
        (&["backtest", "--verify-online"], "nothing was ever loaded into"),
        (&["serve", "--listen", "127.0.0.1:0"], "nothing was ever loaded into"),
        (&["features", "get", "--entity", "customer", "--member", "001", "--key", "c1"], "is empty"),
        (&["rulebook", "publish", "--list"], "no rulebook is published in"),
        (&["replay"], "there is no journal in"),
    ] {
        let told = elsewhere(&installation, "typo", args);
        assert!(told.contains(said) && told.contains("typo"), "{args:?}: {told}");
        assert!(!installation.path("typo").exists(), "{args:?} made it");
    }
}

/// What a release wrote that materialised an empty datamart: it keeps nobody from loading.
#[test]
fn a_store_that_knows_nobody_needs_no_key() {
    let installation = Installation::new();
    let customers = installation.path("bank/customers.csv");
    let customers = customers.to_str().expect("UTF-8");
    let copy_store = |home: &str| {
        let to = installation.path(home).join("store");
        fs::create_dir_all(&to).expect("a folder");
        for entry in fs::read_dir(installation.path("home/store")).expect("a folder") {
            let entry = entry.expect("an entry");
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a file");
        }
    };
    // Of somebody it has tokens, and of which key nobody knows.
    copy_store("known");
    assert!(elsewhere(&installation, "known", &["load", customers]).contains("there is no token key at"));
    fs::remove_dir_all(installation.path("home/store")).expect("there");
    installation.run(&["materialize", "--as-of", "2010-01-01", "--force"]);
    copy_store("new");
    let home = installation.path("new");
    let told = elsewhere(&installation, "new", &["serve", "--listen", "127.0.0.1:0"]);
    assert!(told.contains("nothing was ever loaded into"), "{told}");
    let loaded = installation.run(&["load", customers, "--home", home.to_str().expect("UTF-8")]);
    assert!(loaded.contains("3 good") && home.join("keys/token.key").is_file(), "{loaded}");
}

#[test]
fn a_load_that_cannot_begin_makes_nothing() {
    let installation = Installation::new();
    let customers = installation.path("bank/customers.csv");
    let customers = customers.to_str().expect("UTF-8");
    let other = installation.path("bank/other.txt");
    fs::write(&other, "").expect("writable");
    for (args, said) in [
        (&["load", "missing_customers.csv"][..], "cannot read missing_customers.csv: nothing was loaded"),
        (&["load", other.to_str().expect("UTF-8")], "no source of any table takes the file"),
        (&["load", customers, "--table", "nothing"], "the standards have no table `nothing`"),
        (&["load", customers, "--member", "009"], "the rulebook has no member `009`"),
    ] {
        let told = elsewhere(&installation, "new", args);
        assert!(told.contains(said), "{args:?}: {told}");
        assert!(!installation.path("new").exists(), "{args:?} made it");
    }
    let told = elsewhere(&installation, "new", &["load", customers, "--member", "009"]);
    assert!(told.contains("name one of 001, 002 with --member"), "{told}");
}

#[test]
fn a_file_without_a_good_row_is_told_and_stays_recorded() {
    let installation = Installation::new();
    let customers = installation.path("bank/customers.csv");
    let customers = customers.to_str().expect("UTF-8");
    // All are of member 001.
    let told = installation.fails(&["load", customers, "--member", "002"]);
    assert!(told.contains("all 3 rows of customers.csv were quarantined"), "{told}");
    assert!(told.contains("another --member than 002"), "{told}");
    let quarantined = installation.run(&["sql", "SELECT count(*) AS n FROM quarantine_customers"]);
    assert!(quarantined.contains("| 3 |"), "{quarantined}");
    // It changes nothing, and there is nothing of it all the same.
    let told = installation.fails(&["load", customers, "--member", "002"]);
    assert!(told.contains("all 3 rows of customers.csv were quarantined"), "{told}");
    let quarantined = installation.run(&["sql", "SELECT count(*) AS n FROM quarantine_customers"]);
    assert!(quarantined.contains("| 3 |"), "{quarantined}");
}

#[test]
fn a_file_without_a_good_row_is_loaded_when_its_source_was_corrected() {
    let installation = Installation::new();
    let standard = installation.path("rulebook/standards/list_entries.toml");
    let sound = fs::read_to_string(&standard).expect("readable");
    let source = |format: &str| {
        format!(
            "{sound}\n[[source]]\nname = \"more\"\nfiles = \"more*.csv\"\nformat = \"csv\"\ndate_format = \"{format}\"\n"
        )
    };
    let more = installation.path("bank/more.csv");
    let entries = "member,entry_id,list,customer_id,reason,source,valid_from,expires_at\n\
        001,e8,black,c1,fraud,court,2020-01-01,\n001,e9,black,c2,fraud,court,2020-01-01,\n";
    fs::write(&more, entries).expect("writable");
    let load = ["load", more.to_str().expect("UTF-8")];
    let entries = || installation.run(&["sql", "SELECT count(*) AS n FROM list_entries"]);

    fs::write(&standard, source("%d.%m.%Y")).expect("writable");
    for _ in 0..2 {
        let told = installation.fails(&load);
        assert!(
            told.contains("correct the file, or the [[source]] that reads it, and load it again"),
            "{told}"
        );
    }
    assert!(entries().contains("| 1 |"), "{}", entries());
    fs::write(&standard, source("%Y-%m-%d")).expect("writable");
    let loaded = installation.run(&load);
    assert!(loaded.contains("2 rows, 2 good"), "{loaded}");
    let again = installation.run(&load);
    assert!(again.contains("(2 good, 0 quarantined); nothing was changed"), "{again}");
    assert!(entries().contains("| 3 |"), "{}", entries());
}
