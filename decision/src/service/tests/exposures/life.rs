//! What operations do, and what their callers are told.

use prost::Message;
use tarim_proto::exposure::v1::{
    CommitRequest, CounterKey, FileLargeRequest, GetUtilisationRequest, LimitBreaches, ReleaseRequest,
    RepayRequest, ReserveRequest, list_exposures_request::Of,
};
use tonic::{Code, Request};
use tonic_types::StatusExt;

use super::{Limited, client, collect, commit, exposures, large, reserve, utilisation};
use crate::{convert::timestamp, service::tests::watched::samples};

#[tokio::test]
async fn the_life_of_an_exposure() {
    let limited = Limited::new().await;
    let served = limited.serve().await;
    let mut client = client(&served);

    let reserved = client.reserve(reserve("001", "a1", "c1", 900)).await.expect("there is room").into_inner();
    assert_eq!(reserved.warnings.len(), 1, "{reserved:?}");
    let warning = &reserved.warnings[0];
    assert_eq!(
        (warning.limit.as_str(), warning.used_fen, warning.headroom_fen),
        ("single_customer", 900, 100)
    );
    assert_eq!(warning.per["customer"], "c1");
    assert_eq!(reserved.large, [1]);

    let drawn = client.commit(commit("a1", "d1", 600)).await.expect("reserved").into_inner();
    assert!(drawn.sequence > reserved.sequence);
    let repay =
        RepayRequest { member: "001".into(), exposure: "a1".into(), key: "r1".into(), amount_fen: 200 };
    client.repay(repay).await.expect("it was out");
    let release =
        ReleaseRequest { member: "001".into(), exposure: "a1".into(), key: "f1".into(), amount_fen: 0 };
    client.release(release).await.expect("it was reserved");

    let found = exposures(&mut client, "001", Of::CustomerId("c1".into())).await.expect("told");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].reserved_fen, found[0].outstanding_fen), (0, 400));
    assert_eq!(found[0].attributes["industry"], "6621");
    let section = utilisation(&mut client, "section").await;
    assert_eq!(
        (section[0].used_fen, section[0].member.as_str(), &section[0].per["industry.section"][..]),
        (400, "", "J")
    );
    let key = CounterKey { limit: "section".into(), per: section[0].per.clone() };
    let behind = exposures(&mut client, "001", Of::Counter(key.clone())).await.expect("told");
    assert_eq!(behind, found);

    let to_file = large(&mut client, false).await;
    assert_eq!((to_file[0].number, to_file[0].recognised_fen, to_file[0].used_fen), (1, 900, 400));
    let file =
        FileLargeRequest { member: "001".into(), large: 1, reference: "F-1".into(), officer: "o1".into() };
    client.file_large(file.clone()).await.expect("it is to be filed");
    client.file_large(file.clone()).await.expect("the same again");
    let other = FileLargeRequest { reference: "F-2".into(), ..file };
    assert_eq!(client.file_large(other).await.expect_err("filed").code(), Code::AlreadyExists);
    assert!(large(&mut client, false).await.is_empty());
    assert_eq!(large(&mut client, true).await[0].filing.as_ref().expect("filed").reference, "F-1");
    drop(client);
    served.end().await.expect("in order");
}

#[tokio::test]
async fn a_breach_names_every_counter_and_takes_nothing() {
    let limited = Limited::new().await;
    let served = limited.serve().await;
    let mut client = client(&served);
    for (exposure, customer) in [("a1", "c1"), ("a2", "c2")] {
        client.reserve(reserve("001", exposure, customer, 1000)).await.expect("there is room");
    }
    client.reserve(reserve("002", "a1", "c1", 400)).await.expect("there is room");
    let refused = client.reserve(reserve("001", "a3", "c1", 300)).await.expect_err("no room");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("single_customer"), "{}", refused.message());
    let status = tonic_types::pb::Status::decode(refused.details()).expect("a google.rpc.Status");
    assert_eq!(status.details[0].type_url, "type.googleapis.com/tarim.exposure.v1.LimitBreaches");
    let told = LimitBreaches::decode(&status.details[0].value[..]).expect("ours");
    let told: Vec<_> = told
        .breaches
        .iter()
        .map(|breach| {
            let counter = breach.counter.as_ref().expect("there is one");
            (counter.limit.as_str(), counter.used_fen, counter.hard_fen, breach.shortfall_fen)
        })
        .collect();
    assert_eq!(told, [("single_customer", 1000, 1000, 300), ("section", 2400, 2500, 200)]);
    assert_eq!(utilisation(&mut client, "section").await[0].used_fen, 2400);
    // What was refused is not remembered: less of it has room.
    client.reserve(reserve("001", "a3", "c3", 100)).await.expect("there is room");

    let seen = samples(&served).await;
    for (name, value) in [
        (r#"tarim_exposure_operations_total{kind="Reserve",code="Ok"}"#, 4.0),
        (r#"tarim_exposure_operations_total{kind="Reserve",code="FailedPrecondition"}"#, 1.0),
        (r#"tarim_exposure_breaches_total{limit="section"}"#, 1.0),
        (r#"tarim_exposure_breaches_total{limit="single_customer"}"#, 1.0),
        ("tarim_exposure_operation_seconds_count", 5.0),
        ("tarim_exposure_group_operations_sum", 5.0),
        ("tarim_exposure_queue", 0.0),
        ("tarim_exposure_open", 1.0),
        ("tarim_exposure_failing", 0.0),
        ("tarim_exposure_adoptions_total", 1.0),
    ] {
        assert_eq!(seen.get(name), Some(&value), "{name} in {seen:#?}");
    }
    drop(client);
    served.end().await.expect("in order");
}

#[tokio::test]
async fn once_and_by_its_own_member_alone() {
    let limited = Limited::new().await;
    let served = limited.serve().await;
    let mut client = client(&served);
    let first = client.reserve(reserve("001", "a1", "c1", 900)).await.expect("there is room").into_inner();
    let again = client.reserve(reserve("001", "a1", "c1", 900)).await.expect("the same").into_inner();
    assert_eq!(again, first);
    let other = client.reserve(reserve("001", "a1", "c1", 901)).await.expect_err("another content");
    assert_eq!(other.code(), Code::AlreadyExists);
    assert_eq!(other.message(), "`a1` was reserved before with other values; choose another id");

    // Another member has no such exposure, by whatever way it asks.
    let theirs = CommitRequest { member: "002".into(), ..commit("a1", "d1", 1) };
    assert_eq!(client.commit(theirs).await.expect_err("not theirs").code(), Code::NotFound);
    let one = exposures(&mut client, "002", Of::Exposure("a1".into())).await;
    assert_eq!(one.expect_err("not theirs").code(), Code::NotFound);
    assert!(exposures(&mut client, "002", Of::CustomerId("c1".into())).await.expect("told").is_empty());
    let section = utilisation(&mut client, "section").await.remove(0);
    let key = CounterKey { limit: section.limit, per: section.per };
    assert!(exposures(&mut client, "002", Of::Counter(key.clone())).await.expect("told").is_empty());
    assert_eq!(exposures(&mut client, "001", Of::Counter(key)).await.expect("told").len(), 1);
    let file =
        FileLargeRequest { member: "002".into(), large: 1, reference: "F".into(), officer: "o".into() };
    assert_eq!(client.file_large(file).await.expect_err("not theirs").code(), Code::NotFound);
    drop(client);
    served.end().await.expect("in order");
}

#[tokio::test]
async fn a_mistake_is_told_with_its_field() {
    let limited = Limited::new().await;
    let served = limited.serve().await;
    let mut client = client(&served);
    let good = || reserve("001", "x", "c1", 1);
    let past = Some(timestamp(0));
    for (field, wrong) in [
        ("member", ReserveRequest { member: String::new(), ..good() }),
        ("exposure", ReserveRequest { exposure: "x".repeat(65), ..good() }),
        ("customer_id", ReserveRequest { customer_id: String::new(), ..good() }),
        ("amount_fen", ReserveRequest { amount_fen: 0, ..good() }),
        ("amount_fen", ReserveRequest { amount_fen: i64::MAX, ..good() }),
        ("attributes", ReserveRequest { attributes: [].into(), ..good() }),
        (
            "attributes.industry",
            ReserveRequest { attributes: [("industry".into(), "6".into())].into(), ..good() },
        ),
        (
            "attributes.industry",
            ReserveRequest { attributes: [("industry".into(), "".into())].into(), ..good() },
        ),
        ("expires_at", ReserveRequest { expires_at: past, ..good() }),
        ("expires_at", ReserveRequest { expires_at: Some(timestamp(1_000_000)), ..good() }),
    ] {
        let refused = client.reserve(wrong).await.expect_err(field);
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}: {refused:?}");
        assert!(refused.message().starts_with(&format!("{field}: ")), "{field}: {}", refused.message());
        let told = refused.get_details_bad_request().expect("a detail");
        assert_eq!(told.field_violations[0].field, field);
    }
    for (code, member, exposure) in [(Code::NotFound, "009", "x"), (Code::InvalidArgument, "001", "")] {
        let refused = client.reserve(reserve(member, exposure, "c1", 1)).await.expect_err("refused");
        assert_eq!(refused.code(), code, "{member} {exposure}");
    }
    let nobody = GetUtilisationRequest { member: "009".into(), ..Default::default() };
    assert_eq!(
        collect(client.get_utilisation(nobody).await).await.expect_err("unknown").code(),
        Code::NotFound
    );
    let no_limit = GetUtilisationRequest { member: "001".into(), limit: "x".into(), ..Default::default() };
    assert_eq!(
        collect(client.get_utilisation(no_limit).await).await.expect_err("unknown").code(),
        Code::NotFound
    );
    // Nothing is done past its deadline.
    let mut late = Request::new(good());
    late.metadata_mut().insert("grpc-timeout", "0n".parse().expect("ASCII"));
    assert!(client.reserve(late).await.is_err());
    assert!(utilisation(&mut client, "").await.is_empty());
    drop(client);
    served.end().await.expect("in order");
}
