//! The queue of passwords: so many are hashed at once, and callers wait in turns.
//!
//! A caller is the network that a request comes from. Each has a line of its own, and the lines are served in turns, so that a
//! caller that sends many passwords waits behind its own. When the queue is full, a caller with fewer in it takes the place of the
//! newest one of the caller with most.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot::{Receiver, Sender, channel};

/// The queue.
pub(super) struct Queue {
    state: Mutex<State>,
    /// How many run at once.
    parallel: usize,
    /// How many may wait.
    waiting: usize,
}

#[derive(Default)]
struct State {
    running: usize,
    /// Those that wait, by caller. One without any has no line.
    lines: HashMap<String, VecDeque<Sender<Permit>>>,
    /// The callers with a line, in the order of their turns.
    turns: VecDeque<String>,
}

/// One that may run. When it is dropped the next one may.
pub(super) struct Permit(Arc<Queue>);

impl Queue {
    /// An empty one.
    pub(super) fn new(parallel: usize, waiting: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), parallel: parallel.max(1), waiting })
    }

    /// Waits for the caller's turn. None when the queue is full, or a caller with fewer in it took the place.
    pub(super) async fn enter(self: &Arc<Self>, caller: &str) -> Option<Permit> {
        match self.join(caller)? {
            Joined::Runs(permit) => Some(permit),
            Joined::Waits(turn) => turn.await.ok(),
        }
    }

    fn join(self: &Arc<Self>, caller: &str) -> Option<Joined> {
        let mut state = self.state();
        if state.running < self.parallel {
            // With a free place none waits.
            state.running += 1;
            drop(state);
            return Some(Joined::Runs(Permit(self.clone())));
        }
        if !state.has_room(self.waiting, caller) {
            return None;
        }
        Some(Joined::Waits(state.append(caller)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a caller is in the queue.
enum Joined {
    Runs(Permit),
    Waits(Receiver<Permit>),
}

impl State {
    fn waiting(&self) -> usize {
        self.lines.values().map(VecDeque::len).sum()
    }

    fn append(&mut self, caller: &str) -> Receiver<Permit> {
        let (sender, receiver) = channel();
        let line = self.lines.entry(caller.to_owned()).or_default();
        if line.is_empty() {
            self.turns.push_back(caller.to_owned());
        }
        line.push_back(sender);
        receiver
    }

    /// Whether one more of the caller may wait, where `most` may. In a full queue the caller with most makes room, if it has more
    /// than this one would have.
    fn has_room(&mut self, most: usize, caller: &str) -> bool {
        if self.waiting() < most {
            return true;
        }
        // Those whose callers have given up take no place.
        for line in self.lines.values_mut() {
            line.retain(|waiting| !waiting.is_closed());
        }
        self.close_empty();
        if self.waiting() < most {
            return true;
        }
        let own = self.lines.get(caller).map_or(0, VecDeque::len);
        let longest = self.lines.iter().max_by_key(|(_, line)| line.len());
        let longest = longest.filter(|(_, line)| line.len() > own + 1).map(|(caller, _)| caller.clone());
        let Some(longest) = longest else { return false };
        if let Some(line) = self.lines.get_mut(&longest) {
            // The newest learns that it has to come again; others of its line go on waiting.
            line.pop_back();
        }
        true
    }

    /// Removes the lines without anybody, and their turns.
    fn close_empty(&mut self) {
        self.lines.retain(|_, line| !line.is_empty());
        let lines = &self.lines;
        self.turns.retain(|caller| lines.contains_key(caller));
    }

    /// Takes the next one that still waits, in the order of turns.
    fn pop(&mut self) -> Option<Sender<Permit>> {
        while let Some(caller) = self.turns.pop_front() {
            let Some(line) = self.lines.get_mut(&caller) else { continue };
            let first = line.pop_front();
            if line.is_empty() {
                self.lines.remove(&caller);
            } else {
                self.turns.push_back(caller);
            }
            if let Some(first) = first.filter(|first| !first.is_closed()) {
                return Some(first);
            }
        }
        None
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let next = {
            let mut state = self.0.state();
            let next = state.pop();
            if next.is_none() {
                state.running = state.running.saturating_sub(1);
            }
            next
        };
        if let Some(next) = next {
            // A permit whose waiter is gone is dropped, and so passes to the next one.
            let _ = next.send(Permit(self.0.clone()));
        }
    }
}

/// The caller of a client's address: whoever has one address of IPv6 has a whole network (/64) of them. What is no address is a
/// caller like others.
pub(super) fn caller(client: &str) -> String {
    match client.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let [network @ .., _, _, _, _] = address.segments();
            network.map(|segment| format!("{segment:x}")).join(":")
        }
        Ok(address) => address.to_string(),
        Err(_) => client.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that waits, as its future would.
    fn waits(queue: &Arc<Queue>, caller: &str) -> Option<Receiver<Permit>> {
        match queue.join(caller)? {
            Joined::Waits(turn) => Some(turn),
            Joined::Runs(_) => panic!("somebody runs already"),
        }
    }

    fn runs(queue: &Arc<Queue>, caller: &str) -> Permit {
        match queue.join(caller) {
            Some(Joined::Runs(permit)) => permit,
            _ => panic!("nobody runs yet"),
        }
    }

    #[test]
    fn callers_take_turns_however_many_each_sends() {
        let queue = Queue::new(1, 64);
        let first = runs(&queue, "a");
        let mut waiting: Vec<(&str, Receiver<Permit>)> =
            ["a", "a", "a", "a", "b", "c", "b"].map(|caller| (caller, waits(&queue, caller).unwrap())).into();
        let mut order = Vec::new();
        let mut running = Some(first);
        while running.take().is_some() {
            let next = waiting.iter_mut().position(|(_, turn)| match turn.try_recv() {
                Ok(permit) => {
                    running = Some(permit);
                    true
                }
                Err(_) => false,
            });
            order.extend(next.map(|place| waiting.remove(place).0));
        }
        assert_eq!(order, ["a", "b", "c", "a", "b", "a", "a"]);
        assert_eq!(queue.state().running, 0);
    }

    #[test]
    fn a_full_queue_has_a_place_for_who_has_few_in_it() {
        let queue = Queue::new(1, 4);
        let _running = runs(&queue, "a");
        let mut of_a: Vec<_> = (0..4).map(|_| waits(&queue, "a").unwrap()).collect();
        assert!(waits(&queue, "a").is_none(), "the one who filled it has no further place");
        let _of_b = [waits(&queue, "b").unwrap(), waits(&queue, "b").unwrap()];
        let gone: Vec<bool> = of_a.iter_mut().map(is_over).collect();
        assert_eq!(gone, [false, false, true, true], "the newest of who has most are displaced");
        assert!(waits(&queue, "b").is_none(), "of two who have as many nobody is displaced");
        let _of_c = [waits(&queue, "c").unwrap(), waits(&queue, "d").unwrap()];
        assert!(waits(&queue, "e").is_none(), "one each is fair");
    }

    /// Whether nobody will ever call it.
    fn is_over(turn: &mut Receiver<Permit>) -> bool {
        matches!(turn.try_recv(), Err(tokio::sync::oneshot::error::TryRecvError::Closed))
    }

    #[test]
    fn who_gives_up_takes_no_place_and_no_turn() {
        let queue = Queue::new(1, 2);
        let running = runs(&queue, "a");
        let given_up = [waits(&queue, "a").unwrap(), waits(&queue, "b").unwrap()];
        drop(given_up);
        let mut last = [waits(&queue, "c").unwrap(), waits(&queue, "c").unwrap()];
        assert_eq!(queue.state().waiting(), 2);
        drop(running);
        let permit = last[0].try_recv().unwrap();
        // A permit that was handed over to who has gone meanwhile goes on as well.
        let [_, second] = last;
        drop(permit);
        drop(second);
        assert_eq!(queue.state().running, 0);
        assert_eq!(queue.state().waiting(), 0);
        drop(runs(&queue, "d"));
    }

    #[test]
    fn a_network_is_one_caller() {
        assert_eq!(caller("2001:db8:1:2:3:4:5:6"), caller("2001:db8:1:2::1"));
        assert_ne!(caller("2001:db8:1:2::1"), caller("2001:db8:1:3::1"));
        assert_eq!((caller("::ffff:10.1.2.3"), caller("")), ("10.1.2.3".to_owned(), String::new()));
    }
}
