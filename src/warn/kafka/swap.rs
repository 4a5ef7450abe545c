//! `tarim warn swap`: another rulebook, while the pipeline runs.

use anyhow::Context;
use tarim_decision::rulebook::current;
use tarim_warning::{kafka::change_rulebook, rulebook::WarningBook};

use super::{
    super::store::{Hold, Store},
    Broker,
};
use crate::home::Home;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim rulebook publish && tarim warn swap\n  \
    tarim warn swap --version \"$version\"    # all 64 digits: tarim rulebook publish --list\n\n\
    The change is an event of the log, in every partition: whoever takes the events again changes at the same place. Windows, \
    patterns and alerts that both rulebooks have keep their state; for new windows and patterns each partition reads its history \
    again, as far as the topic still has it, before it goes on: `tarim warn run` shows how far it is. If its rules read \
    features, the change names the generation of the online store too: both come into force at once. The pipeline reads the \
    rulebook from the published ones of its own --home.")]
pub struct Args {
    #[command(flatten)]
    broker: Broker,
    /// Version of a published rulebook, all of its digits [default: the current one]
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    #[command(flatten)]
    store: Store,
    /// Generation of the online store that its rules read, if they read features: its number, or its version
    /// [default: the current one]
    #[arg(long, value_name = "VERSION")]
    features: Option<String>,
    #[command(flatten)]
    hold: Hold,
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let version = match args.version {
        Some(version) => version,
        None => {
            let folder = current(&home.published())?;
            let name = folder.file_name().and_then(|name| name.to_str());
            name.context("the folder of a published rulebook has its version as name")?.to_owned()
        }
    };
    // What cannot be read would stop the pipeline.
    let book = WarningBook::published(&home.published(), &version)?;
    let settings = args.broker.reached(home)?;
    let features = match &book.reads().first {
        Some(_) => Some(args.store.hold(home, &book, args.features, &args.hold)?.0),
        None => None,
    };
    change_rulebook(&settings, &settings.tick_producer()?, &version, features.as_deref())?;
    println!("from here on rulebook {version} holds: {} warning rules", book.rules().len());
    if let Some(features) = features {
        println!("they read features of generation {features}");
    }
    Ok(())
}
