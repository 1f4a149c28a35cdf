//! The members that a bench reads and writes as: the same network on every server, put into our stores through the host's
//! library and into any other server through its API, which takes a minute there: it hashes a password for each.
//!
//! [`READERS`] members have sessions that are used. They are pairs of connected members with [`HISTORY`] messages between the
//! two; each of them has [`CONNECTIONS`] connections, most of them to the [`OTHERS`].

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use bson::{DateTime, Document, RawDocumentBuf, doc, oid::ObjectId};
use capability::documents::{Commit, Write};
use devconnect::Host;
use e2e::network::Account;
use e2e::{PASSWORD, Stack, Value, json, network};
use futures_util::{StreamExt as _, TryStreamExt as _};
use reqwest::{Client, Method, RequestBuilder};

use crate::{chat, load};

/// Members whose sessions are used; every two of them are a pair.
pub(crate) const READERS: usize = 40;
/// The rest of the network.
pub(crate) const OTHERS: usize = 460;
/// The connections of a reader: the other one of the pair, and some of the others.
pub(crate) const CONNECTIONS: usize = 20;
/// Messages of a pair, before anything is measured.
pub(crate) const HISTORY: usize = 60;

/// Writes that are put into a store at once.
const AT_ONCE: usize = 90;
/// Requests of the API at once.
const CALLS: usize = 8;
/// What members know; each has five of them.
const SKILLS: [&str; 12] = [
    "Rust",
    "WebAssembly",
    "TypeScript",
    "React",
    "Node.js",
    "Python",
    "Go",
    "Kafka",
    "Redis",
    "MongoDB",
    "Docker",
    "Linux",
];
const ABOUT: &str = "Writes services and the tools around them, reads what others wrote, and likes to be asked.";

/// Those whose sessions are used, each pair beside each other.
#[derive(Debug, Clone)]
pub(crate) struct Members {
    pub(crate) readers: Arc<[Account]>,
}

impl Members {
    /// The pairs.
    pub(crate) fn pairs(&self) -> Vec<[Account; 2]> {
        self.readers.chunks_exact(2).filter_map(|pair| <[Account; 2]>::try_from(pair.to_vec()).ok()).collect()
    }

    /// Puts the network into the stores of a host that does not run yet.
    pub(crate) async fn sow(stack: &Stack, host: &str) -> anyhow::Result<Self> {
        let host = network::opened(stack, host).await;
        let members = Self::put_into(&host, READERS).await;
        host.close().await;
        members
    }

    /// Puts a network with so many readers, an even number, into the stores of a host.
    pub(crate) async fn put_into(host: &Host, count: usize) -> anyhow::Result<Self> {
        let sessions = &host.registry.engine().shared().capabilities.sessions;
        let (mut writes, mut readers) = (Vec::new(), Vec::with_capacity(count));
        let ids: Vec<ObjectId> = (0..count + OTHERS).map(|_| ObjectId::new()).collect();
        for (number, id) in ids.iter().enumerate() {
            let email = format!("{id}@example.com");
            writes.push(insert("users", &user(*id, number, &email))?);
            if number < count {
                let (token, session) = sessions.open(&id.to_hex(), &[("emailId".to_owned(), email)])?;
                writes.push(session);
                readers.push(Account { id: id.to_hex(), token: token.reveal().to_owned() });
            }
        }
        for (from, to) in connections(count) {
            let (Some(from), Some(to)) = (ids.get(from), ids.get(to)) else { continue };
            let now = DateTime::now();
            let request = doc! {
                "_id": ObjectId::new(), "fromUserId": from, "toUserId": to, "status": "accepted", "pair": pair(*from, *to),
                "createdAt": now, "updatedAt": now,
            };
            writes.push(insert("connectionrequests", &request)?);
        }
        for two in ids.get(..count).unwrap_or_default().chunks_exact(2) {
            let [one, other] = two else { continue };
            writes.extend(history(*one, *other)?);
        }
        let mut writes = writes.into_iter().peekable();
        while writes.peek().is_some() {
            let some: Vec<Write> = writes.by_ref().take(AT_ONCE).collect();
            host.documents.commit(Commit { writes: some, events: Vec::new() }).await?;
        }
        Ok(Self { readers: readers.into() })
    }

    /// Puts the network into any server with the contract, which should be empty: whoever else is there is in the feeds as well.
    pub(crate) async fn through_api(url: &str) -> anyhow::Result<Self> {
        let api = Api { client: Client::new(), url: url.trim_end_matches('/').to_owned() };
        eprintln!("signing up {} members at {url}…", READERS + OTHERS);
        // Two runs on one server meet nobody of each other.
        let run = ObjectId::new().to_hex();
        let signing_up = (0..READERS + OTHERS).map(|number| api.sign_up(number, &run));
        let all: Vec<Account> = futures_util::stream::iter(signing_up).buffered(CALLS).try_collect().await?;
        eprintln!("connecting them…");
        let requests = connections(READERS).into_iter().filter_map(|(from, to)| Some((all.get(from)?, all.get(to)?)));
        let befriending = requests.map(|(from, to)| api.befriend(from, to));
        futures_util::stream::iter(befriending).buffer_unordered(CALLS).try_collect::<Vec<()>>().await?;
        let members = Self { readers: all.into_iter().take(READERS).collect() };
        eprintln!("having each pair write {HISTORY} messages…");
        chat::write_history(&load::address(url)?, &members.pairs(), HISTORY).await?;
        Ok(members)
    }
}

/// Who has asked whom, by their numbers; no two ask each other. Of [`READERS`] nobody asks more often than a free member may on a
/// day.
fn connections(readers: usize) -> Vec<(usize, usize)> {
    let others = CONNECTIONS - 1;
    let pairs = (0..readers).step_by(2).map(|one| (one, one + 1));
    let asked = (0..readers * others).map(|number| (readers + number % OTHERS, number / others));
    pairs.chain(asked).collect()
}

/// A user as a sign-up and an edit of the profile make it.
pub(crate) fn user(id: ObjectId, number: usize, email: &str) -> Document {
    let now = DateTime::now();
    let mut user = doc! {
        "_id": id, "firstName": "Sue", "lastName": "Tester", "emailId": email, "emailKey": email, "isPremium": false,
        "membershipTier": "free", "createdAt": now, "updatedAt": now,
    };
    user.extend(profile(number));
    user
}

/// What a member says of itself.
fn profile(number: usize) -> Document {
    let skills: Vec<&str> = SKILLS.iter().cycle().skip(number % SKILLS.len()).take(5).copied().collect();
    let age = i32::try_from(20 + number % 40).unwrap_or(20);
    doc! { "age": age, "about": ABOUT, "skills": skills }
}

/// Two ids as the documents of a pair have them.
pub(crate) fn pair(one: ObjectId, other: ObjectId) -> String {
    format!("{}:{}", one.min(other), one.max(other))
}

/// The messages of a pair and their conversation.
fn history(one: ObjectId, other: ObjectId) -> anyhow::Result<Vec<Write>> {
    let (pair, count) = (pair(one, other), i64::try_from(HISTORY)?);
    let begun = DateTime::now().timestamp_millis() - count;
    let mut writes = Vec::with_capacity(HISTORY + 1);
    for seq in 1..=count {
        let ts = DateTime::from_millis(begun + seq);
        let message = doc! {
            "_id": ObjectId::new(), "fromUserId": one, "toUserId": other, "text": text(seq), "ts": ts, "createdAt": ts,
            "updatedAt": ts, "pair": &pair, "seq": seq,
        };
        writes.push(insert("messages", &message)?);
    }
    let ts = DateTime::from_millis(begun + count);
    let conversation = doc! { "_id": &pair, "seq": count, "stamps": 0_i64, "ts": ts, "createdAt": ts, "updatedAt": ts };
    writes.push(insert("conversations", &conversation)?);
    Ok(writes)
}

/// A message of usual length that is like no other.
pub(crate) fn text(number: i64) -> String {
    format!("{number}: have you seen how the new version answers? I will look at it tomorrow.")
}

/// The write of a new document.
pub(crate) fn insert(collection: &str, document: &Document) -> anyhow::Result<Write> {
    Ok(Write::Insert { collection: collection.to_owned(), document: RawDocumentBuf::try_from(document)? })
}

/// A server with the contract.
struct Api {
    client: Client,
    url: String,
}

impl Api {
    fn ask(&self, method: Method, path: &str, token: Option<&str>) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match token {
            Some(token) => request.header("cookie", format!("token={token}")),
            None => request,
        }
    }

    async fn sign_up(&self, number: usize, run: &str) -> anyhow::Result<Account> {
        let email = format!("m{number}.{run}@example.com");
        let form = json!({ "firstName": "Sue", "lastName": "Tester", "emailId": email, "password": PASSWORD });
        let answer = self.ask(Method::POST, "/signup", None).json(&form).send().await?;
        ensure!(answer.status().is_success(), "a sign-up was answered with {}", answer.status());
        let cookies = answer.headers().get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
        let token = cookies.filter_map(|cookie| cookie.strip_prefix("token=")?.split(';').next()).next();
        let token = token.context("a sign-up sets no session cookie")?.to_owned();
        let body: Value = answer.json().await?;
        let id = body.pointer("/data/_id").and_then(Value::as_str).context("a sign-up answers no user")?.to_owned();
        let edit = self.ask(Method::PATCH, "/profile/edit", Some(&token)).json(&profile(number)).send().await?;
        ensure!(edit.status().is_success(), "an edit was answered with {}", edit.status());
        Ok(Account { id, token })
    }

    /// One asks, the other accepts.
    async fn befriend(&self, from: &Account, to: &Account) -> anyhow::Result<()> {
        let path = format!("/request/send/interested/{}", to.id);
        let sent = self.ask(Method::POST, &path, Some(&from.token)).send().await?;
        ensure!(sent.status().is_success(), "a connection request was answered with {}", sent.status());
        let sent: Value = sent.json().await?;
        let id = sent.pointer("/data/_id").and_then(Value::as_str).context("a request has no _id")?;
        let path = format!("/request/review/accepted/{id}");
        let answer = self.ask(Method::POST, &path, Some(&to.token)).send().await?;
        ensure!(answer.status().is_success(), "a review was answered with {}", answer.status());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn each_reader_has_its_connections_and_nobody_asks_too_often() {
        let (mut of, mut asked) = (BTreeMap::<usize, BTreeSet<usize>>::new(), BTreeMap::<usize, usize>::new());
        for (from, to) in connections(READERS) {
            of.entry(from).or_default().insert(to);
            of.entry(to).or_default().insert(from);
            *asked.entry(from).or_default() += 1;
        }
        assert!((0..READERS).all(|reader| of.get(&reader).map(BTreeSet::len) == Some(CONNECTIONS)), "{of:?}");
        assert!(asked.values().all(|count| *count <= 10), "{asked:?}");
    }
}
