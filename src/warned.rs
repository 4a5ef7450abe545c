//! Where `tarim serve` hears what stands against customers.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use tarim_features::warnings::{Feed, Warnings};
use tarim_warning::{
    ledger::{Following, follow},
    standing::{self, Settings},
};

use crate::warn::pair;

#[derive(clap::Args, Clone)]
#[group(skip)]
pub struct Args {
    /// Folder of the warnings of `tarim warn serve` on this machine: policies see what stands against a customer
    #[arg(long = "warnings", value_name = "FOLDER", group = "warnings_source")]
    folder: Option<PathBuf>,
    /// Hear what stands from Kafka instead: addresses of brokers, host:port, separated by commas
    #[arg(long = "warnings-brokers", value_name = "BROKERS", group = "warnings_source")]
    brokers: Option<String>,
    /// Topic of what stands against customers
    // A folder would excuse that there are no brokers, so what is of Kafka alone conflicts with it too.
    #[arg(
        long = "warnings-topic",
        default_value = "tarim.warning.standing",
        value_name = "TOPIC",
        requires = "brokers",
        conflicts_with = "folder"
    )]
    topic: String,
    /// A setting of librdkafka, such as security.protocol=SASL_SSL; may be given several times
    #[arg(
        long = "warnings-kafka",
        value_name = "KEY=VALUE",
        value_parser = pair,
        requires = "brokers",
        conflicts_with = "folder"
    )]
    more: Vec<(String, String)>,
    /// What stands is unknown if nothing was heard for so long: 30s, 5m, 1h
    #[arg(
        long = "warnings-stale-after",
        default_value = "5m",
        value_name = "SPAN",
        value_parser = span,
        requires = "warnings_source"
    )]
    stale_after: Duration,
}

/// What hears, until it is dropped.
pub enum Hearing {
    Folder(#[expect(dead_code, reason = "it is held")] Following),
    Kafka(#[expect(dead_code, reason = "it is held")] standing::Hearing),
}

/// Starts to hear. None: nobody tells, and what stands is unknown.
pub fn hear(args: &Args) -> anyhow::Result<Option<(Hearing, Warnings)>> {
    let feed = Feed::new(args.stale_after);
    let warnings = feed.warnings();
    let hearing = match (&args.folder, &args.brokers) {
        (Some(folder), _) => Hearing::Folder(follow(folder, feed)?),
        (None, Some(brokers)) => {
            let (brokers, topic, more) = (brokers.clone(), args.topic.clone(), args.more.clone());
            Hearing::Kafka(standing::hear(Settings { brokers, more, topic }, feed)?)
        }
        (None, None) => return Ok(None),
    };
    Ok(Some((hearing, warnings)))
}

pub fn span(text: &str) -> anyhow::Result<Duration> {
    let said = || "write a whole number and its unit, such as 30s, 5m or 1h";
    let unit = text.chars().next_back().with_context(said)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => anyhow::bail!(said()),
    };
    let number: u64 = text[..text.len() - 1].parse().with_context(said)?;
    anyhow::ensure!(number > 0, said());
    Ok(Duration::from_secs(number.checked_mul(seconds).with_context(said)?))
}
