//! Consumed: the marks of events whose effect is done, so that it is done once.
//!
//! A mark names a component and an event. It is written in the commit of the effect and forgotten long after the log
//! would tell the event again.

use std::time::Duration;

use bson::{RawDocumentBuf, doc};

use crate::capability::Capabilities;
use crate::capability::documents::{Collection, Commit, Error, Filter, Index, Write};

/// Where the marks are. A collection of the host's own.
pub(crate) const COLLECTION: &str = "host-consumed";
/// The field with the time of a mark.
const AT: &str = "at";
/// For how long an event may be told again.
const KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Set for the test that shows that the marks are needed.
const OFF: &str = "DEVCONNECT_TEST_NO_MARKS";

/// What the documents' engines make of it.
pub(crate) fn collection() -> Collection {
    let by_time = Index { fields: vec![AT.to_owned()], unique: false, where_exists: Vec::new() };
    Collection { indexes: vec![by_time], ..Collection::default() }
}

/// The writes that mark these events as consumed by a component at the time `now`. Each refuses a commit with a mark that
/// is there already.
///
/// # Errors
/// [`Error::Invalid`] for an id that no document takes.
pub(crate) fn marks<'a>(component: &str, events: impl Iterator<Item = &'a str>, now: u64) -> Result<Vec<Write>, Error> {
    let mark = |event: &str| {
        // Nobody else's test, and never in earnest: without marks an event may have its effect twice.
        let salt = if off() { hex::encode(crate::capability::random::bytes::<8>()) } else { String::new() };
        let document = doc! { "_id": mark_id(component, event) + &salt, AT: time(now) };
        let document = RawDocumentBuf::try_from(&document).map_err(|error| Error::Invalid(error.to_string()))?;
        Ok(Write::Insert { collection: COLLECTION.to_owned(), document })
    };
    events.map(mark).collect()
}

/// The `_id` of the mark of a component and an event.
pub(crate) fn mark_id(component: &str, event: &str) -> String {
    format!("{component}/{event}")
}

fn off() -> bool {
    static SET: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *SET.get_or_init(|| std::env::var_os(OFF).is_some())
}

/// Forgets old marks.
pub(crate) async fn forget_consumed(capabilities: &Capabilities) -> Result<(), Error> {
    let before = capabilities.clock.now().saturating_sub(KEPT.as_millis() as u64);
    let filter = Filter::from_document(&doc! { AT: { "$lt": time(before) } })?;
    let delete = Write::Delete { collection: COLLECTION.to_owned(), filter, many: true, must_match: false };
    capabilities.documents.commit(Commit { writes: vec![delete], events: Vec::new() }).await.map(drop)
}

fn time(millis: u64) -> bson::DateTime {
    bson::DateTime::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}
