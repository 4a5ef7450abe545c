//! Power cuts, full disks and failed syncs at random moments of many lives of a ledger, from a seed.
//!
//! After each the ledger is opened again and compared with a simple one that did what was answered: nothing that was
//! answered is lost, nothing is done twice, no counter is over its hard line, and counters are the sums of their exposures.

use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    core::{over, states, told},
    model::{Model, kind},
    world::{self, MINUTE},
};
use crate::{
    exposure::{
        error::LedgerError,
        machine::{self, Machine},
        operation::{Adopt, Answer, Operation, Prepared, Refusal, Reserve},
        snapshot,
    },
    journal::{
        Disk,
        power::{Fault, Power},
    },
};

const SEGMENT: u64 = 1500;

/// What is known of a ledger from outside.
#[derive(Clone, Default)]
struct World {
    model: Model,
    now_us: i64,
    /// Operations that were answered, with the answer.
    answered: Vec<(Operation, Answer)>,
    /// All that were ever asked for.
    asked: Vec<Operation>,
    /// A counter may be over its hard line: groups, or schemes, changed.
    excused: bool,
}

impl World {
    /// Does it in the model, and compares.
    fn take(&mut self, operation: &Operation, ours: Option<&Result<Answer, Refusal>>, what: &str) -> bool {
        let before = self.model.sequence;
        let theirs = match operation {
            Operation::Adopt(adopt) => {
                let large = self.model.adopt(Arc::new(adopt.schemes.clone().unwrap()));
                self.excused = true;
                Ok(Answer { sequence: self.model.sequence, warnings: Vec::new(), large })
            }
            other => self.model.apply(other, self.now_us),
        };
        self.excused |= matches!(operation, Operation::Regroup(_));
        if let Some(ours) = ours {
            match (ours, &theirs) {
                (Ok(ours), Ok(theirs)) => {
                    assert_eq!(ours.sequence, theirs.sequence, "{what}: {operation:?}");
                    assert_eq!(ours.large, theirs.large, "{what}: {operation:?}");
                    self.answered.push((operation.clone(), ours.clone()));
                }
                (Err(ours), Err(theirs)) => assert_eq!(kind(ours), *theirs, "{what}: {operation:?}"),
                (ours, theirs) => panic!("{what}: {operation:?}: {ours:?}, not {theirs:?}"),
            }
        }
        self.model.sequence > before
    }
}

#[derive(Default)]
struct Seen {
    crashes: u32,
    while_opening: u32,
    reopened_from_snapshot: u32,
    unsure_kept: u32,
    repeated: u32,
    expired: u32,
}

#[test]
fn a_ledger_survives_any_sequence_of_faults() {
    let mut seen = Seen::default();
    let mut seed = 0;
    while seen.crashes < 2_200 {
        lives(seed, &mut seen);
        seed += 1;
    }
    println!("crashes {} violations 0", seen.crashes);
    for (what, count) in [
        ("while opening", seen.while_opening),
        ("from a snapshot", seen.reopened_from_snapshot),
        ("kept what was not answered", seen.unsure_kept),
        ("asked again", seen.repeated),
        ("expired", seen.expired),
    ] {
        assert!(count > 20, "{what}: only {count} of {}", seen.crashes);
    }
}

/// Some lives of one ledger.
fn lives(seed: u64, seen: &mut Seen) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let power = Power::default();
    let disk: Arc<dyn Disk> = Arc::new(power.clone());
    let mut world = World { now_us: MINUTE, ..World::default() };
    // What may or may not have been done, in order, and the time of it.
    let mut unsure: Vec<Operation> = Vec::new();
    for life in 0..rng.random_range(2..7) {
        let what = format!("seed {seed}, life {life}");
        let fault = [Fault::PowerCut, Fault::PowerCut, Fault::Full, Fault::SyncFails][rng.random_range(0..4)];
        // In the first few operations, that is while opening; among the first groups; or somewhere in a snapshot.
        let most = [6, 1_500, 4_000, 12_000, 120_000][rng.random_range(0..5)];
        let budget = rng.random_range(0..most);
        power.fail_after(budget, fault);
        match Machine::open(disk.clone(), SEGMENT) {
            Ok(mut machine) => {
                settle(&mut world, &mut unsure, &machine, seen, &what);
                seen.reopened_from_snapshot +=
                    u32::from(!snapshot::numbers(&*disk).unwrap_or_default().is_empty());
                let ended = live(&mut world, &mut machine, &mut rng, seen, &what);
                seen.crashes += u32::from(ended.is_err());
                unsure = ended.err().unwrap_or_default();
            }
            Err(LedgerError::Disk(_)) => {
                seen.while_opening += 1;
                seen.crashes += 1;
            }
            Err(e) => panic!("{what}: {e}"),
        }
        // A process that is killed leaves what it wrote, a machine without power any of it.
        if rng.random() {
            power.restart(&mut rng);
        } else {
            power.restart_process();
        }
    }
    let machine = Machine::open(disk.clone(), SEGMENT).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    settle(&mut world, &mut unsure, &machine, seen, &format!("seed {seed}, at the end"));
    as_of_each(&world, &disk, machine.core().now_us(), &format!("seed {seed}"));
}

/// A ledger that was opened: it has everything that was answered, and of the group that was not a beginning.
fn settle(world: &mut World, unsure: &mut Vec<Operation>, machine: &Machine, seen: &mut Seen, what: &str) {
    let core = machine.core();
    assert!(core.sequence() >= world.model.sequence, "{what}: lost what was answered");
    for operation in unsure.drain(..) {
        if world.model.sequence == core.sequence() {
            break;
        }
        seen.unsure_kept += u32::from(world.take(&operation, None, what));
    }
    assert_eq!(core.sequence(), world.model.sequence, "{what}: it has what was never asked");
    check(world, machine, what);
}

fn check(world: &World, machine: &Machine, what: &str) {
    let core = machine.core();
    core.verify().unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(states(core), world.model.states(), "{what}");
    assert_eq!(told(core), world.model.events, "{what}");
    if !world.excused {
        assert_eq!(over(core), None, "{what}: oversold");
    }
}

/// Works until something fails: the error is what was asked and not answered.
fn live(
    world: &mut World,
    machine: &mut Machine,
    rng: &mut ChaCha8Rng,
    seen: &mut Seen,
    what: &str,
) -> Result<(), Vec<Operation>> {
    for step in 0..rng.random_range(1..60) {
        world.now_us += rng.random_range(0..2 * MINUTE);
        let mut group = Vec::new();
        if machine.core().sequence() == 0 || rng.random_range(0..40) == 0 {
            let schemes = world::schemes(step, rng);
            if rng.random() {
                machine.core_mut().begin_recount(schemes.clone());
                machine.core_mut().advance_recount(rng.random_range(0..20));
            }
            group.push(Operation::Adopt(Adopt { schemes: Some((*schemes).clone()) }));
        }
        for _ in 0..rng.random_range(1..5) {
            group.push(world::operation(world.now_us, &world.asked, rng));
        }
        world.asked.extend(group.iter().filter(|o| !matches!(o, Operation::Adopt(_))).cloned());
        let prepared: Vec<_> = group.iter().cloned().map(Prepared::new).collect();
        let due = machine.core().is_due(world.now_us);
        match machine.commit(prepared.iter(), world.now_us) {
            Ok(answers) => {
                for (operation, answer) in group.iter().zip(&answers) {
                    let at = world.model.sequence;
                    seen.repeated += u32::from(answer.as_ref().is_ok_and(|a| a.sequence <= at));
                    seen.expired += u32::from(due && matches!(operation, Operation::Tick(_)));
                    world.take(operation, Some(answer), what);
                }
            }
            Err(_) => return Err(group),
        }
        if rng.random_range(0..12) == 0 {
            let written = snapshot::write(&**machine.disk(), machine.core());
            if written.and_then(|_| snapshot::thin(&**machine.disk(), 2)).is_err() {
                return Err(Vec::new());
            }
        }
    }
    if rng.random() && machine.close().is_err() { Err(Vec::new()) } else { Ok(()) }
}

/// One life, cut at many places from its first byte to its last.
#[test]
fn a_cut_anywhere_loses_nothing_that_was_answered() {
    let mut seen = Seen::default();
    let life = |power: &Power, seen: &mut Seen| {
        let mut world = World { now_us: MINUTE, ..World::default() };
        let opened = Machine::open(Arc::new(power.clone()), SEGMENT);
        let ended = opened.map_err(|_| Vec::new()).and_then(|mut machine| {
            live(&mut world, &mut machine, &mut ChaCha8Rng::seed_from_u64(77), seen, "one life")
        });
        (world, ended.err().unwrap_or_default())
    };
    let whole = Power::default();
    life(&whole, &mut seen);
    let places = 1_500;
    for place in 0..places {
        let power = Power::default();
        power.fail_after(whole.used() * place / places, Fault::PowerCut);
        let (mut world, mut unsure) = life(&power, &mut seen);
        match place % 2 {
            0 => power.restart(&mut ChaCha8Rng::seed_from_u64(place)),
            _ => power.restart_process(),
        }
        let what = format!("place {place}");
        let machine = Machine::open(Arc::new(power), SEGMENT).unwrap_or_else(|e| panic!("{what}: {e}"));
        settle(&mut world, &mut unsure, &machine, &mut seen, &what);
    }
    assert!(
        seen.unsure_kept > 3,
        "only {} operations that were not answered were found done",
        seen.unsure_kept
    );
}

/// As of any time it is what the log says it was: and as of now, what it is.
fn as_of_each(world: &World, disk: &Arc<dyn Disk>, now_us: i64, what: &str) {
    let now = machine::as_of(disk, now_us, u64::MAX).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(states(&now), world.model.states(), "{what}");
    let before = machine::as_of(disk, now_us.saturating_sub(30 * MINUTE), u64::MAX)
        .unwrap_or_else(|e| panic!("{what}: {e}"));
    before.verify().unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(before.sequence() <= now.sequence());
}

fn reserve(exposure: usize) -> Prepared {
    Prepared::new(Operation::Reserve(Reserve {
        member: "001".into(),
        exposure: format!("e{exposure}"),
        customer: "c1".into(),
        attributes: ["industry", "product", "purpose"]
            .map(|n| crate::exposure::Attribute::new(n, "none"))
            .to_vec(),
        fen: 1,
        expires_us: 0,
    }))
}

/// A ledger of some operations with two snapshots, the newest after all of them.
fn small() -> Power {
    let power = Power::default();
    let mut machine = Machine::open(Arc::new(power.clone()), 400).unwrap();
    let schemes = world::schemes(1, &mut ChaCha8Rng::seed_from_u64(1));
    let adopt = Prepared::new(Operation::Adopt(Adopt { schemes: Some((*schemes).clone()) }));
    machine.commit([&adopt].into_iter(), MINUTE).unwrap();
    for i in 0..12 {
        machine.commit([&reserve(i)].into_iter(), MINUTE * (i as i64 + 2)).unwrap();
        if i % 6 == 5 {
            snapshot::write(&power, machine.core()).unwrap();
        }
    }
    power
}

/// Whatever byte of a snapshot is changed: the ledger is whole all the same, by the log.
#[test]
fn a_damaged_snapshot_is_passed_over() {
    let files = small().files();
    let at = files.iter().rposition(|(name, _)| name.ends_with(".snapshot")).unwrap();
    let whole = Machine::open(Arc::new(Power::with(&files)), 400).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for _ in 0..60 {
        let mut changed = files.clone();
        let bytes = &mut changed[at].1;
        match rng.random_range(0..3) {
            0 => bytes.truncate(rng.random_range(0..bytes.len())),
            1 => bytes.push(0),
            _ => {
                let byte = rng.random_range(0..bytes.len());
                bytes[byte] ^= 1 << rng.random_range(0..8);
            }
        }
        // Bytes behind the end are no part of it.
        let opened = Machine::open(Arc::new(Power::with(&changed)), 400).unwrap();
        assert_eq!(states(opened.core()), states(whole.core()));
    }
}

/// A ledger never gets shorter without a word.
#[test]
fn what_is_missing_is_an_error() {
    let files = small().files();
    let segments = files.iter().filter(|(name, _)| name.ends_with(".segment")).count();
    assert!(segments >= 4, "{segments}");
    let whole = Machine::open(Arc::new(Power::with(&files)), 400).unwrap();
    for at in 0..files.len() {
        let mut fewer = files.clone();
        let (name, _) = fewer.remove(at);
        let opened = Machine::open(Arc::new(Power::with(&fewer)), 400);
        match opened {
            // It stands in a snapshot, or is one that the log makes up for.
            Ok(opened) => assert_eq!(states(opened.core()), states(whole.core()), "without {name}"),
            Err(e) => {
                let last = files.iter().rfind(|(name, _)| name.ends_with(".segment")).unwrap();
                assert_eq!(name, last.0, "{e}");
            }
        }
    }
    let no_snapshot: Vec<_> = files.iter().filter(|(name, _)| name.ends_with(".segment")).cloned().collect();
    for at in 0..no_snapshot.len() - 1 {
        let mut fewer = no_snapshot.clone();
        let (name, _) = fewer.remove(at);
        let e = Machine::open(Arc::new(Power::with(&fewer)), 400).err().map(|e| e.to_string());
        assert!(
            e.as_ref().is_some_and(|e| e.contains("should start with") || e.contains("missing")),
            "{name}: {e:?}"
        );
    }
    let early =
        machine::as_of(&(Arc::new(Power::with(&files[files.len() / 2..])) as Arc<dyn Disk>), 0, u64::MAX);
    assert!(early.is_err(), "it holds nothing of that time");
}
