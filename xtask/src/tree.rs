//! `tree`: which crate depends on which, from the ground up, and whether that goes in a circle anywhere: among crates, or
//! among the top modules of one of the host's. And whether tests change the features that everything is compiled with, and which
//! crates may have unsafe code.

mod circle;
mod features;
mod modules;
mod unsafe_code;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::Result;

use self::circle::Graph;
use crate::workspace::{Dependency, Workspace};

/// Prints the crates, then what is wrong; fails when something is.
pub(crate) fn show(workspace: &Workspace) -> Result<ExitCode> {
    println!("{}", lines(&graph(workspace, Dependency::is_normal)).join("\n"));
    let wrong = findings(workspace)?;
    wrong.iter().for_each(|finding| println!("warning: {finding}"));
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is wrong, a line each.
pub(crate) fn findings(workspace: &Workspace) -> Result<Vec<String>> {
    let mut found = Vec::new();
    // Tests included: cargo allows circles through them, and each costs a second build of a crate.
    for circle in circle::all(graph(workspace, |_| true)) {
        found.push(format!("crates depend on each other: {}", circle.join(" -> ")));
    }
    for package in workspace.host() {
        let source = package.folder().join("src");
        // Files of one folder may know each other: together they are one thing.
        let over_folders = |circle: &Vec<String>| circle.iter().any(|module| source.join(module).is_dir());
        for circle in circle::all(modules::graph(&source)?).into_iter().filter(over_folders) {
            found.push(format!("modules of {} use each other: {}", package.name, circle.join(" -> ")));
        }
    }
    for line in features::of_tests_only(workspace)? {
        found.push(format!("a dev-dependency adds features, which `run` and `test` then build apart: {line}"));
    }
    found.extend(unsafe_code::findings(workspace)?);
    Ok(found)
}

/// The crates of the workspace and on which others of it each depends.
fn graph(workspace: &Workspace, counts: impl Fn(&Dependency) -> bool) -> Graph {
    let on = |dependencies: &[Dependency], own: &str| -> BTreeSet<String> {
        let others = dependencies.iter().filter(|dependency| counts(dependency) && dependency.name != own);
        others.map(|dependency| dependency.name.clone()).filter(|name| workspace.has(name)).collect()
    };
    let packages = workspace.packages.iter();
    packages.map(|package| (package.name.clone(), on(&package.dependencies, &package.name))).collect()
}

/// A line for each crate, after those that it depends on; an empty one between layers.
fn lines(graph: &Graph) -> Vec<String> {
    let mut layers: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (name, layer) in layers_of(graph) {
        let on: Vec<&str> = graph.get(name).into_iter().flatten().map(String::as_str).collect();
        let line = if on.is_empty() { name.to_owned() } else { format!("{name} -> {}", on.join(", ")) };
        layers.entry(layer).or_default().push(line);
    }
    let mut lines = Vec::new();
    for layer in layers.into_values() {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(layer);
    }
    lines
}

/// How many crates lie below each.
fn layers_of(graph: &Graph) -> BTreeMap<&str, usize> {
    let mut layers: BTreeMap<&str, usize> = graph.keys().map(|name| (name.as_str(), 0)).collect();
    // As many rounds as there are crates: only a circle would go on rising.
    for _ in graph {
        for (name, on) in graph {
            let below = on.iter().filter_map(|name| layers.get(name.as_str())).max();
            let layer = below.map_or(0, |below| below + 1);
            layers.insert(name, layer);
        }
    }
    layers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_come_after_what_they_depend_on() {
        let graph = circle::graph(&[("host", &["engine", "store"]), ("engine", &["ground"]), ("store", &["ground"])]);
        let expected = ["ground", "", "engine -> ground", "store -> ground", "", "host -> engine, store"];
        assert_eq!(lines(&graph), expected);
    }
}
