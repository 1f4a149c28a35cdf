//! Growth: how the routes that are asked most answer when there is more of something: users, connections, messages of a pair,
//! components. A plot each in `target/bench`. The host is the built binary in a process of its own, on its embedded stores.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bson::{DateTime, Document, RawDocumentBuf, doc, oid::ObjectId};
use capability::documents::{Commit, Write};
use devconnect::Host;
use e2e::network::{self, Account};
use e2e::{Server, ServerOptions, Stack, numbered};

use crate::chat::Chat;
use crate::load::{self, Get, Until};
use crate::members;
use crate::plot::{self, Line};
use crate::report::{Report, Row};
use crate::spread::{Rounds, Spread};

/// The sizes.
const USERS: [usize; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];
const MESSAGES: [usize; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];
const CONNECTIONS: [usize; 6] = [1, 4, 16, 64, 256, 1_024];
const COMPONENTS: [usize; 3] = [10, 100, 1_000];
/// Pairs of members whose sessions are used.
const PAIRS: usize = 20;
/// Requests of a route that are timed, before them those that are not, and rounds of which the median counts.
const REQUESTS: usize = 300;
const WARM_UP: usize = 50;
const ROUNDS: usize = 3;
/// How long so many connections ask.
const TIME: Duration = Duration::from_secs(2);
/// Messages that are sent for one figure.
const SENT: usize = 50;
/// A figure may grow so many times as much as a logarithm does before it counts as worse than one: caches of the processor and of
/// the store grow out of their sizes, too.
const TOLERANCE: f64 = 1.5;
/// Who runs this is told how long documents were put into a store, when it was longer.
const SLOW: Duration = Duration::from_secs(10);
/// The host's name on its stack, and where plots go.
const HOST: &str = "host";
const FOLDER: &str = "target/bench";

/// What grows.
struct Axis {
    name: &'static str,
    size: &'static str,
    time: &'static str,
    lines: Vec<Line>,
}

impl Axis {
    fn new(name: &'static str, size: &'static str, time: &'static str) -> Self {
        Self { name, size, time, lines: Vec::new() }
    }

    fn add(&mut self, route: &str, size: usize, time: f64) {
        let point = (size as f64, time);
        match self.lines.iter_mut().find(|line| line.name == route) {
            Some(line) => line.points.push(point),
            None => self.lines.push(Line { name: route.to_owned(), points: vec![point] }),
        }
    }

    /// Writes the plot, and has a row for each route.
    fn end(self, rows: &mut Vec<Row>) -> anyhow::Result<()> {
        let file = e2e::root().join(FOLDER).join(format!("growth-{}.svg", self.name.replace(' ', "-")));
        write(&file, &plot::svg(&format!("growth: {}", self.name), self.size, self.time, &self.lines))?;
        rows.extend(self.lines.iter().filter_map(|line| row(&self, line)));
        Ok(())
    }
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(file, text));
    written.with_context(|| format!("{} can't be written", file.display()))?;
    eprintln!("written: {}", file.display());
    Ok(())
}

fn row(axis: &Axis, line: &Line) -> Option<Row> {
    let (&(smallest, first), &(largest, last)) = (line.points.first()?, line.points.last()?);
    let (grows, allowed) = (last / first, logarithm(smallest, largest));
    Some(
        Row::default()
            .with("more", axis.name)
            .with("route", line.name.as_str())
            .with("from", smallest as u64)
            .with("to", largest as u64)
            .with("at first µs", first)
            .with("at last µs", last)
            .with("grows", grows)
            .with("a logarithm", allowed)
            .with("is it worse", if grows > allowed * TOLERANCE { "yes" } else { "no" }),
    )
}

/// By how much something that is a logarithm of a size grows between two sizes of 1 and more.
fn logarithm(smallest: f64, largest: f64) -> f64 {
    (largest.log2() + 1.0) / (smallest.log2() + 1.0)
}

/// Runs all of it.
pub(crate) fn measure() -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let rows = runtime.block_on(async {
        let mut rows = Vec::new();
        users().await?.end(&mut rows)?;
        messages().await?.end(&mut rows)?;
        connections().await?.end(&mut rows)?;
        components().await?.end(&mut rows)?;
        anyhow::Ok(rows)
    })?;
    let about = vec![
        format!(
            "The median of {ROUNDS} rounds of {REQUESTS} requests one after the other, each p50; with more connections, the time of \
             the server for a request: that of all of them by their number. A message is from its sending to its echo."
        ),
        format!(
            "`a logarithm` is how often as much a time would be that grows with the logarithm of the size. Worse is more than \
             {TOLERANCE} times that. Plots with all sizes are in {FOLDER}."
        ),
    ];
    Ok(Report { bench: "growth", engine: "embedded", about, rows })
}

/// 10² to 10⁶ users.
async fn users() -> anyhow::Result<Axis> {
    let (stack, mut axis) = (Stack::embedded(), Axis::new("users", "users", "µs"));
    let (mut pairs, mut count) = (Vec::new(), 0);
    for size in USERS {
        eprintln!("{size} users…");
        let host = network::opened(&stack, HOST).await;
        if pairs.is_empty() {
            pairs = network::pairs(&host, PAIRS).await;
            count = 2 * PAIRS;
        }
        adopt(&host, "users", (count..size).map(user)).await?;
        count = size;
        host.close().await;
        let server = stack.start(HOST).await;
        for (route, path) in [
            ("own profile", "/profile/view"),
            ("connections", "/user/connections"),
            ("feed", "/feed"),
            ("ranked feed", "/feed?ml=true"),
        ] {
            let time = asked(&server, &pairs, |_| path.to_owned()).await?;
            axis.add(route, size, time);
        }
        end(server)?;
    }
    Ok(axis)
}

fn user(number: usize) -> Document {
    let id = ObjectId::new();
    members::user(id, number, &format!("{id}@example.com"))
}

/// 10² to 10⁶ messages of one pair.
async fn messages() -> anyhow::Result<Axis> {
    let (stack, mut axis) = (Stack::embedded(), Axis::new("messages of a pair", "messages", "µs"));
    let (mut pairs, mut count, mut middle) = (Vec::new(), 0, String::new());
    for size in MESSAGES {
        eprintln!("{size} messages…");
        let host = network::opened(&stack, HOST).await;
        if pairs.is_empty() {
            pairs = network::pairs(&host, 1).await;
        }
        let pair = pairs.first().context("a pair")?;
        let ids = [ObjectId::parse_str(&pair[0].id)?, ObjectId::parse_str(&pair[1].id)?];
        // Those that the last figure sent are among them.
        let conversation = |number: usize| message(ids, number, size);
        let mut new: Vec<Document> = (count..size).map(conversation).collect();
        middle =
            new.get(new.len() / 2).and_then(|found| found.get_object_id("_id").ok()).map_or(middle, |id| id.to_hex());
        adopt(&host, "messages", new.drain(..)).await?;
        set_conversation(&host, ids, size).await?;
        count = size + SENT;
        host.close().await;
        let server = stack.start(HOST).await;
        let of_pair = std::slice::from_ref(pair);
        let history = |other: &Account| format!("/chat/{}/history?limit=50", other.id);
        axis.add("the latest 50", size, asked(&server, of_pair, history).await?);
        let before = |other: &Account| format!("/chat/{}/history?limit=50&before={middle}", other.id);
        axis.add("50 from the middle", size, asked(&server, of_pair, before).await?);
        axis.add("own profile", size, asked(&server, of_pair, |_| "/profile/view".to_owned()).await?);
        let mut chat = Chat::open(&load::address(&server.url)?, of_pair).await?;
        let sent = chat.talk(Until::Count(SENT)).await?;
        axis.add("a message", size, micros(&Spread::of(sent.times)));
        ensure!(chat.close().await == 0, "messages did not come to the other one");
        end(server)?;
    }
    Ok(axis)
}

/// A message of a conversation of so many: the newest of them is of now.
fn message([one, other]: [ObjectId; 2], number: usize, size: usize) -> Document {
    let at = DateTime::now().timestamp_millis() - i64::try_from(size - number).unwrap_or_default();
    let (ts, seq) = (DateTime::from_millis(at), i64::try_from(number + 1).unwrap_or_default());
    let (from, to) = if number.is_multiple_of(2) { (one, other) } else { (other, one) };
    doc! {
        "_id": ObjectId::new(), "fromUserId": from, "toUserId": to, "text": members::text(seq), "ts": ts, "createdAt": ts,
        "updatedAt": ts, "pair": members::pair(one, other), "seq": seq,
    }
}

/// The conversation after so many messages.
async fn set_conversation(host: &Host, [one, other]: [ObjectId; 2], count: usize) -> anyhow::Result<()> {
    let (id, ts) = (members::pair(one, other), DateTime::now());
    let set = doc! {
        "seq": i64::try_from(count)?, "stamps": 0_i64, "ts": ts, "createdAt": ts, "updatedAt": ts,
    };
    host.documents.commit(Commit { writes: vec![Write::put("conversations", &id, set)?], events: Vec::new() }).await?;
    Ok(())
}

/// 1 to 1,024 kept connections.
async fn connections() -> anyhow::Result<Axis> {
    let (stack, mut axis) =
        (Stack::embedded(), Axis::new("connections", "kept connections", "µs of the server for a request"));
    let host = network::opened(&stack, HOST).await;
    let pairs = network::pairs(&host, PAIRS).await;
    adopt(&host, "users", (0..1_000).map(user)).await?;
    host.close().await;
    let server = stack.start(HOST).await;
    for size in CONNECTIONS {
        eprintln!("{size} connections…");
        for (route, path) in [
            ("healthz", "/healthz"),
            ("own profile", "/profile/view"),
            ("connections", "/user/connections"),
            ("feed", "/feed"),
        ] {
            let (address, requests) = requests(&server, &pairs, |_| path.to_owned())?;
            let mut rounds = Vec::with_capacity(ROUNDS);
            for _ in 0..ROUNDS {
                let seen = load::drive_with(&address, &requests, Until::Time(TIME / ROUNDS as u32), size).await?;
                rounds.push(1e6 / seen.rate());
            }
            axis.add(route, size, Rounds::of(&rounds).median);
        }
    }
    end(server)?;
    Ok(axis)
}

/// 10 to 1,000 components, of which each request goes to the next one.
async fn components() -> anyhow::Result<Axis> {
    let mut axis = Axis::new("components", "components", "µs");
    for size in COMPONENTS {
        eprintln!("{size} components…");
        let (folder, data) = (tempfile::TempDir::new()?, tempfile::TempDir::new()?);
        fs::copy(e2e::root().join("target/components/application.toml"), folder.path().join("application.toml"))?;
        for number in 0..size {
            fs::write(folder.path().join(format!("{number}.wasm")), numbered(number as u64))?;
        }
        let options = ServerOptions { components: Some(folder.path().to_owned()), ..ServerOptions::default() };
        let server = tokio::task::block_in_place(|| Server::start_with(data.path(), options));
        let address = load::address(&server.url)?;
        let requests: Arc<[Get]> = (0..size)
            .map(|number| load::get(&address, &format!("/numbered/{number:07}"), None))
            .collect::<anyhow::Result<_>>()?;
        let mut rounds = Vec::with_capacity(ROUNDS);
        load::drive_with(&address, &requests, Until::Count(2 * size), 1).await?;
        for _ in 0..ROUNDS {
            let seen = load::drive_with(&address, &requests, Until::Count(REQUESTS.max(size)), 1).await?;
            rounds.push(micros(&Spread::of(seen.times)));
        }
        axis.add("the next component's route", size, Rounds::of(&rounds).median);
        let healthz = asked(&server, &[], |_| "/healthz".to_owned()).await?;
        axis.add("healthz", size, healthz);
        end(server)?;
    }
    Ok(axis)
}

/// The requests of members; without any, one of nobody.
fn requests(
    server: &Server,
    pairs: &[[Account; 2]],
    path: impl Fn(&Account) -> String,
) -> anyhow::Result<(String, Arc<[Get]>)> {
    let address = load::address(&server.url)?;
    let of_members = pairs.iter().flat_map(|[one, other]| [(one, other), (other, one)]);
    let mut requests: Vec<Get> = of_members
        .map(|(own, other)| load::get(&address, &path(other), Some(&own.token)))
        .collect::<anyhow::Result<_>>()?;
    if requests.is_empty() {
        let nobody = Account { id: String::new(), token: String::new() };
        requests.push(load::get(&address, &path(&nobody), None)?);
    }
    Ok((address, requests.into()))
}

/// The time of a request, in microseconds.
async fn asked(server: &Server, pairs: &[[Account; 2]], path: impl Fn(&Account) -> String) -> anyhow::Result<f64> {
    let (address, requests) = requests(server, pairs, path)?;
    load::drive_with(&address, &requests, Until::Count(WARM_UP), 1).await?;
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let seen = load::drive_with(&address, &requests, Until::Count(REQUESTS), 1).await?;
        rounds.push(micros(&Spread::of(seen.times)));
    }
    Ok(Rounds::of(&rounds).median)
}

fn micros(spread: &Spread) -> f64 {
    spread.p50 as f64 / 1e3
}

/// Puts documents into a store, some MiB at once.
async fn adopt(host: &Host, collection: &str, documents: impl Iterator<Item = Document>) -> anyhow::Result<()> {
    let (mut some, mut bytes) = (Vec::new(), 0);
    let mut documents = documents.peekable();
    let begun = Instant::now();
    while let Some(document) = documents.next() {
        let raw = RawDocumentBuf::try_from(&document)?;
        bytes += raw.as_bytes().len();
        some.push(raw);
        if bytes > 4 << 20 || documents.peek().is_none() {
            bytes = 0;
            host.documents.adopt(collection, std::mem::take(&mut some)).await?;
        }
    }
    if begun.elapsed() > SLOW {
        eprintln!("put into {collection} in {:.0?}", begun.elapsed());
    }
    Ok(())
}

fn end(server: Server) -> anyhow::Result<()> {
    ensure!(tokio::task::block_in_place(|| server.interrupt()), "the host did not end well");
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[test]
    fn what_grows_with_the_size_is_worse_than_a_logarithm() {
        assert!((logarithm(1.0, 1_024.0) - 11.0).abs() < 1e-9);
        let worse = |last: f64| {
            let mut axis = Axis::new("users", "users", "µs");
            axis.add("feed", 100, 50.0);
            axis.add("feed", 1_000_000, last);
            let row = row(&axis, axis.lines.first().unwrap()).unwrap();
            let report = Report { bench: "growth", engine: "embedded", about: Vec::new(), rows: vec![row] };
            report.json_lines().first().unwrap().contains(r#""is it worse":"yes""#)
        };
        assert!(!worse(50.0) && !worse(150.0) && worse(5_000.0));
    }
}
