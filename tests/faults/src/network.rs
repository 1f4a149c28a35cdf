//! Two hosts on the servers of this program. Host `a` has a line to each server that can be cut; host `b` has none.

use std::sync::Arc;
use std::time::Duration;

use capability::events::{DEAD_LETTERS, EventLog as _};
use devconnect::config::{Address, Config};
use e2e::{Expected, Member, Server, ServerOptions, Value, seed};
use store_kafka::{Kafka, KafkaOptions};
use tokio::task::spawn_blocking;

use crate::line::{Line, Speaks};
use crate::servers::{Engine, Servers, Turn};
use e2e::until;

/// A host says how a store is, and heals, within this time.
const HEALING: Duration = Duration::from_secs(30);

/// What happens to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It stands still, and its connections stay open.
    Frozen,
    /// It is killed, and starts anew later.
    Stopped,
    /// Nothing comes through between it and host `a`, without a word.
    Cut,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Frozen, Self::Stopped, Self::Cut];
}

/// The stores of a network, and lines to them.
pub struct Network {
    /// Its turn with the servers.
    pub turn: Turn,
    name: String,
    topics: String,
    lines: [(Engine, Line); 3],
}

impl Network {
    /// With names of its own in all servers. None where there are no servers.
    pub async fn begin() -> Option<Self> {
        let turn = Turn::begin().await?;
        let line = async |engine, speaks| (engine, Line::to(turn.servers.port(engine), speaks).await);
        let lines = [
            line(Engine::Redis, Speaks::Anything).await,
            line(Engine::Mongodb, Speaks::Anything).await,
            line(Engine::Kafka, Speaks::Kafka).await,
        ];
        let name: String = (0..12).map(|_| char::from(rand::random_range(b'a'..=b'z'))).collect();
        Some(Self { topics: format!("{name}."), turn, name, lines })
    }

    /// The servers.
    pub fn servers(&self) -> &Arc<Servers> {
        &self.turn.servers
    }

    /// Starts host `a` or `b`, in a process of its own.
    pub async fn host(&self, host: &'static str) -> Server {
        let (data, environment) = (self.servers().data(host), self.environment(host));
        // Its stores fail on purpose: calls fail, and the log says so; what must hold all the same is judged by the answers. No event
        // may be lost for it: a store that is away counts no attempt.
        let expects = vec![Expected::Warning(""), Expected::Outcome("*", "*"), Expected::Growth];
        // Members at work change their profiles as fast as they are answered.
        let config = Some("[settings]\n\"limits.edits\" = \"off\"\n");
        let options = ServerOptions { environment, expects, config, ..ServerOptions::default() };
        let starting = spawn_blocking(move || {
            seed::sow(&data);
            Server::start_with(&data, options)
        });
        starting.await.expect("a host that starts")
    }

    /// What host `a` or `b` is told of the servers.
    pub fn environment(&self, host: &str) -> Vec<(&'static str, String)> {
        let lines = self.lines.iter().map(|(engine, line)| {
            let port = if host == "a" { line.port() } else { self.servers().port(*engine) };
            (engine.variable(), self.address(*engine, port))
        });
        let mut environment: Vec<_> = lines.collect();
        environment.extend([
            ("REDIS_KEY_PREFIX", format!("{}:", self.name)),
            ("KAFKA_TOPIC_PREFIX", self.topics.clone()),
            ("KAFKA_GROUP_ID", self.name.clone()),
            ("UNSUBSCRIBE_SECRET", e2e::JWT_SECRET.to_owned()),
            ("DEVCONNECT_LOG", std::env::var("DEVCONNECT_LOG").unwrap_or_else(|_| "error".to_owned())),
        ]);
        environment
    }

    /// The configuration of a host in this process, as [`Network::environment`] is that of one in another.
    pub fn config(&self) -> Config {
        let address = |engine| self.straight(engine);
        let kafka = KafkaOptions {
            topic_prefix: self.topics.clone(),
            group_prefix: self.name.clone(),
            ..KafkaOptions::new(&address(Engine::Kafka))
        };
        let mongodb = Some(Address(address(Engine::Mongodb)));
        Config { mongodb, kafka: Some(kafka), ..Config::default() }
    }

    /// The address of a server that goes by no line.
    pub fn straight(&self, engine: Engine) -> String {
        self.address(engine, self.servers().port(engine))
    }

    fn address(&self, engine: Engine, port: u16) -> String {
        match engine {
            Engine::Redis => format!("redis://127.0.0.1:{port}"),
            // A client that looked at the members of the set would find its way around a line.
            Engine::Mongodb => format!("mongodb://127.0.0.1:{port}/{}?directConnection=true", self.name),
            Engine::Kafka => format!("127.0.0.1:{port}"),
        }
    }

    /// Does this to a server.
    pub async fn treat(&self, engine: Engine, fault: Fault) {
        match fault {
            Fault::Frozen => self.servers().do_blocking(move |servers| servers.freeze(engine)).await,
            Fault::Stopped => self.servers().do_blocking(move |servers| servers.stop(engine)).await,
            Fault::Cut => self.line(engine).cut(),
        }
    }

    /// Undoes it.
    pub async fn undo(&self, engine: Engine, fault: Fault) {
        match fault {
            Fault::Frozen => self.servers().do_blocking(move |servers| servers.thaw(engine)).await,
            Fault::Stopped => self.servers().do_blocking(move |servers| servers.start(engine)).await,
            Fault::Cut => self.line(engine).restore(),
        }
    }

    fn line(&self, wanted: Engine) -> &Line {
        let found = self.lines.iter().find(|(engine, _)| *engine == wanted);
        &found.unwrap_or_else(|| panic!("no line to {}", wanted.name())).1
    }

    /// All events of a topic, which may be one of dead letters.
    pub async fn events(&self, topic: &str) -> Vec<capability::events::Event> {
        let brokers = self.straight(Engine::Kafka);
        let options = KafkaOptions { topic_prefix: self.topics.clone(), ..KafkaOptions::new(&brokers) };
        let name = topic.strip_suffix(DEAD_LETTERS).unwrap_or(topic).to_owned();
        let kafka = Kafka::open(options, &[(name, 3)].into()).expect("the broker's address");
        let mut events = Vec::new();
        for partition in 0..3 {
            let mut offset = 0;
            // A broker that has just come back has not got all of its topics yet.
            while let Ok(records) = kafka.read(topic, partition, offset, 1_000).await {
                let Some(last) = records.last() else { break };
                offset = last.offset + 1;
                events.extend(records.into_iter().map(|record| record.event));
            }
        }
        events
    }
}

/// How a host says that the store on an engine is: up, degraded or down.
pub async fn state(url: &str, engine: Engine) -> String {
    let capability = match engine {
        Engine::Redis => "cache",
        Engine::Mongodb => "documents",
        Engine::Kafka => "events",
    };
    let answer = Member::nobody(url).get("/readyz").timeout(Duration::from_secs(4)).send().await;
    let body: Value = answer.expect("/readyz is always answered").json().await.expect("JSON");
    body["stores"][capability]["state"].as_str().unwrap_or_else(|| panic!("no {capability} in {body}")).to_owned()
}

/// Waits until a host says that the store is away.
pub async fn knows(url: &str, engine: Engine) {
    until("the host says that the store is away", HEALING, async || state(url, engine).await != "up").await;
}

/// Waits until a host says that the store is there.
pub async fn heals(url: &str, engine: Engine) {
    until("the host says that the store is there again", HEALING, async || state(url, engine).await == "up").await;
}
