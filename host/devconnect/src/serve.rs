//! `devconnect serve`: runs a host with its two listeners, from start to shutdown.

#![expect(clippy::print_stdout, reason = "a command line talks to its user")]

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use admin::{Admin, Token};
use clap::Args;
use engine::Compiling;
use trigger::http::serve;
use trigger::listener::{Listener, ListenerOptions};

use crate::config::{Config, ConfigError};
use crate::secrets::Secrets;
use crate::{Host, HostOptions};

/// How a host serves.
#[derive(Args)]
pub(crate) struct Serve {
    /// The folder with application.toml, and the components that are deployed unless they ever were.
    #[arg(long, value_name = "DIR")]
    components: PathBuf,
    /// Where everything that lasts is kept; one host at a time.
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// The port to listen on.
    #[arg(long, env = "PORT", default_value_t = 3000)]
    port: u16,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    address: IpAddr,
    /// The port of the operator's side: metrics at /metrics.
    #[arg(long, env = "ADMIN_PORT", default_value_t = 3001)]
    admin_port: u16,
    /// The address of the operator's side. It is not meant for the world.
    #[arg(long, default_value = "127.0.0.1")]
    admin_address: IpAddr,
    /// Serve every component or refuse to start. Without it, a component that can't be served is reported and left out.
    #[arg(long)]
    strict: bool,
    /// Look once more for documents of an earlier version that lack derived fields, after some were imported.
    #[arg(long)]
    fill_again: bool,
    /// Further settings; see docs/operating.md.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Serves until Ctrl-C or SIGTERM.
pub(crate) fn run(arguments: Serve) -> anyhow::Result<()> {
    let started = Instant::now();
    allow_open_files();
    keep_to_itself();
    let mut config = Config::read(arguments.config.as_deref())?;
    config.strict |= arguments.strict;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let components = arguments.components.clone();
    let secrets = Secrets::new(Some(arguments.data.join("secrets")), config.production);
    let guard = runtime.enter();
    let listening = config.listener.clone();
    let options = HostOptions::new(config, components, Some(arguments.data.clone()));
    let host = Host::open(HostOptions { compiling: Compiling::Apart, ..options })?;
    let token = token(&secrets)?;
    drop(guard);
    runtime.block_on(host.prepare(arguments.fill_again))?;
    let count = runtime.block_on(host.deployments.start(&arguments.components))?;
    runtime.block_on(async move {
        let listener = listen(arguments.address, arguments.port, "--port or PORT").await?;
        let admin = listen(arguments.admin_address, arguments.admin_port, "--admin-port or ADMIN_PORT").await?;
        let refusals = &host.registry.engine().shared().capabilities.refusals;
        let public_side = Arc::new(Listener::new(listening, refusals.clone()));
        let admin_side = Arc::new(Listener::new(ListenerOptions::for_operators(), refusals.clone()));
        let sides = vec![("public", public_side.clone()), ("admin", admin_side.clone())];
        let operator = Admin::new(&host.operated(), token, sides);
        println!(
            "DevConnect serves {count} components on http://{} after {:.0?}",
            listener.local_addr()?,
            started.elapsed()
        );
        for store in host.stores.iter() {
            println!("  {:<10} {}", store.capability, store.engine);
        }
        println!("  admin      http://{}", admin.local_addr()?);
        println!("  data       {}", arguments.data.display());
        let failing = host.registry.failing().names();
        if !failing.is_empty() {
            println!("  not served {}; `devconnect components` says why", failing.join(", "));
        }
        println!("Ctrl-C ends it gracefully.");
        let admin = tokio::spawn(async move {
            if let Err(error) = operator.serve(admin, &admin_side, std::future::pending()).await {
                tracing::error!("the operator's side is not served: {error}");
            }
        });
        host.consume();
        let served = serve(listener, &public_side, host.http.clone(), shutdown_signal()).await;
        admin.abort();
        host.close().await;
        served?;
        println!("All requests are finished. Goodbye.");
        anyhow::Ok(())
    })
}

async fn listen(address: IpAddr, port: u16, option: &str) -> anyhow::Result<tokio::net::TcpListener> {
    let address = SocketAddr::new(address, port);
    let listener = tokio::net::TcpListener::bind(address).await;
    listener.map_err(|error| anyhow::anyhow!("can't listen on {address}: {error}; choose another {option}"))
}

/// Waits for Ctrl-C or SIGTERM; after that, another Ctrl-C ends the process at once.
async fn shutdown_signal() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => _ = signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
}

/// `DEVCONNECT_ADMIN_TOKEN`, or the token generated into the data folder, in production too: the admin listener is not public,
/// and who can read the folder can read the data anyway.
fn token(secrets: &Secrets) -> Result<Token, ConfigError> {
    let token = secrets.token(Token::VARIABLE, Token::FILE)?;
    // A command that presents it has left out what an editor or a file ends with.
    Ok(Token::from_bytes(token.trim_ascii()))
}

/// What is written without `capability::files`, by a library, is not for others either, whatever the umask was.
fn keep_to_itself() {
    _ = rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// Raises the soft limit of open files to the hard limit: every connection is an open file.
fn allow_open_files() {
    let resource = rustix::process::Resource::Nofile;
    let limit = rustix::process::getrlimit(resource);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = rustix::process::setrlimit(resource, raised) {
        tracing::warn!(%error, allowed = ?limit.current, "the number of open files stays as it is");
    }
}
