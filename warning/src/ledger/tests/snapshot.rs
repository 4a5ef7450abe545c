//! With a snapshot or without: opening gives the same.

use std::{fs, sync::atomic::AtomicI64};

use super::{
    super::snapshot::load,
    pushes::{pushed, pushing},
    *,
};
use crate::service::wire::warning as told;

const HOUR: i64 = 3_600_000_000;

/// As often as it can be.
fn open(folder: &Path, now: &Arc<AtomicI64>) -> Ledger {
    let pushing = pushing(now);
    let clock = pushing.clock.clone();
    let opening =
        Opening { clock, snapshot_bytes: 1, inbox: Duration::from_secs(30 * 3600), pushing: Some(pushing) };
    Ledger::open_with(folder, opening).unwrap()
}

/// All that anybody can see.
#[derive(Debug, PartialEq)]
struct Seen {
    warnings: Vec<String>,
    by_alert: Vec<Option<u32>>,
    of_customers: Vec<Vec<u32>>,
    standing: Vec<Vec<Stands>>,
    changes: Vec<(u64, String)>,
    pushes: Vec<(u64, String)>,
    inbox: Vec<String>,
    /// Of a reader, page by page.
    of_reader: Vec<(Vec<String>, Option<u32>)>,
    position: Option<i64>,
}

fn seen(ledger: &Ledger) -> Seen {
    let (view, open) = (ledger.view(), ledger.open_warnings());
    let customers =
        ["c1", "c2", "x1"].map(|customer| Filter { customer: Some(customer.into()), ..Filter::default() });
    let unsent = ledger.pushes().after(0, usize::MAX, Duration::ZERO).unwrap();
    let push = |push: &crate::delivery::Push| format!("{:?}", push.wire(view).unwrap());
    let of = PushFilter { reader: Some("unassigned".into()), kind: None };
    let page = |before| ledger.inbox().page("001", &of, before, 2);
    Seen {
        warnings: all(ledger).iter().map(|w| format!("{w:?} {:?}", told(w, view).unwrap())).collect(),
        by_alert: (0..90)
            .map(|n| Some(view.get("001", format!("{n:032x}").parse().unwrap())?.number))
            .collect(),
        of_customers: customers
            .iter()
            .map(|of| view.page("001", of, None, 99).warnings.iter().map(|w| w.number).collect())
            .collect(),
        standing: ["c1", "c2", "x1"].map(|customer| open.of("001", customer).to_vec()).to_vec(),
        changes: ledger
            .outbox()
            .after(0, usize::MAX, Duration::ZERO)
            .unwrap()
            .iter()
            .map(|c| (c.sequence, crate::feed::change_json(c).to_string()))
            .collect(),
        pushes: unsent.iter().map(|unsent| (unsent.sequence, push(&unsent.what))).collect(),
        inbox: ledger
            .inbox()
            .page("001", &PushFilter::default(), None, 999)
            .pushes
            .iter()
            .map(|p| push(p))
            .collect(),
        of_reader: std::iter::successors(Some(page(None)), |last| {
            last.before.map(|before| page(Some(before)))
        })
        .map(|page| (page.pushes.iter().map(|p| push(p)).collect(), page.before))
        .collect(),
        position: ledger.position("alerts", 0),
    }
}

/// A step of a life: alerts, changes, ticks, what was sent, a while.
fn step(ledger: &Ledger, now: &AtomicI64, rng: &mut ChaCha8Rng, n: u64) {
    now.fetch_add(rng.random_range(0..3 * HOUR), Ordering::AcqRel);
    match rng.random_range(0..8) {
        0..4 => {
            let at = Position { topic: "alerts".into(), partition: 0, next: n as i64 };
            let customer = |rng: &mut ChaCha8Rng| ["c1", "c2", "x1"][rng.random_range(0..3)];
            let alerts = (0..rng.random_range(1..5)).map(|_| {
                let mut alert = alert(
                    rng.random_range(0..90),
                    ["001", "001", "002"][rng.random_range(0..3)],
                    customer(rng),
                )
                .alert()
                .as_ref()
                .clone();
                alert.key = ["", "k1", "k2"][rng.random_range(0..3)].into();
                alert.en = format!("it says {n}");
                alert.group = ["", "g"][rng.random_range(0..2)].into();
                NewAlert::new(alert, &Inspections::default(), 0).unwrap()
            });
            ledger.take_now(alerts.collect(), Some(at)).unwrap();
        }
        4..6 => {
            let to = State::ALL[rng.random_range(0..5)];
            // Some are asked for again.
            let change = change(&format!("r{}", rng.random_range(0..=n)), rng.random_range(0..90), to);
            let _ = make(ledger, change).unwrap();
        }
        6 => ledger.tick_now().unwrap(),
        _ => {
            let first = |sequences: Vec<u64>| sequences.first().copied().unwrap_or(0);
            ledger.sent(first(unsent(ledger).iter().map(|(n, _)| *n).collect()));
            let pushes = ledger.pushes().after(0, 3, Duration::ZERO).unwrap();
            ledger.pushed(first(pushes.iter().map(|push| push.sequence).collect()));
            ledger.take_now(Vec::new(), None).unwrap();
        }
    }
}

fn copy(from: &Path, to: &Path, without: &str) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_name() != without && file.file_name() != "warnings.lock" {
            // A snapshot may come and go while it is looked for.
            let _ = fs::copy(file.path(), to.join(file.file_name()));
        }
    }
}

const SNAPSHOT: &str = "warnings.snapshot";

/// Wherever it is killed: what is found with the snapshot, and gone on with, is what is found without.
#[test]
fn a_snapshot_changes_nothing() {
    let seed = std::env::var("TARIM_SEED").map_or_else(|_| rand::random(), |s| s.parse().unwrap());
    println!("TARIM_SEED={seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut with_one = 0;
    for _ in 0..6 {
        let (folder, now) = (tempfile::tempdir().unwrap(), Arc::<AtomicI64>::default());
        let mut ledger = open(folder.path(), &now);
        for n in 0..60 {
            if rng.random_ratio(1, 8) {
                drop(ledger);
                ledger = open(folder.path(), &now);
            }
            step(&ledger, &now, &mut rng, n);
            if !rng.random_ratio(1, 6) {
                continue;
            }
            // Killed here, perhaps in the middle of a write of either file.
            let (with, without) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            copy(folder.path(), with.path(), "warnings.snapshot.new");
            with_one += usize::from(with.path().join(SNAPSHOT).exists());
            let log = with.path().join("warnings.ledger");
            let bytes = fs::read(&log).unwrap();
            let torn: Vec<u8> = (0..rng.random_range(0..40)).map(|_| rng.random()).collect();
            fs::write(&log, [bytes, torn.clone()].concat()).unwrap();
            fs::write(with.path().join("warnings.snapshot.new"), torn).unwrap();
            copy(with.path(), without.path(), SNAPSHOT);
            let ours = open(with.path(), &now);
            let theirs = open(without.path(), &now);
            assert_eq!(seen(&ours), seen(&theirs), "step {n}");
            assert_eq!(seen(&ours), seen(&ledger), "step {n}");
            let mut again = rng.clone();
            for n in n + 1..n + 5 {
                let before = now.load(Ordering::Acquire);
                step(&ours, &now, &mut rng, n);
                now.store(before, Ordering::Release);
                step(&theirs, &now, &mut again, n);
                assert_eq!(seen(&ours), seen(&theirs), "gone on with, {n}");
            }
            now.store(now.load(Ordering::Acquire), Ordering::Release);
        }
    }
    assert!(with_one > 10, "only {with_one} were opened with a snapshot");
}

/// A byte is another, or the file is cut: it is passed over, and the log has everything.
#[test]
fn a_damaged_snapshot_is_passed_over() {
    let (folder, now) = (tempfile::tempdir().unwrap(), Arc::<AtomicI64>::default());
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let ledger = open(folder.path(), &now);
    (0..60).for_each(|n| step(&ledger, &now, &mut rng, n));
    let wanted = seen(&ledger);
    drop(ledger);
    let (snapshot, log) = (folder.path().join(SNAPSHOT), folder.path().join("warnings.ledger"));
    let whole = fs::read(&snapshot).unwrap();
    let opening = Opening { inbox: Duration::from_secs(3600), ..Opening::default() };
    let is_good = || load(folder.path(), opening.inbox).bytes > 0;
    assert!(is_good());
    // Not every one: there are tens of thousands.
    for byte in (0..whole.len()).step_by(whole.len() / 300) {
        let mut damaged = whole.clone();
        damaged[byte] ^= 1 << (byte % 8);
        fs::write(&snapshot, damaged).unwrap();
        assert!(!is_good(), "byte {byte}");
        fs::write(&snapshot, &whole[..byte]).unwrap();
        assert!(!is_good(), "cut at {byte}");
    }
    fs::write(&snapshot, [&whole[..], b"x"].concat()).unwrap();
    assert!(!is_good());
    assert_eq!(seen(&open(folder.path(), &now)), wanted);
    // A log that is shorter, or another.
    fs::write(&snapshot, &whole).unwrap();
    let bytes = fs::read(&log).unwrap();
    let at = load(folder.path(), opening.inbox).start.at as usize;
    for other in
        [bytes[..at - 1].to_vec(), [&bytes[..at - 1], b"xyz"].concat(), [&bytes[..8], &[1; 40]].concat()]
    {
        fs::write(&log, other).unwrap();
        assert!(!is_good());
    }
    fs::remove_file(&log).unwrap();
    assert!(!is_good());
    assert_eq!(all(&Ledger::open(folder.path()).unwrap()).len(), 0, "the log is the truth");
}

/// Longer inboxes than it has are read from the log.
#[test]
fn an_inbox_that_is_to_be_longer_is_read_anew() {
    let (folder, now) = (tempfile::tempdir().unwrap(), Arc::<AtomicI64>::default());
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let ledger = open(folder.path(), &now);
    (0..200).for_each(|n| step(&ledger, &now, &mut rng, n));
    let pushes = pushed(&ledger).len();
    drop(ledger);
    let inbox = |hours: u64| {
        let opening = Opening {
            inbox: Duration::from_secs(3600 * hours),
            clock: Clock::Set(now.clone()),
            ..Opening::default()
        };
        assert_eq!(load(folder.path(), opening.inbox).bytes > 0, hours <= 30);
        let ledger = Ledger::open_with(folder.path(), opening).unwrap();
        ledger.inbox().page("001", &PushFilter::default(), None, 999).pushes.len()
    };
    let (short, long) = (inbox(30), inbox(30_000));
    assert!(short < long && long > pushes / 2, "{short} of {long}");
}
