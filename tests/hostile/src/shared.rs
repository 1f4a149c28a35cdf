//! One host for the tests of a module: to start it is most of what a small test takes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use e2e::{Member, Server, ServerOptions, seed};
use tempfile::TempDir;

/// A host that runs while any test has it. It is asked what it has left behind when the last one gives it back.
pub struct Shared {
    options: fn() -> ServerOptions,
    host: Mutex<Weak<Host>>,
}

/// A running host on embedded stores.
pub struct Host {
    /// The host.
    pub server: Server,
    /// Its data, which goes after it.
    _data: TempDir,
}

impl Shared {
    /// A host with these options, which does not run yet.
    pub const fn new(options: fn() -> ServerOptions) -> Self {
        Self { options, host: Mutex::new(Weak::new()) }
    }

    /// The host; it is started for the first one who asks.
    pub async fn get(&'static self) -> Arc<Host> {
        tokio::task::spawn_blocking(move || self.start()).await.expect("a host that starts")
    }

    fn start(&self) -> Arc<Host> {
        let mut slot = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = slot.upgrade() {
            return host;
        }
        let data = TempDir::new().expect("a folder for data");
        seed::sow(data.path());
        let server = Server::start_with(data.path(), (self.options)());
        let host = Arc::new(Host { server, _data: data });
        *slot = Arc::downgrade(&host);
        host
    }
}

impl Host {
    /// Signs a new member up, with a number behind the name: all tests of a module have one network.
    pub async fn member(&self, name: &str) -> Member {
        static MEMBERS: AtomicUsize = AtomicUsize::new(1);
        let number = MEMBERS.fetch_add(1, Ordering::Relaxed);
        Member::sign_up(&self.server.url, &format!("{name}{number}")).await
    }

    /// Two members who are connected.
    pub async fn pair(&self, one: &str, other: &str) -> [Member; 2] {
        let (one, other) = (self.member(one).await, self.member(other).await);
        let sent = one.post(&format!("/request/send/interested/{}", other.id)).send().await.expect("an answer");
        assert_eq!(sent.status().as_u16(), 200, "a request is sent");
        let received = other.read("/user/requests/received").await;
        let request = received.pointer("/data/0/_id").and_then(e2e::Value::as_str).expect("the request is there");
        let accepted = other.post(&format!("/request/review/accepted/{request}")).send().await.expect("an answer");
        assert_eq!(accepted.status().as_u16(), 200, "the request is accepted");
        [one, other]
    }

    /// Somebody without a session.
    pub fn nobody(&self) -> Member {
        Member::nobody(&self.server.url)
    }
}
