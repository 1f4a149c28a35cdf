//! Flights: of those who miss the same value at the same time one asks Redis, and all get its answer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::capability::redis::{Asked, Error};

type Answer = Result<Option<Bytes>, Error>;

/// Who is on the way.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<String, Flight>>);

struct Flight {
    /// Who came after the key has changed does not go along: the answer may be older.
    asked: Asked,
    answer: watch::Receiver<Option<Answer>>,
}

impl Flights {
    /// The answer of `flight`, or of one that is on the way for this key already.
    pub(super) async fn join(&self, key: &str, asked: Asked, flight: impl Future<Output = Answer>) -> Answer {
        let (sender, receiver) = watch::channel(None);
        let others = match self.flights().entry(key.to_owned()) {
            Entry::Occupied(other) if other.get().asked == asked => Some(other.get().answer.clone()),
            Entry::Occupied(mut older) => {
                older.insert(Flight { asked, answer: receiver });
                None
            }
            Entry::Vacant(none) => {
                none.insert(Flight { asked, answer: receiver });
                None
            }
        };
        if let Some(mut answer) = others {
            match answer.wait_for(Option::is_some).await.map(|answer| answer.clone()) {
                Ok(Some(answer)) => return answer,
                // Whoever flew gave up: everyone asks for himself.
                Ok(None) | Err(_) => return flight.await,
            }
        }
        let _landing = Landing { flights: self, key, asked };
        let answer = flight.await;
        sender.send_replace(Some(answer.clone()));
        answer
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<String, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a flight off the list, however it ends.
struct Landing<'a> {
    flights: &'a Flights,
    key: &'a str,
    asked: Asked,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        let mut flights = self.flights.flights();
        if flights.get(self.key).is_some_and(|flight| flight.asked == self.asked) {
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
        let early = Asked::default();
        let all = (0..10).map(|_| flights.join("k", early, flight()));
        for answer in futures_util::future::join_all(all).await {
            assert_eq!(answer, Ok(Some(Bytes::from_static(b"v"))));
        }
        assert_eq!(flown.load(Ordering::Relaxed), 1);
        let later = Asked::later();
        let _ = tokio::join!(flights.join("k", early, flight()), flights.join("k", later, flight()));
        assert_eq!(flown.load(Ordering::Relaxed), 3, "who asks after a change asks anew");
        assert!(flights.flights().is_empty());
    }
}
