//! Applicants, drawn at random: as rows of a store, as a struct, as JSON.

use rand::Rng;
use serde_json::{Value as Json, json};
use tarim_datamart::Value;
use tarim_decision::engine::Application;
use tarim_features::entity::Entity;

use super::hand_written::{Applicant, Area, Employment, Purpose};
use tarim_benches::fixture::{
    MEMBER,
    bank::{Rows, key},
};

/// Draws an applicant; each field is unknown with a probability of `unknown`, except the amount.
pub fn draw(dice: &mut impl Rng, unknown: f64) -> Applicant {
    let income_fen = dice.random_range(200_000..4_000_000);
    let applicant = Applicant {
        age: Some(dice.random_range(16..75)),
        employment: Some(
            [Employment::Public, Employment::Private, Employment::SelfEmployed][dice.random_range(0..3)],
        ),
        area: Some([Area::City, Area::County][dice.random_range(0..2)]),
        income_fen: Some(income_fen),
        debt_fen: Some(income_fen * dice.random_range(0..80) / 100),
        bureau_score: Some(dice.random_range(450..900)),
        dpd_max: Some(if dice.random_bool(0.6) { 0 } else { dice.random_range(1..120) }),
        employed_months: Some(dice.random_range(0..240)),
        enquiries: Some(dice.random_range(0..11)),
        amount_fen: Some(dice.random_range(50_000..40_000_000)),
        term_months: Some(dice.random_range(6..61)),
        purpose: Some(
            [Purpose::House, Purpose::Car, Purpose::Consume, Purpose::Business][dice.random_range(0..4)],
        ),
    };
    let mut dice = || dice.random_bool(unknown);
    let mut seen = |x: Option<i64>| x.filter(|_| !dice());
    let (age, income_fen, debt_fen) =
        (seen(applicant.age), seen(applicant.income_fen), seen(applicant.debt_fen));
    let (bureau_score, dpd_max, employed_months) =
        (seen(applicant.bureau_score), seen(applicant.dpd_max), seen(applicant.employed_months));
    let (enquiries, term_months) = (seen(applicant.enquiries), seen(applicant.term_months));
    let employment = applicant.employment.filter(|_| !dice());
    let (area, purpose) = (applicant.area.filter(|_| !dice()), applicant.purpose.filter(|_| !dice()));
    Applicant {
        age,
        employment,
        area,
        income_fen,
        debt_fen,
        bureau_score,
        dpd_max,
        employed_months,
        enquiries,
        term_months,
        purpose,
        ..applicant
    }
}

/// The applicants as customers of a bank.
pub struct Customers<'a>(pub &'a [Applicant]);

impl Rows for Customers<'_> {
    fn count(&self, _: &str) -> u64 {
        self.0.len() as u64
    }

    fn row(&mut self, entity: &Entity, i: u64, values: &mut Vec<Value>) {
        let a = &self.0[i as usize];
        let columns = &entity.layout.columns()[1..];
        values.extend(columns.iter().map(|column| match column.name.as_str() {
            "age" => int(a.age),
            "employment" => text(a.employment.map(Employment::code)),
            "area" => text(a.area.map(Area::code)),
            "income_fen" => int(a.income_fen),
            "debt_fen" => int(a.debt_fen),
            "bureau_score" => int(a.bureau_score),
            "dpd_max" => int(a.dpd_max),
            "employed_months" => int(a.employed_months),
            "enquiries" => int(a.enquiries),
            other => unreachable!("the policy has no feature {other}"),
        }));
    }
}

/// The application of the `i`th applicant.
pub fn application(i: usize, a: &Applicant) -> Application {
    let fields = [
        ("customer_id", Value::Utf8(key("customer", i as u64))),
        ("amount_fen", int(a.amount_fen)),
        ("term_months", int(a.term_months)),
        ("purpose", text(a.purpose.map(Purpose::code))),
    ];
    Application {
        member: MEMBER.into(),
        product: "loan".into(),
        fields: fields.map(|(name, value)| (name.to_owned(), value)).into(),
    }
}

/// All that is known of an applicant, in one object.
pub fn json(a: &Applicant) -> Json {
    json!({
        "age": a.age,
        "employment": a.employment.map(Employment::code),
        "area": a.area.map(Area::code),
        "income_fen": a.income_fen,
        "debt_fen": a.debt_fen,
        "bureau_score": a.bureau_score,
        "dpd_max": a.dpd_max,
        "employed_months": a.employed_months,
        "enquiries": a.enquiries,
        "amount_fen": a.amount_fen,
        "term_months": a.term_months,
        "purpose": a.purpose.map(Purpose::code),
    })
}

impl Employment {
    fn code(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::SelfEmployed => "self",
        }
    }
}

impl Area {
    fn code(self) -> &'static str {
        match self {
            Self::City => "city",
            Self::County => "county",
        }
    }
}

impl Purpose {
    fn code(self) -> &'static str {
        match self {
            Self::House => "house",
            Self::Car => "car",
            Self::Consume => "consume",
            Self::Business => "business",
        }
    }
}

fn int(value: Option<i64>) -> Value {
    value.map_or(Value::Null, Value::Int64)
}

fn text(value: Option<&str>) -> Value {
    value.map_or(Value::Null, |text| Value::Utf8(text.into()))
}
