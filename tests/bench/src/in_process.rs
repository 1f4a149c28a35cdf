//! A host in the bench's own process: its routes and messages are called without a network, and what it asks of its documents
//! is counted. Nothing happens in the background.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use capability::sessions::Identity;
use devconnect::config::{Address, Config, RedisConfig};
use devconnect::{Host, HostOptions};
use e2e::network::Account;
use e2e::{Stack, Value};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use trigger::socket::{Incoming, answer};

use crate::counting::{Asked, Tally};
use crate::members::Members;

/// The host, and the members in its stores.
pub(crate) struct InProcess {
    pub(crate) host: Host,
    pub(crate) members: Members,
    asked: Arc<Asked>,
}

impl InProcess {
    /// Opens it on the stores of a stack, with all components and a network with so many readers.
    pub(crate) async fn open(stack: &Stack, readers: usize) -> anyhow::Result<Self> {
        let data = stack.prepared("in-process").await;
        e2e::network::share_secret(&data);
        let given = |name: &str| stack.has(name).then(|| stack.variable(name).to_owned());
        let config = Config {
            redis: given("REDIS_URL")
                .map(|url| RedisConfig { url: Address(url), prefix: given("REDIS_KEY_PREFIX").unwrap_or_default() }),
            mongodb: given("MONGODB_URI").map(Address),
            // Thousands of calls of a few members are the point.
            settings: [("limits.edits".to_owned(), "off".to_owned())].into(),
            ..Config::default()
        };
        let (asked, components) = (Arc::<Asked>::default(), e2e::root().join("target/components"));
        let options = HostOptions::new(config, components.clone(), Some(data));
        let host = Host::open(HostOptions { wrap_documents: Some(asked.wrap()), ..options })?;
        host.prepare(false).await?;
        host.deployments.start(&components).await?;
        let members = Members::put_into(&host, readers).await?;
        Ok(Self { host, members, asked })
    }

    /// What was asked of the documents until now.
    pub(crate) fn tally(&self) -> Tally {
        self.asked.tally()
    }

    /// The JSON that a request of a member is answered with, which has to be 200.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        member: &Account,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let request = Request::builder().method(method).uri(path).header("host", "bench.test");
        let request = request.header("cookie", format!("token={}", member.token));
        let request = match body {
            Some(body) => {
                request.header("content-type", "application/json").body(Full::new(Bytes::from(body.to_string())))
            }
            None => request.body(Full::default()),
        };
        let response = self.host.http.respond(request?, IpAddr::V4(Ipv4Addr::LOCALHOST)).await;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| anyhow::anyhow!("{path}: {error}"))?.to_bytes();
        ensure!(status == StatusCode::OK, "{path} answered {status}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).with_context(|| format!("{path} answers no JSON"))
    }

    /// Has one member write to another one.
    pub(crate) async fn write(&self, from: &Account, to: &str, text: &str) -> anyhow::Result<()> {
        let payload = serde_json::json!({ "toUserId": to, "message": text }).to_string();
        let incoming = Incoming {
            socket: format!("socket of {}", from.id),
            identity: Identity { subject: from.id.as_str().into(), session: "of a bench".into(), expires: u64::MAX },
            client: "127.0.0.1".to_owned(),
            event: "private-message".to_owned(),
            payload: Bytes::from(payload),
            wants_ack: true,
        };
        let said = answer(&self.host.registry, incoming).await.into_ack();
        ensure!(said.get("ok").and_then(Value::as_bool) == Some(true), "a message was answered with {said}");
        Ok(())
    }

    /// Calls into the host that the components have made until now.
    pub(crate) fn host_calls(&self) -> u64 {
        self.host.registry.engine().totals().iter().map(|(_, counts)| counts.host_calls()).sum()
    }
}
