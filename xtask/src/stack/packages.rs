//! Getting programs: from the system's packages, or with other package managers, which are programs as well.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::process::last_lines;

/// Sees to it that `program` is there: where Debian's package manager is and we are root, by installing `package`.
///
/// # Errors
/// It is missing and can't be installed; the error says what to install.
pub(super) fn ensure(program: &str, package: &str) -> Result<()> {
    if is_there(program) {
        return Ok(());
    }
    let missing = || format!("`{program}` is missing: install it (Debian: `apt-get install {package}`)");
    ensure!(rustix::process::geteuid().is_root() && is_there("apt-get"), missing());
    install(&[package]).with_context(missing)?;
    ensure!(is_there(program), missing());
    Ok(())
}

/// Installs Debian's packages, after a refresh of its lists when they are too old for that.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    eprintln!("running `apt-get install -y {}`", packages.join(" "));
    let arguments = [&["install", "-y", "--no-install-recommends"], packages].concat();
    apt_get(&arguments).or_else(|_| apt_get(&["update"]).and_then(|()| apt_get(&arguments)))
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    // Someone else's installation is waited for.
    command.args(["-q", "-o", "DPkg::Lock::Timeout=300"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    quiet(&mut command)
}

/// Runs a command that is only heard when it fails: then the end of what it said is the error.
pub(super) fn quiet(command: &mut Command) -> Result<()> {
    let name = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("`{name}` can't be run"))?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "`{name}` failed:\n{}", last_lines(&String::from_utf8_lossy(&said)));
    Ok(())
}

/// Makes an empty folder for what is being fetched, in place of what a fetch that was cut short has left.
pub(super) fn empty(folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("{} can't be removed", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))?;
    Ok(folder.to_owned())
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(Path::new(program)).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_installed_and_what_fails_is_heard() {
        ensure("sh", "no-such-package").unwrap();
        assert!(!is_there("no-such-program"));
        let error = quiet(Command::new("sh").args(["-c", "echo why not; exit 1"])).unwrap_err().to_string();
        assert_eq!(error, "`sh` failed:\nwhy not");
    }
}
