//! What librdkafka says goes to the log, but for what is no news.

use rdkafka::{
    ClientContext,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};
use tracing::warn;

/// Context of a consumer that is told when it is at the end of a partition, and of each connection that fails: that none is left is
/// said again with each of them.
pub struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        use RDKafkaErrorCode::{AllBrokersDown, PartitionEOF};
        if !matches!(error.rdkafka_error_code(), Some(PartitionEOF | AllBrokersDown)) {
            warn!("Kafka: {error}: {reason}");
        }
    }
}

impl ConsumerContext for Quiet {}
