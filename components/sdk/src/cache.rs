//! Small values that may vanish at any moment; the truth is in [`documents`](crate::documents).
//! Keys are 1 to 512 bytes of printable ASCII, values at most 1 MiB, times to live 1 second to 30 days.
//! A handler that can answer without the cache should: `cache::get(key).ok().flatten()`.

use serde::{Serialize, de::DeserializeOwned};

use crate::bindings::imports::cache as wit;

pub use wit::Error;

/// The value under `key`; none when there is none or its time is over.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    wit::get(key)
}

/// The value under `key` as JSON of type `T`. One that does not fit `T` (an older shape, say) counts as absent.
pub fn get_json<T: DeserializeOwned>(key: &str) -> Result<Option<T>, Error> {
    Ok(wit::get(key)?.and_then(|value| serde_json::from_slice(&value).ok()))
}

/// The values under at most 1,000 keys, in their order; at most 16 MiB together.
pub fn get_many(keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
    wit::get_many(keys)
}

/// Stores `value` under a key that this call has looked at and found without one; true when it was stored. See [`fill_many`].
pub fn fill(key: &str, value: Vec<u8>, ttl_seconds: u32) -> Result<bool, Error> {
    Ok(wit::fill_many(&[(key.to_owned(), value)], ttl_seconds)? > 0)
}

/// Stores values under at most 1,000 keys that this call has looked at, by [`get`] or [`get_many`], and found without one; answers
/// how many were stored. What was read from the documents after that look is never older than a commit that made the key
/// stale, so nobody finds an old value. The order matters: look, then read the documents, then fill.
///
/// ```no_run
/// # use devconnect_sdk::prelude::*;
/// # fn names(id: ObjectId) -> Result<Option<Vec<u8>>, Error> {
/// let key = format!("greeting:{id}");
/// if let Ok(Some(kept)) = cache::get(&key) {
///     return Ok(Some(kept));
/// }
/// let found = collection("greetings").find(doc! { "_id": id }).limit(1).raw()?.pop();
/// if let Some(greeting) = &found {
///     // A cache that does not answer is no reason to fail.
///     let _ = cache::fill(&key, greeting.clone(), 600);
/// }
/// # Ok(found)
/// # }
/// ```
/// `application.toml` says that the key follows from the collection, and every commit makes it stale:
/// `[collections.greetings] stale = ["greeting:{_id}"]`.
pub fn fill_many(values: &[(String, Vec<u8>)], ttl_seconds: u32) -> Result<u32, Error> {
    wit::fill_many(values, ttl_seconds)
}

/// Stores `value` for `ttl_seconds`, whatever was there.
pub fn set(key: &str, value: &[u8], ttl_seconds: u32) -> Result<(), Error> {
    wit::set(key, value, ttl_seconds)
}

/// Stores `value` as JSON for `ttl_seconds`, whatever was there.
pub fn set_json<T: Serialize + ?Sized>(key: &str, value: &T, ttl_seconds: u32) -> Result<(), Error> {
    let value = serde_json::to_vec(value)
        .map_err(|error| Error::Invalid(format!("the value under `{key}` is not JSON: {error}")))?;
    wit::set(key, &value, ttl_seconds)
}

/// Stores `value` unless there is one; true when it was stored. For a minute after a commit made the key stale nothing is stored;
/// what is read from documents is kept by [`fill`].
pub fn set_if_absent(key: &str, value: &[u8], ttl_seconds: u32) -> Result<bool, Error> {
    wit::set_if_absent(key, value, ttl_seconds)
}

/// Stores `value` only where exactly `expected` is (none: nothing); true when it was stored.
pub fn compare_and_set(key: &str, expected: Option<&[u8]>, value: &[u8], ttl_seconds: u32) -> Result<bool, Error> {
    wit::compare_and_set(key, expected, value, ttl_seconds)
}

/// Forgets `key`; true when there was something to forget.
pub fn delete(key: &str) -> Result<bool, Error> {
    wit::delete(key)
}

/// Adds `by` to the counter under `key` and answers the sum. Only a new counter, which starts at 0, gets
/// `ttl_seconds`, in the same atomic step.
pub fn increment(key: &str, by: i64, ttl_seconds: u32) -> Result<i64, Error> {
    wit::increment(key, by, ttl_seconds)
}

/// Puts `value` (at most 16 KiB) at the head of the list under `key`, drops what is past `keep` (1 to 1,000), answers the new
/// length.
pub fn push_recent(key: &str, value: &[u8], keep: u32, ttl_seconds: u32) -> Result<u32, Error> {
    wit::push_recent(key, value, keep, ttl_seconds)
}

/// Makes a list of `values` (at most 16 KiB each), newest first (1 to 1,000), unless there is something under `key`; true when it did.
pub fn fill_recent(key: &str, values: &[Vec<u8>], ttl_seconds: u32) -> Result<bool, Error> {
    wit::fill_recent(key, values, ttl_seconds)
}

/// At most `limit` values of the list under `key`, newest first; none when there is no list.
pub fn recent(key: &str, limit: u32) -> Result<Option<Vec<Vec<u8>>>, Error> {
    wit::recent(key, limit)
}
