//! Lag: how far each consumer is behind the end of its topics. Touches the event log and the registry.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Operated;
use capability::events::{Error, EventLog};
use capability::generations::{Generation, group};
use registry::Registry;

/// How far a consumer is in a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lag {
    /// The component, with its generation behind it when it was rebuilt (`analytics~1`).
    pub component: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// Everything before this offset is finished; none: it has not begun.
    pub finished: Option<u64>,
    /// The offset of the oldest record.
    pub oldest: u64,
    /// The offset after the newest record.
    pub end: u64,
}

impl Lag {
    /// How many events are not finished.
    pub fn events(&self) -> u64 {
        let Some(finished) = self.finished else { return 0 };
        // A topic that was deleted and made anew has not come as far yet, and nothing of it is known to be finished.
        let finished = if finished > self.end { self.oldest } else { finished.max(self.oldest) };
        self.end.saturating_sub(finished)
    }
}

/// Reads the lag of the consumers.
pub(super) struct Lags {
    log: Arc<dyn EventLog>,
    registry: Arc<Registry>,
}

impl Lags {
    pub(super) fn of(operated: &Operated) -> Self {
        Self { log: operated.events.clone(), registry: operated.registry.clone() }
    }

    /// The lag of every deployed component in every partition.
    pub(super) async fn read(&self) -> Result<Vec<Lag>, Error> {
        let generations = &self.registry.engine().shared().capabilities.generations;
        let (mut all, mut bounds_by_topic) = (Vec::new(), BTreeMap::new());
        for loaded in self.registry.components() {
            let name = &loaded.manifest.component.name;
            let Generation { serving, building } = generations.of(name);
            for generation in [Some(serving), building].into_iter().flatten() {
                let component = group(name, generation);
                for trigger in &loaded.manifest.event {
                    let topic = &trigger.topic;
                    let bounds = match bounds_by_topic.entry(topic.clone()) {
                        Entry::Occupied(entry) => entry.into_mut(),
                        Entry::Vacant(entry) => entry.insert(self.log.bounds(topic).await?),
                    };
                    let committed = self.log.committed(&component, topic).await?;
                    all.extend(of_topic(&component, topic, bounds, committed));
                }
            }
        }
        Ok(all)
    }
}

/// The lag in each partition. In a topic where the group has begun, a partition without a committed offset is one that the topic
/// got later: the group consumes all of it.
fn of_topic<'a>(
    component: &'a str,
    topic: &'a str,
    bounds: &'a [(u64, u64)],
    committed: Vec<Option<u64>>,
) -> impl Iterator<Item = Lag> + 'a {
    let has_begun = committed.iter().any(Option::is_some);
    (0..).zip(bounds.iter().zip(committed)).map(move |(partition, (&(oldest, end), finished))| Lag {
        component: component.to_owned(),
        topic: topic.to_owned(),
        partition,
        finished: finished.or(has_begun.then_some(oldest)),
        oldest,
        end,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(bounds: &[(u64, u64)], committed: Vec<Option<u64>>) -> Vec<u64> {
        of_topic("c", "t", bounds, committed).map(|lag| lag.events()).collect()
    }

    #[test]
    fn lag_is_what_is_there_and_not_finished() {
        assert_eq!(events(&[(0, 7), (0, 7)], vec![Some(3), Some(7)]), [4, 0]);
        assert_eq!(events(&[(0, 7)], vec![None]), [0], "it has not begun, and may begin at the end");
        assert_eq!(events(&[(0, 7), (2, 5)], vec![Some(7), None]), [0, 3], "a partition that came later");
        assert_eq!(events(&[(100, 107)], vec![Some(3)]), [7], "what the log has deleted is not told any more");
        assert_eq!(events(&[(0, 15)], vec![Some(40)]), [15], "a topic that was made anew");
    }
}
