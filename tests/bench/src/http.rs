//! Requests a second of the routes that front ends ask most: of components, of their native twins in the same server, and of
//! any other servers with the same contract, side by side in rounds.

use std::sync::Arc;
use std::time::Duration;

use e2e::Stack;

use crate::load::{self, CONNECTIONS, Get, Until};
use crate::machine::Usage;
use crate::members::{self, HISTORY, Members, OTHERS, READERS};
use crate::own_host::OwnHost;
use crate::report::{Report, Row};
use crate::spread::{Rounds, Spread};
use crate::{stack, twins};

/// Rounds that are measured, and how long each side is asked in one.
const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_secs(2);
/// Before the first round, for caches and connections.
const WARM_UP: Duration = Duration::from_secs(1);

/// A route that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Healthz,
    Profile,
    Connections,
    History,
    Feed,
    Ranked,
}

impl Route {
    const ALL: [Route; 6] =
        [Route::Healthz, Route::Profile, Route::Connections, Route::History, Route::Feed, Route::Ranked];

    fn name(self) -> &'static str {
        match self {
            Route::Healthz => "healthz",
            Route::Profile => "own profile",
            Route::Connections => "connections",
            Route::History => "history of 50",
            Route::Feed => "feed",
            Route::Ranked => "ranked feed",
        }
    }

    /// For a reader whose pair's other one this is.
    fn path(self, other: &str) -> String {
        match self {
            Route::Healthz => "/healthz".to_owned(),
            Route::Profile => "/profile/view".to_owned(),
            Route::Connections => "/user/connections".to_owned(),
            Route::History => format!("/chat/{other}/history?limit=50"),
            Route::Feed => "/feed".to_owned(),
            Route::Ranked => "/feed?ml=true".to_owned(),
        }
    }

    /// The host answers it without a component.
    fn is_own(self) -> bool {
        self == Route::Healthz
    }
}

/// A server that is asked.
struct Side {
    name: String,
    address: String,
    /// What stands before each path.
    prefix: &'static str,
    members: Members,
    /// The process, where it is ours.
    process: Option<u32>,
}

impl Side {
    /// A request of each reader.
    fn requests(&self, route: Route) -> anyhow::Result<Arc<[Get]>> {
        let of_pair = |[one, other]: [e2e::network::Account; 2]| {
            [(one.token.clone(), other.id.clone()), (other.token, one.id)].map(|(token, other)| {
                let path = format!("{}{}", self.prefix, route.path(&other));
                load::get(&self.address, &path, (!route.is_own()).then_some(token.as_str()))
            })
        };
        self.members.pairs().into_iter().flat_map(of_pair).collect()
    }
}

/// What was seen of one side on one route.
#[derive(Default)]
struct Figures {
    rates: Vec<f64>,
    times: Vec<u64>,
    used: Usage,
}

/// Runs all of it: some minutes, and for each other server one more to sign members up.
pub(crate) fn measure(real: bool, against: &[String]) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let stack = stack(real)?;
    let rows = runtime.block_on(all(&stack, against))?;
    let about = vec![
        format!(
            "{CONNECTIONS} kept connections of one client process, as {READERS} members in turn, in a network of {} with {} \
             connections each and {HISTORY} messages a pair. {ROUNDS} rounds of {TIME:?} after one of {WARM_UP:?}; in a round the \
             sides come one after the other.",
            READERS + OTHERS,
            members::CONNECTIONS
        ),
        "`native` is the component's route without a component: the same server, session check, cache and queries, by the bench's \
         own code; of the ranked feed without the scores. `of this` is DevConnect's rate by that of the side."
            .to_owned(),
        "CPU, page faults, waits (voluntary switches of a thread) and file calls (read and write system calls on what is no \
         socket) are the server's, a request."
            .to_owned(),
    ];
    Ok(Report { bench: "http", engine: engine(real), about, rows })
}

/// What our side runs on.
pub(crate) fn engine(real: bool) -> &'static str {
    if real { "Redis, MongoDB, Kafka" } else { "embedded" }
}

async fn all(stack: &Stack, against: &[String]) -> anyhow::Result<Vec<Row>> {
    let members = Members::sow(stack, "bench").await?;
    let own = OwnHost::start(stack, "bench").await?;
    let (address, process) = (load::address(&own.url)?, Some(own.id()));
    let side = |name: &str, prefix| Side {
        name: name.to_owned(),
        address: address.clone(),
        prefix,
        members: members.clone(),
        process,
    };
    let mut sides = vec![side("DevConnect", ""), side("native", twins::PREFIX)];
    for url in against {
        let members = Members::through_api(url).await?;
        sides.push(Side { name: url.clone(), address: load::address(url)?, prefix: "", members, process: None });
    }
    let mut rows = Vec::new();
    for route in Route::ALL {
        let sides: Vec<&Side> = sides.iter().filter(|side| !route.is_own() || side.prefix.is_empty()).collect();
        eprintln!("{} of {} sides, {ROUNDS} rounds…", route.name(), sides.len());
        rows.extend(measured(route, &sides).await?);
    }
    Ok(rows)
}

/// The rows of a route, one a side. Another server that does not answer it has a row that says so.
async fn measured(route: Route, sides: &[&Side]) -> anyhow::Result<Vec<Row>> {
    let (mut able, mut unable) = (Vec::with_capacity(sides.len()), Vec::new());
    for &side in sides {
        let requests = side.requests(route)?;
        match load::drive(&side.address, &requests, Until::Time(WARM_UP)).await {
            Ok(_) => able.push((side, requests, Figures::default())),
            Err(error) if side.process.is_none() => {
                let row = Row::default().with("route", route.name()).with("side", side.name.as_str());
                unable.push(row.with("failed", format!("{error:#}")));
            }
            Err(error) => return Err(error),
        }
    }
    for round in 0..ROUNDS {
        // Each comes first about as often as the others.
        let first = round % able.len().max(1);
        for at in (first..able.len()).chain(0..first) {
            let Some((side, requests, figures)) = able.get_mut(at) else { continue };
            let before = side.process.and_then(Usage::of);
            let seen = load::drive(&side.address, requests, Until::Time(TIME)).await?;
            if let (Some(before), Some(after)) = (before, side.process.and_then(Usage::of)) {
                figures.used = figures.used.plus(after.since(before));
            }
            figures.rates.push(seen.rate());
            figures.times.extend(seen.times);
        }
    }
    let ours = able.first().map_or(0.0, |(_, _, figures)| Rounds::of(&figures.rates).median);
    let rows = able.into_iter().map(|(side, _, figures)| row(route, side, figures, ours));
    Ok(rows.chain(unable).collect())
}

fn row(route: Route, side: &Side, figures: Figures, ours: f64) -> Row {
    let (rates, used, count) = (Rounds::of(&figures.rates), figures.used, figures.times.len().max(1) as f64);
    let times = Spread::of(figures.times);
    let a_request = |used: f64| side.process.map(|_| used / count);
    Row::default()
        .with("route", route.name())
        .with("side", side.name.as_str())
        .with_speed("requests/s", &rates, &times, ours)
        .with_some("CPU µs", a_request(used.cpu.as_secs_f64() * 1e6))
        .with_some("page faults", a_request(used.page_faults as f64))
        .with_some("waits", a_request(used.waits as f64))
        .with_some("file calls", a_request(used.file_calls as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_but_the_hosts_own_has_a_session() {
        let own: Vec<&str> = Route::ALL.into_iter().filter(|route| route.is_own()).map(Route::name).collect();
        assert_eq!(own, ["healthz"]);
        assert_eq!(Route::History.path("64b7"), "/chat/64b7/history?limit=50");
    }
}
