//! The page of a component: a project of npm in its folder `page`, whose build makes the files of `[assets]`. It is built when
//! its sources are other ones than those that the files were made of. It may touch that folder, and what the build makes beside it.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::Hasher as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// The folder of the project, in that of the component.
const PAGE: &str = "page";
/// Folders of it whose files nothing is built from.
const NO_SOURCES: [&str; 2] = ["node_modules", "tests"];
/// Among the files: what they were made of. (Names with a dot are in no component.)
const MARK: &str = ".made-of";
/// The oldest Node that can build one.
const NODE: (u32, u32) = (20, 19);

/// Whether these files are made of the sources of a page, and are no sources themselves.
pub fn is_made(files: &Path) -> bool {
    files.ends_with("dist") && files.with_file_name(PAGE).join("package.json").is_file()
}

/// Builds the page of a component into `files`, unless it is what it would be. A component without a page is left alone.
pub(super) fn build(component: &Path, files: &Path) -> Result<()> {
    let page = component.join(PAGE);
    if !page.join("package.json").is_file() {
        return Ok(());
    }
    let sources = fingerprint(&page)?;
    let mark = files.join(MARK);
    if fs::read_to_string(&mark).is_ok_and(|made_of| made_of == sources) {
        return Ok(());
    }
    eprintln!("building the page of {}", component.display());
    check_node(&page)?;
    install(&page)?;
    npm(&page, &["run", "build"])?;
    ensure!(files.is_dir(), "`npm run build` in {} made no {}", page.display(), files.display());
    fs::write(&mark, sources).with_context(|| format!("{} can't be written", mark.display()))
}

/// What npm installs, unless it is what the lock file names.
fn install(page: &Path) -> Result<()> {
    // The copy that was made of the lock file last says what is installed.
    let (wanted, installed) = (page.join("package-lock.json"), page.join("node_modules/.installed"));
    let wanted = fs::read(&wanted).with_context(|| format!("{} can't be read", wanted.display()))?;
    if fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    npm(page, &["ci", "--no-audit", "--no-fund"])?;
    fs::write(&installed, wanted).with_context(|| format!("{} can't be written", installed.display()))
}

fn npm(page: &Path, arguments: &[&str]) -> Result<()> {
    let status = Command::new("npm").args(arguments).current_dir(page).stdout(std::io::stderr()).status();
    let status = status.map_err(|error| missing("npm", &error, page))?;
    ensure!(status.success(), "`npm {}` failed in {}; what it said is above", arguments.join(" "), page.display());
    Ok(())
}

fn check_node(page: &Path) -> Result<()> {
    let output = Command::new("node").arg("--version").output().map_err(|error| missing("node", &error, page))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !is_new_enough(&version) {
        bail!("Node {version} can't build {}: install Node {}.{} or newer, with npm", page.display(), NODE.0, NODE.1);
    }
    Ok(())
}

fn missing(program: &str, error: &std::io::Error, page: &Path) -> anyhow::Error {
    let (page, (major, minor)) = (page.display(), NODE);
    anyhow::anyhow!(
        "`{program}` can't be run ({error}): install Node {major}.{minor} or newer, with npm; it builds {page}"
    )
}

/// `v20.19.1` and later.
fn is_new_enough(version: &str) -> bool {
    let mut numbers =
        version.trim_start_matches('v').split('.').map(|number| number.parse::<u32>().unwrap_or_default());
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) >= NODE
}

/// A number that is another one when a source has another name or content.
fn fingerprint(page: &Path) -> Result<String> {
    let mut files = Vec::new();
    sources(page, &mut files)?;
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("{} can't be read", file.display()))?;
        let name = file.strip_prefix(page).unwrap_or(&file).to_string_lossy().into_owned();
        for part in [name.as_bytes(), &bytes] {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// The files of a project, but for those that npm or a test made.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("{} can't be read", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !NO_SOURCES.contains(&name) && !name.starts_with('.') {
                sources(&path, files)?;
            }
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(file: &Path, text: &str) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    #[test]
    fn a_page_is_built_when_a_source_changes() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join(PAGE);
        write(&page.join("package.json"), "{}");
        write(&page.join("src/main.ts"), "1");
        let first = fingerprint(&page).unwrap();
        write(&page.join("node_modules/a/index.js"), "1");
        write(&page.join("tests/a.test.ts"), "1");
        write(&page.join(".vite/cache"), "1");
        assert_eq!(fingerprint(&page).unwrap(), first, "these are no sources");
        write(&page.join("src/main.ts"), "2");
        let second = fingerprint(&page).unwrap();
        assert_ne!(second, first);
        fs::rename(page.join("src/main.ts"), page.join("src/other.ts")).unwrap();
        assert_ne!(fingerprint(&page).unwrap(), second);
        // What is made of these sources is not made again: there is nothing here that could.
        let files = folder.path().join("dist");
        write(&files.join(MARK), &fingerprint(&page).unwrap());
        build(folder.path(), &files).unwrap();
        assert!(is_made(&files) && !is_made(&page));
    }

    #[test]
    fn a_component_without_a_page_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        build(folder.path(), &folder.path().join("dist")).unwrap();
        assert!(!is_made(&folder.path().join("dist")));
    }

    #[test]
    fn an_old_node_is_refused() {
        assert!(["v20.19.0", "v20.20.2", "v22.0.0"].iter().all(|version| is_new_enough(version)));
        assert!(["v18.20.4", "v20.18.9", "", "nonsense"].iter().all(|version| !is_new_enough(version)));
    }
}
