//! What a host holds of the machine's memory: idle, and after log-ins, messages and requests; and once more, to see whether it
//! grows. The host is the built binary in a process of its own.

use std::time::Duration;

use anyhow::ensure;
use e2e::memory::{peak, resident};
use e2e::{Expected, Member, PASSWORD, Server, ServerOptions, Stack};
use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::chat::Chat;
use crate::http::engine;
use crate::load::{self, Get, Until};
use crate::members::Members;
use crate::report::{Report, Row};
use crate::stack;

/// What is done in a round.
const LOG_INS: usize = 1_000;
const MESSAGES: usize = 10_000;
const REQUESTS: usize = 100_000;
const ROUNDS: usize = 2;
/// Log-ins at once, and the accounts that they are of.
const AT_ONCE: usize = 8;
const ACCOUNTS: usize = 10;
/// An account is logged into a hundred times in a minute or two.
const CONFIG: &str = "[settings]\n\"limits.logins\" = \"off\"\n";
/// Memory is looked at when it has been the same, within a hundredth, for so long; and after so long in any case.
const STILL: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs all of it: some minutes.
pub(crate) fn measure(real: bool) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let stack = stack(real)?;
    let rows = runtime.block_on(all(&stack))?;
    let about = vec![format!(
        "The resident memory of the built host in a process of its own, with {} components, once it has been still for {STILL:?}. \
         A round is {LOG_INS} log-ins with a password, {MESSAGES} messages of 20 pairs, each after its echo, and {REQUESTS} \
         requests over {} connections.",
        components(),
        load::CONNECTIONS
    )];
    Ok(Report { bench: "memory", engine: engine(real), about, rows })
}

/// How many components are built, all of which the host serves.
fn components() -> usize {
    let files = std::fs::read_dir(e2e::root().join("target/components")).into_iter().flatten().flatten();
    files.filter(|file| file.path().extension().is_some_and(|extension| extension == "wasm")).count()
}

async fn all(stack: &Stack) -> anyhow::Result<Vec<Row>> {
    let members = Members::sow(stack, "memory").await?;
    let options = ServerOptions {
        environment: vec![("DEVCONNECT_LOG", "error".to_owned())],
        config: Some(CONFIG),
        expects: vec![Expected::Anything],
        ..ServerOptions::default()
    };
    let server = stack.start_with("memory", options).await;
    let address = load::address(&server.url)?;
    let mut rows = vec![row(&server, "idle").await];
    let mut accounts = Vec::with_capacity(ACCOUNTS);
    for number in 0..ACCOUNTS {
        let name = format!("Logs{}", char::from(b'a' + u8::try_from(number)?));
        accounts.push(Member::sign_up(&server.url, &name).await.email);
    }
    let requests = requests(&address, &members)?;
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}: {LOG_INS} log-ins…");
        let logging_in = accounts.iter().cycle().take(LOG_INS).map(|email| log_in(&server.url, email));
        futures_util::stream::iter(logging_in).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        rows.push(row(&server, &format!("round {round}, log-ins")).await);
        eprintln!("{MESSAGES} messages…");
        let pairs = members.pairs();
        let mut chat = Chat::open(&address, &pairs).await?;
        chat.talk(Until::Count(MESSAGES / pairs.len())).await?;
        let lost = chat.close().await;
        ensure!(lost == 0, "{lost} messages did not come to the other one");
        rows.push(row(&server, &format!("round {round}, messages")).await);
        eprintln!("{REQUESTS} requests…");
        load::drive(&address, &requests, Until::Count(REQUESTS)).await?;
        rows.push(row(&server, &format!("round {round}, requests")).await);
    }
    Ok(rows)
}

/// Of each reader: those that front ends ask most.
fn requests(address: &str, members: &Members) -> anyhow::Result<std::sync::Arc<[Get]>> {
    let mut requests = Vec::new();
    for [one, other] in members.pairs() {
        for (me, other) in [(&one, &other), (&other, &one)] {
            let history = format!("/chat/{}/history", other.id);
            for path in ["/profile/view", "/user/connections", history.as_str(), "/feed"] {
                requests.push(load::get(address, path, Some(&me.token))?);
            }
        }
    }
    Ok(requests.into())
}

async fn log_in(url: &str, email: &str) -> anyhow::Result<()> {
    match Member::try_log_in(url, email, PASSWORD).await {
        Ok(_) => Ok(()),
        Err(refused) => anyhow::bail!("{email} can't log in: {refused:?}"),
    }
}

/// What the host holds once it is still.
async fn row(server: &Server, after: &str) -> Row {
    let begun = tokio::time::Instant::now();
    let mut held = resident(server.id());
    while begun.elapsed() < PATIENCE {
        tokio::time::sleep(STILL).await;
        let before = std::mem::replace(&mut held, resident(server.id()));
        if before.abs_diff(held) <= before / 100 {
            break;
        }
    }
    let mib = |kib: u64| kib as f64 / 1_024.0;
    Row::default().with("after", after).with("resident MiB", mib(held)).with("peak MiB", mib(peak(server.id())))
}
