//! The guard: what a request and a message cost in figures that are the same in each run. A figure that grows fails here; one
//! that falls is a line to be changed.

#![allow(clippy::unwrap_used, reason = "a test")]

use e2e::{Stack, json};
use http::Method;

use crate::in_process::InProcess;
use crate::members::{self, READERS};

/// How many more host calls than the table says are allowed: a random number that is drawn anew, a clock that is read again. Of
/// what the store is asked nothing more is.
const SLACK: u64 = 1;
/// Each is done so often first, so that everything is cached that ever is, and then measured.
const BEFORE: usize = 3;

/// What one request or message costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    /// Calls of the component into the host.
    host_calls: u64,
    /// Finds, counts and distincts that the document store is asked.
    queries: u64,
    /// Commits, and the writes and events in them.
    commits: u64,
    writes: u64,
    events: u64,
}

/// Something that costs.
#[derive(Debug, Clone, Copy)]
enum What {
    Get(&'static str),
    /// The history with the other one of the pair.
    History,
    Edit,
    Message,
}

/// Whoever changes a figure says in the commit why it is worth it.
const TABLE: [(&str, What, Cost); 7] = [
    ("own profile", What::Get("/profile/view"), reads(1, 0)),
    ("connections", What::Get("/user/connections"), reads(2, 2)),
    ("history of 50", What::History, reads(2, 1)),
    ("feed", What::Get("/feed"), reads(7, 6)),
    // One more since it is looked whether a ranking is kept.
    ("ranked feed", What::Get("/feed?ml=true"), reads(6, 5)),
    ("profile edit", What::Edit, Cost { host_calls: 4, queries: 1, commits: 1, writes: 1, events: 0 }),
    ("message", What::Message, Cost { host_calls: 9, queries: 2, commits: 1, writes: 2, events: 1 }),
];

const fn reads(host_calls: u64, queries: u64) -> Cost {
    Cost { host_calls, queries, commits: 0, writes: 0, events: 0 }
}

impl Cost {
    /// Whether this is more than a line of the table allows.
    fn is_over(self, line: Self) -> bool {
        let of_store = |cost: Self| [cost.queries, cost.commits, cost.writes, cost.events];
        self.host_calls > line.host_calls + SLACK
            || of_store(self).into_iter().zip(of_store(line)).any(|(found, allowed)| found > allowed)
    }
}

async fn perform(host: &InProcess, what: What, number: i64) {
    let readers = &host.members.readers;
    let (me, other) = (readers.first().unwrap(), readers.get(1).unwrap());
    match what {
        What::Get(path) => drop(host.ask(Method::GET, path, me, None).await.unwrap()),
        What::History => {
            drop(host.ask(Method::GET, &format!("/chat/{}/history", other.id), me, None).await.unwrap());
        }
        What::Edit => {
            let edit = json!({ "about": members::text(number) });
            drop(host.ask(Method::PATCH, "/profile/edit", me, Some(edit)).await.unwrap());
        }
        What::Message => host.write(me, &other.id, &members::text(number)).await.unwrap(),
    }
}

async fn cost(host: &InProcess, what: What) -> Cost {
    for number in 0..BEFORE {
        perform(host, what, 1_000 + number as i64).await;
    }
    let (calls, tally) = (host.host_calls(), host.tally());
    perform(host, what, 2_000).await;
    let asked = host.tally().since(tally);
    Cost {
        host_calls: host.host_calls() - calls,
        queries: asked.queries,
        commits: asked.commits,
        writes: asked.writes,
        events: asked.events,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_and_no_message_costs_more_than_it_did() {
    let stack = Stack::embedded();
    let host = InProcess::open(&stack, READERS).await.unwrap();
    let (mut over, mut under) = (Vec::new(), Vec::new());
    for (name, what, line) in TABLE {
        let found = cost(&host, what).await;
        if found.is_over(line) {
            over.push(format!("{name}: {found:?}, and the table has {line:?}"));
        } else if found != line {
            under.push(format!("{name}: {found:?}, and the table has {line:?}"));
        }
    }
    host.host.close().await;
    if !under.is_empty() {
        eprintln!("the table can have these figures:\n{}", under.join("\n"));
    }
    assert!(over.is_empty(), "more than before:\n{}", over.join("\n"));
}

#[test]
fn more_is_seen_in_every_figure() {
    let line = Cost { host_calls: 4, queries: 1, commits: 1, writes: 1, events: 1 };
    assert!(!line.is_over(line) && !Cost { host_calls: 4 + SLACK, queries: 0, ..line }.is_over(line));
    for over in [
        Cost { host_calls: 5 + SLACK, ..line },
        Cost { queries: 2, ..line },
        Cost { commits: 2, ..line },
        Cost { writes: 2, ..line },
        Cost { events: 2, ..line },
    ] {
        assert!(over.is_over(line), "{over:?}");
    }
}
