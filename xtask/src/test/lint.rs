//! Clippy, as the compiler of our own crates: it lints them while it compiles them for the tests inside of them, and what the
//! dependencies were compiled to serves both. `cargo clippy` would check each dependency once more, for minutes.

use std::process::Command;

use crate::workspace::Workspace;

/// Clippy's own compiler.
const DRIVER: &str = "clippy-driver";

/// All targets, in the form that the tests inside of the crates have.
const ALL: &[&str] = &["build", "--release", "--workspace", "--all-targets"];

/// Has cargo call clippy in the place of the compiler for our own crates, and compile them soon instead of well. Where clippy
/// is not installed the compiler itself does it, and the suite `lint` says what is missing.
pub(super) fn lint(command: &mut Command, workspace: &Workspace) {
    command.args(workspace.quick());
    if is_installed() {
        command.env("RUSTC_WORKSPACE_WRAPPER", DRIVER);
    }
}

/// Lints everything. What was compiled before says again what was found.
pub(super) fn everything(command: &mut Command, workspace: &Workspace) {
    command.args(ALL);
    lint(command, workspace);
    if !is_installed() {
        // Fails, and says how to install it.
        command.env("RUSTC_WORKSPACE_WRAPPER", DRIVER);
    }
}

fn is_installed() -> bool {
    Command::new(DRIVER).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Whether cargo says in this line that a crate has warnings.
pub(super) fn is_warning(line: &str) -> bool {
    line.starts_with("warning: ") && line.contains(" generated ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_with_warnings_is_found() {
        assert!(is_warning("warning: `engine` (lib) generated 1 warning"));
        for line in ["warning: unused import", "   Compiling engine v0.1.0", "    Finished `release` profile"] {
            assert!(!is_warning(line), "{line}");
        }
    }
}
