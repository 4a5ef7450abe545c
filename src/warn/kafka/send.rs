//! `tarim warn send`: a file of events to the topic of events.

use std::path::PathBuf;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tarim_warning::{
    kafka::{check_file, send_file},
    rulebook::WarningBook,
};

use super::Broker;
use crate::home::Home;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim warn send --from bank/events/events.ndjson\n  \
    tarim warn send --from events.pb --brokers kafka-1:9092,kafka-2:9092\n\n\
    The whole file is read before any of it is sent: if anything in it is no event by the standards of the rulebook, nothing is \
    sent. What is sent is sent with the key member/customer, so that a customer's events stay in order.")]
pub struct Args {
    #[command(flatten)]
    broker: Broker,
    /// File of events, .ndjson or .pb
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Send whatever the file has: what is no event becomes a dead letter, which holds all that it says
    #[arg(long)]
    unchecked: bool,
    /// Check by the published rulebook instead of the text
    #[arg(long)]
    published: bool,
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let book = WarningBook::read(&home.rulebook_of(args.published)?)?;
    let settings = args.broker.reached(home)?;
    if !args.unchecked {
        let bar = bar(&args, "checked")?;
        check_file(&book, &args.from, |bytes| bar.set_position(bytes))?;
        bar.finish_and_clear();
    }
    let bar = bar(&args, "sent")?;
    let sent = send_file(&settings, &book, &args.from, |bytes| bar.set_position(bytes))?;
    bar.finish_and_clear();
    println!("{} events sent", HumanCount(sent));
    Ok(())
}

/// How much of the file is done.
fn bar(args: &Args, done: &str) -> anyhow::Result<ProgressBar> {
    let size = std::fs::metadata(&args.from).map_or(0, |m| m.len());
    let style = format!("{{spinner}} {done} {{bytes}}/{{total_bytes}} [{{wide_bar}}] {{eta}}");
    Ok(ProgressBar::new(size).with_style(ProgressStyle::with_template(&style)?))
}
