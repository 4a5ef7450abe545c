//! The ledger as a whole; its file in [`disk`], its readers in [`readers`], what alerts say in
//! [`bodies`], those of another process in
//! [`follow`], what it pushes in [`pushes`].

mod bodies;
mod disk;
mod follow;
mod pushes;
mod readers;
mod snapshot;

use std::{path::Path, sync::mpsc, time::Duration};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tarim_proto::warning::v1::{Alert, Level};

use super::{log::Start, *};
use crate::{
    clock::Clock,
    lifecycle::{Changed, Inspections, Refused, State, Warning},
};

fn alert(n: u64, member: &str, customer: &str) -> NewAlert {
    let alert = Alert {
        alert_id: format!("{n:032x}"),
        member: member.into(),
        customer_id: customer.into(),
        rule_id: "W1".into(),
        level: Level::Red.into(),
        raised_at_us: n as i64,
        ..Alert::default()
    };
    NewAlert::new(alert, &Inspections::default(), 0).unwrap()
}

fn change(request: &str, warning: u64, to: State) -> NewChange {
    NewChange {
        member: "001".into(),
        request: request.into(),
        warning: format!("{warning:032x}").parse().unwrap(),
        to,
        by: "zhang".into(),
        at_us: 7,
        why: "called".into(),
    }
}

fn make(ledger: &Ledger, change: NewChange) -> ChangeAnswer {
    let (sender, receiver) = mpsc::channel();
    ledger.change(change, move |answer| sender.send(answer).unwrap());
    receiver.recv().unwrap()
}

/// All warnings of both members, the newest first.
fn all(ledger: &Ledger) -> Vec<Arc<Warning>> {
    let page = |member| ledger.view().page(member, &Filter::default(), None, usize::MAX).warnings;
    [page("001"), page("002")].concat()
}

fn unsent(ledger: &Ledger) -> Vec<(u64, String)> {
    let changes = ledger.outbox().after(0, usize::MAX, Duration::ZERO).unwrap();
    changes.iter().map(|c| (c.sequence, c.warning.change_id(c.step))).collect()
}

fn some_alerts(rng: &mut ChaCha8Rng) -> Vec<NewAlert> {
    let one = |rng: &mut ChaCha8Rng| {
        let (member, customer) =
            (["001", "002"][rng.random_range(0..2)], ["c1", "c2"][rng.random_range(0..2)]);
        alert(rng.random_range(0..60), member, customer)
    };
    (0..rng.random_range(1..4)).map(|_| one(rng)).collect()
}

/// Alerts and changes, as they come; those that are refused too.
fn some_life(ledger: &Ledger, rng: &mut ChaCha8Rng, steps: usize) {
    for step in 0..steps {
        if rng.random() {
            let at = Position { topic: "alerts".into(), partition: 0, next: step as i64 };
            ledger.take_now(some_alerts(rng), Some(at)).unwrap();
        } else {
            let to = State::ALL[rng.random_range(0..5)];
            // Refused or not is for the life-cycle's own tests.
            let _ = make(ledger, change(&format!("r{step}"), rng.random_range(0..60), to)).unwrap();
        }
        if rng.random_ratio(1, 10) {
            ledger.sent(unsent(ledger).first().map_or(0, |(sequence, _)| *sequence));
        }
    }
}

#[test]
fn everything_is_there_after_a_restart() {
    for seed in 0..20 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let folder = tempfile::tempdir().unwrap();
        let mut before = None;
        for _ in 0..3 {
            let ledger = Ledger::open(folder.path()).unwrap();
            if let Some((warnings, unsent, position)) = before {
                assert_eq!(all(&ledger), warnings, "seed {seed}");
                assert_eq!(self::unsent(&ledger), unsent, "seed {seed}");
                assert_eq!(ledger.position("alerts", 0), position, "seed {seed}");
            }
            some_life(&ledger, &mut rng, 40);
            // What was handed over last is applied when this is.
            ledger.take_now(Vec::new(), None).unwrap();
            before = Some((all(&ledger), unsent(&ledger), ledger.position("alerts", 0)));
            ledger.close().unwrap();
        }
    }
}

#[test]
fn a_request_is_answered_once_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    ledger.take_now(vec![alert(1, "001", "c1")], None).unwrap();
    let ack = change("r1", 1, State::Acknowledged);
    let Ok(Ok(Changed::Made(first))) = make(&ledger, ack.clone()) else { panic!("it is open") };
    let _ = make(&ledger, change("r2", 1, State::Disposed)).unwrap().unwrap();
    drop(ledger);
    let ledger = Ledger::open(folder.path()).unwrap();
    let again = make(&ledger, NewChange { at_us: 99, ..ack.clone() });
    assert_eq!(again.unwrap(), Ok(Changed::Before(first)));
    let other = NewChange { why: "wrote".into(), ..ack };
    assert_eq!(make(&ledger, other).unwrap(), Err(Refused::Differs));
    let late = make(&ledger, change("r3", 1, State::Escalated)).unwrap();
    assert_eq!(late, Err(Refused::NotAllowed { from: State::Disposed, to: State::Escalated }));
}

#[test]
fn alerts_that_are_known_are_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let size = || std::fs::metadata(folder.path().join("warnings.ledger")).unwrap().len();
    let ledger = Ledger::open(folder.path()).unwrap();
    let alerts = || vec![alert(1, "001", "c1"), alert(2, "001", "c1"), alert(1, "001", "c1")];
    let taken = ledger.take_now(alerts(), None).unwrap();
    assert_eq!(taken, Taken { opened: 1, repeated: 1, known: 1 });
    let before = size();
    assert_eq!(ledger.take_now(alerts(), None).unwrap(), Taken { opened: 0, repeated: 0, known: 3 });
    assert_eq!(size(), before);
}

#[test]
fn what_was_not_sent_is_sent_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    // A repeat is no change.
    ledger.take_now(vec![alert(1, "001", "c1"), alert(2, "001", "c2"), alert(3, "001", "c2")], None).unwrap();
    let _ = make(&ledger, change("r1", 2, State::Acknowledged)).unwrap().unwrap();
    let changes = |numbers: &[(u64, u64, usize)]| -> Vec<(u64, String)> {
        numbers.iter().map(|(n, warning, step)| (*n, format!("{warning:032x}-{step}"))).collect()
    };
    assert_eq!(unsent(&ledger), changes(&[(1, 1, 0), (2, 2, 0), (3, 2, 1)]));
    ledger.sent(2);
    drop(ledger);
    let ledger = Ledger::open(folder.path()).unwrap();
    assert_eq!(unsent(&ledger), changes(&[(3, 2, 1)]));
    let _ = make(&ledger, change("r2", 2, State::Escalated)).unwrap().unwrap();
    assert_eq!(unsent(&ledger), changes(&[(3, 2, 1), (4, 2, 2)]));
    let after = ledger.outbox().after(3, 10, Duration::ZERO).unwrap();
    assert_eq!((after.len(), after[0].sequence), (1, 4));
    ledger.close().unwrap();
    assert_eq!(ledger.outbox().after(4, 10, Duration::MAX), None, "nothing will come");
}

#[test]
fn a_folder_has_one_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    assert!(matches!(Ledger::open(folder.path()), Err(LedgerError::InUse { .. })));
    ledger.close().unwrap();
    assert!(!ledger.is_open());
    assert!(matches!(&*ledger.take_now(Vec::new(), None).unwrap_err(), LedgerError::Closed(_)));
    drop(ledger);
    Ledger::open(folder.path()).unwrap();
}

/// All that a folder's ledger did, as it is read.
fn contents(folder: &Path) -> Result<Vec<Vec<u8>>, LedgerError> {
    let mut records = Vec::new();
    Log::open(folder, Start::default(), &mut |_, record| {
        records.push(record.to_vec());
        Ok(())
    })?;
    Ok(records)
}
