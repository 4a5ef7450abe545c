//! `tarim warn deliver`: what the rulebook's budgets would have done with a file of alerts.

use std::path::PathBuf;

use comfy_table::{CellAlignment, Table};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tarim_warning::delivery::{History, ReaderCount, deliver};

use super::managers::{self, Told};
use crate::{home::Home, materialize::LINES};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim warn replay --from bank/events/events.ndjson --to alerts.ndjson\n  \
    tarim warn deliver --from alerts.ndjson --to pushes.ndjson\n\n\
    Alerts come at the time when they arose, and nobody looks into anything: so escalations are the most that there can be. \
    Account managers are those of the datamart as it is now. Change [delivery] in the rulebook's warnings/, and run it again.")]
pub struct Args {
    /// File of alerts, .ndjson or .pb, as `tarim warn replay` writes it
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// File to write pushes to, .ndjson or .pb
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Readers to show, those with the most pushes on a day
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    /// Take the published rulebook instead of the text
    #[arg(long)]
    published: bool,
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let Told { policy, source, .. } = managers::read(home, args.published)?;
    let Some(policy) = policy else {
        anyhow::bail!(
            "the rulebook does not say how alerts are pushed\n    \
             fix: write [delivery] into a file of warnings/ (RULEBOOK.md shows an example)"
        );
    };
    let managers = tokio::runtime::Runtime::new()?.block_on(managers::load(source.as_ref()))?;
    if managers.customers() == 0 {
        println!("no customer has an account manager: everything goes to `unassigned`");
    }
    let size = std::fs::metadata(&args.from).map_or(0, |m| m.len());
    let style = ProgressStyle::with_template("{spinner} {bytes}/{total_bytes} of alerts [{wide_bar}] {eta}")?;
    let bar = ProgressBar::new(size).with_style(style);
    let history = deliver(&policy, managers, &args.from, &args.to, |bytes| bar.set_position(bytes))?;
    bar.finish_and_clear();
    println!("{}", table(&history, args.limit));
    if history.readers.len() > args.limit {
        println!("{} readers; the others have less on a day: --limit shows them", history.readers.len());
    }
    println!(
        "{} alerts ({} came twice), {} pushes written to {}",
        HumanCount(history.alerts),
        HumanCount(history.known),
        HumanCount(history.pushes),
        args.to.display()
    );
    Ok(())
}

fn table(history: &History, limit: usize) -> Table {
    let mut table = Table::new();
    table.load_preset(LINES);
    table.set_header([
        "reader",
        "alerts at once",
        "alerts in digests",
        "as warnings",
        "digests",
        "escalations",
        "most in a day",
    ]);
    let mut readers: Vec<_> = history.readers.iter().collect();
    readers.sort_by_key(|(_, count)| std::cmp::Reverse(count.most));
    for ((member, reader), count) in readers.into_iter().take(limit) {
        add(&mut table, format!("{member}/{reader}"), count);
    }
    let all = history.readers.values().fold(ReaderCount::default(), |all, of| all.with(of));
    add(&mut table, "all".into(), &all);
    for column in 1..7 {
        table.column_mut(column).expect("the header has it").set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn add(table: &mut Table, name: String, count: &ReaderCount) {
    let ReaderCount { at_once, in_digests, lines, digests, escalations, most, .. } = *count;
    let numbers = [at_once, in_digests, lines, digests, escalations, most];
    let cells = numbers.map(|n| HumanCount(n).to_string());
    table.add_row(std::iter::once(name).chain(cells));
}
