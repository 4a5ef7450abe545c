//! What the goals of the warning pipeline measure, in a process of its own: with the allocator that `tarim` has, and its
//! processor time told apart from everybody else's. Each prints one line of JSON.

mod cpu;
mod ring;

use std::{path::PathBuf, sync::Arc, time::Instant};

use clap::Parser;
use serde_json::{Value as Json, json};
use tarim_benches::fixture::warn::WarnBook;
use tarim_warning::{
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
    /// Writes a rulebook and events to the folder, for `replay`
    Write { folder: PathBuf, customers: u64, events: u64 },
    /// A ring of 24 hours per customer, and nothing else
    Ring { customers: u64, events: u64 },
}

fn main() -> anyhow::Result<()> {
    let told = match Args::parse() {
        Args::Replay { folder } => replayed(&folder)?,
        Args::Write { folder, customers, events } => {
            let book = WarnBook { windows: 40, rules: 200, customers };
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
    let files =
        Replay { from: folder.join("events.pb"), to: folder.join("alerts.pb"), dead: folder.join("dead.pb") };
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
