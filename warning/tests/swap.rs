//! Another rulebook, while running: whatever both rulebooks say, they say as if nothing had changed.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use crate::support::{
    Record, book, copy,
    random::{Course, log},
    run,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tarim_proto::warning::v1::Alert;
use tarim_warning::{
    core::{SnapshotError, Span, Worker},
    rulebook::WarningBook,
};

/// More windows in the midst of the others, more rules, and some rules gone.
fn other() -> Arc<WarningBook> {
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook"), folder.path());
    fs::remove_file(folder.path().join("warnings/logins.toml")).unwrap();
    let window = |name: &str, rest: &str| {
        format!("\n[[window]]\nname = \"{name}\"\nzh = \"窗口\"\nen = \"window\"\n{rest}\n")
    };
    let stream = "[stream]\nname = \"a_first\"\nzh = \"流\"\nen = \"stream\"\nevent = \"transaction\"\n"
        .to_owned()
        + &window(
            "new_most_3h",
            "measure = \"max\"\nof = \"event.amount_fen\"\npanes = \"3 hours\"\ndefault = 0",
        )
        + &window("new_days", "measure = \"count\"\npanes = \"9 days\"")
        + &window(
            "new_months",
            "measure = \"sum\"\nof = \"event.amount_fen\"\npanes = \"2 months\"\ndefault = 0",
        );
    fs::write(folder.path().join("features/streams/a_first.toml"), stream).unwrap();
    let rule = "[[rule]]\nid = \"NEW\"\nzh = \"新\"\nen = \"new\"\nlevel = \"blue\"\nevent = \"transaction\"\n\
                when = \"window.new_days >= 2 OR window.new_months + window.new_most_3h > 100\"\nquiet = \"1h\"\n";
    fs::write(folder.path().join("warnings/a_first.toml"), rule).unwrap();
    Arc::new(WarningBook::read(folder.path()).unwrap_or_else(|p| panic!("{p}")))
}

/// The rulebook with other words in one of its files.
fn edited(file: &str, from: &str, to: &str) -> Arc<WarningBook> {
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook"), folder.path());
    let file = folder.path().join(file);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{}: {from}", file.display());
    fs::write(&file, text.replace(from, to)).unwrap();
    Arc::new(WarningBook::read(folder.path()).unwrap_or_else(|p| panic!("{p}")))
}

/// A worker that is started with another rulebook does not read its state by that.
#[test]
fn a_state_is_of_what_windows_and_patterns_mean() {
    let mut bytes = Vec::new();
    Worker::new(book()).write_snapshot(0, Span { from: None, to: 0 }, &mut bytes).unwrap();
    let patterns = "warnings/patterns.toml";
    for (file, from, to, same) in [
        (patterns, "a loan is repaid late at once", "a loan is late at once", true),
        // What tells episodes apart, what they sum, and what ends them.
        (patterns, r#""loan_disbursed", key = ["loan_id"]"#, r#""loan_disbursed", key = ["product"]"#, false),
        (patterns, "event.dpd > 0", "event.dpd > 1", false),
        (patterns, r#"before = "2d""#, r#"before = "3d""#, false),
        // The field of a window: its expression is the same.
        ("standards/event_login.toml", r#"type = "date32""#, r#"type = "timestamp""#, false),
    ] {
        let restored = Worker::restore(edited(file, from, to), 0, [bytes.as_slice()]).map(drop);
        match same {
            true => assert!(restored.is_ok(), "{file}: {to}: {}", restored.unwrap_err()),
            false => assert!(matches!(restored, Err(SnapshotError::Rulebook(_))), "{file}: {to}"),
        }
    }
}

fn ids(book: &WarningBook) -> BTreeSet<String> {
    book.rules().iter().map(|rule| rule.id.clone()).collect()
}

/// Alerts of rules that both have, but for the rulebook that raised them.
fn of_both(alerts: impl IntoIterator<Item = Alert>, both: &BTreeSet<String>) -> Vec<Alert> {
    let of = alerts.into_iter().filter(|alert| both.contains(&alert.rule_id));
    of.map(|alert| Alert { rulebook_version: String::new(), ..alert }).collect()
}

#[test]
fn what_both_rulebooks_say_goes_on() {
    let (one, two) = (book(), other());
    assert_ne!(one.version(), two.version());
    let both: BTreeSet<String> = ids(&one).intersection(&ids(&two)).cloned().collect();
    assert!(both.len() > 20 && ids(&two).contains("NEW"), "{both:?}");
    let mut new = 0;
    for seed in 0..12 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let course = Course { events: 1500, late_h: 60, ticks: true };
        let records: Vec<Record> = log(course, &mut rng).iter().map(|(_, json)| Record::json(json)).collect();
        let alerts = |worker: &mut Worker, first: usize, to: usize| -> Vec<Alert> {
            run(worker, first, &records[first..to]).into_iter().flat_map(|out| out.alerts).collect()
        };
        let mut steady = Worker::new(one.clone());
        let wanted = of_both(alerts(&mut steady, 0, records.len()), &both);

        // There, and back again, by way of a snapshot.
        let mut turns =
            [0, rng.random_range(0..records.len()), rng.random_range(0..records.len()), records.len()];
        turns.sort_unstable();
        let mut worker = Worker::new(one.clone());
        let mut found = Vec::new();
        for (i, turn) in turns.windows(2).enumerate() {
            if i > 0 {
                worker.swap([&one, &two][i % 2].clone(), None);
                let mut bytes = Vec::new();
                let span = Span { from: None, to: turn[0] as i64 };
                worker.write_snapshot(0, span, &mut bytes).unwrap();
                let book = [&one, &two][i % 2].clone();
                let former = [&one, &two][1 - i % 2].clone();
                assert!(Worker::restore(former, 0, [bytes.as_slice()]).is_err(), "a change is not undone");
                worker = Worker::restore(book, 0, [bytes.as_slice()]).unwrap().0;
            }
            found.extend(alerts(&mut worker, turn[0], turn[1]));
        }
        new += found.iter().filter(|alert| alert.rule_id == "NEW").count();
        assert_eq!(of_both(found, &both), wanted, "seed {seed}, swapped at {turns:?}");
    }
    assert!(new > 100, "the new rule hardly fires: {new}");
}

#[test]
fn a_change_in_the_log_is_told_to_the_edge() {
    let mut worker = Worker::new(book());
    let version = book().version().to_owned();
    let record = |version: &str| {
        Record::json(
            &serde_json::json!({ "happened_at": "2026-01-01T00:00:00Z", "rulebook": { "version": version } }),
        )
    };
    let out = run(&mut worker, 0, &[record(&version), record("../../etc")]);
    assert_eq!(out[0].rulebook, Some(version));
    assert_eq!(out[1].rulebook, None, "what is no version is no folder either");
    assert!(out[1].dead[0].reason.contains("version"), "{}", out[1].dead[0].reason);
}
