//! A decision that looks at the ledger allocates nothing: what it would touch is asked in borrowed texts, and names are written over
//! those of the decision before.

use tarim_datamart::Value;

use super::{Limited, desk};
use crate::{
    engine::{Application, Inputs, Look},
    exposure::{Attribute, Ledger, Operation, Reserve},
    journal::power::Power,
    outcome::{Call, Outcome},
    service::{
        rpc::Rpc,
        serving::Work,
        tests::{
            bank::{Bank, us},
            no_alloc::URGENT,
        },
    },
};

/// Along everything that counters are told apart by. The first comes above its warning line where all the room is taken, so it is
/// journaled with each decision.
const LIMITS: &str = r#"
[[limit]]
id = "single_customer"
zh = "单一客户"
en = "one customer"
scope = "member"
per = ["customer"]
hard = { fen = 60000000 }
warning = { fen = 40000000 }

[[limit]]
id = "group"
zh = "集团"
en = "one group"
scope = "member"
per = ["group"]
hard = { fen = 90000000 }

[[limit]]
id = "section_and_product"
zh = "行业门类及产品"
en = "a section of industry, by product"
scope = "federation"
per = ["industry.section", "product"]
hard = { fen = 900000000 }
warning = { share = 0.1 }

[[limit]]
id = "division"
zh = "行业大类"
en = "a division of industry"
scope = "member"
per = ["industry.division"]
hard = { fen = 900000000 }

[[limit]]
id = "finance"
zh = "金融业"
en = "finance"
scope = "member"
where = { industry = ["J"] }
hard = { fen = 900000000 }

[exposure]
amount = "application.amount_fen"
reserve_for = "30d"
customer = "application.customer_id"

[exposure.attributes]
industry = ["application.industry", "none"]
"#;

/// What people do, as an application may say it.
const INDUSTRY: &str = r#"[[field]]
name = "industry"
zh = "行业"
en = "industry"
type = "utf8"
"#;

fn of(customer: &str, industry: &str) -> Application {
    let text = |text: &str| Value::Utf8(text.into());
    let fields = vec![
        ("customer_id".into(), text(customer)),
        ("amount_fen".into(), Value::Int64(5_000_000)),
        ("industry".into(), text(industry)),
    ];
    Application { member: "001".into(), product: "loan".into(), fields }
}

/// Gathers, looks, judges and writes down, again and again: how many allocations the last time makes.
fn allocations(rpc: &Rpc, ledger: &Ledger, applications: &[Application]) -> u64 {
    let serving = rpc.desk.serving.load();
    let engine = &serving.engine;
    let gather = |application, inputs: &mut Inputs| {
        engine.gather(application, us("2026-06-30T10:00:00Z"), inputs).expect("fields of the standard");
    };
    let mut work = Work::default();
    let mut written: Vec<Vec<u8>> = vec![Vec::with_capacity(4096); applications.len()];
    let mut pass = || {
        for (application, written) in applications.iter().zip(&mut written) {
            let Work { inputs, scratch, look } = &mut work;
            look.take_back(inputs);
            gather(application, inputs);
            assert!(engine.asks_exposure(inputs, Call::All));
            assert!(rpc.desk.glance(engine, inputs, look, "r1"), "nothing changes meanwhile");
            let judged = engine.judge(inputs, Call::All, scratch).expect("it has a plan");
            assert_eq!(judged.verdict().outcome, Outcome::Approve);
            assert!(judged.exposure_reasons().is_empty(), "nothing to tell");
            written.clear();
            inputs.encode(engine.rulebook(), written).expect("whole rows");
        }
    };
    // Texts grow until each is as long as the longest that stands there.
    (0..4).for_each(|_| pass());
    let allocations = allocation_counter::measure(pass).count_total;
    // Whoever asks the ledger, and is told all names, writes down the same.
    for (application, written) in applications.iter().zip(written) {
        let mut inputs = Inputs::new();
        gather(application, &mut inputs);
        let reserve = engine.reserve(&inputs, "", 1, 0).expect("all is known");
        let told = ledger.ask(move |core| core.outlook(&reserve, core.now_us())).expect("open");
        let counters = told.expect("the limits know it");
        assert_eq!(counters[0].limit, "single_customer");
        engine.expose_told(&mut inputs, &mut Look::default(), Some(&counters));
        let mut asked = Vec::new();
        inputs.encode(engine.rulebook(), &mut asked).expect("whole rows");
        assert!(asked == written, "{application:?}");
        let near = asked.windows(15).filter(|text| text == b"single_customer").count();
        assert_eq!(near, 2, "in the row, and as it may come above its warning line");
    }
    allocations
}

#[tokio::test]
async fn a_decision_that_looks_allocates_nothing() {
    let bank = Bank::new().await;
    bank.edit("standards/applications.toml", URGENT, &format!("{URGENT}\n{INDUSTRY}"));
    let limited = Limited { bank, disk: Power::default() }.with(LIMITS);
    let (rpc, ledger) = desk(&limited, &Power::default());
    for (exposure, customer, industry) in [("e1", "c1", "66"), ("e2", "c9", "6621")] {
        let attributes = vec![Attribute::new("industry", industry), Attribute::new("product", "loan")];
        let (member, exposure, customer) = ("001".into(), exposure.into(), customer.into());
        let reserve = Reserve { member, exposure, customer, attributes, fen: 100, expires_us: 0 };
        ledger.call(Operation::Reserve(reserve)).expect("there is room");
    }
    // A customer of whom the ledger has nothing is looked at like any other.
    let known = [of("c1", "6621"), of("c1", "66"), of("c2", "6621")];
    assert_eq!(allocations(&rpc, &ledger, &known), 0);
    // Which counters attributes touch of which nothing was reserved yet is worked out each time, and that allocates.
    let new = [of("c1", "6710"), of("c2", "none")];
    assert_ne!(allocations(&rpc, &ledger, &new), 0);
}
