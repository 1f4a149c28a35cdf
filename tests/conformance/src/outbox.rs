//! The cases of an outbox and of the store that fills it. Whoever has both can run them: they know the traits only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bson::{Bson, doc};
use capability::documents::{Commit, Documents};
use capability::events::{Outbox, SHARDS, Waiting, shard};

use crate::documents::{event, insert};

/// An outbox under test. The store's schema is that of [`crate::documents::schema`], its topics those beside it.
#[derive(Clone)]
pub struct Subject {
    /// What is committed to.
    pub documents: Arc<dyn Documents>,
    /// What then waits.
    pub outbox: Arc<dyn Outbox>,
}

impl Subject {
    async fn commit(&self, events: &[(&str, &str)]) {
        let events = events.iter().map(|(id, key)| event(id, key)).collect();
        self.documents.commit(Commit { writes: Vec::new(), events }).await.unwrap();
    }

    async fn ids(&self, shard: u32, max: u32) -> Vec<String> {
        let waiting = self.outbox.waiting(shard, max).await.unwrap();
        waiting.into_iter().map(|waiting| waiting.event.id).collect()
    }

    async fn all(&self) -> Vec<Waiting> {
        let mut all = Vec::new();
        for shard in 0..SHARDS {
            all.extend(self.outbox.waiting(shard, 1_000).await.unwrap());
        }
        all
    }
}

/// Asks until it is so; panics when it is not within five seconds.
async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(5), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Keys of one shard.
fn keys_of(wanted: u32, count: usize) -> Vec<String> {
    (0..).map(|n| format!("key{n}")).filter(|key| shard(key) == wanted).take(count).collect()
}

/// A lease has one holder, who can lengthen it and give it back.
pub async fn a_lease_has_one_holder(subject: &Subject) {
    let (outbox, long) = (&subject.outbox, Duration::from_secs(60));
    assert_eq!(outbox.lease(3, "a", long).await, Ok(true));
    assert_eq!(outbox.lease(3, "b", long).await, Ok(false));
    assert_eq!(outbox.lease(3, "a", long).await, Ok(true));
    assert_eq!(outbox.lease(4, "b", long).await, Ok(true), "another shard is another lease");
    assert_eq!(outbox.release(3, "b").await, Ok(()));
    assert_eq!(outbox.lease(3, "b", long).await, Ok(false), "only the holder gives it back");
    assert_eq!(outbox.release(3, "a").await, Ok(()));
    assert_eq!(outbox.lease(3, "$b", long).await, Ok(true));
    let tasks = (0..10).map(|n| {
        let outbox = Arc::clone(&subject.outbox);
        tokio::spawn(async move { outbox.lease(7, &n.to_string(), Duration::from_secs(60)).await.unwrap() })
    });
    let mut holders = 0;
    for task in tasks.collect::<Vec<_>>() {
        holders += u32::from(task.await.unwrap());
    }
    assert_eq!(holders, 1);
}

/// A lease ends with its time, and a lengthened one later.
pub async fn a_lease_ends_with_its_time(subject: &Subject) {
    let outbox = &subject.outbox;
    let (short, begun) = (Duration::from_millis(400), Instant::now());
    assert_eq!(outbox.lease(1, "a", short).await, Ok(true));
    assert_eq!(outbox.lease(1, "a", short * 2).await, Ok(true));
    until("the lease does not end", async || outbox.lease(1, "b", short).await.unwrap()).await;
    assert!(begun.elapsed() >= short * 2, "it ended after {:?}", begun.elapsed());
    assert_eq!(outbox.lease(1, "a", short).await, Ok(false));
}

/// A holder extends all its leases at once, and learns which it has; it takes none.
pub async fn leases_are_renewed_together(subject: &Subject) {
    let (outbox, short, long) = (&subject.outbox, Duration::from_millis(400), Duration::from_secs(60));
    for shard in [2, 5, 20] {
        assert_eq!(outbox.lease(shard, "a", short).await, Ok(true));
    }
    assert_eq!(outbox.lease(7, "b", long).await, Ok(true));
    let renewed = async |numbers: &[u32], holder: &str| -> BTreeSet<u32> {
        outbox.renew(numbers, holder, long).await.unwrap().into_iter().collect()
    };
    assert_eq!(renewed(&[2, 5], "a").await, BTreeSet::from([2, 5]));
    assert_eq!(renewed(&[2, 5, 7, 9], "a").await, BTreeSet::from([2, 5]), "neither another's nor a free one");
    assert_eq!(renewed(&[], "a").await, BTreeSet::new());
    until("a lease that was not renewed does not end", async || outbox.lease(20, "b", short).await.unwrap()).await;
    assert_eq!(outbox.lease(2, "b", short).await, Ok(false), "one that was renewed does not end with its first time");
    assert_eq!(outbox.lease(9, "b", short).await, Ok(true));
}

/// The shards of one host's relay ask and delete at the same time, and each gets its own.
pub async fn shards_are_read_at_the_same_time(subject: &Subject) {
    let keys: Vec<String> = (0..SHARDS).flat_map(|shard| keys_of(shard, 3)).collect();
    for round in 0..2 {
        for key in &keys {
            subject.commit(&[(&format!("{key}-{round}"), key)]).await;
        }
    }
    let read = |shard: u32| {
        let outbox = Arc::clone(&subject.outbox);
        tokio::spawn(async move {
            let waiting = outbox.waiting(shard, 100).await.unwrap();
            let rows: Vec<Bson> = waiting.iter().map(|waiting| waiting.row.clone()).collect();
            outbox.done(&rows).await.unwrap();
            waiting
        })
    };
    for (shard, read) in (0..SHARDS).map(|shard| (shard, read(shard))).collect::<Vec<_>>() {
        let waiting = read.await.unwrap();
        assert_eq!(waiting.len(), 6, "{shard}");
        for key in keys_of(shard, 3) {
            let of_key = waiting.iter().filter(|waiting| waiting.event.key == key);
            let ids: Vec<&str> = of_key.map(|waiting| waiting.event.id.as_str()).collect();
            assert_eq!(ids, [format!("{key}-0"), format!("{key}-1")]);
        }
    }
    assert_eq!(subject.all().await, []);
}

/// What waits is what was committed, in order for each key, until it is done.
pub async fn what_was_committed_waits_until_it_is_done(subject: &Subject) {
    subject.commit(&[("e0", "k"), ("e1", "k"), ("e2", "other")]).await;
    subject.commit(&[("e3", "k")]).await;
    let place = shard("k");
    let waiting = subject.outbox.waiting(place, 100).await.unwrap();
    let of_k: Vec<&Waiting> = waiting.iter().filter(|waiting| waiting.event.key == "k").collect();
    let wanted: Vec<_> = ["e0", "e1", "e3"].map(|id| event(id, "k")).into();
    assert_eq!(of_k.iter().map(|waiting| waiting.event.clone()).collect::<Vec<_>>(), wanted);
    assert_eq!(subject.ids(shard("other"), 100).await.iter().filter(|id| *id == "e2").count(), 1);
    let first = of_k[0].row.clone();
    subject.outbox.done(&[first.clone(), first.clone()]).await.unwrap();
    subject.outbox.done(&[first]).await.unwrap();
    subject.outbox.done(&[]).await.unwrap();
    let left = subject.outbox.waiting(place, 100).await.unwrap();
    assert_eq!(left, waiting.iter().filter(|waiting| waiting.event.id != "e0").cloned().collect::<Vec<_>>());
    let rows: Vec<Bson> = subject.all().await.into_iter().map(|waiting| waiting.row).collect();
    subject.outbox.done(&rows).await.unwrap();
    assert_eq!(subject.all().await, []);
    subject.commit(&[("e4", "k")]).await;
    assert_eq!(subject.ids(place, 100).await, ["e4"]);
}

/// A commit that fails leaves nothing that waits, and no gap.
pub async fn a_failed_commit_leaves_nothing(subject: &Subject) {
    let write = || vec![insert("plain", doc! { "_id": 1 })];
    let commit = |id: &str| Commit { writes: write(), events: vec![event(id, "k")] };
    subject.documents.commit(commit("e0")).await.unwrap();
    subject.documents.commit(commit("e1")).await.unwrap_err();
    subject.commit(&[("e2", "k")]).await;
    assert_eq!(subject.ids(shard("k"), 100).await, ["e0", "e2"]);
}

/// A key with many events leaves the others their turn, and gets all there is when nobody else waits.
pub async fn a_busy_key_leaves_the_others_their_turn(subject: &Subject) {
    let keys = keys_of(5, 12);
    for chunk in 0..4 {
        let ids: Vec<String> = (0..100).map(|n| format!("{:03}", chunk * 100 + n)).collect();
        // The first and the last in any order of keys.
        for busy in [&keys[0], &keys[11]] {
            subject.commit(&ids.iter().map(|id| (id.as_str(), busy.as_str())).collect::<Vec<_>>()).await;
        }
    }
    for key in &keys[1..11] {
        subject.commit(&[("quiet", key)]).await;
    }
    let mut quiet = BTreeSet::new();
    // Whatever is done: each quiet key has its turn soon.
    for _ in 0..6 {
        let waiting = subject.outbox.waiting(5, 16).await.unwrap();
        assert!(waiting.len() <= 16);
        in_order(&waiting);
        quiet
            .extend(waiting.into_iter().filter(|waiting| waiting.event.id == "quiet").map(|waiting| waiting.event.key));
    }
    assert_eq!(quiet.len(), 10);
    let waiting = subject.outbox.waiting(5, 500).await.unwrap();
    assert_eq!(waiting.len(), 500, "as many as are asked for");
    in_order(&waiting);
    let one = keys_of(6, 1);
    let ids: Vec<String> = (0..200).map(|n| format!("{n:03}")).collect();
    subject.commit(&ids.iter().map(|id| (id.as_str(), one[0].as_str())).collect::<Vec<_>>()).await;
    assert_eq!(subject.ids(6, 150).await, ids[..150]);
}

/// Of each key the numbers from the first on.
fn in_order(waiting: &[Waiting]) {
    let mut next: BTreeMap<&str, usize> = BTreeMap::new();
    for Waiting { event, .. } in waiting.iter().filter(|waiting| waiting.event.id != "quiet") {
        let next = next.entry(&event.key).or_default();
        assert_eq!(event.id, format!("{next:03}"), "{}", event.key);
        *next += 1;
    }
}

/// Eight writers commit while a reader takes what waits: it sees every event once, and those of a key in the order of
/// their commits.
pub async fn racing_commits_keep_the_order_of_their_keys(subject: &Subject) {
    const WRITERS: usize = 8;
    const EACH: usize = 70;
    let ended = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(drain(subject.clone(), Arc::clone(&ended)));
    let writers = (0..WRITERS).map(|writer| {
        let subject = subject.clone();
        tokio::spawn(async move {
            for n in 0..EACH {
                // A counter in the same commit tells the order of the commits.
                let key = format!("k{}", (writer + n) % 5);
                let count = crate::documents::upserting(crate::documents::update(
                    "plain",
                    &doc! { "_id": &key },
                    &doc! { "$push": { "order": format!("{writer}-{n}") } },
                ));
                let events = vec![event(&format!("{writer}-{n}"), &key)];
                subject.documents.commit(Commit { writes: vec![count], events }).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    ended.store(true, Ordering::SeqCst);
    let seen = reader.await.unwrap();
    assert_eq!(seen.values().map(Vec::len).sum::<usize>(), WRITERS * EACH);
    let found = subject.documents.find(crate::documents::query("plain", &doc! {})).await.unwrap();
    for document in found {
        let key = document.get_str("_id").unwrap().to_owned();
        let order: Vec<&str> =
            document.get_array("order").unwrap().into_iter().map(|id| id.unwrap().as_str().unwrap()).collect();
        assert_eq!(seen.get(&key).unwrap(), &order, "{key}");
    }
}

/// Takes everything until nothing comes any more, by key.
async fn drain(subject: Subject, ended: Arc<AtomicBool>) -> BTreeMap<String, Vec<String>> {
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    loop {
        let last = ended.load(Ordering::SeqCst);
        let mut count = 0;
        for shard in (0..5).map(|n| shard(&format!("k{n}"))).collect::<BTreeSet<_>>() {
            let waiting = subject.outbox.waiting(shard, 20).await.unwrap();
            count += waiting.len();
            let rows: Vec<Bson> = waiting.iter().map(|waiting| waiting.row.clone()).collect();
            for Waiting { event, .. } in waiting {
                seen.entry(event.key).or_default().push(event.id);
            }
            subject.outbox.done(&rows).await.unwrap();
        }
        if last && count == 0 {
            return seen;
        }
    }
}

/// Who waits for a commit is told of it, also of one that was before.
pub async fn a_commit_is_told(subject: &Subject) {
    let told = |subject: &Subject| {
        let outbox = Arc::clone(&subject.outbox);
        async move {
            let shards = tokio::time::timeout(Duration::from_secs(5), outbox.committed()).await;
            shards.is_ok_and(|shards| shards.iter().eq([shard("k")]))
        }
    };
    assert_eq!(subject.outbox.filled().await.unwrap().iter().count(), 0);
    subject.commit(&[("e0", "k")]).await;
    assert!(subject.outbox.filled().await.unwrap().iter().eq([shard("k")]));
    assert!(told(subject).await);
    let waiting = tokio::spawn(told(subject));
    subject.commit(&[("e1", "k")]).await;
    assert!(waiting.await.unwrap());
}

/// What is set aside is counted and kept, and is in nobody's way.
pub async fn what_is_set_aside_waits_for_its_topic(subject: &Subject) {
    let keys = keys_of(5, 2);
    subject.commit(&[("1", &keys[0]), ("2", &keys[1]), ("3", &keys[0])]).await;
    let first: Vec<Bson> = subject
        .outbox
        .waiting(5, 10)
        .await
        .unwrap()
        .into_iter()
        .filter_map(|waiting| (waiting.event.id == "1").then_some(waiting.row))
        .collect();
    subject.outbox.set_aside(&first).await.unwrap();
    subject.outbox.set_aside(&first).await.unwrap();
    let left: BTreeSet<String> = subject.ids(5, 10).await.into_iter().collect();
    assert_eq!(left, BTreeSet::from(["2", "3"].map(str::to_owned)));
    assert_eq!(subject.all().await.len(), 2, "nor is it in another shard");
    assert_eq!(subject.outbox.count().await, Ok(3));
    let rest: Vec<Bson> = subject.all().await.into_iter().map(|waiting| waiting.row).collect();
    subject.outbox.done(&rest).await.unwrap();
    assert_eq!(subject.outbox.filled().await.unwrap().iter().count(), 0);
    assert_eq!(subject.outbox.count().await, Ok(1));
}
