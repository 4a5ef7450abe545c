//! The `tarim` command: one file per verb, no business logic.

mod backtest;
mod bench;
mod decide;
mod demo;
mod endpoint;
mod exposure;
mod features;
mod files;
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

use clap::{
    ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind, parser::ValueSource,
};

use crate::home::{Home, INSTALLATION};

/// Fast where one thread frees what another has allocated, as the journal's does all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Real-time risk decisioning and early warning for lenders.
#[derive(Parser)]
#[command(name = "tarim", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    home: Home,
    /// How the log looks, on standard error: text, or json, one object a line. TARIM_LOG=info or
    /// TARIM_LOG=warn,tarim_decision=debug says what is in it: off, error, warn, info, debug or trace, of Tarim itself or of a
    /// crate that is named
    #[arg(
        long,
        global = true,
        help_heading = INSTALLATION,
        hide_possible_values = true,
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
    /// What the user typed.
    fn typed(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let cli = Self::from_arg_matches(matches)?;
        // Variables are for other verbs too.
        let mut folders = ["home", "rulebook"].into_iter();
        let typed = folders.find(|name| matches.value_source(name) == Some(ValueSource::CommandLine));
        if let (Verb::Demo(_), Some(name)) = (&cli.verb, typed) {
            let what = format!(
                "--{name} is of no use to the demo, which has its own in --folder; --from says which rulebook to start from"
            );
            return Err(Self::command().error(ErrorKind::ArgumentConflict, what));
        }
        Ok(cli)
    }

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
    let typed = Cli::command().try_get_matches().and_then(|matches| Cli::typed(&matches));
    let cli = typed.unwrap_or_else(|e| misused(&e));
    quiet_when_nobody_reads();
    match log::start(cli.log_format).and_then(|()| cli.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{}", told(&e));
            ExitCode::FAILURE
        }
    }
}

/// Tells what is wrong with the command line. The environment's TARIM_HOME and TARIM_RULEBOOK would stand in its usage as if they
/// had to be given, so it is told by a parser that shows no option that every verb has.
fn misused(error: &clap::Error) -> ! {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand as NoVerb, DisplayVersion};
    if !matches!(error.kind(), DisplayHelp | NoVerb | DisplayVersion) {
        let _ = brief().get_matches();
    }
    error.exit()
}

fn brief() -> clap::Command {
    Cli::command().mut_args(|arg| {
        let is_global = arg.is_global_set();
        arg.hide(is_global)
    })
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
    use super::*;

    #[test]
    fn every_verb_is_well_formed() {
        Cli::command().debug_assert();
        brief().debug_assert();
    }

    /// Every verb, with those below it. (Of `help`, clap makes copies of all verbs, which take nothing.)
    fn all(verb: &clap::Command) -> Vec<clap::Command> {
        let below = verb.get_subcommands().filter(|below| below.get_name() != "help").flat_map(all);
        std::iter::once(verb.clone()).chain(below).collect()
    }

    #[test]
    fn what_every_verb_takes_stands_last_in_its_help() {
        let mut cli = Cli::command();
        cli.build();
        for mut verb in all(&cli) {
            let help = verb.render_long_help().to_string();
            let (own, last) = help.split_once("\nInstallation:\n").expect("it has the heading");
            for option in ["--home <", "--rulebook <", "--log-format <"] {
                assert!(last.contains(option) && !own.contains(option), "{option} in:\n{help}");
            }
        }
    }

    #[test]
    fn what_is_missing_is_told_without_what_is_given_by_the_environment() {
        for (line, missing) in [
            ("decide", "<--application <JSON>|--file <FILE>>"),
            ("decide --application {}", "--product <ID>"),
            ("exposure customer c1", "--member <CODE>"),
        ] {
            let line = format!("tarim --home h --rulebook r {line}");
            let said = brief().try_get_matches_from(line.split(' ')).expect_err(&line).to_string();
            assert!(said.contains(missing), "{missing} in:\n{said}");
            assert!(!said.contains("--home") && !said.contains("--rulebook"), "{said}");
        }
    }

    /// Widest line of a help that clap does not break.
    const WIDE: usize = 98;

    /// Prose is wrapped as wide as the terminal is, so it has no line breaks of its own; an example is one line, to be copied.
    #[test]
    fn helps_are_wrapped_once() {
        for verb in all(&Cli::command()) {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            for paragraph in help.split("\n\n") {
                for line in paragraph.lines().skip(1) {
                    let is_example = line.starts_with("  ") && line.chars().count() < WIDE;
                    assert!(is_example, "{}: {line}", verb.get_name());
                }
            }
        }
    }

    #[test]
    fn a_demo_takes_no_home() {
        for line in ["demo --home h", "--home h demo", "demo --rulebook r", "--rulebook r demo"] {
            let line = ["tarim"].into_iter().chain(line.split(' '));
            let matches = Cli::command().try_get_matches_from(line).unwrap();
            let refused = Cli::typed(&matches).map(drop).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ArgumentConflict);
        }
        for line in ["demo --folder f", "--home h load f", "sql --rulebook r q"] {
            let line = ["tarim"].into_iter().chain(line.split(' '));
            Cli::typed(&Cli::command().try_get_matches_from(line).unwrap()).map(drop).unwrap();
        }
    }
}
