//! The session: takes each operation to what does it, once the host has started.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use serde_json::json;

use super::app::App;
use super::protocol::{Answer, Failure, Kind, Operation, Start, answer, done};

/// A driver's host, from its `start` on.
#[derive(Default)]
pub(super) struct Session {
    starting: AtomicBool,
    app: OnceLock<App>,
}

impl Session {
    /// Does what is asked.
    pub(super) async fn perform(self: Arc<Self>, operation: Operation) -> Result<Answer, Failure> {
        match operation {
            Operation::Start(start) => self.start(*start).await,
            Operation::Http(request) => self.app()?.http(request).await,
            Operation::Message(message) => self.app()?.message(message).await,
            Operation::Presence { user, online, socket } => self.app()?.presence(user, online, socket).await,
            Operation::Appear { user, socket } => self.app()?.appear(&user, &socket).await,
            Operation::Emitted {} => answer(&BTreeMap::from([("emitted", self.app()?.sockets.take())])),
            Operation::Room { room } => answer(&json!({ "sockets": self.app()?.sockets.room(&room) })),
            Operation::Present { user } => answer(&json!({ "sockets": self.app()?.sockets.present(&user) })),
            Operation::Ended {} => answer(&json!({ "ended": self.app()?.sockets.ended() })),
            Operation::Time {} => self.app()?.time(),
            Operation::Advance { millis } => {
                self.app()?.clock.advance(millis);
                self.app()?.time()
            }
            Operation::SetTime { millis } => {
                self.app()?.clock.set(millis);
                self.app()?.time()
            }
            Operation::Insert { collection, documents } => self.app()?.insert(collection, documents).await,
            Operation::Find { collection, filter, limit } => self.app()?.find(&collection, &filter, limit).await,
            Operation::LogIn { user } => self.app()?.log_in(&user).await,
            Operation::Sign { secret, message } => self.app()?.sign(&secret, &message),
            Operation::Publish(event) => self.app()?.publish(event).await,
            Operation::Events { topic } => self.app()?.events(&topic).await,
            Operation::DeadLetters { topic } => self.app()?.dead_letters(&topic).await,
            Operation::UntilConsumed { component } => self.app()?.until_consumed(&component).await,
            Operation::Rebuild { component } => self.app()?.rebuild(&component).await,
            Operation::UntilTicked { component, cron, at } => self.app()?.until_ticked(&component, &cron, at).await,
            Operation::Mails {} => self.app()?.mails().await,
            Operation::StandIn(stand_in) => {
                self.app()?.stand_ins.answer(stand_in);
                done()
            }
            Operation::Fetched {} => answer(&BTreeMap::from([("fetched", self.app()?.stand_ins.take())])),
            Operation::Cached { key } => self.app()?.cached(&key).await,
            Operation::Recent { key } => self.app()?.recent(&key).await,
            Operation::SetRecent { key, entries, seconds } => self.app()?.set_recent(&key, entries, seconds).await,
            Operation::Counts { component } => self.app()?.counts(&component),
            Operation::StoreCalls {} => self.app()?.store_calls(),
            Operation::CleanUp {} => {
                self.app()?.host.clean_up().await;
                done()
            }
            Operation::Deploy { file } => self.app()?.deploy(file).await,
        }
    }

    async fn start(&self, start: Start) -> Result<Answer, Failure> {
        let twice = || Failure::new(Kind::State, "the host was started before");
        if self.starting.swap(true, Ordering::SeqCst) {
            return Err(twice());
        }
        let app = App::start(start).await.inspect_err(|_| self.starting.store(false, Ordering::SeqCst))?;
        let pooled = app.host.registry.engine().pooled();
        self.app.set(app).map_err(|_| twice())?;
        answer(&json!({ "pooled": pooled }))
    }

    fn app(&self) -> Result<&App, Failure> {
        self.app.get().ok_or_else(|| Failure::new(Kind::State, "the host is not started: `start` comes first"))
    }

    /// Ends what goes on beside the requests.
    pub(super) async fn close(&self) {
        if let Some(app) = self.app.get() {
            app.host.close().await;
        }
    }
}
