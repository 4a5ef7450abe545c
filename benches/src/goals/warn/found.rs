//! What the rules find of what was planted in the synthetic bank.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use indicatif::ProgressBar;
use serde_json::Value as Json;
use tarim_examples::{Plan, synthesise};
use tarim_features::folder::Folder;
use tarim_warning::{
    known::Known,
    replay::{Replay, replay},
    rulebook::WarningBook,
};

use crate::goals::{Goal, Line, Quantity, Setting, Wanted};

pub struct WarnFound;

/// A kind of what is planted, and the rules that are meant to find it.
struct Kind {
    name: &'static str,
    fraud: bool,
    rules: &'static [&'static str],
}

const KINDS: [Kind; 6] = [
    Kind { name: "loan_diverted", fraud: true, rules: &["F-001"] },
    Kind { name: "pass_through", fraud: true, rules: &["T-005"] },
    Kind { name: "fan_in", fraud: true, rules: &["T-001", "T-002"] },
    Kind { name: "dormant_active", fraud: true, rules: &["T-006"] },
    Kind { name: "structuring", fraud: true, rules: &["T-004"] },
    Kind { name: "default_90dpd", fraud: false, rules: &["R-004"] },
];

/// Share of the planted that is to be found, and most alerts for each.
const FOUND: f64 = 0.9;
const ALERTS: f64 = 5.0;

type Customer = (String, String);

impl Goal for WarnFound {
    fn name(&self) -> &'static str {
        "warn_found"
    }

    fn about(&self) -> &'static str {
        "planted frauds and defaults of the synthetic bank: how many the example rules find, with how many alerts"
    }

    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>> {
        let folder = setting.folder("warn_found")?;
        let bank = folder.join("bank");
        synthesise(Plan::new(setting.size(20_000, 3_000), 7), &bank, &ProgressBar::hidden())?;
        let files = Replay {
            from: bank.join("events/events.ndjson"),
            to: folder.join("alerts.ndjson"),
            dead: folder.join("dead.ndjson"),
            published: folder.join("none"),
            contagion: None,
            known: Known::default(),
        };
        let rulebook = without_features(&folder.join("rulebook"))?;
        replay(Arc::new(WarningBook::read(&rulebook)?), &files, |_| {})?;
        let alerts = alerts(&files.to)?;
        let planted = planted(&bank)?;
        let nobody = BTreeSet::new();
        let cases = |kind: &Kind| planted.get(kind.name).unwrap_or(&nobody);
        let warned = |rules: &[&str]| -> BTreeSet<&Customer> {
            rules.iter().flat_map(|rule| alerts.get(*rule).into_iter().flatten()).collect()
        };
        let share = |n: usize, of: usize| Quantity::Count(n as f64 / of.max(1) as f64);
        let found = |fraud: bool| {
            let of = KINDS.iter().filter(|kind| kind.fraud == fraud);
            of.fold((0, 0), |(all, found), kind| {
                let warned = warned(kind.rules);
                let these = cases(kind).iter().filter(|case| warned.contains(case)).count();
                (all + cases(kind).len(), found + these)
            })
        };
        let ((frauds, found_frauds), (defaults, found_defaults)) = (found(true), found(false));
        let raised = |rules: &[&str]| -> usize {
            rules.iter().filter_map(|rule| alerts.get(*rule)).map(Vec::len).sum()
        };
        let meant: usize = KINDS.iter().map(|kind| raised(kind.rules)).sum();
        let all: usize = alerts.values().map(Vec::len).sum();
        let mut lines = vec![
            Line::new(
                format!("planted frauds that were found, of {frauds}"),
                share(found_frauds, frauds),
                Wanted::AtLeast(Quantity::Count(FOUND)),
            ),
            Line::new(
                format!("planted defaults that were found, of {defaults}"),
                share(found_defaults, defaults),
                Wanted::Told,
            ),
            Line::new(
                format!("alerts of the rules below for each planted case, {meant} in all"),
                share(meant, frauds + defaults),
                Wanted::AtMost(Quantity::Count(ALERTS)),
            ),
            Line::new(
                "alerts of all rules: most are of what was not planted, but comes of itself",
                Quantity::Count(all as f64),
                Wanted::Told,
            ),
        ];
        for kind in &KINDS {
            let cases = cases(kind);
            for rule in kind.rules {
                let warned = warned(&[*rule]);
                let right = warned.iter().filter(|customer| cases.contains(**customer)).count();
                lines.push(Line::new(
                    format!("{rule} of {}: recall, of {} planted", kind.name, cases.len()),
                    share(right, cases.len()),
                    Wanted::Told,
                ));
                lines.push(Line::new(
                    format!("{rule} of {}: precision, of {} customers warned of", kind.name, warned.len()),
                    share(right, warned.len()),
                    Wanted::Told,
                ));
            }
        }
        Ok(lines)
    }
}

/// The example rulebook without the rules that read features: for what was planted the events suffice, and the bank has no store.
fn without_features(to: &Path) -> anyhow::Result<PathBuf> {
    let rulebook = Folder::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/rulebook"))?;
    for file in rulebook.files().iter().filter(|file| *file != Path::new("warnings/datamart.toml")) {
        let target = to.join(file);
        std::fs::create_dir_all(target.parent().context("a file stands in a folder")?)?;
        std::fs::copy(rulebook.root().join(file), target)?;
    }
    Ok(to.to_path_buf())
}

/// Customers that each rule warned of, once for each alert.
fn alerts(file: &Path) -> anyhow::Result<HashMap<String, Vec<Customer>>> {
    let mut all: HashMap<String, Vec<Customer>> = HashMap::new();
    for line in std::fs::read_to_string(file)?.lines() {
        let alert: Json = serde_json::from_str(line)?;
        let text = |name: &str| alert[name].as_str().map(str::to_owned).context("an alert has texts");
        all.entry(text("rule_id")?).or_default().push((text("member")?, text("customer_id")?));
    }
    Ok(all)
}

/// Customers with what was planted, by kind.
fn planted(bank: &Path) -> anyhow::Result<HashMap<String, BTreeSet<Customer>>> {
    let mut all: HashMap<String, BTreeSet<Customer>> = HashMap::new();
    for row in csv::Reader::from_path(bank.join("truth/planted.csv"))?.records() {
        let row = row?;
        all.entry(row[0].to_owned()).or_default().insert((row[1].to_owned(), row[3].to_owned()));
    }
    Ok(all)
}
