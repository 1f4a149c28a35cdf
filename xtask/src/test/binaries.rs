//! The test executables. Cargo builds them, and then they are run directly: a call of cargo per package would choose
//! features anew and compile dependencies again. For the same reason each call here has the whole workspace decide on
//! features, and names the targets that are wanted.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::lint;
use crate::child::{self, End, Output};
use crate::workspace::{Kind, Package, Target, Workspace, cargo};

/// The programs with tests inside. The host's has all of its code in libraries.
const TESTED: [&str; 2] = ["xtask", "bench"];

/// A test executable.
#[derive(Debug)]
pub(crate) struct Binary {
    /// The package it belongs to.
    pub(crate) package: String,
    /// The library, the program, or the folder under `tests/`.
    pub(crate) target: String,
    pub(crate) kind: Kind,
    folder: PathBuf,
    executable: PathBuf,
    /// The built host.
    host: PathBuf,
}

impl Binary {
    /// What `cargo test` would run.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder).env("CARGO_PKG_NAME", &self.package);
        // The harness builds components that are older than their sources; here that has been done.
        command.env("DEVCONNECT_PREBUILT", "1");
        // Who has named another host means it.
        if std::env::var_os("DEVCONNECT_HOST").is_none() {
            command.env("DEVCONNECT_HOST", &self.host);
        }
        command
    }

    /// The paths of its tests.
    pub(crate) fn tests(&self) -> Result<Vec<String>> {
        let output = self.command().arg("--list").output();
        let output = output.with_context(|| format!("{} can't be run", self.executable.display()))?;
        let said = || String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} can't list its tests:\n{}", self.shown(), said());
        Ok(listed(&String::from_utf8_lossy(&output.stdout)))
    }

    /// For people.
    pub(crate) fn shown(&self) -> String {
        match self.kind {
            Kind::Library => self.package.clone(),
            Kind::Program => format!("{} (program)", self.package),
            _ if self.target == self.package => self.package.clone(),
            _ => format!("{} ({})", self.package, self.target),
        }
    }
}

/// From lines like `module::name: test`.
fn listed(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

/// Builds the host and the tests of `packages`, and answers the test executables. `quick`: the host's own crates are compiled
/// soon instead of well. For the tests inside of them they always are: those test what a crate does, not how fast.
pub(crate) fn build(
    workspace: &Workspace,
    packages: &[&Package],
    quick: bool,
    deadline: Instant,
) -> Result<(End, Vec<Binary>)> {
    let (first, second) = calls(workspace, packages);
    let mut found = Vec::new();
    let mut call = |arguments: Vec<&str>, inside: bool| -> Result<End> {
        let mut command = cargo(&workspace.root);
        command.args(arguments).arg("--message-format=json-render-diagnostics");
        if inside {
            lint::lint(&mut command, workspace);
        } else if quick {
            command.args(workspace.quick());
        }
        let mut failure = None;
        let end = child::run(&mut command, deadline, Output::Stdout, |line| match parse(&line, workspace) {
            Ok(binary) => found.extend(binary),
            Err(error) => failure = Some(error),
        })?;
        failure.map_or(Ok(end), Err)
    };
    let mut end = call(first, false)?;
    if let (true, Some(second)) = (end.good(), second) {
        end = call(second, true)?;
    }
    found.sort_by(|a, b| (&a.package, a.kind, &a.target).cmp(&(&b.package, b.kind, &b.target)));
    Ok((end, found))
}

/// What cargo is called with: once for the programs and the tests that link the host, and once more for all others and for
/// the tests inside of libraries and programs, which nobody waits for to be fast.
fn calls<'a>(workspace: &Workspace, packages: &[&'a Package]) -> (Vec<&'a str>, Option<Vec<&'a str>>) {
    let targets = |kind: Kind, links_host: Option<bool>| {
        let wanted = move |package: &&&Package| links_host.is_none_or(|links| workspace.links_host(package) == links);
        let targets = packages.iter().filter(wanted).flat_map(|package| package.targets.iter());
        targets.filter(move |target| target.test && target.kind() == kind).map(|target| target.name.as_str())
    };
    // `xtask` itself is what some tests run.
    let mut first = vec!["build", "--release", "--workspace", "--bin", "devconnect", "--bin", "xtask"];
    first.extend(targets(Kind::Test, Some(true)).flat_map(|name| ["--test", name]));
    let mut second = vec!["test", "--no-run", "--release", "--workspace"];
    let without = second.len();
    second.extend(targets(Kind::Test, Some(false)).flat_map(|name| ["--test", name]));
    if targets(Kind::Library, None).next().is_some() {
        second.push("--lib");
    }
    second.extend(targets(Kind::Program, None).filter(|name| TESTED.contains(name)).flat_map(|name| ["--bin", name]));
    let more = second.len() > without;
    (first, more.then_some(second))
}

/// A line of cargo's; none when it is about something else.
fn parse(line: &str, workspace: &Workspace) -> Result<Option<Binary>> {
    #[derive(Deserialize)]
    struct Message {
        reason: String,
        manifest_path: Option<PathBuf>,
        target: Option<Target>,
        profile: Option<Profile>,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Profile {
        test: bool,
    }
    let message: Message = serde_json::from_str(line).context("what cargo printed")?;
    let (Some(manifest), Some(target), Some(executable)) = (message.manifest_path, message.target, message.executable)
    else {
        return Ok(None);
    };
    // `--lib` builds the tests of all libraries, also of those that say that they have none.
    let tested = message.profile.is_some_and(|profile| profile.test) && target.test;
    if message.reason != "compiler-artifact" || !tested || target.kind() == Kind::Other {
        return Ok(None);
    }
    let package = workspace.packages.iter().find(|package| package.manifest == manifest);
    Ok(package.map(|package| Binary {
        package: package.name.clone(),
        kind: target.kind(),
        target: target.name,
        folder: package.folder().to_owned(),
        executable,
        host: workspace.host_file(),
    }))
}

/// For tests: an executable that is not there.
#[cfg(test)]
pub(super) fn binary(package: &str, target: &str, kind: Kind) -> Binary {
    let nowhere = PathBuf::from("/nowhere");
    let (folder, executable, host) = (nowhere.clone(), nowhere.clone(), nowhere);
    Binary { package: package.to_owned(), target: target.to_owned(), kind, folder, executable, host }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{dependency, package};

    #[test]
    fn test_executables_are_told_from_the_rest() {
        let packages = vec![package("e2e", "tests/e2e", Some("e2e"))];
        let workspace = Workspace { root: "/w".into(), target: "/w/target".into(), packages };
        let line = |kind: &str, (built, is): (bool, bool), executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/w/tests/e2e/Cargo.toml","target":{{"name":"t","kind":["{kind}"],"test":{is}}},"profile":{{"test":{built}}},"executable":{executable}}}"#
            )
        };
        let found = parse(&line("test", (true, true), r#""/t-1""#), &workspace).unwrap().unwrap();
        assert_eq!((found.package.as_str(), found.shown().as_str()), ("e2e", "e2e (t)"));
        for other in [
            line("bin", (false, true), r#""/t""#),
            line("lib", (true, true), "null"),
            line("lib", (true, false), r#""/t""#),
            line("bench", (true, true), r#""/t""#),
        ] {
            assert!(parse(&other, &workspace).unwrap().is_none(), "{other}");
        }
        assert!(parse(r#"{"reason":"build-finished","success":true}"#, &workspace).unwrap().is_none());
    }

    #[test]
    fn only_what_is_asked_for_is_built() {
        let without_lib = |mut package: Package| {
            package.targets.iter_mut().filter(|target| target.kind() == Kind::Library).for_each(|lib| lib.test = false);
            package
        };
        let mut e2e = without_lib(package("e2e", "tests/e2e", Some("e2e")));
        e2e.dependencies.push(dependency("engine"));
        let auth = without_lib(package("auth", "components/auth", Some("auth")));
        let engine = package("engine", "host/engine", None);
        let mut bench = without_lib(package("bench", "tests/bench", None));
        bench.targets.extend(["bench", "other"].map(|name| Target {
            name: name.to_owned(),
            kind: vec!["bin".to_owned()],
            test: true,
            src_path: PathBuf::new(),
        }));
        let packages = vec![e2e, auth, engine, bench];
        let workspace = Workspace { root: "/w".into(), target: "/w/target".into(), packages };
        let [e2e, auth, engine, bench] = &workspace.packages[..] else { unreachable!() };
        let said = |packages: &[&Package]| {
            let (first, second) = calls(&workspace, packages);
            (first.join(" "), second.map(|second| second.join(" ")))
        };
        let host = "build --release --workspace --bin devconnect --bin xtask";
        let rest = "test --no-run --release --workspace";
        assert_eq!(said(&[e2e]), (format!("{host} --test e2e"), None));
        assert_eq!(said(&[auth]), (host.to_owned(), Some(format!("{rest} --test auth"))));
        assert_eq!(said(&[bench]), (host.to_owned(), Some(format!("{rest} --bin bench"))));
        assert_eq!(said(&[engine, e2e]), (format!("{host} --test e2e"), Some(format!("{rest} --lib"))));
    }

    #[test]
    fn tests_are_listed() {
        let text = "deploy::a_new_version_serves: test\ncanary::some: test\nfast: benchmark\n\n2 tests, 1 benchmark\n";
        assert_eq!(listed(text), ["deploy::a_new_version_serves", "canary::some"]);
    }
}
