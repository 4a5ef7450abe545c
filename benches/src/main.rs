//! `cargo run --release -p tarim-benches -- goals`: see the library's documentation.

mod goals;
mod measure;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures Tarim beside its peers.
#[derive(Parser)]
#[command(name = "tarim-benches", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Measure what is promised, each beside what it is compared with
    Goals(goals::Args),
    /// Write the hand-written peers that are generated; only needed when their rulebook changes
    Generate,
}

fn main() -> ExitCode {
    let met = match Cli::parse().verb {
        Verb::Goals(args) => goals::run(&args),
        Verb::Generate => goals::generate().map(|()| true).map_err(Into::into),
    };
    match met {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}
