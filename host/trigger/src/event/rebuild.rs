//! Rebuilding: a component gets every event once more and writes a new generation of its documents, which is served once its
//! consumer has caught up with the served generation's.

use crate::event::EventTrigger;
use capability::documents::Error;
use capability::events;
use capability::events::EventLog;
use capability::generations::{Generation, Refusal, group};
use engine::Loaded;
use registry::Registry;

impl EventTrigger {
    /// Starts to rebuild a component's effects of events; returns the generation that is being built. With `partial` it is also
    /// rebuilt when the log has not all events of its topics any more: then of those that are left.
    ///
    /// # Errors
    /// [`Refusal::Conflict`] with the reason why it can't be rebuilt.
    pub async fn rebuild(
        registry: &Registry,
        log: &dyn EventLog,
        component: &str,
        partial: bool,
    ) -> Result<u64, Refusal> {
        let conflict = |why: &str| Refusal::Conflict(format!("{component} {why}"));
        let loaded = registry.component(component).ok_or_else(|| conflict("is not deployed"))?;
        let shared = registry.engine().shared();
        let collections: Vec<&str> = shared.application.rebuilt(component).collect();
        if loaded.manifest.event.is_empty() || collections.is_empty() {
            return Err(conflict("has nothing that is built from events: no collection is `rebuilt-by` it"));
        }
        let grants = &loaded.manifest.grants;
        if let Some(other) = grants.documents.writable().find(|name| !collections.contains(name)) {
            return Err(conflict(&format!(
                "writes to {other}, too, which would be changed twice; it can't be rebuilt"
            )));
        }
        if grants.mail {
            return Err(conflict("sends mails, which would be sent twice; it can't be rebuilt"));
        }
        let capabilities = &shared.capabilities;
        let unavailable = |error: events::Error| Error::Unavailable(error.to_string());
        if !partial
            && let Some((topic, since)) =
                missing_before(log, &loaded, capabilities.clock.now()).await.map_err(unavailable)?
        {
            let since = bson::DateTime::from_millis(since.cast_signed());
            let since = since.try_to_rfc3339_string().unwrap_or_default();
            return Err(conflict(&format!(
                "would lose what it made of older events: the log has all events of {topic} only from {since} on; \
                 with --partial it is rebuilt from what is left"
            )));
        }
        capabilities.generations.begin(component, &collections, capabilities.clock.now()).await
    }
}

/// Where the log has not all events of a component's topics any more: the topic that goes back the shortest, and the time from
/// which on all of it is there.
async fn missing_before(log: &dyn EventLog, loaded: &Loaded, now: u64) -> Result<Option<(String, u64)>, events::Error> {
    let mut shortest: Option<(String, u64)> = None;
    for trigger in &loaded.manifest.event {
        let topic = &trigger.topic;
        for (partition, (oldest, _)) in (0..).zip(log.bounds(topic).await?) {
            if oldest == 0 {
                continue;
            }
            let first = log.read(topic, partition, oldest, 1).await?;
            let since = first.first().map_or(now, |record| record.event.at);
            if shortest.as_ref().is_none_or(|(_, other)| *other < since) {
                shortest = Some((topic.clone(), since));
            }
        }
    }
    Ok(shortest)
}

/// Serves the generation that a component is building, if that has caught up with the served one.
pub(super) async fn switch(registry: &Registry, log: &dyn EventLog, loaded: &Loaded) -> Result<(), Error> {
    let capabilities = &registry.engine().shared().capabilities;
    let component = &loaded.manifest.component.name;
    let Generation { serving, building: Some(building) } = capabilities.generations.of(component) else {
        return Ok(());
    };
    for trigger in &loaded.manifest.event {
        let committed = async |generation| log.committed(&group(component, generation), &trigger.topic).await;
        // The served offsets are read first, so that they are not newer than those they are compared with.
        let (Ok(served), Ok(built)) = (committed(serving).await, committed(building).await) else { return Ok(()) };
        let behind = |(served, built): (&Option<u64>, &Option<u64>)| match (served, built) {
            (_, None) => true,
            (served, Some(built)) => *built < served.unwrap_or(0),
        };
        if served.iter().zip(&built).any(behind) {
            return Ok(());
        }
    }
    if capabilities.generations.switch(component, building, capabilities.clock.now()).await? {
        tracing::info!(component, generation = building, "a rebuilt generation is served from now on");
    }
    Ok(())
}

/// The lag of a generation: how many events it has not processed yet.
pub async fn left(log: &dyn EventLog, loaded: &Loaded, generation: u64) -> Result<u64, events::Error> {
    let mut left = 0;
    for trigger in &loaded.manifest.event {
        let bounds = log.bounds(&trigger.topic).await?;
        let committed = log.committed(&group(&loaded.manifest.component.name, generation), &trigger.topic).await?;
        let of =
            |((oldest, end), offset): (&(u64, u64), Option<u64>)| end.saturating_sub(offset.unwrap_or(0).max(*oldest));
        left += bounds.iter().zip(committed).map(of).sum::<u64>();
    }
    Ok(left)
}
