//! Making the topics, and seeing to it that they are there.

use std::{collections::HashSet, time::Duration};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    consumer::Consumer,
    error::{KafkaError, RDKafkaErrorCode},
};
use tracing::{info, warn};

use super::{CALL, EdgeError, Settings};
use crate::rulebook::{Level, WarningBook};

/// Stands for an alert's member in the name of a topic.
const MEMBER: &str = "{member}";

/// Longest batch of a topic, in bytes: Kafka's own default, which has room for the longest record ([`crate::core::RECORD_MAX`])
/// and what a batch puts around it. It is said to each topic, since a broker may have been told less.
const BATCH_MAX: &str = "1048588";

/// When an event came is what the log says, not its sender: a clock that is wrong somewhere neither lets events of the future
/// in nor hides history from a new window. (Kafka believes senders unless it is told; before version 4 whatever they say.)
const TIMESTAMPS: (&str, &str) = ("message.timestamp.type", "LogAppendTime");

/// What became of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    pub topic: String,
    /// It was there before.
    pub existed: bool,
}

/// Creates the topics that are not there yet. Those that are stay as they are. Events are kept for so long, or, if nothing is said,
/// for ever: Kafka's own seven days would cut what new windows are filled from, and what a lost state is rebuilt from.
pub async fn init(
    settings: &Settings,
    members: &[String],
    partitions: i32,
    replication: i32,
    retention: Option<Duration>,
) -> Result<Vec<Created>, EdgeError> {
    let mut names = alert_topics(&settings.alerts, members)?;
    names.push(settings.dead.clone());
    let kept_ms = retention_ms(retention);
    let (events, config) = ([settings.events.clone()], [("retention.ms", kept_ms.as_str()), TIMESTAMPS]);
    let mut created = make(settings, &events, partitions, replication, &config).await?;
    created.extend(create(settings, &names, partitions, replication).await?);
    Ok(created)
}

/// As Kafka is told; None: for ever.
fn retention_ms(retention: Option<Duration>) -> String {
    retention.map_or("-1".into(), |span| i64::try_from(span.as_millis()).unwrap_or(i64::MAX).to_string())
}

/// As [`init`], these topics.
pub async fn create(
    settings: &Settings,
    names: &[String],
    partitions: i32,
    replication: i32,
) -> Result<Vec<Created>, EdgeError> {
    make(settings, names, partitions, replication, &[]).await
}

/// As [`create`], topics of which the last record of each key is kept, for ever.
pub async fn create_compacted(
    settings: &Settings,
    names: &[String],
    partitions: i32,
    replication: i32,
) -> Result<Vec<Created>, EdgeError> {
    // Only segments that are closed are compacted; a beat a second would fill one for a week.
    let compacted = [("cleanup.policy", "compact"), ("segment.ms", "3600000")];
    make(settings, names, partitions, replication, &compacted).await
}

async fn make(
    settings: &Settings,
    names: &[String],
    partitions: i32,
    replication: i32,
    config: &[(&str, &str)],
) -> Result<Vec<Created>, EdgeError> {
    let admin: AdminClient<DefaultClientContext> =
        settings.client().create().map_err(settings.failed("cannot make a client"))?;
    let topics: Vec<NewTopic<'_>> = names
        .iter()
        .map(|name| {
            let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replication));
            let topic = topic.set("max.message.bytes", BATCH_MAX);
            config.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        })
        .collect();
    let options = AdminOptions::new().request_timeout(Some(CALL)).operation_timeout(Some(CALL));
    let results =
        admin.create_topics(&topics, &options).await.map_err(settings.failed("cannot create the topics"))?;
    results
        .into_iter()
        .map(|result| match result {
            Ok(topic) => Ok(Created { topic, existed: false }),
            Err((topic, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(Created { topic, existed: true }),
            Err((topic, code)) => {
                Err(settings.failed(format!("cannot create the topic `{topic}`"))(KafkaError::AdminOp(code)))
            }
        })
        .collect()
}

/// All topics that alerts may go to.
fn alert_topics(name: &str, members: &[String]) -> Result<Vec<String>, EdgeError> {
    if name.contains(MEMBER) && members.is_empty() {
        return Err(EdgeError::NoMembers(name.to_owned()));
    }
    let spread = |names: Vec<String>, word: &str, values: &[&str]| -> Vec<String> {
        names
            .iter()
            .flat_map(|name| match name.contains(word) {
                true => values.iter().map(|value| name.replace(word, value)).collect(),
                false => vec![name.clone()],
            })
            .collect()
    };
    let names = spread(vec![name.to_owned()], "{level}", &Level::ALL.map(|(name, _)| name));
    Ok(spread(names, MEMBER, &members.iter().map(String::as_str).collect::<Vec<_>>()))
}

impl Settings {
    /// Says so if when events came is what their senders say.
    pub(super) fn check_timestamps(&self) {
        let (name, wanted) = TIMESTAMPS;
        let Self { events: topic, brokers, .. } = self;
        match self.of_events(name) {
            Ok(Some(found)) if found != wanted => warn!(
                topic,
                "{name} of the topic of events is {found}: when an event came is what its sender's clock says, and one that is \
                 wrong lets events of the future in, or hides history from new windows\n    \
                 fix: kafka-configs.sh --bootstrap-server {brokers} --alter --topic {topic} --add-config {name}={wanted}"
            ),
            Ok(_) => {}
            // Who may read and write events need not be allowed to ask this.
            Err(e) => info!(topic, "whether {name} of the topic of events is {wanted} is not known: {e}"),
        }
    }

    /// A setting of the topic of events; None: it has none of that name.
    fn of_events(&self, name: &str) -> Result<Option<String>, EdgeError> {
        let failed = || self.failed("cannot ask for the settings of the topic of events");
        let admin: AdminClient<DefaultClientContext> =
            self.client().create().map_err(self.failed("cannot make a client"))?;
        let (topic, options) =
            ([ResourceSpecifier::Topic(&self.events)], AdminOptions::new().request_timeout(Some(CALL)));
        let told = futures::executor::block_on(admin.describe_configs(&topic, &options)).map_err(failed())?;
        match told.into_iter().next() {
            None => Ok(None),
            Some(Ok(config)) => Ok(config.get(name).and_then(|entry| entry.value.clone())),
            Some(Err(code)) => Err(failed()(KafkaError::AdminOp(code))),
        }
    }

    /// Sees to it that whatever a rulebook's alerts and dead letters go to is there: one that is not would stop a partition for
    /// ever, and all members' alerts with it. A rulebook may bring members that are new: their topics are made, as the
    /// topic of events is. All else is made by `tarim warn init`.
    pub(super) fn ensure_topics(&self, book: &WarningBook) -> Result<(), EdgeError> {
        let alerts = alert_topics(&self.alerts, book.members())?;
        let consumer = self.consumer()?;
        let metadata =
            consumer.fetch_metadata(None, CALL).map_err(self.failed("cannot ask for the topics"))?;
        let there: HashSet<&str> = metadata.topics().iter().map(|topic| topic.name()).collect();
        let missing = |name: &&String| !there.contains(name.as_str());
        if let Some(name) = [&self.dead].into_iter().find(missing) {
            return Err(EdgeError::NoTopic(name.clone()));
        }
        let names: Vec<String> = alerts.iter().filter(missing).cloned().collect();
        // That there is none at all means that nobody has made them, or that another name is meant.
        if names.is_empty() || !self.alerts.contains(MEMBER) || names.len() == alerts.len() {
            return names.into_iter().next().map_or(Ok(()), |name| Err(EdgeError::NoTopic(name)));
        }
        let events = metadata.topics().iter().find(|topic| topic.name() == self.events);
        let events = events.map(|topic| topic.partitions()).filter(|partitions| !partitions.is_empty());
        let events = events.ok_or_else(|| EdgeError::NoTopic(self.events.clone()))?;
        let (partitions, replication) = (events.len() as i32, events[0].replicas().len() as i32);
        info!(topics = names.join(", "), partitions, replication, "topics of members that are new");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| EdgeError::Runtime { source })?;
        // Several partitions may ask for the same ones: whoever is second finds them there.
        runtime.block_on(create(self, &names, partitions, replication)).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(alerts: &str, members: &[&str]) -> Result<Vec<String>, EdgeError> {
        alert_topics(alerts, &members.iter().map(|m| (*m).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn alerts_have_a_topic_for_each_level_and_member() {
        assert_eq!(topics("a", &[]).unwrap(), ["a"]);
        assert_eq!(topics("a", &["001"]).unwrap(), ["a"]);
        assert_eq!(topics("a.{member}", &["001", "002"]).unwrap(), ["a.001", "a.002"]);
        assert_eq!(topics("{level}", &[]).unwrap(), ["blue", "yellow", "orange", "red"]);
        assert_eq!(topics("{level}.{member}", &["001", "002"]).unwrap().len(), 8);
    }

    #[test]
    fn events_are_kept_for_ever_if_nothing_is_said() {
        assert_eq!(retention_ms(None), "-1");
        assert_eq!(retention_ms(Some(Duration::from_secs(86_400))), "86400000");
        assert_eq!(retention_ms(Some(Duration::MAX)), i64::MAX.to_string());
    }

    #[test]
    fn without_members_no_topic_can_be_theirs() {
        let refused = topics("a.{member}", &[]).unwrap_err().to_string();
        assert!(refused.contains("`a.{member}`") && refused.contains("members/"), "{refused}");
    }
}
