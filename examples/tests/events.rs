//! The events of the bank: in the order in which they became known, in step with its tables, as the standards
//! want them, and with every planted pattern in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
    sync::LazyLock,
};

use indicatif::ProgressBar;
use serde_json::Value as Json;
use tarim_datamart::{Datamart, LoadOptions, Standards, Tokeniser};
use tarim_examples::{NaiveDate, Plan, Report, synthesise};
use tempfile::TempDir;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// 20,000 CNY in fen.
const LARGE: i64 = 2_000_000;
/// Of every event; the kind's fields are in an object named after the kind.
const HEAD: [&str; 5] = ["event_id", "member", "customer_id", "happened_at", "known_at"];

struct Event {
    kind: String,
    id: String,
    customer: String,
    happened: i64,
    known: i64,
    body: Json,
}

impl Event {
    fn read(line: &str) -> Self {
        let mut event: BTreeMap<String, Json> = serde_json::from_str(line).unwrap();
        assert_eq!(event.len(), HEAD.len() + 1, "{line}");
        let [id, member, customer, happened, known] = HEAD.map(|field| match event.remove(field) {
            Some(Json::String(text)) => text,
            _ => panic!("no {field} in {line}"),
        });
        let (kind, body) = event.pop_first().unwrap();
        assert!(customer[1..].starts_with(&member), "{line}");
        assert!(body.is_object(), "{line}");
        Self { kind, id, customer, happened: seconds(&happened), known: seconds(&known), body }
    }

    fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_default()
    }

    fn fen(&self) -> i64 {
        self.body["amount_fen"].as_i64().unwrap()
    }

    fn comes_in(&self) -> bool {
        self.text("direction") == "C"
    }
}

/// Seconds since 1970 of `2026-06-30T08:00:00Z`.
fn seconds(text: &str) -> i64 {
    assert!(text.len() == 20 && text.ends_with('Z'), "{text}");
    let epoch: NaiveDate = "1970-01-01".parse().unwrap();
    let days = (text[..10].parse::<NaiveDate>().unwrap() - epoch).num_days();
    let part = |at: usize| text[at..at + 2].parse::<i64>().unwrap();
    days * DAY + part(11) * HOUR + part(14) * 60 + part(17)
}

/// A bank and its events.
struct Made {
    folder: TempDir,
    report: Report,
    events: Vec<Event>,
}

fn make(plan: Plan) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let report = synthesise(plan, folder.path(), &ProgressBar::hidden()).unwrap();
    let events = lines(folder.path()).lines().map(Event::read).collect();
    Made { folder, report, events }
}

fn lines(bank: &Path) -> String {
    fs::read_to_string(bank.join("events/events.ndjson")).unwrap()
}

/// Rows of a CSV file, by column name.
fn rows(bank: &Path, file: &str) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_path(bank.join(file)).unwrap().deserialize().map(|row| row.unwrap()).collect()
}

/// The bank that most tests look at.
static BANK: LazyLock<Made> = LazyLock::new(|| make(Plan { dirty: 0.0, ..Plan::new(2000, 7) }));

#[test]
fn the_same_seed_makes_the_same_events() {
    let [first, same, other] = [7, 7, 8].map(|seed| lines(make(Plan::new(400, seed)).folder.path()));
    assert!(first == same);
    assert!(first != other);
}

#[test]
fn events_stand_in_the_order_in_which_they_became_known() {
    let bank = &*BANK;
    assert!(bank.events.is_sorted_by_key(|e| (e.known, e.happened)));
    assert!(bank.events.iter().all(|e| e.happened <= e.known));
    let (first, last) = (seconds("2025-06-01T00:00:00Z"), seconds("2026-06-30T23:59:59Z"));
    assert!(bank.events.iter().all(|e| e.happened >= first && e.known <= last));

    let ids: BTreeSet<_> = bank.events.iter().map(|e| (&e.kind, &e.customer[1..4], &e.id)).collect();
    assert_eq!(ids.len(), bank.events.len(), "an event's id is not unique");
    let kinds: BTreeSet<&str> = bank.events.iter().map(|e| e.kind.as_str()).collect();
    // No decision was ever made at this bank, so none moved an exposure.
    let expected = [
        "bureau_change",
        "collateral_value",
        "legal_case",
        "list_change",
        "loan_disbursed",
        "registration_change",
        "repayment_due",
        "repayment_missed",
        "repayment_paid",
        "transaction",
    ];
    assert!(kinds.iter().eq(&expected), "{kinds:?}");

    let file = bank.report.files.iter().find(|f| f.file == "events/events.ndjson").unwrap();
    let text = lines(bank.folder.path());
    assert_eq!((file.rows, file.bytes), (bank.events.len() as u64, text.len() as u64));
    // Nothing but the file is left in its folder, which is no file of the bank's own to load.
    assert_eq!(fs::read_dir(bank.folder.path().join("events")).unwrap().count(), 1);
}

#[test]
fn every_booking_is_an_event() {
    let bank = &*BANK;
    let bookings = rows(bank.folder.path(), "transactions.csv");
    let mut told: BTreeMap<&str, &Event> =
        bank.events.iter().filter(|e| e.kind == "transaction").map(|e| (e.id.as_str(), e)).collect();
    assert_eq!(told.len(), bookings.len());
    let (mut late, mut very_late) = (0, 0);
    for row in &bookings {
        let event = told.remove(row["txn_id"].as_str()).unwrap_or_else(|| panic!("no event of {row:?}"));
        assert_eq!(event.customer, row["customer_id"]);
        assert_eq!(event.happened, seconds(&row["booked_at"]));
        for field in ["account_id", "direction", "kind", "channel", "counterparty"] {
            assert_eq!(event.text(field), row[field], "{field} of {row:?}");
        }
        for field in ["amount_fen", "balance_fen"] {
            assert_eq!(event.body[field].as_i64(), row[field].parse().ok(), "{field} of {row:?}");
        }
        match event.known - seconds(&row["known_at"]) {
            0 => {}
            delay if (DAY..=3 * DAY).contains(&delay) => late += 1,
            delay if (10 * DAY..=40 * DAY).contains(&delay) => very_late += 1,
            delay => panic!("{delay} seconds late: {row:?}"),
        }
    }
    let share = f64::from(late) / bookings.len() as f64;
    assert!((0.004..0.006).contains(&share) && (5..50).contains(&very_late), "{share}, {very_late}");
}

/// A row that stands twice happened once; other dirt is of the files, not of the events.
#[test]
fn dirt_spoils_no_event() {
    let bank = make(Plan { dirty: 0.02, ..Plan::new(400, 3) });
    let twice = rows(bank.folder.path(), "truth/planted.csv")
        .iter()
        .filter(|plant| plant["kind"] == "duplicate_key" && plant["table"] == "transactions")
        .count();
    let bookings = bank.report.files.iter().find(|f| f.file == "transactions.csv").unwrap().rows;
    let told = bank.events.iter().filter(|e| e.kind == "transaction").count();
    assert!(twice > 10);
    assert_eq!(told as u64, bookings - twice as u64);
}

/// Does this kind of pattern show in the events of one customer, in the order in which they happened?
fn shows(kind: &str, events: &[&Event]) -> bool {
    let bookings: Vec<&Event> = events.iter().copied().filter(|e| e.kind == "transaction").collect();
    let within = |from: i64, to: i64| {
        let start = bookings.partition_point(|e| e.happened < from);
        let end = bookings.partition_point(|e| e.happened <= to);
        &bookings[start..end.max(start)]
    };
    let out = |from, to| within(from, to).iter().filter(|e| !e.comes_in()).copied();
    match kind {
        "loan_diverted" => events.iter().filter(|e| e.kind == "loan_disbursed").any(|loan| {
            let gone: i64 = out(loan.happened, loan.happened + 6 * DAY)
                .filter(|e| ["securities", "property"].contains(&e.text("counterparty_kind")))
                .map(Event::fen)
                .sum();
            gone * 100 >= loan.fen() * 85
        }),
        "pass_through" => {
            let passed = bookings.iter().filter(|e| {
                let gone: i64 = out(e.happened, e.happened + 2 * HOUR).map(Event::fen).sum();
                e.text("kind") == "transfer_in" && e.fen() >= LARGE && gone * 100 >= e.fen() * 95
            });
            passed.map(|e| e.happened / DAY).collect::<BTreeSet<_>>().len() >= 3
        }
        "fan_in" => bookings.iter().any(|first| {
            let end = first.happened + 5 * DAY;
            let gathered: Vec<_> =
                within(first.happened, end).iter().filter(|e| e.comes_in() && e.fen() < LARGE).collect();
            let total: i64 = gathered.iter().map(|e| e.fen()).sum();
            let from: BTreeSet<&str> = gathered.iter().map(|e| e.text("counterparty")).collect();
            from.len() >= 25 && out(first.happened, end).any(|e| e.fen() * 10 >= total * 9)
        }),
        "dormant_active" => bookings.windows(2).any(|pair| {
            let woken = pair[1].happened;
            let large = within(woken, woken + 3 * DAY).iter().filter(|e| e.fen() >= LARGE).count();
            woken - pair[0].happened >= 120 * DAY && large >= 6
        }),
        "default_90dpd" => events.iter().any(|e| e.kind == "repayment_missed" && e.body["dpd"] == 90),
        _ => panic!("{kind} is no pattern"),
    }
}

/// Those on whom a pattern was planted show it, and nobody else shows one of the ledger.
#[test]
fn what_was_planted_can_be_found() {
    let bank = &*BANK;
    let mut of: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in &bank.events {
        of.entry(&event.customer).or_default().push(event);
    }
    of.values_mut().for_each(|events| events.sort_by_key(|e| e.happened));

    let truth = rows(bank.folder.path(), "truth/planted.csv");
    for (kind, few) in [
        ("loan_diverted", 4..8),
        ("pass_through", 4..8),
        ("fan_in", 4..8),
        ("dormant_active", 4..8),
        ("default_90dpd", 1..40),
    ] {
        let notes: Vec<_> = truth.iter().filter(|t| t["kind"] == kind && t["table"] == "events").collect();
        assert!(few.contains(&notes.len()), "{} of {kind}", notes.len());
        let planted: BTreeSet<&str> = notes.iter().map(|t| t["key"].as_str()).collect();
        let found: BTreeSet<&str> =
            of.iter().filter(|(_, events)| shows(kind, events)).map(|(customer, _)| *customer).collect();
        if kind == "default_90dpd" {
            // Later instalments of a loan that was in default before also reach 90 days.
            assert!(found.is_superset(&planted), "{planted:?} {found:?}");
        } else {
            assert_eq!(planted, found, "{kind}");
        }

        // A note says where to look: the loan or the first event, and the first day.
        for note in notes {
            let cluster = |e: &&&Event| e.id == note["cluster"] || e.text("loan_id") == note["cluster"];
            let events = &of[note["key"].as_str()];
            assert!(events.iter().any(|e| cluster(&e)), "{note:?}");
            let day = seconds(&format!("{}T00:00:00Z", &note["detail"]["from ".len()..][..10]));
            assert!(events.iter().filter(cluster).any(|e| e.happened / DAY * DAY == day), "{note:?}");
        }
    }
}

/// Nobody pays what he does not have, whatever was planted.
#[test]
fn no_planted_booking_overdraws() {
    let balances = BANK.events.iter().filter(|e| e.kind == "transaction").map(|e| &e.body["balance_fen"]);
    assert!(balances.into_iter().all(|balance| balance.as_i64().unwrap() >= 0));
}

/// The standards `event_<kind>` let every event through.
#[tokio::test]
async fn events_are_as_the_standards_say() {
    let bank = make(Plan::new(400, 5));
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for line in lines(bank.folder.path()).lines() {
        let mut event: serde_json::Map<String, Json> = serde_json::from_str(line).unwrap();
        let kind = event.keys().find(|k| !HEAD.contains(&k.as_str())).unwrap().clone();
        let Some(Json::Object(body)) = event.remove(&kind) else { panic!("{line}") };
        event.extend(body);
        writeln!(files.entry(kind).or_default(), "{}", Json::Object(event)).unwrap();
    }

    let rulebook = Path::new(env!("CARGO_MANIFEST_DIR")).join("rulebook");
    let folder = tempfile::tempdir().unwrap();
    let mart = Datamart::open(&folder.path().join("mart"), Standards::read(&rulebook).unwrap()).unwrap();
    let tokeniser = Tokeniser::open_or_create(&folder.path().join("token.key")).unwrap();
    assert!(files.len() >= 9, "{:?}", files.keys());
    for (kind, text) in files {
        let file = folder.path().join(format!("event_{kind}.ndjson"));
        fs::write(&file, &text).unwrap();
        let report = mart.load(&file, &LoadOptions::default(), &tokeniser).await.unwrap();
        let loaded = (report.record.rows, report.record.good, report.record.bad);
        let rows = text.lines().count() as u64;
        assert_eq!(loaded, (rows, rows, 0), "{kind}");
    }
}
