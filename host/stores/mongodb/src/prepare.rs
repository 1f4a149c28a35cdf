//! Preparing: checks the server, and creates the missing collections and indexes of the schema.
//!
//! Nothing here changes a document. Indexes of another host, an earlier run or another program count, whatever their names;
//! an index that is not of the schema is never changed.

use std::time::Duration;

use ::mongodb::error::{Error as ServerError, ErrorKind};
use ::mongodb::options::ServerAddress;
use ::mongodb::{Client, Database};
use bson::{Bson, Document, doc};

use crate::outbox::{OUTBOX_INDEXES, take_back};
use capability::documents::{Error, Index};

use crate::refusal::{code, is_duplicate, store_error};
use crate::{MAX_TIME, Shared};

/// MongoDB 5.0.
const OLDEST: i32 = 13;
const COLLECTION_EXISTS: i32 = 48;
/// An index with these keys or this name exists and differs.
const INDEX_DIFFERS: [i32; 2] = [85, 86];
/// The timeout of an index build.
const BUILDING: Duration = Duration::from_secs(3_600);

/// The result of the preparation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The server's version.
    pub version: String,
    /// The name of its replica set; empty behind a router of a sharded cluster.
    pub replica_set: String,
    /// The indexes that were created now, as `collection.index`.
    pub made: Vec<String>,
    /// The indexes that do not exist and can't be created.
    pub unmade: Vec<Unmade>,
}

/// An index of the schema that the database does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmade {
    /// The collection.
    pub collection: String,
    /// The index's name in the schema.
    pub index: String,
    /// Why it can't be created, and what to do about it.
    pub why: String,
}

/// An index as it should be on the server.
struct Wanted {
    name: String,
    keys: Document,
    unique: bool,
    /// The filter of a partial index.
    only: Option<Document>,
}

impl Wanted {
    /// An index of the schema. `_id` at the end gives equal keys an order, as the ties of a sort have; a unique index
    /// has no equal keys.
    fn new(index: &Index) -> Wanted {
        let mut keys: Document = index.fields.iter().map(|field| (field.clone(), Bson::Int32(1))).collect();
        if !index.unique {
            keys.insert("_id", 1);
        }
        let only: Document =
            index.where_exists.iter().map(|path| (path.clone(), doc! { "$exists": true }.into())).collect();
        Wanted { name: index.name(), keys, unique: index.unique, only: (!only.is_empty()).then_some(only) }
    }

    /// An index for the same queries while old documents repeat values.
    fn without_uniqueness(&self) -> Wanted {
        let mut keys = self.keys.clone();
        keys.insert("_id", 1);
        Wanted { name: format!("{}_repeated", self.name), keys, unique: false, only: self.only.clone() }
    }

    fn is_served_by(&self, existing: &Document) -> bool {
        let keys = existing.get_document("key").map(ascending).unwrap_or_default();
        keys.iter().eq(ascending(&self.keys).iter())
            && existing.get_bool("unique").unwrap_or_default() == self.unique
            && existing.get_document("partialFilterExpression").ok() == self.only.as_ref()
            && !["sparse", "collation", "expireAfterSeconds", "hidden"]
                .iter()
                .any(|option| existing.contains_key(option))
    }

    fn command(&self, collection: &str) -> Document {
        let mut index = doc! { "key": self.keys.clone(), "name": &self.name };
        if self.unique {
            index.insert("unique", true);
        }
        if let Some(only) = &self.only {
            index.insert("partialFilterExpression", only.clone());
        }
        doc! {
            "createIndexes": collection,
            "indexes": [index],
            "writeConcern": { "w": "majority" },
            "maxTimeMS": i64::try_from(BUILDING.as_millis()).unwrap_or(i64::MAX),
        }
    }
}

/// Keys with their directions, which may be numbers of any type.
fn ascending(keys: &Document) -> Vec<(String, String)> {
    let direction = |value: &Bson| match value {
        Bson::Double(number) => number.to_string(),
        other => other.to_string(),
    };
    keys.iter().map(|(path, value)| (path.clone(), direction(value))).collect()
}

/// Checks the server and creates what is missing.
pub(super) async fn run(shared: &Shared) -> Result<Report, Error> {
    let database = shared.database().await?;
    let mut report = greet(shared, &database).await?;
    let existing = database.list_collection_names().await.map_err(|error| store_error(&error))?;
    for (name, collection) in &shared.schema.collections {
        let wanted: Vec<Wanted> = collection.indexes.iter().map(Wanted::new).collect();
        prepare(&database, name, existing.contains(name), wanted, &mut report).await?;
    }
    for (name, keys) in OUTBOX_INDEXES {
        let keys: Document = keys.iter().map(|key| ((*key).to_owned(), Bson::Int32(1))).collect();
        let index = Wanted { name: keys.keys().cloned().collect::<Vec<_>>().join("_"), keys, unique: true, only: None };
        let wanted = if index.keys.is_empty() { Vec::new() } else { vec![index] };
        prepare(&database, name, existing.iter().any(|other| other == name), wanted, &mut report).await?;
    }
    for Unmade { collection, index, why } in &report.unmade {
        tracing::warn!(collection, index, why, "an index can't be made; the store goes on without it");
    }
    take_back(&database, &shared.topics).await?;
    Ok(report)
}

/// Checks the kind and the version of the server.
async fn greet(shared: &Shared, database: &Database) -> Result<Report, Error> {
    let admin = database.client().database("admin");
    let hello = match admin.run_command(doc! { "hello": 1 }).await {
        Ok(hello) => hello,
        Err(error) => return Err(alone(shared, &error).await.unwrap_or_else(|| store_error(&error))),
    };
    if let Some(refusal) = is_no_set(&hello) {
        return Err(refusal);
    }
    let built = admin.run_command(doc! { "buildInfo": 1 }).await.map_err(|error| store_error(&error))?;
    let version = built.get_str("version").unwrap_or("unknown").to_owned();
    if hello.get_i32("maxWireVersion").unwrap_or_default() < OLDEST {
        return Err(Error::Invalid(format!("MongoDB is of version {version}; 5.0 or newer is needed")));
    }
    let replica_set = hello.get_str("setName").unwrap_or_default().to_owned();
    Ok(Report { version, replica_set, ..Report::default() })
}

/// With a set's name in the URI the driver never selects a server without a set: connects directly to check it.
async fn alone(shared: &Shared, error: &ServerError) -> Option<Error> {
    if !matches!(error.kind.as_ref(), ErrorKind::ServerSelection { .. }) {
        return None;
    }
    let mut options = shared.options().await.ok()?;
    let hosts: Vec<ServerAddress> = options.hosts.drain(..).take(1).collect();
    options.hosts = hosts;
    options.repl_set_name = None;
    options.direct_connection = Some(true);
    let admin = Client::with_options(options).ok()?.database("admin");
    is_no_set(&admin.run_command(doc! { "hello": 1 }).await.ok()?)
}

/// The refusal of a server that is no member of a replica set and no router of a cluster of them.
fn is_no_set(hello: &Document) -> Option<Error> {
    if hello.contains_key("setName") || hello.get_str("msg").is_ok_and(|text| text == "isdbgrid") {
        return None;
    }
    let text = if hello.get_bool("isreplicaset").unwrap_or_default() {
        "MongoDB was started for a replica set that was not made yet: run `mongosh --eval 'rs.initiate()'` once"
    } else {
        "MongoDB stands alone, and transactions need a replica set (one member will do): start mongod with \
         `--replSet rs0`, run `mongosh --eval 'rs.initiate()'` once, and end MONGODB_URI with `?replicaSet=rs0`; \
         the data stays"
    };
    Some(Error::Invalid(text.to_owned()))
}

/// One collection and its indexes.
async fn prepare(
    database: &Database,
    collection: &str,
    exists: bool,
    wanted: Vec<Wanted>,
    report: &mut Report,
) -> Result<(), Error> {
    if !exists {
        match database.create_collection(collection).await {
            Ok(()) => {}
            // Another host was first.
            Err(error) if code(&error) == Some(COLLECTION_EXISTS) => {}
            Err(error) => return Err(store_error(&error)),
        }
    }
    let existing = indexes(database, collection).await?;
    for index in wanted {
        if existing.iter().any(|other| index.is_served_by(other)) {
            continue;
        }
        // Only the schema uses this name: an earlier version of it had other keys or options.
        if existing.iter().any(|other| other.get_str("name").is_ok_and(|name| name == index.name)) {
            let drop = doc! { "dropIndexes": collection, "index": &index.name };
            match database.run_command(drop).await {
                Ok(_) => tracing::info!(collection, index = index.name, "the schema has another index now: dropped"),
                Err(error) => tracing::warn!(collection, index = index.name, %error, "an old index can't be dropped"),
            }
        }
        make(database, collection, index, report).await?;
    }
    Ok(())
}

async fn indexes(database: &Database, collection: &str) -> Result<Vec<Document>, Error> {
    let list =
        doc! { "listIndexes": collection, "cursor": { "batchSize": 1_000 }, "maxTimeMS": MAX_TIME.as_millis() as i64 };
    let reply = database.run_command(list).await.map_err(|error| store_error(&error))?;
    let batch = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
    Ok(batch.map(|batch| batch.iter().filter_map(Bson::as_document).cloned().collect()).unwrap_or_default())
}

/// Creates an index, or reports why that is not possible.
async fn make(database: &Database, collection: &str, index: Wanted, report: &mut Report) -> Result<(), Error> {
    match database.run_command(index.command(collection)).await {
        Ok(_) => {
            report.made.push(format!("{collection}.{}", index.name));
            return Ok(());
        }
        Err(error) if is_duplicate(&error) => {
            let why = match clash(database, collection, &index, &error).await {
                // Values that only old databases have can't be asked for.
                Err(Error::Invalid(why)) => format!("documents have the same values, and which is not known: {why}"),
                why => why?,
            };
            report.unmade.push(Unmade { collection: collection.to_owned(), index: index.name.clone(), why });
            // Queries still need an index for these keys.
            let twin = index.without_uniqueness();
            if let Err(error) = database.run_command(twin.command(collection)).await {
                tracing::warn!(collection, index = twin.name, %error, "an index can't be made");
            }
        }
        Err(error) if code(&error).is_some_and(|code| INDEX_DIFFERS.contains(&code)) => {
            let others = indexes(database, collection).await?;
            // Another host may have been first.
            if !others.iter().any(|other| index.is_served_by(other)) {
                let same = others.iter().find(|other| {
                    other.get_document("key").map(ascending).unwrap_or_default() == ascending(&index.keys)
                });
                let name = same.and_then(|other| other.get_str("name").ok()).unwrap_or(&index.name);
                let why = format!("the index `{name}` has the same keys and other options; drop it and start again");
                report.unmade.push(Unmade { collection: collection.to_owned(), index: index.name.clone(), why });
            }
        }
        Err(error) => match store_error(&error) {
            Error::Unavailable(text) => return Err(Error::Unavailable(text)),
            other => {
                let why = other.to_string();
                report.unmade.push(Unmade { collection: collection.to_owned(), index: index.name.clone(), why });
            }
        },
    }
    Ok(())
}

/// Names two documents that a unique index would refuse, by their `_id`s: their values may be private.
async fn clash(database: &Database, collection: &str, index: &Wanted, error: &ServerError) -> Result<String, Error> {
    let reply = error.server_response().and_then(|raw| Document::try_from(raw.as_ref()).ok()).unwrap_or_default();
    let mut filter = Document::new();
    for (path, value) in reply.get_document("keyValue").cloned().unwrap_or_default() {
        filter.insert(path, doc! { "$eq": value });
    }
    if let Some(only) = &index.only {
        filter = doc! { "$and": [filter, only.clone()] };
    }
    let documents = database.collection::<Document>(collection);
    let found = documents.find(filter).projection(doc! { "_id": 1 });
    let mut cursor =
        found.sort(doc! { "_id": 1 }).limit(2).max_time(MAX_TIME).await.map_err(|error| store_error(&error))?;
    let mut ids = Vec::new();
    while cursor.advance().await.map_err(|error| store_error(&error))? {
        let id = cursor.current().get("_id").ok().flatten().and_then(|id| Bson::try_from(id).ok());
        ids.extend(id.map(|id| id.to_string()));
    }
    Ok(format!(
        "the documents with `_id` {} have the same values in {}; change or delete all but one of them",
        ids.join(" and "),
        index.keys.keys().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", "),
    ))
}
