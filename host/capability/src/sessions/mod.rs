//! Sessions: JWT + cache + store. They are checked before a component is called, and begin and end in commits.
//!
//! A token has the user and the expiry (RFC 7519, HS256); the session document has whether it was revoked; the cache saves
//! reading that document. The cache never has a token, only its hash, and a log-out leaves a tombstone there that no slow
//! reader can replace: a fill is a set-if-absent.

#[cfg(test)]
mod fuzz;
pub mod hs256;
mod known;
mod rules;
mod token;

use std::sync::Arc;
use std::time::Duration;

use bson::{Bson, doc, oid::ObjectId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use known::KnownTokens;
pub use rules::{SessionFields, SessionRules, SessionUse};
pub use token::{Claims, Keys, Token, has_form_of_token};

use crate::cache::{Cache, Looked, Ttl, may_fill};
use crate::clocks::Clock;
use crate::documents::{Change, Documents, Error as StoreError, Filter, Query, Sort, Write, date};
use crate::pending_invalidations::PendingInvalidations;
use crate::retention::Retention;
use crate::text;
use crate::{deletion, retention};

/// The authenticated user of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user's id.
    pub subject: Arc<str>,
    /// The session's id.
    pub session: Arc<str>,
    /// When the session expires, in seconds since 1970.
    pub expires: u64,
}

/// The cached value of a session that ended.
const TOMBSTONE: &[u8] = b"-";
/// The cached value of a session that is valid.
const LIVING: &[u8] = b"+";
/// The most sessions of one subject that are listed or ended at once.
const MAX_LISTED: u32 = 1_000;

/// Neither the cache nor the store answered whether a session is valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no store can say whether the session lives: {0}")]
pub struct Unavailable(pub String);

/// A session in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Milliseconds since 1970.
    pub created_at: u64,
    /// Milliseconds since 1970.
    pub expires_at: u64,
}

/// Which sessions of a subject end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// This one.
    One(String),
    /// All but this one.
    Others(String),
    /// All.
    All,
}

impl Ending {
    /// Whether this session is one of those that end.
    pub fn covers(&self, session: &str) -> bool {
        match self {
            Ending::One(id) => id == session,
            Ending::Others(id) => id != session,
            Ending::All => true,
        }
    }
}

/// Checks, begins and ends sessions.
pub struct Sessions {
    rules: SessionRules,
    keys: Keys,
    /// Tokens that these keys signed.
    known: KnownTokens,
    cache: Arc<dyn Cache>,
    documents: Arc<dyn Documents>,
    clock: Arc<dyn Clock>,
    /// The invalidations of sessions that the cache does not have yet.
    pending: Arc<PendingInvalidations>,
    /// How long a session is kept after it has expired, so that operators can look into what happened.
    kept: Duration,
}

impl Sessions {
    /// Sessions by these rules, signed with `keys`.
    pub fn new(
        rules: SessionRules,
        keys: Keys,
        cache: Arc<dyn Cache>,
        documents: Arc<dyn Documents>,
        clock: Arc<dyn Clock>,
        pending: Arc<PendingInvalidations>,
    ) -> Self {
        let (known, kept) = (KnownTokens::default(), Retention::default().sessions);
        Self { rules, keys, known, cache, documents, clock, pending, kept }
    }

    /// The same, with sessions that are kept this long after they have expired.
    #[must_use]
    pub fn kept_for(self, kept: Duration) -> Self {
        Self { kept, ..self }
    }

    /// The user of a token; none when it is forged, expired, unknown or its session ended.
    pub async fn check(&self, token: &str) -> Result<Option<Identity>, Unavailable> {
        let now = self.clock.now();
        let Some(known) = self.known.read(token, &self.keys, &self.rules, now) else { return Ok(None) };
        let (claims, key) = (&known.signed.claims, &known.cache_key);
        let mut seen = None;
        // When the cache does not answer or has a pending log-out, the store is read.
        if !self.pending.has_subject(&claims.subject) {
            let looked = match self.cache.look_now(key) {
                Some(looked) => looked,
                None => self.cache.look(key).await,
            };
            match looked {
                Ok(Looked::Value(state)) if state == LIVING => return Ok(Some(known.identity.clone())),
                Ok(Looked::Value(_)) => return Ok(None),
                Ok(Looked::Absent(absence)) => seen = Some(absence),
                Err(_) => {}
            }
        }
        let fields = &self.rules.fields;
        // Only the token that was issued has a cache entry that the end of its session replaces.
        let filter = doc! {
            &fields.id: &claims.id,
            &fields.subject: subject(&claims.subject),
            &fields.hash: &known.hash,
            &fields.revoked: null,
        };
        let living = !self.find(filter, 1).await.map_err(unavailable)?.is_empty();
        if !living {
            return Ok(None);
        }
        let ttl = Ttl::clamped(self.rules.cache_age.min(claims.expires.saturating_sub(now / 1_000))).jittered();
        // A log-out since the look has changed the key, whether or not the cache still has its tombstone.
        if let Some(seen) = seen.filter(|_| may_fill(now, self.clock.now())) {
            let _ = self.cache.fill(key, &seen, Bytes::from_static(LIVING), ttl).await;
        }
        Ok(Some(known.identity.clone()))
    }

    /// A new session: its token, and the write that makes it valid.
    pub fn open(&self, user: &str, claims: &[(String, String)]) -> Result<(Token, Write), StoreError> {
        if let Some((name, _)) = claims.iter().find(|(name, _)| !self.rules.claims.contains(name)) {
            let name = text::quoted(name);
            return Err(StoreError::Invalid(format!(
                "the claim {name} is not the application's; in application.toml: [session] claims = [{name}]"
            )));
        }
        let now = self.clock.now();
        let id = hex::encode(super::random::bytes::<16>());
        let expires = now / 1_000 + self.rules.token_age;
        let token = self
            .keys
            .sign(&self.rules.subject_claim, user, claims, &id, now / 1_000, expires)
            .map_err(StoreError::Invalid)?;
        let fields = &self.rules.fields;
        let document = doc! {
            "_id": ObjectId::new(),
            &fields.id: &id,
            &fields.subject: subject(user),
            &fields.hash: token.hash(),
            &fields.created: date(now),
            &fields.expires: date(expires * 1_000),
        };
        let document = bson::RawDocumentBuf::try_from(&document)
            .map_err(|error| StoreError::Invalid(format!("a session is no document: {error}")))?;
        Ok((token, Write::Insert { collection: self.rules.collection.clone(), document }))
    }

    /// The write that ends sessions.
    pub fn end(&self, user: &str, ending: &Ending) -> Result<Write, StoreError> {
        let fields = &self.rules.fields;
        let mut filter = doc! { &fields.subject: subject(user), &fields.revoked: null };
        match ending {
            Ending::One(id) => _ = filter.insert(&fields.id, id),
            Ending::Others(id) => _ = filter.insert(&fields.id, doc! { "$ne": id }),
            Ending::All => {}
        }
        Ok(Write::Update {
            collection: self.rules.collection.clone(),
            filter: Filter::from_document(&filter)?,
            change: Change::from_document(&doc! { "$set": { &fields.revoked: date(self.clock.now()) } })?,
            upsert: false,
            many: true,
            must_match: false,
        })
    }

    /// After the commit that ended sessions of a subject at `since` or later (milliseconds since 1970): puts a tombstone for
    /// each of them into the cache, until its token expires. The error says why it did not.
    pub async fn bury(&self, user: &str, since: u64) -> Result<(), String> {
        let fields = &self.rules.fields;
        let now = self.clock.now();
        let (mut last, mut buried) = (None, Ok(()));
        loop {
            let mut ended = doc! { &fields.subject: subject(user), &fields.revoked: { "$gte": date(since) } };
            if let Some(last) = last {
                ended.insert("_id", doc! { "$gt": last });
            }
            let some = self.find(ended, MAX_LISTED).await.map_err(|error| error.to_string())?;
            for session in &some {
                let (Ok(hash), Ok(expires)) = (session.get_str(&fields.hash), session.get_datetime(&fields.expires))
                else {
                    continue;
                };
                let left = u64::try_from(expires.timestamp_millis()).unwrap_or(0).saturating_sub(now) / 1_000 + 1;
                let tombstone = Bytes::from_static(TOMBSTONE);
                // The others, too, after one that failed: a cache that takes no writes deletes what it had.
                if let Err(error) = self.cache.set(&self.rules.cache_key_of(hash), tombstone, Ttl::clamped(left)).await
                {
                    buried = Err(error.to_string());
                }
            }
            last = some.last().and_then(|session| session.get_object_id("_id").ok());
            if some.len() < MAX_LISTED as usize || last.is_none() {
                return buried;
            }
        }
    }

    /// The valid sessions of a subject, newest first; of more than [`MAX_LISTED`] the newest.
    pub async fn living(&self, user: &str) -> Result<Vec<Listed>, StoreError> {
        let fields = &self.rules.fields;
        let now = self.clock.now();
        let filter =
            doc! { &fields.subject: subject(user), &fields.revoked: null, &fields.expires: { "$gt": date(now) } };
        let query = Query {
            limit: MAX_LISTED,
            sort: Sort::from_document(&doc! { "_id": -1 })?,
            ..Query::all(&self.rules.collection, Filter::from_document(&filter)?)
        };
        let mut listed: Vec<Listed> = self
            .documents
            .find(query)
            .await?
            .iter()
            .filter_map(|session| {
                let millis = |name: &str| u64::try_from(session.get_datetime(name).ok()?.timestamp_millis()).ok();
                Some(Listed {
                    id: session.get_str(&fields.id).ok()?.to_owned(),
                    created_at: millis(&fields.created)?,
                    expires_at: millis(&fields.expires)?,
                })
            })
            .collect();
        // Ids of one second are in no order.
        listed.sort_by_key(|session| std::cmp::Reverse(session.created_at));
        Ok(listed)
    }

    /// Deletes the sessions that expired longer ago than they are kept, in batches, so that no commit is large; returns how many.
    /// Several hosts may do it at once.
    pub async fn delete_expired(&self) -> Result<u64, StoreError> {
        let expired = retention::before(self.clock.now(), self.kept);
        let (collection, expires) = (&self.rules.collection, &self.rules.fields.expires);
        deletion::delete_older(self.documents.as_ref(), collection, expires, expired).await
    }

    async fn find(&self, filter: bson::Document, limit: u32) -> Result<Vec<bson::RawDocumentBuf>, StoreError> {
        let query = Query { limit, ..Query::all(&self.rules.collection, Filter::from_document(&filter)?) };
        self.documents.find(query).await
    }
}

/// Ids of users are stored as ObjectIds where they parse as one, so that the store can join on them.
fn subject(user: &str) -> Bson {
    ObjectId::parse_str(user).map_or_else(|_| Bson::String(user.to_owned()), Bson::ObjectId)
}

fn unavailable(error: StoreError) -> Unavailable {
    Unavailable(error.to_string())
}
