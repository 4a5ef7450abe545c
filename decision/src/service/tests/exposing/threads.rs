//! Many at once: no counter over its hard line, and what is used is what was promised.

use std::collections::BTreeMap;

use futures::{FutureExt, future::join_all};
use tarim_proto::decision::v1::{Decision, DecisionRequest, Outcome};

use super::{limited, reserving, taken};
use crate::{
    exposure::Filter,
    journal::power::Power,
    service::tests::{bank::direct, exposing::desk},
};

const TASKS: usize = 12;
const EACH: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn decisions_at_once_never_oversell() {
    for round in 0..5 {
        let limited = limited().await;
        let (rpc, ledger) = desk(&limited, &Power::default());
        let tasks = (0..TASKS).map(|task| {
            let rpc = rpc.clone();
            let work = async move {
                let mut all = Vec::new();
                for n in 0..EACH {
                    let customer = ["c1", "c2", "c3"][(task + n) % 3];
                    // Some ask for the same as another task.
                    let id = format!("{}", if n % 5 == 0 { n * 1000 } else { task * EACH + n });
                    let mut request = reserving(&id, if n % 5 == 0 { "c1" } else { customer });
                    set_amount(&mut request, 400_000 + 100_000 * ((n % 5 * (task + round)) as i64 % 7));
                    all.push(direct(&rpc, request).await.expect("decided"));
                }
                all
            };
            tokio::spawn(work).map(|joined| joined.expect("no panic"))
        });
        let decisions: Vec<Decision> = join_all(tasks).await.into_iter().flatten().collect();
        let distinct: BTreeMap<&str, &Decision> =
            decisions.iter().map(|decision| (decision.request_id.as_str(), decision)).collect();
        assert!(
            decisions.iter().all(|d| distinct[d.request_id.as_str()] == d),
            "a repeat is the first answer"
        );
        assert!(distinct.values().any(|d| d.outcome() == Outcome::Decline), "all room is taken in the end");
        let promised: i64 = distinct.values().filter_map(|d| taken(d)).map(|(_, fen)| fen).sum();
        let core = ledger.view().expect("open");
        for counter in core.utilisation(Filter::default()) {
            assert!(counter.used_fen <= counter.hard_fen, "{counter:?}");
            if counter.limit == "all_loans" {
                assert_eq!(counter.used_fen, promised);
            }
        }
        let held: i64 = core.all_exposures().map(|exposure| exposure.reserved_fen).sum();
        assert_eq!(held, promised);
        assert!(promised > 12_500_000, "only {promised}");
    }
}

pub fn set_amount(request: &mut DecisionRequest, fen: i64) {
    use tarim_proto::decision::v1::{Value, value::Kind};
    request.application.insert("amount_fen".into(), Value { kind: Some(Kind::IntValue(fen)) });
}
