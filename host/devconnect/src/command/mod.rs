//! Commands: what the binary does for an operator besides serving. They send requests to the admin API of a running host and
//! print the responses, or read and write the files that they are given; they touch no store.

#![expect(clippy::print_stdout, reason = "a command line talks to its user")]

pub mod bundle;
pub mod check;
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

use admin::Token;

/// The timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The timeout of a request that sends a component.
const DEPLOY_TIMEOUT: Duration = Duration::from_secs(180);

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

/// A client of a host's admin API.
struct AdminClient {
    client: reqwest::Client,
    url: String,
    token: Zeroizing<String>,
}

impl Connection {
    fn open(&self) -> anyhow::Result<AdminClient> {
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
        let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        let url = self.admin_url.trim_end_matches('/').to_owned();
        Ok(AdminClient { client, url, token: Zeroizing::new(token.trim().to_owned()) })
    }
}

impl AdminClient {
    async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<T> {
        self.send(Method::GET, path, query, None).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.send(Method::POST, path, &[], None).await
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
        // A host compiles a component that it is sent.
        let timeout = body.as_ref().map_or(TIMEOUT, |_| DEPLOY_TIMEOUT);
        let request = body.into_iter().fold(request.timeout(timeout), reqwest::RequestBuilder::body);
        let response = request.send().await.with_context(|| {
            format!("no host answers at {}; is it running, and is DEVCONNECT_ADMIN_URL right?", self.url)
        })?;
        let status = response.status();
        let body = response.bytes().await?;
        if status.is_success() {
            return serde_json::from_slice(&body).with_context(|| format!("{url} is not what this version expects"));
        }
        let error: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let message = error.as_ref().and_then(|error| error.get("message")?.as_str());
        bail!("{}", message.map_or_else(|| format!("{url}: {status}"), str::to_owned))
    }
}
