//! Configuration: the operator's settings, from the environment and `devconnect.toml`.
//!
//! The environment overrides the file. An unknown key of the file is an error that names the nearest known one. Touches only
//! the environment and that file.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use lettre::message::Mailbox;
use reqwest::Url;
use serde::Deserialize;

use capability::retention::Retention;
use engine::{AdmissionOptions, EngineOptions};
use manifest::Limits;
use store_kafka::{Compression, KafkaOptions};
use trigger::http::origin_of;
use trigger::listener::ListenerOptions;
use trigger::proxies::Proxies;
use trigger::socket::SocketOptions;

/// The longest time that a setting may have, in seconds: a year. The host adds it to the time that it is.
const LONGEST: u64 = 365 * 24 * 3_600;

/// Why the configuration is refused; the text says what to change.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// A URL that may contain a password, and is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(pub String);

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(not shown)")
    }
}

/// A Redis server or cluster, and the prefix of this network's keys.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// `REDIS_URL`.
    pub url: Address,
    /// `REDIS_KEY_PREFIX`, the prefix of every key.
    pub prefix: String,
}

/// The typed configuration of a host.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// `DEVCONNECT_ENV=production`.
    pub production: bool,
    /// `PUBLIC_URL`, without a slash at the end. In production it is there, and https.
    pub public_url: Option<String>,
    /// `FRONTEND_URL`: the origins whose pages may send requests, as the URL standard writes them.
    pub frontends: BTreeSet<String>,
    /// `TRUSTED_PROXIES`.
    pub proxies: Proxies,
    /// The engine's sizes and limits.
    pub engine: EngineOptions,
    /// The limits of the public listener.
    pub listener: ListenerOptions,
    /// The limits of sockets.
    pub sockets: SocketOptions,
    /// Refuse a component's query that would read a whole collection; the error names the missing index.
    pub refuse_scans: bool,
    /// Refuse to start while there is a component that can't be served.
    pub strict: bool,
    /// Where caches, presence and sockets are shared with other hosts; none: they are in this process.
    pub redis: Option<RedisConfig>,
    /// `MONGODB_URI`: the document store; none: the data folder.
    pub mongodb: Option<Address>,
    /// For how long things are kept.
    pub retention: Retention,
    /// `KAFKA_BROKERS` and the other `KAFKA_` variables: the event log; none: the data folder.
    pub kafka: Option<KafkaOptions>,
    /// `SMTP_URL`: the server that mails are sent to; none: they are files in the data folder.
    pub smtp: Option<Address>,
    /// `MAIL_FROM`: the sender of mails; none: a mailbox of this machine.
    pub mail_from: Option<Mailbox>,
    /// Settings for components.
    pub settings: BTreeMap<String, String>,
}

/// `devconnect.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct File {
    public_url: Option<String>,
    frontend_url: Option<String>,
    trusted_proxies: Option<String>,
    mail_from: Option<String>,
    engine: EngineFile,
    admission: AdmissionFile,
    listener: ListenerFile,
    sockets: SocketFile,
    documents: DocumentsFile,
    components: ComponentsFile,
    limits: LimitsFile,
    retention: RetentionFile,
    settings: BTreeMap<String, String>,
}

/// For how many days things are kept, each at least one.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct RetentionFile {
    events: Option<u32>,
    dead_letters: Option<u32>,
    deploys: Option<u32>,
    sessions: Option<u32>,
    mails: Option<u32>,
    unused: Option<u32>,
}

impl RetentionFile {
    fn retention(&self) -> Retention {
        let default = Retention::default();
        let days = |given: Option<u32>, default| {
            given.map_or(default, |days| Duration::from_secs(u64::from(days.clamp(1, 36_500)) * 86_400))
        };
        Retention {
            events: days(self.events, default.events),
            dead_letters: days(self.dead_letters, default.dead_letters),
            deploys: days(self.deploys, default.deploys),
            sessions: days(self.sessions, default.sessions),
            mails: days(self.mails, default.mails),
            unused: days(self.unused, default.unused),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct EngineFile {
    instances: Option<u32>,
    warm: Option<u32>,
    lanes: Option<usize>,
    pooling: Option<bool>,
    asset_mib: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct AdmissionFile {
    running_per_caller: Option<u32>,
    waiting_per_caller: Option<u32>,
    waiting: Option<u32>,
    wait_seconds: Option<u64>,
    bodies_mib: Option<usize>,
    bodies_mib_per_caller: Option<usize>,
    heavy_per_caller: Option<u32>,
}

impl AdmissionFile {
    fn options(&self) -> AdmissionOptions {
        let default = AdmissionOptions::default();
        let bytes = |mib: Option<usize>, default| mib.map_or(default, |mib| mib.clamp(1, 1 << 20) << 20);
        AdmissionOptions {
            running_per_caller: self.running_per_caller.unwrap_or(default.running_per_caller).max(1),
            waiting_per_caller: self.waiting_per_caller.unwrap_or(default.waiting_per_caller),
            waiting: self.waiting.unwrap_or(default.waiting),
            wait: self.wait_seconds.map_or(default.wait, |given| Duration::from_secs(given.clamp(1, LONGEST))),
            bytes: bytes(self.bodies_mib, default.bytes),
            bytes_per_caller: bytes(self.bodies_mib_per_caller, default.bytes_per_caller),
            heavy_per_caller: self.heavy_per_caller.unwrap_or(default.heavy_per_caller).max(1),
            ..default
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct ListenerFile {
    connections: Option<usize>,
    per_address: Option<usize>,
    first_request_seconds: Option<u64>,
    header_seconds: Option<u64>,
    idle_seconds: Option<u64>,
    write_seconds: Option<u64>,
    streams: Option<u32>,
}

impl ListenerFile {
    fn options(&self, proxies: Proxies, count_loopback: bool) -> ListenerOptions {
        let default = ListenerOptions::default();
        let seconds =
            |given: Option<u64>, default| given.map_or(default, |given| Duration::from_secs(given.clamp(1, LONGEST)));
        ListenerOptions {
            connections: self.connections.unwrap_or(default.connections).max(1),
            per_address: self.per_address.unwrap_or(default.per_address).max(1),
            proxies,
            count_loopback,
            first_request: seconds(self.first_request_seconds, default.first_request),
            header_time: seconds(self.header_seconds, default.header_time),
            idle: seconds(self.idle_seconds, default.idle),
            write_time: seconds(self.write_seconds, default.write_time),
            streams: self.streams.unwrap_or(default.streams).max(1),
            ..default
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct SocketFile {
    sockets: Option<usize>,
    per_user: Option<usize>,
    per_address: Option<usize>,
    opening: Option<usize>,
    opening_per_address: Option<usize>,
    pace: Option<u32>,
    burst: Option<u32>,
    unread: Option<usize>,
    ping_seconds: Option<u64>,
    pong_seconds: Option<u64>,
    lease_seconds: Option<u64>,
}

impl SocketFile {
    fn options(&self, count_loopback: bool) -> SocketOptions {
        let default = SocketOptions::default();
        let seconds =
            |given: Option<u64>, default| given.map_or(default, |given| Duration::from_secs(given.clamp(1, LONGEST)));
        SocketOptions {
            sockets: self.sockets.unwrap_or(default.sockets),
            per_user: self.per_user.unwrap_or(default.per_user),
            per_address: self.per_address.unwrap_or(default.per_address),
            opening: self.opening.unwrap_or(default.opening),
            opening_per_address: self.opening_per_address.unwrap_or(default.opening_per_address),
            count_loopback,
            pace: self.pace.unwrap_or(default.pace),
            burst: self.burst.unwrap_or(default.burst),
            unread: self.unread.unwrap_or(default.unread).max(1),
            ping: seconds(self.ping_seconds, default.ping),
            pong: seconds(self.pong_seconds, default.pong),
            lease: seconds(self.lease_seconds, default.lease),
            ..default
        }
    }
}

/// The highest limits that a manifest may ask for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct LimitsFile {
    cpu_ms: Option<u32>,
    wall_ms: Option<u32>,
    memory_kib: Option<u32>,
    table_elements: Option<u32>,
    host_calls: Option<u32>,
    body_kib: Option<u32>,
}

impl LimitsFile {
    fn ceilings(&self) -> Limits {
        let most = Limits::MOST;
        Limits {
            cpu_ms: self.cpu_ms.unwrap_or(most.cpu_ms),
            wall_ms: self.wall_ms.unwrap_or(most.wall_ms),
            memory_kib: self.memory_kib.unwrap_or(most.memory_kib),
            table_elements: self.table_elements.unwrap_or(most.table_elements),
            host_calls: self.host_calls.unwrap_or(most.host_calls),
            body_kib: self.body_kib.unwrap_or(most.body_kib),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct DocumentsFile {
    refuse_scans: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct ComponentsFile {
    strict: bool,
}

impl Config {
    /// Reads the environment and, when one is given, a file.
    pub fn read(file: Option<&Path>) -> Result<Self, ConfigError> {
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| ConfigError(format!("can't read {}: {error}", path.display())))?,
        };
        Self::parse(&text, |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
    }

    pub(crate) fn parse(text: &str, environment: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| ConfigError(explain(&error)))?;
        let production = match environment("DEVCONNECT_ENV").as_deref() {
            None | Some("development" | "test") => false,
            Some("production") => true,
            Some(other) => {
                return Err(ConfigError(format!(
                    "DEVCONNECT_ENV is {other:?}; it takes development, test or production"
                )));
            }
        };
        let default = EngineOptions::default();
        let engine = EngineOptions {
            instances: file.engine.instances.unwrap_or(default.instances).clamp(1, 10_000),
            warm: file.engine.warm.unwrap_or(default.warm),
            lanes: file.engine.lanes.unwrap_or(default.lanes),
            pooling: file.engine.pooling.unwrap_or(default.pooling),
            admission: file.admission.options(),
            ceilings: file.limits.ceilings(),
            asset_bytes: file.engine.asset_mib.map_or(default.asset_bytes, |mib| mib.saturating_mul(1 << 20)),
        };
        let count_loopback = file.settings.get("limits.loopback").is_some_and(|value| value == "on");
        let retention = file.retention.retention();
        let brokers = environment("KAFKA_BROKERS");
        let kafka = brokers.map(|brokers| kafka(&brokers, &retention, &environment)).transpose()?;
        let frontends = environment("FRONTEND_URL").or(file.frontend_url).unwrap_or_default();
        let proxies = environment("TRUSTED_PROXIES").or(file.trusted_proxies).unwrap_or_default();
        let proxies = Proxies::parse(&proxies).map_err(|error| ConfigError(format!("TRUSTED_PROXIES: {error}")))?;
        Ok(Self {
            production,
            public_url: public_url(environment("PUBLIC_URL").or(file.public_url), production)?,
            frontends: frontends
                .split(',')
                .map(str::trim)
                .filter(|url| !url.is_empty())
                .map(frontend)
                .collect::<Result<_, _>>()?,
            listener: file.listener.options(proxies.clone(), count_loopback),
            proxies,
            engine,
            sockets: file.sockets.options(count_loopback),
            refuse_scans: file.documents.refuse_scans,
            strict: file.components.strict,
            redis: environment("REDIS_URL").map(|url| RedisConfig {
                url: Address(url),
                prefix: environment("REDIS_KEY_PREFIX").unwrap_or_default(),
            }),
            mongodb: environment("MONGODB_URI").map(Address),
            retention,
            kafka,
            smtp: environment("SMTP_URL").map(Address),
            mail_from: environment("MAIL_FROM").or(file.mail_from).map(|text| mailbox(&text)).transpose()?,
            settings: file.settings,
        })
    }
}

/// The origin of a front end.
fn frontend(url: &str) -> Result<String, ConfigError> {
    origin_of(url).ok_or_else(|| {
        ConfigError(format!(
            "FRONTEND_URL has {url:?}, which is no URL: set it to the URLs of the front ends, such as \
             https://app.devconnect.example, with commas between them"
        ))
    })
}

/// Where people reach the host: links in mails lead there, and cookies are Secure when it is https.
fn public_url(given: Option<String>, production: bool) -> Result<Option<String>, ConfigError> {
    let wrong = |why: &str| {
        ConfigError(format!(
            "PUBLIC_URL {why}: set it to the https URL where people reach this host, such as https://devconnect.example"
        ))
    };
    let Some(given) = given.filter(|given| !given.trim().is_empty()) else {
        return if production { Err(wrong("is not set, and production needs it")) } else { Ok(None) };
    };
    let url = Url::parse(given.trim()).map_err(|_| wrong("is no URL"))?;
    let Some(host) = url.host_str().filter(|_| ["http", "https"].contains(&url.scheme())) else {
        return Err(wrong("is no URL of a web site"));
    };
    // An error shows nothing of the URL: a password may be in it.
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a user, a query or a fragment"));
    }
    let (is_https, is_local) = (url.scheme() == "https", is_this_machine(host));
    if production && !is_https {
        return Err(wrong("is not https, which production needs"));
    }
    if production && is_local {
        return Err(wrong("leads to the machine of whoever opens it, and not to this host"));
    }
    if !is_https && !is_local {
        tracing::warn!(
            "PUBLIC_URL is not https: cookies are not Secure (in production this host would refuse to start)"
        );
    }
    Ok(Some(url.as_str().trim_end_matches('/').to_owned()))
}

/// Whether a URL's host is the machine of the person who opens the URL.
fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_local = |address: IpAddr| address.is_loopback() || address.is_unspecified();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(is_local)
}

fn mailbox(text: &str) -> Result<Mailbox, ConfigError> {
    let wrong = |_| ConfigError(format!("MAIL_FROM is {text:?}; it looks like DevConnect <no-reply@example.org>"));
    text.parse().map_err(wrong)
}

fn kafka(
    brokers: &str,
    retention: &Retention,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<KafkaOptions, ConfigError> {
    let default = KafkaOptions::new(brokers);
    let compression = environment("KAFKA_COMPRESSION").map(|name| name.parse::<Compression>()).transpose();
    Ok(KafkaOptions {
        client_id: environment("KAFKA_CLIENT_ID").unwrap_or(default.client_id),
        group_prefix: environment("KAFKA_GROUP_ID").unwrap_or(default.group_prefix),
        topic_prefix: environment("KAFKA_TOPIC_PREFIX").unwrap_or(default.topic_prefix),
        compression: compression
            .map_err(|why| ConfigError(format!("KAFKA_COMPRESSION: {why}")))?
            .unwrap_or(default.compression),
        retention: retention.events,
        dead_letter_retention: retention.dead_letters,
        brokers: default.brokers,
    })
}

/// The parser's error and, for an unknown key, the nearest known one.
fn explain(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let quoted: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
    let nearest = match quoted.split_first() {
        Some((unknown, known)) if error.message().starts_with("unknown field") => {
            known.iter().max_by(|a, b| strsim::jaro(a, unknown).total_cmp(&strsim::jaro(b, unknown)))
        }
        _ => None,
    };
    match nearest {
        Some(nearest) => format!("devconnect.toml: {}\ndid you mean `{nearest}`?", text.trim_end()),
        None => format!("devconnect.toml: {}", text.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::parse(text, |name| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_file_in_the_docs_is_one() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operating.md");
        let docs = std::fs::read_to_string(docs).unwrap();
        let file = docs.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let (config, default) = (parse(file, &[]).unwrap(), parse("", &[]).unwrap());
        assert_eq!(config.engine.admission, default.engine.admission);
        assert_eq!(config.engine.ceilings, default.engine.ceilings);
        assert_eq!(config.retention, default.retention);
        let limits = |config: &Config| {
            let listener = &config.listener;
            (listener.connections, listener.per_address, listener.first_request, listener.idle, listener.streams)
        };
        assert_eq!(limits(&config), limits(&default));
        let limits = |config: &Config| {
            let sockets = &config.sockets;
            (sockets.sockets, sockets.per_user, sockets.opening, sockets.burst, sockets.unread, sockets.lease)
        };
        assert_eq!(limits(&config), limits(&default));
    }

    #[test]
    fn a_front_end_is_a_url_of_which_the_origin_counts() {
        let config = parse("", &[("FRONTEND_URL", "HTTPS://App.Example:443/login, capacitor://localhost,")]).unwrap();
        assert_eq!(config.frontends, BTreeSet::from(["https://app.example".into(), "capacitor://localhost".into()]));
        for wrong in ["*", "app.example", "https://", "https://a, b"] {
            let error = parse("", &[("FRONTEND_URL", wrong)]).unwrap_err();
            assert!(error.0.contains("FRONTEND_URL"), "{wrong}: {error}");
        }
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let config = parse("frontend-url = \"https://a\"", &[("FRONTEND_URL", "https://b/, https://c")]).unwrap();
        assert_eq!(config.frontends, BTreeSet::from(["https://b".into(), "https://c".into()]));
    }

    #[test]
    fn an_unknown_key_names_the_nearest_one() {
        let error = parse("frontend-urls = \"x\"", &[]).unwrap_err().to_string();
        assert!(error.contains("did you mean `frontend-url`?"), "{error}");
    }

    #[test]
    fn production_needs_the_https_url_where_people_reach_it() {
        let given = |environment: &str, url: &str| {
            parse("", &[("DEVCONNECT_ENV", environment), ("PUBLIC_URL", url)]).map(|config| config.public_url.unwrap())
        };
        for (url, is) in [
            ("https://devconnect.example", "https://devconnect.example"),
            (" HTTPS://DevConnect.Example:443/ ", "https://devconnect.example"),
            ("https://devconnect.example:8443", "https://devconnect.example:8443"),
        ] {
            assert_eq!(given("production", url).unwrap(), is);
            assert_eq!(given("development", url).unwrap(), is);
        }
        for url in
            ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:3000", "http://a.localhost", "http://lan"]
        {
            assert_eq!(given("development", url).unwrap(), url);
            let error = given("production", url).unwrap_err().to_string();
            assert!(
                error.starts_with("PUBLIC_URL is not https") && error.contains("https://devconnect.example"),
                "{error}"
            );
        }
        for url in ["https://localhost", "https://127.0.0.1:3000", "https://[::1]", "https://0.0.0.0"] {
            assert!(given("production", url).unwrap_err().to_string().contains("leads to the machine"), "{url}");
        }
        for url in [
            "devconnect.example",
            "ftp://devconnect.example",
            "https://",
            "https://ada:hush@x.example",
            "https://x/?a=1",
        ] {
            for environment in ["production", "development"] {
                let error = given(environment, url).unwrap_err().to_string();
                assert!(error.starts_with("PUBLIC_URL ") && !error.contains("hush"), "{url}: {error}");
            }
        }
        let error = parse("", &[("DEVCONNECT_ENV", "production")]).unwrap_err().to_string();
        assert!(error.starts_with("PUBLIC_URL is not set"), "{error}");
        assert_eq!(parse("public-url = ''", &[]).unwrap().public_url, None);
        let of_file = parse("public-url = 'https://x.example'", &[("DEVCONNECT_ENV", "production")]).unwrap();
        assert_eq!(of_file.public_url.as_deref(), Some("https://x.example"));
    }

    #[test]
    fn scans_are_refused_when_the_operator_says_so() {
        assert!(!parse("", &[]).unwrap().refuse_scans);
        assert!(parse("[documents]\nrefuse-scans = true", &[]).unwrap().refuse_scans);
        let error = parse("[documents]\nrefuse-scan = true", &[]).unwrap_err().to_string();
        assert!(error.contains("did you mean `refuse-scans`?"), "{error}");
    }

    #[test]
    fn all_components_or_none_when_the_operator_says_so() {
        assert!(!parse("", &[]).unwrap().strict);
        assert!(parse("[components]\nstrict = true", &[]).unwrap().strict);
    }

    #[test]
    fn an_operator_says_how_much_components_may_ask_for() {
        assert_eq!(parse("", &[]).unwrap().engine.ceilings, Limits::MOST);
        let ceilings = parse("[limits]\ncpu-ms = 100", &[]).unwrap().engine.ceilings;
        assert_eq!(ceilings, Limits { cpu_ms: 100, ..Limits::MOST });
    }

    #[test]
    fn events_have_names_of_the_operators() {
        let kafka = |environment| parse("", environment).unwrap().kafka.unwrap();
        let usual = kafka(&[("KAFKA_BROKERS", "a:1,b:2")]);
        assert_eq!((usual.brokers.as_str(), usual.group_prefix.as_str()), ("a:1,b:2", "devconnect-group"));
        let own = kafka(&[("KAFKA_BROKERS", "a:1"), ("KAFKA_GROUP_ID", "g"), ("KAFKA_TOPIC_PREFIX", "p.")]);
        assert_eq!((own.group_prefix.as_str(), own.topic_prefix.as_str()), ("g", "p."));
    }

    #[test]
    fn events_are_not_compressed_unless_the_operator_says_so() {
        let kafka = |value: &str| {
            let config = parse("", &[("KAFKA_BROKERS", "a:1"), ("KAFKA_COMPRESSION", value)]);
            config.map(|config| config.kafka.unwrap().compression)
        };
        assert_eq!(parse("", &[("KAFKA_BROKERS", "a:1")]).unwrap().kafka.unwrap().compression, Compression::None);
        for compression in Compression::ALL {
            assert_eq!(kafka(compression.name()).unwrap(), compression);
        }
        let error = kafka("brotli").unwrap_err().to_string();
        assert!(error.starts_with("KAFKA_COMPRESSION: ") && error.contains("none, gzip, snappy, lz4, zstd"), "{error}");
    }

    #[test]
    fn an_operator_says_for_how_long_things_are_kept() {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        assert_eq!(parse("", &[]).unwrap().retention, Retention::default());
        let config = parse("[retention]\nevents = 90\ndead-letters = 0", &[("KAFKA_BROKERS", "a:1")]).unwrap();
        assert_eq!((config.retention.events, config.retention.dead_letters), (days(90), days(1)), "at least a day");
        let kafka = config.kafka.unwrap();
        assert_eq!((kafka.retention, kafka.dead_letter_retention), (days(90), days(1)));
        let error = parse("[retention]\nevent = 9", &[]).unwrap_err().to_string();
        assert!(error.contains("did you mean `events`?"), "{error}");
    }

    #[test]
    fn a_password_in_a_url_is_not_printed() {
        let environment =
            [("REDIS_URL", "redis://:hush@x"), ("REDIS_KEY_PREFIX", "net:"), ("MONGODB_URI", "mongodb://u:hush@x")];
        let printed = format!("{:?}", parse("", &environment).unwrap());
        assert!(printed.contains("net:") && !printed.contains("hush"), "{printed}");
    }
}
