//! Lag: how far each consumer is behind the end of its topics.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::capability::events::{Error, EventLog};
use crate::capability::generations::{Generation, group};
use crate::host::Host;
use crate::registry::Registry;

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

/// Where it is looked for.
pub(super) struct Lags {
    log: Arc<dyn EventLog>,
    registry: Arc<Registry>,
}

impl Lags {
    pub(super) fn of(host: &Host) -> Self {
        Self { log: host.events.clone(), registry: host.registry.clone() }
    }

    /// Of every component that is deployed, in every partition.
    pub(super) async fn look(&self) -> Result<Vec<Lag>, Error> {
        let generations = &self.registry.engine().shared().capabilities.generations;
        let (mut all, mut known) = (Vec::new(), BTreeMap::new());
        for loaded in self.registry.components() {
            let name = &loaded.manifest.component.name;
            let Generation { serving, building } = generations.of(name);
            for told in [Some(serving), building].into_iter().flatten() {
                let component = group(name, told);
                for trigger in &loaded.manifest.event {
                    let topic = &trigger.topic;
                    let ends = match known.entry(topic.clone()) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(unknown) => unknown.insert(self.log.ends(topic).await?),
                    };
                    let finished = self.log.committed(&component, topic).await?;
                    all.extend(of_topic(&component, topic, ends, finished));
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
    finished: Vec<Option<u64>>,
) -> impl Iterator<Item = Lag> + 'a {
    (0..).zip(ends.iter().zip(finished)).map(move |(partition, (&end, finished))| Lag {
        component: component.to_owned(),
        topic: topic.to_owned(),
        partition,
        finished,
        end,
    })
}
