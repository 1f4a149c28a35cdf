//! A network of members put into a store through the host's own library: signing up ten thousand would be minutes of argon2.

use std::path::Path;

use bson::{Document, RawDocumentBuf, doc, oid::ObjectId};
use capability::documents::{Commit, Write};
use capability::passwords::{Cost, MIN_OLD_COST};
use devconnect::config::{Address, Config};
use devconnect::{Host, HostOptions};
use serde::Serialize;

use crate::{Stack, root};

/// A member with a session.
#[derive(Debug, Clone, Serialize)]
pub struct Account {
    /// The user's id.
    pub id: String,
    /// The session's token.
    pub token: String,
}

/// So many bytes of documents are put into a store at once.
const AT_ONCE: usize = 4 << 20;

/// So many pairs of members; the two of a pair are connected.
pub async fn pairs(host: &Host, count: usize) -> Vec<[Account; 2]> {
    let capabilities = &host.registry.engine().shared().capabilities;
    let mut all = Vec::with_capacity(count);
    let mut writes = Vec::new();
    for _ in 0..count {
        let ids = [ObjectId::new(), ObjectId::new()];
        let accounts = ids.map(|id| {
            let email = format!("{id}@example.com");
            let user =
                doc! { "_id": id, "firstName": "Sue", "lastName": "Tester", "emailId": &email, "emailKey": &email };
            writes.push(insert("users", &user));
            let (token, session) = capabilities.sessions.open(&id.to_hex(), &[]).expect("a session");
            writes.push(session);
            Account { id: id.to_hex(), token: token.reveal().to_owned() }
        });
        let [one, other] = ids;
        let pair = format!("{}:{}", one.min(other), one.max(other));
        let request =
            doc! { "_id": ObjectId::new(), "fromUserId": one, "toUserId": other, "status": "accepted", "pair": pair };
        writes.push(insert("connectionrequests", &request));
        all.push(accounts);
        if writes.len() > 90 {
            commit(host, std::mem::take(&mut writes)).await;
        }
    }
    commit(host, writes).await;
    all
}

/// Members with sessions for a host of a stack that does not run yet.
pub async fn members(stack: &Stack, host: &str, count: usize) -> Vec<Account> {
    let host = opened(stack, host).await;
    let pairs = pairs(&host, count.div_ceil(2)).await;
    host.close().await;
    pairs.into_iter().flatten().take(count).collect()
}

/// Puts documents into the stores of a host that does not run yet, as an earlier DevConnect left them: of any shape, and without
/// the fields that came later.
pub async fn adopt(stack: &Stack, host: &str, collections: Vec<(&str, Vec<Document>)>) {
    let host = opened(stack, host).await;
    for (collection, documents) in collections {
        let (mut some, mut bytes) = (Vec::new(), 0);
        for document in documents {
            let raw = RawDocumentBuf::try_from(&document).expect("a document");
            bytes += raw.as_bytes().len();
            some.push(raw);
            if bytes > AT_ONCE {
                bytes = 0;
                host.documents
                    .adopt(collection, std::mem::take(&mut some))
                    .await
                    .expect("a store that takes documents");
            }
        }
        if !some.is_empty() {
            host.documents.adopt(collection, some).await.expect("a store that takes documents");
        }
    }
    // What an earlier DevConnect left lacks derived fields.
    host.prepare(true).await.expect("a store that is there");
    host.close().await;
}

/// A host of the test's own process on the stores of one that does not run yet. To be closed before that one starts.
pub async fn opened(stack: &Stack, host: &str) -> Host {
    let data = stack.prepared(host).await;
    share_secret(&data);
    let passwords = Cost { memory_kib: 64, passes: 1, parallel: 2, waiting: 64, old_cost: MIN_OLD_COST };
    let components = root().join("target/components");
    let config = Config {
        mongodb: stack.has("MONGODB_URI").then(|| stack.variable("MONGODB_URI").to_owned()).map(Address),
        ..Config::default()
    };
    let options = HostOptions::new(config, components, Some(data));
    let host = Host::open(HostOptions { passwords, ..options }).expect("a host that opens");
    host.prepare(false).await.expect("a store that is there");
    host
}

/// Has every host on a data folder sign with the secret of [`crate::Server`].
pub fn share_secret(data: &Path) {
    let folder = data.join("secrets");
    std::fs::create_dir_all(&folder).expect("a folder for secrets");
    std::fs::write(folder.join("jwt_secret"), crate::JWT_SECRET).expect("a secret in the data folder");
}

fn insert(collection: &str, document: &bson::Document) -> Write {
    let document = bson::RawDocumentBuf::try_from(document).expect("a document");
    Write::Insert { collection: collection.to_owned(), document }
}

async fn commit(host: &Host, writes: Vec<Write>) {
    let commit = Commit { writes, events: Vec::new() };
    host.documents.commit(commit).await.expect("documents that the store takes");
}
