//! A campaign: the kinds take turns by their weights, on a few lanes at once, and what comes of each is counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::aim::{Aim, Target};
use super::lane::{Lane, slow};
use super::{Came, Kind, Shot, Way, kinds};

/// Attackers at once: more than keep two cores busy. What they wait for waits in the host, in front of good requests.
const LANES: usize = 16;
/// How many bytes of a hostile thing are shown.
const SHOWN: usize = 2_000;
/// After so many wrong outcomes it is over.
const ENOUGH: u64 = 200;

/// A campaign against one host.
pub struct Campaign {
    target: Target,
    seed: u64,
    kinds: Vec<Kind>,
    /// The kind of each turn, by its place among the kinds.
    turns: Vec<usize>,
    next: AtomicU64,
    wrong: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    counts: BTreeMap<(usize, Came), u64>,
    /// The first wrong outcome of each kind.
    faults: BTreeMap<usize, String>,
    /// What waits until the host gives up.
    slow: JoinSet<()>,
    took: Duration,
}

impl Campaign {
    /// Of all kinds. The same seed makes the same things in the same order.
    pub fn new(target: Target, seed: u64) -> Arc<Self> {
        let kinds = kinds();
        let turns = turns(&kinds);
        let (next, wrong, state) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::default());
        Arc::new(Self { target, seed, kinds, turns, next, wrong, state })
    }

    /// Sends so many more, and waits for what comes of them; of the slow ones, in [`Campaign::finish`].
    ///
    /// # Panics
    /// When there is no connection to the host.
    pub async fn send(self: &Arc<Self>, count: u64) {
        let begun = Instant::now();
        let end = self.next.load(Ordering::SeqCst) + count;
        let mut lanes = JoinSet::new();
        for lane in 0..LANES {
            let campaign = self.clone();
            lanes.spawn(async move { campaign.lane(lane, end).await });
        }
        while let Some(ended) = lanes.join_next().await {
            ended.expect("an attacker who goes on");
        }
        // Each lane has taken one more that it did not send.
        self.next.store(end, Ordering::SeqCst);
        self.state().took += begun.elapsed();
    }

    /// Waits for what came of the slow ones.
    ///
    /// # Panics
    /// When there is no connection to the host.
    pub async fn finish(&self) {
        let mut slow = std::mem::take(&mut self.state().slow);
        while let Some(ended) = slow.join_next().await {
            ended.expect("an attacker who goes on");
        }
    }

    /// How many of a hundred show a session.
    pub fn sessions(&self) -> u32 {
        let all: u32 = self.kinds.iter().map(|kind| kind.weight).sum();
        let with_one: u32 = self.kinds.iter().filter(|kind| kind.session).map(|kind| kind.weight).sum();
        100 * with_one / all
    }

    /// How many came of all kinds, and of the kind of which fewest came.
    pub fn counted(&self) -> (u64, u64) {
        let state = self.state();
        let of = |kind: usize| -> u64 {
            state.counts.range((kind, Came::Status(0))..=(kind, Came::Nothing)).map(|(_, count)| count).sum()
        };
        let counts: Vec<u64> = (0..self.kinds.len()).map(of).collect();
        (counts.iter().sum(), counts.iter().min().copied().unwrap_or_default())
    }

    /// What came of each kind, a line each.
    pub fn table(&self) -> String {
        let state = self.state();
        let total: u64 = state.counts.values().sum();
        let rate = total as f64 / state.took.as_secs_f64();
        let mut table = format!("{total} in {:.1?}, {rate:.0} a second; DEVCONNECT_SEED={}\n", state.took, self.seed);
        for (at, kind) in self.kinds.iter().enumerate() {
            let came = state.counts.range((at, Came::Status(0))..=(at, Came::Nothing));
            let came: Vec<String> = came.map(|((_, came), count)| format!("{came} {count}")).collect();
            let session = if kind.session { "session" } else { "" };
            let _ = writeln!(table, "  {:<44} {session:<8} {}", kind.name, came.join(", "));
        }
        table
    }

    /// What came that may not come, the first of each kind; empty when all is well.
    pub fn faults(&self) -> String {
        let state = self.state();
        let faults: Vec<&str> = state.faults.values().map(String::as_str).collect();
        faults.join("\n")
    }

    async fn lane(self: &Arc<Self>, lane: usize, end: u64) {
        let mut counts = BTreeMap::<(usize, Came), u64>::new();
        let of_lane = self.target.members.get(lane % self.target.members.len()).expect("a member who attacks");
        let mut attacker = Lane::new(&self.target.host, &of_lane.token);
        while self.wrong.load(Ordering::Relaxed) < ENOUGH {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if number >= end {
                break;
            }
            let (at, kind) = self.turn(number);
            let mut aim = Aim::new(self.seed, number, &self.target);
            let shot = (kind.make)(&mut aim);
            if shot.way == Way::Slow {
                self.wait_slowly(number, shot);
                continue;
            }
            let came = attacker.send(&shot, &aim.member.token).await;
            *counts.entry((at, came)).or_default() += 1;
            self.judge(number, &shot, came);
        }
        self.add(counts);
    }

    /// The kind of a number, and its place.
    fn turn(&self, number: u64) -> (usize, &Kind) {
        let turn = usize::try_from(number % self.turns.len() as u64).unwrap_or_default();
        let at = self.turns.get(turn).copied().unwrap_or_default();
        (at, self.kinds.get(at).expect("there are kinds"))
    }

    fn wait_slowly(self: &Arc<Self>, number: u64, shot: Shot) {
        let campaign = self.clone();
        self.state().slow.spawn(async move {
            let came = slow(&campaign.target.host, &shot.bytes).await;
            campaign.add(BTreeMap::from([((campaign.turn(number).0, came), 1)]));
            campaign.judge(number, &shot, came);
        });
    }

    fn add(&self, counts: BTreeMap<(usize, Came), u64>) {
        let mut state = self.state();
        for (key, count) in counts {
            *state.counts.entry(key).or_default() += count;
        }
    }

    /// Keeps what may not come.
    fn judge(&self, number: u64, shot: &Shot, came: Came) {
        let (at, kind) = self.turn(number);
        if kind.may.contains(&came) {
            return;
        }
        self.wrong.fetch_add(1, Ordering::Relaxed);
        let fault = || {
            let shown = shot.bytes.get(..SHOWN).unwrap_or(&shot.bytes).escape_ascii();
            let (length, way, name, may) = (shot.bytes.len(), shot.way, kind.name, kind.may);
            let seed = self.seed;
            format!(
                "{name}: {came} came, it may be {may:?}; number {number} of DEVCONNECT_SEED={seed}, {way:?}, {length} bytes: \
                 {shown}"
            )
        };
        self.state().faults.entry(at).or_insert_with(fault);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A round of turns, in which each kind comes as often as it weighs, as evenly as can be.
fn turns(kinds: &[Kind]) -> Vec<usize> {
    let mut places = Vec::new();
    for (at, kind) in kinds.iter().enumerate() {
        places.extend((0..kind.weight).map(|turn| ((f64::from(turn) + 0.5) / f64::from(kind.weight), at)));
    }
    places.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    places.into_iter().map(|(_, at)| at).collect()
}
