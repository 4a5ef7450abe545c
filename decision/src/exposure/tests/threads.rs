//! Many threads at once, with snapshots, re-counts and views meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    core::{over, states},
    world::{self, MINUTE},
};
use crate::{
    exposure::{
        Adopt, Commit, Config, Ledger, LedgerError, Operation, Prepared, Refusal, Release, Repay, Reserve,
        machine,
    },
    journal::{
        Disk,
        power::{Fault, Power},
    },
};

fn config(clock: &Arc<AtomicI64>) -> Config {
    let clock = clock.clone();
    Config {
        queue: 64,
        segment_bytes: 20_000,
        snapshot_every: 500,
        ..Config::new(Arc::new(move || clock.load(Ordering::Relaxed)))
    }
}

#[test]
fn nothing_is_oversold_or_lost_among_many_threads() {
    let clock = Arc::new(AtomicI64::new(MINUTE));
    let disk = Power::default();
    let ledger = Ledger::open_on(Arc::new(disk.clone()), config(&clock)).unwrap();
    // Schemes that are always in force, so that none can be over its line before.
    let schemes: Vec<_> = (0..3)
        .map(|i| {
            let mut schemes = (*world::schemes(i, &mut ChaCha8Rng::seed_from_u64(i.into()))).clone();
            schemes.schemes.iter_mut().for_each(|s| (s.from_us, s.to_us) = (i64::MIN, i64::MAX));
            // The lines stay as wide, so a change of schemes puts nothing over.
            schemes
                .schemes
                .iter_mut()
                .flat_map(|s| &mut s.lines)
                .for_each(|l| (l.warning_fen, l.hard_fen) = (3000, 4000));
            Arc::new(schemes)
        })
        .collect();
    ledger.adopt(schemes[0].clone()).unwrap();
    let (done, breached, busy) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for number in 0..12 {
            let (ledger, clock, done, breached, busy) = (&ledger, &clock, &done, &breached, &busy);
            scope.spawn(move || {
                let mut rng = ChaCha8Rng::seed_from_u64(number);
                for step in 0..120 {
                    clock.fetch_add(rng.random_range(0..MINUTE / 40), Ordering::Relaxed);
                    // Two threads each share the names of exposures: of the same operation both get the same answer.
                    let operation = operation(number / 2, step, &mut rng);
                    match ledger.call(operation.clone()) {
                        Ok(answer) => {
                            assert_eq!(ledger.call(operation).unwrap(), answer, "asked again");
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(LedgerError::Refused(Refusal::Breached(_))) => {
                            _ = breached.fetch_add(1, Ordering::Relaxed)
                        }
                        Err(LedgerError::Refused(_)) => {}
                        Err(LedgerError::Busy) => _ = busy.fetch_add(1, Ordering::Relaxed),
                        Err(e) => panic!("{e}"),
                    }
                }
            });
        }
        for step in 0..20 {
            let view = ledger.view().unwrap();
            view.verify().unwrap();
            if step == 10 {
                ledger.adopt(schemes[1].clone()).unwrap();
            } else if step < 10 {
                assert_eq!(over(&view), None, "oversold");
            }
            match ledger.snapshot() {
                Ok(_) | Err(LedgerError::Busy) => {}
                Err(e) => panic!("{e}"),
            }
        }
    });
    assert!(done.load(Ordering::Relaxed) > 200 && breached.load(Ordering::Relaxed) > 20);
    let before = ledger.view().unwrap();
    before.verify().unwrap();
    ledger.close().unwrap();
    assert!(matches!(
        ledger.call(operation(0, 0, &mut ChaCha8Rng::seed_from_u64(0))),
        Err(LedgerError::Closed(_))
    ));
    let reopened = Ledger::open_on(Arc::new(disk), config(&clock)).unwrap();
    assert_eq!(states(&reopened.view().unwrap()), states(&before));
}

fn operation(of: u64, step: u64, rng: &mut ChaCha8Rng) -> Operation {
    let (member, key) = (["001", "002"][(of % 2) as usize].to_owned(), format!("k{step}"));
    let exposure = format!("t{of}-{}", step / 4 * 4);
    // Attributes follow from the step alone, so that both threads say the same.
    let mut same = ChaCha8Rng::seed_from_u64(of * 1000 + step);
    let fen = same.random_range(1..300);
    match step % 4 {
        0 => {
            let mut attributes = Vec::new();
            for (name, values) in [
                ("industry", ["6621", "J"]),
                ("product", ["farm_loan", "none"]),
                ("purpose", ["travel", "business"]),
            ] {
                attributes.push(crate::exposure::Attribute::new(name, values[same.random_range(0..2)]));
            }
            let customer = format!("c{}", same.random_range(0..4));
            Operation::Reserve(Reserve {
                member,
                exposure,
                customer,
                attributes,
                fen,
                expires_us: 20 * MINUTE,
            })
        }
        1 => Operation::Commit(Commit { member, exposure, key, fen, grow: true }),
        2 if rng.random() => Operation::Repay(Repay { member, exposure, key, fen: 1 }),
        _ => Operation::Release(Release { member, exposure, key: format!("{key}r"), fen: 0 }),
    }
}

#[test]
fn a_full_queue_refuses_at_once_and_a_failed_disk_closes_the_ledger() {
    let clock = Arc::new(AtomicI64::new(MINUTE));
    let disk = Power::default();
    let ledger = Ledger::open_on(Arc::new(disk.clone()), Config { queue: 4, ..config(&clock) }).unwrap();
    ledger.adopt(world::schemes(0, &mut ChaCha8Rng::seed_from_u64(0))).unwrap();
    disk.hold_syncs(true);
    let (sender, answers) = mpsc::channel();
    let submit = |step: u64| {
        let sender = sender.clone();
        let operation = operation(step, 0, &mut ChaCha8Rng::seed_from_u64(0));
        ledger.submit(Prepared::new(operation), move |result| sender.send(result).unwrap());
    };
    submit(0);
    disk.wait_for_held_sync();
    (1..=4).for_each(submit);
    submit(5);
    assert!(matches!(answers.recv().unwrap(), Err(LedgerError::Busy)), "the first that is told is the last");
    disk.fail_after(0, Fault::SyncFails);
    disk.hold_syncs(false);
    for _ in 0..5 {
        let answer = answers.recv().unwrap();
        assert!(matches!(answer, Err(LedgerError::Disk(_) | LedgerError::Closed(_))), "{answer:?}");
    }
    // However many try it from then on: it is closed, not busy.
    for _ in 0..20 {
        let answer = ledger.call(operation(9, 0, &mut ChaCha8Rng::seed_from_u64(0)));
        assert!(matches!(answer, Err(LedgerError::Disk(_) | LedgerError::Closed(_))), "{answer:?}");
    }
    assert!(ledger.close().is_err());
    assert!(!ledger.is_open());
}

/// What is written and waits for its sync can be read, and nobody is told of it.
#[test]
fn what_was_is_told_of_what_is_durable() {
    let clock = Arc::new(AtomicI64::new(MINUTE));
    let disk = Power::default();
    let ledger = Ledger::open_on(Arc::new(disk.clone()), config(&clock)).unwrap();
    let schemes = |seed| world::schemes(seed, &mut ChaCha8Rng::seed_from_u64(seed.into()));
    ledger.adopt(schemes(0)).unwrap();
    assert_eq!(ledger.as_of(i64::MAX).unwrap().sequence(), 1);
    disk.hold_syncs(true);
    thread::scope(|scope| {
        let adopted = scope.spawn(|| ledger.adopt(schemes(1)));
        disk.wait_for_held_sync();
        let asked = scope.spawn(|| ledger.as_of(i64::MAX).map(|core| core.sequence()));
        let written: Arc<dyn Disk> = Arc::new(disk.clone());
        let found =
            [0, 1, 2, u64::MAX].map(|last| machine::as_of(&written, i64::MAX, last).unwrap().sequence());
        // Who does not wait has read it by now.
        (0..10_000).for_each(|_| thread::yield_now());
        let waits = !asked.is_finished();
        disk.fail_after(0, Fault::SyncFails);
        disk.hold_syncs(false);
        assert_eq!(found, [0, 1, 2, 2]);
        assert!(waits, "it waits for the disk");
        assert!(adopted.join().unwrap().is_err());
        let told = asked.join().unwrap();
        assert!(told.is_err(), "nobody knows what is on the disk: {told:?}");
    });
}

#[test]
fn who_panics_when_told_keeps_nobody_waiting() {
    let clock = Arc::new(AtomicI64::new(MINUTE));
    let ledger = Ledger::open_on(Arc::new(Power::default()), config(&clock)).unwrap();
    ledger.adopt(world::schemes(0, &mut ChaCha8Rng::seed_from_u64(0))).unwrap();
    let next = |of| operation(of, 0, &mut ChaCha8Rng::seed_from_u64(0));
    ledger.submit(Prepared::new(next(0)), |_| panic!("the test wants one that panics"));
    let answer = ledger.call(next(1));
    assert!(matches!(answer, Ok(_) | Err(LedgerError::Refused(_))), "{answer:?}");
    assert!(ledger.is_open());
    ledger.close().unwrap();
}

/// Whoever forgets the schemes must not free everybody of every limit.
#[test]
fn no_schemes_are_not_schemes_without_limits() {
    let clock = Arc::new(AtomicI64::new(MINUTE));
    let ledger = Ledger::open_on(Arc::new(Power::default()), config(&clock)).unwrap();
    let schemes = world::schemes(0, &mut ChaCha8Rng::seed_from_u64(0));
    ledger.adopt(schemes.clone()).unwrap();
    let refused = ledger.call(Operation::Adopt(Adopt { schemes: None }));
    assert!(matches!(refused, Err(LedgerError::Refused(Refusal::Invalid(_)))), "{refused:?}");
    assert_eq!(*ledger.view().unwrap().schemes(), schemes);
}
