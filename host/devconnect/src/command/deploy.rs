//! `devconnect deploy`, `promote`, `rollback`, `remove`, `components` and `deploys`: what is deployed, and changing it.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use reqwest::Method;

use crate::command::check::warn_unused;
use crate::command::{AdminClient, Connection};
use admin::{Canary, Change, Component, Done};
use manifest::{About, Imports, Manifest};
use registry::deploy::Version;

/// How a component is deployed.
#[derive(Debug, Clone, Args)]
pub struct DeployArgs {
    /// Let it see and do what it asks for, where that is more than the version that serves.
    #[arg(long)]
    accept_grants: bool,
    /// Try it out on so many percent of users first (1 to 100); `promote` or `rollback` ends that.
    #[arg(long, value_name = "PERCENT")]
    weight: Option<u8>,
    /// Go back from it when more than so many percent of its calls fail.
    #[arg(long, value_name = "PERCENT", requires = "weight")]
    max_errors: Option<f64>,
    /// Decide nothing before it has had so many calls; 100, unless it is said.
    #[arg(long, value_name = "CALLS", requires = "weight")]
    min_calls: Option<u64>,
    /// Promote it after so many seconds; at most 1 % of its calls may have failed, unless --max-errors says otherwise.
    #[arg(long, value_name = "SECONDS", requires = "weight")]
    promote_after: Option<u64>,
    /// Wait until the calls of the version before have ended.
    #[arg(long)]
    wait: bool,
    /// Say nothing where it serves already.
    #[arg(long)]
    quiet: bool,
}

impl DeployArgs {
    fn query(&self) -> Vec<(&'static str, String)> {
        let Self { accept_grants, weight, max_errors, min_calls, promote_after, .. } = self;
        let given = [
            ("accept-grants", accept_grants.then(|| "true".to_owned())),
            ("weight", weight.map(|weight| weight.to_string())),
            ("max-errors", max_errors.map(|errors| errors.to_string())),
            ("min-calls", min_calls.map(|calls| calls.to_string())),
            ("promote-after", promote_after.map(|seconds| seconds.to_string())),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Between two requests whether a version has drained.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Deploys the component in a file.
///
/// # Errors
/// When the file is no component with a manifest, or the host is not reached or refuses.
pub async fn deploy(connection: &Connection, file: &Path, options: &DeployArgs) -> anyhow::Result<()> {
    let wasm = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
    // The manifest is checked before anything is sent.
    let manifest = Manifest::of_component(&wasm).with_context(|| format!("{} is refused", file.display()))?;
    // The host says what is wrong with a component that is not valid.
    let imports = Imports::of_component(&wasm).ok();
    let warn = || imports.iter().for_each(|imports| warn_unused(&manifest, imports));
    let client = connection.open()?;
    if !options.quiet {
        let About { name, version, .. } = &manifest.component;
        eprintln!("deploying {name} {version} ({} KiB)", wasm.len().div_ceil(1024));
        warn();
    }
    let query = options.query();
    let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let change: Change = client.send(Method::POST, "/components", &query, Some(wasm)).await?;
    if options.wait {
        until_drained(&client, &change.component.name).await?;
    }
    if change.changed && options.quiet {
        warn();
    }
    if change.changed || !options.quiet {
        print_change(&change);
    }
    Ok(())
}

/// Waits until the calls of versions that the host no longer serves have ended.
async fn until_drained(client: &AdminClient, name: &str) -> anyhow::Result<()> {
    let mut printed = None;
    loop {
        let component: Component = client.get(&format!("/components/{name}"), &[]).await?;
        if component.draining.is_empty() {
            return Ok(());
        }
        let running: u64 = component.draining.iter().map(|version| version.running).sum();
        if printed.replace(running) != Some(running) {
            eprintln!("waiting for {running} calls of the version before");
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Promotes the canary of a component.
///
/// # Errors
/// When the host is not reached, or refuses.
pub async fn promote(connection: &Connection, name: &str) -> anyhow::Result<()> {
    print_change(&connection.open()?.send(Method::POST, &format!("/components/{name}/promote"), &[], None).await?);
    Ok(())
}

/// Prints the log of changes, the newest first.
///
/// # Errors
/// When the host is not reached.
pub async fn log(connection: &Connection, max: u32) -> anyhow::Result<()> {
    let all: Vec<Done> = connection.open()?.get("/deploys", &[("max", &max.to_string())]).await?;
    for done in &all {
        let Done { at, component, what, why, from, to, canary, weight } = done;
        let at = i64::try_from(*at).ok().and_then(chrono::DateTime::from_timestamp_millis).unwrap_or_default();
        let hash = |sha256: &Option<String>| sha256.as_deref().map_or("-", short).to_owned();
        let canary = canary.iter().zip(weight).map(|(canary, weight)| format!(", {} on {weight} %", short(canary)));
        let why = why.iter().map(|why| format!(": {why}"));
        let rest: String = canary.chain(why).collect();
        println!("{} {what:<9} {component:<24} {} -> {}{rest}", at.format("%F %T"), hash(from), hash(to));
    }
    Ok(())
}

/// Ends the canary, or returns to an earlier version.
///
/// # Errors
/// When the host is not reached, or refuses.
pub async fn roll_back(connection: &Connection, name: &str, to: Option<&str>) -> anyhow::Result<()> {
    let query: Vec<(&str, &str)> = to.map(|to| ("to", to)).into_iter().collect();
    print_change(&connection.open()?.send(Method::POST, &format!("/components/{name}/rollback"), &query, None).await?);
    Ok(())
}

/// Takes a component out of service.
///
/// # Errors
/// When the host is not reached, or refuses.
pub async fn remove(connection: &Connection, name: &str) -> anyhow::Result<()> {
    print_change(&connection.open()?.send(Method::DELETE, &format!("/components/{name}"), &[], None).await?);
    Ok(())
}

/// Prints what is deployed.
///
/// # Errors
/// When the host is not reached.
pub async fn list(connection: &Connection, json: bool) -> anyhow::Result<()> {
    let all: Vec<Component> = connection.open()?.get("/components", &[]).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    for component in &all {
        let serving = component.serving.as_ref();
        let version = component.versions.iter().find(|version| Some(&version.sha256) == serving);
        let others = component.versions.len() - usize::from(version.is_some());
        let state = match version {
            Some(version) => version_text(version),
            None if component.versions.is_empty() => "not deployed".to_owned(),
            None => "removed".to_owned(),
        };
        println!("{:<24} {state:<28} {others} to go back to", component.name);
        if let Some(canary) = &component.canary {
            println!("{:<24} {}", "", canary_text(canary, &component.versions));
        }
        for version in &component.draining {
            println!("{:<24} {} drains, {} calls", "", short(&version.sha256), version.running);
        }
        if let Some(why) = &component.failing {
            println!("{:<24} not on this host: {why}", "");
        }
    }
    Ok(())
}

fn print_change(change: &Change) {
    let Change { component: Component { name, serving, versions, canary, .. }, before, changed, difference, warnings } =
        change;
    for line in warnings {
        eprintln!("warning: {line}");
    }
    for line in difference {
        println!("{line}");
    }
    if let Some(canary) = canary {
        return println!("{name} {}", canary_text(canary, versions));
    }
    let name_version = |sha256: &String| versions.iter().find(|version| version.sha256 == *sha256).map(version_text);
    let before = before.as_ref().map(|before| name_version(before).unwrap_or_else(|| short(before).to_owned()));
    let now = serving.as_ref().and_then(name_version);
    match (now, before) {
        (Some(now), _) if !changed => println!("{name} {now} serves already"),
        (Some(now), Some(before)) if now == before => println!("{name} {now} serves all"),
        (Some(now), Some(before)) => println!("{name} {now} serves, {before} before"),
        (Some(now), None) => println!("{name} {now} serves"),
        (None, Some(before)) => println!("{name} is removed, {before} served before"),
        (None, None) => println!("{name} is removed"),
    }
}

fn canary_text(Canary { run, tally }: &Canary, versions: &[Version]) -> String {
    let version = versions.iter().find(|version| version.sha256 == run.sha256);
    let version = version.map_or_else(|| short(&run.sha256).to_owned(), version_text);
    format!("{version} is tried out on {} %, {} of {} calls failed", run.weight, tally.failed, tally.calls)
}

fn version_text(version: &Version) -> String {
    format!("{} ({})", version.version, short(&version.sha256))
}

fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}
