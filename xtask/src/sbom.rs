//! `sbom`: what the host and the components are made of, as CycloneDX 1.5 JSON, for those who look for licences and known faults.
//! It asks cargo, reads `Cargo.lock` and writes `target/sbom.json`. What pages are made of is in `npm`.

mod npm;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::workspace::{Workspace, cargo};

/// Where the host and the components run, as in `deny.toml`; what only other systems need is not shipped.
const TARGETS: [&str; 3] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "wasm32-unknown-unknown"];
/// The package that the whole is called by.
const PRODUCT: &str = "devconnect";
/// The folder of the other packages that are shipped.
const COMPONENTS: &str = "components";

/// What `cargo metadata` prints, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
    workspace_root: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    /// The registry; none: it is one of ours.
    source: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

/// A package and what it depends on.
#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Debug, Deserialize)]
struct DependencyKind {
    /// None, `build` or `dev`.
    kind: Option<String>,
}

/// `Cargo.lock`.
#[derive(Debug, Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Locked>,
}

#[derive(Debug, Deserialize)]
struct Locked {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

/// Writes the file and says where it is.
pub(crate) fn write(workspace: &Workspace) -> Result<ExitCode> {
    let mut command = cargo(&workspace.root);
    command.args(["metadata", "--locked", "--format-version", "1"]);
    for target in TARGETS {
        command.args(["--filter-platform", target]);
    }
    let output = command.output().context("cargo can't be run; install Rust with rustup")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("what cargo metadata printed")?;
    let lock = workspace.root.join("Cargo.lock");
    let lock = fs::read_to_string(&lock).with_context(|| format!("{} can't be read", lock.display()))?;
    let (mut document, count) = document(&metadata, &lock)?;
    let of_pages = npm::add(&mut document, &workspace.root.join(COMPONENTS))?;
    let file = workspace.target.join("sbom.json");
    let text = serde_json::to_string_pretty(&document)? + "\n";
    fs::create_dir_all(&workspace.target)
        .and_then(|()| fs::write(&file, text))
        .with_context(|| format!("{} can't be written", file.display()))?;
    println!("{}: {count} crates and {of_pages} packages of npm are in what is shipped", workspace.shown(&file));
    Ok(ExitCode::SUCCESS)
}

/// The document, and how many crates are in it.
fn document(metadata: &Metadata, lock: &str) -> Result<(Value, usize)> {
    let lock: Lock = toml::from_str(lock).context("Cargo.lock is wrong")?;
    let checksums: BTreeMap<(&str, &str, Option<&str>), &str> = lock
        .package
        .iter()
        .filter_map(|Locked { name, version, source, checksum }| {
            Some(((name.as_str(), version.as_str(), source.as_deref()), checksum.as_deref()?))
        })
        .collect();
    let product = metadata.packages.iter().find(|package| package.source.is_none() && package.name == PRODUCT);
    let product = product.with_context(|| format!("there is no package `{PRODUCT}` in this workspace"))?;
    let components = metadata.workspace_root.join(COMPONENTS);
    let roots = metadata.packages.iter().filter(|package| package.id == product.id || package.is_in(&components));
    let shipped = reached(&metadata.resolve, roots.map(|package| package.id.as_str()).collect());
    let mut packages: Vec<&Package> =
        metadata.packages.iter().filter(|package| shipped.contains_key(package.id.as_str())).collect();
    packages.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    let references: BTreeMap<&str, String> =
        packages.iter().map(|package| (package.id.as_str(), package.reference())).collect();
    let checksum = |package: &Package| {
        let key = (package.name.as_str(), package.version.as_str(), package.source.as_deref());
        checksums.get(&key).copied()
    };
    let dependencies = packages.iter().map(|package| {
        let on = shipped.get(package.id.as_str()).into_iter().flatten();
        let on: BTreeSet<&String> = on.filter_map(|id| references.get(id)).collect();
        json!({ "ref": package.reference(), "dependsOn": on })
    });
    let others = packages.iter().filter(|package| package.id != product.id);
    let others: Vec<Value> = others.map(|package| package.described("library", checksum(package))).collect();
    let document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": product.described("application", checksum(product)) },
        "components": others,
        "dependencies": dependencies.collect::<Vec<_>>(),
    });
    Ok((document, packages.len()))
}

/// The packages that are reached from `open` but for the sake of tests, each with those that it depends on.
fn reached<'a>(resolve: &'a Resolve, mut open: Vec<&'a str>) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let nodes: BTreeMap<&str, &Node> = resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let is_shipped = |on: &&Dependency| on.dep_kinds.iter().any(|dependency| dependency.kind.as_deref() != Some("dev"));
    let mut reached: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    while let Some(id) = open.pop() {
        if reached.contains_key(id) {
            continue;
        }
        let on = nodes.get(id).into_iter().flat_map(|node| node.deps.iter());
        let on: BTreeSet<&str> = on.filter(is_shipped).map(|on| on.pkg.as_str()).collect();
        open.extend(&on);
        reached.insert(id, on);
    }
    reached
}

impl Package {
    /// Is it one of ours, in this folder?
    fn is_in(&self, folder: &Path) -> bool {
        self.source.is_none() && self.manifest_path.starts_with(folder)
    }

    /// Its name in the document.
    fn reference(&self) -> String {
        match self.source {
            Some(_) => self.purl(),
            None => format!("workspace/{}@{}", self.name, self.version),
        }
    }

    /// Its package URL. Only for a package of the registry: our names may be other people's there.
    fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version.replace('+', "%2B"))
    }

    fn described(&self, kind: &str, checksum: Option<&str>) -> Value {
        let mut fields = Map::new();
        let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        add("type", json!(kind));
        add("bom-ref", json!(self.reference()));
        add("name", json!(self.name));
        add("version", json!(self.version));
        if self.source.is_some() {
            add("purl", json!(self.purl()));
        }
        if let Some(licence) = &self.license {
            // The older way to write `OR`, which is no expression of SPDX.
            let expression = licence.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ");
            add("licenses", json!([{ "expression": expression }]));
        }
        if let Some(checksum) = checksum {
            add("hashes", json!([{ "alg": "SHA-256", "content": checksum }]));
        }
        Value::Object(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
    const LOCK: &str = r#"
version = 4

[[package]]
name = "devconnect"
version = "0.1.0"
dependencies = ["serde"]

[[package]]
name = "serde"
version = "1.0.2"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "aa11"

[[package]]
name = "wasip2"
version = "1.0.0+wasi-0.2.9"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "bb22"

[[package]]
name = "tempfile"
version = "3.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "cc33"
"#;

    fn package(name: &str, version: &str, folder: Option<&str>, license: Option<&str>) -> Value {
        json!({
            "id": format!("{name}-id"), "name": name, "version": version, "license": license,
            "source": if folder.is_some() { None } else { Some(REGISTRY) },
            "manifest_path": format!("/w/{}/Cargo.toml", folder.unwrap_or(name)),
            "targets": [], "features": {},
        })
    }

    fn node(name: &str, on: &[(&str, Option<&str>)]) -> Value {
        let deps: Vec<Value> = on
            .iter()
            .map(|(name, kind)| {
                json!({ "name": name, "pkg": format!("{name}-id"), "dep_kinds": [{ "kind": kind, "target": null }] })
            })
            .collect();
        json!({ "id": format!("{name}-id"), "dependencies": [], "deps": deps, "features": [] })
    }

    /// A host and a component, what they are made of, and what only tests use.
    fn sample() -> Metadata {
        let sample = json!({
            "packages": [
                package("devconnect", "0.1.0", Some("host/devconnect"), Some("MIT OR Apache-2.0")),
                package("feed", "0.1.0", Some("components/feed"), None),
                package("harness", "0.1.0", Some("tests/harness"), None),
                package("serde", "1.0.2", None, Some("MIT/Apache-2.0")),
                package("wasip2", "1.0.0+wasi-0.2.9", None, Some("Apache-2.0")),
                package("cc", "1.2.0", None, Some("MIT")),
                package("tempfile", "3.0.0", None, Some("MIT")),
            ],
            "resolve": { "root": null, "nodes": [
                node("devconnect", &[("serde", None), ("tempfile", Some("dev"))]),
                node("feed", &[("wasip2", None), ("harness", Some("dev"))]),
                node("harness", &[("tempfile", None)]),
                node("serde", &[("cc", Some("build"))]),
                node("wasip2", &[]),
                node("cc", &[]),
                node("tempfile", &[]),
            ] },
            "workspace_root": "/w",
            "target_directory": "/w/target",
        });
        serde_json::from_value(sample).unwrap()
    }

    #[test]
    fn what_is_shipped_is_there_with_its_licence_and_hash_and_nothing_of_the_tests() {
        let (document, count) = document(&sample(), LOCK).unwrap();
        assert_eq!((&document["bomFormat"], &document["specVersion"]), (&json!("CycloneDX"), &json!("1.5")));
        assert_eq!(count, 5);
        let whole = &document["metadata"]["component"];
        assert_eq!((&whole["type"], &whole["name"]), (&json!("application"), &json!("devconnect")));
        let components = document["components"].as_array().unwrap();
        let names: Vec<&str> = components.iter().map(|component| component["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["cc", "feed", "serde", "wasip2"]);
        assert_eq!(
            components[2],
            json!({
                "type": "library", "bom-ref": "pkg:cargo/serde@1.0.2", "name": "serde", "version": "1.0.2",
                "purl": "pkg:cargo/serde@1.0.2",
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                "hashes": [{ "alg": "SHA-256", "content": "aa11" }],
            })
        );
        assert_eq!(components[3]["purl"], "pkg:cargo/wasip2@1.0.0%2Bwasi-0.2.9");
        // One of ours is not the crate of that name in the registry.
        assert_eq!((&components[1]["bom-ref"], &components[1]["purl"]), (&json!("workspace/feed@0.1.0"), &Value::Null));
    }

    #[test]
    fn every_reference_is_that_of_one_crate() {
        let (document, count) = document(&sample(), LOCK).unwrap();
        let all = document["components"].as_array().unwrap().iter().chain([&document["metadata"]["component"]]);
        let known: BTreeSet<&str> = all.map(|component| component["bom-ref"].as_str().unwrap()).collect();
        assert_eq!(known.len(), count);
        let dependencies = document["dependencies"].as_array().unwrap();
        assert_eq!(dependencies.len(), count);
        for dependency in dependencies {
            let on = dependency["dependsOn"].as_array().unwrap().iter().chain([&dependency["ref"]]);
            for name in on.map(|name| name.as_str().unwrap()) {
                assert!(known.contains(name), "{name} is not described");
            }
        }
        let serde = dependencies.iter().find(|dependency| dependency["ref"] == "pkg:cargo/serde@1.0.2").unwrap();
        assert_eq!(serde["dependsOn"], json!(["pkg:cargo/cc@1.2.0"]));
    }

    /// The shape of the schema of CycloneDX 1.5: the keys that it knows, and the texts that it takes for them.
    #[test]
    fn the_document_has_the_shape_of_its_schema() {
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
        let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
        let (document, _) = document(&sample(), LOCK).unwrap();
        let top = all(&["$schema", "bomFormat", "specVersion", "version", "metadata", "components", "dependencies"]);
        assert_eq!(keys(&document), top);
        assert!(document["version"].as_u64().is_some_and(|version| version >= 1));
        let components = document["components"].as_array().unwrap().iter();
        let known = all(&["type", "bom-ref", "name", "version", "purl", "licenses", "hashes"]);
        for component in components.chain([&document["metadata"]["component"]]) {
            assert!(keys(component).is_subset(&known), "{component}");
            assert!(["application", "library"].contains(&component["type"].as_str().unwrap()), "{component}");
            assert!(
                ["bom-ref", "name", "version"]
                    .iter()
                    .all(|key| component[*key].as_str().is_some_and(|text| !text.is_empty()))
            );
            assert!(
                component.get("purl").is_none_or(|purl| purl.as_str().unwrap().starts_with("pkg:cargo/")),
                "{component}"
            );
            // One expression of SPDX, and nothing beside it.
            let licences = component.get("licenses").map(|licences| licences.as_array().unwrap());
            assert!(licences.is_none_or(|licences| licences.len() == 1 && keys(&licences[0]) == all(&["expression"])));
            for hash in component.get("hashes").into_iter().flat_map(|hashes| hashes.as_array().unwrap()) {
                assert_eq!((&hash["alg"], keys(hash)), (&json!("SHA-256"), all(&["alg", "content"])));
                assert!(hash["content"].as_str().unwrap().bytes().all(|byte| byte.is_ascii_hexdigit()), "{component}");
            }
        }
        for dependency in document["dependencies"].as_array().unwrap() {
            assert_eq!(keys(dependency), all(&["ref", "dependsOn"]));
        }
    }

    #[test]
    fn a_workspace_without_the_host_says_so() {
        let mut other = sample();
        other.packages.retain(|package| package.name != PRODUCT);
        let error = document(&other, LOCK).unwrap_err().to_string();
        assert_eq!(error, "there is no package `devconnect` in this workspace");
        assert!(document(&sample(), "package = 1").is_err());
    }
}
