//! `devconnect show`: what a component has for operators.

use anyhow::ensure;

use super::Connection;

/// Asks a route of a component and prints its answer.
///
/// # Errors
/// Where the host is not reached, or refuses.
pub async fn perform(connection: &Connection, route: &str) -> anyhow::Result<()> {
    ensure!(route.starts_with('/'), "a route begins with a slash, as in /analytics/network");
    let answer: serde_json::Value = connection.open()?.get(&format!("/app{route}"), &[]).await?;
    println!("{answer:#}");
    Ok(())
}
