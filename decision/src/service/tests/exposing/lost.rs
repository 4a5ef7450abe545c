//! The journal loses its end, by a copy that is brought back: what lost decisions promised holds, at later starts too.

use std::sync::Arc;

use super::{desk, limited, reserving, serve};
use crate::{
    journal::{
        Disk, Journal,
        power::{Fault, Power},
    },
    service::tests::{
        bank::{Served, direct, request},
        exposures::{Limited, client, commit, utilisation},
    },
};

async fn serve_on(limited: &Limited, journal: &Power) -> Served {
    serve(limited, Journal::open_on(Arc::new(journal.clone()), 1 << 20).expect("whole")).await
}

/// A journal of which there is a copy, taken when the service had stopped.
async fn copied(limited: &Limited) -> [Power; 2] {
    let journal = Power::default();
    let served = serve_on(limited, &journal).await;
    served.decide(&request("r0", "c2", [])).await.expect("decided");
    served.end().await.expect("in order");
    let copy = Power::with(&journal.files());
    [journal, copy]
}

async fn all_used(served: &Served) -> i64 {
    utilisation(&mut client(served), "all_loans").await[0].used_fen
}

#[tokio::test]
async fn what_a_lost_decision_reserved_is_held_for_good() {
    let limited = limited().await;
    let [journal, copy] = copied(&limited).await;
    let served = serve_on(&limited, &journal).await;
    served.decide(&reserving("r1", "c1")).await.expect("decided");
    served.end().await.expect("in order");

    let served = serve_on(&limited, &copy).await;
    assert_eq!(all_used(&served).await, 5_000_000, "it was promised");
    // Soon the copy has more entries than the journal had.
    for id in ["r2", "r3"] {
        served.decide(&request(id, "c2", [])).await.expect("decided");
    }
    served.end().await.expect("in order");
    {
        let (rpc, _ledger) = desk(&limited, &copy);
        copy.fail_after(0, Fault::PowerCut);
        direct(&rpc, reserving("r4", "c2")).await.expect_err("it cannot be written");
    }
    copy.restart_process();
    let served = serve_on(&limited, &copy).await;
    assert_eq!(all_used(&served).await, 5_000_000, "what was never decided is given back, and nothing else");
    served.end().await.expect("in order");
}

/// A copy serves for a while, with no more entries than the journal had; then the journal is brought back, and does not know what was
/// decided meanwhile.
#[tokio::test]
async fn what_was_decided_while_a_copy_served_is_held_when_the_journal_is_back() {
    let limited = limited().await;
    let [journal, copy] = copied(&limited).await;
    let mut used = 0;
    for (disk, id, customer) in [(&journal, "r1", "c1"), (&copy, "s1", "c2")] {
        let served = serve_on(&limited, disk).await;
        served.decide(&reserving(id, customer)).await.expect("decided");
        used += 5_000_000;
        assert_eq!(all_used(&served).await, used, "what was promised before holds");
        served.end().await.expect("in order");
    }
    for _ in 0..2 {
        let served = serve_on(&limited, &journal).await;
        assert_eq!(all_used(&served).await, used, "both were promised");
        served.decide(&request("r2", "c2", [])).await.expect("it goes on");
        served.end().await.expect("in order");
    }
}

/// It broke down before it was noted how far the journal had come.
#[tokio::test]
async fn a_lost_decision_that_was_drawn_tells_that_others_are_lost() {
    let limited = limited().await;
    let [journal, copy] = copied(&limited).await;
    let served = serve_on(&limited, &journal).await;
    for (id, customer) in [("r1", "c1"), ("r2", "c2")] {
        served.decide(&reserving(id, customer)).await.expect("decided");
    }
    client(&served).commit(commit("decide:r1", "paid out", 5_000_000)).await.expect("it was reserved");
    served.end().await.expect("in order");
    let notes = limited.disk.files().into_iter().filter(|(name, _)| name.ends_with(".journal"));
    for (name, _) in notes.collect::<Vec<_>>() {
        limited.disk.remove(&name).expect("it is there");
    }
    for _ in 0..2 {
        let served = serve_on(&limited, &copy).await;
        assert_eq!(all_used(&served).await, 10_000_000, "both were promised");
        served.end().await.expect("in order");
    }
}
