//! Every call, its answers, and what is refused.

use tarim_proto::decision::v1::{
    BatchDecideRequest, Decision, DecisionRequest, Effect, Outcome, Stage, StreamedDecision, Value,
    streamed_decision::Result as Streamed, value::Kind,
};
use tokio_stream::StreamExt;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::bank::{Bank, Served, request, text};
use crate::journal::power::Power;

#[tokio::test]
async fn each_call_runs_its_own_stages() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let mut client = served.client();
    let all = client.decide(request("all", "c1", [])).await.expect("decided").into_inner();
    let stages: Vec<_> = all.stages.iter().map(|s| (s.stage(), s.outcome())).collect();
    let five = [Stage::Admission, Stage::Fraud, Stage::Score, Stage::Limit, Stage::Rate];
    assert_eq!(stages, five.map(|stage| (stage, Outcome::Approve)));
    assert_eq!(all.outcome(), Outcome::Approve);
    assert_eq!((all.score_points, all.grade.as_str()), (Some(620.0), "A"));
    assert_eq!((all.limit_fen, all.rate_ppm), (Some(5_000_000), Some(40_000)));
    assert!(all.pd.is_some_and(|pd| pd > 0.0 && pd < 0.1));
    assert_eq!(all.decided_at.map(|t| t.to_string()).as_deref(), Some("2026-06-30T10:00:00Z"));
    assert_eq!(all.rulebook_version, served.running.serving().engine.rulebook().version());
    assert_eq!(all.feature_version, served.running.serving().engine.snapshot().version());

    let of = |decision: Decision| (decision.stages[0].stage(), decision.stages.len(), decision);
    let answer = client.check_admission(request("1", "c1", [])).await.expect("decided");
    assert_eq!(of(answer.into_inner()).0, Stage::Admission);
    let answer = client.detect_fraud(request("2", "c1", [])).await.expect("decided");
    assert_eq!(of(answer.into_inner()).0, Stage::Fraud);
    let answer = client.score_application(request("3", "c1", [])).await.expect("decided");
    let (stage, n, score) = of(answer.into_inner());
    assert_eq!((stage, n, score.score_points, score.limit_fen), (Stage::Score, 1, Some(620.0), None));
    let answer = client.assign_limit(request("4", "c1", [])).await.expect("decided");
    let (stage, n, limit) = of(answer.into_inner());
    assert_eq!((stage, n, limit.limit_fen, limit.rate_ppm), (Stage::Limit, 1, Some(5_000_000), None));
    let answer = client.quote_rate(request("5", "c1", [])).await.expect("decided");
    let (stage, n, rate) = of(answer.into_inner());
    assert_eq!((stage, n, rate.rate_ppm, rate.limit_fen), (Stage::Rate, 1, Some(40_000), None));

    assert_eq!(served.find("001", "all").await.expect("it was decided"), all);
    assert_eq!(served.find("001", "5").await.expect("it was decided"), rate);
    served.end().await.expect("in order");
}

#[tokio::test]
async fn what_is_bad_or_unknown_is_never_approved() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    for (customer, outcome, reason, effect) in
        [("bad", Outcome::Decline, "A1", Effect::Decline), ("nobody", Outcome::Refer, "A2", Effect::Refer)]
    {
        let decision = served.decide(&request(customer, customer, [])).await.expect("decided");
        assert_eq!(decision.outcome(), outcome, "{customer}");
        let reason = decision.reasons.iter().find(|r| r.id == reason).expect("the reason");
        assert_eq!(reason.effect(), effect);
        assert!(!reason.zh.is_empty() && !reason.en.is_empty());
    }
    served.end().await.expect("in order");
}

/// What a caller can get wrong, and the field that the answer names.
#[tokio::test]
async fn a_mistake_is_told_with_its_field() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let good = || request("r", "c1", []);
    let with = |name: &str, kind| request("r", "c1", [(name, kind)]);
    let year_10_001 = prost_types::Timestamp { seconds: 253_450_000_000, nanos: 0 };
    let mut wrong = vec![
        ("request_id", DecisionRequest { request_id: String::new(), ..good() }),
        ("request_id", DecisionRequest { request_id: "号".repeat(65), ..good() }),
        ("member", DecisionRequest { member: String::new(), ..good() }),
        ("member", DecisionRequest { member: "009".into(), ..good() }),
        ("product", DecisionRequest { product: "mortgage".into(), ..good() }),
        ("product", DecisionRequest { product: "card".into(), ..good() }),
        ("application.product", with("product", text("card"))),
        ("application.shoe_size", with("shoe_size", Kind::IntValue(43))),
        ("application.amount_fen", with("amount_fen", text("5000000"))),
        ("application.amount_fen", with("amount_fen", Kind::IntValue(0))),
        ("application.amount_fen", with("amount_fen", Kind::DoubleValue(0.5))),
        ("application.id_number", with("id_number", text("450103199001011234"))),
        ("application.birth", with("birth", text("31.01.1990"))),
        ("application.income", with("income", Kind::DoubleValue(f64::NAN))),
        ("application.signed_at", with("signed_at", Kind::TimestampValue(year_10_001))),
        ("application.urgent", with("urgent", Kind::IntValue(1))),
        ("application.customer_id", with("customer_id", text(&"c".repeat(33)))),
    ];
    let both = [("urgent", Kind::BoolValue(true)), ("amount_fen", Kind::IntValue(20_000_000))];
    wrong.push(("application", request("r", "c1", both)));
    let mut missing = good();
    missing.application.remove("customer_id");
    wrong.push(("application.customer_id", missing));
    let mut nothing = good();
    nothing.application.insert("amount_fen".into(), Value { kind: None });
    wrong.push(("application.amount_fen", nothing));
    for (field, request) in wrong {
        let status = served.decide(&request).await.expect_err(field);
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status}");
        assert!(status.message().starts_with(&format!("{field}: ")), "{field}: {}", status.message());
        let name = field.trim_start_matches("application.");
        assert_eq!(status.message().matches(&format!("{name}: ")).count(), 1, "{}", status.message());
        let details = status.get_error_details();
        let violation = &details.bad_request().expect("details").field_violations[0];
        assert_eq!(violation.field, field);
        assert!(!status.message().contains("450103199001011234"), "personal data stays out of messages");
    }
    assert_eq!(served.find("001", "r").await.expect_err("nothing was decided").code(), Code::NotFound);
    served.decide(&good()).await.expect("the id is still free");
    served.end().await.expect("in order");
}

/// Whoever has several fields to correct is told of all of them at once, each with its name, and of no field twice.
#[tokio::test]
async fn all_mistakes_of_a_request_are_told_together() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let wrong = [
        ("amount_fen", Kind::IntValue(0)),
        ("birth", text("31.01.1990")),
        ("id_number", text("450103199001011234")),
        ("shoe_size", Kind::IntValue(43)),
        ("urgent", Kind::IntValue(1)),
    ];
    let mut request = DecisionRequest { product: "mortgage".into(), ..request("r", "c1", wrong) };
    request.application.remove("customer_id");
    let fields = |status: &Status| -> Vec<String> {
        let details = status.get_error_details();
        details.bad_request().expect("details").field_violations.iter().map(|v| v.field.clone()).collect()
    };
    let names = ["amount_fen", "birth", "customer_id", "id_number", "shoe_size", "urgent"];
    let expected: Vec<String> = names.iter().map(|name| format!("application.{name}")).collect();
    for product in ["mortgage", "loan"] {
        request.product = product.into();
        let status = served.decide(&request).await.expect_err("much is wrong");
        assert_eq!(status.code(), Code::InvalidArgument);
        let mut told = fields(&status);
        if product == "mortgage" {
            assert_eq!(told.remove(0), "product");
            assert!(status.message().starts_with("product: "), "{}", status.message());
        }
        told.sort();
        assert_eq!(told, expected);
        for field in &expected {
            assert_eq!(status.message().matches(&format!("{field}: ")).count(), 1, "{}", status.message());
        }
        assert!(!status.message().contains("450103199001011234"), "personal data stays out of messages");
    }
    // Of very many, as many as can be told.
    request.application.extend((0..50).map(|n| (format!("x{n}"), Value { kind: Some(Kind::IntValue(1)) })));
    let status = served.decide(&request).await.expect_err("much is wrong");
    assert_eq!(fields(&status).len(), 16);
    assert!(status.message().ends_with("; and 40 fields more are wrong"), "{}", status.message());
    assert_eq!(served.find("001", "r").await.expect_err("nothing was decided").code(), Code::NotFound);
    served.end().await.expect("in order");
}

#[tokio::test]
async fn values_are_read_by_the_standard() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let time = prost_types::Timestamp { seconds: 1_767_225_600, nanos: 5_000 };
    let strict = request(
        "strict",
        "c1",
        [
            ("urgent", Kind::BoolValue(true)),
            ("birth", Kind::DateValue("1990-01-31".into())),
            ("signed_at", Kind::TimestampValue(time)),
            ("income", Kind::DoubleValue(9000.0)),
        ],
    );
    let loose = request(
        "loose",
        "c1",
        [
            ("urgent", Kind::BoolValue(true)),
            ("birth", text("1990-01-31")),
            ("signed_at", text("2026-01-01T08:00:00.000005+08:00")),
            ("income", Kind::IntValue(9000)),
            ("amount_fen", Kind::DoubleValue(5_000_000.0)),
        ],
    );
    let strict = served.decide(&strict).await.expect("decided");
    let loose = served.decide(&loose).await.expect("decided");
    assert_eq!(strict.reasons, loose.reasons);
    let shown = strict.reasons.iter().find(|r| r.id == "A3").expect("it is urgent");
    let values: Vec<_> = shown.values.iter().map(|v| v.value.clone().and_then(|v| v.kind)).collect();
    assert_eq!(
        values,
        [
            Some(Kind::BoolValue(true)),
            Some(Kind::DateValue("1990-01-31".into())),
            Some(Kind::TimestampValue(time)),
            Some(Kind::DoubleValue(9000.0)),
            Some(text("Nanning")),
        ]
    );
    served.end().await.expect("in order");
}

pub type Answers = Vec<(String, Result<Decision, i32>)>;

pub async fn stream(served: &Served, requests: Vec<DecisionRequest>) -> Answers {
    let answers = served.client().decide_stream(tokio_stream::iter(requests)).await.expect("a stream");
    let answers: Vec<_> = answers.into_inner().collect::<Result<_, Status>>().await.expect("it goes on");
    answers.into_iter().map(of_many).collect()
}

pub async fn batch(served: &Served, requests: Vec<DecisionRequest>) -> Result<Answers, Status> {
    let answers = served.client().batch_decide(BatchDecideRequest { requests }).await?.into_inner().answers;
    Ok(answers.into_iter().map(of_many).collect())
}

fn of_many(answer: StreamedDecision) -> (String, Result<Decision, i32>) {
    let result = match answer.result {
        Some(Streamed::Decision(decision)) => Ok(decision),
        Some(Streamed::Error(error)) => Err(error.code),
        None => panic!("neither a decision nor an error"),
    };
    (answer.request_id, result)
}

/// Many requests: one is wrong, one is a repeat, and one has the id of another.
fn many() -> Vec<DecisionRequest> {
    let mut requests: Vec<_> = (0..1000).map(|i| request(&format!("r{i}"), "c1", [])).collect();
    requests[500].member = "009".into();
    requests[700].request_id = "r3".into();
    requests[800] = request("r4", "c2", []);
    requests
}

fn assert_answered(answers: &Answers) {
    for (i, (id, answer)) in answers.iter().enumerate() {
        assert_eq!(*id, many()[i].request_id);
        match i {
            500 => assert_eq!(*answer, Err(Code::InvalidArgument.into())),
            700 => assert_eq!(answer, &answers[3].1, "a repeat has the first answer"),
            800 => assert_eq!(*answer, Err(Code::AlreadyExists.into())),
            _ => assert_eq!(answer.as_ref().expect("decided").outcome(), Outcome::Approve),
        }
    }
    assert_eq!(answers.len(), 1000);
}

#[tokio::test]
async fn a_stream_answers_in_order_and_goes_on_after_errors() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    assert_answered(&stream(&served, many()).await);
    assert_eq!(stream(&served, Vec::new()).await, []);
    served.end().await.expect("in order");
}

#[tokio::test]
async fn a_batch_is_answered_as_a_stream_is() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let answers = batch(&served, many()).await.expect("answers");
    assert_answered(&answers);
    assert_eq!(batch(&served, many()).await.expect("answers"), answers, "each is decided once");
    assert_eq!(stream(&served, many()).await, answers);
    let mut too_many = many();
    too_many.push(request("one more", "c1", []));
    for requests in [Vec::new(), too_many] {
        let refused = batch(&served, requests).await.expect_err("not that many");
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(
            refused.get_error_details().bad_request().expect("details").field_violations[0].field,
            "requests"
        );
    }
    served.end().await.expect("in order");
}

#[tokio::test]
async fn health_and_reflection_are_there() {
    use tonic_health::pb::{
        HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
    };
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    for service in ["", "tarim.decision.v1.DecisionService"] {
        let request = HealthCheckRequest { service: service.into() };
        let health = HealthClient::new(served.channel.clone()).check(request).await.expect("an answer");
        assert_eq!(health.into_inner().status(), ServingStatus::Serving);
    }
    macro_rules! services {
        ($version:ident) => {{
            use tonic_reflection::pb::$version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
            };
            let request = ServerReflectionRequest {
                message_request: Some(MessageRequest::ListServices(String::new())),
                ..Default::default()
            };
            let mut client = ServerReflectionClient::new(served.channel.clone());
            let answer = client.server_reflection_info(tokio_stream::once(request)).await.expect("an answer");
            let answer = answer.into_inner().message().await.expect("an answer").expect("a message");
            match answer.message_response {
                Some(MessageResponse::ListServicesResponse(list)) => {
                    list.service.into_iter().map(|s| s.name).collect::<Vec<_>>()
                }
                other => panic!("{other:?}"),
            }
        }};
    }
    for services in [services!(v1), services!(v1alpha)] {
        assert!(services.contains(&"tarim.decision.v1.DecisionService".to_owned()), "{services:?}");
        assert!(services.contains(&"grpc.health.v1.Health".to_owned()), "{services:?}");
    }
    // Without it grpcurl cannot show which field is wrong.
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let symbol = MessageRequest::FileContainingSymbol("google.rpc.BadRequest".into());
    let request = ServerReflectionRequest { message_request: Some(symbol), ..Default::default() };
    let mut client = ServerReflectionClient::new(served.channel.clone());
    let answer = client.server_reflection_info(tokio_stream::once(request)).await.expect("an answer");
    let answer = answer.into_inner().message().await.expect("an answer").expect("a message");
    assert!(matches!(answer.message_response, Some(MessageResponse::FileDescriptorResponse(_))));
    served.end().await.expect("in order");
}
