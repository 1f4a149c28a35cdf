//! The topics: made where they are missing, as soon as a broker answers, and again when one is found missing later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::capability::events::{DEAD_LETTERS, Error};

use super::cluster::{Cluster, Lines, PATIENCE, STEP, blocking, unavailable};

/// Between two tries at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Sees to the topics until it is aborted.
pub(super) async fn keep(cluster: Arc<Cluster>) {
    let mut pause = STEP;
    let mut told = false;
    loop {
        match make(&cluster).await {
            Ok(made) => {
                tracing::info!(made, "the topics of Kafka are there");
                cluster.missing.send_replace(None);
                (pause, told) = (STEP, false);
                cluster.lost.notified().await;
            }
            Err(error) => {
                if !told {
                    tracing::warn!(%error, "the topics of Kafka can't be made yet; events wait until they are");
                    told = true;
                }
                cluster.missing.send_replace(Some(format!("the topics can't be made: {error}")));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Makes what is missing and comes back when all of it is there; answers how many were missing.
async fn make(cluster: &Arc<Cluster>) -> Result<usize, Error> {
    let wanted: BTreeMap<String, u32> = cluster
        .topics
        .iter()
        .flat_map(|(name, partitions)| [(name.clone(), *partitions), (format!("{name}{DEAD_LETTERS}"), *partitions)])
        .map(|(name, partitions)| (cluster.topic(&name), partitions))
        .collect();
    let (mut there, mut made, begun) = (known(cluster).await?, 0, Instant::now());
    loop {
        let absent: Vec<(&String, u32)> = wanted
            .iter()
            .filter(|(topic, _)| !there.contains_key(*topic))
            .map(|(topic, partitions)| (topic, *partitions))
            .collect();
        if absent.is_empty() {
            break;
        }
        if made == 0 {
            create(cluster, &absent).await?;
            made = absent.len();
        } else if begun.elapsed() > PATIENCE * 2 {
            return Err(Error::Unavailable("the broker does not know the topics that were made".to_owned()));
        } else {
            tokio::time::sleep(STEP).await;
        }
        there = known(cluster).await?;
    }
    for (topic, partitions) in &wanted {
        if let Some(found) = there.get(topic).filter(|found| *found != partitions) {
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
    let asked = Arc::clone(cluster);
    blocking(move || asked.metadata(None)).await
}

async fn create(cluster: &Cluster, missing: &[(&String, u32)]) -> Result<(), Error> {
    let admin: AdminClient<Lines> = cluster.config().create_with_context(Lines).map_err(unavailable)?;
    let topics: Vec<NewTopic<'_>> = missing
        .iter()
        .map(|(topic, partitions)| {
            // As many copies as the cluster makes by default.
            let copies = TopicReplication::Fixed(-1);
            NewTopic::new(topic, i32::try_from(*partitions).unwrap_or(i32::MAX), copies)
                // What an event says about its time is never a reason to refuse it, nor is its size.
                .set("message.timestamp.type", "CreateTime")
                .set("message.timestamp.after.max.ms", "9223372036854775807")
                .set("max.message.bytes", "1048588")
        })
        .collect();
    let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    let answers = admin.create_topics(&topics, &options).await;
    // It ends its thread, which takes a moment.
    drop(tokio::task::spawn_blocking(move || drop(admin)));
    for answer in answers.map_err(|error: KafkaError| unavailable(error))? {
        match answer {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(Error::Unavailable(format!("`{topic}` can't be made: {code}"))),
        }
    }
    Ok(())
}
