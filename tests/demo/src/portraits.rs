//! The pictures, served by the host: a component that is nothing but files. It is bundled and deployed by the host's
//! own commands, as any other is. Touches one folder, which it makes, and starts these commands.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::people::Person;
use crate::portrait;

/// The path that all pictures are under.
const PREFIX: &str = "/portraits";
/// A component without anything in it: WebAssembly's mark and the version of the component format.
const EMPTY: [u8; 8] = *b"\0asm\x0d\0\x01\0";

/// How pictures are deployed.
#[derive(Debug, Clone)]
pub struct Portraits {
    /// The program `devconnect`.
    pub devconnect: PathBuf,
    /// Where the host's admin side is.
    pub admin_url: String,
    /// The host's data folder, for the token in it.
    pub data: PathBuf,
    /// Where the files are put together. What an earlier run left there is replaced.
    pub folder: PathBuf,
}

impl Portraits {
    /// Draws everybody and has the host serve the pictures.
    ///
    /// # Errors
    /// The folder can't be written, or the host refuses the component.
    pub(crate) async fn deploy(&self, people: &[Person]) -> anyhow::Result<()> {
        let folder = self.folder.display();
        let [empty, bundle] = ["empty.wasm", "portraits.wasm"].map(|name| self.folder.join(name));
        write(&self.folder, &empty, &bundle, people).with_context(|| format!("can't write to {folder}"))?;
        self.command(&["bundle".as_ref(), empty.as_ref(), "--out".as_ref(), bundle.as_ref()]).await?;
        let data = self.data.as_path();
        let arguments = [
            "deploy".as_ref(),
            "--quiet".as_ref(),
            "--accept-grants".as_ref(),
            bundle.as_ref(),
            "--data".as_ref(),
            data,
        ];
        self.command(&arguments).await
    }

    async fn command(&self, arguments: &[&Path]) -> anyhow::Result<()> {
        let mut command = Command::new(&self.devconnect);
        command.args(arguments).env("DEVCONNECT_ADMIN_URL", &self.admin_url).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.with_context(|| format!("can't run {}", self.devconnect.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}", said.trim());
        Ok(())
    }
}

fn write(folder: &Path, empty: &Path, bundle: &Path, people: &[Person]) -> std::io::Result<()> {
    let files = folder.join("dist");
    if files.exists() {
        std::fs::remove_dir_all(&files)?;
    }
    if bundle.exists() {
        std::fs::remove_file(bundle)?;
    }
    std::fs::create_dir_all(&files)?;
    for (number, person) in people.iter().enumerate() {
        let svg = portrait::draw(number, person);
        std::fs::write(files.join(portrait::file_name(person, &svg)), svg)?;
    }
    std::fs::write(folder.join("component.toml"), manifest())?;
    std::fs::write(empty, EMPTY)
}

fn manifest() -> String {
    format!(
        "[component]\nname = \"portraits\"\nversion = \"1.0.0\"\n\
         description = \"Pictures of the people of the demo\"\n\n[assets]\ndir = \"dist\"\nprefix = \"{PREFIX}\"\n"
    )
}

/// Where somebody's picture is, on whatever host serves it.
pub(crate) fn path(number: usize, person: &Person) -> String {
    format!("{PREFIX}/{}", portrait::file_name(person, &portrait::draw(number, person)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::people;

    #[test]
    fn the_folder_has_one_picture_each_and_nothing_of_an_earlier_run() {
        let folder = tempfile::TempDir::new().unwrap();
        let folder = folder.path().join("demo");
        let [empty, bundle] = ["empty.wasm", "portraits.wasm"].map(|name| folder.join(name));
        write(&folder, &empty, &bundle, &people(30)).unwrap();
        std::fs::write(&bundle, "of an earlier run").unwrap();
        let people = people(12);
        write(&folder, &empty, &bundle, &people).unwrap();
        assert!(!bundle.exists());
        let mut names: Vec<String> = std::fs::read_dir(folder.join("dist"))
            .unwrap()
            .map(|entry| format!("{PREFIX}/{}", entry.unwrap().file_name().to_str().unwrap()))
            .collect();
        names.sort();
        let mut expected: Vec<String> =
            people.iter().enumerate().map(|(number, person)| path(number, person)).collect();
        expected.sort();
        assert_eq!(names, expected);
        assert!(std::fs::read_to_string(folder.join("component.toml")).unwrap().contains("prefix = \"/portraits\""));
        assert_eq!(std::fs::read(&empty).unwrap(), EMPTY);
    }
}
