//! Flights: of concurrent reads of one missing key one goes to Redis, and all get its answer (single flight).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::{Error, ReadVersion};

type Answer = Result<Option<Bytes>, Error>;

/// The reads in flight, by key. A clone has the same.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<String, Flight>>>);

struct Flight {
    /// A read that starts after the key has changed does not join: the answer may be older.
    version: ReadVersion,
    answer: watch::Receiver<Option<Answer>>,
}

impl Flights {
    /// The answer of `flight`, or of one that is in flight for this key already. A flight is a task of its own: others wait for
    /// it, whatever becomes of the call that began it, and however seldom that is polled.
    pub(super) async fn join(
        &self,
        key: &str,
        version: ReadVersion,
        flight: impl Future<Output = Answer> + Send + 'static,
    ) -> Answer {
        let mut answer = match self.of(key, version) {
            Joined::Other(answer) => answer,
            Joined::Own(sender, answer) => {
                let guard = FlightGuard { flights: self.clone(), key: key.to_owned(), version };
                tokio::spawn(async move {
                    let answer = flight.await;
                    // First, so that a later read asks anew.
                    drop(guard);
                    sender.send_replace(Some(answer));
                });
                answer
            }
        };
        match answer.wait_for(Option::is_some).await.map(|answer| answer.clone()) {
            Ok(Some(answer)) => answer,
            Ok(None) | Err(_) => Err(Error::Away("a read broke off".to_owned())),
        }
    }

    fn of(&self, key: &str, version: ReadVersion) -> Joined {
        let mut flights = self.flights();
        if let Some(other) = flights.get(key).filter(|other| other.version == version) {
            return Joined::Other(other.answer.clone());
        }
        let (sender, answer) = watch::channel(None);
        flights.insert(key.to_owned(), Flight { version, answer: answer.clone() });
        Joined::Own(sender, answer)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<String, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The flight of a read: one that was there, or a new one with what sends its answer.
enum Joined {
    Other(watch::Receiver<Option<Answer>>),
    Own(watch::Sender<Option<Answer>>, watch::Receiver<Option<Answer>>),
}

/// Removes a flight on drop.
struct FlightGuard {
    flights: Flights,
    key: String,
    version: ReadVersion,
}

impl Drop for FlightGuard {
    fn drop(&mut self) {
        let mut flights = self.flights.flights();
        if flights.get(&self.key).is_some_and(|flight| flight.version == self.version) {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn one_of_many_flies() {
        let (flights, flown) = (Flights::default(), Arc::new(AtomicU32::new(0)));
        let flight = || {
            let flown = flown.clone();
            async move {
                flown.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok(Some(Bytes::from_static(b"v")))
            }
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

    #[tokio::test]
    async fn a_flight_goes_on_without_the_call_that_began_it() {
        let flights = Flights::default();
        let (land, landed) = tokio::sync::oneshot::channel::<()>();
        let flight = async move {
            let _ = landed.await;
            Ok(Some(Bytes::from_static(b"v")))
        };
        let begun = tokio::time::timeout(
            std::time::Duration::from_millis(20),
            flights.join("k", ReadVersion::default(), flight),
        );
        assert!(begun.await.is_err(), "the call that began it is gone");
        let second = flights.join("k", ReadVersion::default(), async { Err(Error::Away("it was not joined".into())) });
        let (answer, ()) = tokio::join!(second, async { drop(land) });
        assert_eq!(answer, Ok(Some(Bytes::from_static(b"v"))));
    }
}
