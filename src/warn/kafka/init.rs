//! `tarim warn init`: the topics.

use comfy_table::Table;
use tarim_features::folder::Folder;
use tarim_warning::kafka::{create, create_compacted, init};

use super::Broker;
use crate::{home::Home, materialize::LINES};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim warn init --brokers 127.0.0.1:9092\n  \
    tarim warn init --partitions 16 --replication 3 --alerts tarim.alerts.{member}\n\n\
    Topics that are there already stay as they are. With {member} in --alerts each member of the rulebook (members/) has its\n\
    topics; those of a member that a later rulebook brings are made by `tarim warn run`, as the topic of events is.\n\n\
    Events of a customer must always come in the same partition: choose as many partitions as you will ever need workers.")]
pub struct Args {
    #[command(flatten)]
    broker: Broker,
    /// Topic of what becomes of warnings, which `tarim warn serve` tells
    #[arg(long, default_value = "tarim.warning.changes", value_name = "TOPIC")]
    changes: String,
    /// Topic of what stands against customers, which `tarim serve` hears
    #[arg(long, default_value = "tarim.warning.standing", value_name = "TOPIC")]
    standing: String,
    /// Topic of pushes to account managers, which `tarim warn serve` tells
    #[arg(long, default_value = "tarim.pushes", value_name = "TOPIC")]
    pushes: String,
    /// Partitions of each topic
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    /// Copies of each partition
    #[arg(long, default_value_t = 1)]
    replication: i32,
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let members = match Folder::open(home.rulebook()) {
        Ok(folder) => folder.folders("members"),
        // The rulebook is needed for the members' topics only.
        Err(_) if !args.broker.alerts.contains("{member}") => Vec::new(),
        Err(problems) => return Err(problems.into()),
    };
    let settings = args.broker.settings(home);
    let runtime = tokio::runtime::Runtime::new()?;
    let (partitions, replication) = (args.partitions, args.replication);
    let created = runtime.block_on(async {
        let mut created = init(&settings, &members, partitions, replication).await?;
        created.extend(create(&settings, &[args.changes, args.pushes], partitions, replication).await?);
        created.extend(create_compacted(&settings, &[args.standing], partitions, replication).await?);
        anyhow::Ok(created)
    })?;
    let mut table = Table::new();
    table.load_preset(LINES).set_header(["topic", ""]);
    for topic in created {
        table.add_row([topic.topic.as_str(), if topic.existed { "was there" } else { "created" }]);
    }
    println!("{table}");
    Ok(())
}
