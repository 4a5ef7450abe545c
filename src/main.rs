//! The `tarim` command: one file per verb, no business logic.

mod backtest;
mod bench;
mod decide;
mod demo;
mod endpoint;
mod exposure;
mod features;
mod home;
mod intercept;
mod load;
mod log;
mod materialize;
mod replay;
mod rulebook;
mod serve;
mod sql;
mod synth;
mod warn;
mod warned;

use std::{
    panic,
    process::{self, ExitCode},
};

use clap::{Parser, Subcommand};

use crate::home::Home;

/// Fast where one thread frees what another has allocated, as the journal's does all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Real-time risk decisioning and early warning for lenders.
#[derive(Parser)]
#[command(name = "tarim", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    home: Home,
    /// How the log looks, on standard error; TARIM_LOG=info or TARIM_LOG=warn,tarim_decision=debug says what is in it
    #[arg(
        long,
        global = true,
        env = "TARIM_LOG_FORMAT",
        value_enum,
        default_value = "text",
        value_name = "FORMAT"
    )]
    log_format: log::Format,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a small bank and take it through everything, from files to decisions over gRPC
    Demo(demo::Args),
    /// Make a synthetic bank: customers, accounts, loans, bureau reports, devices, frauds
    Synth(synth::Args),
    /// Load source files through the quality gate into the datamart
    Load(load::Args),
    /// Query the datamart with SQL
    Sql(sql::Args),
    /// Compute features as of a time and publish them to the online store
    Materialize(materialize::Args),
    /// Look at what is known of an entity
    Features(features::Args),
    /// Check, test and publish a rulebook
    Rulebook(rulebook::Args),
    /// Serve decisions over gRPC
    Serve(serve::Args),
    /// Ask a server for a decision and show it with every reason
    Decide(decide::Args),
    /// Ask a control point whether a loan may pass, and override what it says
    Intercept(intercept::Args),
    /// Decide a whole table of applications, each as of its own time
    Backtest(backtest::Args),
    /// Put a load on a server and tell how fast it answered
    Bench(bench::Args),
    /// Exposure limits: what is out, beside what may be
    Exposure(exposure::Args),
    /// Early warning: events in, alerts out
    Warn(warn::Args),
    /// Recompute journaled decisions and report any that differ by a bit
    Replay(replay::Args),
}

impl Cli {
    /// Does what the verb says, with what the crates behind it offer.
    fn run(self) -> anyhow::Result<()> {
        let home = &self.home;
        match self.verb {
            Verb::Demo(args) => demo::run(args),
            Verb::Synth(args) => synth::run(home, args),
            Verb::Load(args) => load::run(home, args),
            Verb::Sql(args) => sql::run(home, args),
            Verb::Materialize(args) => materialize::run(home, args),
            Verb::Features(args) => features::run(home, args),
            Verb::Rulebook(args) => rulebook::run(home, args),
            Verb::Serve(args) => serve::run(home, args),
            Verb::Decide(args) => decide::run(home, args),
            Verb::Intercept(args) => intercept::run(home, args),
            Verb::Backtest(args) => backtest::run(home, args),
            Verb::Bench(args) => bench::run(home, args),
            Verb::Exposure(args) => exposure::run(home, args),
            Verb::Warn(args) => warn::run(home, args),
            Verb::Replay(args) => replay::run(home, args),
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    quiet_when_nobody_reads();
    match log::start(cli.log_format).and_then(|()| cli.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{}", told(&e));
            ExitCode::FAILURE
        }
    }
}

/// `tarim … | head`: whoever reads has seen enough, which is no panic. Rust ignores SIGPIPE and `println!` panics
/// instead; this ends the process as the signal would have, with the status that a shell gives for it.
fn quiet_when_nobody_reads() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let what = panic.payload_as_str().unwrap_or_default();
        if what.starts_with("failed printing to stdout") && what.contains("Broken pipe") {
            process::exit(128 + 13);
        }
        usual(panic);
    }));
}

/// An error and its causes, each once: libraries often repeat the cause in their own words.
fn told(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}");
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str("\n  because: ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_verb_is_well_formed() {
        Cli::command().debug_assert();
    }
}
