//! Telling components who came and who went: in order for each user, and again until they know.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::capability::sockets::presence::{Change, Changed, Next, Presence};
use crate::engine::{Call, Loaded, PresenceCall};
use crate::registry::{Registry, Served};

/// Changes that are told at once.
const AT_ONCE: usize = 32;
/// The first wait before a change is told again; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// Tells every change, until there can be no more.
pub(super) async fn tell_all(registry: Arc<Registry>, presence: Arc<Presence>, mut changed: Changed) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(user) = changed.recv().await {
        let (registry, presence, places) = (registry.clone(), presence.clone(), places.clone());
        tokio::spawn(async move { tell_of(&registry, &presence, &places, &user).await });
    }
}

/// One user: what is pending is looked at anew each time, so that only what still holds is told.
async fn tell_of(registry: &Arc<Registry>, presence: &Presence, places: &Semaphore, user: &str) {
    let mut wait = FIRST_WAIT;
    // A change that was this host's to tell stays so until it is told, whoever comes meanwhile.
    let mut owed = None;
    loop {
        let change = match presence.pending(user) {
            Next::Tell(change) => change,
            Next::Release => {
                presence.release(user).await;
                continue;
            }
            Next::Nothing => return,
        };
        let is_owed = owed == Some(change.online);
        let told = if presence.is_of_all_hosts(&change).await || is_owed {
            owed = Some(change.online);
            let _place = places.acquire().await;
            tell(registry, &change).await
        } else {
            Ok(())
        };
        match told {
            Ok(()) => {
                presence.told(&change);
                owed = None;
                wait = FIRST_WAIT;
            }
            Err(why) => {
                tracing::warn!(user, online = change.online, ?wait, "presence is not told: {why}");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

/// Tells a change to every component with a `[presence]` trigger; the error is the first one's that was not told.
pub async fn tell(registry: &Arc<Registry>, change: &Change) -> Result<(), String> {
    let picked = |served: &Served| served.pick(&change.user).clone();
    let components: Vec<Arc<Loaded>> = registry.routes().presence().iter().map(picked).collect();
    for component in components {
        let id = Call::new_id();
        let call = PresenceCall {
            call: Call { id, identity: None, socket: None },
            user: change.user.clone(),
            online: change.online,
            socket: change.socket.clone(),
        };
        let name = &component.manifest.component.name;
        match registry.engine().invoke(&component, call).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return Err(format!("{name}: {why}")),
            Err(failure) => return Err(format!("{name}: {failure}")),
        }
    }
    Ok(())
}
