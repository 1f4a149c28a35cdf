//! `bench`: hands over to the package `bench`, but for what a change of one line costs, which is about these chores.

mod one_line;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use xtask::guests::{self, Selection};

use crate::build;
use crate::workspace::{Workspace, cargo};

/// The package that measures; its own arguments say what there is.
const PACKAGE: &str = "bench";
/// What is measured here.
const ONE_LINE: &str = "loop";

/// How something is measured. Each bench says which of it it knows.
pub(crate) struct Options {
    /// For programs.
    pub(crate) json: bool,
    /// On the real servers.
    pub(crate) real: bool,
    /// Other servers beside ours.
    pub(crate) against: Vec<String>,
    /// With so many members, one after the other.
    pub(crate) members: Vec<u64>,
}

impl Options {
    /// As the package has them.
    fn arguments(&self) -> Vec<String> {
        let flags = [(self.json, "--json"), (self.real, "--real")];
        let flags = flags.into_iter().filter(|(given, _)| *given).map(|(_, flag)| flag.to_owned());
        let against = self.against.iter().flat_map(|url| ["--against".to_owned(), url.clone()]);
        let members = self.members.iter().flat_map(|count| ["--members".to_owned(), count.to_string()]);
        flags.chain(against).chain(members).collect()
    }
}

/// Runs one bench, or lists them.
pub(crate) fn bench(workspace: &Workspace, name: Option<&str>, options: &Options) -> Result<ExitCode> {
    if name == Some(ONE_LINE) {
        let has_none = !options.real && options.against.is_empty() && options.members.is_empty();
        ensure!(has_none, "`{ONE_LINE}` has none of --real, --against and --members");
        return one_line::measure(workspace, options.json);
    }
    ensure!(
        workspace.has(PACKAGE),
        "there is no package `{PACKAGE}` in this workspace yet, so nothing can be measured"
    );
    eprintln!("building components and the bench");
    guests::build(&workspace.root, Selection::All)?;
    // Most benches run the built host in a process of its own.
    build::host(workspace, false)?;
    let mut command = cargo(&workspace.root);
    // By the program's name and not the package's: the whole workspace decides on features, as everywhere.
    command.args(["run", "--release", "--quiet", "--bin", PACKAGE, "--"]);
    match name {
        Some(name) => command.arg(name).args(options.arguments()),
        None => command.arg("--help"),
    };
    let status = command.status().context("cargo can't be run")?;
    if name.is_none() {
        println!(
            "\nAnd `{ONE_LINE}`: one line changed, in the host and in a component, until its tests start or have passed"
        );
    }
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_handed_over() {
        let urls = ["http://a:1", "http://b:2"].map(str::to_owned).to_vec();
        let options = Options { json: true, real: true, against: urls, members: vec![100, 200] };
        let urls = ["--against", "http://a:1", "--against", "http://b:2"];
        let expected = ["--json", "--real"].into_iter().chain(urls).chain(["--members", "100", "--members", "200"]);
        assert_eq!(options.arguments(), expected.collect::<Vec<_>>());
        let none = Options { json: false, real: false, against: Vec::new(), members: Vec::new() };
        assert!(none.arguments().is_empty());
    }
}
