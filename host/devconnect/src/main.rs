//! The `devconnect` command. All of it is in the library, so that nothing of the host is compiled twice.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    devconnect::cli::main()
}
