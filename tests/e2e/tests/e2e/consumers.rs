//! Consumers whose subscription ends by itself, and whose component is away for a moment: no event is lost, and nobody has to
//! start the host again. On a host in this process, with a log that does what a test says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bson::doc;
use capability::documents::{Commit, Filter, Query};
use capability::events::{Error, Event, EventLog, Next, Record, Start, Subscription, TopicPartition};
use capability::passwords::{Cost, MIN_OLD_COST};
use devconnect::config::Config;
use devconnect::{Host, HostOptions};
use e2e::{json, seed};
use tempfile::TempDir;
use tokio::sync::watch;
use trigger::event::EventTrigger;

const PATIENCE: Duration = Duration::from_secs(60);
const TOPIC: &str = "user-events";
/// Counts what it is told, in order.
const CONSUMING: &str = "consuming";
/// Another consumer.
const COUNTING: &str = "counting";

/// A log whose subscriptions a test controls, by their groups.
struct Controlled {
    inner: Arc<dyn EventLog>,
    groups: Mutex<BTreeMap<String, Arc<Control>>>,
}

/// What a test says about the subscriptions of a group, and what became of them.
struct Control {
    subscribed: AtomicUsize,
    delivered: AtomicUsize,
    closing: AtomicUsize,
    /// Ends the first subscription when it has delivered something, as a fatal error does.
    ends: AtomicBool,
    /// Nothing is delivered.
    held: watch::Sender<bool>,
    /// No subscription is closed.
    open: watch::Sender<bool>,
}

impl Controlled {
    fn of(&self, group: &str) -> Arc<Control> {
        let new = || {
            Arc::new(Control {
                subscribed: AtomicUsize::new(0),
                delivered: AtomicUsize::new(0),
                closing: AtomicUsize::new(0),
                ends: AtomicBool::new(false),
                held: watch::Sender::new(false),
                open: watch::Sender::new(false),
            })
        };
        self.groups.lock().unwrap().entry(group.to_owned()).or_insert_with(new).clone()
    }
}

#[async_trait]
impl EventLog for Controlled {
    async fn read(&self, topic: &str, partition: u32, offset: u64, max: u32) -> Result<Vec<Record>, Error> {
        self.inner.read(topic, partition, offset, max).await
    }

    async fn bounds(&self, topic: &str) -> Result<Vec<(u64, u64)>, Error> {
        self.inner.bounds(topic).await
    }

    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<Option<u64>>, Error> {
        self.inner.committed(group, topic).await
    }

    async fn subscribe(&self, group: &str, topics: &[String], start: Start) -> Result<Box<dyn Subscription>, Error> {
        let (inner, control) = (self.inner.subscribe(group, topics, start).await?, self.of(group));
        let is_first = control.subscribed.fetch_add(1, Ordering::SeqCst) == 0;
        Ok(Box::new(ControlledSubscription { inner, control, is_first, ended: AtomicBool::new(false) }))
    }
}

struct ControlledSubscription {
    inner: Box<dyn Subscription>,
    control: Arc<Control>,
    is_first: bool,
    ended: AtomicBool,
}

#[async_trait]
impl Subscription for ControlledSubscription {
    async fn next(&self) -> Result<Next, Error> {
        let has_delivered = self.control.delivered.load(Ordering::SeqCst) > 0;
        if self.is_first && has_delivered && self.control.ends.load(Ordering::SeqCst) {
            self.ended.store(true, Ordering::SeqCst);
        }
        if self.ended.load(Ordering::SeqCst) {
            return Err(Error::Unavailable("a fatal error".to_owned()));
        }
        let next = self.inner.next().await;
        // Held here: a poll may have begun long before it is to be held.
        drop(self.control.held.subscribe().wait_for(|held| !held).await);
        if matches!(next, Ok(Next::Records(..))) {
            self.control.delivered.fetch_add(1, Ordering::SeqCst);
        }
        next
    }

    async fn commit(&self, partition: &TopicPartition, offset: u64) -> Result<bool, Error> {
        self.inner.commit(partition, offset).await
    }

    fn pause(&self, partition: &TopicPartition) {
        self.inner.pause(partition);
    }

    fn resume(&self, partition: &TopicPartition) {
        self.inner.resume(partition);
    }

    fn is_closed(&self) -> bool {
        self.ended.load(Ordering::SeqCst) || self.inner.is_closed()
    }

    async fn close(&self) {
        self.control.closing.fetch_add(1, Ordering::SeqCst);
        drop(self.control.open.subscribe().wait_for(|open| !open).await);
        self.inner.close().await;
    }
}

/// A host with consumers on a controlled log.
struct Site {
    host: Host,
    log: Arc<Controlled>,
    _data: TempDir,
}

impl Site {
    async fn open(components: &[&str]) -> (Self, EventTrigger) {
        let data = TempDir::new().unwrap();
        seed::sow(data.path());
        let passwords = Cost { memory_kib: 64, passes: 1, parallel: 2, waiting: 64, old_cost: MIN_OLD_COST };
        let options = HostOptions::new(Config::default(), harness::components_folder(), Some(data.path().to_owned()));
        let host = Host::open(HostOptions { passwords, ..options }).unwrap_or_else(|error| panic!("{error}"));
        host.prepare(false).await.unwrap();
        for component in components {
            host.registry.deploy(&harness::wasm(component)).unwrap();
        }
        let log = Arc::new(Controlled { inner: host.events.clone(), groups: Mutex::default() });
        let trigger = EventTrigger::start(host.registry.clone(), log.clone());
        let site = Self { host, log, _data: data };
        for component in components {
            site.until("it is subscribed", || site.log.of(component).subscribed.load(Ordering::SeqCst) == 1).await;
        }
        (site, trigger)
    }

    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn publish(&self, n: i64) {
        let value = json!({ "eventType": "DO", "userId": "u", "data": { "what": "count", "n": n } }).to_string();
        let event = Event {
            id: format!("event-{n}"),
            topic: TOPIC.to_owned(),
            key: "key".to_owned(),
            kind: "DO".to_owned(),
            value: value.into_bytes(),
            headers: Vec::new(),
            at: 1_768_478_400_000,
        };
        self.host.documents.commit(Commit { writes: Vec::new(), events: vec![event] }).await.unwrap();
    }

    /// Waits until these were counted, in this order and once each.
    async fn until_counted(&self, expected: &[i64]) {
        let begun = Instant::now();
        loop {
            let by_key = Filter::from_document(&doc! { "_id": "key" }).unwrap();
            let found = self.host.documents.find(Query::all("useractivity", by_key)).await.unwrap();
            let order = found.first().and_then(|row| row.get_array("order").ok());
            let order: Vec<i64> = order.into_iter().flatten().filter_map(|n| n.ok()?.as_i64()).collect();
            if order == expected {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{order:?} were counted, not {expected:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_whose_subscription_has_ended_subscribes_again() {
    let (site, trigger) = Site::open(&[CONSUMING]).await;
    let control = site.log.of(CONSUMING);
    control.ends.store(true, Ordering::SeqCst);
    for n in 1..=3 {
        site.publish(n).await;
        site.until_counted(&(1..=n).collect::<Vec<_>>()).await;
    }
    assert_eq!(control.subscribed.load(Ordering::SeqCst), 2, "once more, and that one stays");
    trigger.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_while_a_component_is_absent_is_told_when_it_is_back() {
    let (site, trigger) = Site::open(&[CONSUMING, COUNTING]).await;
    let (consuming, counting) = (site.log.of(CONSUMING), site.log.of(COUNTING));
    let served = site.host.registry.served(CONSUMING).unwrap();
    consuming.held.send_replace(true);
    site.publish(1).await;
    // The host is busy with the consumer of another component, which takes its time to end.
    counting.open.send_replace(true);
    site.host.registry.serve(vec![served.clone()]);
    site.until("the other one ends", || counting.closing.load(Ordering::SeqCst) > 0).await;
    // Meanwhile the component is removed, is told something, and is deployed again.
    site.host.registry.serve(Vec::new());
    consuming.held.send_replace(false);
    site.until("it joins its group anew", || consuming.subscribed.load(Ordering::SeqCst) > 1).await;
    site.host.registry.serve(vec![served]);
    site.publish(2).await;
    counting.open.send_replace(false);
    site.until_counted(&[1, 2]).await;
    trigger.stop().await;
}
