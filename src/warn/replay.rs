//! `tarim warn replay`: history through the rules, from a file to a file.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use comfy_table::{CellAlignment, Table};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use tarim_warning::{
    replay::{Contagion, Replay, Report, contagion_beside, dead_beside, replay},
    rulebook::WarningBook,
};

use super::{contagion::Spread, store::Features};
use crate::{home::Home, materialize::LINES};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim warn replay --from bank/events/events.ndjson --to alerts.ndjson\n  \
    tarim warn replay --from events.pb --to alerts.pb --dead rejected.ndjson\n\n\
    .ndjson is JSON, one event a line; .pb is Protobuf with the length before each message: both are tarim.event.v1. Events \
    stand in the order in which they came to be known. What cannot be taken goes, with the reason, to a file beside the alerts. \
    The same events and rulebook give the same alerts, with the same ids.\n\n\
    What alerts spread to neighbours ([[spread]] of the warning rules) is taken at once, and written to a file beside the \
    alerts: where their evidence names partition 1, the offset is a record of that file.\n\n\
    Features that rules read are those of the current generation of the online store, or of the one that --features names, from \
    the first event on.\n\n\
    The files are there when all of them are whole: after a failure they are as they were.")]
pub struct Args {
    /// File of events, .ndjson or .pb
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// File to write alerts to, .ndjson or .pb
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// File for what could not be taken [default: beside the alerts, `.dead` in its name]
    #[arg(long, value_name = "FILE")]
    dead: Option<PathBuf>,
    #[command(flatten)]
    features: Features,
    #[command(flatten)]
    spread: Spread,
    /// File for what alerts spread to neighbours [default: beside the alerts, `.contagion` in its name]
    #[arg(long, value_name = "FILE")]
    contagion: Option<PathBuf>,
    /// Take the published rulebook instead of the text
    #[arg(long)]
    published: bool,
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let folder = home.rulebook_of(args.published)?;
    let book = Arc::new(WarningBook::read(&folder)?);
    let dead = args.dead.unwrap_or_else(|| dead_beside(&args.to));
    let spread_to = args.contagion.unwrap_or_else(|| contagion_beside(&args.to));
    let contagion = args.spread.network(home).map(|network| Contagion { network, to: spread_to });
    for (edges, n) in edges(&book, contagion.as_ref())? {
        eprintln!("alerts spread along {} edges `{edges}`", HumanCount(n as u64));
    }
    let known = args.features.of_history(home, &book)?;
    let files = Replay { from: args.from, to: args.to, dead, published: home.published(), contagion, known };
    let size = std::fs::metadata(&files.from).map_or(0, |m| m.len());
    let bar = ProgressBar::new(size).with_style(ProgressStyle::with_template(
        "{spinner} {bytes}/{total_bytes} of events [{wide_bar}] {eta}",
    )?);
    let start = Instant::now();
    let report = replay(book.clone(), &files, |bytes| bar.set_position(bytes))?;
    bar.finish_and_clear();
    println!("{}", by_rule(&book, &report));
    println!("{}", summary(&book, &report, start.elapsed()));
    println!("alerts written to {}", files.to.display());
    if let Some(contagion) = files.contagion.filter(|_| !book.spreads().is_empty()) {
        println!(
            "{} events of contagion, which they spread, written to {}",
            HumanCount(report.spread),
            contagion.to.display()
        );
    }
    if report.dead > 0 {
        println!(
            "{} dead letters, each with its reason, written to {}",
            HumanCount(report.dead),
            files.dead.display()
        );
    }
    Ok(())
}

/// The kinds of edges that alerts spread along, and how many there are; loaded here, the replay finds them.
fn edges(book: &Arc<WarningBook>, contagion: Option<&Contagion>) -> anyhow::Result<Vec<(String, usize)>> {
    let live = contagion.map(|c| c.network.of(book)).transpose()?.flatten();
    Ok(live.map_or_else(Vec::new, |live| live.counts()))
}

fn by_rule(book: &WarningBook, report: &Report) -> Table {
    let mut table = Table::new();
    table.load_preset(LINES);
    table.set_header(["rule", "level", "what", "alerts", "repeats", "suppressed"]);
    for (i, rule) in book.rules().iter().enumerate() {
        let counts = &report.counts;
        table.add_row([
            rule.id.clone(),
            rule.level.name().into(),
            rule.en.clone(),
            HumanCount(counts.raised[i]).to_string(),
            HumanCount(counts.repeated[i]).to_string(),
            HumanCount(counts.suppressed[i]).to_string(),
        ]);
    }
    numbers(&mut table, 3..6);
    table
}

fn summary(book: &WarningBook, report: &Report, taken: Duration) -> Table {
    let counts = &report.counts;
    let mut table = Table::new();
    table.load_preset(LINES);
    table.set_header(["what", "how many"]);
    for (kind, n) in book.streams().kinds().iter().zip(&counts.events) {
        table.add_row([format!("events: {}", kind.name), HumanCount(*n).to_string()]);
    }
    let per_second = (report.records as f64 / taken.as_secs_f64()) as u64;
    let per_customer = report.state_bytes as u64 / (report.customers as u64).max(1);
    for (what, n) in [
        ("ticks", HumanCount(counts.ticks).to_string()),
        ("later than allowed", HumanCount(counts.late).to_string()),
        ("not to be read, or against the standards", HumanCount(counts.rejected).to_string()),
        ("alerts", HumanCount(report.alerts).to_string()),
        ("alerts with more neighbours than may be told", HumanCount(report.cut).to_string()),
        ("customers with a state", HumanCount(report.customers as u64).to_string()),
        ("state of a customer", HumanBytes(per_customer).to_string()),
        ("time", format!("{:.1} s", taken.as_secs_f64())),
        ("events a second", HumanCount(per_second).to_string()),
    ] {
        table.add_row([what.to_owned(), n]);
    }
    numbers(&mut table, 1..2);
    table
}

fn numbers(table: &mut Table, columns: std::ops::Range<usize>) {
    for column in columns {
        table.column_mut(column).expect("the header has it").set_cell_alignment(CellAlignment::Right);
    }
}
