//! A run: everything that the people do, in an order in which nothing has to wait for somebody who is not there yet.
//! Touches the network, and what `portraits` touches.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, Session};
use crate::network::{Fate, Request, requests};
use crate::people::{BUSY, MIDDLE, NEW, PASSWORD, Person, people};
use crate::polling::Socket;
use crate::talk::{Conversation, Said, conversations};
use crate::{Portraits, Progress, portraits};

/// How many of them do something at once.
const AT_ONCE: usize = 12;
/// How long notifications are waited for, and how long there is nothing new when all are there.
const NOTIFIED: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_millis(300);
/// Who is shown, and what they see.
const SHOWN: [(usize, &str); 3] = [
    (BUSY, "here for long: many connections, conversations, unread messages, requests to answer"),
    (MIDDLE, "comes by now and then: a few of each"),
    (NEW, "has just joined: knows nobody, two requests to answer, everybody in the feed"),
];

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the host is asked. It has to be on this machine: limits per address do not count there.
    pub url: String,
    /// Where people open it; pictures are under that.
    pub public_url: String,
    /// How many people, within [`crate::PEOPLE`].
    pub people: usize,
    /// How pictures are deployed; none: profiles have no pictures.
    pub portraits: Option<Portraits>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Everybody was there already, and nothing was done.
    pub was_there: bool,
    /// How many people there are.
    pub people: usize,
    /// Why there are no pictures, where that is so.
    pub without_pictures: Option<String>,
    /// Those who are shown.
    pub log_ins: Vec<LogIn>,
    /// How long it took.
    pub took: Duration,
}

/// Somebody who is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogIn {
    /// The e-mail address.
    pub email: String,
    /// The password that they signed up with.
    pub password: &'static str,
    /// What there is to see.
    pub shows: &'static str,
    /// False when the password was changed since.
    pub works: bool,
}

/// Has the people come, or completes what an earlier run began.
///
/// # Errors
/// No host answers, or it refuses something; the text says what to do.
pub async fn run(options: &Options, progress: Progress) -> anyhow::Result<Outcome> {
    let begun = Instant::now();
    let people = people(options.people.clamp(*crate::PEOPLE.start(), *crate::PEOPLE.end()));
    let api = Api::new(&options.url)?;
    let was_there = are_there(&api, &people).await?;
    let mut without_pictures = None;
    if !was_there {
        let pictures = match &options.portraits {
            Some(portraits) => serve_pictures(&api, portraits, &people).await,
            None => Ok(false),
        };
        let pictures = pictures.unwrap_or_else(|why| {
            without_pictures = Some(format!("{why:#}"));
            false
        });
        let public_url = pictures.then(|| options.public_url.trim_end_matches('/'));
        Run { api: &api, people: &people, public_url, progress, sessions: BTreeMap::new() }.all().await?;
    }
    let log_ins = log_ins(&api, &people).await?;
    Ok(Outcome { was_there, people: people.len(), without_pictures, log_ins, took: begun.elapsed() })
}

/// Whether a run was finished on this host: the last thing that one does is there.
async fn are_there(api: &Api, people: &[Person]) -> anyhow::Result<bool> {
    let Some(new) = people.get(NEW) else { return Ok(false) };
    let session = api.log_in(new).await?;
    Ok(session.is_some_and(|session| has_profile(&session)))
}

fn has_profile(session: &Session) -> bool {
    session.user.get("skills").and_then(Value::as_array).is_some_and(|skills| !skills.is_empty())
}

async fn serve_pictures(api: &Api, portraits: &Portraits, people: &[Person]) -> anyhow::Result<bool> {
    portraits.deploy(people).await?;
    let first = people.first().map(|person| portraits::path(0, person)).unwrap_or_default();
    anyhow::ensure!(api.serves(&first).await, "the host does not serve {first}");
    Ok(true)
}

async fn log_ins(api: &Api, people: &[Person]) -> anyhow::Result<Vec<LogIn>> {
    let mut log_ins = Vec::with_capacity(SHOWN.len());
    for (number, shows) in SHOWN {
        let Some(person) = people.get(number) else { continue };
        let works = api.log_in(person).await?.is_some();
        log_ins.push(LogIn { email: person.email.clone(), password: PASSWORD, shows, works });
    }
    Ok(log_ins)
}

struct Run<'a> {
    api: &'a Api,
    people: &'a [Person],
    /// Where pictures are; none: there are none.
    public_url: Option<&'a str>,
    progress: Progress,
    /// By the person's number.
    sessions: BTreeMap<usize, Session>,
}

impl Run<'_> {
    async fn all(&mut self) -> anyhow::Result<()> {
        self.sessions = self.enter().await?;
        let requests = requests(self.people);
        let talk = conversations(self.people, &requests);
        self.ask(&requests).await?;
        self.answer(&requests).await?;
        self.talk(&talk).await?;
        for reader in [BUSY, MIDDLE] {
            self.read_notifications(reader).await?;
        }
        self.write_later(&talk).await?;
        // The last thing of all: `are_there` looks for it.
        self.fill_in(NEW, self.session(NEW)?).await
    }

    fn session(&self, number: usize) -> anyhow::Result<&Session> {
        self.sessions.get(&number).with_context(|| format!("person {number} is not logged in"))
    }

    /// Everybody signs up and, but for the one who has just joined, fills in a profile.
    async fn enter(&self) -> anyhow::Result<BTreeMap<usize, Session>> {
        let stage = &self.progress.begin("people", self.people.len());
        let entering = self.people.iter().enumerate().map(|(number, person)| async move {
            let (session, _) = self.api.enter(person).await?;
            if number != NEW && !has_profile(&session) {
                self.fill_in(number, &session).await?;
            }
            stage.step();
            anyhow::Ok((number, session))
        });
        stream::iter(entering).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn fill_in(&self, number: usize, session: &Session) -> anyhow::Result<()> {
        let Some(person) = self.people.get(number) else { return Ok(()) };
        if number > NEW {
            // Nobody reads their mail, so that they want little of it.
            let few = json!({ "connectionRequests": false, "loginSuggestions": false });
            self.api.send(Method::PATCH, "/email-preferences", session, Some(&few)).await?;
        }
        let mut profile = json!({ "about": person.about, "skills": person.skills });
        if let Some(fields) = profile.as_object_mut() {
            let photo = self.public_url.map(|url| format!("{url}{}", portraits::path(number, person)));
            fields.extend(person.gender.map(|gender| ("gender".to_owned(), gender.into())));
            fields.extend(person.age.map(|age| ("age".to_owned(), age.into())));
            fields.extend(photo.map(|photo| ("photoUrl".to_owned(), photo.into())));
        }
        self.api.send(Method::PATCH, "/profile/edit", session, Some(&profile)).await?;
        Ok(())
    }

    /// Each sends their requests one after the other.
    async fn ask(&self, requests: &[Request]) -> anyhow::Result<()> {
        let by_sender = grouped(requests, |request| request.from);
        let stage = &self.progress.begin("requests", requests.len());
        let asking = by_sender.into_iter().map(|(from, own)| async move {
            let from = self.session(from)?;
            for request in own {
                let status = if request.fate == Fate::Ignored { "ignore" } else { "interested" };
                self.api.request(from, status, self.session(request.to)?).await?;
                stage.step();
            }
            anyhow::Ok(())
        });
        stream::iter(asking).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Each answers what came to them. What waits no more was answered by an earlier run.
    async fn answer(&self, requests: &[Request]) -> anyhow::Result<()> {
        let answered: Vec<Request> = requests
            .iter()
            .filter(|request| [Fate::Accepted, Fate::Declined].contains(&request.fate))
            .copied()
            .collect();
        let by_receiver = grouped(&answered, |request| request.to);
        let stage = &self.progress.begin("answers", answered.len());
        let answering = by_receiver.into_iter().map(|(to, own)| async move {
            let to = self.session(to)?;
            let received = self.api.get(to, "/user/requests/received").await?;
            let waiting = waiting(&received);
            for request in own {
                if let Some(id) = waiting.get(self.session(request.from)?.id.as_str()) {
                    let answer = if request.fate == Fate::Accepted { "accepted" } else { "rejected" };
                    self.api.send(Method::POST, &format!("/request/review/{answer}/{id}"), to, None).await?;
                }
                stage.step();
            }
            anyhow::Ok(())
        });
        stream::iter(answering).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// What people wrote to each other and read.
    async fn talk(&self, talk: &[Conversation]) -> anyhow::Result<()> {
        let stage = &self.progress.begin("conversations", talk.len());
        let talking = talk.iter().map(|conversation| async move {
            let [one, other] = conversation.between;
            let mut sockets = BTreeMap::new();
            for number in [one, other] {
                sockets.insert(number, Socket::open(self.api, self.session(number)?).await?);
            }
            let talked = self.exchange(conversation, &mut sockets).await;
            for socket in sockets.into_values() {
                socket.close().await;
            }
            stage.step();
            talked
        });
        stream::iter(talking).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// In turns: one writes, then the other reads that.
    async fn exchange(&self, talk: &Conversation, sockets: &mut BTreeMap<usize, Socket>) -> anyhow::Result<()> {
        let mut before = 0;
        for turn in talk.said.chunk_by(|one, next| one.by == next.by) {
            let Some(by) = turn.first().map(|said| said.by) else { continue };
            let payloads = self.payloads(talk, turn, "said", before)?;
            before += turn.len();
            let writer = sockets.get_mut(&by).context("a writer has a socket")?;
            let sent = writer.ask("private-message", &payloads).await?;
            let ids: Vec<Value> = sent.iter().map(|sent| json!({ "_id": sent.get("_id") })).collect();
            for (_, reader) in sockets.iter_mut().filter(|(number, _)| **number != by) {
                reader.ask("message:delivered", &ids).await?;
                reader.ask("message:read", &ids).await?;
            }
        }
        Ok(())
    }

    /// Messages as they are sent. Each has a name of its own, so that the same one sent again is no second one.
    fn payloads(&self, talk: &Conversation, turn: &[Said], part: &str, before: usize) -> anyhow::Result<Vec<Value>> {
        let [one, other] = talk.between;
        let payload = |(at, said): (usize, &Said)| {
            let to = self.session(if said.by == one { other } else { one })?;
            let name = format!("demo-{one}-{other}-{part}-{}", before + at);
            Ok(json!({ "toUserId": to.id, "message": said.text, "clientId": name }))
        };
        turn.iter().enumerate().map(payload).collect()
    }

    /// Marks what somebody has seen by now as read: all but requests, which wait for an answer.
    async fn read_notifications(&self, number: usize) -> anyhow::Result<()> {
        let session = self.session(number)?;
        for notification in self.settled_notifications(session).await? {
            let is_request = notification.get("type").and_then(Value::as_str) == Some("CONNECTION_REQUEST");
            let is_read = notification.get("readAt").is_some_and(|at| !at.is_null());
            let id = notification.get("_id").and_then(Value::as_str);
            if let (Some(id), false, false) = (id, is_request, is_read) {
                self.api.send(Method::POST, &format!("/notifications/{id}/read"), session, None).await?;
            }
        }
        Ok(())
    }

    /// The newest notifications, once no more come. They follow from events, which the host handles beside requests.
    async fn settled_notifications(&self, session: &Session) -> anyhow::Result<Vec<Value>> {
        let begun = Instant::now();
        let mut before = Value::Null;
        loop {
            let mut page = self.api.get(session, "/notifications?limit=100").await?;
            let all = page.get_mut("data").map(Value::take).unwrap_or_default();
            if all == before || begun.elapsed() > NOTIFIED {
                return Ok(if let Value::Array(all) = all { all } else { Vec::new() });
            }
            before = all;
            tokio::time::sleep(QUIET).await;
        }
    }

    /// What came while the others were away.
    async fn write_later(&self, talk: &[Conversation]) -> anyhow::Result<()> {
        let talk: Vec<&Conversation> = talk.iter().filter(|conversation| !conversation.unread.is_empty()).collect();
        let stage = &self.progress.begin("unread", talk.len());
        let writing = talk.into_iter().map(|conversation| async move {
            let Some(first) = conversation.unread.first() else { return Ok(()) };
            let mut socket = Socket::open(self.api, self.session(first.by)?).await?;
            let payloads = self.payloads(conversation, &conversation.unread, "later", 0)?;
            let sent = socket.ask("private-message", &payloads).await;
            socket.close().await;
            stage.step();
            sent.map(drop)
        });
        stream::iter(writing).buffer_unordered(AT_ONCE).try_collect().await
    }
}

fn grouped(requests: &[Request], by: fn(&Request) -> usize) -> BTreeMap<usize, Vec<Request>> {
    let mut groups: BTreeMap<usize, Vec<Request>> = BTreeMap::new();
    for request in requests {
        groups.entry(by(request)).or_default().push(*request);
    }
    groups
}

/// The ids of requests that wait, by the id of who sent them.
fn waiting(received: &Value) -> BTreeMap<&str, &str> {
    let all = received.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(sender_and_id).collect()
}

fn sender_and_id(request: &Value) -> Option<(&str, &str)> {
    Some((request.pointer("/fromUserId/_id")?.as_str()?, request.get("_id")?.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_wait_are_found_by_who_sent_them() {
        let received = json!({ "data": [
            { "_id": "r1", "fromUserId": { "_id": "u1", "firstName": "Ada" } },
            { "_id": "r2", "fromUserId": null },
            { "fromUserId": { "_id": "u3" } },
        ] });
        assert_eq!(waiting(&received), BTreeMap::from([("u1", "r1")]));
        assert!(waiting(&Value::Null).is_empty());
    }

    #[test]
    fn only_a_profile_with_skills_is_one() {
        let session = |user| Session { id: String::new(), cookie: String::new(), user };
        assert!(has_profile(&session(json!({ "skills": ["Rust"] }))));
        for user in [json!({}), json!({ "skills": [] }), json!({ "skills": null }), json!({ "about": "x" })] {
            assert!(!has_profile(&session(user)));
        }
    }
}
