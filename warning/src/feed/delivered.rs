//! What became of what was sent.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::{
    ClientContext,
    error::KafkaError,
    producer::{DeliveryResult, ProducerContext},
};

/// Context of a producer that keeps the first error of a batch, and how many there were; clones keep the same.
#[derive(Clone)]
pub struct Delivered {
    /// Whose it is, for the log.
    who: &'static str,
    failures: Arc<Mutex<Option<(KafkaError, u64)>>>,
}

impl Delivered {
    pub fn new(who: &'static str) -> Self {
        Self { who, failures: Arc::default() }
    }

    /// The first error since this was last asked.
    pub fn take_failure(&self) -> Option<KafkaError> {
        self.take_failures().map(|(first, _)| first)
    }

    /// The same, and how many records did not arrive.
    pub fn take_failures(&self) -> Option<(KafkaError, u64)> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, error: &KafkaError) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get_or_insert_with(|| (error.clone(), 0)).1 += 1;
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
            self.note(e);
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::error::RDKafkaErrorCode::{MessageTimedOut, TopicAuthorizationFailed};

    use super::*;

    #[test]
    fn the_first_error_is_kept_and_all_are_counted() {
        let (delivered, of) = (Delivered::new("a test"), KafkaError::MessageProduction);
        assert_eq!(delivered.take_failures(), None);
        for code in [TopicAuthorizationFailed, MessageTimedOut, MessageTimedOut] {
            delivered.clone().note(&of(code));
        }
        assert_eq!(delivered.take_failures(), Some((of(TopicAuthorizationFailed), 3)));
        assert_eq!(delivered.take_failures(), None);
    }
}
