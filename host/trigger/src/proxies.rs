//! Proxies: a client's address is the peer's, unless the peer is a trusted proxy.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

/// Networks of trusted proxies.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// From a comma list of CIDRs and addresses; the error names an entry that is neither.
    pub fn parse(list: &str) -> Result<Self, String> {
        let networks = list.split(',').map(str::trim).filter(|part| !part.is_empty()).map(|part| {
            let single = || part.parse::<IpAddr>().map(IpNet::from);
            part.parse::<IpNet>().or_else(|_| single()).map_err(|_| format!("{part:?} is no address and no CIDR"))
        });
        networks.collect::<Result<_, _>>().map(Self)
    }

    /// The client's address: the last one in `X-Forwarded-For` that is no trusted proxy.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let forwarded: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        for address in forwarded.into_iter().rev() {
            let Ok(address) = address.trim().parse::<IpAddr>() else { break };
            client = address.to_canonical();
            if !self.trusts(client) {
                break;
            }
        }
        client
    }

    /// Whether an address is one of them.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &str, peer: &str, forwarded: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        Proxies::parse(proxies).unwrap().client(peer.parse().unwrap(), &headers).to_string()
    }

    /// Attack (API2): another address in `X-Forwarded-For`, to have limits of its own. Outcome: only a trusted proxy is
    /// believed.
    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(client("", "10.0.0.1", "1.2.3.4"), "10.0.0.1");
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", "1.2.3.4"), "1.2.3.4");
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2"), "1.2.3.4");
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", "1.2.3.4, nonsense"), "10.0.0.1");
        assert_eq!(client("10.0.0.1", "::ffff:10.0.0.1", "1.2.3.4"), "1.2.3.4");
    }

    #[test]
    fn a_bad_network_is_named() {
        assert!(Proxies::parse("10.0.0.0/8, house").unwrap_err().contains("house"));
    }
}
