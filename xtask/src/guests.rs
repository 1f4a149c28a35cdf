//! Building components: each crate with a `component.toml` becomes one `.wasm` file that deploys.
//! Cargo links a core module, `wit-component` wraps it, and the manifest, what the SDK says of the routes and the files of
//! `[assets]` go in as custom sections. Any number of callers may build at once (test binaries do): they take turns, and a file is there whole or not at
//! all. What no crate makes any more is removed.

mod leftover;
mod linking;
mod page;
mod section;
mod toolchain;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use assets::{Assets, Rules};
use serde::Deserialize;
use wit_component::ComponentEncoder;

pub use page::is_made;
pub use section::with_manifest;
pub use toolchain::{Toolchain, ensure_target};

/// Folders whose crates are built, beside where their `.wasm` files go. What is under test never lies beside what is served.
const PLACES: [(&str, &str); 2] = [("components", "target/components"), ("tests/fixtures", "target/fixtures")];
/// What the application's components have in common; the host reads it beside them.
const APPLICATION: &str = "application.toml";

/// Which components to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection<'a> {
    /// Those of the application and those that tests use.
    All,
    /// Those of the application.
    Application,
    /// The one whose manifest has this name.
    One(&'a str),
}

/// A component that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// As its manifest says.
    pub name: String,
    /// The file to deploy.
    pub wasm: PathBuf,
    /// The file's size in bytes.
    pub size: usize,
    /// False when the file was already there with the same bytes (and was left alone).
    pub changed: bool,
}

/// A crate that becomes a component.
#[derive(Debug)]
struct Guest {
    /// As the manifest says.
    name: String,
    package: String,
    /// The linked file's name, without its end.
    artifact: String,
    manifest: String,
    folder: PathBuf,
    /// The folder of its files, where it has some.
    assets: Option<PathBuf>,
    /// Where its `.wasm` goes, under the workspace.
    place: &'static str,
    /// One of the application, which is held to the SDK's way of linking.
    served: bool,
}

/// Builds the selected components of the workspace at `root` with one call of cargo, whose progress goes to stderr.
/// Components go to `target/components/<name>.wasm`, fixtures to `target/fixtures/<name>.wasm`.
pub fn build(root: &Path, selection: Selection<'_>) -> Result<Vec<Built>> {
    let target = root.join("target");
    fs::create_dir_all(&target).with_context(|| format!("{} can't be made", target.display()))?;
    let turn = File::create(target.join("guests.lock")).context("target/guests.lock can't be written")?;
    turn.lock().context("target/guests.lock can't be locked")?;
    // Looked for when it is our turn: another caller may have built what was not there before.
    let (guests, known) = find(root, selection)?;
    leftover::remove(root, &known)?;
    copy_application(root)?;
    if guests.is_empty() {
        return Ok(Vec::new());
    }
    for guest in &guests {
        if let Some(files) = &guest.assets {
            page::build(&guest.folder, files).with_context(|| format!("component {}", guest.name))?;
        }
    }
    let packages: Vec<&str> = guests.iter().map(|guest| guest.package.as_str()).collect();
    let linked = ensure_target(root)?.link(root, &packages)?;
    guests
        .iter()
        .map(|guest| finish(root, &linked, guest).with_context(|| format!("component {}", guest.name)))
        .collect()
}

/// The files that crates make, `.wasm` left out, by the place that they go to. A place that was not looked into is not there.
type Known = BTreeMap<&'static str, BTreeSet<String>>;

/// The selected guests, and what is known of all.
fn find(root: &Path, selection: Selection<'_>) -> Result<(Vec<Guest>, Known)> {
    let (mut known, mut guests) = (Known::new(), Vec::new());
    for (folder, place) in PLACES {
        let served = folder == "components";
        if selection == Selection::Application && !served {
            continue;
        }
        known.entry(place).or_default();
        let folder = root.join(folder);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries.with_context(|| format!("{} can't be read", folder.display()))?,
        };
        for entry in entries {
            let folder = entry?.path();
            if folder.join("component.toml").is_file() {
                guests.push(Guest::read(folder, place, served)?);
            }
        }
    }
    guests.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some([one, other]) = guests.array_windows().find(|[one, other]| one.name == other.name) {
        bail!("{} and {} have the same name in component.toml", one.folder.display(), other.folder.display());
    }
    for guest in &guests {
        known.entry(guest.place).or_default().insert(guest.name.clone());
    }
    if let Selection::One(name) = selection {
        let names: Vec<String> = guests.iter().map(|guest| guest.name.clone()).collect();
        guests.retain(|guest| guest.name == name);
        ensure!(!guests.is_empty(), "there is no component `{name}`; there are {}", names.join(", "));
    }
    Ok((guests, known))
}

impl Guest {
    fn read(folder: PathBuf, place: &'static str, served: bool) -> Result<Self> {
        #[derive(Deserialize)]
        struct Manifest {
            component: Named,
            assets: Option<Files>,
        }
        #[derive(Deserialize)]
        struct Files {
            dir: String,
        }
        #[derive(Deserialize)]
        struct Crate {
            package: Named,
            #[serde(default)]
            lib: Library,
        }
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "kebab-case")]
        struct Library {
            name: Option<String>,
            #[serde(default, alias = "crate_type")]
            crate_type: Vec<String>,
        }
        let read = |file: &str| {
            fs::read_to_string(folder.join(file)).with_context(|| format!("{}/{file} can't be read", folder.display()))
        };
        let wrong = |file: &str| format!("{}/{file} is wrong", folder.display());
        let manifest = read("component.toml")?;
        let parsed = toml::from_str::<Manifest>(&manifest).with_context(|| wrong("component.toml"))?;
        let name = parsed.component.name;
        let assets = parsed.assets.map(|files| folder.join(files.dir));
        ensure!(
            !name.is_empty() && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')),
            "{}/component.toml: the name `{name}` may only have a-z, 0-9 and -",
            folder.display()
        );
        let described: Crate = toml::from_str(&read("Cargo.toml")?).with_context(|| wrong("Cargo.toml"))?;
        // With a library beside it, everything that it is made of is compiled in another form, and so is every other component
        // that is built with it: what they share is one.
        ensure!(
            described.lib.crate_type == ["cdylib"],
            "{}/Cargo.toml: write `crate-type = [\"cdylib\"]` under [lib], and no other type",
            folder.display()
        );
        let package = described.package.name;
        let artifact = described.lib.name.unwrap_or_else(|| package.replace('-', "_"));
        Ok(Self { name, package, artifact, manifest, folder, assets, place, served })
    }
}

fn copy_application(root: &Path) -> Result<()> {
    let from = root.join("components").join(APPLICATION);
    if from.is_file() {
        let text = fs::read(&from).with_context(|| format!("{} can't be read", from.display()))?;
        place(&root.join("target/components").join(APPLICATION), &text)?;
    }
    Ok(())
}

/// Makes the component of a linked module and puts it where it belongs.
fn finish(root: &Path, linked: &Path, guest: &Guest) -> Result<Built> {
    let core = linked.join(&guest.artifact).with_extension("wasm");
    let core = fs::read(&core).with_context(|| format!("{} was not linked", core.display()))?;
    if guest.served {
        linking::check(&core)?;
    }
    let (core, description) = section::without_description(&core)?;
    let component = section::with_description(encode(&core)?, &description);
    let wasm = root.join(guest.place).join(&guest.name).with_extension("wasm");
    let component = match &guest.assets {
        Some(folder) => section::with_assets(component, &pack(folder, &wasm)?),
        None => component,
    };
    let component = with_manifest(component, &guest.manifest);
    let changed = place(&wasm, &component)?;
    Ok(Built { name: guest.name.clone(), wasm, size: component.len(), changed })
}

/// The section of the files of a folder. What did not change since `built` was made is not compressed again.
fn pack(folder: &Path, built: &Path) -> Result<Vec<u8>> {
    let built = fs::read(built).unwrap_or_default();
    let earlier = section::assets_of(&built).and_then(|section| Assets::read(section, Rules::default()).ok());
    Ok(assets::pack(assets::read_folder(folder)?, earlier.as_ref())?)
}

fn encode(core: &[u8]) -> Result<Vec<u8>> {
    let encoder = ComponentEncoder::default().validate(true).module(core);
    let mut encoder = encoder.context("the linked module does not say what it imports and exports")?;
    encoder.encode().context("the linked module can't be made a component of the WIT world")
}

/// Writes `bytes` whole, then renames; leaves a file alone that has them already. True when it wrote.
fn place(file: &Path, bytes: &[u8]) -> Result<bool> {
    if fs::read(file).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let half = file.with_extension("half");
    file.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(&half, bytes))
        .and_then(|()| fs::rename(&half, file))
        .with_context(|| format!("{} can't be written", file.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_only_when_it_changes() {
        let folder = std::env::temp_dir().join(format!("xtask-guests-{}", std::process::id()));
        let file = folder.join("deep/a.wasm");
        assert!(place(&file, b"one").unwrap());
        assert!(!place(&file, b"one").unwrap());
        assert!(place(&file, b"two").unwrap());
        assert_eq!(fs::read(&file).unwrap(), b"two");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let root = std::env::temp_dir().join(format!("xtask-names-{}", std::process::id()));
        for name in ["auth", "feed"] {
            let folder = root.join("components").join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("component.toml"), format!("[component]\nname = \"{name}\"\n")).unwrap();
            let text = format!("[package]\nname = \"my-{name}\"\n[lib]\ncrate-type = [\"cdylib\"]\n");
            fs::write(folder.join("Cargo.toml"), text).unwrap();
        }
        let (found, known) = find(&root, Selection::One("feed")).unwrap();
        assert_eq!(found[0].artifact, "my_feed");
        let both = BTreeSet::from(["auth".to_owned(), "feed".to_owned()]);
        assert_eq!(known, Known::from([("target/components", both.clone()), ("target/fixtures", BTreeSet::new())]));
        // The fixtures were not looked for, and are not known to be none.
        assert_eq!(find(&root, Selection::Application).unwrap().1, Known::from([("target/components", both)]));
        let error = find(&root, Selection::One("fed")).unwrap_err().to_string();
        assert_eq!(error, "there is no component `fed`; there are auth, feed");
        for types in ["", "[lib]\n", "[lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n", "[lib]\ncrate-type = [\"rlib\"]\n"]
        {
            let text = format!("[package]\nname = \"feed\"\n{types}");
            fs::write(root.join("components/feed/Cargo.toml"), text).unwrap();
            let error = find(&root, Selection::Application).unwrap_err().to_string();
            assert!(error.contains("feed/Cargo.toml: write `crate-type = [\"cdylib\"]`"), "{types:?}: {error}");
        }
        fs::remove_dir_all(root).unwrap();
    }
}
