//! What the pages of components are made of: the packages of npm that their lock files name, but for those of tools and tests. It
//! reads the lock files, and adds to the document.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Before the name of each package that a lock file has.
const PREFIX: &str = "node_modules/";

/// A lock file, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Lock {
    packages: BTreeMap<String, Locked>,
}

#[derive(Debug, Deserialize)]
struct Locked {
    version: Option<String>,
    license: Option<String>,
    integrity: Option<String>,
    /// Only who builds or tests needs it.
    #[serde(default)]
    dev: bool,
    #[serde(default)]
    dependencies: BTreeMap<String, String>,
}

/// Adds the packages of all pages under `components` to a document; answers how many.
pub(super) fn add(document: &mut Value, components: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(components).with_context(|| format!("{} can't be read", components.display()))? {
        let component = entry?.path();
        let lock = component.join("page/package-lock.json");
        if !lock.is_file() {
            continue;
        }
        let text = fs::read_to_string(&lock).with_context(|| format!("{} can't be read", lock.display()))?;
        let lock: Lock = serde_json::from_str(&text).with_context(|| format!("{} is wrong", lock.display()))?;
        let name = component.file_name().unwrap_or_default().to_string_lossy().into_owned();
        count += add_page(document, &name, &lock);
    }
    Ok(count)
}

/// Adds the packages of the page of a component.
fn add_page(document: &mut Value, component: &str, lock: &Lock) -> usize {
    let shipped: BTreeMap<&str, &Locked> = lock
        .packages
        .iter()
        .filter(|(_, package)| !package.dev)
        .filter_map(|(path, package)| Some((path.rsplit_once(PREFIX)?.1, package)))
        .collect();
    let reference = |name: &str| Some(purl(name, shipped.get(name)?.version.as_deref()?));
    let references = |names: &BTreeMap<String, String>| {
        names.keys().filter_map(|name| reference(name)).collect::<BTreeSet<String>>()
    };
    let mut added = 0;
    for (name, package) in &shipped {
        let Some(own) = reference(name) else { continue };
        if push(document, "components", "bom-ref", &own, package.described(name, &own)) {
            let on = references(&package.dependencies);
            push(document, "dependencies", "ref", &own, json!({ "ref": own, "dependsOn": on }));
            added += 1;
        }
    }
    // The component's own crate is made of them as well.
    let direct = lock.packages.get("").map(|page| references(&page.dependencies)).unwrap_or_default();
    let crates = document.get_mut("dependencies").and_then(Value::as_array_mut).into_iter().flatten();
    let is_own = |value: &Value| {
        value
            .get("ref")
            .and_then(Value::as_str)
            .is_some_and(|name| name.starts_with(&format!("workspace/{component}@")))
    };
    for own in crates.filter(|value| is_own(value)) {
        if let Some(on) = own.get_mut("dependsOn").and_then(Value::as_array_mut) {
            on.extend(direct.iter().map(|name| json!(name)));
        }
    }
    added
}

/// Adds to a list of the document what is not in it yet.
fn push(document: &mut Value, list: &str, key: &str, name: &str, value: Value) -> bool {
    let Some(list) = document.get_mut(list).and_then(Value::as_array_mut) else { return false };
    if list.iter().any(|known| known.get(key).and_then(Value::as_str) == Some(name)) {
        return false;
    }
    list.push(value);
    true
}

/// A package URL; the `@` of a scope is escaped in it.
fn purl(name: &str, version: &str) -> String {
    format!("pkg:npm/{}@{}", name.replacen('@', "%40", 1), version.replace('+', "%2B"))
}

impl Locked {
    fn described(&self, name: &str, reference: &str) -> Value {
        let mut fields = Map::new();
        let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        add("type", json!("library"));
        add("bom-ref", json!(reference));
        add("name", json!(name));
        add("version", json!(self.version));
        add("purl", json!(reference));
        if let Some(licence) = &self.license {
            add("licenses", json!([{ "expression": licence }]));
        }
        let hash = self.integrity.as_deref().and_then(|text| text.strip_prefix("sha512-"));
        if let Some(hash) = hash.and_then(|text| STANDARD.decode(text).ok()) {
            let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            add("hashes", json!([{ "alg": "SHA-512", "content": digits }]));
        }
        Value::Object(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_is_made_of_is_there_and_no_tool() {
        let lock = json!({ "packages": {
            "": { "dependencies": { "@a/signals": "1.0.0" }, "devDependencies": { "vite": "8.0.0" } },
            "node_modules/@a/signals": { "version": "1.0.0", "license": "MIT", "integrity": "sha512-AAEC", "dependencies": { "b": "^2" } },
            "node_modules/b": { "version": "2.0.0" },
            "node_modules/vite": { "version": "8.0.0", "dev": true },
        } });
        let lock: Lock = serde_json::from_value(lock).unwrap();
        let mut document = json!({
            "components": [{ "bom-ref": "workspace/web@0.1.0" }],
            "dependencies": [{ "ref": "workspace/web@0.1.0", "dependsOn": [] }, { "ref": "workspace/webs@1.0.0", "dependsOn": [] }],
        });
        assert_eq!(add_page(&mut document, "web", &lock), 2);
        let signals = json!({
            "type": "library", "bom-ref": "pkg:npm/%40a/signals@1.0.0", "name": "@a/signals", "version": "1.0.0",
            "purl": "pkg:npm/%40a/signals@1.0.0", "licenses": [{ "expression": "MIT" }],
            "hashes": [{ "alg": "SHA-512", "content": "000102" }],
        });
        assert_eq!(document["components"][1], signals);
        assert_eq!(document["components"][2]["name"], "b");
        let dependencies = json!([
            { "ref": "workspace/web@0.1.0", "dependsOn": ["pkg:npm/%40a/signals@1.0.0"] },
            { "ref": "workspace/webs@1.0.0", "dependsOn": [] },
            { "ref": "pkg:npm/%40a/signals@1.0.0", "dependsOn": ["pkg:npm/b@2.0.0"] },
            { "ref": "pkg:npm/b@2.0.0", "dependsOn": [] },
        ]);
        assert_eq!(document["dependencies"], dependencies);
        assert_eq!(add_page(&mut document, "web", &lock), 0, "each once");
    }
}
