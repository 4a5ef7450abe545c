//! What librdkafka says goes to the log, but for what is no news.

use rdkafka::{
    ClientContext,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};
use tracing::warn;

/// Context of a consumer that is told when it is at the end of a partition.
pub struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        let is_end = |code| code == Some(RDKafkaErrorCode::PartitionEOF);
        if !is_end(error.rdkafka_error_code()) {
            warn!("Kafka: {error}: {reason}");
        }
    }
}

impl ConsumerContext for Quiet {}
