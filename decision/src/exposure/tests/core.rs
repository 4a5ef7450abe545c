//! Random operations, and schemes that change: the core says and holds what the model does.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    model::{Model, kind},
    world::{self, MINUTE},
};
use crate::exposure::{
    core::{Core, Filter, LargeChange, Sight},
    groups::regroupings,
    operation::{Adopt, Attribute, Commit, CounterUse, Operation, Prepared, Repay, Reserve, Tick},
    prospect::Prospect,
    spare::Spare,
    standing::Seen,
};

pub fn states(core: &Core) -> BTreeMap<(String, String), crate::exposure::core::ExposureState> {
    core.all_exposures().map(|state| ((state.member.clone(), state.exposure.clone()), state)).collect()
}

#[test]
fn the_core_does_what_a_simple_ledger_does() {
    let (mut done, mut refused, mut recognised, mut warned) = (0, 0, 0, 0);
    let (mut events, mut gone, mut thinned) = (0, 0, 0);
    let (mut looked, mut spare) = (0, Spare::default());
    for seed in 0..300 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut core, mut model) = (Core::new(), Model::default());
        if seed % 3 == 0 {
            model.keep_us = rng.random_range(1..100) * MINUTE;
            core.keep_keys(model.keep_us);
        }
        let (mut now_us, mut used) = (MINUTE, Vec::new());
        let mut coming = None;
        // Counters that a change of schemes or groups, not an operation that asks for room, put over their line.
        let mut excused = true;
        for step in 0..rng.random_range(20..200) {
            now_us += rng.random_range(0..3 * MINUTE);
            if step == 0 || rng.random_range(0..50) == 0 {
                let schemes = world::schemes(step, &mut rng);
                core.begin_recount(schemes.clone());
                coming = Some(schemes);
            }
            if coming.is_some() {
                // Sometimes it is adopted before all is counted: then the rest is counted at once.
                let counted = core.advance_recount(rng.random_range(0..4));
                if step == 0 || counted || rng.random_range(0..10) == 0 {
                    let schemes = coming.take().unwrap();
                    let adopt = Operation::Adopt(Adopt { schemes: Some((*schemes).clone()) });
                    let applied = core.apply(&Prepared::new(adopt), now_us).unwrap();
                    assert_eq!(applied.answer.large, model.adopt(schemes), "seed {seed}, step {step}");
                    assert_eq!(applied.answer.sequence, model.sequence);
                    excused = !applied.answer.warnings.is_empty();
                }
            }
            // Keys are dropped at any time, some of them and more later: nobody sees it.
            if model.keep_us > 0 && !core.is_thinning() && rng.random_range(0..20) == 0 {
                core.begin_thinning();
                thinned += 1;
            }
            for _ in 0..rng.random_range(0..400) {
                core.advance_thinning();
            }
            let operation = world::operation(now_us, &used, &mut rng);
            let ours = core.apply(&Prepared::new(operation.clone()), now_us);
            let theirs = model.apply(&operation, now_us);
            match (ours, theirs) {
                (Ok(ours), Ok(mut theirs)) => {
                    if matches!(operation, Operation::Regroup(_)) {
                        theirs.warnings = ours.answer.warnings.clone();
                        excused |= ours.answer.warnings.iter().any(|c| c.headroom_fen() < 0);
                    }
                    assert_eq!(ours.answer, theirs, "seed {seed}, step {step}: {operation:?}");
                    done += 1;
                    recognised += theirs.large.len();
                    warned += theirs.warnings.len();
                }
                (Err(ours), Err(theirs)) => {
                    assert_eq!(kind(&ours), theirs, "seed {seed}, step {step}: {operation:?}: {ours}");
                    refused += 1;
                    gone += u32::from(theirs == "Gone");
                }
                (ours, theirs) => panic!("seed {seed}, step {step}: {operation:?}: {ours:?}, not {theirs:?}"),
            }
            // Whoever looks is told the same, in texts that were told before.
            let prepared = Prepared::new(operation.clone());
            if let (0, Operation::Reserve(reserve)) = (step % 3, prepared.operation()) {
                let prospect = Prospect::of(&prepared).unwrap();
                let tell = |seen: &[Sight<'_>]| seen.iter().map(|s| s.tell(&mut spare)).collect::<Vec<_>>();
                let ours = core.look(&prospect, core.now_us(), tell).map_err(|refusal| kind(&refusal));
                assert_eq!(ours, model.outlook(reserve), "seed {seed}, step {step}: {operation:?}");
                looked += ours.as_ref().map_or(0, Vec::len);
                ours.into_iter().flatten().for_each(|counter| spare.take_back(counter));
            }
            used.push(operation);
            if step % 16 == 0 {
                core.verify().unwrap_or_else(|e| panic!("seed {seed}, step {step}: {e}"));
                assert_eq!(states(&core), model.states(), "seed {seed}, step {step}");
            }
            if !excused {
                assert_eq!(over(&core), None, "seed {seed}, step {step}");
            }
        }
        core.verify().unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        assert_eq!(states(&core), model.states(), "seed {seed}");
        assert_eq!(told(&core), model.events, "seed {seed}");
        events += model.events.len();
        for counter in core.utilisation(Filter::default()) {
            let behind: i64 = core.behind(&counter).map(|e| e.reserved_fen + e.outstanding_fen).sum();
            assert_eq!(behind, counter.used_fen, "seed {seed}: the exposures behind {counter:?}");
        }
    }
    assert!(done > 5_000 && refused > 5_000, "{done} done, {refused} refused");
    assert!(looked > 1_000, "{looked} counters were looked at");
    assert!(recognised > 100 && warned > 1_000, "{recognised} large, {warned} warnings");
    assert!(gone > 200 && thinned > 300, "{gone} gone, {thinned} times thinned");
    assert!(events > 2 * recognised, "{events} events of {recognised} large exposures");
}

/// Events of large exposures.
pub fn told(core: &Core) -> Vec<(u64, u32, LargeChange, i64)> {
    core.large_events(0).map(|e| (e.sequence, e.number, e.what, e.used_fen)).collect()
}

/// A counter over its hard line. Limits that are not always in force may be exceeded before, so they do not count.
pub fn over(core: &Core) -> Option<CounterUse> {
    let always = |counter: &CounterUse| {
        let scheme = core.schemes().schemes.iter().find(|s| s.id == counter.limit).unwrap();
        scheme.from_us == i64::MIN
    };
    core.utilisation(Filter::default()).find(|counter| counter.headroom_fen() < 0 && always(counter))
}

/// Groups follow the edges, and once they do there is nothing more to change.
#[test]
fn groups_become_what_edges_say() {
    use tarim_features::edges::{Builder, Row};
    let edges = |pairs: &[(&str, &str)]| {
        let mut builder = Builder::new(1);
        for (from, to) in pairs {
            builder.add(Row { edge: 0, member: "001", from, to, since_us: None, until_us: None }).unwrap();
        }
        builder.finish().unwrap()
    };
    let mut core = Core::new();
    let schemes = world::schemes(1, &mut ChaCha8Rng::seed_from_u64(1));
    core.apply(&Prepared::new(Operation::Adopt(Adopt { schemes: Some((*schemes).clone()) })), MINUTE)
        .unwrap();
    for (pairs, groups) in [
        (&[("c1", "c2"), ("c4", "c3")][..], &[("c1", "c1"), ("c2", "c1"), ("c3", "c3"), ("c4", "c3")][..]),
        (&[("c2", "c3")], &[("c2", "c2"), ("c3", "c2")]),
        (&[], &[]),
    ] {
        let edges = edges(pairs);
        for regroup in regroupings(&core, &edges, &[0], 0) {
            core.apply(&Prepared::new(Operation::Regroup(regroup)), MINUTE).unwrap();
        }
        let mut all: Vec<_> = core.grouped().map(|(_, customer, group)| (customer, group)).collect();
        all.sort_unstable();
        assert_eq!(all, groups);
        assert_eq!(regroupings(&core, &edges, &[0], 0), []);
        core.verify().unwrap();
    }
}

/// Of what is gone the opening key stays, and of what is not every one; whatever is asked of it again is not done twice.
#[test]
fn keys_of_what_is_gone_are_dropped() {
    const DAY: i64 = 24 * 60 * MINUTE;
    let mut core = Core::new();
    core.keep_keys(400 * DAY);
    let schemes = world::schemes(1, &mut ChaCha8Rng::seed_from_u64(1));
    core.apply(&Prepared::new(Operation::Adopt(Adopt { schemes: Some((*schemes).clone()) })), MINUTE)
        .unwrap();
    let reserve = |of: &str| {
        let attributes = ["industry", "product", "purpose"].map(|name| Attribute::new(name, "none")).to_vec();
        let (member, exposure, customer) = ("001".into(), of.into(), "c1".into());
        Operation::Reserve(Reserve { member, exposure, customer, attributes, fen: 1, expires_us: 0 })
    };
    let draw = |of: &str, key: String| {
        let (member, exposure) = ("001".into(), of.into());
        Operation::Commit(Commit { member, exposure, key, fen: 1, grow: true })
    };
    let repay = |of: &str, key: String| {
        let (member, exposure) = ("001".into(), of.into());
        Operation::Repay(Repay { member, exposure, key, fen: 1 })
    };
    let mut all = vec![reserve("gone"), reserve("here")];
    for n in 0..100 {
        for of in ["gone", "here"] {
            all.extend([draw(of, format!("d{n}")), repay(of, format!("r{n}"))]);
        }
    }
    all.push(draw("here", "last".into()));
    let answers: Vec<_> =
        all.iter().map(|o| core.apply(&Prepared::new(o.clone()), DAY).unwrap().answer).collect();
    assert_eq!(core.keys_held(), all.len() as u32);
    let again = |core: &mut Core, at: i64| -> Vec<_> {
        all.iter().map(|o| core.apply(&Prepared::new(o.clone()), at).map(|a| (a.answer, a.fresh))).collect()
    };
    assert!(!core.has_keys_to_drop());
    let repeated = again(&mut core, 400 * DAY);
    assert!(repeated.iter().zip(&answers).all(|(now, then)| *now == Ok((then.clone(), false))));
    core.apply(&Prepared::new(Operation::Tick(Tick {})), 402 * DAY).unwrap();
    assert!(core.has_keys_to_drop());
    core.begin_thinning();
    while core.is_thinning() {
        core.advance_thinning();
    }
    assert!(!core.has_keys_to_drop());
    assert_eq!(core.keys_held(), 1 + 202);
    // For good, whatever is said of it later.
    core.keep_keys(i64::MAX);
    for (operation, now) in all.iter().zip(again(&mut core, 402 * DAY)) {
        let of_gone = format!("{operation:?}").contains("\"gone\"");
        assert_eq!(now.is_err(), of_gone, "{operation:?}: {now:?}");
        assert!(now.is_ok_and(|(_, fresh)| !fresh) || of_gone);
    }
    core.verify().unwrap();
    assert_eq!(core.exposures_of("001", "c1").map(|e| e.outstanding_fen).collect::<Vec<_>>(), [1, 0]);
}
