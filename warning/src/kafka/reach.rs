//! Whether anybody answers, before anything is done.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
};

use super::{EdgeError, Settings};

/// Whoever waits for longer is told what for.
const MOMENT: Duration = Duration::from_secs(1);

/// Longest that the first question may take: time to connect and to sign in, across a network. Later ones have longer, for a broker
/// that is known to be there may be restarted.
const FIRST: Duration = Duration::from_secs(10);

/// Longest that is looked for what went wrong.
const LOOK: Duration = Duration::from_millis(100);

impl Settings {
    /// Returns once a broker has answered. `waiting` is called if that takes longer than a moment.
    ///
    /// # Errors
    /// [`EdgeError::NoBroker`], with the last reason that was heard.
    pub fn reach(&self, waiting: impl FnOnce()) -> Result<(), EdgeError> {
        self.reach_within(MOMENT, FIRST, waiting)
    }

    fn reach_within(
        &self,
        moment: Duration,
        first: Duration,
        waiting: impl FnOnce(),
    ) -> Result<(), EdgeError> {
        let consumer: BaseConsumer<Reason> = self
            .client()
            .create_with_context(Reason::default())
            .map_err(self.failed("cannot make a client"))?;
        // A topic that is not there is an answer, too.
        let answers = |within: Duration| consumer.fetch_metadata(Some(&self.events), within);
        if answers(moment).is_ok() {
            return Ok(());
        }
        waiting();
        let Err(source) = answers(first.saturating_sub(moment)) else { return Ok(()) };
        // What went wrong with each connection waits for whoever looks; what comes first ends the look.
        drop(consumer.poll(LOOK));
        let reason = consumer.context().take().unwrap_or_else(|| source.to_string());
        Err(EdgeError::NoBroker { brokers: self.brokers.clone(), reason })
    }
}

/// The first reason why a connection failed: those behind it say that no broker is left.
#[derive(Default)]
struct Reason(Mutex<Option<String>>);

impl Reason {
    fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Reason {
    /// It is told in the error, once.
    fn log(&self, _: RDKafkaLogLevel, what: &str, message: &str) {
        tracing::debug!("Kafka: {what} {message}");
    }

    fn error(&self, _: KafkaError, reason: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| reason.to_owned());
    }
}

impl ConsumerContext for Reason {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_who_answers_is_told_with_what_to_do() {
        let (moment, first) = (Duration::from_millis(1), Duration::from_millis(50));
        let settings = Settings { brokers: "127.0.0.1:1".into(), ..Settings::nowhere() };
        let mut told = false;
        let refused = settings.reach_within(moment, first, || told = true).unwrap_err().to_string();
        assert!(told, "whoever waits is told what for");
        assert!(refused.starts_with("no Kafka answers at 127.0.0.1:1 ("), "{refused}");
        assert!(refused.contains("fix: start it") && refused.contains("--brokers"), "{refused}");
    }
}
