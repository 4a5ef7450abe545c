//! `tarim warn`: events in, alerts out.

mod kafka;
mod replay;

use crate::home::Home;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Create the topics of events, alerts and dead letters
    Init(kafka::init::Args),
    /// Watch a topic of events and push alerts, exactly once
    Run(kafka::run::Args),
    /// Run a file of events through the warning rules, without any server
    Replay(replay::Args),
    /// Put a file of events on the topic of events
    Send(kafka::send::Args),
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    match args.verb {
        Verb::Init(args) => kafka::init::run(home, args),
        Verb::Run(args) => kafka::run::run(home, args),
        Verb::Replay(args) => replay::run(home, args),
        Verb::Send(args) => kafka::send::run(home, args),
    }
}
