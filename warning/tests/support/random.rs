//! Random events of the small rulebook's kinds.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value as Json, json};
use tarim_warning::alert;

use super::{event, tick};

pub const HOUR_US: i64 = 3_600_000_000;
pub const CUSTOMERS: [&str; 5] = ["001/c1", "001/c2", "002/c1", "002/c22", "003/贷款户"];

/// How a log goes.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    pub events: usize,
    /// How far an event may be behind the others, in hours.
    pub late_h: i64,
    pub ticks: bool,
}

/// An event and whose it is; None: a tick.
pub type Said = (Option<usize>, Json);

/// A log whose times go on by hours, now and then by days.
pub fn log(course: Course, rng: &mut ChaCha8Rng) -> Vec<Said> {
    // 2026-01-01, and some hours: panes begin and end on the way.
    let mut clock = 1_767_225_600_000_000 + rng.random_range(0..48) * HOUR_US;
    let each = |i: usize| {
        clock += match rng.random_range(0..40) {
            0 => rng.random_range(0..20 * 24) * HOUR_US,
            1..10 => 0,
            _ => rng.random_range(0..6 * HOUR_US),
        };
        if course.ticks && rng.random_bool(0.1) {
            return (None, tick(&alert::time(clock)));
        }
        let late = match rng.random_range(0..5) {
            0 if course.late_h > 0 => rng.random_range(0..course.late_h * HOUR_US),
            _ => 0,
        };
        let customer = rng.random_range(0..CUSTOMERS.len());
        let (kind, body) = body(rng);
        let time = alert::time(clock - late);
        (Some(customer), event(&format!("e{i}"), CUSTOMERS[customer], &time, kind, body))
    };
    (0..course.events).map(each).collect()
}

/// A kind, and fields of it. Some are unknown.
pub fn body(rng: &mut ChaCha8Rng) -> (&'static str, Json) {
    const SOME: f64 = 0.85;
    let kind = match rng.random_range(0..20) {
        0..9 => "transaction",
        9 => "loan_disbursed",
        10..12 => "repayment_due",
        12..14 => "repayment_paid",
        14..16 => "repayment_missed",
        16 => "collateral_value",
        17 => "legal_case",
        _ => "login",
    };
    let mut one = |words: &[&str]| json!(words[rng.random_range(0..words.len())]);
    let (loan, collateral) = (one(&["l1", "l2", "l/3"]), one(&["h1", "h2"]));
    let mut fields = match kind {
        "transaction" => json!({
            "kind": one(&["transfer_out", "cash_in", "purchase", "salary"]),
            "channel": one(&["mobile", "counter"]),
            "counterparty": one(&["p1", "p2", "p3", "p4", "p5"]),
            "counterparty_kind": one(&["person", "securities", "property"]),
        }),
        "legal_case" => json!({ "role": one(&["plaintiff", "defendant", "executed"]) }),
        "login" => json!({ "device": one(&["m1", "m2", "", "设备"]) }),
        _ => json!({ "amount_fen": 1 }),
    };
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|_, _| rng.random_bool(SOME));
        let mut put = |name: &str, value: Json| drop(fields.insert(name.into(), value));
        match kind {
            "transaction" => {
                let salary = rng.random_bool(0.5);
                put("direction", json!(if salary { "C" } else { "D" }));
                put("amount_fen", json!(10i64.pow(rng.random_range(0..7)) * rng.random_range(1..5)));
            }
            "loan_disbursed" => {
                put("loan_id", loan);
                if rng.random_bool(SOME) {
                    put("amount_fen", json!(10i64.pow(rng.random_range(2..7))));
                }
            }
            "repayment_due" | "repayment_paid" | "repayment_missed" => {
                put("loan_id", loan);
                put("instalment", json!(rng.random_range(1..4)));
                if kind != "repayment_due" {
                    put("dpd", json!([0, 1, 30, 60, 90][rng.random_range(0..5)]));
                }
            }
            "collateral_value" => {
                put("collateral_id", collateral);
                put("value_fen", json!(rng.random_range(0..5)));
                if rng.random_bool(SOME) {
                    put("loan_balance_fen", json!(rng.random_range(0..5)));
                }
            }
            "legal_case" => put("case_id", json!(format!("k{}", rng.random_range(0..4)))),
            _ => login(rng, &mut put),
        }
        // Neither has these fields.
        if matches!(kind, "collateral_value" | "repayment_missed" | "repayment_due") {
            fields.remove("amount_fen");
        }
        if fields.get("direction").is_some_and(|d| d == "D")
            && fields.get("kind").is_some_and(|k| k == "salary")
        {
            fields.insert("direction".into(), json!("C"));
        }
    }
    (kind, fields)
}

fn login(rng: &mut ChaCha8Rng, put: &mut impl FnMut(&str, Json)) {
    if rng.random_bool(0.9) {
        put("succeeded", json!(rng.random_bool(0.3)));
    }
    if rng.random_bool(0.9) {
        put("risk", json!(f64::from(rng.random_range(0..=64)) / 64.0));
    }
    put("registered_on", json!(rng.random_range(10_000..20_000)));
}

/// The log of one customer alone.
pub fn of(log: &[Said], customer: usize) -> Vec<(usize, &Json)> {
    let own = log.iter().enumerate().filter(|(_, (of, _))| *of == Some(customer));
    own.map(|(i, (_, json))| (i, json)).collect()
}

/// Fields of a head.
pub fn time_of(json: &Json) -> i64 {
    let head: &Map<String, Json> = json.as_object().unwrap();
    tarim_datamart::gate::parse::timestamp(head["happened_at"].as_str().unwrap()).unwrap()
}
