//! The service breaks down between two writes, of whichever disk: no room stays taken for nothing, none is promised twice, and
//! what was answered holds.

use std::collections::BTreeMap;

use futures::poll;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tarim_proto::decision::v1::{Decision, Outcome};
use tonic::Code;

use super::{desk, desk_on, limited, reserving, serve, taken, threads::set_amount, used};
use crate::{
    exposure::{Filter, Ledger},
    journal::{
        Journal,
        power::{Fault, Power},
    },
    service::{
        exposure::{looks::names, recover::recover},
        rpc::Rpc,
        tests::{
            bank::{direct, plain, request},
            exposures::{client, utilisation},
        },
    },
};

/// The journal fails when room is taken already.
#[tokio::test]
async fn a_repeat_and_a_start_give_back_what_was_never_decided() {
    let limited = limited().await;
    let journal = Power::default();
    {
        let (rpc, ledger) = desk(&limited, &journal);
        direct(&rpc, request("r0", "c2", [])).await.expect("decided");
        journal.fail_after(0, Fault::PowerCut);
        for id in ["r1", "r2"] {
            let refused = direct(&rpc, reserving(id, "c1")).await.expect_err("it cannot be written");
            assert_eq!(refused.code(), Code::Unavailable);
        }
        // The second one was not even begun: the journal is closed.
        assert_eq!(used(&ledger), [("all_loans".into(), 5_000_000), ("single_customer".into(), 5_000_000)]);
    }
    journal.restart_process();
    // Nobody looked after it at the start: the repeat does, whatever it comes to now.
    {
        let (rpc, ledger) = desk(&limited, &journal);
        let mut less = reserving("r1", "c1");
        set_amount(&mut less, 3_000_000);
        let decision = direct(&rpc, less).await.expect("decided");
        assert_eq!(decision.outcome(), Outcome::Approve);
        assert_eq!(taken(&decision), Some(("decide2:r1", 3_000_000)));
        assert_eq!(used(&ledger), [("all_loans".into(), 3_000_000), ("single_customer".into(), 3_000_000)]);
        journal.fail_after(0, Fault::PowerCut);
        direct(&rpc, reserving("r3", "c1")).await.expect_err("it cannot be written");
        assert_eq!(used(&ledger)[0].1, 6_000_000, "there is no room left");
    }
    journal.restart_process();
    // The service looks after it when it starts.
    let whole = Journal::open_on(std::sync::Arc::new(journal.clone()), 1 << 20).expect("whole");
    let served = serve(&limited, whole).await;
    let mut ledger = client(&served);
    assert_eq!(utilisation(&mut ledger, "all_loans").await[0].used_fen, 3_000_000);
    drop(ledger);
    served.end().await.expect("in order");
}

/// A repeat that comes to a decline holds nothing either.
#[tokio::test]
async fn a_repeat_that_declines_gives_back_too() {
    let limited = limited().await;
    let journal = Power::default();
    {
        let (rpc, _ledger) = desk(&limited, &journal);
        journal.fail_after(0, Fault::PowerCut);
        direct(&rpc, reserving("r1", "c1")).await.expect_err("it cannot be written");
    }
    journal.restart_process();
    let (rpc, ledger) = desk(&limited, &journal);
    assert_eq!(used(&ledger).len(), 2);
    let decision = direct(&rpc, reserving("r1", "bad")).await.expect("decided");
    assert_eq!(decision.outcome(), Outcome::Decline);
    assert_eq!(used(&ledger), []);
    // So does one that is refused.
    journal.fail_after(0, Fault::PowerCut);
    direct(&rpc, reserving("r2", "c1")).await.expect_err("it cannot be written");
    assert_eq!(used(&ledger).len(), 2);
    drop((rpc, ledger));
    journal.restart_process();
    let (rpc, ledger) = desk(&limited, &journal);
    let mut wrong = reserving("r2", "c1");
    set_amount(&mut wrong, -1);
    assert_eq!(direct(&rpc, wrong).await.expect_err("refused").code(), Code::InvalidArgument);
    assert_eq!(used(&ledger), []);
}

/// A repeat waits while the journal fails; the record that could not be made durable is on the disk all the same.
#[tokio::test]
async fn a_repeat_gives_nothing_back_once_the_journal_has_failed() {
    let limited = limited().await;
    let journal = Power::default();
    {
        let (rpc, ledger) = desk(&limited, &journal);
        direct(&rpc, request("r0", "c2", [])).await.expect("decided");
        journal.hold_syncs(true);
        let of = rpc.clone();
        let first = tokio::spawn(async move { direct(&of, reserving("r1", "c1")).await });
        let held = journal.clone();
        tokio::task::spawn_blocking(move || held.wait_for_held_sync()).await.expect("it is written");
        let mut repeat = Box::pin(direct(&rpc, reserving("r1", "c1")));
        assert!(poll!(&mut repeat).is_pending(), "the first has the claim");
        journal.fail_after(0, Fault::PowerCut);
        journal.hold_syncs(false);
        for refused in [first.await.expect("no panic"), repeat.await] {
            assert_eq!(refused.expect_err("it is not durable").code(), Code::Unavailable);
        }
        assert!(ledger.view().expect("open").exposure("001", "decide2:r1").is_none());
    }
    journal.restart_process();
    let (rpc, ledger) = desk(&limited, &journal);
    let decision = direct(&rpc, reserving("r1", "c1")).await.expect("it was found");
    assert_eq!(taken(&decision), Some(("decide:r1", 5_000_000)));
    assert_eq!(used(&ledger), [("all_loans".into(), 5_000_000), ("single_customer".into(), 5_000_000)]);
}

/// One disk breaks at any of its writes; then the machine starts again.
#[tokio::test]
async fn whatever_breaks_the_two_agree() {
    let mut crashed = 0;
    let limited = limited().await;
    for seed in 0..SEEDS {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (disk, journal) = (Power::default(), Power::default());
        let mut answered: BTreeMap<String, Decision> = BTreeMap::new();
        for round in 0..4 {
            let (rpc, ledger) = desk_on(&limited.bank, &disk, &journal);
            recover(&ledger, &rpc.desk.journal, 100).expect("open");
            // After the first round the journal is not empty, so nothing is left from now on.
            if round > 0 {
                agree(seed, &rpc, &ledger);
            }
            let broken = if random.random() { &disk } else { &journal };
            if round > 0 {
                broken.fail_after(random.random_range(0..2500), Fault::PowerCut);
            }
            for _ in 0..6 {
                let n = random.random_range(0..12);
                let customer = ["c1", "c2", "c3", "bad"][n % 4];
                let (id, mut request) = (format!("r{n}"), reserving(&format!("r{n}"), customer));
                set_amount(&mut request, 1_000_000 + n as i64 * 100_000);
                match direct(&rpc, request).await {
                    Ok(decision) => {
                        let first = answered.entry(id).or_insert_with(|| decision.clone());
                        assert_eq!(*first, decision, "seed {seed}");
                    }
                    Err(_) => crashed += 1,
                }
            }
            drop((rpc, ledger));
            disk.restart(&mut random);
            journal.restart(&mut random);
        }
        let (rpc, ledger) = desk_on(&limited.bank, &disk, &journal);
        recover(&ledger, &rpc.desk.journal, 100).expect("open");
        agree(seed, &rpc, &ledger);
        for (id, decision) in &answered {
            let n: usize = id[1..].parse().expect("a number");
            let mut request = reserving(id, ["c1", "c2", "c3", "bad"][n % 4]);
            set_amount(&mut request, 1_000_000 + n as i64 * 100_000);
            assert_eq!(direct(&rpc, request).await.expect("it was answered"), *decision, "seed {seed}");
        }
    }
    assert!(crashed > SEEDS, "{crashed} requests met a broken disk");
}

const SEEDS: u64 = 60;

/// What is held is what journaled decisions promised, and no counter is over its line.
fn agree(seed: u64, rpc: &Rpc, ledger: &Ledger) {
    let core = ledger.view().expect("open");
    let mut held = 0;
    for exposure in core.all_exposures().filter(|exposure| exposure.reserved_fen > 0) {
        let id = names::request_of(&exposure.exposure).expect("of a decision");
        let found = rpc.desk.journal.find("001", id).expect("whole");
        let entry = found.unwrap_or_else(|| panic!("seed {seed}: {exposure:?} is of no decision"));
        let decision = plain(&entry.1.decision.expect("it has one"));
        let promised =
            taken(&decision).unwrap_or_else(|| panic!("seed {seed}: {decision:?} promised nothing"));
        assert_eq!(promised, (exposure.exposure.as_str(), exposure.reserved_fen), "seed {seed}");
        held += exposure.reserved_fen;
    }
    for counter in core.utilisation(Filter::default()) {
        assert!(counter.used_fen <= counter.hard_fen, "seed {seed}: {counter:?}");
        if counter.limit == "all_loans" {
            assert_eq!(counter.used_fen, held, "seed {seed}");
        }
    }
}
