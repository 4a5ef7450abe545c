//! `tarim warn init`: the topics.

use std::time::Duration;

use comfy_table::Table;
use tarim_warning::{
    kafka::{create, create_compacted, init},
    rulebook::WarningBook,
};

use super::{super::contagion::span, Broker};
use crate::{home::Home, materialize::LINES};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim warn init --brokers 127.0.0.1:9092\n  \
    tarim warn init --partitions 16 --replication 3 --alerts tarim.alerts.{member}\n  \
    tarim warn init --retention 3650d\n\n\
    Topics that are there already stay as they are. With {member} in --alerts each member of the rulebook (members/) has its \
    topics; those of a member that a later rulebook brings are made by `tarim warn run`, as the topic of events is.\n\n\
    Events are kept as long as the rulebook looks back: its longest window, twice its longest sequence or absence, and the \
    longest lateness that it allows, and a day. New windows are filled, and a state that is lost is rebuilt, from what the topic \
    still has; a rulebook that looks further back needs a longer --retention (of a topic that is there: kafka-configs.sh). When \
    an event came is the broker's time, not its sender's (message.timestamp.type=LogAppendTime).\n\n\
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
    /// How long the topic of events keeps them: 500d, or forever [default: as long as the rulebook looks back; forever where it
    /// cannot be read]
    #[arg(long, value_name = "SPAN")]
    retention: Option<String>,
}

/// So long events are kept; None: for ever.
fn retention(said: Option<&str>, book: Option<&WarningBook>) -> anyhow::Result<Option<Duration>> {
    const DAY_US: i64 = 86_400_000_000;
    match (said, book) {
        (Some("forever"), _) | (None, None) => Ok(None),
        (Some(said), _) => match span(said) {
            Ok(kept) if !kept.is_zero() => Ok(Some(kept)),
            _ => anyhow::bail!("--retention {said}: write it as 500d, or forever"),
        },
        // Begun days are whole ones, and time goes on while history is read.
        (None, Some(book)) => {
            let days = book.history_us().div_euclid(DAY_US).saturating_add(2);
            Ok(Some(Duration::from_secs(days.unsigned_abs().saturating_mul(86_400))))
        }
    }
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let book = match WarningBook::read(home.rulebook()) {
        Ok(book) => Some(book),
        // It is needed for the members' topics only, and to tell how long events are to be kept.
        Err(_) if !args.broker.alerts.contains("{member}") => None,
        Err(problems) => return Err(problems.into()),
    };
    let members = book.as_ref().map_or(&[][..], WarningBook::members);
    let kept = retention(args.retention.as_deref(), book.as_ref())?;
    let settings = args.broker.reached(home)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let (partitions, replication) = (args.partitions, args.replication);
    let created = runtime.block_on(async {
        let mut created = init(&settings, members, partitions, replication, kept).await?;
        created.extend(create(&settings, &[args.changes, args.pushes], partitions, replication).await?);
        created.extend(create_compacted(&settings, &[args.standing], partitions, replication).await?);
        anyhow::Ok(created)
    })?;
    let mut table = Table::new();
    table.load_preset(LINES).set_header(["topic", ""]);
    let is_new = created.first().is_some_and(|events| !events.existed);
    for topic in created {
        table.add_row([topic.topic.as_str(), if topic.existed { "was there" } else { "created" }]);
    }
    println!("{table}");
    let days =
        kept.map_or("for ever".into(), |kept| format!("for {:.1} days", kept.as_secs_f64() / 86_400.0));
    let why = match (&args.retention, &book) {
        (Some(_), _) => "as --retention says",
        (None, Some(_)) => "as far as the rulebook looks back",
        (None, None) => "since there is no rulebook that can be read to tell how far it looks back",
    };
    match is_new {
        true => println!("events are kept {days}, {why}"),
        false => println!(
            "events are to be kept {days}, {why}; the topic was there, and keeps them as it did: see retention.ms of it"
        ),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn events_are_kept_as_long_as_the_rulebook_looks_back() {
        let days = |said: Option<&str>, book: Option<&WarningBook>| {
            retention(said, book).map(|kept| kept.map(|kept| kept.as_secs() / 86_400))
        };
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rulebook");
        let book = WarningBook::read(&example).unwrap_or_else(|problems| panic!("{problems}"));
        let needed_us = book.looks_back_us() + book.lateness_most_us();
        let kept = days(None, Some(&book)).unwrap().unwrap();
        // Legal cases may come a year late, and windows are of months.
        assert!(kept > 365 + 30 && kept as i64 * 86_400_000_000 > needed_us, "{kept} days");
        assert!((kept as i64 - 2) * 86_400_000_000 <= needed_us, "{kept} days");
        assert_eq!(days(None, None).unwrap(), None);
        assert_eq!(days(Some("forever"), Some(&book)).unwrap(), None);
        assert_eq!(days(Some("500d"), Some(&book)).unwrap(), Some(500));
        for wrong in ["0", "500", "-1d", "ever"] {
            assert!(days(Some(wrong), None).unwrap_err().to_string().contains("500d, or forever"));
        }
    }
}
