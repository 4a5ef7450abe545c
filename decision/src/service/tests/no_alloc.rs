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

/// A rule over the whole application is computed by DataFusion, which allocates.
pub const CHECK: &str = r#"[[check]]
id = "urgent-is-small"
zh = "加急申请金额过大"
en = "what is urgent must be small"
sql = "urgent IS NOT TRUE OR amount_fen <= 10000000"
"#;

#[tokio::test]
async fn an_applicant_on_a_list_is_decided_without_allocating() {
    let bank = Bank::new().await;
    bank.edit("standards/applications.toml", CHECK, "");
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
    ];
    Application { member: "001".into(), product: "loan".into(), fields }
}
