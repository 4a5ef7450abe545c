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

/// What is planted, and the rules that are meant to find it.
const MEANT: [(&str, &[&str]); 6] = [
    ("loan_diverted", &["F-001"]),
    ("pass_through", &["T-005"]),
    ("fan_in", &["T-001", "T-002"]),
    ("dormant_active", &["T-006"]),
    ("structuring", &["T-004"]),
    ("default_90dpd", &["R-004"]),
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
        let (mut lines, mut all) = (Vec::new(), (0, 0, 0));
        for (kind, rules) in MEANT {
            let nobody = BTreeSet::new();
            let cases = planted.get(kind).unwrap_or(&nobody);
            let raised: Vec<&Customer> =
                rules.iter().flat_map(|rule| alerts.get(*rule).into_iter().flatten()).collect();
            let warned: BTreeSet<&Customer> = raised.iter().copied().collect();
            let found = cases.iter().filter(|case| warned.contains(case)).count();
            let right = warned.iter().filter(|customer| cases.contains(**customer)).count();
            all = (all.0 + cases.len(), all.1 + found, all.2 + raised.len());
            let share = |n: usize, of: usize| Quantity::Count(n as f64 / of.max(1) as f64);
            let rules = rules.join(", ");
            lines.push(Line::new(
                format!("{kind}, {} planted: recall of {rules}", cases.len()),
                share(found, cases.len()),
                Wanted::Told,
            ));
            lines.push(Line::new(
                format!("{kind}: precision, of {} customers warned of", warned.len()),
                share(right, warned.len()),
                Wanted::Told,
            ));
        }
        let (cases, found, raised) = all;
        lines.insert(
            0,
            Line::new(
                format!("planted cases that were found, of {cases}"),
                Quantity::Count(found as f64 / cases.max(1) as f64),
                Wanted::AtLeast(Quantity::Count(FOUND)),
            ),
        );
        lines.insert(
            1,
            Line::new(
                format!("alerts of these rules for each planted case, {raised} in all"),
                Quantity::Count(raised as f64 / cases.max(1) as f64),
                Wanted::AtMost(Quantity::Count(ALERTS)),
            ),
        );
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
