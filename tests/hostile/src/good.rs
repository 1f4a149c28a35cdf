//! Good requests beside an attack: all of them are answered, and how soon.
//!
//! Good clients have a thread and a runtime of their own: what they wait for is the host, and not a turn among attackers.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use e2e::Member;
use e2e::described::Asked;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, timeout};

use crate::attackers::{attackers, give_way};

/// Quiet and attack take turns: other tenants of a machine come and go, and would be taken for one or the other.
pub const ROUNDS: usize = 3;
/// Clients of a member who reads, and how often each does: 500 requests a second together.
const READERS: usize = 10;
const READS: Duration = Duration::from_millis(20);
/// Nobody waits longer, on whatever machine.
const BOUND: Duration = Duration::from_secs(5);

/// How long good requests took: the middle one, the one of a hundred, the longest.
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "their names say it")]
pub struct Latency {
    pub p50: Duration,
    pub p99: Duration,
    pub max: Duration,
}

impl Latency {
    /// Of these times.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
        Self { p50: at(50), p99: at(99), max: times.last().copied().unwrap_or_default() }
    }

    /// Of rounds: the medians, and the longest of all.
    pub fn of_rounds(rounds: &[Self]) -> Self {
        let all = |part: fn(&Self) -> Duration| rounds.iter().map(part).collect::<Vec<_>>();
        let max = all(|round| round.max).into_iter().max().unwrap_or_default();
        Self { p50: median(all(|round| round.p50)), p99: median(all(|round| round.p99)), max }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.1?}, p99 {:.1?}, max {:.1?}", self.p50, self.p99, self.max)
    }
}

/// Good requests without an attack and with it.
#[derive(Debug, Clone, Copy)]
pub struct Beside {
    /// Without the attack.
    pub quiet: Latency,
    /// With it.
    pub attacked: Latency,
}

impl Beside {
    /// Of rounds of both.
    pub fn of_rounds(quiet: &[Latency], attacked: &[Latency]) -> Self {
        Self { quiet: Latency::of_rounds(quiet), attacked: Latency::of_rounds(attacked) }
    }

    /// Prints both. Where `DEVCONNECT_MEASURE` is set, their p99 must be within `times` of each other and `most`.
    pub fn check(self, what: &str, times: u32, most: Duration) {
        let Self { quiet, attacked } = self;
        let ratio = attacked.p99.as_secs_f64() / quiet.p99.as_secs_f64();
        eprintln!("{what}: good requests {quiet} quiet; {attacked} beside it; {ratio:.1} times the p99");
        if std::env::var_os("DEVCONNECT_MEASURE").is_some() {
            assert!(
                attacked.p99 <= quiet.p99 * times && attacked.p99 <= most,
                "{attacked} beside {what}, {quiet} quiet: more than {times} times the p99, or than {most:?}"
            );
        }
    }
}

/// Good requests of a member, quiet and beside what `attack` makes, in rounds. An attack ends when it is over by itself.
/// Needs a runtime of several threads.
pub async fn beside<A: Future<Output = ()>>(
    member: &Member,
    length: Duration,
    mut attack: impl FnMut() -> A + Send,
) -> Beside {
    let part = length / u32::try_from(ROUNDS).unwrap_or(1);
    tokio::task::block_in_place(|| {
        let _turn = turn();
        let mut crowd = readers(member);
        let (mut quiet, mut attacked) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            quiet.push(Latency::of(crowd.during(|| tokio::time::sleep(part))));
            attacked.push(Latency::of(crowd.during(&mut attack)));
        }
        Beside::of_rounds(&quiet, &attacked)
    })
}

/// The times of good requests while `work` goes on, on the attackers' threads. Needs a runtime of several threads.
pub async fn during(member: &Member, work: impl Future<Output = ()> + Send) -> Vec<Duration> {
    tokio::task::block_in_place(|| {
        let _turn = turn();
        readers(member).during(|| work)
    })
}

/// Tests of one process run side by side. Those who measure take turns, or they would be one another's attack.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed while it measured leaves nothing behind that matters to the next one.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Somebody good.
pub trait Client: Send + 'static {
    /// Asks for the next thing, and takes the whole answer. The error says what is wrong with it.
    fn ask(&mut self) -> impl Future<Output = Result<(), String>> + Send;
}

/// Good clients, and the runtime that they and their connections have for themselves.
pub struct Crowd<C> {
    runtime: Runtime,
    clients: Vec<C>,
    pace: Duration,
}

impl<C: Client> Crowd<C> {
    /// Of clients that each ask for something at this pace; `enter` makes them. Must not be called or dropped by a task.
    ///
    /// # Panics
    /// When there can be no runtime.
    pub fn new<E: Future<Output = Vec<C>>>(pace: Duration, enter: impl FnOnce() -> E) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime for good clients");
        let clients = runtime.block_on(async { enter().await });
        Self { runtime, clients, pace }
    }

    /// How many requests a second they make together.
    pub fn rate(&self) -> f64 {
        self.clients.len() as f64 / self.pace.as_secs_f64()
    }

    /// The times of their requests while what `work` makes goes on, on the attackers' threads. When an answer is wrong, it
    /// is over at once.
    ///
    /// # Panics
    /// When an answer is wrong, or the work panics.
    pub fn during<W: Future<Output = ()>>(&mut self, work: impl FnOnce() -> W + Send) -> Vec<Duration> {
        let (over, wrong) = (Over::default(), Notify::new());
        std::thread::scope(|scope| {
            let attack = scope.spawn(|| {
                // Also when it panics.
                let _over = over.clone();
                give_way();
                attackers().block_on(async {
                    tokio::select! {
                        () = work() => {}
                        () = wrong.notified() => {}
                    }
                });
            });
            let times = self.ask_until(&over);
            if times.is_err() {
                wrong.notify_one();
            }
            if let Err(panic) = attack.join() {
                std::panic::resume_unwind(panic);
            }
            times.unwrap_or_else(|wrong| panic!("a good member's request: {wrong}"))
        })
    }

    fn ask_until(&mut self, over: &Over) -> Result<Vec<Duration>, String> {
        let (clients, pace, over) = (std::mem::take(&mut self.clients), self.pace, over.0.clone());
        let (clients, times) = self.runtime.block_on(async {
            let (mut asking, mut clients_left, mut times) = (JoinSet::new(), Vec::new(), Vec::new());
            let count = u32::try_from(clients.len()).unwrap_or(u32::MAX);
            // Not all of them at once.
            for (client, number) in clients.into_iter().zip(0_u32..) {
                let first = Instant::now() + pace * number / count;
                asking.spawn(ask_from(client, first, pace, over.clone()));
            }
            while let Some(ended) = asking.join_next().await {
                let (client, took) = ended.map_err(|error| format!("a good client ended: {error}"))??;
                clients_left.push(client);
                times.extend(took);
            }
            Ok::<_, String>((clients_left, times))
        })?;
        self.clients = clients;
        Ok(times)
    }
}

/// Set when an attack is over: its last part was dropped.
#[derive(Clone, Default)]
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Asks at its pace until it is over.
async fn ask_from<C: Client>(
    mut client: C,
    first: Instant,
    pace: Duration,
    over: Arc<AtomicBool>,
) -> Result<(C, Vec<Duration>), String> {
    let (mut times, mut free) = (Vec::new(), first);
    // One that is late is sent at once: the pace does not give way to a host that is slow.
    let mut interval = interval_at(first, pace);
    while !over.load(Ordering::SeqCst) {
        let due = interval.tick().await;
        // One that had to wait for the one before took so much longer. A timer that is late is no fault of the host.
        let begun = if free > due { due } else { Instant::now() };
        let asked = timeout(BOUND, client.ask()).await;
        asked.unwrap_or_else(|_| Err(format!("no answer within {BOUND:?}")))?;
        free = Instant::now();
        times.push(free - begun);
    }
    Ok((client, times))
}

/// Sends a request that has to be answered with 200; the body.
///
/// # Errors
/// What came instead.
pub async fn answered(request: Asked) -> Result<String, String> {
    let answer = request.send().await.map_err(|error| format!("no answer: {error:?}"))?;
    let (status, path) = (answer.status(), answer.url().path().to_owned());
    let body = answer.text().await.map_err(|error| format!("{path}: half an answer: {error:?}"))?;
    if status == 200 { Ok(body) } else { Err(format!("{path}: {status} {body}")) }
}

/// A member who reads the own profile, again and again.
struct Reader(Member);

impl Client for Reader {
    async fn ask(&mut self) -> Result<(), String> {
        answered(self.0.get("/profile/view")).await.map(drop)
    }
}

fn readers(member: &Member) -> Crowd<Reader> {
    Crowd::new(READS, || async { (0..READERS).map(|_| Reader(member.elsewhere())).collect() })
}

/// The middle one.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
