//! Schemathesis, which reads the description of an API and asks it what nobody would; installed once, in an environment of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{lock, root};

/// The version; another one is another environment.
const VERSION: &str = "4.32.5";

/// The command, or why it can't be had. In continuous integration that is a failure.
pub fn command() -> Option<Command> {
    match installed() {
        Ok(program) => {
            let mut command = Command::new(program);
            // It keeps what it found in the folder that it is called in.
            command.current_dir(root().join("target/schemathesis"));
            Some(command)
        }
        Err(why) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped, there is no Schemathesis: {why}");
            None
        }
        Err(why) => panic!("there is no Schemathesis: {why}"),
    }
}

fn installed() -> Result<PathBuf, String> {
    let place = root().join("target/schemathesis").join(VERSION);
    let (program, done) = (place.join("bin/schemathesis"), place.join(".installed"));
    let _lock = lock("schemathesis");
    if done.exists() {
        return Ok(program);
    }
    eprintln!("fetching Schemathesis {VERSION} with pip (90 MB, once)");
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place))?;
    let package = format!("schemathesis=={VERSION}");
    run(Command::new(place.join("bin/python")).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        &package,
    ]))?;
    touch(&done)?;
    Ok(program)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{:?} can't be run: {error}", command.get_program()))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{:?}: {said}", command.get_program())) }
}

fn touch(file: &Path) -> Result<(), String> {
    std::fs::write(file, "").map_err(|error| format!("{}: {error}", file.display()))
}
