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
    /// The offset after the newest record.
    pub end: u64,
}

impl Lag {
    /// How many events are not finished.
    pub fn events(&self) -> u64 {
        self.finished.map_or(0, |finished| self.end.saturating_sub(finished))
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
        let (mut all, mut ends_by_topic) = (Vec::new(), BTreeMap::new());
        for loaded in self.registry.components() {
            let name = &loaded.manifest.component.name;
            let Generation { serving, building } = generations.of(name);
            for generation in [Some(serving), building].into_iter().flatten() {
                let component = group(name, generation);
                for trigger in &loaded.manifest.event {
                    let topic = &trigger.topic;
                    let ends = match ends_by_topic.entry(topic.clone()) {
                        Entry::Occupied(entry) => entry.into_mut(),
                        Entry::Vacant(entry) => entry.insert(self.log.end_offsets(topic).await?),
                    };
                    let committed = self.log.committed(&component, topic).await?;
                    all.extend(of_topic(&component, topic, ends, committed));
                }
            }
        }
        Ok(all)
    }
}

fn of_topic<'a>(
    component: &'a str,
    topic: &'a str,
    ends: &'a [u64],
    committed: Vec<Option<u64>>,
) -> impl Iterator<Item = Lag> + 'a {
    (0..).zip(ends.iter().zip(committed)).map(move |(partition, (&end, finished))| Lag {
        component: component.to_owned(),
        topic: topic.to_owned(),
        partition,
        finished,
        end,
    })
}
