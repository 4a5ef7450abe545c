//! Pushes by cases: `tests/deliveries/*.toml`.
//!
//! A case is a log, a line for each thing that happens at the desk, in local time (+08:00), and the pushes that must come of it.
//!
//! ```text
//! 03-01 09:00 alert a1 001/c1 W1 red              an alert: id (hexadecimal), customer, rule, level;
//! 03-01 09:00 alert a2 001/c1 W2 blue digest      then, in any order: digest, key=, group=, repeats=
//! 03-01 09:10 acknowledged a1                     a change of its warning; so are disposed, escalated, closed
//! 03-01 16:30 tick                                time has passed
//! ```
//!
//! ```text
//! 03-01 09:00 001/m1 alert a1
//! 03-01 16:30 001/m1 digest [c1 loans: red a1 x2+3 open | blue a2 x1 open]
//! 03-01 13:00 001/branch_head escalation a1 from 001/m1
//! ```
//!
//! Each case runs in memory, and then on a ledger that is closed and opened again after every line: the same must come.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
        mpsc,
    },
    time::Duration,
};

use crate::support::book_with;
use serde::Deserialize;
use tarim_datamart::gate::parse;
use tarim_proto::warning::v1::{self as wire, Alert, Level};
use tarim_warning::{
    clock::Clock,
    delivery::{Course, Managers, Policy, Push, What},
    ledger::{Ledger, Pushing},
    lifecycle::{Inspections, NewAlert, NewChange, State},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// What the rulebook says, if a case does not say it itself.
    rulebook: String,
    /// Account managers by member/customer, of all cases.
    managers: BTreeMap<String, String>,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    rulebook: Option<String>,
    log: String,
    push: String,
    /// Steps of warnings that the system made: time, warning, role.
    #[serde(default)]
    history: String,
}

/// A line of a log.
enum Step {
    Alert(i64, NewAlert),
    Change(NewChange),
    Tick(i64),
}

#[test]
fn pushes_come_as_the_cases_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deliveries");
    let (mut count, mut failures) = (0, Vec::new());
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut policies: BTreeMap<String, Policy> = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let cases: File = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let mut managers = Managers::default();
        for (customer, manager) in &cases.managers {
            let (member, customer) = customer.split_once('/').unwrap();
            managers.put(member, customer, manager);
        }
        for case in cases.case {
            count += 1;
            let rulebook = case.rulebook.as_ref().unwrap_or(&cases.rulebook);
            let policy = policies
                .entry(rulebook.clone())
                .or_insert_with(|| book_with(rulebook).delivery().unwrap().clone());
            if let Err(why) = case.run(policy, &managers) {
                failures.push(format!("{}: {}\n{why}", file.display(), case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {count} cases fail:\n{}", failures.len(), failures.join("\n"));
    assert!(count >= 15, "only {count} cases");
}

impl Case {
    fn run(&self, policy: &Policy, managers: &Managers) -> Result<(), String> {
        let steps: Vec<Step> = lines(&self.log).enumerate().map(|(i, line)| step(i, line)).collect();
        let (pushes, history) = in_memory(&steps, policy, managers);
        same("in memory", &lines(&self.push).collect::<Vec<_>>(), &pushes)?;
        same("history", &lines(&self.history).collect::<Vec<_>>(), &history)?;
        let (kept, kept_history) = on_disk(&steps, policy, managers);
        same("on disk, opened anew after each line", &pushes, &kept)?;
        same("history on disk", &history, &kept_history)
    }
}

fn in_memory(steps: &[Step], policy: &Policy, managers: &Managers) -> (Vec<String>, Vec<String>) {
    let mut course = Course::new(policy.clone(), managers.clone());
    let mut pushes: Vec<Arc<Push>> = Vec::new();
    for step in steps {
        pushes.extend(match step {
            Step::Alert(at_us, alert) => course.alert(alert, *at_us),
            Step::Tick(at_us) => course.tick(*at_us),
            Step::Change(change) => {
                let (changed, pushes) = course.change(change);
                changed.unwrap_or_else(|e| panic!("{}: {e}", change.warning));
                pushes
            }
        });
    }
    let history = course.warnings().iter().flat_map(|warning| passed_on(warning)).collect();
    (pushes.iter().map(|push| told(push)).collect(), history)
}

fn on_disk(steps: &[Step], policy: &Policy, managers: &Managers) -> (Vec<String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicI64::new(0));
    let open = || {
        let clock = Clock::Set(now.clone());
        let (policy, managers) = (policy.clone(), managers.clone());
        Ledger::open_pushing(folder.path(), Pushing { policy, managers, clock }).unwrap()
    };
    for step in steps {
        let ledger = open();
        match step {
            Step::Alert(at_us, alert) => {
                now.store(*at_us, Ordering::Release);
                ledger.take_now(vec![alert.clone()], None).unwrap();
            }
            Step::Tick(at_us) => {
                now.store(*at_us, Ordering::Release);
                ledger.tick_now().unwrap();
            }
            Step::Change(change) => {
                now.store(change.at_us, Ordering::Release);
                let (sender, receiver) = mpsc::channel();
                ledger.change(change.clone(), move |answer| sender.send(answer).unwrap());
                let _ = receiver.recv().unwrap().unwrap().unwrap();
            }
        }
        ledger.close().unwrap();
    }
    let ledger = open();
    // Nothing was noted as sent, so all is in the outbox.
    let pushes = ledger.pushes().after(0, usize::MAX, Duration::ZERO).unwrap();
    let page = |member| ledger.view().page(member, &Default::default(), None, usize::MAX).warnings;
    let warnings = ["001", "002"].map(page);
    let history = warnings.iter().flat_map(|warnings| warnings.iter().rev().flat_map(|w| passed_on(w)));
    (pushes.iter().map(|push| told(push)).collect(), history.collect())
}

fn same(what: &str, wanted: &[impl AsRef<str>], found: &[String]) -> Result<(), String> {
    let wanted: Vec<&str> = wanted.iter().map(AsRef::as_ref).collect();
    match wanted == found {
        true => Ok(()),
        false => Err(format!("  {what}\n  wanted {wanted:#?}\n  found {found:#?}")),
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

const OFFSET_US: i64 = 8 * 3_600_000_000;

/// MM-DD HH:MM of 2026, as it is in China.
fn time(day: &str, time: &str) -> i64 {
    let text = format!("2026-{day}T{time}:00Z");
    match parse::value(tarim_datamart::Type::Timestamp, &text) {
        Some(tarim_datamart::Value::Timestamp(us)) => us - OFFSET_US,
        _ => panic!("{text} is no time"),
    }
}

fn shown(us: i64) -> String {
    let text = tarim_warning::alert::time(us + OFFSET_US);
    text[5..16].replace('T', " ")
}

fn id(name: &str) -> String {
    format!("{name:0>32}")
}

fn name(id: impl ToString) -> String {
    id.to_string().trim_start_matches('0').to_owned()
}

fn step(number: usize, line: &str) -> Step {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [day, hour, what, rest @ ..] = &words[..] else { panic!("{line}") };
    let at_us = time(day, hour);
    match (*what, rest) {
        ("tick", []) => Step::Tick(at_us),
        ("alert", [id, customer, rule, level, more @ ..]) => {
            let (member, customer) = customer.split_once('/').unwrap();
            let mut alert = Alert {
                alert_id: self::id(id),
                member: member.into(),
                customer_id: customer.into(),
                rule_id: (*rule).into(),
                level: Level::from_str_name(&format!("LEVEL_{}", level.to_uppercase())).unwrap().into(),
                push: wire::Push::Realtime.into(),
                raised_at_us: at_us,
                ..Alert::default()
            };
            for word in more {
                match word.split_once('=') {
                    None if *word == "digest" => alert.push = wire::Push::Digest.into(),
                    Some(("key", key)) => alert.key = key.into(),
                    Some(("group", group)) => alert.group = group.into(),
                    Some(("repeats", repeats)) => alert.repeats = repeats.parse().unwrap(),
                    _ => panic!("{line}: {word}"),
                }
            }
            Step::Alert(at_us, NewAlert::new(alert, &Inspections::default(), 0).unwrap())
        }
        (change, [of]) => {
            let to = State::ALL.into_iter().find(|state| state.name() == change);
            let to = to.unwrap_or_else(|| panic!("{line}: {change}"));
            Step::Change(NewChange {
                member: "001".into(),
                request: format!("r{number}"),
                warning: id(of).parse().unwrap(),
                to,
                by: "zhang".into(),
                at_us,
                why: "called".into(),
            })
        }
        _ => panic!("{line}"),
    }
}

/// A push as a line of a case.
fn told(push: &Push) -> String {
    let Push { member, reader, at_us, what } = push;
    let what = match what {
        What::Alert { alert, .. } => format!("alert {}", name(alert)),
        What::Escalation { warning, from, .. } => format!("escalation {} from {from}", name(warning)),
        What::Digest(digest) => {
            let groups = digest.groups.iter().map(|group| {
                let lines = group.lines.iter().map(|line| {
                    let waited = &line.waited;
                    let held =
                        if waited.held_back > 0 { format!("+{}", waited.held_back) } else { String::new() };
                    let from =
                        waited.escalated_from.as_ref().map_or(String::new(), |from| format!(" from {from}"));
                    let level = line.level.as_str_name().trim_start_matches("LEVEL_").to_lowercase();
                    let (id, state) = (name(line.warning), line.state.name());
                    format!("{level} {id} x{}{held} {state}{from}", waited.alerts)
                });
                let of = format!("{} {}", group.customer, group.name);
                format!("[{}: {}]", of.trim(), lines.collect::<Vec<_>>().join(" | "))
            });
            format!("digest {}", groups.collect::<Vec<_>>().join(" "))
        }
    };
    format!("{} {member}/{reader} {what}", shown(*at_us))
}

fn passed_on(warning: &tarim_warning::lifecycle::Warning) -> Vec<String> {
    let steps = warning.history.iter().filter_map(|step| {
        let to = step.escalated_to.as_ref()?;
        assert_eq!((&*step.by, step.from, step.to), ("system", State::Open, State::Open));
        Some(format!("{} {} {to}", shown(step.at_us), name(warning.id)))
    });
    steps.collect()
}
