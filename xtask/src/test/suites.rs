//! The suites: first those that are done one after the other, then those whose jobs run side by side. A new test package
//! gets a line here; until then it runs in `rest`.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::workspace::{Package, Workspace};

/// What a suite does.
#[derive(Debug)]
pub(super) enum Work {
    /// One check by cargo.
    Cargo(&'static [&'static str]),
    /// Licences, bans and sources by cargo-deny, where it is installed.
    Deny,
    /// No circle among the crates, nor in one of the host's.
    Layers,
    /// Builds all components, also those that only tests load.
    Components,
    /// Builds what is tested natively, with one set of features.
    Build,
    /// Clippy.
    Lint,
    /// Doc tests.
    Examples,
    /// The tests of the host's own crates, and of these packages.
    Host(&'static [&'static str]),
    /// The tests of these packages.
    Packages(&'static [&'static str]),
    /// The tests of all packages that no other suite has.
    Rest,
}

impl Work {
    /// Whether it is done by itself, before any jobs.
    pub(super) fn is_stage(&self) -> bool {
        matches!(self, Work::Cargo(_) | Work::Deny | Work::Layers | Work::Components | Work::Build)
    }

    /// Whether it runs test executables.
    pub(super) fn is_tests(&self) -> bool {
        matches!(self, Work::Host(_) | Work::Packages(_) | Work::Rest)
    }
}

/// A part of `cargo xtask test`.
#[derive(Debug)]
pub(super) struct Suite {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) work: Work,
    /// How long it, or one of its jobs, may take; six times as long with `--full`.
    pub(super) cap: Duration,
    /// Nothing can be tested when it failed.
    pub(super) needed: bool,
}

const fn suite(name: &'static str, about: &'static str, minutes: u64, work: Work) -> Suite {
    Suite { name, about, work, cap: Duration::from_secs(minutes * 60), needed: false }
}

const fn needed(name: &'static str, about: &'static str, minutes: u64, work: Work) -> Suite {
    Suite { needed: true, ..suite(name, about, minutes, work) }
}

/// All of them. The caps are for two cores and an empty target folder, with room to spare.
pub(super) const SUITES: &[Suite] = &[
    suite("format", "cargo fmt", 2, Work::Cargo(&["fmt", "--all", "--check"])),
    suite("deny", "licences, bans, sources", 2, Work::Deny),
    suite("layers", "crates and modules without a circle, docs/attacks.md and docs/operating.md", 2, Work::Layers),
    needed("components", "every component builds", 10, Work::Components),
    needed("build", "host, tools and tests build", 50, Work::Build),
    suite("lint", "clippy", 15, Work::Lint),
    suite("examples", "the examples in doc comments", 6, Work::Examples),
    suite(
        "units",
        "host, SDK and tools",
        8,
        Work::Host(&["devconnect-sdk", "model", "xtask", "harness", "fuzzing", "behaviours", "demo"]),
    ),
    suite(
        "handlers",
        "each component's rules",
        6,
        Work::Packages(&[
            "auth",
            "profile",
            "connections",
            "feed",
            "messaging",
            "preferences",
            "membership",
            "account",
            "activity",
            "notifications",
            "analytics",
            "mail",
            "web",
        ]),
    ),
    suite("conformance", "each engine of a capability", 8, Work::Packages(&["conformance"])),
    suite("e2e", "the product over HTTP", 20, Work::Packages(&["e2e"])),
    suite("faults", "crashes, stores that fail, deploys under load", 30, Work::Packages(&["faults"])),
    suite("hostile", "strangers, members, clients and components that attack", 15, Work::Packages(&["hostile"])),
    suite("guard", "what a request and a message cost, counted; the bench's own units", 8, Work::Packages(&["bench"])),
    suite("rest", "packages that no other suite has", 8, Work::Rest),
];

/// What was asked for.
#[derive(Debug)]
pub(super) struct Asked {
    /// In their order, with what they need.
    pub(super) suites: Vec<&'static Suite>,
    /// Parts of names: only such tests are run. None: all.
    pub(super) filters: Vec<String>,
    /// Nothing was named.
    pub(super) everything: bool,
    /// Building is wanted for its own sake, and not only for some tests.
    pub(super) builds_all: bool,
}

/// Reads the words of a command line: names of suites, and after a single one parts of test names. No words: all suites.
/// With tests among the suites they bring along what must be built.
pub(super) fn ask(words: &[String]) -> Result<Asked> {
    let (mut names, mut filters): (Vec<&str>, Vec<String>) = Default::default();
    for word in words {
        // One that is named again means tests that are called so, as in `faults faults`.
        let is_suite = find(word).is_some() && !names.contains(&word.as_str());
        if is_suite { names.push(word) } else { filters.push(word.clone()) }
    }
    if let Some(filter) = filters.first() {
        let has_tests = |name: &str| find(name).is_some_and(|suite| suite.work.is_tests());
        let one = matches!(names.as_slice(), [name] if has_tests(name));
        let all: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
        ensure!(
            one,
            "there is no suite `{filter}`; there are {}; a part of tests' names comes after a single suite with tests",
            all.join(", ")
        );
    }
    let named = |suite: &Suite| names.is_empty() || names.contains(&suite.name);
    let tests = SUITES.iter().any(|suite| named(suite) && suite.work.is_tests());
    Ok(Asked {
        suites: SUITES.iter().filter(|suite| named(suite) || (tests && suite.needed)).collect(),
        filters,
        everything: names.is_empty(),
        builds_all: SUITES.iter().any(|suite| named(suite) && matches!(suite.work, Work::Build)),
    })
}

fn find(name: &str) -> Option<&'static Suite> {
    SUITES.iter().find(|suite| suite.name == name)
}

/// The packages that the suite tests; none when it does not test packages, or there are none.
pub(super) fn packages<'a>(suite: &Suite, workspace: &'a Workspace) -> Vec<&'a Package> {
    workspace.packages.iter().filter(|package| belongs(&suite.work, package, workspace)).collect()
}

fn belongs(work: &Work, package: &Package, workspace: &Workspace) -> bool {
    let is_in = |names: &[&str]| names.contains(&package.name.as_str());
    match work {
        Work::Host(names) => workspace.is_host(package) || is_in(names),
        Work::Packages(names) => is_in(names),
        Work::Rest => !SUITES.iter().any(|suite| {
            let named = matches!(suite.work, Work::Host(_) | Work::Packages(_));
            named && belongs(&suite.work, package, workspace)
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::package;

    fn asked(words: &[&str]) -> Result<Asked> {
        ask(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    fn names(words: &[&str]) -> Vec<&'static str> {
        asked(words).unwrap().suites.iter().map(|suite| suite.name).collect()
    }

    #[test]
    fn tests_bring_along_what_they_need() {
        assert_eq!(names(&["e2e"]), ["components", "build", "e2e"]);
        assert_eq!(names(&["lint", "format"]), ["format", "lint"]);
        assert_eq!(names(&[]).len(), SUITES.len());
        assert!(asked(&["build", "e2e"]).unwrap().builds_all && asked(&[]).unwrap().builds_all);
        assert!(!asked(&["e2e"]).unwrap().builds_all);
    }

    #[test]
    fn after_a_single_suite_come_parts_of_names() {
        assert_eq!(asked(&["e2e", "product", "mail::"]).unwrap().filters, ["product", "mail::"]);
        assert_eq!(names(&["faults", "faults"]), ["components", "build", "faults"]);
        assert_eq!(asked(&["faults", "faults"]).unwrap().filters, ["faults"]);
        for wrong in [&["e3e"][..], &["product"], &["lint", "product"], &["e2e", "faults", "product"]] {
            let error = asked(wrong).unwrap_err().to_string();
            assert!(error.contains("; there are format, deny, "), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn no_package_is_forgotten() {
        let packages = vec![
            package("auth", "components/auth", None),
            package("new-one", "tests/new-one", None),
            package("store-new", "host/stores/new", None),
            package("xtask", "xtask", None),
        ];
        let workspace = Workspace { root: "/w".into(), target: "/w/target".into(), packages };
        let of = |name: &str| -> Vec<String> {
            let found = super::packages(find(name).unwrap(), &workspace);
            found.into_iter().map(|package| package.name.clone()).collect()
        };
        assert_eq!(of("rest"), ["new-one"]);
        assert_eq!(of("units"), ["store-new", "xtask"]);
        assert_eq!(of("handlers"), ["auth"]);
        assert!(of("lint").is_empty());
    }
}
