//! `devconnect deploy`, `rollback`, `remove` and `components`: what is deployed, and changing it.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use reqwest::Method;

use super::{Connection, Host};
use crate::admin::{Canary, Change, Component, Done};
use crate::deploy::Version;
use crate::registry::{About, Manifest};

/// How a component is deployed.
#[derive(Debug, Clone, Args)]
pub struct How {
    /// Let it reach what it asks for, where that is more than the version that serves.
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

impl How {
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

/// How often it is asked whether a version has drained.
const LOOK: Duration = Duration::from_millis(200);

/// Deploys the component in a file.
///
/// # Errors
/// Where the file is no component with a manifest, and where the host is not reached or refuses.
pub async fn deploy(connection: &Connection, file: &Path, how: &How) -> anyhow::Result<()> {
    let wasm = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
    // What can be said without the host is said before anything is sent.
    let manifest = Manifest::of_component(&wasm).with_context(|| format!("{} is refused", file.display()))?;
    let host = connection.open()?;
    if !how.quiet {
        let About { name, version, .. } = &manifest.component;
        eprintln!("deploying {name} {version} ({} KiB)", wasm.len().div_ceil(1024));
    }
    let query = how.query();
    let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let change: Change = host.send(Method::POST, "/components", &query, Some(wasm)).await?;
    if how.wait {
        until_drained(&host, &change.component.name).await?;
    }
    if change.changed || !how.quiet {
        say(&change);
    }
    Ok(())
}

/// Waits for the calls of versions that the host that was asked does not serve any more.
async fn until_drained(host: &Host, name: &str) -> anyhow::Result<()> {
    let mut said = None;
    loop {
        let component: Component = host.get(&format!("/components/{name}"), &[]).await?;
        if component.draining.is_empty() {
            return Ok(());
        }
        let running: u64 = component.draining.iter().map(|version| version.running).sum();
        if said.replace(running) != Some(running) {
            eprintln!("waiting for {running} calls of the version before");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Has the canary of a component serve.
///
/// # Errors
/// Where the host is not reached, or refuses.
pub async fn promote(connection: &Connection, name: &str) -> anyhow::Result<()> {
    say(&connection.open()?.send(Method::POST, &format!("/components/{name}/promote"), &[], None).await?);
    Ok(())
}

/// Prints what was done with components, the newest first.
///
/// # Errors
/// Where the host is not reached.
pub async fn log(connection: &Connection, max: u32) -> anyhow::Result<()> {
    let all: Vec<Done> = connection.open()?.get("/deploys", &[("max", &max.to_string())]).await?;
    for done in &all {
        let Done { at, component, what, why, from, to, canary, weight } = done;
        let at = i64::try_from(*at).ok().and_then(chrono::DateTime::from_timestamp_millis).unwrap_or_default();
        let hash = |sha256: &Option<String>| sha256.as_deref().map_or("-", short).to_owned();
        let trial = canary.iter().zip(weight).map(|(canary, weight)| format!(", {} on {weight} %", short(canary)));
        let why = why.iter().map(|why| format!(": {why}"));
        let rest: String = trial.chain(why).collect();
        println!("{} {what:<9} {component:<24} {} -> {}{rest}", at.format("%F %T"), hash(from), hash(to));
    }
    Ok(())
}

/// Goes back to an earlier version.
///
/// # Errors
/// Where the host is not reached, or refuses.
pub async fn roll_back(connection: &Connection, name: &str, to: Option<&str>) -> anyhow::Result<()> {
    let query: Vec<(&str, &str)> = to.map(|to| ("to", to)).into_iter().collect();
    say(&connection.open()?.send(Method::POST, &format!("/components/{name}/rollback"), &query, None).await?);
    Ok(())
}

/// Takes a component out of service.
///
/// # Errors
/// Where the host is not reached, or refuses.
pub async fn remove(connection: &Connection, name: &str) -> anyhow::Result<()> {
    say(&connection.open()?.send(Method::DELETE, &format!("/components/{name}"), &[], None).await?);
    Ok(())
}

/// Prints what is deployed.
///
/// # Errors
/// Where the host is not reached.
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
        println!("{:<24} {:<28} {others} to go back to", component.name, version.map_or("removed".to_owned(), shown));
        if let Some(canary) = &component.canary {
            println!("{:<24} {}", "", trying(canary, &component.versions));
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

fn say(change: &Change) {
    let Change { component: Component { name, serving, versions, canary, .. }, before, changed } = change;
    if let Some(canary) = canary {
        return println!("{name} {}", trying(canary, versions));
    }
    let named = |sha256: &String| versions.iter().find(|version| version.sha256 == *sha256).map(shown);
    let before = before.as_ref().map(|before| named(before).unwrap_or_else(|| short(before).to_owned()));
    let now = serving.as_ref().and_then(named);
    match (now, before) {
        (Some(now), _) if !changed => println!("{name} {now} serves already"),
        (Some(now), Some(before)) if now == before => println!("{name} {now} serves all"),
        (Some(now), Some(before)) => println!("{name} {now} serves, {before} before"),
        (Some(now), None) => println!("{name} {now} serves"),
        (None, Some(before)) => println!("{name} is removed, {before} served before"),
        (None, None) => println!("{name} is removed"),
    }
}

fn trying(Canary { trial, tally }: &Canary, versions: &[Version]) -> String {
    let version = versions.iter().find(|version| version.sha256 == trial.sha256);
    let version = version.map_or_else(|| short(&trial.sha256).to_owned(), shown);
    format!("{version} is tried out on {} %, {} of {} calls failed", trial.weight, tally.failed, tally.calls)
}

fn shown(version: &Version) -> String {
    format!("{} ({})", version.version, short(&version.sha256))
}

fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}
