//! Native twins: what the host does for a route of a component, done by the bench's own code in the same server.
//!
//! A twin checks the session as the trigger does, asks cache and documents what the component asks, and writes the same members
//! as JSON. It checks no grant and computes nothing: the ranked one reads what the ranked feed reads and scores nobody. What a
//! component's route takes beyond it is the sandbox and the component's own work.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use bson::{Bson, Document, RawDocumentBuf, doc, oid::ObjectId};
use bytes::Bytes;
use capability::documents::{Filter, MAX_LIMIT, Projection, Query, Sort};
use engine::Shared;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use http_body_util::{Either, Full};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use trigger::http::Body;

use crate::members::pair;

/// What stands before the path of a route to call its twin.
pub(crate) const PREFIX: &str = "/native";

/// What others see of a user.
const SAFE: [&str; 10] =
    ["_id", "firstName", "lastName", "photoUrl", "age", "gender", "about", "skills", "isPremium", "membershipTier"];
/// Members on a page of the feed, and those that the ranked feed reads.
const PAGE: u32 = 10;
const POOL: u32 = 1_000;
/// Messages of a history.
const MESSAGES: u32 = 50;

/// The twins of one host.
pub(crate) struct Twins {
    shared: Arc<Shared>,
}

/// A message in the cache of recent ones.
#[derive(Deserialize)]
struct Recent {
    shown: Box<RawValue>,
}

/// The cached number of users whose id is below this one.
#[derive(Deserialize)]
struct Headcount {
    below: String,
    count: u64,
}

impl Twins {
    /// Of the host that shares this.
    pub(crate) fn of(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The response to a request at a path with the prefix.
    pub(crate) async fn respond(&self, uri: &Uri, headers: &HeaderMap) -> Response<Body> {
        let (status, body) = match self.answer(uri, headers).await {
            Ok(Some(body)) => (StatusCode::OK, body),
            Ok(None) => (StatusCode::UNAUTHORIZED, Bytes::from_static(b"Please login")),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, Bytes::from(format!("{error:#}"))),
        };
        let mut response = Response::new(Either::Left(Full::new(body)));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    /// None without a session.
    async fn answer(&self, uri: &Uri, headers: &HeaderMap) -> anyhow::Result<Option<Bytes>> {
        let cookie = headers.get(header::COOKIE).and_then(|cookie| cookie.to_str().ok()?.strip_prefix("token="));
        let Some(token) = cookie else { return Ok(None) };
        let Some(identity) = self.shared.capabilities.sessions.check(token).await? else { return Ok(None) };
        let me = ObjectId::parse_str(&identity.subject)?;
        let path = uri.path().strip_prefix(PREFIX).unwrap_or_default();
        let answered = match path.split('/').collect::<Vec<_>>().as_slice() {
            ["", "profile", "view"] => self.profile(me).await,
            ["", "user", "connections"] => self.connections(me).await,
            ["", "chat", other, "history"] => self.history(me, ObjectId::parse_str(other)?).await,
            ["", "feed"] if uri.query().is_some_and(|query| query.contains("ml=true")) => self.ranked(me).await,
            ["", "feed"] => self.feed(me).await,
            _ => anyhow::bail!("{path} has no twin"),
        };
        answered.map(Some)
    }

    async fn profile(&self, me: ObjectId) -> anyhow::Result<Bytes> {
        // The component's entry; the twin fills none.
        if let Ok(Some(body)) = self.shared.capabilities.cache.get(&format!("user:{me}")).await {
            return Ok(body);
        }
        let found = self.find("users", doc! { "_id": me }, doc! {}, Projection::all().without("password"), 1).await?;
        let user = found.first().context("the user is gone")?;
        Ok(Bytes::from(object(&Document::try_from(user)?).to_string()))
    }

    async fn connections(&self, me: ObjectId) -> anyhow::Result<Bytes> {
        let either = doc! { "$or": [
            { "toUserId": me, "status": "accepted" },
            { "fromUserId": me, "status": "accepted" },
        ] };
        let wanted = Projection::from_document(&doc! { "fromUserId": 1, "toUserId": 1, "updatedAt": 1 })?;
        let accepted = self.find("connectionrequests", either, doc! {}, wanted.at_most(4 << 10), MAX_LIMIT).await?;
        let mut others = Vec::with_capacity(accepted.len());
        for request in &accepted {
            let sides = ["fromUserId", "toUserId"].map(|side| request.get_object_id(side));
            others.extend(sides.into_iter().flatten().filter(|id| *id != me));
        }
        let users = self.users(&others, 32 << 10).await?;
        let shown: Vec<&Value> = others.iter().filter_map(|id| users.get(id)).collect();
        body(&json!({ "message": "Connections fetched successfully", "data": shown }))
    }

    async fn history(&self, me: ObjectId, other: ObjectId) -> anyhow::Result<Bytes> {
        let pair = pair(me, other);
        let conversation = self.find("conversations", doc! { "_id": &pair }, doc! {}, Projection::all(), 1).await?;
        ensure!(!conversation.is_empty(), "the pair has no conversation");
        if let Ok(Some(list)) = self.shared.capabilities.cache.recent(&format!("recent:{pair}"), MESSAGES).await {
            let entries: Vec<Recent> =
                list.iter().rev().map(|entry| serde_json::from_slice(entry)).collect::<Result<_, _>>()?;
            let shown: Vec<&RawValue> = entries.iter().map(|entry| &*entry.shown).collect();
            return Ok(Bytes::from(format!("{{\"data\":{}}}", serde_json::to_string(&shown)?)));
        }
        let order = doc! { "ts": -1, "seq": -1, "_id": -1 };
        let found = self.find("messages", doc! { "pair": &pair }, order, Projection::all(), MESSAGES).await?;
        let shown: Vec<Value> = found.iter().rev().map(value).collect::<anyhow::Result<_>>()?;
        body(&json!({ "data": shown }))
    }

    async fn feed(&self, me: ObjectId) -> anyhow::Result<Bytes> {
        let left_out = self.left_out(me).await?;
        let available = doc! { "_id": { "$gte": ObjectId::from_bytes([0; 12]), "$nin": &left_out } };
        let safe = safe_fields()?.at_most(24 << 10);
        let found = self.find("users", available, doc! { "_id": 1 }, safe, PAGE + 1).await?;
        let more = found.len() > PAGE as usize;
        let total = if more { self.count_users(&left_out).await? } else { found.len() as u64 };
        let shown: Vec<Value> = found.iter().take(PAGE as usize).map(value).collect::<anyhow::Result<_>>()?;
        let about = json!({ "totalAvailable": total, "returned": shown.len(), "page": 1, "hasMore": more });
        body(&json!({ "data": shown, "recommendations": about }))
    }

    async fn ranked(&self, me: ObjectId) -> anyhow::Result<Bytes> {
        let left_out = self.left_out(me).await?;
        let available = doc! { "_id": { "$gte": ObjectId::from_bytes([0; 12]), "$nin": &left_out } };
        let wanted = Projection::from_document(&doc! { "skills": 1, "age": 1 })?.at_most(8 << 10);
        let pool = self.find("users", available, doc! { "_id": -1 }, wanted, POOL).await?;
        let total = if pool.len() < POOL as usize { pool.len() as u64 } else { self.count_users(&left_out).await? };
        let chosen: Vec<ObjectId> =
            pool.iter().take(PAGE as usize).filter_map(|user| user.get_object_id("_id").ok()).collect();
        let users = self.users(&chosen, 24 << 10).await?;
        let shown: Vec<&Value> = chosen.iter().filter_map(|id| users.get(id)).collect();
        let about = json!({ "totalAvailable": total, "mlProcessed": pool.len(), "returned": shown.len(), "page": 1 });
        body(&json!({ "data": shown, "recommendations": about }))
    }

    /// The member, read as the feed reads it, and those with whom a request exists.
    async fn left_out(&self, me: ObjectId) -> anyhow::Result<Vec<ObjectId>> {
        let wanted = Projection::from_document(&doc! { "membershipTier": 1, "skills": 1, "age": 1 })?;
        let caller = self.find("users", doc! { "_id": me }, doc! {}, wanted, 1).await?;
        ensure!(!caller.is_empty(), "the user is gone");
        let mut left_out = vec![me];
        for (own, other) in [("fromUserId", "toUserId"), ("toUserId", "fromUserId")] {
            let filter = doc! { own: me, other: { "$gte": ObjectId::from_bytes([0; 12]) } };
            let wanted = Projection::from_document(&doc! { "_id": 0, other: 1 })?.at_most(1 << 10);
            let found = self.find("connectionrequests", filter, doc! { other: 1 }, wanted, MAX_LIMIT).await?;
            left_out.extend(found.iter().filter_map(|request| request.get_object_id(other).ok()));
        }
        left_out.sort_unstable();
        Ok(left_out)
    }

    async fn count_users(&self, left_out: &[ObjectId]) -> anyhow::Result<u64> {
        let capabilities = &self.shared.capabilities;
        let gone = Filter::from_document(&doc! { "_id": { "$in": left_out } })?;
        let gone = capabilities.documents.count("users", gone, 0).await?;
        let cached = capabilities.cache.get("feed:headcount").await?;
        let settled = cached.and_then(|cached| serde_json::from_slice::<Headcount>(&cached).ok());
        let (below, settled) = match settled {
            Some(Headcount { below, count }) => (ObjectId::parse_str(below)?, count),
            None => (ObjectId::from_bytes([0; 12]), 0),
        };
        let since = Filter::from_document(&doc! { "_id": { "$gte": below } })?;
        let since = capabilities.documents.count("users", since, 0).await?;
        Ok((settled + since).saturating_sub(gone))
    }

    /// These users as others see them.
    async fn users(&self, ids: &[ObjectId], most: usize) -> anyhow::Result<BTreeMap<ObjectId, Value>> {
        let filter = doc! { "_id": { "$in": ids } };
        let found = self.find("users", filter, doc! {}, safe_fields()?.at_most(most), MAX_LIMIT / 2).await?;
        found.iter().map(|user| Ok((user.get_object_id("_id")?, value(user)?))).collect()
    }

    async fn find(
        &self,
        collection: &str,
        filter: Document,
        sort: Document,
        projection: Projection,
        limit: u32,
    ) -> anyhow::Result<Vec<RawDocumentBuf>> {
        let sort = if sort.is_empty() { Sort::none() } else { Sort::from_document(&sort)? };
        let filter = Filter::from_document(&filter)?;
        let query = Query { sort, projection, limit, ..Query::all(collection, filter) };
        Ok(self.shared.capabilities.documents.find(query).await?)
    }
}

fn safe_fields() -> anyhow::Result<Projection> {
    let fields: Document = SAFE.iter().map(|field| ((*field).to_owned(), Bson::Int32(1))).collect();
    Ok(Projection::from_document(&fields)?)
}

fn body(value: &Value) -> anyhow::Result<Bytes> {
    Ok(Bytes::from(serde_json::to_vec(value)?))
}

fn value(document: &RawDocumentBuf) -> anyhow::Result<Value> {
    Ok(object(&Document::try_from(document)?))
}

/// A document as the contract has it.
fn object(document: &Document) -> Value {
    Value::Object(document.iter().map(|(name, value)| (name.clone(), of_bson(value))).collect::<Map<_, _>>())
}

fn of_bson(value: &Bson) -> Value {
    match value {
        Bson::ObjectId(id) => Value::String(id.to_hex()),
        Bson::DateTime(date) => date.try_to_rfc3339_string().map_or(Value::Null, Value::String),
        Bson::Document(document) => object(document),
        Bson::Array(values) => values.iter().map(of_bson).collect(),
        Bson::String(text) => Value::String(text.clone()),
        Bson::Boolean(truth) => Value::Bool(*truth),
        Bson::Int32(number) => Value::from(*number),
        Bson::Int64(number) => Value::from(*number),
        Bson::Double(number) => Value::from(*number),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_dates_are_texts() {
        let id = ObjectId::from_bytes([7; 12]);
        let document = doc! { "_id": id, "at": bson::DateTime::from_millis(0), "skills": ["a"], "of": { "n": 1_i64 } };
        let expected =
            json!({ "_id": "07".repeat(12), "at": "1970-01-01T00:00:00Z", "skills": ["a"], "of": { "n": 1 } });
        assert_eq!(object(&document), expected);
    }
}
