//! `tarim warn features`: another generation of the online store, while the pipeline runs.

use tarim_warning::{kafka::change_features, rulebook::WarningBook};

use super::{
    super::store::{Hold, Store},
    Broker,
};
use crate::home::Home;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim materialize && tarim warn features\n  \
    tarim warn features --version 12-3f9a02bc\n\n\
    Warning rules that read features (customer.balance_avg_90d_fen) read them of the generation that the log names: it is an \
    event, in every partition, so whoever takes the events again reads the same values at the same place. Run it once before the \
    first events, and after each `tarim materialize` whose values rules shall see. The generation stays in the store, besides \
    those to roll back to, until --hold newer ones have been put into the log.")]
pub struct Args {
    #[command(flatten)]
    broker: Broker,
    #[command(flatten)]
    store: Store,
    /// Number of a generation, or its version [default: the current one]
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    #[command(flatten)]
    hold: Hold,
    /// See whether the published rulebook can read it, instead of the text
    #[arg(long)]
    published: bool,
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let folder = home.rulebook_of(args.published)?;
    let book = WarningBook::read(&folder)?;
    let settings = args.broker.reached(home)?;
    // What cannot be read would stop the pipeline.
    let (version, as_of) = args.store.hold(home, &book, args.version, &args.hold)?;
    change_features(&settings, &settings.tick_producer()?, &version)?;
    let as_of = as_of.map_or_else(String::new, |time| format!(", as of {time}"));
    println!("from here on features of generation {version} are read{as_of}");
    Ok(())
}
