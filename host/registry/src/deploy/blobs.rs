//! The files of components in the documents, in chunks, by their hash. A file is written whole before a component's row names
//! it; a file that a crash left incomplete is completed by the next write of the same file.

use std::sync::Arc;

use bson::spec::BinarySubtype;
use bson::{Binary, RawDocumentBuf, doc};
use sha2::{Digest as _, Sha256};

use capability::documents::{Collection, Commit, Documents, Error, Filter, Index, Projection, Query, Write, date};

/// The collection of the chunks. It is the host's, not the application's.
pub(crate) const COLLECTION: &str = "host-blobs";
/// Bytes of a chunk: well below the size limit of a document.
const CHUNK: usize = 768 << 10;
/// The largest file, in bytes.
pub const LARGEST: usize = 64 << 20;
/// The field, in the first chunk of a file that no row names yet, with the time when it was written.
const UNNAMED: &str = "unnamed";
/// How long such a file is kept, in milliseconds: longer than a deploy takes from writing the file to its commit.
const UNNAMED_RETENTION_MS: u64 = 3_600_000;

/// The collection's definition, with its index.
pub(crate) fn collection() -> Collection {
    let unnamed = Index { fields: vec![UNNAMED.to_owned()], unique: false, where_exists: vec![UNNAMED.to_owned()] };
    Collection { indexes: vec![unnamed], ..Collection::default() }
}

pub(super) struct Blobs(Arc<dyn Documents>);

impl Blobs {
    pub(super) fn new(documents: Arc<dyn Documents>) -> Self {
        Self(documents)
    }

    /// Writes a file unless it is there; returns when all of it is durable. `now` is in milliseconds since 1970.
    pub(super) async fn put(&self, sha256: &str, bytes: &[u8], now: u64) -> Result<(), Error> {
        for (number, chunk) in bytes.chunks(CHUNK).enumerate() {
            let bytes = Binary { subtype: BinarySubtype::Generic, bytes: chunk.to_vec() };
            let mut document = doc! { "_id": format!("{sha256}/{number:03}"), "sha256": sha256, "bytes": bytes };
            if number == 0 {
                document.insert(UNNAMED, date(now));
            }
            let document = RawDocumentBuf::try_from(&document).map_err(|error| Error::Invalid(error.to_string()))?;
            let write = Write::Insert { collection: COLLECTION.to_owned(), document };
            match self.0.commit(Commit { writes: vec![write], events: Vec::new() }).await {
                // A chunk with this `_id` has the same content, because the `_id` contains the file's hash.
                Ok(_) | Err(Error::Duplicate { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads a file; `None` when it is not there, incomplete, or has another hash.
    pub(super) async fn get(&self, sha256: &str) -> Result<Option<Vec<u8>>, Error> {
        let mut bytes = Vec::new();
        for number in 0..LARGEST.div_ceil(CHUNK) {
            let filter = Filter::from_document(&doc! { "_id": format!("{sha256}/{number:03}") })?;
            let found = self.0.find(Query { limit: 1, ..Query::all(COLLECTION, filter) }).await?;
            let Some(chunk) = found.first().and_then(|chunk| chunk.get_binary("bytes").ok()) else { break };
            bytes.extend_from_slice(chunk.bytes);
            if chunk.bytes.len() < CHUNK {
                break;
            }
        }
        Ok((hex::encode(Sha256::digest(&bytes)) == sha256).then_some(bytes))
    }

    /// A write that marks a file as named by a row, and fails the commit when the file is not there.
    pub(super) fn mark_named(sha256: &str) -> Result<Write, Error> {
        let change = doc! { "$set": { "sha256": sha256 }, "$unset": { UNNAMED: 1 } };
        Write::change_known(COLLECTION, &doc! { "_id": format!("{sha256}/000") }, &change)
    }

    /// Deletes old files that no row names: their deploy was refused after they were written, or its host crashed.
    pub(super) async fn delete_unnamed(&self, now: u64) -> Result<(), Error> {
        let filter =
            Filter::from_document(&doc! { UNNAMED: { "$lt": date(now.saturating_sub(UNNAMED_RETENTION_MS)) } })?;
        let fields =
            RawDocumentBuf::try_from(&doc! { "sha256": 1 }).map_err(|error| Error::Invalid(error.to_string()))?;
        let query = Query { projection: Projection::parse(&fields)?, ..Query::all(COLLECTION, filter) };
        let found = self.0.find(query).await?;
        let writes: Vec<Write> = found
            .iter()
            .filter_map(|chunk| Some(Self::delete(chunk.get_str("sha256").ok()?)))
            .collect::<Result<_, _>>()?;
        if writes.is_empty() {
            return Ok(());
        }
        self.0.commit(Commit { writes, events: Vec::new() }).await.map(drop)
    }

    /// A write that deletes a file.
    pub(super) fn delete(sha256: &str) -> Result<Write, Error> {
        let filter =
            Filter::from_document(&doc! { "_id": { "$gte": format!("{sha256}/"), "$lt": format!("{sha256}0") } })?;
        Ok(Write::Delete { collection: COLLECTION.to_owned(), filter, many: true, must_match: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capability::documents::Schema;
    use store_sqlite::{Location, Sqlite};

    fn store() -> Arc<Sqlite> {
        let collections = [(COLLECTION.to_owned(), collection())].into();
        Arc::new(Sqlite::open(Location::Memory, &Schema { collections }, &Default::default()).unwrap())
    }

    #[tokio::test]
    async fn a_file_of_any_length_comes_back_and_goes() {
        let blobs = Blobs::new(store());
        let files = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK]
            .map(|length| (0..length).map(|n| n as u8).collect::<Vec<u8>>());
        for file in &files {
            let sha256 = hex::encode(Sha256::digest(file));
            blobs.put(&sha256, file, 1).await.unwrap();
            blobs.put(&sha256, file, 2).await.unwrap();
        }
        for file in &files {
            let sha256 = hex::encode(Sha256::digest(file));
            // The empty file has no chunks, so it is found whether it was written or not.
            assert_eq!(blobs.get(&sha256).await.unwrap().as_ref(), Some(file));
            blobs.0.commit(Commit { writes: vec![Blobs::delete(&sha256).unwrap()], events: Vec::new() }).await.unwrap();
            assert_eq!(blobs.get(&sha256).await.unwrap(), file.is_empty().then(Vec::new));
        }
    }

    #[tokio::test]
    async fn half_a_file_is_none() {
        let blobs = Blobs::new(store());
        let file = vec![7; 2 * CHUNK];
        let sha256 = hex::encode(Sha256::digest(&file));
        blobs.put(&sha256, &file[..CHUNK], 1).await.unwrap();
        assert_eq!(blobs.get(&sha256).await.unwrap(), None);
        blobs.put(&sha256, &file, 1).await.unwrap();
        assert_eq!(blobs.get(&sha256).await.unwrap(), Some(file));
    }

    #[tokio::test]
    async fn what_nothing_names_goes_after_a_while() {
        let blobs = Blobs::new(store());
        let files: [(&[u8], u64); 3] = [(b"named", 0), (b"unnamed", 0), (b"unnamed and new", 1)];
        let files = files.map(|(file, at)| (hex::encode(Sha256::digest(file)), file, at));
        for (sha256, file, at) in &files {
            blobs.put(sha256, file, *at).await.unwrap();
        }
        let named = vec![Blobs::mark_named(&files[0].0).unwrap()];
        blobs.0.commit(Commit { writes: named, events: Vec::new() }).await.unwrap();
        blobs.delete_unnamed(UNNAMED_RETENTION_MS + 1).await.unwrap();
        for ((sha256, file, _), stays) in files.iter().zip([true, false, true]) {
            assert_eq!(blobs.get(sha256).await.unwrap(), stays.then(|| file.to_vec()));
        }
    }
}
