//! Control points over gRPC: verdicts, overrides, repeats, restarts, replay.

mod limited;
mod overrides;
mod points;

use std::{collections::BTreeMap, fs};

use tarim_proto::decision::v1::{
    ControlPoint, GetInterceptionRequest, InterceptRequest, Interception, Officer, OverrideReason,
    OverrideRequest, Value, interception_service_client::InterceptionServiceClient, value::Kind,
};
use tonic::{Status, transport::Channel};

use super::bank::{Bank, Served, text};
use crate::journal::{
    power::Power,
    replay::{self, Event, Replay},
};

fn client(served: &Served) -> InterceptionServiceClient<Channel> {
    InterceptionServiceClient::new(served.channel.clone())
}

/// A contract of member 001 over so much, not urgent.
fn contract(id: &str, subject: &str, customer: &str, fen: i64) -> InterceptRequest {
    let field = |name: &str, kind| (name.to_owned(), Value { kind: Some(kind) });
    InterceptRequest {
        request_id: id.into(),
        member: "001".into(),
        product: "loan".into(),
        point: ControlPoint::Contract.into(),
        subject: subject.into(),
        application: BTreeMap::from([
            field("customer_id", text(customer)),
            field("amount_fen", Kind::IntValue(fen)),
            field("urgent", Kind::BoolValue(false)),
        ]),
        exposure: String::new(),
    }
}

async fn intercept(served: &Served, request: &InterceptRequest) -> Result<Interception, Status> {
    Ok(client(served).intercept(request.clone()).await?.into_inner())
}

/// An override of rules of an interception by an officer with a role.
fn overriding(id: &str, of: &str, role: &str, rules: &[&str]) -> OverrideRequest {
    let one =
        |rule: &&str| OverrideReason { rule: (*rule).into(), reason: "a second guarantor signed".into() };
    OverrideRequest {
        request_id: id.into(),
        member: "001".into(),
        interception: of.into(),
        officer: Some(Officer { id: "o7".into(), name: "王敏".into(), role: role.into() }),
        overrides: rules.iter().map(one).collect(),
    }
}

async fn overridden(served: &Served, request: &OverrideRequest) -> Result<Interception, Status> {
    Ok(client(served).r#override(request.clone()).await?.into_inner())
}

async fn find(served: &Served, request_id: &str) -> Result<Interception, Status> {
    let request = GetInterceptionRequest { member: "001".into(), request_id: request_id.into() };
    Ok(client(served).get_interception(request).await?.into_inner())
}

fn ids(interception: &Interception) -> Vec<&str> {
    interception.reasons.iter().map(|reason| reason.id.as_str()).collect()
}

/// What a replay makes of everything on a disk.
fn replayed(bank: &Bank, disk: &Power) -> Vec<replay::Verdict> {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in disk.files() {
        fs::write(folder.path().join(name), bytes).expect("writable");
    }
    let mut verdicts = Vec::new();
    let mut tell = |event: Event<'_>| {
        if let Event::Replayed(_, _, verdict) = event {
            verdicts.push(verdict.clone());
        }
    };
    Replay::new(&bank.published()).run(folder.path(), &|_| true, &mut tell).expect("a whole journal");
    verdicts
}
