//! Making the topics, and seeing to it that they are there.

use std::collections::HashSet;

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::Consumer,
    error::RDKafkaErrorCode,
};
use tracing::info;

use super::{CALL, EdgeError, Settings};
use crate::rulebook::{Level, WarningBook};

/// Stands for an alert's member in the name of a topic.
const MEMBER: &str = "{member}";

/// Longest batch of a topic, in bytes: Kafka's own default, which has room for the longest record ([`crate::core::RECORD_MAX`])
/// and what a batch puts around it. It is said to each topic, since a broker may have been told less.
const BATCH_MAX: &str = "1048588";

/// What became of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    pub topic: String,
    /// It was there before.
    pub existed: bool,
}

/// Creates the topics that are not there yet. Those that are stay as they are.
pub async fn init(
    settings: &Settings,
    members: &[String],
    partitions: i32,
    replication: i32,
) -> Result<Vec<Created>, EdgeError> {
    let mut names = vec![settings.events.clone()];
    names.extend(settings.alert_topics(members));
    names.push(settings.dead.clone());
    create(settings, &names, partitions, replication).await
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
            Err((topic, code)) => Err(settings.failed(format!("cannot create the topic `{topic}`"))(
                rdkafka::error::KafkaError::AdminOp(code),
            )),
        })
        .collect()
}

impl Settings {
    /// All topics that alerts may go to.
    fn alert_topics(&self, members: &[String]) -> Vec<String> {
        let mut names = vec![self.alerts.clone()];
        let spread = |names: Vec<String>, word: &str, values: &[&str]| -> Vec<String> {
            names
                .iter()
                .flat_map(|name| match name.contains(word) {
                    true => values.iter().map(|value| name.replace(word, value)).collect(),
                    false => vec![name.clone()],
                })
                .collect()
        };
        names = spread(names, "{level}", &Level::ALL.map(|(name, _)| name));
        spread(names, "{member}", &members.iter().map(String::as_str).collect::<Vec<_>>())
    }
}
