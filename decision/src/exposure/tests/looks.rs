//! Who looks before the disk has it, and who waits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
        mpsc::{self, TryRecvError},
    },
    thread,
};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::world::{self, MINUTE};
use crate::{
    exposure::{
        Attribute, Config, Core, Filter, Ledger, LedgerError, Operation, Prepared, Reserve, scheme::SchemeSet,
    },
    journal::power::{Fault, Power},
};

fn open(disk: &Power) -> Ledger {
    let config = Config { snapshot_every: 0, ..Config::new(Arc::new(|| MINUTE)) };
    let ledger = Ledger::open_on(Arc::new(disk.clone()), config).unwrap();
    ledger.adopt(world::schemes(0, &mut ChaCha8Rng::seed_from_u64(0))).unwrap();
    ledger
}

fn reserve(exposure: &str) -> Prepared {
    Prepared::new(Operation::Reserve(Reserve {
        member: "001".into(),
        exposure: exposure.into(),
        customer: "c1".into(),
        attributes: ["industry", "product", "purpose"].map(|name| Attribute::new(name, "none")).to_vec(),
        fen: 1,
        expires_us: 0,
    }))
}

/// How many exposures are seen.
type Seen = Result<u32, LedgerError>;

fn seen(tell: &mpsc::Sender<Seen>) -> impl FnOnce(Result<&Core, LedgerError>) + Send + 'static {
    let tell = tell.clone();
    move |core| tell.send(core.map(Core::exposures)).unwrap()
}

#[test]
fn a_peek_answers_while_a_sync_is_held_and_a_question_does_not() {
    let disk = Power::default();
    let ledger = open(&disk);
    let ((peeked, peeks), (asked, asks)) = (mpsc::channel(), mpsc::channel());
    let (told, answers) = mpsc::channel();
    disk.hold_syncs(true);
    for (n, exposure) in ["e1", "e2", "e3"].into_iter().enumerate() {
        let told = told.clone();
        ledger.submit(reserve(exposure), move |answer| told.send(answer).unwrap());
        disk.wait_for_held_sync();
        ledger.look(seen(&asked));
        // Behind it in the queue, and answered before it.
        ledger.peek(seen(&peeked));
        assert_eq!(peeks.recv().unwrap().unwrap(), n as u32 + 1);
        assert_eq!(asks.try_recv().unwrap_err(), TryRecvError::Empty);
    }
    // Neither waits for what else needs a sync.
    let snapshot = thread::scope(|scope| {
        let snapshot = scope.spawn(|| ledger.snapshot());
        ledger.peek(seen(&peeked));
        assert_eq!(peeks.recv().unwrap().unwrap(), 3);
        assert!(answers.try_recv().is_err(), "nothing is durable");
        disk.hold_syncs(false);
        snapshot.join().unwrap()
    });
    assert_eq!(snapshot.unwrap(), 4, "the schemes, and three exposures");
    // Each sees the ledger of when it asked.
    let all: Vec<u32> = asks.iter().take(3).map(Result::unwrap).collect();
    assert_eq!(all, [1, 2, 3]);
    assert!(answers.iter().take(3).all(|answer| answer.is_ok()));
    // Nothing is on its way: whoever asks is told as soon as who peeks.
    ledger.look(seen(&asked));
    assert_eq!(asks.recv().unwrap().unwrap(), 3);
}

#[test]
fn what_never_became_durable_is_told_to_nobody_who_asks() {
    let disk = Power::default();
    let ledger = open(&disk);
    let ((peeked, peeks), (asked, asks)) = (mpsc::channel(), mpsc::channel());
    disk.hold_syncs(true);
    let (told, answers) = mpsc::channel();
    ledger.submit(reserve("e1"), move |answer| told.send(answer).unwrap());
    disk.wait_for_held_sync();
    ledger.look(seen(&asked));
    ledger.peek(seen(&peeked));
    assert_eq!(peeks.recv().unwrap().unwrap(), 1);
    disk.fail_after(0, Fault::PowerCut);
    disk.hold_syncs(false);
    assert!(answers.recv().unwrap().is_err());
    assert!(asks.recv().unwrap().is_err());
    assert!(ledger.snapshot().is_err());
    assert!(ledger.close().is_err());
    disk.restart(&mut ChaCha8Rng::seed_from_u64(0));
    // It may be there or not; whoever was answered is.
    let exposures = open(&disk).view().unwrap().exposures();
    assert!(exposures <= 1, "{exposures}");
}

/// Whoever says again what is in force is told when that is durable.
#[test]
fn schemes_that_are_in_force_are_answered_when_they_are_durable() {
    let disk = Power::default();
    let ledger = open(&disk);
    let (told, answers) = mpsc::channel();
    disk.hold_syncs(true);
    ledger.submit(reserve("e1"), |answer| drop(answer.unwrap()));
    disk.wait_for_held_sync();
    let schemes = (*world::schemes(0, &mut ChaCha8Rng::seed_from_u64(0))).clone();
    let adopt = Operation::Adopt(crate::exposure::Adopt { schemes: Some(schemes) });
    ledger.submit(Prepared::new(adopt), move |answer| told.send(answer).unwrap());
    let (peeked, peeks) = mpsc::channel();
    ledger.peek(seen(&peeked));
    assert_eq!(peeks.recv().unwrap().unwrap(), 1);
    assert_eq!(answers.try_recv().unwrap_err(), TryRecvError::Empty);
    disk.hold_syncs(false);
    assert_eq!(answers.recv().unwrap().unwrap().sequence, 2);
}

/// A limit begins while nothing is done: whoever looks sees it at once.
#[test]
fn a_look_sees_the_limits_of_its_own_time() {
    let (ledger, clock) = limited_for_a_while();
    let outlook = |core: &Core| core.outlook(&reserve("e1"), core.now_us()).unwrap().len();
    for (minute, limits) in [(49, 0), (50, 1), (89, 1), (90, 0)] {
        clock.store(minute * MINUTE, Ordering::Relaxed);
        let (peeked, peek) = mpsc::channel();
        ledger.peek(move |core| peeked.send(core.map(outlook)).unwrap());
        assert_eq!(peek.recv().unwrap().unwrap(), limits, "{minute}");
        assert_eq!(ledger.ask(outlook).unwrap(), limits, "{minute}");
    }
}

/// The same at a glance, before anybody has peeked at that time.
#[test]
fn a_glance_sees_the_limits_of_its_own_time() {
    let (ledger, clock) = limited_for_a_while();
    let outlook = |core: &Core, now_us| core.outlook(&reserve("e1"), now_us).unwrap().len();
    // Nor does time go back.
    for (minute, limits) in [(49, 0), (50, 1), (49, 1), (89, 1), (90, 0), (89, 0)] {
        clock.store(minute * MINUTE, Ordering::Relaxed);
        assert_eq!(ledger.glance(outlook), Some(limits), "{minute}");
    }
}

/// Where the ledger's thread has broken down nobody is told how counters stood before.
#[test]
fn nobody_glances_at_a_ledger_that_broke_down() {
    let (late, never) =
        (Arc::new(AtomicBool::new(false)), || panic!("the test wants its thread to break down"));
    let at = late.clone();
    let clock = move || match at.swap(false, Ordering::Relaxed) {
        true => never(),
        false => MINUTE,
    };
    let config = Config { snapshot_every: 0, ..Config::new(Arc::new(clock)) };
    let ledger = Ledger::open_on(Arc::new(Power::default()), config).unwrap();
    ledger.adopt(world::schemes(0, &mut ChaCha8Rng::seed_from_u64(0))).unwrap();
    let seen = || ledger.glance(|core, _| core.exposures());
    assert_eq!(seen(), Some(0));
    late.store(true, Ordering::Relaxed);
    // Its thread asks what time it is, and is gone.
    assert!(ledger.call(reserve("e1").operation().clone()).is_err());
    assert!(ledger.close().is_err());
    assert_eq!(seen(), None);
}

#[test]
fn a_glance_waits_for_nobody() {
    let disk = Power::default();
    let ledger = open(&disk);
    let seen = || ledger.glance(|core, _| core.exposures());
    disk.hold_syncs(true);
    ledger.submit(reserve("e1"), |answer| drop(answer.unwrap()));
    disk.wait_for_held_sync();
    assert_eq!(seen(), Some(1), "what is in memory, though no disk has it");
    disk.hold_syncs(false);
    let held = ledger.hold();
    assert_eq!(seen(), None, "it is being changed");
    drop(held);
    assert_eq!(seen(), Some(1));
    ledger.close().unwrap();
    assert_eq!(seen(), None, "closed");
}

/// What has expired holds no room, and it is the ledger's thread that gives it back: who glances asks it.
#[test]
fn a_glance_leaves_what_has_expired_to_the_ledger() {
    let clock = Arc::new(AtomicI64::new(MINUTE));
    let at = clock.clone();
    let config = Config { snapshot_every: 0, ..Config::new(Arc::new(move || at.load(Ordering::Relaxed))) };
    let ledger = Ledger::open_on(Arc::new(Power::default()), config).unwrap();
    ledger.adopt(world::schemes(0, &mut ChaCha8Rng::seed_from_u64(0))).unwrap();
    let Operation::Reserve(expiring) = reserve("e1").operation().clone() else { unreachable!() };
    ledger.call(Operation::Reserve(Reserve { expires_us: 5 * MINUTE, ..expiring })).unwrap();
    let held = |core: &Core| core.exposure("001", "e1").unwrap().reserved_fen;
    assert_eq!(ledger.glance(|core, _| held(core)), Some(1));
    clock.store(5 * MINUTE, Ordering::Relaxed);
    // It may have woken and given it back meanwhile; room that has expired is seen by nobody.
    assert!(matches!(ledger.glance(|core, _| held(core)), None | Some(0)));
    let (peeked, peek) = mpsc::channel();
    ledger.peek(move |core| peeked.send(core.map(held)).unwrap());
    assert_eq!(peek.recv().unwrap().unwrap(), 0);
    assert_eq!(ledger.glance(|core, _| held(core)), Some(0));
}

/// Whoever glances while others reserve sees whole operations: what the exposures hold is what the counters say.
#[test]
fn a_glance_sees_no_half_of_an_operation() {
    const EXPOSURES: u32 = 2000;
    let ledger = open(&Power::default());
    ledger.adopt(Arc::new(one_limit(i64::MIN, i64::MAX, EXPOSURES.into()))).unwrap();
    let seen = |core: &Core, _| {
        let used: i64 = core.utilisation(Filter::default()).map(|counter| counter.used_fen).sum();
        (core.exposures(), used)
    };
    thread::scope(|scope| {
        let others = scope.spawn(|| {
            for n in 0..EXPOSURES {
                ledger.call(reserve(&format!("e{n}")).operation().clone()).unwrap();
            }
        });
        let mut last = 0;
        while !others.is_finished() {
            let Some((exposures, used)) = ledger.glance(seen) else { continue };
            assert_eq!(i64::from(exposures), used);
            assert!(exposures >= last, "the ledger goes on");
            last = exposures;
        }
    });
    assert_eq!(ledger.glance(seen), Some((EXPOSURES, EXPOSURES.into())));
}

/// Schemes with one limit for all that a member lends.
fn one_limit(from_us: i64, to_us: i64, hard_fen: i64) -> SchemeSet {
    let mut schemes = (*world::schemes(0, &mut ChaCha8Rng::seed_from_u64(0))).clone();
    schemes.schemes.truncate(1);
    let scheme = &mut schemes.schemes[0];
    (scheme.from_us, scheme.to_us) = (from_us, to_us);
    (scheme.per, scheme.conditions) = (Vec::new(), Vec::new());
    scheme.lines.iter_mut().for_each(|lines| lines.hard_fen = hard_fen);
    schemes
}

/// A ledger with one limit, which is in force from minute 50 to minute 90, and its clock.
fn limited_for_a_while() -> (Ledger, Arc<AtomicI64>) {
    let clock = Arc::new(AtomicI64::new(MINUTE));
    let at = clock.clone();
    let config = Config::new(Arc::new(move || at.load(Ordering::Relaxed)));
    let ledger = Ledger::open_on(Arc::new(Power::default()), config).unwrap();
    ledger.adopt(Arc::new(one_limit(50 * MINUTE, 90 * MINUTE, 1000))).unwrap();
    (ledger, clock)
}
