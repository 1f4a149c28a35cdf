//! A host of the bench's own program, in a process of its own: the host as the binary puts it together, with the native twins
//! beside the components' routes.

use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::Context as _;
use devconnect::config::Config;
use devconnect::{Host, HostOptions};
use e2e::Stack;
use http::Request;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use trigger::listener::{Listener, RequestBody};

use crate::twins::{PREFIX, Twins};

/// The hidden command that serves.
pub(crate) const COMMAND: &str = "host";

/// A running one. It ends when this is dropped.
pub(crate) struct OwnHost {
    process: Child,
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
}

impl OwnHost {
    /// Starts it on the stores of a stack, and waits until it serves.
    pub(crate) async fn start(stack: &Stack, host: &str) -> anyhow::Result<Self> {
        let data = stack.prepared(host).await;
        let mut process = Command::new(std::env::current_exe()?)
            .arg(COMMAND)
            .arg("--data")
            .arg(data)
            .env_clear()
            .env("JWT_SECRET", e2e::JWT_SECRET)
            .envs(stack.environment().iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().context("its output is piped")?;
        let mut own = Self { process, url: String::new() };
        let mut said = BufReader::new(stdout).lines();
        let line = said.next().context("the bench's own host ended before it served")??;
        own.url = line;
        Ok(own)
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for OwnHost {
    fn drop(&mut self) {
        // The end of its input ends it well. It may be gone already.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Serves until standard input ends.
pub(crate) fn serve(data: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let config = Config::read(None)?;
    let listening = config.listener.clone();
    let components = e2e::root().join("target/components");
    let host = {
        let _inside = runtime.enter();
        Host::open(HostOptions::new(config, components.clone(), Some(data.to_owned())))?
    };
    let served = runtime.block_on(async move {
        host.prepare(false).await?;
        host.deployments.start(&components).await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("http://{}", listener.local_addr()?);
        host.consume();
        let shared = host.registry.engine().shared();
        let side = Listener::new(listening, shared.capabilities.refusals.clone());
        let (twins, http) = (Arc::new(Twins::of(shared.clone())), host.http.clone());
        let respond = move |request: Request<RequestBody>, peer| {
            let (twins, http) = (twins.clone(), http.clone());
            async move {
                if !request.uri().path().starts_with(PREFIX) {
                    return http.respond(request, peer).await;
                }
                let (parts, body) = request.into_parts();
                drop(body);
                twins.respond(&parts.uri, &parts.headers).await
            }
        };
        let ended = async {
            let mut rest = Vec::new();
            // An input that can't be read has ended as well.
            let _ = tokio::io::stdin().read_to_end(&mut rest).await;
        };
        side.serve(listener, respond, ended, std::future::ready(())).await?;
        host.close().await;
        anyhow::Ok(())
    });
    // Reading standard input has a thread that need not be waited for.
    runtime.shutdown_background();
    served
}
