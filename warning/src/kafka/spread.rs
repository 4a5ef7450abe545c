//! Alerts spread into the topic of events, in the transaction of the alerts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use rdkafka::{ClientContext, Message, message::DeliveryResult, producer::ProducerContext};
use tarim_proto::event::v1::Event;
use tracing::warn;

use super::{EdgeError, Partitioner, Settings};
use crate::{
    contagion::{Live, spread},
    core::Outbox,
    rulebook::WarningBook,
};

/// What alerts of a partition spread along.
pub struct Spreader {
    /// None: nothing spreads, by this rulebook or as the settings say.
    live: Option<Arc<Live>>,
    /// Partitions of the topic of events.
    partitions: i32,
    events: Vec<Event>,
    /// Alerts with more neighbours than the rulebook lets through.
    pub cut: u64,
}

impl Spreader {
    pub fn new(settings: &Settings, book: &Arc<WarningBook>, partitions: i32) -> Result<Self, EdgeError> {
        let mut spreader = Self { live: None, partitions, events: Vec::new(), cut: 0 };
        spreader.change(settings, book)?;
        Ok(spreader)
    }

    /// Another rulebook, with edges of its own.
    pub fn change(&mut self, settings: &Settings, book: &Arc<WarningBook>) -> Result<(), EdgeError> {
        self.live = settings.live(book)?;
        Ok(())
    }

    /// What alerts spread: events, each with its key and its partition.
    pub fn spread(
        &mut self,
        settings: &Settings,
        book: &WarningBook,
        out: &Outbox,
    ) -> impl Iterator<Item = (String, i32, &Event)> {
        self.events.clear();
        if let Some(live) = &self.live {
            let edges = live.edges();
            for (i, alert) in out.alerts.iter().enumerate() {
                if !out.by_contagion.contains(&i) && spread(book, &edges, alert, &mut self.events) {
                    self.cut += 1;
                    let (rule, alert) = (&alert.rule_id, &alert.alert_id);
                    warn!(rule, alert, "it has more neighbours than neighbours_max; the nearest are told");
                }
            }
        }
        let (partitioner, partitions) = (settings.partitioner, self.partitions);
        self.events.iter().map(move |event| {
            let key = format!("{}/{}", event.member, event.customer_id);
            let partition = partitioner.partition(key.as_bytes(), partitions);
            let partition = partition.expect("where nobody can tell, nothing spreads");
            (key, partition, event)
        })
    }
}

impl Settings {
    /// The edges that a rulebook's alerts spread along; None: they do not.
    pub(super) fn live(&self, book: &Arc<WarningBook>) -> Result<Option<Arc<Live>>, EdgeError> {
        let live = self.contagion.as_ref().map(|network| network.of(book)).transpose()?.flatten();
        match self.partitioner {
            Partitioner::Any if live.is_some() => Err(EdgeError::NoPlaces),
            _ => Ok(live),
        }
    }
}

/// Context of a producer that notes how far its events have come: by partition of the topic, the offset behind the last one.
pub struct Noting {
    topic: String,
    behind: Mutex<HashMap<i32, i64>>,
}

impl Noting {
    pub fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned(), behind: Mutex::default() }
    }

    /// What was noted since it was asked for last.
    pub fn take(&self) -> HashMap<i32, i64> {
        std::mem::take(&mut self.behind.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Noting {}

impl ProducerContext for Noting {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Ok(message) = result
            && message.topic() == self.topic
        {
            let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
            let last = behind.entry(message.partition()).or_default();
            *last = (*last).max(message.offset() + 1);
        }
    }
}
