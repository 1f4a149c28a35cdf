//! Kafka: one broker that is its own controller (KRaft), on Java, from the jars that Maven fetches.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::native::{self, Program};
use super::packages;
use super::process::Process;

const VERSION: &str = "4.4.0";
/// The oldest Java that this broker runs on.
const JAVA: u32 = 17;
/// The identity of the cluster, sixteen bytes in base 64: `devconnect-stack`. It tells the broker that its data is its own.
const CLUSTER: &str = "ZGV2Y29ubmVjdC1zdGFjaw";
/// Copies a project's dependencies into a folder.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
/// The broker, and what writes its log: it speaks slf4j 1.7, hence `slf4j-impl` and not `slf4j2-impl`.
const PROJECT: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>devconnect</groupId><artifactId>stack-kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>KAFKA</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.4</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>2.25.4</version></dependency>
  </dependencies>
</project>
"#;
const LOGGING: &str = "status=warn
appender.c.type=Console
appender.c.name=C
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=info
rootLogger.appenderRef.c.ref=C
";
/// What does not depend on where it is: one member of everything, topics made on purpose only, a dead member noticed soon.
const SETTINGS: &str = "process.roles=broker,controller
node.id=1
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
num.partitions=3
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=5
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=33554432
";

pub(super) struct Kafka {
    pub(super) folder: PathBuf,
    /// Where its jars go.
    pub(super) programs: PathBuf,
    pub(super) port: u16,
    /// Where the broker talks to itself as its controller.
    pub(super) controller: u16,
}

impl Kafka {
    fn jars(&self) -> PathBuf {
        self.programs.join(format!("kafka-{VERSION}"))
    }

    fn settings(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Java with the broker's classes, for the broker and its tools.
    fn java(&self) -> Command {
        let mut command = Command::new("java");
        command.arg("-Djava.net.preferIPv4Stack=true");
        command.arg(format!("-Dlog4j2.configurationFile={}", self.folder.join("log4j2.properties").display()));
        command.arg("-cp").arg(self.jars().join("*"));
        command
    }

    fn write_settings(&self) -> Result<()> {
        let Self { port, controller, .. } = self;
        let listeners = format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}");
        let own = format!(
            "controller.quorum.bootstrap.servers=127.0.0.1:{controller}\nlisteners={listeners}\n\
             advertised.listeners={listeners}\nlog.dirs={}\n",
            self.data().display()
        );
        native::write(&self.settings(), &[SETTINGS, &own].concat())?;
        native::write(&self.folder.join("log4j2.properties"), LOGGING)
    }

    /// Makes the data folder the cluster's, once.
    fn format(&self) -> Result<()> {
        if self.data().join("meta.properties").exists() {
            return Ok(());
        }
        eprintln!("making a folder for Kafka's data");
        let mut format = self.java();
        format.args(["-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format", "--standalone"]);
        packages::quiet(format.args(["--cluster-id", CLUSTER, "--config"]).arg(self.settings()))
    }
}

impl Program for Kafka {
    fn install(&self) -> Result<()> {
        packages::ensure("java", "default-jre-headless")?;
        let said = Command::new("java").arg("-version").output().context("`java` can't be run")?.stderr;
        let said = String::from_utf8_lossy(&said);
        let found = java_version(&said).with_context(|| format!("`java -version` said:\n{said}"))?;
        ensure!(found >= JAVA, "Java {JAVA} or newer is needed, and `java` is {found}");
        let jars = self.jars();
        if jars.is_dir() {
            return Ok(());
        }
        packages::ensure("mvn", "maven")?;
        let half = packages::empty(&self.programs.join("kafka.half"))?;
        let project = half.join("pom.xml");
        native::write(&project, &PROJECT.replace("KAFKA", VERSION))?;
        eprintln!("fetching Kafka {VERSION} with mvn (45 MB, once)");
        let mut maven = Command::new("mvn");
        // A repository of its own, which goes when the jars are copied: two Mavens at once may spoil a shared one.
        maven.args(["-B", "-q", "--strict-checksums", "-Dstyle.color=never"]).arg("-f").arg(&project);
        maven.arg(format!("-Dmaven.repo.local={}", half.join("repository").display()));
        maven.args([COPY, "-DincludeScope=runtime"]).arg(format!("-DoutputDirectory={}", half.join("jars").display()));
        packages::quiet(&mut maven)?;
        fs::rename(half.join("jars"), &jars).with_context(|| format!("{} can't be made", jars.display()))?;
        fs::remove_dir_all(&half).with_context(|| format!("{} can't be removed", half.display()))
    }

    fn command(&self) -> Result<Command> {
        self.write_settings()?;
        self.format()?;
        let mut command = self.java();
        command.args(["-Xms384m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "kafka.Kafka"]);
        command.arg(self.settings());
        Ok(command)
    }

    fn process(&self) -> Process {
        Process { folder: self.folder.clone(), program: "java", mark: self.settings() }
    }

    fn ports(&self) -> Vec<u16> {
        vec![self.port, self.controller]
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// It lists itself among the cluster's brokers: it does when its controller has let it in, not when it begins to listen.
    fn answers(&self) -> Result<()> {
        let mut stream = native::connect(self.port)?;
        stream.write_all(&metadata_request())?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).context("it listens and does not answer")?;
        ensure!(brokers(&answer) == Some(1), "the cluster has no broker yet");
        Ok(())
    }

    fn version(&self) -> Option<String> {
        self.jars().is_dir().then(|| VERSION.to_owned())
    }
}

/// Asks who is in the cluster: Metadata (3) in version 1, about no topics.
fn metadata_request() -> Vec<u8> {
    let client = b"xtask";
    let mut request = [&3_i16.to_be_bytes()[..], &1_i16.to_be_bytes(), &7_i32.to_be_bytes()].concat();
    request.extend([0, 5]);
    request.extend(client);
    request.extend(0_i32.to_be_bytes());
    [&[0, 0, 0, 19][..], &request].concat()
}

/// How many brokers an answer lists: after its length and the number of the request.
fn brokers(answer: &[u8; 12]) -> Option<i32> {
    let (_, count) = answer.split_last_chunk()?;
    Some(i32::from_be_bytes(*count))
}

/// 17 from `openjdk version "17.0.15" 2025-04-15`, 8 from `java version "1.8.0_401"`.
fn java_version(said: &str) -> Option<u32> {
    let version =
        said.lines().find_map(|line| line.split_once("version \"")?.1.split_once('"')).map(|(version, _)| version)?;
    let mut numbers = version.split(|byte: char| !byte.is_ascii_digit()).map(|number| number.parse().ok());
    match numbers.next()? {
        Some(1) => numbers.next()?,
        first => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_java_is_read() {
        assert_eq!(java_version("Picked up X: -version \nopenjdk version \"17.0.15\" 2025-04-15\n"), Some(17));
        assert_eq!(java_version("openjdk version \"21\" 2023-09-19"), Some(21));
        assert_eq!(java_version("openjdk version \"25-ea\" 2025-09-16"), Some(25));
        assert_eq!(java_version("java version \"1.8.0_401\""), Some(8));
        assert_eq!(java_version("command not found"), None);
    }

    #[test]
    fn the_request_has_its_own_length_in_front() {
        let request = metadata_request();
        let (length, rest) = request.split_first_chunk().unwrap();
        assert_eq!(usize::try_from(i32::from_be_bytes(*length)).unwrap(), rest.len());
        assert_eq!(brokers(&[0, 0, 0, 40, 0, 0, 0, 7, 0, 0, 0, 1]), Some(1));
    }
}
