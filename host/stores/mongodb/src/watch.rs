//! A watch: what others insert into a collection, from the server's change stream, so that nobody has to poll for it.
//!
//! A stream tells of what is inserted after it was opened. Whoever watches reads the collection once after that, and then after
//! each time that it is told. Where there can be no stream it is told again and again, as if it polled.

use std::time::Duration;

use ::mongodb::change_stream::ChangeStream;
use async_trait::async_trait;
use bson::oid::ObjectId;
use bson::{Document, RawDocumentBuf, doc};
use tokio::time::{Instant, timeout};

use capability::documents::{Error, Watch};

use crate::refusal::store_error;
use crate::{MongoDb, TIMEOUT};

/// After a stream that could not be opened there is none for so long.
const PAUSE: Duration = Duration::from_secs(30);

/// The watch of a collection.
pub(crate) struct Stream {
    store: MongoDb,
    collection: String,
    by: ObjectId,
    /// None until it is opened, and while somebody waits for it: a wait that is given up leaves a stream of unknown state.
    stream: Option<ChangeStream<Document>>,
    /// It is not opened before this.
    closed_until: Option<Instant>,
}

impl Stream {
    pub(crate) fn new(store: MongoDb, collection: &str, by: ObjectId) -> Self {
        Self { store, collection: collection.to_owned(), by, stream: None, closed_until: None }
    }
}

/// Opens a stream of what others insert into a collection.
async fn open(
    store: MongoDb,
    collection: String,
    by: ObjectId,
    longest: Duration,
) -> Result<ChangeStream<Document>, Error> {
    let inserted = doc! { "$match": { "operationType": "insert", "fullDocument.by": { "$ne": by } } };
    // The driver needs these three.
    let little = doc! { "$project": { "_id": 1, "operationType": 1, "ns": 1 } };
    let opened = store.call(move |_, database| async move {
        let collection = database.collection::<RawDocumentBuf>(&collection);
        let opened = collection.watch().pipeline([inserted, little]).max_await_time(longest).await;
        opened.map(|stream| stream.with_type::<Document>()).map_err(|error| store_error(&error))
    });
    opened.await
}

#[async_trait]
impl Watch for Stream {
    async fn changed(&mut self, usual: Duration, longest: Duration) {
        if let Some(mut stream) = self.stream.take() {
            // The server answers after `longest` at the latest, also when there is nothing.
            match timeout(longest + TIMEOUT, stream.next_if_any()).await {
                Ok(Ok(told)) => {
                    // One that has ended, since its collection was dropped, is opened anew.
                    if stream.is_alive() {
                        self.stream = Some(stream);
                        if told.is_none() {
                            return;
                        }
                    }
                }
                Ok(Err(error)) => tracing::debug!(%error, collection = self.collection, "a change stream ended"),
                Err(_) => tracing::debug!(collection = self.collection, "a change stream is silent"),
            }
        } else if self.closed_until.is_none_or(|until| until <= Instant::now()) {
            match open(self.store.clone(), self.collection.clone(), self.by, longest).await {
                Ok(stream) => self.stream = Some(stream),
                Err(why) => {
                    tracing::debug!(%why, collection = self.collection, "there is no change stream: polling");
                    // A server that was away may be back at once.
                    let is_away = matches!(why, Error::Unavailable(_)) && self.closed_until.is_none();
                    self.closed_until = Some(Instant::now() + if is_away { TIMEOUT } else { PAUSE });
                }
            }
        }
        // What its own host is about to delete again is not looked at, and many insertions are looked at together.
        tokio::time::sleep(usual).await;
    }
}
