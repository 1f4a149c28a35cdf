//! Redis, from the system's package.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::native::{self, Program};
use super::packages;
use super::process::Process;

pub(super) struct Redis {
    pub(super) folder: PathBuf,
    pub(super) port: u16,
}

impl Redis {
    fn settings(&self) -> PathBuf {
        self.folder.join("redis.conf")
    }
}

impl Program for Redis {
    fn install(&self) -> Result<()> {
        packages::ensure("redis-server", "redis-server")
    }

    fn command(&self) -> Result<Command> {
        let Self { folder, port } = self;
        // Every write is in the append-only file before it is answered, so that a kill loses none. Redis would put a title
        // of its own in place of the command line by which we know it.
        let settings = format!(
            "bind 127.0.0.1\nport {port}\ndaemonize no\nset-proc-title no\ndir \"{}\"\nsave \"\"\nappendonly yes\n",
            folder.display()
        );
        native::write(&self.settings(), &settings)?;
        let mut command = Command::new("redis-server");
        command.arg(self.settings());
        Ok(command)
    }

    fn process(&self) -> Process {
        Process { folder: self.folder.clone(), program: "redis-server", mark: self.settings() }
    }

    fn ports(&self) -> Vec<u16> {
        vec![self.port]
    }

    fn address(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// It says PONG; while it reads its data it says that it is loading.
    fn answers(&self) -> Result<()> {
        let mut stream = native::connect(self.port)?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).context("it listens and does not answer")?;
        match &answer {
            b"+PONG\r\n" => Ok(()),
            other => bail!("PING was answered with {:?}", String::from_utf8_lossy(other)),
        }
    }

    fn version(&self) -> Option<String> {
        let output = Command::new("redis-server").arg("--version").output().ok()?;
        version(&String::from_utf8_lossy(&output.stdout)).map(str::to_owned)
    }
}

/// From `Redis server v=7.0.15 sha=…`.
fn version(line: &str) -> Option<&str> {
    line.split(' ').find_map(|word| word.strip_prefix("v="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read() {
        assert_eq!(version("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64"), Some("7.0.15"));
        assert_eq!(version("something else"), None);
    }
}
