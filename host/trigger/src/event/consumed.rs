//! Consumed: marks of events that had their effect, so that they have it once.
//!
//! A mark names a component and an event. It is written in the commit of the effect, and deleted when it is older than the log
//! keeps events ([`Retention::marks`](capability::retention::Retention::marks)).

use bson::{RawDocumentBuf, doc};

use capability::deletion;
use capability::documents::{Collection, Documents, Error, Index, Write, date};

/// The collection of the marks. It is the host's, not the application's.
pub const COLLECTION: &str = "host-consumed";
/// The field with a mark's time.
const AT: &str = "at";
/// The variable that turns the marks off, for the test that shows that they are needed.
const NO_MARKS: &str = "DEVCONNECT_TEST_NO_MARKS";

/// Its schema.
pub fn collection() -> Collection {
    let by_time = Index { fields: vec![AT.to_owned()], unique: false, where_exists: Vec::new() };
    Collection { indexes: vec![by_time], ..Collection::default() }
}

/// The writes that mark these events as consumed by a component at the time `now`. A commit with a mark that exists is
/// refused.
///
/// # Errors
/// [`Error::Invalid`] for an id that is not allowed in a document.
pub fn marks<'a>(component: &str, events: impl Iterator<Item = &'a str>, now: u64) -> Result<Vec<Write>, Error> {
    let mark = |event: &str| {
        // Only for that one test: without marks an event may have its effect twice.
        let salt = if without_marks() { hex::encode(capability::random::bytes::<8>()) } else { String::new() };
        let document = doc! { "_id": mark_id(component, event) + &salt, AT: date(now) };
        let document = RawDocumentBuf::try_from(&document).map_err(|error| Error::Invalid(error.to_string()))?;
        Ok(Write::Insert { collection: COLLECTION.to_owned(), document })
    };
    events.map(mark).collect()
}

/// The `_id` of the mark of a component and an event.
pub fn mark_id(component: &str, event: &str) -> String {
    format!("{component}/{event}")
}

fn without_marks() -> bool {
    static SET: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *SET.get_or_init(|| std::env::var_os(NO_MARKS).is_some())
}

/// Deletes the marks from before a time, in milliseconds since 1970; returns how many.
pub async fn delete_old_marks(documents: &dyn Documents, before: u64) -> Result<u64, Error> {
    deletion::delete_older(documents, COLLECTION, AT, before).await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use capability::documents::{Commit, Filter, Schema};
    use capability::retention::{self, Retention};
    use store_sqlite::{Location, Sqlite};

    #[tokio::test]
    async fn marks_are_forgotten_after_their_events_and_not_before() {
        let schema = Schema { collections: BTreeMap::from([(COLLECTION.to_owned(), collection())]) };
        let store = Sqlite::open(Location::Memory, &schema, &BTreeMap::new()).unwrap();
        let (now, week) = (1_768_478_400_000, Retention::default().marks().as_millis() as u64);
        let mark = |event: &str, at| marks("c", std::iter::once(event), at).unwrap().remove(0);
        let old = (0..1_500).map(|number| mark(&format!("old{number}"), now - week - 1));
        let writes = old.chain([mark("new", now - week)]).collect();
        store.commit(Commit { writes, events: Vec::new() }).await.unwrap();
        let before = retention::before(now, Retention::default().marks());
        assert_eq!(delete_old_marks(&store, before).await, Ok(1_500));
        let left = store.count(COLLECTION, Filter::from_document(&doc! {}).unwrap(), 0).await.unwrap();
        assert_eq!(left, 1);
        let twice = Commit { writes: vec![mark("new", now)], events: Vec::new() };
        assert!(matches!(store.commit(twice).await, Err(Error::Duplicate { write: 0, .. })));
    }
}
