//! Documents, and what else is kept: sessions, mails, schedules and the cache.

use bson::{DateTime, Document, RawDocumentBuf, doc};
use bytes::Bytes;
use capability::cache::{HOLD, MAX_RECENT, Ttl, check_length};
use capability::documents::{Commit, Documents, Filter, Query, Write};
use serde::Serialize;
use serde_json::json;

use super::app::{App, SCHEDULES, Wait};
use super::extended_json::Canonical;
use super::protocol::{Answer, Base64, Failure, answer, done};

/// Where mails wait. A collection of the host.
const MAILS: &str = "host-mails";
/// How many documents are put into the store at once.
const AT_ONCE: usize = 100;
/// How many mails are looked at.
const MAX_MAILS: u32 = 1_000;

/// Documents that were found.
#[derive(Serialize)]
struct Found<'a> {
    documents: Vec<Canonical<'a>>,
}

/// A mail that waits to be sent.
#[derive(Serialize)]
struct Mail<'a> {
    to: &'a str,
    subject: &'a str,
    text: &'a str,
    html: Option<&'a str>,
    unsubscribe: Option<&'a str>,
}

impl App {
    /// Puts documents into a collection.
    pub(super) async fn insert(&self, collection: String, documents: Vec<Document>) -> Result<Answer, Failure> {
        insert(self.host.documents.as_ref(), &collection, &documents).await?;
        // As after a commit: what a driver puts there is what components find from here on.
        let shared = self.host.registry.engine().shared();
        for document in &documents {
            let document = RawDocumentBuf::try_from(document).map_err(Failure::refused)?;
            let write = Write::Insert { collection: collection.clone(), document };
            for key in shared.application.stale_by(&write).map_err(Failure::refused)? {
                let hold = Ttl::clamped(HOLD.into());
                shared.capabilities.cache.invalidate(&key, hold).await.map_err(Failure::host)?;
            }
        }
        done()
    }

    /// Documents of a collection, by `_id`.
    pub(super) async fn find(&self, collection: &str, filter: &Document, limit: u32) -> Result<Answer, Failure> {
        let found = self.found(collection, filter, limit).await?;
        answer(&Found { documents: found.iter().map(Canonical).collect() })
    }

    async fn found(&self, collection: &str, filter: &Document, limit: u32) -> Result<Vec<Document>, Failure> {
        let filter = Filter::from_document(filter).map_err(Failure::refused)?;
        let query = Query { limit, ..Query::all(collection, filter) };
        let found = self.host.documents.find(query).await.map_err(Failure::refused)?;
        found.iter().map(|raw| Document::try_from(raw.as_ref()).map_err(Failure::host)).collect()
    }

    /// A session of a user.
    pub(super) async fn log_in(&self, user: &str) -> Result<Answer, Failure> {
        let sessions = &self.host.registry.engine().shared().capabilities.sessions;
        let (token, write) = sessions.open(user, &[]).map_err(Failure::refused)?;
        commit(self.host.documents.as_ref(), vec![write]).await?;
        answer(&json!({ "token": token.reveal() }))
    }

    /// All mails, in the order in which they were caused.
    pub(super) async fn mails(&self) -> Result<Answer, Failure> {
        let rows = self.found(MAILS, &doc! {}, MAX_MAILS).await?;
        let mails = rows.iter().map(|row| {
            let text = |name: &str| row.get_str(name).ok();
            let always = |name: &str| text(name).ok_or_else(|| Failure::host(format!("a mail has no {name}")));
            let (to, subject, body) = (always("to")?, always("subject")?, always("text")?);
            Ok(Mail { to, subject, text: body, html: text("html"), unsubscribe: text("unsubscribe") })
        });
        let mails = mails.collect::<Result<Vec<_>, Failure>>()?;
        answer(&json!({ "mails": mails }))
    }

    /// Waits until a component has done everything that was due at a time of a schedule.
    pub(super) async fn until_ticked(&self, component: &str, cron: &str, at: u64) -> Result<Answer, Failure> {
        let (id, mut wait) = (format!("{component}/{cron}"), Wait::of_millis(5));
        let at = DateTime::from_millis(i64::try_from(at).map_err(Failure::refused)?);
        loop {
            let rows = self.found(SCHEDULES, &doc! { "_id": &id }, 1).await?;
            if rows.iter().any(|row| row.get_datetime("last").is_ok_and(|last| *last >= at)) {
                return done();
            }
            wait.again(|| format!("{id} is not done: {rows:?}")).await?;
        }
    }

    /// What the cache has under a key.
    pub(super) async fn cached(&self, key: &str) -> Result<Answer, Failure> {
        let cache = &self.host.registry.engine().shared().capabilities.cache;
        let value = cache.get(key).await.map_err(Failure::refused)?;
        answer(&json!({ "value": value.map(|value| Base64(value.to_vec())) }))
    }

    /// A list of the cache, the newest first.
    pub(super) async fn recent(&self, key: &str) -> Result<Answer, Failure> {
        let cache = &self.host.registry.engine().shared().capabilities.cache;
        let entries = cache.recent(key, MAX_RECENT).await.map_err(Failure::refused)?;
        let entries = entries.map(|entries| entries.iter().map(|entry| Base64(entry.to_vec())).collect::<Vec<_>>());
        answer(&json!({ "entries": entries }))
    }

    /// Puts a list into the cache, whatever was there.
    pub(super) async fn set_recent(&self, key: &str, entries: Vec<Base64>, seconds: u64) -> Result<Answer, Failure> {
        let cache = &self.host.registry.engine().shared().capabilities.cache;
        let entries: Vec<Bytes> = entries.into_iter().map(|entry| Bytes::from(entry.0)).collect();
        // Before what is there goes.
        check_length(entries.len()).map_err(Failure::refused)?;
        cache.delete(key).await.map_err(Failure::refused)?;
        let filled = cache.fill_recent(key, entries, Ttl::clamped(seconds)).await.map_err(Failure::refused)?;
        if filled { done() } else { Err(Failure::refused(format!("another list came under {key:?} meanwhile"))) }
    }
}

/// Puts documents into a collection, whatever an earlier version may have left in them.
pub(super) async fn insert(store: &dyn Documents, collection: &str, documents: &[Document]) -> Result<(), Failure> {
    for some in documents.chunks(AT_ONCE) {
        let raw = some.iter().map(|document| RawDocumentBuf::try_from(document).map_err(Failure::refused));
        store.adopt(collection, raw.collect::<Result<Vec<_>, _>>()?).await.map_err(Failure::refused)?;
    }
    Ok(())
}

async fn commit(store: &dyn Documents, writes: Vec<Write>) -> Result<(), Failure> {
    let commit = Commit { writes, events: Vec::new() };
    store.commit(commit).await.map(drop).map_err(Failure::refused)
}
