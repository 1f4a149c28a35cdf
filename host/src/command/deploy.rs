//! `devconnect deploy`, `rollback`, `remove` and `components`: what is deployed, and changing it.

use std::path::Path;

use anyhow::Context as _;
use reqwest::Method;

use super::Connection;
use crate::admin::{Change, Component};
use crate::deploy::Version;
use crate::registry::{About, Manifest};

/// How a component is deployed.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// What it asks for beyond the version that serves is accepted.
    pub accept_grants: bool,
    /// Nothing is said where it serves already.
    pub quiet: bool,
}

/// Deploys the component in a file.
///
/// # Errors
/// Where the file is no component with a manifest, and where the host is not reached or refuses.
pub async fn deploy(connection: &Connection, file: &Path, how: How) -> anyhow::Result<()> {
    let wasm = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
    // What can be said without the host is said before anything is sent.
    let manifest = Manifest::of_component(&wasm).with_context(|| format!("{} is refused", file.display()))?;
    let host = connection.open()?;
    if !how.quiet {
        let About { name, version, .. } = &manifest.component;
        eprintln!("deploying {name} {version} ({} KiB)", wasm.len().div_ceil(1024));
    }
    let query: &[(&str, &str)] = if how.accept_grants { &[("accept-grants", "true")] } else { &[] };
    let change: Change = host.send(Method::POST, "/components", query, Some(wasm)).await?;
    if change.changed || !how.quiet {
        say(&change);
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
        if let Some(why) = &component.failing {
            println!("{:<24} not on this host: {why}", "");
        }
    }
    Ok(())
}

fn say(change: &Change) {
    let Change { component: Component { name, serving, versions, .. }, before, changed } = change;
    let named = |sha256: &String| versions.iter().find(|version| version.sha256 == *sha256).map(shown);
    let before = before.as_ref().map(|before| named(before).unwrap_or_else(|| short(before).to_owned()));
    let now = serving.as_ref().and_then(named);
    match (now, before) {
        (Some(now), _) if !changed => println!("{name} {now} serves already"),
        (Some(now), Some(before)) => println!("{name} {now} serves, {before} before"),
        (Some(now), None) => println!("{name} {now} serves"),
        (None, Some(before)) => println!("{name} is removed, {before} served before"),
        (None, None) => println!("{name} is removed"),
    }
}

fn shown(version: &Version) -> String {
    format!("{} ({})", version.version, short(&version.sha256))
}

fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}
