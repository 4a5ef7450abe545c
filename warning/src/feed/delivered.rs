//! What became of what was sent.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::{
    ClientContext,
    error::KafkaError,
    producer::{DeliveryResult, ProducerContext},
};

/// Context of a producer that keeps the first error of a batch; clones keep the same.
#[derive(Clone)]
pub struct Delivered {
    /// Whose it is, for the log.
    who: &'static str,
    failure: Arc<Mutex<Option<KafkaError>>>,
}

impl Delivered {
    pub fn new(who: &'static str) -> Self {
        Self { who, failure: Arc::default() }
    }

    /// The first error since this was last asked.
    pub fn take_failure(&self) -> Option<KafkaError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Delivered {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!("Kafka, {}: {error}: {reason}", self.who);
    }
}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((e, _)) = result {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e.clone());
        }
    }
}
