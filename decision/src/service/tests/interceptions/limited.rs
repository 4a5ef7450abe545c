//! Control points and exposure limits.

use tarim_proto::{decision::v1::Verdict, exposure::v1::ReserveRequest};

use super::*;
use crate::service::tests::exposures::{Limited, client as ledger, reserve};

const MAPPING: &str = r#"
[exposure]
amount = "application.amount_fen"
reserve_for = "30d"
customer = "application.customer_id"
[exposure.attributes]
industry = "none"
"#;

const RULES: &str = r#"
[[rule]]
id = "E1"
zh = "突破限额控制线"
en = "a hard line would be crossed"
when = "exposure.above_hard"
then = "block"
show = ["exposure.limit", "exposure.counter", "exposure.cap_fen", "exposure.used_fen", "exposure.shortfall_fen"]

[[rule]]
id = "E2"
zh = "触及限额预警线"
en = "a warning line would be crossed"
when = "exposure.above_warning AND NOT exposure.above_hard"
then = "warn"
"#;

async fn limited() -> Limited {
    let limited = Limited::new().await;
    let at = |file: &str| limited.bank.rulebook().join(file);
    fs::write(at("limits/exposure.toml"), MAPPING).expect("writable");
    fs::write(at("interception/contract.toml"), RULES).expect("writable");
    limited.bank.publish();
    limited
}

#[tokio::test]
async fn a_contract_is_held_to_limits_and_its_own_room_does_not_count_against_it() {
    let limited = limited().await;
    let served = limited.serve().await;
    let mut n = 0;
    let mut ask = async |fen: i64, exposure: &str| {
        n += 1;
        let request = InterceptRequest {
            exposure: exposure.into(),
            ..contract(&n.to_string(), &format!("k{n}"), "c1", fen)
        };
        let answer = intercept(&served, &request).await.expect("intercepted");
        let ids: Vec<String> = ids(&answer).into_iter().map(str::to_owned).collect();
        (answer.verdict(), ids.join(" "), answer)
    };
    let (verdict, ids, _) = ask(700, "").await;
    assert_eq!((verdict, ids.as_str()), (Verdict::Pass, ""));
    let (verdict, ids, _) = ask(900, "").await;
    assert_eq!((verdict, ids.as_str()), (Verdict::Warn, "E2"));
    let (verdict, ids, answer) = ask(1100, "").await;
    assert_eq!((verdict, ids.as_str()), (Verdict::Block, "E1"));
    let values = &answer.reasons[0].values;
    let kinds: Vec<_> = values.iter().map(|v| v.value.as_ref().and_then(|v| v.kind.clone())).collect();
    let int = |fen| Some(Kind::IntValue(fen));
    assert_eq!(
        kinds,
        [Some(text("single_customer")), Some(text("customer c1")), int(1000), int(0), int(100)]
    );

    // The room is taken, for this very loan.
    let attributes = [("industry".to_owned(), "none".to_owned())].into();
    let request = ReserveRequest { attributes, ..reserve("001", "x1", "c1", 600) };
    ledger(&served).reserve(request).await.expect("there is room");
    for (fen, exposure, expected) in [
        (600, "", Verdict::Block),
        (600, "x1", Verdict::Pass),
        (900, "x1", Verdict::Warn),
        (1001, "x1", Verdict::Block),
        (600, "another", Verdict::Block),
    ] {
        assert_eq!(ask(fen, exposure).await.0, expected, "{fen} with {exposure:?}");
    }
    served.end().await.expect("in order");
}

#[tokio::test]
async fn where_nobody_knows_how_limits_stand_nothing_passes() {
    let limited = limited().await;
    let served = limited.bank.serve(&Power::default()).await;
    let answer = intercept(&served, &contract("1", "k1", "c1", 5)).await.expect("intercepted");
    assert_eq!((answer.verdict(), ids(&answer)), (Verdict::Block, vec!["E1", "E2"]));
    assert!(answer.reasons.iter().all(|reason| reason.unknown));
    served.end().await.expect("in order");
}
