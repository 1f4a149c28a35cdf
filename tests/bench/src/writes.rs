//! Chat messages that are stored with their events, a second, beside the store's own rate for the same transaction: the
//! conversation's place, the message, the event.

use std::time::{Duration, Instant};

use anyhow::ensure;
use bson::{DateTime, doc, oid::ObjectId};
use capability::documents::{Commit, Documents, Write};
use capability::events::Event;
use e2e::network::Account;
use futures_util::future::try_join_all;
use mongodb::Client;

use crate::http::engine;
use crate::in_process::InProcess;
use crate::members::{self, READERS, insert, pair};
use crate::opcounters::Operations;
use crate::report::{Report, Row};
use crate::spread::{Rounds, Spread, millis, nanoseconds};
use crate::stack;

/// Rounds that are measured, and the messages of each conversation in one, one after the other.
const ROUNDS: usize = 5;
const MESSAGES: usize = 50;
/// Conversations, which go on side by side.
const CONVERSATIONS: usize = READERS / 2;

/// Runs all of it; a minute at most.
pub(crate) fn measure(real: bool) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let stack = stack(real)?;
    let rows = runtime.block_on(all(&stack))?;
    let about = vec![
        format!(
            "{CONVERSATIONS} conversations side by side, {MESSAGES} messages of each one after the other, in {ROUNDS} rounds in turns. \
             `messages` go through the socket trigger and the component of a host in the bench's own process, until they are \
             acknowledged. `the store's own` are commits of the same three things by the bench, straight to the document store. A \
             commit is durable, with its event, before it counts."
        ),
        "What MongoDB was asked is by its own counters, a message, and has what the host does behind it until the round's end.".to_owned(),
    ];
    Ok(Report { bench: "writes", engine: engine(real), about, rows })
}

/// What was seen of one way to write.
#[derive(Default)]
struct Figures {
    rates: Vec<f64>,
    times: Vec<u64>,
    asked: Operations,
}

impl Figures {
    fn add(&mut self, times: Vec<Vec<u64>>, took: Duration, asked: Operations) {
        let times = times.concat();
        self.rates.push(times.len() as f64 / took.as_secs_f64());
        self.times.extend(times);
        self.asked = self.asked.plus(asked);
    }
}

async fn all(stack: &e2e::Stack) -> anyhow::Result<Vec<Row>> {
    let host = InProcess::open(stack, READERS).await?;
    let pairs = host.members.pairs();
    let own = Own::prepare(host.host.documents.as_ref()).await?;
    let mongodb =
        if stack.has("MONGODB_URI") { Some(Client::with_uri_str(stack.variable("MONGODB_URI")).await?) } else { None };
    let asked = async || match &mongodb {
        Some(client) => Operations::of(client).await,
        None => Ok(Operations::default()),
    };
    let (mut messages, mut commits) = (Figures::default(), Figures::default());
    for round in 0..ROUNDS {
        eprintln!("round {} of {ROUNDS}…", round + 1);
        let first = i64::try_from(round * MESSAGES)?;
        for own_comes in [!round.is_multiple_of(2), round.is_multiple_of(2)] {
            let (before, begun) = (asked().await?, Instant::now());
            if own_comes {
                let written = own.iter().map(|own| own.write(host.host.documents.as_ref(), first));
                let (times, took) = (try_join_all(written).await?, begun.elapsed());
                commits.add(times, took, asked().await?.since(before));
            } else {
                let written = pairs.iter().map(|pair| write(&host, pair, first));
                let (times, took) = (try_join_all(written).await?, begun.elapsed());
                messages.add(times, took, asked().await?.since(before));
            }
        }
    }
    host.host.close().await;
    let reference = Rounds::of(&commits.rates).median;
    Ok(vec![row("messages", messages, reference), row("the store's own", commits, reference)])
}

/// The messages of a conversation, through the component.
async fn write(host: &InProcess, [from, to]: &[Account; 2], first: i64) -> anyhow::Result<Vec<u64>> {
    let mut times = Vec::with_capacity(MESSAGES);
    for number in 0..MESSAGES as i64 {
        let begun = Instant::now();
        host.write(from, &to.id, &members::text(first + number)).await?;
        times.push(nanoseconds(begun.elapsed()));
    }
    Ok(times)
}

/// A conversation that the bench writes itself.
struct Own {
    from: ObjectId,
    to: ObjectId,
    pair: String,
}

impl Own {
    /// Puts the conversations into the store.
    async fn prepare(documents: &dyn Documents) -> anyhow::Result<Vec<Self>> {
        let (mut own, mut writes) = (Vec::with_capacity(CONVERSATIONS), Vec::with_capacity(CONVERSATIONS));
        for _ in 0..CONVERSATIONS {
            let (from, to, ts) = (ObjectId::new(), ObjectId::new(), DateTime::now());
            let pair = pair(from, to);
            let new = doc! { "_id": &pair, "seq": 0_i64, "stamps": 0_i64, "ts": ts, "createdAt": ts, "updatedAt": ts };
            writes.push(insert("conversations", &new)?);
            own.push(Self { from, to, pair });
        }
        documents.commit(Commit { writes, events: Vec::new() }).await?;
        Ok(own)
    }

    /// A round's messages: those behind the `first` that are there.
    async fn write(&self, documents: &dyn Documents, first: i64) -> anyhow::Result<Vec<u64>> {
        let mut times = Vec::with_capacity(MESSAGES);
        for number in 0..MESSAGES as i64 {
            let commit = self.commit(first + number)?;
            let begun = Instant::now();
            let done = documents.commit_in_key_order(commit, None).await.0?;
            times.push(nanoseconds(begun.elapsed()));
            ensure!(done.iter().all(|effect| effect.changed == 1), "a commit did not change what it should: {done:?}");
        }
        Ok(times)
    }

    /// What the component commits for the message behind the first `seq`.
    fn commit(&self, seq: i64) -> anyhow::Result<Commit> {
        let (id, ts, text) = (ObjectId::new(), DateTime::now(), members::text(seq));
        let place = Write::change_known(
            "conversations",
            &doc! { "_id": &self.pair, "seq": seq },
            &doc! { "$set": { "seq": seq + 1, "ts": ts, "updatedAt": ts } },
        )?;
        let message = doc! {
            "_id": id, "fromUserId": self.from, "toUserId": self.to, "text": &text, "ts": ts, "createdAt": ts,
            "updatedAt": ts, "pair": &self.pair, "seq": seq + 1,
        };
        let data = serde_json::json!({
            "messageId": id.to_hex(), "fromUserId": self.from.to_hex(), "toUserId": self.to.to_hex(), "text": text,
            "ts": ts.try_to_rfc3339_string()?,
        });
        let value = serde_json::json!({
            "eventType": "MESSAGE_SENT", "userId": self.from.to_hex(), "timestamp": ts.try_to_rfc3339_string()?, "data": data,
        });
        let event = Event {
            id: ObjectId::new().to_hex(),
            topic: "message-events".to_owned(),
            key: self.pair.clone(),
            kind: "MESSAGE_SENT".to_owned(),
            value: value.to_string().into_bytes(),
            headers: vec![("schema-version".to_owned(), "1".to_owned())],
            at: u64::try_from(ts.timestamp_millis())?,
        };
        Ok(Commit { writes: vec![place, insert("messages", &message)?], events: vec![event] })
    }
}

fn row(what: &str, figures: Figures, reference: f64) -> Row {
    let (rates, count) = (Rounds::of(&figures.rates), figures.times.len().max(1) as f64);
    let times = Spread::of(figures.times);
    let row = Row::default()
        .with("what", what)
        .with("a second", rates.median)
        .with("lowest", rates.lowest)
        .with("highest", rates.highest)
        .with("p50 ms", millis(times.p50))
        .with("p99 ms", millis(times.p99))
        .with("% of the store's own", 100.0 * rates.median / reference);
    if figures.asked == Operations::default() {
        return row;
    }
    figures.asked.named().fold(row, |row, (name, number)| row.with(name, number as f64 / count))
}
