//! Rebuilding: a component is told everything once more, into documents of its own, and those are read when they have come as
//! far as the ones that are read now.

use super::EventTrigger;
use crate::capability::documents::Error;
use crate::capability::events::{self, EventLog};
use crate::capability::generations::{Generation, Refusal, group};
use crate::engine::Loaded;
use crate::registry::Registry;

impl EventTrigger {
    /// Begins to rebuild what a component makes of events; answers the generation that is being built.
    ///
    /// # Errors
    /// [`Refusal::Conflict`] with what is in the way.
    pub async fn rebuild(registry: &Registry, component: &str) -> Result<u64, Refusal> {
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
        capabilities.generations.begin(component, &collections, capabilities.clock.now()).await
    }
}

/// Switches to the generation that a component is building, if it has come as far as the one that is read.
pub(super) async fn switch(registry: &Registry, log: &dyn EventLog, loaded: &Loaded) -> Result<(), Error> {
    let capabilities = &registry.engine().shared().capabilities;
    let component = &loaded.manifest.component.name;
    let Generation { serving, building: Some(building) } = capabilities.generations.of(component) else {
        return Ok(());
    };
    for trigger in &loaded.manifest.event {
        let far = async |generation| log.committed(&group(component, generation), &trigger.topic).await;
        // In this order, so that what is compared with is not ahead of what is read.
        let (Ok(read), Ok(built)) = (far(serving).await, far(building).await) else { return Ok(()) };
        let behind = |(read, built): (&Option<u64>, &Option<u64>)| match (read, built) {
            (_, None) => true,
            (read, Some(built)) => *built < read.unwrap_or(0),
        };
        if read.iter().zip(&built).any(behind) {
            return Ok(());
        }
    }
    if capabilities.generations.switch(component, building, capabilities.clock.now()).await? {
        tracing::info!(component, generation = building, "what was rebuilt is read from now on");
    }
    Ok(())
}

/// How many events a generation has still to be told.
pub async fn left(log: &dyn EventLog, loaded: &Loaded, generation: u64) -> Result<u64, events::Error> {
    let mut left = 0;
    for trigger in &loaded.manifest.event {
        let ends = log.ends(&trigger.topic).await?;
        let finished = log.committed(&group(&loaded.manifest.component.name, generation), &trigger.topic).await?;
        left += ends.iter().zip(finished).map(|(end, done)| end.saturating_sub(done.unwrap_or(0))).sum::<u64>();
    }
    Ok(left)
}
