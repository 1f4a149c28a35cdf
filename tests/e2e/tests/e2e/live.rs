//! The live part: the official JavaScript client against the real binary, and a component that is replaced under it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails where it stands"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use capability::passwords::{Cost, MIN_OLD_COST};
use devconnect::config::Config;
use devconnect::{Host, HostOptions};
use e2e::{ServerOptions, Stack, Value, json, network, node, on_both_stacks, seed, with_fixture};
use engine::Outcome;
use tempfile::TempDir;
use trigger::http::serve;
use trigger::listener::{Listener, ListenerOptions};

/// One file at a time: they are load, and clients have a patience that a stack shared with another one may outlast.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Runs a file of `node:test` against a host.
async fn run(stack: Stack, file: &'static str, options: ServerOptions) {
    let _turn = TURN.lock().await;
    let server = stack.start_with("host", options).await;
    // Fewer at once, and a tenth of the messages, where a database shares the cores with everything else: with all of them
    // (they pass on a quiet machine) a neighbour's load makes a commit take longer than a caller waits, which is an honest
    // refusal. Forty senders leave such a database no room: 113 messages a second, and every wait is a third of a second.
    let (pairs, messages) = if stack.has("MONGODB_URI") { ("8", "50") } else { ("20", "500") };
    let ended = tokio::task::spawn_blocking(move || {
        node::test(file, &[&server.url], &[("DEVCONNECT_PAIRS", pairs), ("DEVCONNECT_MESSAGES", messages)]);
        server.interrupt()
    });
    assert!(ended.await.unwrap(), "the host ends well with sockets open");
}

on_both_stacks! {
    the_official_client_over_every_transport,
    limits_have_a_defined_outcome,
    rooms_and_acknowledgements,
    what_happens_is_notified,
}

async fn the_official_client_over_every_transport(stack: Stack) {
    run(stack, "live.test.mjs", ServerOptions::default()).await;
}

/// Attack (API4): more sockets, messages and bytes than a member may have, and a client that reads nothing. Outcome:
/// refused in words, or the connection is cut and nothing is lost.
async fn limits_have_a_defined_outcome(stack: Stack) {
    // A client that does not read hears no ping either: it is to be cut off before it gives up by itself.
    let config = "[sockets]\nper-user = 4\nburst = 200\npace = 1000\nunread = 1024\nping-seconds = 80\n";
    run(stack, "limits.test.mjs", ServerOptions { config: Some(config), ..ServerOptions::default() }).await;
}

async fn rooms_and_acknowledgements(stack: Stack) {
    let components = with_fixture("rooms");
    let options = ServerOptions { components: Some(components.path().to_owned()), ..ServerOptions::default() };
    run(stack, "rooms.test.mjs", options).await;
}

async fn what_happens_is_notified(stack: Stack) {
    run(stack, "notifications.test.mjs", ServerOptions::default()).await;
}

mod redis_cluster {
    use super::{Stack, rooms_and_acknowledgements, the_official_client_over_every_transport};

    /// Embedded but for a Redis Cluster of three masters.
    async fn stack() -> Option<Stack> {
        let url = tokio::task::spawn_blocking(conformance::servers::redis_cluster_url).await.unwrap()?;
        Some(Stack::embedded().with("REDIS_URL", Some(url)))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_official_client() {
        if let Some(stack) = stack().await {
            the_official_client_over_every_transport(stack).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rooms() {
        if let Some(stack) = stack().await {
            rooms_and_acknowledgements(stack).await;
        }
    }
}

/// The same component under another version, and so with another hash.
fn version(wasm: &[u8], number: u8) -> Vec<u8> {
    let old = b"version = \"1.0.0\"";
    let at = wasm.windows(old.len()).position(|window| window == old).expect("the manifest names its version");
    let mut new = wasm.to_vec();
    new[at + old.len() - 2] = b'0' + number;
    new
}

fn host(data: &Path) -> Host {
    seed::sow(data);
    let passwords = Cost { memory_kib: 64, passes: 1, parallel: 2, waiting: 64, old_cost: MIN_OLD_COST };
    let components = harness::components_folder();
    let options = HostOptions::new(Config::default(), components, Some(data.to_owned()));
    Host::open(HostOptions { passwords, ..options }).unwrap_or_else(|error| panic!("{error}"))
}

/// A thousand sockets, messages flowing, and their component replaced nine times: no socket drops, no message is lost.
#[test]
fn a_component_is_replaced_under_a_thousand_sockets() {
    const PAIRS: usize = 500;
    let data = TempDir::new().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let host = {
        let _inside = runtime.enter();
        host(data.path())
    };
    host.registry.deploy_folder(&harness::components_folder()).unwrap();
    let first = host.registry.component("messaging").unwrap();
    let pairs = runtime.block_on(network::pairs(&host, PAIRS));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let trigger = host.http.clone();
    let serving = runtime.spawn(async move {
        let side = Listener::new(ListenerOptions::default(), Arc::default());
        let shutdown = async { _ = ended.await };
        serve(listener, &side, trigger, shutdown).await.unwrap();
    });

    let mut swarm = node::node().arg("swarm.mjs").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = swarm.stdin.take().unwrap();
    let mut lines = BufReader::new(swarm.stdout.take().unwrap()).lines();
    let mut heard = |what: &str| assert_eq!(lines.next().unwrap().unwrap(), what);
    writeln!(input, "{}", json!({ "url": url, "transports": ["websocket"], "pairs": pairs })).unwrap();
    heard("ready");
    heard("going");
    let wasm = harness::wasm("messaging");
    let answered = |component: &Arc<engine::Loaded>| component.counts.of(Outcome::Answered);
    let mut versions = vec![first];
    for number in 1..=9 {
        let before = versions.last().unwrap();
        let deployed = host.registry.deploy(&version(&wasm, number)).unwrap();
        assert_ne!(deployed.sha256, before.sha256);
        // The next one follows when this one has answered its share.
        while answered(&deployed) < 500 {
            std::thread::yield_now();
        }
        versions.push(deployed);
    }
    writeln!(input, "stop").unwrap();
    let counted: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert!(swarm.wait().unwrap().success());
    println!("{counted}, by version: {:?}", versions.iter().map(answered).collect::<Vec<_>>());
    let count = |name: &str| counted[name].as_u64().unwrap();
    assert_eq!((count("dropped"), count("refused"), count("disordered")), (0, 0, 0), "{counted}");
    assert_eq!(count("open"), 2 * PAIRS as u64);
    assert_eq!((count("acknowledged"), count("received")), (count("sent"), count("sent")), "{counted}");
    let all = versions.iter().map(answered).sum::<u64>();
    assert!(all >= count("sent"), "{all} calls were answered");
    end.send(()).unwrap();
    runtime.block_on(serving).unwrap();
}
