//! Sockets on one host: how much memory one takes, how fast they connect, and how soon a message that one member sends
//! is at the other. The host is the built binary in a process of its own; this process is all of its clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use devconnect::config::Config;
use devconnect::{Host, HostOptions};
use e2e::memory::resident;
use e2e::network::{self, Account};
use e2e::{Server, ServerOptions};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use tokio_tungstenite::tungstenite::Message;

use crate::socket_io::{Line, PING, PONG, came, connect, event};
use crate::spread::{Spread, nanoseconds};

/// Handshakes at once.
const CONNECTING: usize = 100;
/// How long messages flow before their times count.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long their times count.
const MEASURED: Duration = Duration::from_secs(10);

/// All figures of this bench.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    sockets: usize,
    /// The host's resident memory before, and with all sockets open and silent, in KiB.
    resident_before: u64,
    resident_open: u64,
    /// Memory of one socket, in KiB.
    kib_per_socket: f64,
    /// Authenticated handshakes a second.
    connects_per_second: f64,
    /// Messages a second that were asked for, and that arrived.
    rate: u32,
    arrived_per_second: f64,
    /// From the sender's write to the receiver's read: stored with its event, acknowledged, sent.
    delivery: Spread,
    /// Messages that were sent and did not arrive.
    lost: u64,
}

/// Runs all of it; about a minute.
pub(crate) fn measure(sockets: usize, rate: u32) -> anyhow::Result<Figures> {
    ensure!(sockets >= 2 && rate > 0, "at least two sockets and one message a second");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let data = tempfile::TempDir::new()?;
    network::share_secret(data.path());
    eprintln!("putting {sockets} members into the store…");
    let pairs = {
        let options = HostOptions::new(Config::default(), harness::components_folder(), Some(data.path().to_owned()));
        let _inside = runtime.enter();
        let host = Host::open(options)?;
        runtime.block_on(network::pairs(&host, sockets / 2))
    };
    let quiet = vec![("DEVCONNECT_LOG", "warn".to_owned())];
    let server = Server::start_with(data.path(), ServerOptions { environment: quiet, ..ServerOptions::default() });
    let address = server.url.strip_prefix("http://").context("the host's address")?.to_owned();
    // The first ones bring code and caches in, which is not what a socket weighs.
    runtime.block_on(warm_up(&address, &pairs))?;
    let resident_before = resident(server.id());
    eprintln!("connecting…");
    let begun = Instant::now();
    let lines = runtime.block_on(connect_all(&address, &pairs))?;
    let connecting = begun.elapsed();
    let resident_open = resident(server.id());
    eprintln!("{rate} messages a second for {:?}…", WARM_UP + MEASURED);
    let (times, lost) = runtime.block_on(talk(lines, &pairs, rate))?;
    let opened = pairs.len() * 2;
    Ok(Figures {
        sockets: opened,
        resident_before,
        resident_open,
        kib_per_socket: resident_open.saturating_sub(resident_before) as f64 / opened as f64,
        connects_per_second: opened as f64 / connecting.as_secs_f64(),
        rate,
        arrived_per_second: times.len() as f64 / MEASURED.as_secs_f64(),
        delivery: Spread::of(times),
        lost,
    })
}

async fn warm_up(address: &str, pairs: &[[Account; 2]]) -> anyhow::Result<()> {
    for account in pairs.iter().flatten().take(50) {
        let mut line = connect(address, account).await?;
        line.close(None).await?;
    }
    Ok(())
}

/// In the order of the pairs: one's line, then the other's.
async fn connect_all(address: &str, pairs: &[[Account; 2]]) -> anyhow::Result<Vec<Line>> {
    let connecting = pairs.iter().flatten().map(|account| connect(address, account));
    futures_util::stream::iter(connecting).buffered(CONNECTING).try_collect().await
}

/// What all receivers write down.
struct Book {
    begun: Instant,
    times: std::sync::Mutex<Vec<u64>>,
    arrived: AtomicU64,
}

/// The first of each pair writes to the second, one pair after the other; the times count once it is warm.
async fn talk(lines: Vec<Line>, pairs: &[[Account; 2]], rate: u32) -> anyhow::Result<(Vec<u64>, u64)> {
    let book = Arc::new(Book { begun: Instant::now(), times: std::sync::Mutex::default(), arrived: AtomicU64::new(0) });
    let mut writers: Vec<SplitSink<Line, Message>> = Vec::with_capacity(pairs.len());
    for (at, line) in lines.into_iter().enumerate() {
        let (writer, reader) = line.split();
        if at % 2 == 0 {
            writers.push(writer);
            tokio::spawn(listen(reader, None));
        } else {
            tokio::spawn(listen(reader, Some((writer, book.clone()))));
        }
    }
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    let mut sent = 0_u64;
    while book.begun.elapsed() < WARM_UP + MEASURED {
        tick.tick().await;
        let due = (book.begun.elapsed().as_secs_f64() * f64::from(rate)) as u64;
        while sent < due {
            let at = sent as usize % writers.len();
            let (Some(writer), Some([_, to])) = (writers.get_mut(at), pairs.get(at)) else { break };
            let now = book.begun.elapsed().as_nanos();
            let payload = serde_json::json!({ "toUserId": to.id, "message": now.to_string() });
            writer.send(event("private-message", &payload)).await?;
            sent += 1;
        }
    }
    // What is under way arrives within a moment; what does not is lost.
    let deadline = Instant::now() + Duration::from_secs(10);
    while book.arrived.load(Ordering::Relaxed) < sent && Instant::now() < deadline {
        tick.tick().await;
    }
    let times = std::mem::take(&mut *book.times.lock().map_err(|_| anyhow!("a receiver panicked"))?);
    Ok((times, sent - book.arrived.load(Ordering::Relaxed).min(sent)))
}

/// Reads a line to its end; who has a book writes down how long each message took.
async fn listen(mut reader: SplitStream<Line>, receiver: Option<(SplitSink<Line, Message>, Arc<Book>)>) {
    let Some((mut writer, book)) = receiver else {
        while reader.next().await.is_some_and(|message| message.is_ok()) {}
        return;
    };
    while let Some(Ok(message)) = reader.next().await {
        let Ok(text) = message.to_text() else { continue };
        if text == PING {
            let _ = writer.send(Message::text(PONG)).await;
            continue;
        }
        let Some(sent) = sent_at(text) else { continue };
        let now = book.begun.elapsed();
        book.arrived.fetch_add(1, Ordering::Relaxed);
        if (WARM_UP..WARM_UP + MEASURED).contains(&Duration::from_nanos(sent))
            && let Ok(mut times) = book.times.lock()
        {
            times.push(nanoseconds(now).saturating_sub(sent));
        }
    }
}

/// When a message was sent: that is what it says.
fn sent_at(text: &str) -> Option<u64> {
    came(text)?.1.get("message")?.as_str()?.parse().ok()
}

impl std::fmt::Display for Figures {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            formatter,
            "{} authenticated WebSockets on one host, embedded engines, client in another process.",
            self.sockets
        )?;
        writeln!(
            formatter,
            "  memory        {:.1} KiB a socket   ({} KiB resident before, {} KiB with all open)",
            self.kib_per_socket, self.resident_before, self.resident_open
        )?;
        writeln!(formatter, "  connecting    {:.0} a second, {CONNECTING} at once", self.connects_per_second)?;
        writeln!(
            formatter,
            "  delivery      {}   at {} messages a second ({:.0} arrived, {} lost)",
            self.delivery, self.rate, self.arrived_per_second, self.lost
        )?;
        write!(formatter, "Each message is a fresh instance, and one durable commit with its event before it is sent.")
    }
}
