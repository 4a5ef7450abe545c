//! What the goals of the warning pipeline measure, in a process of its own: with the allocator that `tarim` has, and its
//! processor time told apart from everybody else's. Each prints one line of JSON.

mod cpu;
mod kafka;
mod latency;
mod ledger;
mod restart;
mod ring;

use std::{path::PathBuf, sync::Arc, time::Instant};

use clap::Parser;
use serde_json::{Value as Json, json};
use tarim_benches::fixture::warn::WarnBook;
use tarim_warning::{
    known::Known,
    replay::{Replay, replay},
    rulebook::WarningBook,
};

use self::cpu::CpuTime;

/// As `tarim` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A part of the warning pipeline, or a peer of it, to be measured.
#[derive(Parser)]
#[command(name = "tarim-benches-warn")]
enum Args {
    /// A file of events through a rulebook; both are in the folder
    Replay { folder: PathBuf },
    /// Writes a rulebook and events to the folder, for the others
    Write { folder: PathBuf, windows: usize, rules: usize, customers: u64, events: u64 },
    /// Creates topics for these names and puts the folder's events on the first of them
    Fill { brokers: String, folder: PathBuf, partitions: i32, names: Vec<String> },
    /// The pipeline on Kafka
    Run { brokers: String, folder: PathBuf, name: String },
    /// A raw pass-through of the same events
    Pass { brokers: String, partitions: i32, name: String },
    /// How long alerts take at so many events a second
    Latency { brokers: String, folder: PathBuf, per_second: u64, seconds: u64 },
    /// Writes the state of so many customers to the folder
    StateWrite { folder: PathBuf, customers: u64 },
    /// Loads it, and takes one event
    StateLoad { folder: PathBuf },
    /// Takes alerts into a ledger of warnings in the folder
    LedgerFill {
        folder: PathBuf,
        #[command(flatten)]
        load: ledger::Load,
    },
    /// Opens it again
    LedgerOpen {
        folder: PathBuf,
        #[arg(long)]
        push: bool,
    },
    /// A ring of 24 hours per customer, and nothing else
    Ring { customers: u64, events: u64 },
}

fn main() -> anyhow::Result<()> {
    let told = match Args::parse() {
        Args::Replay { folder } => replayed(&folder)?,
        Args::Fill { brokers, folder, partitions, names } => {
            kafka::fill(&brokers, &folder, partitions, &names)?
        }
        Args::Run { brokers, folder, name } => kafka::run(&brokers, &folder, &name)?,
        Args::Pass { brokers, partitions, name } => kafka::pass(&brokers, partitions, &name)?,
        Args::Latency { brokers, folder, per_second, seconds } => {
            kafka::latency(&brokers, &folder, per_second, seconds)?
        }
        Args::StateWrite { folder, customers } => restart::write(&folder, customers)?,
        Args::StateLoad { folder } => restart::load(&folder)?,
        Args::LedgerFill { folder, load } => ledger::fill(&folder, load)?,
        Args::LedgerOpen { folder, push } => ledger::reopen(&folder, push)?,
        Args::Write { folder, windows, rules, customers, events } => {
            let book = WarnBook { windows, rules, customers };
            book.write(&folder.join("rulebook"))?;
            book.write_events(events, &folder.join("events.pb"))?;
            json!({ "events": events })
        }
        Args::Ring { customers, events } => {
            let book = WarnBook { windows: 0, rules: 0, customers };
            json!({ "cpu_s": ring::cpu_s(&book, events)? })
        }
    };
    println!("{told}");
    Ok(())
}

fn replayed(folder: &std::path::Path) -> anyhow::Result<Json> {
    let book = Arc::new(WarningBook::read(&folder.join("rulebook"))?);
    let files = Replay {
        from: folder.join("events.pb"),
        to: folder.join("alerts.pb"),
        dead: folder.join("dead.pb"),
        published: folder.join("none"),
        contagion: None,
        known: Known::default(),
    };
    let (start, cpu) = (Instant::now(), CpuTime::now()?);
    let report = replay(book, &files, |_| {})?;
    Ok(json!({
        "cpu_s": cpu.elapsed()?,
        "wall_s": start.elapsed().as_secs_f64(),
        "events": report.records,
        "alerts": report.alerts,
        "dead": report.dead,
        "customers": report.customers,
        "state_bytes": report.state_bytes,
    }))
}
