//! What compiles components: the workspace's own toolchain with the `wasm32-unknown-unknown` target, which rustup adds
//! in seconds. Where rustup can't download, Debian's `rustc-web` with its library source does: it builds std along
//! (a minute, once). Whatever is done beyond the ordinary is said in one line.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

const TARGET: &str = "wasm32-unknown-unknown";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// A way to compile components.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Toolchain {
    /// The workspace's own.
    Own,
    /// Debian's compiler, which builds std from source.
    Debian {
        /// The own toolchain's `rust-lld`.
        linker: PathBuf,
    },
}

/// Finds or installs what compiles components for the workspace at `root`. When nothing can, the error says what to install.
pub fn ensure_target(root: &Path) -> Result<Toolchain> {
    if has_target(root) {
        return Ok(Toolchain::Own);
    }
    eprintln!("the target {TARGET} is missing: running `rustup target add {TARGET}`");
    if succeeds(command("rustup", root).args(["target", "add", TARGET])) && has_target(root) {
        return Ok(Toolchain::Own);
    }
    debian(root).with_context(|| {
        format!("components can't be built: run `rustup target add {TARGET}`, or on Debian `apt-get install rustc-web rust-web-src`")
    })
}

fn has_target(root: &Path) -> bool {
    printed(root, &["--print", "target-libdir", "--target", TARGET]).is_ok_and(|folder| Path::new(&folder).is_dir())
}

fn debian(root: &Path) -> Result<Toolchain> {
    ensure!(Path::new("/etc/debian_version").exists(), "rustup could not add the target, and this is not Debian");
    let source = Path::new("/usr/lib/rustlib/src/rust/library");
    if !Path::new(DEBIAN_RUSTC).exists() || !(source.exists() || Path::new("/usr/src").join("rustc-web").exists()) {
        eprintln!("rustup could not add the target: running `apt-get install -y rustc-web rust-web-src`");
        ensure!(
            succeeds(command("apt-get", root).args(["install", "-y", "rustc-web", "rust-web-src"])),
            "apt-get could not install them"
        );
    }
    let sysroot = PathBuf::from(printed(root, &["--print", "sysroot"])?);
    let host = printed(root, &["--print", "host-tuple"])?;
    let linker = sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
    ensure!(linker.is_file(), "{} is missing", linker.display());
    eprintln!("building components with Debian's rustc-web, std from source (a minute the first time)");
    Ok(Toolchain::Debian { linker })
}

/// One line that rustc prints.
fn printed(root: &Path, arguments: &[&str]) -> Result<String> {
    let output = command("rustc", root).args(arguments).stderr(Stdio::null()).output().context("rustc can't be run")?;
    ensure!(output.status.success(), "rustc {} failed", arguments.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(std::io::stderr()).status().is_ok_and(|status| status.success())
}

impl Toolchain {
    /// Compiles and links the packages; answers the folder that the modules are in.
    pub(super) fn link(&self, root: &Path, packages: &[&str]) -> Result<PathBuf> {
        let mut cargo = command("cargo", root);
        cargo.args(["build", "--profile", "guest", "--target", TARGET]);
        // A folder of its own: neither side waits for the other's lock, or builds the other's std again.
        let folder = match self {
            Toolchain::Own => root.join("target/guest"),
            Toolchain::Debian { linker } => {
                cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
                cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker).arg("-Zbuild-std=std,panic_abort");
                root.join("target/guest-debian")
            }
        };
        cargo.arg("--target-dir").arg(&folder);
        packages.iter().for_each(|package| {
            cargo.args(["-p", package]);
        });
        if !succeeds(&mut cargo) {
            bail!("cargo could not build {}; what it said is above", packages.join(", "));
        }
        Ok(folder.join(TARGET).join("guest"))
    }
}

/// A command in `root` that does not know by what it is run: cargo and its wrappers leave variables to what they run
/// (`cargo test`, `cargo clippy`), and those would change what a component is built with, or build it again each time.
fn command(program: &str, root: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root);
    for (name, _) in std::env::vars_os() {
        if leaks(&name) {
            command.env_remove(name);
        }
    }
    command
}

fn leaks(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    let settings = ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_TERM_", "CARGO_SOURCE_"];
    let of_cargo = name.starts_with("CARGO_") && !settings.iter().any(|kept| name.starts_with(kept));
    of_cargo
        || matches!(
            name,
            "RUSTFLAGS"
                | "RUSTDOCFLAGS"
                | "RUSTC"
                | "RUSTDOC"
                | "RUSTC_WORKSPACE_WRAPPER"
                | "RUSTC_BOOTSTRAP"
                | "MAKEFLAGS"
                | "CLIPPY_ARGS"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_outer_cargo_sets_does_not_leak() {
        for name in [
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_TARGET_DIR",
            "CARGO_MANIFEST_DIR",
            "CARGO_PROFILE_GUEST_LTO",
            "RUSTFLAGS",
            "RUSTC",
        ] {
            assert!(leaks(OsStr::new(name)), "{name}");
        }
        for name in [
            "CARGO_HOME",
            "CARGO_NET_OFFLINE",
            "CARGO_REGISTRIES_CRATES_IO_PROTOCOL",
            "PATH",
            "RUSTUP_HOME",
            "RUSTUP_TOOLCHAIN",
        ] {
            assert!(!leaks(OsStr::new(name)), "{name}");
        }
    }
}
