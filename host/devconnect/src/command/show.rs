//! `devconnect show`: the response of a component's route for operators.

use anyhow::ensure;

use crate::command::Connection;

/// Sends a GET request to a component's route and prints the response.
///
/// # Errors
/// When the host is not reached, or refuses.
pub async fn perform(connection: &Connection, route: &str) -> anyhow::Result<()> {
    ensure!(route.starts_with('/'), "a route begins with a slash, as in /analytics/network");
    let response: serde_json::Value = connection.open()?.get(&format!("/app{route}"), &[]).await?;
    println!("{response:#}");
    Ok(())
}
