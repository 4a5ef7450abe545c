//! The ledger is kept as the rulebook says, from one start to the next and while it serves.

use std::{fs, sync::Arc};

use tonic::Code;

use super::{LIMITS, Limited, client, health, kept, reserve, utilisation};
use crate::{
    exposure::{Config, KEYS_KEPT, Ledger},
    journal::{Journal, power::Power},
    service::{
        ExposureSource, GroupSource,
        tests::{
            bank::{Bank, request},
            watched::samples,
        },
    },
};

#[tokio::test]
async fn a_restart_keeps_everything_and_adopts_nothing() {
    let limited = Limited::new().await;
    let served = limited.serve().await;
    let first = client(&served).reserve(reserve("001", "a1", "c1", 900)).await.expect("room").into_inner();
    served.end().await.expect("in order");
    // Another rulebook with the same limits: exposures are not counted anew.
    limited.bank.edit("federation.toml", "value = 10000000", "value = 3000000");
    limited.bank.publish();
    let served = limited.serve().await;
    let mut client = client(&served);
    assert_eq!(client.reserve(reserve("001", "a1", "c1", 900)).await.expect("the same").into_inner(), first);
    assert_eq!(utilisation(&mut client, "single_customer").await[0].used_fen, 900);
    assert_eq!(samples(&served).await["tarim_exposure_adoptions_total"], 0.0);
    drop(client);
    served.end().await.expect("in order");
}

#[tokio::test]
async fn limits_of_a_new_rulebook_are_adopted_while_serving() {
    let limited = Limited::new().await;
    let served = limited.serve().await;
    let mut client = client(&served);
    client.reserve(reserve("001", "a1", "c1", 900)).await.expect("there is room");
    limited.bank.edit("limits/limits.toml", "hard = { fen = 1000 }", "hard = { fen = 700 }");
    let version = limited.bank.publish();
    let adopted = kept(served.running.kept());
    served.reload().await;
    adopted.await;
    let counter = utilisation(&mut client, "single_customer").await.remove(0);
    assert_eq!((counter.used_fen, counter.hard_fen, counter.headroom_fen), (900, 700, -200));
    let more = client.reserve(reserve("001", "a2", "c1", 1)).await.expect_err("over its line");
    assert_eq!(more.code(), Code::FailedPrecondition);
    let seen = samples(&served).await;
    assert_eq!(seen[r#"tarim_exposure_counters_above{line="hard"}"#], 1.0);
    assert_eq!(seen[&format!(r#"tarim_exposure_limits_info{{version="{version}"}}"#)], 1.0);

    // A rulebook without limits does not let go of what is out.
    fs::remove_dir_all(limited.bank.rulebook().join("limits")).expect("there");
    limited.bank.publish();
    let passed = kept(served.running.kept());
    served.reload().await;
    passed.await;
    let more = client.reserve(reserve("001", "a2", "c1", 1)).await.expect_err("over its line");
    assert_eq!(more.code(), Code::FailedPrecondition);
    assert!(more.message().contains("single_customer"), "{}", more.message());
    drop(client);
    served.end().await.expect("in order");
}

#[tokio::test]
async fn a_rulebook_without_limits_has_no_ledger_until_one_has() {
    let bank = Bank::new().await;
    let limited = Limited { bank, disk: Power::default() };
    let served = limited.serve().await;
    let mut client = client(&served);
    let refused = client.reserve(reserve("001", "a1", "c1", 1)).await.expect_err("no ledger");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("limits/"), "{}", refused.message());
    served.decide(&request("1", "c1", [])).await.expect("decided as before");
    assert_eq!(health(&served).await, 2);

    let limited = limited.with(LIMITS);
    let opened = kept(served.running.kept());
    served.reload().await;
    opened.await;
    client.reserve(reserve("001", "a1", "c1", 1)).await.expect("there is room");
    assert_eq!(health(&served).await, 1);
    drop(client);
    served.end().await.expect("in order");
    drop(limited);
}

#[tokio::test]
async fn keys_are_kept_as_long_as_is_said() {
    let bank = Bank::new().await;
    let limited = Limited { bank, disk: Power::default() }.with(LIMITS);
    let month = std::time::Duration::from_hours(31 * 24);
    for (said, kept) in [(None, KEYS_KEPT), (Some(month), month)] {
        let disk = Power::default();
        let source = ExposureSource::new(
            Box::new(move |config: Config| {
                assert_eq!(config.keys_kept, Some(kept));
                Ledger::open_on(Arc::new(disk.clone()), config)
            }),
            false,
        );
        let source = said.into_iter().fold(source, ExposureSource::with_keys_kept);
        let journal = Journal::open_on(Arc::new(Power::default()), 1 << 20).expect("a whole disk");
        let sources = limited.bank.sources().with_exposures(source);
        let served = limited.bank.serve_with(journal, sources).await.expect("it starts");
        client(&served).reserve(reserve("001", "a1", "c1", 1)).await.expect("it was opened");
        served.end().await.expect("in order");
    }
}

#[tokio::test]
async fn groups_that_cannot_be_known_are_an_error_at_the_start() {
    let bank = Bank::new().await;
    fs::create_dir_all(bank.rulebook().join("features/edges")).expect("a folder");
    let edges = "[[edge]]\nname = \"same_city\"\nzh = \"同城\"\nen = \"same city\"\nsql = \"SELECT member, customer_id AS \
                 from_id, city AS to_id FROM customers\"\n";
    fs::write(bank.rulebook().join("features/edges/edges.toml"), edges).expect("writable");
    let limits = format!(
        "{}\n[groups]\nalong = [\"same_city\"]\n",
        LIMITS.replace("per = [\"customer\"]", "per = [\"group\"]")
    );
    let limited = Limited { bank, disk: Power::default() }.with(&limits);
    let journal = || Journal::open_on(Arc::new(Power::default()), 1 << 20).expect("a whole disk");
    let groups =
        GroupSource { datamart: limited.bank.path("nowhere"), every: std::time::Duration::from_secs(60) };
    let sources = limited.bank.sources().with_exposures(limited.source().with_groups(groups));
    let refused = limited.bank.serve_with(journal(), sources).await.err().expect("no datamart").to_string();
    assert!(refused.contains("--no-groups"), "{refused}");
}
