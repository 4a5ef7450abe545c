//! `tarim materialize`: features as of a time, into the online store.

mod generations;

use std::sync::Arc;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use comfy_table::{CellAlignment, Table};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use tarim_datamart::{Standards, Value, gate::parse};
use tarim_features::{
    materialise::{MaterialiseReport, Progress, Selection, materialise, materialise_unless_emptied},
    view::FeatureSet,
};

pub use self::generations::day_and_time;
use crate::home::Home;

/// Lines of a table that may be long: above, below, and under the header.
pub const LINES: &str = "  ── ══      ──    ";

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim materialize\n  \
    tarim materialize --as-of 2026-06-30T00:00:00Z\n  \
    tarim materialize --entity customer --entity device\n  \
    tarim materialize --lists-only\n  \
    tarim materialize --list\n  \
    tarim materialize --rollback 7\n\n\
    A generation becomes visible at once and whole; servers follow without a pause. The last three are \
    kept, to roll back to. One that knows nothing any more of an entity, or of all lists, is not published, nor is one of \
    a time that is yet to come.")]
pub struct Args {
    /// What was known at this time: 2026-06-30T00:00:00Z, or a date (its midnight, UTC) [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    as_of: Option<i64>,
    /// Only this entity; may be given more than once. All else stays as it is
    #[arg(long, value_name = "NAME", conflicts_with = "lists_only")]
    entity: Vec<String>,
    /// Only the lists
    #[arg(long)]
    lists_only: bool,
    /// Publish even what knows nothing any more of an entity or of all lists, or is as of a time that is yet to come
    #[arg(long)]
    force: bool,
    /// Show the generations that are kept, and compute nothing
    #[arg(long, conflicts_with_all = ["as_of", "entity", "lists_only", "force", "rollback"])]
    list: bool,
    /// Make an earlier generation the current one again, and compute nothing: 7, or 7-3f9a02bc
    #[arg(long, value_name = "GENERATION", conflicts_with_all = ["as_of", "entity", "lists_only", "force"])]
    rollback: Option<String>,
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    if args.list {
        return generations::list(&home.store());
    }
    if let Some(generation) = &args.rollback {
        return generations::roll_back(&home.store(), generation);
    }
    let now_us = Utc::now().timestamp_micros();
    let as_of_us = args.as_of.unwrap_or(now_us);
    if as_of_us > now_us && !args.force {
        bail!(
            "--as-of {} is yet to come: nothing was published\n    fix: name a time that has passed; --force publishes what is \
             known now as of then",
            Value::Timestamp(as_of_us)
        );
    }
    let (standards, features) = definitions(home)?;
    let selection = match (args.lists_only, args.entity) {
        (true, _) => Selection::Lists,
        (false, names) if names.is_empty() => Selection::All,
        (false, names) => Selection::Entities(names),
    };
    generations::tell_if_older(&home.store(), &selection, as_of_us)?;
    let bar = ProgressBar::no_length().with_style(ProgressStyle::with_template(
        "{spinner} {msg} {human_pos}/{human_len} [{wide_bar}] {eta}",
    )?);
    let mut progress = |step: Progress<'_>| match step {
        Progress::Rows { entity, done, of } => {
            bar.set_message(entity.to_owned());
            bar.set_length(of);
            bar.set_position(done);
        }
        Progress::Entries { done } => {
            bar.set_message("list entries");
            bar.set_length(done);
            bar.set_position(done);
        }
        Progress::Publishing => bar.set_message("publishing"),
    };
    let runtime = tokio::runtime::Runtime::new().context("no threads for the computation")?;
    let report = runtime.block_on(async {
        let (_, session) = home.loaded(standards).await?;
        let (store, progress) = (home.store(), &mut progress);
        let report = match args.force {
            true => materialise(&session, &features, as_of_us, &store, &selection, progress).await,
            false => {
                materialise_unless_emptied(&session, &features, as_of_us, &store, &selection, progress).await
            }
        };
        anyhow::Ok(report?)
    });
    bar.finish_and_clear();
    show(&report?);
    Ok(())
}

fn show(report: &MaterialiseReport) {
    let mut table = Table::new();
    table.load_preset(LINES);
    table.set_header(["entity", "rows", "features", "bytes/row", "NULL", "size", "time"]);
    for e in &report.entities {
        table.add_row([
            e.name.clone(),
            HumanCount(e.rows).to_string(),
            e.features.to_string(),
            e.row_bytes.to_string(),
            format!("{:.1} %", e.null_share * 100.0),
            HumanBytes(e.bytes).to_string(),
            format!("{:.1} s", e.took.as_secs_f64()),
        ]);
    }
    if let Some(lists) = &report.lists {
        for (name, entries) in &lists.lists {
            let entries = entries.map_or("never loaded".into(), |n| HumanCount(n).to_string());
            table.add_row([format!("list.{name}"), entries]);
        }
    }
    for column in 1..7 {
        let column = table.column_mut(column).expect("the header has seven columns");
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
    println!("as of {}, published as generation {}", Value::Timestamp(report.as_of_us), report.version);
}

/// The standards and features of the rulebook's text.
pub fn definitions(home: &Home) -> anyhow::Result<(Standards, Arc<FeatureSet>)> {
    let standards = Standards::read(home.rulebook())?;
    let features = FeatureSet::read(home.rulebook(), &standards)?;
    Ok((standards, Arc::new(features)))
}

/// Microseconds of a time in ISO 8601, or of a date's midnight in UTC.
pub fn parse_time(text: &str) -> Result<i64, String> {
    let time = DateTime::parse_from_rfc3339(text).map(|t| t.timestamp_micros());
    // As the gate reads dates: `26-06-30` is no date, least of all of the year 26.
    let date = || parse::date32(text).map(|days| i64::from(days) * 86_400_000_000);
    time.ok().or_else(date).ok_or_else(|| "write 2026-06-30T00:00:00Z, or 2026-06-30".to_owned())
}
