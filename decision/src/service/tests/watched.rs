//! What runs can be watched.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tarim_features::warnings::Feed;
use tarim_proto::decision::v1::value::Kind;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    bank::{Bank, Served, request},
    exposures::Limited,
};
use crate::{
    journal::{Journal, power::Power},
    service::{Config, ServeError, exporter, serve},
};

/// What Prometheus says that it accepts, among others.
const ACCEPTED: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// Asks as Prometheus does; gives the status line and the body.
async fn get(served: &Served, path: &str) -> (String, String) {
    let (head, body) = get_as(served, path, ACCEPTED).await;
    (head.lines().next().expect("a status").to_owned(), body)
}

/// Asks for what is accepted; gives the head and the body.
async fn get_as(served: &Served, path: &str, accepted: &str) -> (String, String) {
    let address = served.running.metrics().expect("it is watched");
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\naccept: {accepted}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it closes the connection");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_owned(), body.to_owned())
}

/// Every sample by its name and labels.
pub async fn samples(served: &Served) -> BTreeMap<String, f64> {
    let (status, body) = get(served, "/metrics").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(body.ends_with("# EOF\n"));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        (name.to_owned(), value.parse().expect("a number"))
    };
    body.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

#[tokio::test]
async fn who_does_not_know_openmetrics_is_told_the_same() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    served.decide(&request("1", "c1", [])).await.expect("decided");
    // What goes on by itself: memory, and how long ago something was.
    let still = |body: &str| -> Vec<String> {
        let is_still = |line: &&str| !line.starts_with('#') && !line.starts_with("process_");
        body.lines().filter(is_still).map(str::to_owned).collect()
    };
    let (open, told) = get_as(&served, "/metrics", ACCEPTED).await;
    assert!(open.contains("content-type: application/openmetrics-text; version=1.0.0"), "{open}");
    for accepted in ["*/*", "text/plain"] {
        let (head, body) = get_as(&served, "/metrics", accepted).await;
        assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
        assert_eq!(still(&body), still(&told));
        assert!(body.contains("# TYPE tarim_decisions_total counter\n") && !body.contains("# EOF"));
    }
    served.end().await.expect("in order");
}

/// Each connection takes a file, and the journal must find one.
#[tokio::test]
async fn who_only_connects_takes_few_files() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let address = served.running.metrics().expect("it is watched");
    let mut silent = Vec::new();
    for _ in 0..exporter::CONNECTIONS_MAX {
        silent.push(TcpStream::connect(address).await.expect("it listens"));
    }
    let mut asked = Box::pin(get(&served, "/metrics"));
    for n in 0..20 {
        assert!(futures::poll!(&mut asked).is_pending(), "the system takes it, and nobody answers");
        served.decide(&request(&format!("{n}"), "c1", [])).await.expect("decided");
    }
    silent.pop();
    assert_eq!(asked.await.0, "HTTP/1.1 200 OK");
    drop(silent);
    served.end().await.expect("in order");
}

#[tokio::test]
async fn every_request_is_counted() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    for (id, customer) in [("1", "c1"), ("2", "c2"), ("3", "bad"), ("3", "bad"), ("4", "nobody")] {
        served.decide(&request(id, customer, [])).await.expect("decided");
    }
    served.decide(&request("5", "c1", [("amount_fen", Kind::IntValue(0))])).await.expect_err("refused");
    served.client().check_admission(request("6", "c1", [])).await.expect("decided");

    let seen = samples(&served).await;
    for (name, value) in [
        (r#"tarim_decisions_total{call="Decide",outcome="APPROVE"}"#, 2.0),
        (r#"tarim_decisions_total{call="Decide",outcome="REFER"}"#, 1.0),
        (r#"tarim_decisions_total{call="Decide",outcome="DECLINE"}"#, 1.0),
        (r#"tarim_decisions_total{call="CheckAdmission",outcome="APPROVE"}"#, 1.0),
        ("tarim_repeats_total", 1.0),
        (r#"tarim_refusals_total{code="InvalidArgument"}"#, 1.0),
        (r#"tarim_refusals_total{code="Internal"}"#, 0.0),
        (r#"tarim_rule_hits_total{rule="A1",effect="decline"}"#, 1.0),
        (r#"tarim_stage_seconds_count{stage="decode"}"#, 7.0),
        (r#"tarim_stage_seconds_count{stage="gather"}"#, 5.0),
        (r#"tarim_stage_seconds_count{stage="look"}"#, 0.0),
        (r#"tarim_stage_seconds_count{stage="journal"}"#, 5.0),
        (r#"tarim_stage_seconds_count{stage="total"}"#, 7.0),
        (r#"tarim_stage_seconds_bucket{le="+Inf",stage="total"}"#, 7.0),
        (r#"tarim_in_flight{kind="requests"}"#, 0.0),
        (r#"tarim_in_flight_max{kind="requests"}"#, 1024.0),
        ("tarim_journal_open", 1.0),
        ("tarim_journal_queue_records", 0.0),
        ("tarim_journal_lag_seconds", 0.0),
        ("tarim_journal_group_records_sum", 5.0),
        // The features are as of 30 June, and the clock stands at ten o'clock of that day.
        ("tarim_features_age_seconds", 36000.0),
        ("tarim_swaps_total", 0.0),
        ("tarim_reload_failing", 0.0),
        // Nobody tells.
        ("tarim_warnings_source", 0.0),
        // It did not fire, and whoever watches it hears of its first time.
        (r#"tarim_rule_hits_total{rule="A1",effect="refer"}"#, 0.0),
    ] {
        assert_eq!(seen.get(name), Some(&value), "{name} in {seen:#?}");
    }
    assert!(seen["tarim_journal_written_bytes_total"] > 1000.0);
    assert!(seen["process_resident_memory_bytes"] > 1e6);
    let version = |served: &Served| served.running.serving().engine.rulebook().version().to_owned();
    let info = format!(r#"tarim_rulebook_info{{version="{}"}}"#, version(&served));
    assert_eq!(seen[&info], 1.0);

    // Counters go on when the rulebook is replaced.
    bank.edit("federation.toml", "value = 10000000", "value = 3000000");
    bank.publish();
    served.reload().await;
    served.decide(&request("7", "bad", [])).await.expect("decided");
    let then = samples(&served).await;
    assert_eq!(then[r#"tarim_rule_hits_total{rule="A1",effect="decline"}"#], 2.0);
    assert_eq!(then["tarim_swaps_total"], 1.0);
    assert!(!then.contains_key(&info), "another rulebook decides");

    assert_eq!(get(&served, "/").await.0, "HTTP/1.1 404 Not Found");
    served.end().await.expect("in order");
}

/// Names of metrics in a PromQL expression: all of ours begin alike.
fn metrics_in(expression: &str) -> impl Iterator<Item = &str> {
    expression
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("tarim_") || word.starts_with("process_"))
}

/// Every text under a key, at any depth.
fn texts<'a>(json: &'a serde_json::Value, key: &str, found: &mut Vec<&'a str>) {
    match json {
        serde_json::Value::Object(fields) => {
            found.extend(fields.get(key).and_then(|text| text.as_str()));
            fields.values().for_each(|value| texts(value, key, found));
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| texts(value, key, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_dashboard_shows_what_is_told_and_nothing_else() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/grafana/tarim.json");
    let text = std::fs::read_to_string(file).expect("the dashboard");
    let dashboard = serde_json::from_str(&text).expect("JSON");
    let mut expressions = Vec::new();
    texts(&dashboard, "expr", &mut expressions);
    let shown: BTreeSet<&str> = expressions.iter().flat_map(|expression| metrics_in(expression)).collect();

    let limited = Limited::new().await;
    // With all that it can have: a ledger, and a source of warnings.
    let feed = Feed::new(Duration::from_secs(60));
    let sources = limited.bank.sources().with_exposures(limited.source()).with_warnings(feed.warnings());
    let journal = Journal::open_on(Arc::new(Power::default()), 1 << 20).expect("a whole disk");
    let served = limited.bank.serve_with(journal, sources).await.expect("it starts");
    served.decide(&request("1", "bad", [])).await.expect("decided");
    let samples = samples(&served).await;
    let told: BTreeSet<&str> = samples.keys().map(|name| name.split('{').next().expect("a name")).collect();
    for name in &shown {
        assert!(told.contains(name), "the dashboard asks for {name}");
    }
    let family = |name: &&str| {
        name.trim_end_matches("_bucket").trim_end_matches("_sum").trim_end_matches("_count").to_owned()
    };
    let families: BTreeSet<String> = shown.iter().map(family).collect();
    for name in &told {
        assert!(families.contains(&family(name)), "no panel shows {name}");
    }
    served.end().await.expect("in order");
}

#[tokio::test]
async fn metrics_stay_on_the_machine() {
    let bank = Bank::new().await;
    let journal = crate::journal::Journal::open(&bank.path("journal")).expect("a new journal");
    let config = Config { metrics: Some(([0, 0, 0, 0], 0).into()), ..Config::on(([127, 0, 0, 1], 0).into()) };
    let refused = serve(config, bank.sources(), journal, std::future::pending()).await.map(drop);
    assert!(matches!(refused, Err(ServeError::MetricsInTheOpen(_))));
}
