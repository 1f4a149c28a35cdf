//! The transport of `capability::fetch`: HTTP/1.1, over TLS where the URL says so.
//!
//! Each request has a connection of its own, to an address that was looked up once and judged before anything was sent.
//! Nothing of the environment counts, no proxy, and no redirect is followed. It may touch the network and nothing else.

#![forbid(unsafe_code)]

mod address;
mod exchange;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use capability::fetch::{Host, Outgoing, Response, Scheme, Transport};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use address::Lookups;

/// How long one of a server's addresses may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// How many of a server's addresses are tried.
const ADDRESSES: usize = 4;

/// Sends requests.
pub struct HttpTransport {
    lookups: Lookups,
    tls: TlsConnector,
}

impl HttpTransport {
    /// One that believes the certificates that browsers believe.
    ///
    /// # Errors
    /// TLS can't be set up; the text says why.
    pub fn new() -> Result<Self, String> {
        Self::build(Lookups::of_system(), webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
    }

    fn build(lookups: Lookups, roots: RootCertStore) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| format!("TLS can't be set up: {error}"))?;
        let mut config = versions.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { lookups, tls: TlsConnector::from(Arc::new(config)) })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, outgoing: Outgoing) -> Result<Response, String> {
        let Outgoing { server, request, private, response } = outgoing;
        let addresses = match &server.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.lookups.addresses(name).await?,
        };
        for address in &addresses {
            address::judge(*address, &private)
                .inspect_err(|_| tracing::debug!(%server, %address, "it is not fetched"))?;
        }
        let stream = connect(&addresses, server.port).await?;
        let authority = server.authority();
        match server.scheme {
            Scheme::Http => exchange::exchange(stream, &authority, request, response).await,
            Scheme::Https => {
                let name = match &server.host {
                    Host::Name(name) => {
                        ServerName::try_from(name.clone()).map_err(|_| "no certificate has this name")?
                    }
                    Host::Address(address) => ServerName::from(*address),
                };
                let stream = self.tls.connect(name, stream).await.map_err(|error| format!("no TLS: {error}"))?;
                exchange::exchange(stream, &authority, request, response).await
            }
        }
    }
}

/// Connects to the first of the addresses that accepts it.
async fn connect(addresses: &[IpAddr], port: u16) -> Result<TcpStream, String> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses.iter().take(ADDRESSES) {
        // A mapped address is connected to as what it is judged as.
        let address = SocketAddr::new(address.to_canonical(), port);
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // It only makes a request faster.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::from(io::ErrorKind::TimedOut),
        }
    }
    Err(format!("no connection: {last}"))
}
