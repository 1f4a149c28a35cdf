//! Reports presence to components: who went online or offline, in order for each user, retried until it succeeds.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use capability::sockets::presence::{Change, Changed, Next, Presence};
use engine::{Call, Loaded, PresenceCall};
use registry::{Registry, Served};

/// How many changes are reported at once.
const MAX_CONCURRENT_REPORTS: usize = 32;
/// The wait before the first retry; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// Reports every change until the channel is closed.
pub(super) async fn report_all(registry: Arc<Registry>, presence: Arc<Presence>, mut changed: Changed) {
    let permits = Arc::new(Semaphore::new(MAX_CONCURRENT_REPORTS));
    while let Some(user) = changed.recv().await {
        let (registry, presence, permits) = (registry.clone(), presence.clone(), permits.clone());
        tokio::spawn(async move { report_user(&registry, &presence, &permits, &user).await });
    }
}

/// Reports one user's changes. The pending change is read before each attempt, so that an outdated one is not reported.
async fn report_user(registry: &Arc<Registry>, presence: &Presence, permits: &Semaphore, user: &str) {
    let mut wait = FIRST_WAIT;
    // A change that this host has to report stays so until it is reported, whatever other hosts do meanwhile.
    let mut unreported = None;
    loop {
        let change = match presence.pending(user) {
            Next::Tell(change) => change,
            Next::Release => {
                presence.release(user).await;
                continue;
            }
            Next::Nothing => return,
        };
        let is_unreported = unreported == Some(change.online);
        let reported = if presence.is_of_all_hosts(&change).await || is_unreported {
            unreported = Some(change.online);
            let _permit = permits.acquire().await;
            tell(registry, &change).await
        } else {
            Ok(())
        };
        match reported {
            Ok(()) => {
                presence.told(&change);
                unreported = None;
                wait = FIRST_WAIT;
            }
            Err(why) => {
                tracing::warn!(user, online = change.online, ?wait, "presence is not reported: {why}");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

/// Reports a change to every component with a `[presence]` trigger; the error is that of the first component that fails.
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
        match registry.engine().invoke_for_host(&component, call).await {
            Ok((Ok(()), _)) => {}
            Ok((Err(why), _)) => return Err(format!("{name}: {why}")),
            Err(failure) => return Err(format!("{name}: {failure}")),
        }
    }
    Ok(())
}
