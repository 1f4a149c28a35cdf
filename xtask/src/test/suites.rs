//! The suites, in the order in which they run. A new test package gets a line here; until then it runs in `rest`.

use std::time::Duration;

use anyhow::Result;

/// What a suite does.
#[derive(Debug)]
pub(super) enum Work {
    /// One check by cargo.
    Cargo(&'static [&'static str]),
    /// Licences, bans and sources by cargo-deny, where it is installed.
    Deny,
    /// Builds all components, also those that only tests load.
    Components,
    /// Builds everything native, once, with one set of features.
    Build,
    /// Doc tests.
    Examples,
    /// The tests of these packages.
    Packages(&'static [&'static str]),
    /// The tests of all packages that no other suite has.
    Rest,
}

/// A part of `cargo xtask test`.
#[derive(Debug)]
pub(super) struct Suite {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) work: Work,
    /// How long it may take; six times as long with `--full`.
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
    needed("components", "every component builds", 10, Work::Components),
    needed("build", "host, tools and tests build", 50, Work::Build),
    suite("lint", "clippy", 15, Work::Cargo(CLIPPY)),
    suite("examples", "the examples in doc comments", 6, Work::Examples),
    suite(
        "units",
        "host, SDK and tools",
        8,
        Work::Packages(&["devconnect-host", "devconnect-sdk", "model", "xtask", "harness"]),
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
            "activity",
            "notifications",
            "analytics",
            "mail",
        ]),
    ),
    suite("conformance", "each engine of a capability", 8, Work::Packages(&["conformance"])),
    suite("e2e", "the product over HTTP", 20, Work::Packages(&["e2e"])),
    suite("hostile", "components that misbehave", 8, Work::Packages(&["hostile"])),
    suite("faults", "crashes, stores that fail, deploys under load", 30, Work::Packages(&["faults"])),
    suite("foreign", "components written for the standard", 6, Work::Packages(&["foreign"])),
    suite("rest", "packages that no other suite has", 8, Work::Rest),
];

const CLIPPY: &[&str] = &["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"];

/// The named suites in their order, and with tests among them also what must be built. No names: all.
pub(super) fn select(names: &[String]) -> Result<Vec<&'static Suite>> {
    names.iter().try_for_each(|name| super::unknown(name))?;
    let named = |suite: &Suite| names.is_empty() || names.iter().any(|name| name == suite.name);
    let tests = SUITES.iter().any(|suite| named(suite) && matches!(suite.work, Work::Packages(_) | Work::Rest));
    Ok(SUITES.iter().filter(|suite| named(suite) || (tests && suite.needed)).collect())
}

/// The packages of `existing` that the suite tests; none when it does not test packages.
pub(super) fn packages<'a>(suite: &Suite, existing: &'a [String]) -> Option<Vec<&'a str>> {
    let listed =
        |name: &str| SUITES.iter().any(|suite| matches!(suite.work, Work::Packages(names) if names.contains(&name)));
    let existing = existing.iter().map(String::as_str);
    match suite.work {
        Work::Packages(names) => Some(existing.filter(|name| names.contains(name)).collect()),
        Work::Rest => Some(existing.filter(|name| !listed(name)).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(suites: &[&Suite]) -> Vec<&'static str> {
        suites.iter().map(|suite| suite.name).collect()
    }

    #[test]
    fn tests_bring_along_what_they_need() {
        assert_eq!(names(&select(&["e2e".to_owned()]).unwrap()), ["components", "build", "e2e"]);
        assert_eq!(names(&select(&["lint".to_owned(), "format".to_owned()]).unwrap()), ["format", "lint"]);
        assert_eq!(select(&[]).unwrap().len(), SUITES.len());
        assert!(select(&["e3e".to_owned()]).unwrap_err().to_string().contains("there are format, deny"));
    }

    #[test]
    fn no_package_is_forgotten() {
        let existing = ["auth", "new-one", "xtask"].map(str::to_owned);
        let rest = SUITES.iter().find(|suite| suite.name == "rest").unwrap();
        assert_eq!(packages(rest, &existing).unwrap(), ["new-one"]);
    }
}
