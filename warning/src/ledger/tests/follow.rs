//! Whoever follows the file knows what the ledger knows.

use std::{collections::BTreeMap, fs};

use tarim_features::warnings::{Feed, Standing, Warnings};

use super::{
    super::{
        follow::Follower,
        frame::{FRAME, Frame},
    },
    pushes::{live, pushed, pushing},
    *,
};
use crate::delivery::Kind;

/// What the clock says whenever somebody looks.
const NOW: i64 = 1_000_000;

fn follower(folder: &Path) -> (Follower, Warnings) {
    let feed = Feed::new(Duration::from_micros(10));
    let warnings = feed.warnings();
    (Follower::new(folder, feed), warnings)
}

const CUSTOMERS: [(&str, &str); 4] = [("001", "c1"), ("001", "c2"), ("002", "c1"), ("002", "c2")];

type Known = BTreeMap<(&'static str, &'static str), Option<Standing>>;

fn known(warnings: &Warnings) -> Known {
    CUSTOMERS.into_iter().map(|(m, c)| ((m, c), warnings.of_at(m, c, NOW))).collect()
}

/// As the ledger has it.
fn written(ledger: &Ledger) -> Known {
    let open = ledger.open_warnings();
    CUSTOMERS.into_iter().map(|(m, c)| ((m, c), Some(open.in_numbers(m, c)))).collect()
}

/// Of pushes a follower wants to know nothing; but what was passed on since nobody looked into it is a step like any other.
#[test]
fn who_follows_a_ledger_that_pushes_knows_what_is_written() {
    let (folder, now) = (tempfile::tempdir().unwrap(), Arc::default());
    let (mut follower, warnings) = follower(folder.path());
    let ledger = Ledger::open_pushing(folder.path(), pushing(&now)).unwrap();
    for step in 0..40 {
        live(&ledger, &now, step..step + 1);
        ledger.heard(NOW);
        follower.look().unwrap();
        assert_eq!(known(&warnings), written(&ledger), "step {step}");
    }
    let kinds: Vec<Kind> = pushed(&ledger).iter().map(|push| push.kind()).collect();
    assert!(kinds.contains(&Kind::Escalation) && kinds.contains(&Kind::Digest));
}

#[test]
fn who_follows_knows_what_is_written() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let folder = tempfile::tempdir().unwrap();
    let (mut follower, warnings) = follower(folder.path());
    follower.look().unwrap();
    assert!(known(&warnings).values().all(Option::is_none), "there is no ledger yet");
    for life in 0..4 {
        let ledger = Ledger::open(folder.path()).unwrap();
        for step in 0..40 {
            some_life(&ledger, &mut rng, 1);
            ledger.heard(NOW);
            follower.look().unwrap();
            assert_eq!(known(&warnings), written(&ledger), "life {life}, step {step}");
        }
        if life == 2 {
            // Another one in its place: nothing of the former stands any more.
            ledger.close().unwrap();
            fs::remove_file(folder.path().join("warnings.ledger")).unwrap();
        }
    }
    assert!(warnings.read() > 40);
    let customers = known(&warnings).values().filter(|s| s.is_some_and(|s| s.open() > 0)).count();
    assert_eq!(warnings.customers(), customers);
    // Who comes late knows the same.
    let (mut late, of_late) = self::follower(folder.path());
    fs::write(folder.path().join("warnings.heard"), [NOW.to_le_bytes(), (!NOW).to_le_bytes()].concat())
        .unwrap();
    late.look().unwrap();
    assert_eq!(known(&of_late), known(&warnings));
}

/// Whatever part of the file is there: whole records are taken, and a torn one is not there yet.
#[test]
fn a_torn_tail_is_not_there_yet() {
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ledger = Ledger::open(from.path()).unwrap();
    some_life(&ledger, &mut rng, 12);
    ledger.heard(NOW);
    let at_end = written(&ledger);
    drop(ledger);
    let file = |folder: &Path, name: &str| folder.join(format!("warnings.{name}"));
    let whole = fs::read(file(from.path(), "ledger")).unwrap();
    fs::copy(file(from.path(), "heard"), file(to.path(), "heard")).unwrap();
    let (mut follower, warnings) = follower(to.path());
    let rubbish: Vec<u8> = (0..whole.len()).map(|_| rng.random()).collect();
    let mut records = 0;
    for cut in 0..=whole.len() {
        // What comes is written behind what is there, and the rest may be anything for a while.
        fs::write(file(to.path(), "ledger"), &whole[..cut]).unwrap();
        follower.look().unwrap();
        assert!(warnings.read() >= records, "it did not begin anew");
        records = warnings.read();
        if cut >= 16 && cut % 7 == 0 {
            fs::write(file(to.path(), "ledger"), [&whole[..cut], &rubbish[cut..]].concat()).unwrap();
            follower.look().unwrap();
            assert_eq!(warnings.read(), records, "rubbish behind byte {cut} was taken");
        }
    }
    assert_eq!(known(&warnings), at_end);
}

/// A group that could not be made durable is cut off, and another written: nothing of the first stays.
#[test]
fn what_was_cut_off_never_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("warnings.ledger");
    let ledger = Ledger::open(folder.path()).unwrap();
    let before = fs::read(&path).unwrap();
    ledger.take_now(vec![alert(1, "001", "c1")], None).unwrap();
    ledger.heard(NOW);
    let (mut follower, warnings) = follower(folder.path());
    follower.look().unwrap();
    assert_eq!(warnings.of_at("001", "c1", NOW).unwrap().open(), 1);
    drop(ledger);
    // The same length, the same sequence, and more behind it.
    fs::write(&path, before).unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    ledger.take_now(vec![alert(2, "001", "c2")], None).unwrap();
    ledger.take_now(vec![alert(3, "002", "c1")], None).unwrap();
    ledger.heard(NOW);
    follower.look().unwrap();
    assert_eq!(known(&warnings), written(&ledger));
    assert_eq!(warnings.of_at("001", "c1", NOW), Some(Standing::default()));
}

/// What cannot be read is not passed over: nothing more is heard, whatever the writer says.
#[test]
fn what_is_damaged_ends_what_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("warnings.ledger");
    let ledger = Ledger::open(folder.path()).unwrap();
    ledger.take_now(vec![alert(1, "001", "c1")], None).unwrap();
    ledger.heard(NOW);
    let (mut follower, warnings) = follower(folder.path());
    follower.look().unwrap();
    let whole = fs::read(&path).unwrap();
    let mut frame = Vec::new();
    let salt = u32::from_le_bytes(*whole[8..].first_chunk().unwrap());
    Frame { sequence: 9, durable: 8, payload: b"a record too far" }.encode(salt, &mut frame);
    assert!(frame.len() > FRAME);
    for behind in [vec![7; 40], frame] {
        fs::write(&path, [&whole[..], &behind].concat()).unwrap();
        ledger.heard(NOW + 1);
        // Said or not: nothing is heard.
        let _ = follower.look();
        assert_eq!(warnings.of_at("001", "c1", NOW + 10).map(|s| s.open()), Some(1), "known still");
        assert_eq!(warnings.of_at("001", "c1", NOW + 11), None, "and then no more");
    }
}

/// With the writer's snapshot the log is read from there on, and what is known is the same.
#[test]
fn who_comes_late_begins_with_the_snapshot() {
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    let folder = tempfile::tempdir().unwrap();
    let (mut early, of_early) = follower(folder.path());
    let open =
        || Ledger::open_with(folder.path(), Opening { snapshot_bytes: 1, ..Opening::default() }).unwrap();
    drop(open());
    early.look().unwrap();
    for life in 0..4 {
        let ledger = open();
        some_life(&ledger, &mut rng, 40);
        drop(ledger);
        let (mut late, of_late) = follower(folder.path());
        let ledger = open();
        for step in 0..3 {
            ledger.heard(NOW);
            early.look().unwrap();
            late.look().unwrap();
            assert_eq!(known(&of_late), written(&ledger), "life {life}, step {step}");
            assert_eq!(known(&of_late), known(&of_early), "life {life}, step {step}");
            some_life(&ledger, &mut rng, 1);
        }
        assert!(of_late.read() < 5 && of_early.read() > 20, "{} and {}", of_late.read(), of_early.read());
    }
}
