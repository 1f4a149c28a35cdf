//! Sessions that have expired are deleted, and no others; those that live are listed, the newest of very many.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::path::Path;
use std::sync::Arc;

use bson::doc;
use capability::cache::InProcess;
use capability::clocks::Manual;
use capability::documents::{Commit, Documents as _, Filter};
use capability::pending_invalidations::PendingInvalidations;
use capability::sessions::{Ending, Keys, Sessions};
use manifest::Application;
use store_sqlite::{Location, Sqlite};

const USER: &str = "6b0656747f186650d975ce8d";
/// A day in milliseconds.
const DAY: u64 = 86_400_000;

struct Site {
    store: Arc<Sqlite>,
    sessions: Sessions,
    clock: Arc<Manual>,
}

fn site() -> Site {
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("components");
    let application = Application::read(&components).unwrap();
    let (schema, topics) = (application.schema(capability::collections()), application.partitions());
    let store = Arc::new(Sqlite::open(Location::Memory, &schema, &topics).unwrap());
    let clock = Arc::new(Manual::at(1_768_478_400_000));
    let keys = Keys::new(b"a secret that is long enough to sign with");
    let (cache, pending) = (Arc::new(InProcess::new(clock.clone())), Arc::new(PendingInvalidations::default()));
    let sessions = Sessions::new(application.session, keys, cache, store.clone(), clock.clone(), pending);
    Site { store, sessions, clock }
}

impl Site {
    /// So many more sessions; the token of the last one.
    async fn open(&self, count: usize) -> String {
        let opened: Vec<_> = (0..count).map(|_| self.sessions.open(USER, &[]).unwrap()).collect();
        let token = opened.last().unwrap().0.reveal().to_owned();
        let writes = opened.into_iter().map(|(_, write)| write).collect();
        self.store.commit(Commit { writes, events: Vec::new() }).await.unwrap();
        token
    }

    async fn left(&self) -> u64 {
        self.store.count("sessions", Filter::from_document(&doc! {}).unwrap(), 0).await.unwrap()
    }
}

/// Attack (52): log-ins without end, to fill the database with sessions. Outcome: each is deleted a day after it expired.
#[tokio::test]
async fn a_session_is_deleted_a_day_after_it_has_expired_and_not_before() {
    let site = site();
    site.open(1_234).await;
    site.clock.advance(DAY);
    let token = site.open(3).await;
    // What was ended goes with the others.
    let end = site.sessions.end(USER, &Ending::All).unwrap();
    assert_eq!(site.sessions.delete_expired().await, Ok(0), "none of them has expired");
    site.store.commit(Commit { writes: vec![end], events: Vec::new() }).await.unwrap();
    let living = site.open(2).await;
    // The first ones expired a day ago, to the millisecond: a token is good for seven days.
    site.clock.advance(7 * DAY);
    assert_eq!((site.sessions.delete_expired().await, site.left().await), (Ok(0), 1_239));
    site.clock.advance(1);
    assert_eq!((site.sessions.delete_expired().await, site.left().await), (Ok(1_234), 5), "in more than one batch");
    for token in [token, living] {
        assert_eq!(site.sessions.check(&token).await, Ok(None), "what is expired stays so");
    }
    site.clock.advance(DAY);
    assert_eq!((site.sessions.delete_expired().await, site.left().await), (Ok(5), 0));
    let token = site.open(1).await;
    assert_eq!(site.sessions.delete_expired().await, Ok(0));
    assert!(site.sessions.check(&token).await.unwrap().is_some(), "who logs in now is not touched");
}

/// However many a member has had, those that count are listed.
#[tokio::test]
async fn the_newest_that_live_are_listed_whatever_has_expired() {
    let site = site();
    site.open(1_234).await;
    site.clock.advance(6 * DAY);
    site.open(3).await;
    let listed = site.sessions.living(USER).await.unwrap();
    assert_eq!(listed.len(), 1_000);
    let newest = listed[0].created_at;
    assert!(listed[..3].iter().all(|session| session.created_at == newest) && listed[3].created_at == newest - 6 * DAY);
    site.clock.advance(DAY);
    let listed = site.sessions.living(USER).await.unwrap();
    assert_eq!(listed.iter().map(|session| session.created_at).collect::<Vec<_>>(), [newest; 3]);
    let one = Ending::One(listed[1].id.clone());
    let end = site.sessions.end(USER, &one).unwrap();
    site.store.commit(Commit { writes: vec![end], events: Vec::new() }).await.unwrap();
    let left: Vec<String> = site.sessions.living(USER).await.unwrap().into_iter().map(|session| session.id).collect();
    assert_eq!(left, [listed[0].id.clone(), listed[2].id.clone()]);
    assert_eq!(site.sessions.living("6b0656747f186650d975ce8e").await.unwrap(), [], "another member's");
}
