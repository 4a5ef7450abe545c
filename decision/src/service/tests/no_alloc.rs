//! What is known of an applicant is gathered, and a decision made, without allocating: of one on a list, too.

use std::sync::Arc;

use tarim_datamart::Value;
use tarim_features::store::EmbeddedStore;

use super::bank::{Bank, CUSTOMERS, us};
use crate::{
    engine::{Application, DecisionScratch, Engine, Inputs},
    outcome::{Call, Outcome},
    rulebook::Rulebook,
};

/// Rules over the whole application, beside the one that the standard has: of each kind of what a row program computes.
const CHECKS: &str = r#"
[[check]]
id = "signed-after-birth"
zh = "签约早于出生"
en = "nobody signs before birth"
sql = "signed_at > '1970-01-01' AND (birth < '2020-01-01' OR income IS NULL)"

[[check]]
id = "of-a-member"
zh = "客户号"
en = "a customer is not the member"
sql = "customer_id <> member AND customer_id NOT LIKE '%x%' AND product IN ('loan', 'card')"

[[check]]
id = "identified"
zh = "身份证号"
en = "large amounts need an identity number"
sql = "amount_fen < 10000000 OR id_number IS NOT NULL"
"#;

/// A rule that the standard has.
pub const URGENT: &str = r#"sql = "urgent IS NOT TRUE OR amount_fen <= 10000000""#;

#[tokio::test]
async fn an_applicant_on_a_list_is_decided_without_allocating() {
    let bank = Bank::new().await;
    bank.edit("standards/applications.toml", URGENT, &format!("{URGENT}\n{CHECKS}"));
    let rulebook = Arc::new(Rulebook::read(&bank.rulebook()).unwrap_or_else(|e| panic!("{e}")));
    let store = EmbeddedStore::open(&bank.path("store"), Arc::new(rulebook.features().clone()));
    let snapshot = tarim_features::store::OnlineStore::snapshot(&store.expect("it is published"));
    let engine = Engine::new(rulebook.clone(), snapshot, bank.tokeniser());
    let applications: Vec<_> = CUSTOMERS.iter().map(|(customer, ..)| of(customer)).collect();
    let mut inputs = Inputs::new();
    let mut scratch = DecisionScratch::default();
    let mut outcomes = Vec::with_capacity(2 * applications.len());
    let mut pass = || {
        for application in &applications {
            engine
                .gather(application, us("2026-06-30T10:00:00Z"), &mut inputs)
                .expect("fields of the standard");
            let judged = engine.judge(&inputs, Call::All, &mut scratch).expect("it has a plan");
            outcomes.push(judged.verdict().outcome);
        }
    };
    pass();
    let allocations = allocation_counter::measure(pass);
    assert_eq!(allocations.count_total, 0);
    for (field, value, broken) in [
        ("amount_fen", Value::Int64(10_000_001), "urgent-is-small"),
        ("customer_id", Value::Utf8("x".into()), "of-a-member"),
    ] {
        let mut application = applications[0].clone();
        application.fields.iter_mut().filter(|(name, _)| name == field).for_each(|f| f.1 = value.clone());
        let refused = engine.gather(&application, us("2026-06-30T10:00:00Z"), &mut inputs).unwrap_err();
        assert!(refused.to_string().contains(broken), "{refused}");
    }
    engine
        .gather(&applications[applications.len() - 1], us("2026-06-30T10:00:00Z"), &mut inputs)
        .expect("as before");
    let (first, second) = outcomes.split_at(applications.len());
    assert_eq!(first, second);
    assert_eq!(outcomes.last(), Some(&Outcome::Decline), "the last is on the black list");
    let mut recorded = Vec::new();
    inputs.encode(&rulebook, &mut recorded).expect("whole rows");
    let values = Inputs::decode(&rulebook, &recorded).expect("as it was written").named_values(&rulebook);
    let values = values.expect("whole rows");
    let told = |name: &str| values.iter().find(|v| v.name == name).map(|v| v.value.clone());
    for what in ["entry_id", "reason", "source"] {
        assert_eq!(told(&format!("list.black.{what}")), Some(Value::Utf8(what.into())));
    }
}

fn of(customer: &str) -> Application {
    let fields = vec![
        ("customer_id".into(), Value::Utf8(customer.into())),
        ("amount_fen".into(), Value::Int64(5_000_000)),
        ("urgent".into(), Value::Boolean(true)),
        ("birth".into(), Value::Date32(7_305)),
        ("signed_at".into(), Value::Timestamp(us("2026-06-01"))),
        ("id_number".into(), Value::Utf8("11010519491231002X".into())),
    ];
    Application { member: "001".into(), product: "loan".into(), fields }
}
