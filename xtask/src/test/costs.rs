//! What jobs take of the machine and how long they were, measured on two cores. Who adds a test that mostly waits, or that
//! is disturbed by others, gives its module a line here.

use super::schedule::{Claim, Cost};

/// It looks at the machine's memory or time, and would measure the others, too.
const ALONE: Cost = Cost::Alone;
/// It has bounds in seconds that a machine with other work does not keep: beside it there is room for what waits.
const BOTH: Cost = Cost::Halves(4);
/// It computes. As good as anything else keeps a core.
const CORE: Cost = Cost::Halves(2);
/// It computes about as much as it waits.
const HALF: Cost = Cost::Halves(1);
/// It waits.
const NONE: Cost = Cost::Halves(0);

/// Of a job that has no line: it may compute.
const UNKNOWN: (Cost, u64) = (CORE, 30);

/// By the job's name: how much, and about how many seconds.
const TABLE: &[(&str, Cost, u64)] = &[
    ("lint", CORE, 90),
    ("examples", CORE, 60),
    // They measure the host and the times of good requests.
    ("hostile/components", ALONE, 30),
    ("hostile/members", ALONE, 15),
    ("hostile/sockets", ALONE, 30),
    ("hostile/mixed", ALONE, 45),
    ("hostile/strangers", ALONE, 110),
    // It waits for connections to be closed.
    ("hostile/smuggling", NONE, 10),
    ("hostile/files", HALF, 10),
    // They wait for servers that do not answer.
    ("hostile/fetching", NONE, 15),
    ("store-http", NONE, 10),
    // The order of messages and the swarm are among them: they want a quiet machine.
    ("e2e/live", ALONE, 120),
    ("e2e/fuzz", CORE, 300),
    ("e2e/watching", CORE, 50),
    ("e2e/canary", CORE, 30),
    ("e2e/deploy", CORE, 30),
    ("e2e/product", CORE, 30),
    ("e2e/files", HALF, 20),
    // Two browsers, and what they wait for is seen.
    ("e2e/browser", ALONE, 150),
    ("e2e/draining", NONE, 40),
    ("e2e/mail", NONE, 40),
    ("e2e/neighbours", HALF, 40),
    // It looks at the memory of a host.
    ("e2e/memory", ALONE, 40),
    ("e2e/outages", HALF, 15),
    ("conformance/documents_property", CORE, 30),
    ("conformance/changes_property", CORE, 30),
    ("conformance/kafka_away", HALF, 30),
    ("conformance/kafka_topics", HALF, 60),
    ("conformance/mongodb_away", NONE, 30),
    ("conformance/mongodb_cut", NONE, 15),
    ("conformance/redis_away", NONE, 30),
    ("conformance/presence", NONE, 30),
    ("conformance/slow_fills", NONE, 30),
    ("conformance/invalidations", HALF, 15),
    // They look at the memory of hosts.
    ("faults/deploys", ALONE, 160),
    ("faults/crashes", CORE, 260),
    // They have servers and hosts of their own, and say how long those may take.
    ("faults/faults", BOTH, 190),
    ("faults/schedules", BOTH, 100),
    // Nothing but with `--full`: then an hour on each kind of stores, and memory is looked at.
    ("faults/soak", ALONE, 30),
];

/// What the job of this name takes. `cargo`: it is a call of cargo, which holds the target folder's lock.
pub(super) fn of(name: &str, cargo: bool) -> Claim {
    let known = TABLE.iter().find(|(known, ..)| *known == name).map(|(_, cost, seconds)| (*cost, *seconds));
    let (cost, seconds) = known.unwrap_or(UNKNOWN);
    Claim { cost, seconds, cargo }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_has_one_line_or_none() {
        assert_eq!(of("faults/crashes", false), Claim { cost: CORE, seconds: 260, cargo: false });
        assert_eq!(of("lint", true), Claim { cost: CORE, seconds: 90, cargo: true });
        assert_eq!(of("e2e/new", false), Claim { cost: CORE, seconds: 30, cargo: false });
        for (at, (name, ..)) in TABLE.iter().enumerate() {
            assert!(TABLE.iter().skip(at + 1).all(|(other, ..)| other != name), "{name} has two lines");
        }
    }
}
