//! Good requests beside an attack: all of them are answered, and how soon.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use e2e::Member;

/// Quiet and attack take turns: other tenants of a machine come and go, and would be taken for one or the other.
pub const ROUNDS: usize = 3;
/// Between two good requests of each client: 500 a second together.
const PACE: Duration = Duration::from_millis(8);
/// Good clients.
const CLIENTS: usize = 4;
/// Nobody waits longer, on whatever machine.
const BOUND: Duration = Duration::from_secs(5);

/// The p99 of good requests, the medians of some rounds.
#[derive(Debug, Clone, Copy)]
pub struct Beside {
    /// Without the attack.
    pub quiet: Duration,
    /// With it.
    pub attacked: Duration,
}

impl Beside {
    /// Prints both. Where `DEVCONNECT_MEASURE` is set, they must be within `times` of each other and `most`.
    pub fn check(self, what: &str, times: u32, most: Duration) {
        let Self { quiet, attacked } = self;
        let ratio = attacked.as_secs_f64() / quiet.as_secs_f64();
        eprintln!("{what}: good requests' p99 {quiet:.1?} quiet, {attacked:.1?} beside it ({ratio:.1} times)");
        if std::env::var_os("DEVCONNECT_MEASURE").is_some() {
            assert!(attacked <= quiet * times && attacked <= most, "{attacked:?} beside {what}, {quiet:?} quiet");
        }
    }
}

/// Good requests of a member, quiet and beside what `attack` makes, in rounds. An attack ends when it is over by itself.
pub async fn beside<A: Future<Output = ()>>(
    member: &Member,
    length: Duration,
    mut attack: impl FnMut() -> A,
) -> Beside {
    let (mut quiet, mut attacked) = (Vec::new(), Vec::new());
    let part = length / u32::try_from(ROUNDS).unwrap_or(1);
    for _ in 0..ROUNDS {
        quiet.push(p99(during(member, tokio::time::sleep(part)).await));
        attacked.push(p99(during(member, attack()).await));
    }
    Beside { quiet: median(quiet), attacked: median(attacked) }
}

/// The times of good requests while `work` goes on. Each must be answered with 200.
pub async fn during(member: &Member, work: impl Future<Output = ()>) -> Vec<Duration> {
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(requests(member.clone(), stop.clone()))).collect();
    work.await;
    stop.store(true, Ordering::SeqCst);
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await.expect("a good client that goes on"));
    }
    times
}

async fn requests(member: Member, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let mut times = Vec::new();
    // One that is late is sent at once: the pace does not give way to a host that is slow.
    let mut pace = tokio::time::interval(PACE);
    while !stop.load(Ordering::SeqCst) {
        pace.tick().await;
        let begun = Instant::now();
        let answer = member.get("/profile/view").timeout(BOUND).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("a good request after {:?}: {error:?}", begun.elapsed()));
        assert_eq!(answer.status().as_u16(), 200, "a good request among bad ones");
        answer.bytes().await.expect("a whole answer");
        times.push(begun.elapsed());
    }
    times
}

/// The time that one of a hundred takes longer than.
pub fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

/// The middle one.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
