//! Flights: of concurrent reads of one missing key one goes to Redis, and all get its answer (single flight).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::{Error, ReadVersion};

type Answer = Result<Option<Bytes>, Error>;

/// The reads in flight, by key.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<String, Flight>>);

struct Flight {
    /// A read that starts after the key has changed does not join: the answer may be older.
    version: ReadVersion,
    answer: watch::Receiver<Option<Answer>>,
}

impl Flights {
    /// The answer of `flight`, or of one that is in flight for this key already.
    pub(super) async fn join(&self, key: &str, version: ReadVersion, flight: impl Future<Output = Answer>) -> Answer {
        let (sender, receiver) = watch::channel(None);
        let others = match self.flights().entry(key.to_owned()) {
            Entry::Occupied(other) if other.get().version == version => Some(other.get().answer.clone()),
            Entry::Occupied(mut older) => {
                older.insert(Flight { version, answer: receiver });
                None
            }
            Entry::Vacant(none) => {
                none.insert(Flight { version, answer: receiver });
                None
            }
        };
        if let Some(mut answer) = others {
            match answer.wait_for(Option::is_some).await.map(|answer| answer.clone()) {
                Ok(Some(answer)) => return answer,
                // The reader was dropped: the others read for themselves.
                Ok(None) | Err(_) => return flight.await,
            }
        }
        let _guard = FlightGuard { flights: self, key, version };
        let answer = flight.await;
        sender.send_replace(Some(answer.clone()));
        answer
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<String, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a flight on drop.
struct FlightGuard<'a> {
    flights: &'a Flights,
    key: &'a str,
    version: ReadVersion,
}

impl Drop for FlightGuard<'_> {
    fn drop(&mut self) {
        let mut flights = self.flights.flights();
        if flights.get(self.key).is_some_and(|flight| flight.version == self.version) {
            flights.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn one_of_many_flies() {
        let (flights, flown) = (Flights::default(), AtomicU32::new(0));
        let flight = || async {
            flown.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(Some(Bytes::from_static(b"v")))
        };
        let early = ReadVersion::default();
        let all = (0..10).map(|_| flights.join("k", early, flight()));
        for answer in futures_util::future::join_all(all).await {
            assert_eq!(answer, Ok(Some(Bytes::from_static(b"v"))));
        }
        assert_eq!(flown.load(Ordering::Relaxed), 1);
        let later = ReadVersion::later();
        let _ = tokio::join!(flights.join("k", early, flight()), flights.join("k", later, flight()));
        assert_eq!(flown.load(Ordering::Relaxed), 3, "who asks after a change asks anew");
        assert!(flights.flights().is_empty());
    }
}
