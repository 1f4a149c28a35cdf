//! Messages a second, from one member to another: each after the echo of the one before, and many at once; on our host and on
//! any other servers with the same contract, side by side in rounds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use e2e::network::Account;
use e2e::{Expected, ServerOptions, Stack, json};
use futures_util::SinkExt as _;
use futures_util::future::try_join_all;
use mongodb::Client;
use tokio::task::JoinHandle;

use crate::http::engine;
use crate::load::{self, Until};
use crate::machine::Usage;
use crate::members::{self, Members, READERS};
use crate::opcounters::Operations;
use crate::report::{Report, Row};
use crate::socket_io::{self, Line, came, event};
use crate::spread::{Rounds, Spread, nanoseconds};
use crate::stack;

/// Rounds that are measured, and how long a side's pairs talk in one.
const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_secs(4);
/// Messages of each pair before the first round.
const WARM_UP: usize = 10;
/// Messages that are sent at once, by all pairs together.
const AT_ONCE: usize = 800;
/// Nothing that is waited for takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
const MESSAGE: &str = "private-message";

/// Every text is another one: echoes are known by it.
static NEXT: AtomicI64 = AtomicI64::new(1_000_000);

/// Two connected members with a socket each. The first one writes.
struct Pair {
    line: Line,
    from: String,
    to: String,
}

impl Pair {
    async fn send(&mut self) -> anyhow::Result<String> {
        let text = members::text(NEXT.fetch_add(1, Ordering::Relaxed));
        // Whose socket it is says who writes; a server of an earlier version wants to be told.
        let payload = json!({ "fromUserId": self.from, "toUserId": self.to, "message": text });
        self.line.send(event(MESSAGE, &payload)).await?;
        Ok(text)
    }

    /// The text of the next message that came back.
    async fn echo(&mut self) -> anyhow::Result<String> {
        let echoed = async {
            loop {
                let Some((name, payload)) = came(&socket_io::text(&mut self.line).await?) else { continue };
                if name == "error" {
                    bail!("a message was refused: {payload}");
                }
                if let (MESSAGE, Some(text)) = (name.as_str(), payload.get("message").and_then(|text| text.as_str())) {
                    return anyhow::Ok(text.to_owned());
                }
            }
        };
        tokio::time::timeout(PATIENCE, echoed).await.with_context(|| format!("no echo in {PATIENCE:?}"))?
    }

    /// One message after the other; the times until their echoes.
    async fn talk(&mut self, begun: Instant, until: Until) -> anyhow::Result<Vec<u64>> {
        let mut times = Vec::new();
        loop {
            let is_over = match until {
                Until::Time(time) => begun.elapsed() >= time,
                Until::Count(count) => times.len() >= count,
            };
            if is_over {
                return Ok(times);
            }
            let sent = Instant::now();
            let text = self.send().await?;
            while self.echo().await? != text {}
            times.push(nanoseconds(sent.elapsed()));
        }
    }

    /// So many messages at once; the times until their echoes.
    async fn burst(&mut self, count: usize) -> anyhow::Result<Vec<u64>> {
        let (mut sent, mut times) = (BTreeMap::new(), Vec::with_capacity(count));
        for _ in 0..count {
            let now = Instant::now();
            sent.insert(self.send().await?, now);
        }
        while !sent.is_empty() {
            if let Some(sent) = sent.remove(&self.echo().await?) {
                times.push(nanoseconds(sent.elapsed()));
            }
        }
        Ok(times)
    }
}

/// The pairs of one server, with their sockets open.
pub(crate) struct Chat {
    pairs: Vec<Pair>,
    sent: u64,
    arrived: Arc<AtomicU64>,
    listening: Vec<JoinHandle<()>>,
}

impl Chat {
    /// Connects everybody, and says who they are.
    pub(crate) async fn open(address: &str, pairs: &[[Account; 2]]) -> anyhow::Result<Self> {
        let arrived = Arc::<AtomicU64>::default();
        let (mut open, mut listening) = (Vec::with_capacity(pairs.len()), Vec::with_capacity(pairs.len()));
        for [one, other] in pairs {
            let mut lines = Vec::with_capacity(2);
            for account in [one, other] {
                let mut line = socket_io::connect(address, account).await?;
                line.send(event("register", &json!(account.id))).await?;
                lines.push(line);
            }
            let (Some(reader), Some(line)) = (lines.pop(), lines.pop()) else { continue };
            listening.push(tokio::spawn(listen(reader, arrived.clone())));
            open.push(Pair { line, from: one.id.clone(), to: other.id.clone() });
        }
        Ok(Self { pairs: open, sent: 0, arrived, listening })
    }

    /// Each pair sends one message after the echo of the one before. `until` a count: so many of each pair.
    pub(crate) async fn talk(&mut self, until: Until) -> anyhow::Result<load::Seen> {
        let begun = Instant::now();
        let times = try_join_all(self.pairs.iter_mut().map(|pair| pair.talk(begun, until))).await?;
        Ok(self.seen(times, begun))
    }

    /// All pairs send so many messages each at once.
    async fn burst(&mut self, each: usize) -> anyhow::Result<load::Seen> {
        let begun = Instant::now();
        let times = try_join_all(self.pairs.iter_mut().map(|pair| pair.burst(each))).await?;
        Ok(self.seen(times, begun))
    }

    fn seen(&mut self, times: Vec<Vec<u64>>, begun: Instant) -> load::Seen {
        let (times, took) = (times.concat(), begun.elapsed());
        self.sent += times.len() as u64;
        load::Seen { times, took }
    }

    /// Closes the sockets; how many messages came back and never came to the other one.
    pub(crate) async fn close(self) -> u64 {
        let begun = Instant::now();
        while self.arrived.load(Ordering::Relaxed) < self.sent && begun.elapsed() < PATIENCE / 6 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.listening.iter().for_each(JoinHandle::abort);
        self.sent.saturating_sub(self.arrived.load(Ordering::Relaxed))
    }
}

/// Counts the messages that come on a socket, until it ends.
async fn listen(mut line: Line, arrived: Arc<AtomicU64>) {
    while let Ok(text) = socket_io::text(&mut line).await {
        if came(&text).is_some_and(|(name, _)| name == MESSAGE) {
            arrived.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Has each pair write so many messages.
pub(crate) async fn write_history(address: &str, pairs: &[[Account; 2]], each: usize) -> anyhow::Result<()> {
    let mut chat = Chat::open(address, pairs).await?;
    chat.talk(Until::Count(each)).await?;
    let lost = chat.close().await;
    ensure!(lost == 0, "{lost} messages did not come to the other one");
    Ok(())
}

/// A server that is measured.
struct Side {
    name: String,
    chat: Chat,
    process: Option<u32>,
    /// The MongoDB below it, where we know it.
    mongodb: Option<Client>,
    shapes: [Figures; 2],
}

/// What was seen of one shape of talking.
#[derive(Default)]
struct Figures {
    rates: Vec<f64>,
    times: Vec<u64>,
    used: Usage,
    asked: Operations,
}

/// How members talk.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Turns,
    AtOnce,
}

impl Shape {
    const ALL: [Shape; 2] = [Shape::Turns, Shape::AtOnce];

    fn name(self) -> String {
        match self {
            Shape::Turns => "each after its echo".to_owned(),
            Shape::AtOnce => format!("{AT_ONCE} at once"),
        }
    }
}

/// Runs all of it: about two minutes a side.
pub(crate) fn measure(real: bool, against: &[String]) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let stack = stack(real)?;
    let rows = runtime.block_on(all(&stack, against))?;
    let about = vec![
        format!(
            "{} pairs of connected members with a WebSocket each, from one client process. A message is done when its echo is on \
             the sender's socket; by then it is stored with its event. {ROUNDS} rounds, in each of which every side talks for \
             {TIME:?}, one message of a pair after the echo of the one before, and then sends {AT_ONCE} at once.",
            READERS / 2
        ),
        "`of this` is DevConnect's rate by that of the side; `lost` did not come to the receiver's socket. CPU, page faults and \
         waits are the host's, a message; what MongoDB was asked is by its own counters, until the last echo of a round, and has \
         what others asked it meanwhile."
            .to_owned(),
    ];
    Ok(Report { bench: "chat", engine: engine(real), about, rows })
}

async fn all(stack: &Stack, against: &[String]) -> anyhow::Result<Vec<Row>> {
    let members = Members::sow(stack, "chat").await?;
    let options = ServerOptions {
        environment: vec![("DEVCONNECT_LOG", "error".to_owned())],
        expects: vec![Expected::Anything],
        ..ServerOptions::default()
    };
    let server = stack.start_with("chat", options).await;
    let mongodb =
        if stack.has("MONGODB_URI") { Some(Client::with_uri_str(stack.variable("MONGODB_URI")).await?) } else { None };
    // Everybody signs up before a socket is open: one that nobody reads for long is closed.
    let mut others = Vec::with_capacity(against.len());
    for url in against {
        others.push((url, Members::through_api(url).await?));
    }
    let chat = Chat::open(&load::address(&server.url)?, &members.pairs()).await?;
    let name = "DevConnect".to_owned();
    let mut sides = vec![Side { name, chat, process: Some(server.id()), mongodb, shapes: Default::default() }];
    for (url, members) in others {
        let chat = Chat::open(&load::address(url)?, &members.pairs()).await?;
        sides.push(Side { name: url.clone(), chat, process: None, mongodb: None, shapes: Default::default() });
    }
    for side in &mut sides {
        side.chat.talk(Until::Count(WARM_UP)).await?;
    }
    for round in 0..ROUNDS {
        eprintln!("round {} of {ROUNDS}…", round + 1);
        let first = round % sides.len();
        for shape in Shape::ALL {
            for at in (first..sides.len()).chain(0..first) {
                let Some(side) = sides.get_mut(at) else { continue };
                side.round(shape).await?;
            }
        }
    }
    let ours = sides.first().map(Side::rates).unwrap_or_default();
    let (mut turns, mut at_once) = (Vec::new(), Vec::new());
    for Side { name, chat, process, shapes, .. } in sides {
        let lost = chat.close().await;
        let rows = Shape::ALL.into_iter().zip(shapes).zip(ours);
        let mut rows =
            rows.map(|((shape, figures), ours)| row(shape, &name, process, figures, ours).with("lost", lost));
        turns.extend(rows.next());
        at_once.extend(rows.next());
    }
    turns.extend(at_once);
    Ok(turns)
}

impl Side {
    async fn round(&mut self, shape: Shape) -> anyhow::Result<()> {
        let (before, asked) = (self.process.and_then(Usage::of), self.asked().await?);
        let seen = match shape {
            Shape::Turns => self.chat.talk(Until::Time(TIME)).await?,
            Shape::AtOnce => self.chat.burst(AT_ONCE / self.chat.pairs.len().max(1)).await?,
        };
        let asked = asked.zip(self.asked().await?).map(|(before, after)| after.since(before));
        let used = before.zip(self.process.and_then(Usage::of)).map(|(before, after)| after.since(before));
        let [turns, at_once] = &mut self.shapes;
        let figures = match shape {
            Shape::Turns => turns,
            Shape::AtOnce => at_once,
        };
        figures.rates.push(seen.rate());
        figures.times.extend(seen.times);
        figures.used = figures.used.plus(used.unwrap_or_default());
        figures.asked = figures.asked.plus(asked.unwrap_or_default());
        Ok(())
    }

    async fn asked(&self) -> anyhow::Result<Option<Operations>> {
        match &self.mongodb {
            Some(client) => Ok(Some(Operations::of(client).await?)),
            None => Ok(None),
        }
    }

    fn rates(&self) -> [f64; 2] {
        self.shapes.each_ref().map(|figures| Rounds::of(&figures.rates).median)
    }
}

fn row(shape: Shape, side: &str, process: Option<u32>, figures: Figures, ours: f64) -> Row {
    let (rates, used, count) = (Rounds::of(&figures.rates), figures.used, figures.times.len().max(1) as f64);
    let times = Spread::of(figures.times);
    let a_message = |used: f64| process.map(|_| used / count);
    let row = Row::default()
        .with("messages", shape.name())
        .with("side", side)
        .with_speed("messages/s", &rates, &times, ours)
        .with_some("CPU µs", a_message(used.cpu.as_secs_f64() * 1e6))
        .with_some("page faults", a_message(used.page_faults as f64))
        .with_some("waits", a_message(used.waits as f64));
    let asked = figures.asked;
    if asked == Operations::default() {
        return row;
    }
    asked.named().fold(row, |row, (name, number)| row.with(name, number as f64 / count))
}
