//! An event's JSON as the message that a client would send.

use prost::Message;
use serde_json::{Map, Value as Json};
use tarim_datamart::gate::parse;
use tarim_proto::event::v1::{
    CollateralValue, Contagion, Event, FeaturesChange, LegalCase, LoanDisbursed, RepaymentDue,
    RepaymentMissed, RepaymentPaid, Tick, Transaction, event::Kind,
};

/// None: the wire has no such kind or field, or not of this type.
pub fn event(json: &Json) -> Option<Vec<u8>> {
    let head = json.as_object()?;
    let text = |key: &str| head.get(key).map_or(Some(String::new()), |v| Some(v.as_str()?.to_owned()));
    let time = |key: &str| head.get(key).map(|v| v.as_i64().or_else(|| parse::timestamp(v.as_str()?)));
    let (name, body) = head.iter().find(|(_, value)| value.is_object())?;
    let event = Event {
        event_id: text("event_id")?,
        member: text("member")?,
        customer_id: text("customer_id")?,
        happened_at_us: time("happened_at")??,
        known_at_us: match time("known_at") {
            Some(time) => Some(time?),
            None => None,
        },
        kind: Some(kind(name, Body(body.as_object()?))?),
    };
    Some(event.encode_to_vec())
}

struct Body<'j>(&'j Map<String, Json>);

impl Body<'_> {
    fn text(&self, field: &str) -> Option<String> {
        self.0.get(field)?.as_str().map(str::to_owned)
    }

    fn int(&self, field: &str) -> Option<i64> {
        self.0.get(field)?.as_i64()
    }

    /// Whether all that it says is among these, and of their types.
    fn has(&self, texts: &[&str], ints: &[&str]) -> Option<()> {
        let known = |(name, value): (&String, &Json)| match value {
            Json::String(_) => texts.contains(&name.as_str()),
            Json::Number(n) => n.is_i64() && ints.contains(&name.as_str()),
            value => value.is_null(),
        };
        self.0.iter().all(known).then_some(())
    }
}

fn kind(name: &str, body: Body<'_>) -> Option<Kind> {
    let (text, int) = (|f| body.text(f), |f| body.int(f));
    Some(match name {
        "transaction" => {
            body.has(
                &["direction", "kind", "channel", "counterparty", "counterparty_kind"],
                &["amount_fen", "balance_fen"],
            )?;
            Kind::Transaction(Transaction {
                direction: text("direction"),
                amount_fen: int("amount_fen"),
                balance_fen: int("balance_fen"),
                kind: text("kind"),
                channel: text("channel"),
                counterparty: text("counterparty"),
                counterparty_kind: text("counterparty_kind"),
                ..Transaction::default()
            })
        }
        "loan_disbursed" => {
            body.has(&["loan_id", "product"], &["amount_fen"])?;
            Kind::LoanDisbursed(LoanDisbursed {
                loan_id: text("loan_id"),
                product: text("product"),
                amount_fen: int("amount_fen"),
                ..LoanDisbursed::default()
            })
        }
        "repayment_due" => {
            body.has(&["loan_id"], &["instalment", "amount_fen"])?;
            let (loan_id, instalment) = (text("loan_id"), int("instalment"));
            Kind::RepaymentDue(RepaymentDue { loan_id, instalment, amount_fen: int("amount_fen") })
        }
        "repayment_paid" => {
            body.has(&["loan_id"], &["instalment", "amount_fen", "dpd"])?;
            let (loan_id, instalment) = (text("loan_id"), int("instalment"));
            let (amount_fen, dpd) = (int("amount_fen"), int("dpd"));
            Kind::RepaymentPaid(RepaymentPaid { loan_id, instalment, amount_fen, dpd })
        }
        "repayment_missed" => {
            body.has(&["loan_id"], &["instalment", "amount_fen", "dpd"])?;
            let (loan_id, instalment) = (text("loan_id"), int("instalment"));
            let (amount_fen, dpd) = (int("amount_fen"), int("dpd"));
            Kind::RepaymentMissed(RepaymentMissed { loan_id, instalment, amount_fen, dpd })
        }
        "collateral_value" => {
            body.has(&["collateral_id", "loan_id", "category"], &["value_fen", "loan_balance_fen"])?;
            Kind::CollateralValue(CollateralValue {
                collateral_id: text("collateral_id"),
                value_fen: int("value_fen"),
                loan_balance_fen: int("loan_balance_fen"),
                ..CollateralValue::default()
            })
        }
        "legal_case" => {
            body.has(&["case_id", "role"], &["amount_fen"])?;
            let (case_id, role) = (text("case_id"), text("role"));
            Kind::LegalCase(LegalCase { case_id, role, amount_fen: int("amount_fen"), ..Default::default() })
        }
        "contagion" => {
            body.has(
                &["source_customer", "source_rule", "source_alert", "source_level", "edge", "through"],
                &["hops"],
            )?;
            Kind::Contagion(Contagion {
                source_customer: text("source_customer"),
                source_rule: text("source_rule"),
                source_alert: text("source_alert"),
                source_level: text("source_level"),
                edge: text("edge"),
                hops: int("hops"),
                through: text("through"),
            })
        }
        "tick" => Kind::Tick(Tick {}),
        "features" => Kind::Features(FeaturesChange { version: text("version")? }),
        _ => return None,
    })
}
