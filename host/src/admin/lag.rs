//! Lag: how far each consumer is behind the end of its topics.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::capability::events::{Error, EventLog};
use crate::capability::generations::{Generation, group};
use crate::host::Host;
use crate::registry::Registry;

/// How far a consumer is in a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
        let mut all = Vec::new();
        for loaded in self.registry.components() {
            let name = &loaded.manifest.component.name;
            let Generation { serving, building } = generations.of(name);
            for told in [Some(serving), building].into_iter().flatten() {
                let component = group(name, told);
                for trigger in &loaded.manifest.event {
                    all.extend(self.of_topic(&component, &trigger.topic).await?);
                }
            }
        }
        Ok(all)
    }

    async fn of_topic(&self, component: &str, topic: &str) -> Result<Vec<Lag>, Error> {
        let (ends, finished) = (self.log.ends(topic).await?, self.log.committed(component, topic).await?);
        let places = (0..).zip(ends.into_iter().zip(finished));
        let lag = |(partition, (end, finished))| Lag {
            component: component.to_owned(),
            topic: topic.to_owned(),
            partition,
            finished,
            end,
        };
        Ok(places.map(lag).collect())
    }
}
