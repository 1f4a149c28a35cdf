//! What docs/operating.md must name: every metric, setting and variable of a host. The suite `layers` fails when one is missing.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Where operators look for them.
const DOCS: &str = "docs/operating.md";
/// Where the metrics are, a constant each.
const METRICS: &str = "host/admin/src/metrics.rs";
/// Where the settings and variables are read.
const CONFIG: &str = "host/devconnect/src/config.rs";
/// Where the settings of components are, in a table of TOML.
const APPLICATION: &str = "components/application.toml";

/// What is missing, a line each.
pub(crate) fn findings(root: &Path) -> Result<Vec<String>> {
    let read = |file: &str| fs::read_to_string(root.join(file)).with_context(|| format!("can't read {file}"));
    let (docs, config) = (read(DOCS)?, read(CONFIG)?);
    let application: toml::Table = read(APPLICATION)?.parse().with_context(|| format!("{APPLICATION} is no TOML"))?;
    let of_components =
        application.get("settings").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys);
    let tables = ["secrets", "optional-secrets", "variables"].map(|table| application.get(table));
    let of_application = tables.into_iter().flatten().filter_map(toml::Value::as_table).flat_map(toml::Table::values);
    let of_application = of_application.filter_map(toml::Value::as_str).map(str::to_owned);
    let in_docs = |name: &String| docs.contains(&format!("`{name}`")) || docs.contains(&format!("`{name}{{"));
    let is_set = |name: &String| docs.lines().any(|line| key(line) == Some(name.as_str()));
    let metrics = metrics(&read(METRICS)?).into_iter().filter(|name| !in_docs(name));
    let variables = variables(&config).into_iter().chain(of_application).filter(|name| !in_docs(name));
    let settings = settings(&config).into_iter().filter(|name| !is_set(name));
    let of_components = of_components.filter(|name| !in_docs(name)).cloned();
    let missing = [
        ("metric", metrics.collect::<Vec<_>>()),
        ("variable", variables.collect()),
        ("setting", settings.chain(of_components).collect()),
    ];
    let lines = missing.into_iter().flat_map(|(what, names)| {
        names.into_iter().map(move |name| format!("{DOCS} does not have the {what} `{name}`"))
    });
    Ok(lines.collect())
}

/// The names of `const NAME: &str = "name";`.
fn metrics(source: &str) -> Vec<String> {
    let names = source.lines().filter_map(|line| {
        let (_, value) = line.strip_prefix("const ")?.split_once(": &str = \"")?;
        value.strip_suffix("\";").map(str::to_owned)
    });
    names.collect()
}

/// The names in `environment("NAME")`.
fn variables(source: &str) -> Vec<String> {
    let calls = source.split("environment(\"").skip(1);
    let mut names: Vec<String> = calls.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect();
    names.sort();
    names.dedup();
    names
}

/// The fields of the structs whose names end with `File`, as TOML writes them.
fn settings(source: &str) -> Vec<String> {
    let (mut names, mut inside) = (Vec::new(), false);
    for line in source.lines() {
        if let Some(name) = line.strip_prefix("struct ").and_then(|rest| rest.strip_suffix(" {")) {
            inside = name.ends_with("File");
        } else if line == "}" {
            inside = false;
        } else if let Some((name, _)) = line.trim().split_once(": ").filter(|_| inside) {
            names.push(name.replace('_', "-"));
        }
    }
    names
}

/// The name of a line of TOML that sets a value or begins a table.
fn key(line: &str) -> Option<&str> {
    match line.strip_prefix('[') {
        Some(table) => table.split_once(']').map(|(name, _)| name),
        None => line.split_once(" = ").map(|(name, _)| name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_variables_and_settings_are_found() {
        let source = "/// Calls.\nconst CALLS: &str = \"calls_total\";\nconst MOST: u32 = 1;\n";
        assert_eq!(metrics(source), ["calls_total"]);
        let source = "environment(\"B_C\").or(environment(\"A\"), environment(\"A\"), name)";
        assert_eq!(variables(source), ["A", "B_C"]);
        let source = "struct File {\n    a_b: Option<u32>,\n    c: CFile,\n}\nstruct Other {\n    d: u32,\n}\nstruct CFile {\n    e: bool,\n}\n";
        assert_eq!(settings(source), ["a-b", "c", "e"]);
    }

    #[test]
    fn a_line_of_toml_has_a_key() {
        for (line, name) in [("[engine]", "engine"), ("[engine]    # how", "engine"), ("a-b = 1  # one", "a-b")] {
            assert_eq!(key(line), Some(name));
        }
        assert_eq!(key("some words"), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        assert_eq!(findings(root).unwrap(), Vec::<String>::new());
    }
}
