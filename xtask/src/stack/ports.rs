//! The servers' ports: chosen once, then kept in a file, so that a server that comes back is where it was.

use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

const FILE: &str = "ports.toml";
/// Below the ports that systems give to outgoing connections (Linux from 32768): one of those could sit on a server's port
/// while the server is down, or even connect to itself there.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// The port of each server, all on loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Ports {
    pub(super) redis: u16,
    pub(super) mongodb: u16,
    pub(super) kafka: u16,
    /// Where the broker talks to itself.
    pub(super) kafka_controller: u16,
}

impl Ports {
    /// Those of the folder; none when they were never chosen.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>> {
        let file = folder.join(FILE);
        match fs::read_to_string(&file) {
            Ok(text) => toml::from_str(&text).map(Some).with_context(|| format!("{} is wrong", file.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{} can't be read", file.display())),
        }
    }

    /// Those of the folder; the first time they are chosen among the free ones and written down.
    pub(super) fn keep(folder: &Path) -> Result<Self> {
        if let Some(ports) = Self::read(folder)? {
            return Ok(ports);
        }
        // Anywhere in the range, so that a second folder does not choose what the first one has while that is down.
        let chosen = Self::choose(RandomState::new().build_hasher().finish())?;
        let text = toml::to_string(&chosen).context("the ports")?;
        let (file, half) = (folder.join(FILE), folder.join("ports.half"));
        fs::write(&half, text)
            .and_then(|()| fs::rename(&half, &file))
            .with_context(|| format!("{} can't be written", file.display()))?;
        Ok(chosen)
    }

    fn choose(start: u64) -> Result<Self> {
        let mut free = (0..u64::from(COUNT))
            .filter_map(|step| u16::try_from((start % u64::from(COUNT) + step) % u64::from(COUNT)).ok())
            .map(|offset| FIRST + offset)
            .filter(|port| is_free(*port));
        let mut next = || free.next().context("there are not enough free ports from 20000 to 31999");
        Ok(Self { redis: next()?, mongodb: next()?, kafka: next()?, kafka_controller: next()? })
    }
}

/// Does nobody listen on it?
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_chosen_once() {
        let folder = std::env::temp_dir().join(format!("xtask-ports-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(Ports::read(&folder).unwrap(), None);
        let chosen = Ports::keep(&folder).unwrap();
        assert_eq!(Ports::keep(&folder).unwrap(), chosen);
        fs::write(folder.join(FILE), "redis = 1\n").unwrap();
        assert!(format!("{:#}", Ports::keep(&folder).unwrap_err()).contains("ports.toml is wrong"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_taken_port_is_passed_over_and_none_is_chosen_twice() {
        // At the end of the range, so that the choice goes on at its beginning.
        let last = u64::from(COUNT) - 1;
        let first = Ports::choose(last).unwrap();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first.redis)).unwrap();
        let second = Ports::choose(last).unwrap();
        let mut all = [second.redis, second.mongodb, second.kafka, second.kafka_controller];
        assert!(!all.contains(&first.redis), "{second:?}");
        all.sort_unstable();
        assert!(all.array_windows().all(|[one, other]| one < other), "{second:?}");
        assert!(all.iter().all(|port| (FIRST..FIRST + COUNT).contains(port)), "{second:?}");
        drop(taken);
    }
}
