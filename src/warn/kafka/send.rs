//! `tarim warn send`: a file of events to the topic of events.

use std::path::PathBuf;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tarim_warning::{kafka::send_file, rulebook::WarningBook};

use super::Broker;
use crate::home::Home;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim warn send --from bank/events/events.ndjson\n  \
    tarim warn send --from events.pb --brokers kafka-1:9092,kafka-2:9092\n\n\
    Each event's key is member/customer, so that a customer's events stay in order.")]
pub struct Args {
    #[command(flatten)]
    broker: Broker,
    /// File of events, .ndjson or .pb
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let book = WarningBook::read(home.rulebook())?;
    let size = std::fs::metadata(&args.from).map_or(0, |m| m.len());
    let bar = ProgressBar::new(size)
        .with_style(ProgressStyle::with_template("{spinner} sent {bytes}/{total_bytes} [{wide_bar}] {eta}")?);
    let sent = send_file(&args.broker.settings(home), &book, &args.from, |bytes| bar.set_position(bytes))?;
    bar.finish_and_clear();
    println!("{} events sent", HumanCount(sent));
    Ok(())
}
