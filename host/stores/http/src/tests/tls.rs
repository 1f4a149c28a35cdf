//! Servers with certificates: which of them are believed.

use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;

/// An authority that certifies what it is asked to.
struct Authority {
    certificate: Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self { certificate: params.self_signed(&key).unwrap(), key }
    }

    /// A server with a certificate of this name, until a year; its port.
    async fn server(&self, name: &str, last_year: i32) -> u16 {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(last_year, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.certificate, &self.key).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut read = Vec::new();
                    while !read.ends_with(b"hello") && stream.read_buf(&mut read).await.is_ok_and(|count| count > 0) {}
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        port
    }

    /// A transport that believes it.
    fn believed(&self) -> HttpTransport {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let lookups = Lookups::by(|_| Ok(vec![LOOPBACK.parse().unwrap()]));
        HttpTransport::build(lookups, roots).unwrap()
    }
}

/// Attack (TLS): certificates of nobody known, of another name, and of another time; no TLS at all. Outcome: nothing is
/// sent.
#[tokio::test]
async fn a_server_has_to_be_who_the_url_says() {
    let authority = Authority::new();
    let patient = || Options { time: Duration::from_secs(10), ..quick() };
    let url = |port: u16| format!("https://shop.example:{port}/");
    let good = authority.server("shop.example", 2100).await;
    let answer = ask(authority.believed(), patient(), &url(good), &[LOOPBACK]).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok".as_slice()));

    let stranger = Authority::new();
    let plain = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    for (what, transport, port) in [
        ("of nobody known", stranger.believed(), good),
        ("by nobody", transport_of_everybody(), good),
        ("of another name", authority.believed(), authority.server("other.example", 2100).await),
        ("of a name above", authority.believed(), authority.server("example", 2100).await),
        ("of another time", authority.believed(), authority.server("shop.example", 2001).await),
    ] {
        let why = failure(ask(transport, patient(), &url(port), &[LOOPBACK]).await);
        assert!(why.contains("no TLS: ") && why.contains("certificate"), "{what}: {why}");
    }
    let why = failure(ask(authority.believed(), quick(), &url(plain.port()), &[LOOPBACK]).await);
    assert!(why.contains("no TLS: ") || why.contains("did not answer in"), "{why}");
}

#[tokio::test]
async fn an_address_has_a_certificate_of_its_own() {
    let authority = Authority::new();
    let (own, other) = (authority.server(LOOPBACK, 2100).await, authority.server("shop.example", 2100).await);
    let ask_at = async |port: u16| {
        let options = Options { time: Duration::from_secs(10), ..quick() };
        ask(authority.believed(), options, &format!("https://127.0.0.1:{port}/"), &[LOOPBACK]).await
    };
    assert_eq!(ask_at(own).await.unwrap().status, 200);
    assert!(failure(ask_at(other).await).contains("no TLS: "));
}

/// What a host believes.
fn transport_of_everybody() -> HttpTransport {
    let lookups = Lookups::by(|_| Ok(vec![LOOPBACK.parse().unwrap()]));
    HttpTransport::build(lookups, webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()).unwrap()
}
