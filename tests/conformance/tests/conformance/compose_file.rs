//! The container files: what has to hold in `docker-compose.yml`, `docker-compose.production.yml`, `Dockerfile` and
//! `.env.example`, and that compose itself takes them, where it is installed. No container engine is needed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use manifest::Application;
use xtask::stack::Server;
use yaml_rust2::{Yaml, YamlLoader};

/// The workspace: two folders above this crate.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("a workspace above this crate").to_owned()
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// `docker-compose.yml`. A key that is there twice does not parse.
fn compose() -> Yaml {
    let mut documents = YamlLoader::load_from_str(&read("docker-compose.yml")).unwrap();
    assert_eq!(documents.len(), 1, "one document");
    documents.remove(0)
}

fn services(compose: &Yaml) -> Vec<(&str, &Yaml)> {
    let services = compose["services"].as_hash().expect("services");
    services.iter().map(|(name, service)| (name.as_str().unwrap(), service)).collect()
}

/// A list of texts; empty when there is none.
fn texts(list: &Yaml) -> Vec<&str> {
    list.as_vec().map(|list| list.iter().map(|item| item.as_str().unwrap()).collect()).unwrap_or_default()
}

/// A tag that says which version, with two numbers at least.
fn is_pinned(image: &str) -> bool {
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
    let version = tag.strip_prefix('v').unwrap_or(tag);
    version.starts_with(|first: char| first.is_ascii_digit()) && version.contains('.')
}

fn is_secret(variable: &str) -> bool {
    ["SECRET", "PASSWORD", "TOKEN", "_KEY"].iter().any(|word| variable.contains(word))
}

/// What follows each `${`, apart: the variable's name, and the rest.
fn variables(text: &str) -> Vec<(&str, &str)> {
    let name = |rest: &str| rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
    text.split("${").skip(1).map(|rest| rest.split_at(name(rest))).collect()
}

#[test]
fn every_image_has_its_version() {
    for (name, service) in services(&compose()) {
        match service["image"].as_str() {
            Some(image) => assert!(is_pinned(image), "{name}: {image}"),
            None => assert_eq!(service["build"].as_str(), Some("."), "{name}: neither an image nor ours"),
        }
    }
    let dockerfile = read("Dockerfile");
    let images: Vec<&str> = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    for image in &images {
        assert!(is_pinned(image.split(' ').next().unwrap()), "{image}");
    }
    // The toolchain is written twice, and is no older than the workspace allows.
    let rust = images.iter().find_map(|image| image.strip_prefix("rust:")).expect("an image of Rust");
    let version = rust.split('-').next().unwrap();
    assert!(version.starts_with(concat!(env!("CARGO_PKG_RUST_VERSION"), ".")), "{version}");
    assert!(dockerfile.contains(&format!("\nENV RUSTUP_TOOLCHAIN={version}\n")), "another toolchain than {version}");
    assert!(!is_pinned("redis") && !is_pinned("redis:7") && !is_pinned("redis:latest") && is_pinned("a/b:v1.2.3"));
}

#[test]
fn no_secret_is_written_down() {
    for (name, service) in services(&compose()) {
        let Some(environment) = service["environment"].as_hash() else {
            assert!(service["environment"].is_badvalue(), "{name}: an environment of names and values");
            continue;
        };
        for (variable, value) in environment {
            let variable = variable.as_str().unwrap();
            let value = value.as_str().unwrap_or_else(|| panic!("{name}: {variable} wants quotation marks"));
            assert!(!is_secret(variable) || value == format!("${{{variable}:-}}"), "{name}: {variable}");
        }
    }
    for word in read("docker-compose.yml").split_whitespace().chain(read(".env.example").split_whitespace()) {
        let authority = word.split_once("://").map_or("", |(_, rest)| rest);
        assert!(!authority.contains('@'), "{word} may have a password");
    }
    // Those that a developer writes down stay with the developer.
    assert!(read(".gitignore").lines().any(|line| line == "/.env"));
    assert!(read(".dockerignore").lines().any(|line| line == ".env"));
}

#[test]
fn every_service_has_a_health_check_and_its_ports_on_loopback() {
    let image_has = read("Dockerfile").contains("\nHEALTHCHECK ");
    for (name, service) in services(&compose()) {
        let own = !texts(&service["healthcheck"]["test"]).is_empty();
        assert!(own || (image_has && !service["build"].is_badvalue()), "{name}: no health check");
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
        assert!(!service["mem_limit"].is_badvalue(), "{name}: no limit of memory");
    }
}

#[test]
fn the_image_runs_as_a_user_and_gets_signals() {
    let dockerfile = read("Dockerfile");
    let user = dockerfile.lines().filter_map(|line| line.strip_prefix("USER ")).next_back().expect("a user");
    assert!(!user.starts_with("root") && !user.starts_with('0'), "{user}");
    assert!(dockerfile.contains("\nENTRYPOINT [\"devconnect\"]"), "a shell would keep SIGTERM to itself");
}

#[test]
fn xtask_finds_its_servers() {
    let compose = compose();
    for server in Server::ALL {
        let name = server.name();
        let service = &compose["services"][name];
        assert!(!service.is_badvalue(), "there is no service {name}");
        assert!(service["profiles"].is_badvalue(), "{name} is there without a profile");
        assert!(service["depends_on"].is_badvalue(), "{name} comes alone");
        let inside = match server {
            Server::Redis => ":6379",
            Server::Mongodb => ":27017",
            Server::Kafka => ":9092",
        };
        assert!(texts(&service["ports"]).iter().any(|port| port.ends_with(inside)), "{name} does not publish {inside}");
        let told = &compose["services"]["host"]["environment"][server.variable()];
        assert!(!told.is_badvalue(), "the host is not told where {name} is");
    }
}

#[test]
fn every_variable_has_a_default_and_is_explained() {
    let text = read("docker-compose.yml");
    let mut used = BTreeSet::new();
    for (name, rest) in variables(&text) {
        // One that is demanded would be demanded of `cargo xtask stack`, too, which starts servers only.
        assert!(rest.starts_with(":-") || rest.starts_with('-'), "{name} has no default");
        used.insert(name);
    }
    let example = read(".env.example");
    let mut explained = BTreeSet::new();
    let mut before = "";
    for line in example.lines() {
        if let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            assert!(before.starts_with("# "), "{name} has no line that explains it");
            assert!(!is_secret(name) || value.is_empty(), "{name} has a value");
            explained.insert(name);
        }
        before = line;
    }
    assert_eq!(used, explained, "docker-compose.yml uses, .env.example explains");
}

const PRODUCTION: &str = "docker-compose.production.yml";

/// The variables that a host in production must be told, and their values in a test.
fn production() -> Vec<(String, String)> {
    let application = Application::read(&root().join("components")).unwrap();
    let secrets = [application.session.secret].into_iter().chain(application.secrets.into_values());
    let secrets = secrets.map(|variable| (variable, "0123456789abcdef".to_owned()));
    secrets.chain([("PUBLIC_URL".to_owned(), "https://devconnect.example".to_owned())]).collect()
}

/// Attack (64): a production network with the settings of development. Outcome: compose demands each setting by name.
#[test]
fn production_demands_its_settings_and_says_which() {
    let text = read(PRODUCTION);
    let mut demanded = BTreeSet::new();
    // An image has its version without them.
    for (name, rest) in variables(&text).into_iter().filter(|(name, _)| !name.ends_with("_IMAGE")) {
        let words = rest.strip_prefix(":?").and_then(|rest| rest.split('}').next());
        assert!(words.is_some_and(|words| words.len() > 20), "{name} is not demanded with words");
        demanded.insert(name.to_owned());
    }
    let needed: BTreeSet<String> = production().into_iter().map(|(name, _)| name).collect();
    assert_eq!(demanded, needed);
    assert!(text.contains("\n      DEVCONNECT_ENV: production\n"), "{text}");
    // What it changes is there, and no server that has no password is left within reach.
    let (base, on_top) = (compose(), text.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")));
    let changed: Vec<&str> = on_top.filter_map(|line| line.trim().strip_suffix(':')).collect();
    for name in &changed {
        assert!(!base["services"][*name].is_badvalue(), "there is no service {name}");
    }
    for server in Server::ALL {
        let name = server.name();
        assert!(text.contains(&format!("\n  {name}:\n    ports: !reset []\n")), "{name} publishes its port");
    }
}

#[test]
fn production_takes_other_images_of_the_servers_and_has_the_same_without() {
    let (text, base) = (read(PRODUCTION), compose());
    for server in Server::ALL {
        let name = server.name();
        let image = base["services"][name]["image"].as_str().unwrap();
        let line = format!("    image: \"${{{}_IMAGE:-{image}}}\"\n", name.to_uppercase());
        assert!(text.contains(&line), "{name} has no line {line}");
    }
    let Some(way) = installed() else {
        eprintln!("compose is not installed: it was not asked about {PRODUCTION}");
        return;
    };
    let pinned = format!("redis:7.2.16-alpine@sha256:{}", "0".repeat(64));
    let mut command = called(way);
    command.args(["-f", "docker-compose.yml", "-f", PRODUCTION, "config"]).envs(production());
    let output = command.env("REDIS_IMAGE", &pinned).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains(&pinned), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn compose_takes_the_file_of_production_with_its_settings_and_not_without() {
    let Some(way) = installed() else {
        eprintln!("compose is not installed: it was not asked about {PRODUCTION}");
        return;
    };
    let nothing = tempfile::NamedTempFile::new().unwrap();
    let ask = |environment: &[(String, String)]| {
        let mut command = called(way);
        command.arg("--env-file").arg(nothing.path());
        command.args(["-f", "docker-compose.yml", "-f", PRODUCTION, "config"]);
        command.envs(environment.iter().cloned()).output().unwrap()
    };
    let all = production();
    let output = ask(&all);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("DEVCONNECT_ENV: production") && !text.contains("published: \"6379\""), "{text}");
    for (missing, _) in &all {
        let others: Vec<_> = all.iter().filter(|(name, _)| name != missing).cloned().collect();
        let output = ask(&others);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(missing.as_str()), "{missing}: {said}");
    }
}

/// Compose as it is called here: a part of docker, or a program of its own.
fn installed() -> Option<&'static [&'static str]> {
    const WAYS: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];
    WAYS.into_iter().find(|way| called(way).arg("version").output().is_ok_and(|output| output.status.success()))
}

/// Without the variables of whoever runs the tests.
fn called(way: &[&str]) -> Command {
    let mut command = Command::new(way[0]);
    command.args(&way[1..]).current_dir(root()).env_clear();
    for name in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// The whole file as compose understands it.
fn understood(way: &[&str], settings: &Path) -> String {
    let mut command = called(way);
    command.arg("--env-file").arg(settings).args(["--profile", "tools", "--profile", "monitoring", "config"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn compose_takes_the_file_without_settings_and_those_of_the_example_are_the_defaults() {
    let Some(way) = installed() else {
        eprintln!("compose is not installed: the rules of docker-compose.yml are checked, and compose was not asked");
        return;
    };
    let nothing = tempfile::NamedTempFile::new().unwrap();
    let bare = understood(way, nothing.path());
    assert!(services(&compose()).iter().all(|(name, _)| bare.contains(&format!("\n  {name}:\n"))), "{bare}");
    assert_eq!(bare, understood(way, &root().join(".env.example")));
}
