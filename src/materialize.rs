//! `tarim materialize`: features as of a time, into the online store.

use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, Utc};
use comfy_table::{CellAlignment, Table};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use tarim_datamart::{Datamart, Standards, Value, gate::parse};
use tarim_features::{
    materialise::{MaterialiseReport, Progress, Selection, materialise},
    store::EmbeddedStore,
    view::FeatureSet,
};

use crate::home::Home;

/// Lines of a table that may be long: above, below, and under the header.
pub const LINES: &str = "  ── ══      ──    ";

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim materialize\n  \
    tarim materialize --as-of 2026-06-30T00:00:00Z\n  \
    tarim materialize --entity customer --entity device\n  \
    tarim materialize --lists-only\n  \
    tarim materialize --rollback 7\n\n\
    A generation becomes visible at once and whole; servers follow without a pause. The last three are\n\
    kept, to roll back to.")]
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
    /// Make an earlier generation the current one again, and compute nothing
    #[arg(long, value_name = "GENERATION", conflicts_with_all = ["as_of", "entity", "lists_only"])]
    rollback: Option<u64>,
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    if let Some(generation) = args.rollback {
        EmbeddedStore::roll_back(&home.store(), generation)?;
        println!("generation {generation} is the current one again");
        return Ok(());
    }
    let (standards, features) = definitions(home)?;
    let selection = match (args.lists_only, args.entity) {
        (true, _) => Selection::Lists,
        (false, names) if names.is_empty() => Selection::All,
        (false, names) => Selection::Entities(names),
    };
    let as_of_us = args.as_of.unwrap_or_else(|| Utc::now().timestamp_micros());
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
        let session = Datamart::open(&home.datamart(), standards)?.session().await?;
        let report =
            materialise(&session, &features, as_of_us, &home.store(), &selection, &mut progress).await?;
        anyhow::Ok(report)
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
