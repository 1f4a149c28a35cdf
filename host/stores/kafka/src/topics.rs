//! The topics: created where they are missing, as soon as a broker answers, and again when one is missing later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use capability::events::{DEAD_LETTERS, Error};

use crate::KafkaOptions;
use crate::cluster::{Cluster, LogContext, POLL, TIMEOUT, Topics, blocking, unavailable};

/// How long a broker that answers may take until it knows the topics that it has made: one that has just started, or is busy, has
/// needed more than five seconds.
const MAKING: Duration = Duration::from_secs(30);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Creates missing topics until it is aborted.
pub(super) async fn maintain(cluster: Arc<Cluster>) {
    let (mut pause, mut failures) = (POLL, 0_u32);
    loop {
        match make(&cluster).await {
            Ok(made) => {
                tracing::info!(made, "the topics of Kafka are there");
                cluster.state.send_replace(Topics::Ready);
                (pause, failures) = (POLL, 0);
                cluster.topic_missing.notified().await;
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                // A busy machine may need longer than one timeout to connect.
                if failures == 2 {
                    tracing::warn!(%error, "the topics of Kafka can't be made yet; events wait until they are");
                }
                if failures > 1 || *cluster.state.borrow() != Topics::Opening {
                    cluster.state.send_replace(Topics::Missing(format!("the topics can't be made: {error}")));
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Creates the missing topics and returns when all are known; returns how many were missing.
async fn make(cluster: &Arc<Cluster>) -> Result<usize, Error> {
    let wanted: BTreeMap<String, u32> = cluster
        .topics
        .iter()
        .flat_map(|(name, partitions)| [(name.clone(), *partitions), (format!("{name}{DEAD_LETTERS}"), *partitions)])
        .map(|(name, partitions)| (cluster.topic(&name), partitions))
        .collect();
    let (mut existing, mut made, begun) = (known(cluster).await?, 0, Instant::now());
    loop {
        let absent: Vec<(&String, u32)> = wanted
            .iter()
            .filter(|(topic, _)| !existing.contains_key(*topic))
            .map(|(topic, partitions)| (topic, *partitions))
            .collect();
        if absent.is_empty() {
            break;
        }
        if made == 0 {
            create(cluster, &absent).await?;
            made = absent.len();
        } else if begun.elapsed() > MAKING {
            return Err(Error::Unavailable("the broker does not know the topics that were made".to_owned()));
        } else {
            tokio::time::sleep(POLL).await;
        }
        existing = known(cluster).await?;
    }
    for (topic, partitions) in &wanted {
        if let Some(found) = existing.get(topic).filter(|found| *found != partitions) {
            tracing::warn!(
                topic,
                found,
                partitions,
                "a topic has another number of partitions than the application says"
            );
        }
    }
    Ok(made)
}

/// The topics of the cluster with their numbers of partitions.
async fn known(cluster: &Arc<Cluster>) -> Result<BTreeMap<String, u32>, Error> {
    let cluster = Arc::clone(cluster);
    blocking(move || cluster.metadata(None)).await
}

async fn create(cluster: &Cluster, missing: &[(&String, u32)]) -> Result<(), Error> {
    let admin: AdminClient<LogContext> = cluster.config().create_with_context(LogContext).map_err(unavailable)?;
    let KafkaOptions { retention, dead_letter_retention, .. } = &cluster.options;
    let [events, dead_letters] = [retention, dead_letter_retention].map(|kept| kept.as_millis().to_string());
    let topics: Vec<NewTopic<'_>> = missing
        .iter()
        .map(|(topic, partitions)| {
            let kept = if topic.ends_with(DEAD_LETTERS) { &dead_letters } else { &events };
            // The cluster's default replication factor.
            let replication = TopicReplication::Fixed(-1);
            NewTopic::new(topic, i32::try_from(*partitions).unwrap_or(i32::MAX), replication)
                // No event is refused for its timestamp or its size.
                .set("message.timestamp.type", "CreateTime")
                .set("message.timestamp.after.max.ms", "9223372036854775807")
                .set("max.message.bytes", "1048588")
                .set("retention.ms", kept)
        })
        .collect();
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
    let answers = admin.create_topics(&topics, &options).await;
    // Dropping it joins its thread, which blocks.
    drop(tokio::task::spawn_blocking(move || drop(admin)));
    for answer in answers.map_err(|error: KafkaError| unavailable(error))? {
        match answer {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(Error::Unavailable(format!("`{topic}` can't be made: {code}"))),
        }
    }
    Ok(())
}
