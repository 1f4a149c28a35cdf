//! Commands: what the binary does for an operator besides serving. They ask a running host over its admin API and print
//! what it says; they touch no store.

#![expect(clippy::print_stdout, reason = "a command line talks to its user")]

pub mod bundle;
pub mod deploy;
pub mod events;
pub mod show;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use reqwest::Method;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::admin::Token;

/// No answer of a host takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// No answer to a component takes longer.
const DEPLOY_PATIENCE: Duration = Duration::from_secs(180);

/// Which host is asked, and by what right.
#[derive(Debug, Args)]
pub struct Connection {
    /// Where the host's operator's side is.
    #[arg(
        long,
        global = true,
        env = "DEVCONNECT_ADMIN_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:3001"
    )]
    admin_url: String,
    /// The host's data folder, for the token in it where DEVCONNECT_ADMIN_TOKEN is not set.
    #[arg(long, global = true, value_name = "DIR", default_value = "data")]
    data: PathBuf,
}

/// A host that is asked.
struct Host {
    client: reqwest::Client,
    url: String,
    token: Zeroizing<String>,
}

impl Connection {
    fn open(&self) -> anyhow::Result<Host> {
        let token = match std::env::var(Token::VARIABLE) {
            Ok(token) if !token.is_empty() => token,
            _ => {
                let file = self.data.join("secrets").join(Token::FILE);
                std::fs::read_to_string(&file).with_context(|| {
                    format!(
                        "no operator's token: set {}, or name the host's data folder with --data (looked for {})",
                        Token::VARIABLE,
                        file.display()
                    )
                })?
            }
        };
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let url = self.admin_url.trim_end_matches('/').to_owned();
        Ok(Host { client, url, token: Zeroizing::new(token.trim().to_owned()) })
    }
}

impl Host {
    async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<T> {
        self.ask(Method::GET, path, query).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.ask(Method::POST, path, &[]).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, query: &[(&str, &str)]) -> anyhow::Result<T> {
        self.send(method, path, query, None).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> anyhow::Result<T> {
        let url = format!("{}/v1{path}", self.url);
        let request = self.client.request(method, &url).query(query).bearer_auth(self.token.as_str());
        // A host that is sent something compiles it.
        let long = body.as_ref().map_or(PATIENCE, |_| DEPLOY_PATIENCE);
        let request = body.into_iter().fold(request.timeout(long), reqwest::RequestBuilder::body);
        let answer = request.send().await.with_context(|| {
            format!("no host answers at {}; is it running, and is DEVCONNECT_ADMIN_URL right?", self.url)
        })?;
        let status = answer.status();
        let body = answer.bytes().await?;
        if status.is_success() {
            return serde_json::from_slice(&body).with_context(|| format!("{url} is not what this version expects"));
        }
        let said: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let message = said.as_ref().and_then(|said| said.get("message")?.as_str());
        bail!("{}", message.map_or_else(|| format!("{url}: {status}"), str::to_owned))
    }
}
