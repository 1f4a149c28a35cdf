//! The client's address, as limits count it. They leave loopback alone unless the operator says otherwise: a proxy that is not
//! among the trusted ones, or a test, is there for everybody.

use std::net::IpAddr;

use devconnect_sdk::config;
use devconnect_sdk::http::{Error, Request};

/// Where a request comes from. A component that asks is granted to read the setting `limits.loopback`.
pub struct Client {
    name: String,
    is_limited: bool,
}

impl Client {
    /// Of a request.
    ///
    /// # Errors
    /// The setting is not granted.
    pub fn of(request: &Request) -> Result<Self, Error> {
        Self::at(request.client())
    }

    fn at(client: &str) -> Result<Self, Error> {
        let address = client.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let is_limited = match address {
            Some(address) if address.is_loopback() => config::get("limits.loopback")?.as_deref() == Some("on"),
            _ => true,
        };
        Ok(Self { name: name(address), is_limited })
    }

    /// The address in a key of the cache.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same when the address itself is limited.
    pub fn limited(&self) -> Option<&str> {
        self.is_limited.then_some(self.name.as_str())
    }
}

/// Whoever has one IPv6 address has a whole network of them, so that counts as one.
fn name(address: Option<IpAddr>) -> String {
    match address {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [network @ .., _, _, _, _] = address.segments();
            network.map(|segment| format!("{segment:04x}")).join("-")
        }
        None => "unknown".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    #[test]
    fn a_network_of_ipv6_has_one_name() {
        for address in ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::1"] {
            let Ok(client) = Client::at(address) else { panic!("no setting is asked for") };
            assert_eq!((client.name(), client.limited()), ("2001-0db8-0001-0002", Some("2001-0db8-0001-0002")));
        }
        assert_eq!(name("10.1.2.3".parse().ok()), "10.1.2.3");
        assert_eq!(name("::ffff:10.1.2.3".parse::<IpAddr>().ok().map(|address| address.to_canonical())), "10.1.2.3");
        assert_eq!(name(Some(IpAddr::V6(Ipv6Addr::LOCALHOST))), "0000-0000-0000-0000");
        assert_eq!(name(None), "unknown");
    }
}
