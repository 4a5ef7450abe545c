//! `tarim warn`: events in, alerts out.

mod contagion;
mod deliver;
mod desk;
mod kafka;
mod managers;
mod metrics;
mod replay;
mod serve;
mod store;

pub use self::kafka::{events, pair};

use self::desk::Deed;
use crate::home::Home;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Create the topics of events, alerts, dead letters, changes, what stands, and pushes
    Init(kafka::init::Args),
    /// Watch a topic of events and push alerts, exactly once
    Run(kafka::run::Args),
    /// Run a file of events through the warning rules, without any server
    Replay(replay::Args),
    /// Put a file of events on the topic of events
    Send(kafka::send::Args),
    /// Change the rulebook of a pipeline that runs
    Swap(kafka::swap::Args),
    /// Change the features that rules of a pipeline read to those of another generation of the online store
    Features(kafka::features::Args),
    /// Keep warnings and what becomes of them, and serve them over gRPC
    Serve(serve::Args),
    /// List warnings of a member
    List(desk::List),
    /// Show a warning with all that is known of it
    Show(desk::Show),
    /// Say that you look into a warning
    Ack(desk::Ack),
    /// Say that a warning was dealt with, and how
    Dispose(desk::Change),
    /// Pass a warning on to whoever must deal with it
    Escalate(desk::Change),
    /// Close a warning that was disposed or escalated
    Close(desk::Change),
    /// List what was pushed to an account manager, the newest first
    Inbox(desk::Inbox),
    /// Show a digest of an account manager
    Digest(desk::Digest),
    /// Run a file of alerts through the rulebook's budgets, digests and escalations
    Deliver(deliver::Args),
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    match args.verb {
        Verb::Init(args) => kafka::init::run(home, args),
        Verb::Run(args) => kafka::run::run(home, args),
        Verb::Replay(args) => replay::run(home, args),
        Verb::Send(args) => kafka::send::run(home, args),
        Verb::Swap(args) => kafka::swap::run(home, args),
        Verb::Features(args) => kafka::features::run(home, args),
        Verb::Serve(args) => serve::run(home, args),
        Verb::List(args) => desk::list(args),
        Verb::Show(args) => desk::show(args),
        Verb::Ack(args) => desk::ack(args),
        Verb::Dispose(args) => desk::change(args, Deed::Dispose),
        Verb::Escalate(args) => desk::change(args, Deed::Escalate),
        Verb::Close(args) => desk::change(args, Deed::Close),
        Verb::Inbox(args) => desk::inbox(args),
        Verb::Digest(args) => desk::digest(args),
        Verb::Deliver(args) => deliver::run(home, args),
    }
}
