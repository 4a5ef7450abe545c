//! `tarim warn`: events in, alerts out.

mod replay;

use crate::home::Home;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Run a file of events through the warning rules, without any server
    Replay(replay::Args),
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    match args.verb {
        Verb::Replay(args) => replay::run(home, args),
    }
}
