//! Edges of a datamart: loaded when they are needed, and anew.

use std::{fs, path::Path, sync::Arc};

use crate::support::{book, book_with};
use tarim_datamart::{Datamart, LoadOptions, Tokeniser};
use tarim_features::edges::Search;
use tarim_warning::contagion::{Live, Network};

/// Loads guarantees of member 001: number, guarantor and borrower.
fn load(folder: &Path, name: &str, guarantees: &[(&str, &str, &str)]) {
    let file = folder.join(format!("guarantees_{name}.csv"));
    let rows = guarantees.iter().map(|(id, from, to)| format!("{id},{from},{to},2026-01-01T00:00:00Z\n"));
    let header = "guarantee_id,guarantor_id,borrower_id,signed_at\n".to_owned();
    fs::write(&file, rows.fold(header, |all, row| all + &row)).unwrap();
    let mart = Datamart::open(&folder.join("datamart"), book().standards().clone()).unwrap();
    let options = LoadOptions { member: Some("001".into()), ..LoadOptions::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let report = runtime.block_on(mart.load(&file, &options, &Tokeniser::with_key([7; 32]))).unwrap();
    assert_eq!(report.record.bad, 0);
}

fn borrowers(live: &Live, guarantor: &str) -> Vec<String> {
    let edges = live.edges();
    let search = Search { along: &[0], hops: 1, at_us: i64::MAX - 1, most: 9 };
    edges.near("001", guarantor, search).found.iter().map(|n| n.id.to_owned()).collect()
}

#[test]
fn new_guarantees_count_once_they_are_loaded_anew() {
    let folder = tempfile::tempdir().unwrap();
    load(folder.path(), "first", &[("g1", "c1", "c2"), ("g2", "c1", "e3")]);
    let network = Arc::new(Network::of_datamart(&folder.path().join("datamart")));
    let live = network.of(&book()).unwrap().unwrap();
    let counts = [("guarantor", 2), ("guaranteed", 2), ("control", 0)];
    assert_eq!(live.counts(), counts.map(|(name, n)| (name.to_owned(), n)));
    assert_eq!(borrowers(&live, "c1"), ["c2", "e3"]);

    load(folder.path(), "second", &[("g3", "c1", "c4"), ("g4", "e9", "c4")]);
    assert_eq!(borrowers(&network.of(&book()).unwrap().unwrap(), "c1"), ["c2", "e3"], "it is loaded once");
    network.refresh().unwrap().join().unwrap();
    assert_eq!(borrowers(&live, "c1"), ["c2", "c4", "e3"], "whoever has them sees the new ones");
    assert_eq!(live.counts()[2], ("control".to_owned(), 1));

    // A datamart that is away leaves what there is.
    fs::rename(folder.path().join("datamart"), folder.path().join("away")).unwrap();
    network.refresh().unwrap().join().unwrap();
    assert_eq!(borrowers(&live, "c1"), ["c2", "c4", "e3"]);
    // But what is asked for first cannot do without.
    let other = book_with(
        "[[rule]]\nid = \"N\"\nzh = \"新\"\nen = \"new\"\nlevel = \"blue\"\nevent = \"login\"\nwhen = \"TRUE\"\n",
    );
    let error = network.of(&other).unwrap_err().to_string();
    assert!(error.contains("there is none in"), "{error}");
    assert!(!folder.path().join("datamart").exists());
}
