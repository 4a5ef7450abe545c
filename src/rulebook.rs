//! `tarim rulebook`: check, test and publish.

use std::{collections::BTreeSet, path::Path, time::SystemTime};

use anyhow::{Context, bail};
use comfy_table::Table;
use tarim_decision::{
    outcome::{Decision, Stage},
    rulebook::{Counts, PublishError, Rulebook, check, current, publish_checked, rollback, versions},
    testing,
};
use tarim_warning::rulebook::{Measure, WarningBook};

use crate::{
    home::Home,
    materialize::{LINES, day_and_time},
};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Read all of the rulebook, run its tests, and tell everything that is wrong or odd
    #[command(after_help = "Examples:\n  \
        tarim rulebook check\n  \
        tarim --rulebook my-rulebook rulebook check\n\n\
        Every message names file, line, what is wrong and how to fix it. Warnings do not keep a rulebook \
        from being published; problems do, and the exit code is 1.")]
    Check,
    /// Run the rulebook's tests
    #[command(after_help = "Examples:\n  \
        tarim rulebook test\n  \
        tarim rulebook test --filter blacklist\n\n\
        A case that fails is shown with what it expected, what it got, and every reason of the decision; \
        the exit code is 1.")]
    Test {
        /// Only cases whose name contains this
        #[arg(long, value_name = "TEXT")]
        filter: Option<String>,
    },
    /// Make an immutable version of the rulebook, and make it the one that is served
    #[command(after_help = "Examples:\n  \
        tarim rulebook publish\n  \
        tarim rulebook publish --list\n  \
        tarim rulebook publish --rollback 3f9a02\n\n\
        A rulebook with a problem or a failing test is refused. Servers follow between two decisions.")]
    Publish {
        /// Make a version current that was published before; its beginning is enough
        #[arg(long, value_name = "VERSION")]
        rollback: Option<String>,
        /// Show the published versions, and publish nothing
        #[arg(long, conflicts_with = "rollback")]
        list: bool,
    },
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    match args.verb {
        Verb::Check => show_check(home),
        Verb::Test { filter } => test(home, filter.as_deref()),
        Verb::Publish { list: true, .. } => list(home),
        Verb::Publish { rollback: Some(version), .. } => {
            let version = rollback(&home.published(), &version)?;
            println!("{version} is the current version again");
            Ok(())
        }
        Verb::Publish { rollback: None, .. } => {
            let warnings = |copy: &Path| WarningBook::read(copy).map(drop);
            let version = publish_checked(home.rulebook(), &home.published(), warnings)?;
            println!("published {version}");
            Ok(())
        }
    }
}

fn show_check(home: &Home) -> anyhow::Result<()> {
    let report = check(home.rulebook());
    for warning in report.warnings.iter() {
        println!("warning: {warning}");
    }
    for error in report.errors.iter() {
        println!("{error}");
    }
    // What both read is told once: warnings are looked at when the rest is sound.
    let warnings = match report.errors.iter().count() {
        0 => Some(WarningBook::read(home.rulebook())),
        _ => None,
    };
    for note in warnings.iter().flatten().flat_map(WarningBook::notes) {
        println!("warning: {note}");
    }
    let mut errors = report.errors.iter().count();
    if let Some(Err(problems)) = &warnings {
        println!("{problems}");
        errors += problems.iter().count();
    }
    if let Some((version, counts)) = &report.read {
        let warnings = warnings.as_ref().and_then(|w| w.as_ref().ok());
        println!("{}", summary(version, counts, warnings));
    }
    match errors {
        0 => {
            println!("{} tests passed; no problems", report.tests);
            Ok(())
        }
        1 => bail!("the rulebook has 1 problem"),
        n => bail!("the rulebook has {n} problems"),
    }
}

fn summary(version: &str, counts: &Counts, warnings: Option<&WarningBook>) -> Table {
    let mut table = Table::new();
    table.load_preset(LINES);
    table.set_header(["what", "how many"]);
    for (what, count) in [
        ("entities", counts.entities),
        ("features", counts.features),
        ("lists", counts.lists),
        ("rules", counts.rules),
        ("rules of control points", counts.point_rules),
        ("decision tables", counts.tables),
        ("scorecards of applications", counts.scorecards),
        ("products", counts.products),
        ("members", counts.members),
        ("exposure limits", counts.limits),
        ("plans (member × product)", counts.plans),
        ("different steps in them", counts.steps),
    ] {
        table.add_row([what.to_owned(), count.to_string()]);
    }
    if let Some(warnings) = warnings {
        for (what, count) in [
            ("kinds of events", warnings.streams().kinds().len()),
            ("windows over events", warnings.streams().windows().len()),
            ("warning rules", warnings.rules().len()),
            ("scorecards of behaviour", behaviour_scorecards(warnings)),
            ("kinds of edges between customers", warnings.edges().edges().len()),
        ] {
            table.add_row([what.to_owned(), count.to_string()]);
        }
    }
    table.add_row(["version", version]);
    table
}

/// Scorecards that crossings look at, with however many kinds of events.
fn behaviour_scorecards(warnings: &WarningBook) -> usize {
    let cards = warnings.looks().iter().filter_map(|look| match &look.of {
        Measure::Score(card) => Some(card.card.id.as_str()),
        Measure::Int64 | Measure::Float64 => None,
    });
    cards.collect::<BTreeSet<_>>().len()
}

fn test(home: &Home, filter: Option<&str>) -> anyhow::Result<()> {
    let rulebook = Rulebook::read(home.rulebook())?;
    let mut cases = testing::read(&rulebook, home.rulebook())?;
    let all = cases.len();
    cases.retain(|c| filter.is_none_or(|f| c.name.contains(f)));
    if let (true, Some(filter)) = (cases.is_empty(), filter) {
        bail!("none of the {all} cases has \"{filter}\" in its name");
    }
    let results = testing::run(&rulebook, &cases);
    let mut table = Table::new();
    table.load_preset(LINES);
    table.set_header(["case", "member", "product", "outcome", ""]);
    for result in &results {
        let case = result.case;
        let outcome = result.decision.as_ref().map_or("–".into(), |d| match case.point {
            Some(point) => format!("{} at {point}", d.clearance()),
            None => d.outcome.to_string(),
        });
        let passed = if result.mismatches.is_empty() { "passes" } else { "FAILS" };
        table.add_row([&case.name, &case.member, &case.product, &outcome, passed]);
    }
    println!("{table}");
    let failed: Vec<_> = results.iter().filter(|r| !r.mismatches.is_empty()).collect();
    for result in &failed {
        println!("\n{}: {}", result.case.place, result.case.name);
        for wrong in &result.mismatches {
            println!("  {wrong}");
        }
        if let Some(decision) = &result.decision {
            show_reasons(result.case.point, decision);
        }
    }
    if !failed.is_empty() {
        bail!("{} of {} tests fail", failed.len(), results.len());
    }
    println!("{} tests pass", results.len());
    Ok(())
}

fn show_reasons(point: Option<Stage>, decision: &Decision) {
    match point {
        Some(point) => println!("  the control point {point} says {}, because:", decision.clearance()),
        None => println!("  the decision was {}, because:", decision.outcome),
    }
    for r in &decision.reasons {
        let values: Vec<String> = r
            .values
            .iter()
            .map(|v| format!("{} = {}{}", v.name, v.value, if v.stale { " (stale)" } else { "" }))
            .collect();
        println!(
            "    {:<9} {:<7} {:<12} {} / {}  [{}]",
            r.stage,
            r.effect,
            r.id,
            r.zh,
            r.en,
            values.join(", ")
        );
    }
}

fn list(home: &Home) -> anyhow::Result<()> {
    let published = home.published();
    let mut all = Vec::new();
    for version in versions(&published)? {
        let folder = published.join(&version);
        // A version is put there whole, and never changed.
        let since: SystemTime = folder
            .metadata()
            .and_then(|about| about.modified())
            .with_context(|| format!("cannot look at {}", folder.display()))?;
        all.push((since, version));
    }
    if all.is_empty() {
        bail!(PublishError::NothingPublished(published));
    }
    all.sort();
    let now = current(&published).ok();
    let mut table = Table::new();
    table.load_preset(LINES).set_header(["version", "published", ""]);
    for (since, version) in all {
        let mark = if now.as_deref() == Some(&published.join(&version)) { "current" } else { "" };
        table.add_row([version, day_and_time(since), mark.into()]);
    }
    println!("{table}");
    Ok(())
}
