//! The `devconnect` command: arguments and output, no logic.

#![expect(clippy::print_stdout, reason = "a command line talks to its user")]

use std::io::IsTerminal as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use devconnect_host::admin::{Admin, Token};
use devconnect_host::command::{Connection, bundle, deploy, events, show};
use devconnect_host::config::{Config, Secrets};
use devconnect_host::engine::{COMPILE, Compiling, compile_as_child};
use devconnect_host::registry::Manifest;
use devconnect_host::trigger::http::{AcceptOptions, serve};
use devconnect_host::{Host, HostOptions};

/// A host for WebAssembly components.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the components of a folder until Ctrl-C.
    Serve(Serve),
    /// Check the manifest of a component and print what it declares.
    Check {
        /// The component.
        file: PathBuf,
    },
    /// Put a manifest into a component: the one file that deploys.
    Bundle {
        /// The component.
        file: PathBuf,
        /// The manifest; component.toml beside the component, unless it is named.
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
        /// Where to write it; NAME.wasm beside the component, unless it is named.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// What the host has done in a process of its own: a component on standard input to machine code on standard output.
    #[command(name = COMPILE, hide = true)]
    Compile {
        /// For a host without a pool of instances.
        #[arg(long)]
        no_pool: bool,
    },
    /// Look into a running host's events: topics, how far consumers are, dead letters.
    Events {
        #[command(flatten)]
        connection: Connection,
        #[command(subcommand)]
        task: events::Task,
    },
    /// Deploy a component on a running host and on all that share its documents, without a restart.
    Deploy {
        #[command(flatten)]
        connection: Connection,
        /// The component, with its manifest inside.
        file: PathBuf,
        #[command(flatten)]
        how: deploy::How,
    },
    /// Have the canary of a component serve all.
    Promote {
        #[command(flatten)]
        connection: Connection,
        /// The component.
        name: String,
    },
    /// Go back from the canary of a component or, without one, to an earlier version.
    Rollback {
        #[command(flatten)]
        connection: Connection,
        /// The component.
        name: String,
        /// The version whose hash begins like this, as `components` has it; the one before, unless it is named.
        #[arg(long, value_name = "HASH")]
        to: Option<String>,
    },
    /// Take a component out of service. Its versions stay, for `rollback`.
    Remove {
        #[command(flatten)]
        connection: Connection,
        /// The component.
        name: String,
    },
    /// Say what is deployed.
    Components {
        #[command(flatten)]
        connection: Connection,
        /// Print it for programs.
        #[arg(long)]
        json: bool,
    },
    /// Say what was deployed, promoted, gone back from and removed, the newest first.
    Deploys {
        #[command(flatten)]
        connection: Connection,
        /// How many lines at most (1 to 1,000).
        #[arg(long, value_name = "LINES", default_value_t = 20)]
        max: u32,
    },
    /// Print what a component of a running host has for operators: the answer of a route with `session = "operator"`.
    Show {
        #[command(flatten)]
        connection: Connection,
        /// The route with its query, as in /analytics/network?by=hour&windows=24
        route: String,
    },
}

#[derive(Args)]
struct Serve {
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
    /// Look once more for documents of an earlier version that lack derived fields, after some were imported.
    #[arg(long)]
    fill_again: bool,
    /// Further settings; see the README.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log();
    let serves = matches!(cli.command, Command::Serve(_));
    let result = match cli.command {
        Command::Serve(arguments) => run(arguments),
        Command::Check { file } => check(&file),
        Command::Bundle { file, manifest, out } => bundle::perform(&file, manifest, out).map(drop),
        Command::Compile { no_pool } => return compile(no_pool),
        Command::Events { connection, task } => ask(events::perform(&connection, task)),
        Command::Deploy { connection, file, how } => ask(deploy::deploy(&connection, &file, &how)),
        Command::Promote { connection, name } => ask(deploy::promote(&connection, &name)),
        Command::Rollback { connection, name, to } => ask(deploy::roll_back(&connection, &name, to.as_deref())),
        Command::Remove { connection, name } => ask(deploy::remove(&connection, &name)),
        Command::Components { connection, json } => ask(deploy::list(&connection, json)),
        Command::Deploys { connection, max } => ask(deploy::log(&connection, max)),
        Command::Show { connection, route } => ask(show::perform(&connection, &route)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A service's words go where its others go; a command answers who asked it.
            if serves {
                tracing::error!("{error:#}");
            } else {
                eprintln!("error: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

/// What is wrong goes to the host, in these words.
fn compile(no_pool: bool) -> ExitCode {
    match compile_as_child(no_pool) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// A command that asks a running host.
fn ask(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}

fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("DEVCONNECT_LOG").unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.with_target(false).init();
    } else {
        log.with_ansi(false).init();
    }
}

/// Every connection is an open file: as many as the system lets this process have.
fn allow_open_files() {
    let resource = rustix::process::Resource::Nofile;
    let limit = rustix::process::getrlimit(resource);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = rustix::process::setrlimit(resource, raised) {
        tracing::warn!(%error, allowed = ?limit.current, "the number of open files stays as it is");
    }
}

fn run(arguments: Serve) -> anyhow::Result<()> {
    let started = Instant::now();
    allow_open_files();
    let config = Config::read(arguments.config.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let components = arguments.components.clone();
    let secrets = Secrets::new(Some(arguments.data.join("secrets")), config.production);
    let entered = runtime.enter();
    let options = HostOptions::new(config, components, Some(arguments.data.clone()));
    let host = Host::open(HostOptions { compiling: Compiling::Apart, ..options })?;
    drop(entered);
    runtime.block_on(host.prepare(arguments.fill_again))?;
    let count = runtime.block_on(host.deployments.start(&arguments.components))?;
    runtime.block_on(async move {
        let listener = listen(arguments.address, arguments.port, "--port or PORT").await?;
        let admin = listen(arguments.admin_address, arguments.admin_port, "--admin-port or ADMIN_PORT").await?;
        let operator = Admin::new(&host, Token::of(&secrets)?);
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
        println!("Ctrl-C ends it gracefully.");
        let admin = tokio::spawn(operator.serve(admin));
        host.consume();
        serve(listener, host.http.clone(), AcceptOptions::default(), interrupted()).await;
        admin.abort();
        host.close().await;
        println!("All requests are finished. Goodbye.");
        anyhow::Ok(())
    })
}

async fn listen(address: IpAddr, port: u16, option: &str) -> anyhow::Result<tokio::net::TcpListener> {
    let address = SocketAddr::new(address, port);
    let listener = tokio::net::TcpListener::bind(address).await;
    listener.map_err(|error| anyhow::anyhow!("can't listen on {address}: {error}; choose another {option}"))
}

/// Ctrl-C or a supervisor's SIGTERM; a second Ctrl-C does not wait for anybody.
async fn interrupted() {
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

fn check(file: &std::path::Path) -> anyhow::Result<()> {
    let wasm = std::fs::read(file).map_err(|error| anyhow::anyhow!("can't read {}: {error}", file.display()))?;
    let manifest = Manifest::of_component(&wasm)?;
    println!("{} {}: {}", manifest.component.name, manifest.component.version, manifest.component.description);
    for trigger in &manifest.http {
        println!("  {:<7}{} (session {:?})", trigger.method.as_str(), trigger.path, trigger.session);
    }
    for trigger in &manifest.event {
        let types = trigger.types.iter().map(String::as_str).collect::<Vec<_>>();
        let types = if types.is_empty() { "all types".to_owned() } else { types.join(", ") };
        println!("  event  {} ({types}; from {:?})", trigger.topic, trigger.from);
    }
    for trigger in &manifest.schedule {
        println!("  at     {} (UTC)", trigger.cron.as_str());
    }
    println!("{:#?}", manifest.grants);
    Ok(())
}
