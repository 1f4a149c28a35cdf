//! Addresses: looks a name up once, and says whether an address may be connected to. It asks the system's resolver.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;

use capability::fetch::{Network, not_public};
use tokio::sync::Semaphore;

/// How many names are looked up at a time. Each takes a thread, and a resolver can take its time.
const LOOKUPS: usize = 32;

/// The addresses of a name. It may block.
type Lookup = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Looks up names.
#[derive(Clone)]
pub(crate) struct Lookups {
    places: Arc<Semaphore>,
    lookup: Arc<Lookup>,
}

impl Lookups {
    /// By the system's resolver.
    pub(crate) fn of_system() -> Self {
        Self::by(|name| Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
    }

    /// By this function, which may block.
    pub(crate) fn by(lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        Self { places: Arc::new(Semaphore::new(LOOKUPS)), lookup: Arc::new(lookup) }
    }

    /// The addresses of a name, at least one. One that nobody waits for any more keeps its place until the resolver
    /// answers.
    pub(crate) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| "the host is ending")?;
        let (lookup, name) = (self.lookup.clone(), name.to_owned());
        let looking = tokio::task::spawn_blocking(move || {
            let _place = place;
            lookup(&name)
        });
        let found = looking.await.map_err(|_| "its name was not looked up")?;
        match found.map_err(|error| format!("its name has no address: {error}"))? {
            none if none.is_empty() => Err("its name has no address".to_owned()),
            some => Ok(some),
        }
    }
}

/// Refuses an address that is neither public nor named. The error does not show it: a component learns nothing of the
/// network that the host is in.
pub(crate) fn judge(address: IpAddr, private: &[Network]) -> Result<(), String> {
    if private.iter().any(|network| network.contains(address)) {
        return Ok(());
    }
    let own = || is_own(address).then_some("an address of this machine");
    match not_public(address).or_else(own) {
        None => Ok(()),
        Some(what) => Err(format!(
            "it is at {what}; what is not public and may be connected to is named by `private`, in [grants.fetch] of \
             component.toml or in [fetch] of devconnect.toml"
        )),
    }
}

/// Whether it is an address of this machine: only to those a socket can be bound.
fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind((address.to_canonical(), 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_the_machine_is_its_own() {
        assert!(is_own("127.0.0.1".parse().unwrap()) && is_own("127.9.9.9".parse().unwrap()));
        assert!(!is_own("1.1.1.1".parse().unwrap()) && !is_own("192.0.2.1".parse().unwrap()));
    }
}
