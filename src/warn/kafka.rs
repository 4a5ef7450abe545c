//! Verbs that talk to Kafka, and what they all ask.

pub mod features;
pub mod init;
pub mod run;
pub mod send;
pub mod swap;

use std::time::Duration;

use anyhow::Context;
use tarim_warning::{
    kafka::{Encoding, Partitioner, Settings},
    known::Known,
};

use crate::home::Home;

/// Where Kafka is, and which topics.
#[derive(clap::Args, Clone)]
pub struct Broker {
    /// Addresses of brokers, host:port, separated by commas
    #[arg(long, env = "TARIM_KAFKA", default_value = "127.0.0.1:9092", value_name = "BROKERS")]
    brokers: String,
    /// A setting of librdkafka, such as security.protocol=SASL_SSL; may be given several times
    #[arg(long = "kafka", value_name = "KEY=VALUE", value_parser = pair)]
    more: Vec<(String, String)>,
    /// Topic of events
    #[arg(long, default_value = "tarim.events", value_name = "TOPIC")]
    events: String,
    /// Topic of alerts; {level} and {member} stand for the alert's
    #[arg(long, default_value = "tarim.alerts.{level}", value_name = "TOPIC")]
    alerts: String,
    /// Topic of events that could not be taken
    #[arg(long, default_value = "tarim.dead", value_name = "TOPIC")]
    dead: String,
}

impl Broker {
    /// As [`Broker::settings`], once Kafka has answered.
    fn reached(&self, home: &Home) -> anyhow::Result<Settings> {
        let settings = self.settings(home);
        settings.reach(|| eprintln!("asking Kafka at {} …", settings.brokers))?;
        Ok(settings)
    }

    /// Settings in which all else is as usual.
    fn settings(&self, home: &Home) -> Settings {
        Settings {
            brokers: self.brokers.clone(),
            more: self.more.clone(),
            events: self.events.clone(),
            alerts: self.alerts.clone(),
            dead: self.dead.clone(),
            group: "tarim-warn".into(),
            encoding: Encoding::Json,
            state: home.warnings(),
            published: home.published(),
            events_max: 20_000,
            interval: Duration::from_millis(100),
            snapshot_events: 1_000_000,
            partitions: None,
            until_end: false,
            contagion: None,
            partitioner: Partitioner::default(),
            known: Known::default(),
        }
    }
}

/// Where events are put, and nothing is read.
pub fn events(home: &Home, brokers: String, more: Vec<(String, String)>, events: String) -> Settings {
    let (alerts, dead) = Default::default();
    Broker { brokers, more, events, alerts, dead }.settings(home)
}

/// KEY=VALUE.
pub fn pair(text: &str) -> anyhow::Result<(String, String)> {
    let (key, value) = text.split_once('=').context("write it as KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
