//! The server's errors as errors of a document store.
//!
//! A refused request is [`Error::Invalid`], one that the server ended itself because of its time [`Error::Overdue`]; everything
//! else is [`Error::Unavailable`]. Pure.

use ::mongodb::error::{Error as ServerError, ErrorKind, TRANSIENT_TRANSACTION_ERROR, WriteFailure};
use bson::Document;

use capability::documents::{Collection, Error};
use capability::text;

/// A duplicate value of a unique index.
const DUPLICATE: i32 = 11_000;
/// The server ended a request that took longer than it may.
const OVERDUE: i32 = 50;
/// The codes of refused requests: bad value, failed to parse, type mismatch, overflow, a path that is not viable, conflicting
/// operators, immutable field, a name with a dollar, a document that the collection's own validator refuses, too much memory for
/// a request or a sort, parallel arrays, ambiguous array indexes, a transaction or documents that are too large.
const OF_THE_REQUEST: [i32; 21] =
    [2, 9, 14, 15, 28, 40, 52, 57, 66, 121, 146, 171, 257, 263, 292, 10_334, 16_746, 16_755, 17_280, 17_419, 17_420];

/// Why a transaction did not commit.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It is refused; a retry changes nothing.
    Refused(Error),
    /// The server or the connection failed.
    Server(ServerError),
    /// A write conflict with another transaction; nothing was done.
    Conflict,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Refused(error)
    }
}

impl From<ServerError> for Stop {
    fn from(error: ServerError) -> Stop {
        Stop::Server(error)
    }
}

impl Stop {
    /// Nothing of it was done, and a retry may succeed.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Stop::Refused(_) => false,
            Stop::Server(error) => error.contains_label(TRANSIENT_TRANSACTION_ERROR),
            Stop::Conflict => true,
        }
    }

    pub(super) fn into_error(self) -> Error {
        match self {
            Stop::Refused(error) => error,
            other => other.error(),
        }
    }

    /// The same; the outcome may concern several commits.
    pub(super) fn error(&self) -> Error {
        match self {
            Stop::Refused(error) => error.clone(),
            Stop::Server(error) => store_error(error),
            Stop::Conflict => Error::Unavailable("other commits were always faster".to_owned()),
        }
    }
}

/// An error of the server outside writes.
pub(crate) fn store_error(error: &ServerError) -> Error {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => error_of_code(command.code, &command.message),
        ErrorKind::InvalidArgument { message, .. } => Error::invalid(message),
        ErrorKind::Write(WriteFailure::WriteError(refused)) => error_of_code(refused.code, &refused.message),
        // Without the labels and the whole reply.
        kind => Error::Unavailable(text::cut(&kind.to_string(), text::MAX_REASON)),
    }
}

/// An error of the server by its code. The server's text may repeat what it was asked.
pub(crate) fn error_of_code(code: i32, text: &str) -> Error {
    let text = text::cut(text, text::MAX_REASON);
    if OF_THE_REQUEST.contains(&code) {
        Error::Invalid(text)
    } else if code == OVERDUE {
        Error::Overdue(text)
    } else {
        Error::Unavailable(format!("{text} (code {code})"))
    }
}

/// The server's code of an error, if it has one.
pub(crate) fn code(error: &ServerError) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

/// Whether the server refused to repeat a value of a unique index.
pub(crate) fn is_duplicate(error: &ServerError) -> bool {
    code(error) == Some(DUPLICATE)
}

/// The outcome of a command of writes. `position` maps the index of a statement in the command to the position of its
/// write in the commit.
pub(super) fn outcome(
    reply: Result<Document, ServerError>,
    collection: &Collection,
    position: impl Fn(u32) -> u32,
) -> Result<Document, Stop> {
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) if is_duplicate(&error) => {
            let reply = error.server_response().and_then(|raw| Document::try_from(raw.as_ref()).ok());
            let index = index_name(collection, &reply.unwrap_or_default());
            return Err(Error::Duplicate { write: position(0), index }.into());
        }
        Err(error) => return Err(error.into()),
    };
    let refused =
        reply.get_array("writeErrors").ok().and_then(|errors| errors.first()).and_then(|error| error.as_document());
    let Some(refused) = refused else { return Ok(reply) };
    let code = refused.get_i32("code").unwrap_or_default();
    if code == DUPLICATE {
        let statement = refused.get_i32("index").ok().and_then(|index| u32::try_from(index).ok()).unwrap_or_default();
        return Err(Error::Duplicate { write: position(statement), index: index_name(collection, refused) }.into());
    }
    Err(error_of_code(code, refused.get_str("errmsg").unwrap_or("a write was refused")).into())
}

/// The schema's name of the index that refused, whatever its name on the server; the server's name for other indexes.
fn index_name(collection: &Collection, refused: &Document) -> String {
    let keys = refused.get_document("keyPattern").map(|pattern| pattern.keys().collect::<Vec<_>>()).unwrap_or_default();
    if keys == ["_id"] {
        return "_id_".to_owned();
    }
    let known = collection.indexes.iter().find(|index| index.unique && index.fields.iter().eq(keys.iter().copied()));
    known.map(|index| index.name()).unwrap_or_else(|| {
        let text = refused.get_str("errmsg").unwrap_or_default();
        let name = text.split_once(" index: ").and_then(|(_, rest)| rest.split(' ').next());
        name.unwrap_or("unknown").to_owned()
    })
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;
    use capability::documents::Index;

    #[test]
    fn what_is_wrong_with_a_request_is_not_taken_for_a_server_that_is_away() {
        let of = |code| error_of_code(code, "why");
        for code in [2, 121, 146, 257, 10_334, 17_280] {
            assert_eq!(of(code), Error::Invalid("why".to_owned()), "{code}");
        }
        assert_eq!(of(50), Error::Overdue("why".to_owned()));
        // Not the primary, interrupted by a shutdown, not authorized.
        for code in [10_107, 11_600, 189, 13] {
            assert!(matches!(of(code), Error::Unavailable(_)), "{code}");
        }
    }

    #[test]
    fn an_index_has_the_schemas_name() {
        let index = Index { fields: vec!["a.b".to_owned(), "c".to_owned()], unique: true, where_exists: Vec::new() };
        let collection = Collection { indexes: vec![index], ..Collection::default() };
        let name = |refused| index_name(&collection, &refused);
        assert_eq!(name(doc! { "keyPattern": { "a.b": 1, "c": 1 }, "errmsg": "x index: other_1 dup" }), "a_b_c");
        assert_eq!(name(doc! { "keyPattern": { "_id": 1 } }), "_id_");
        assert_eq!(name(doc! { "keyPattern": { "z": 1 }, "errmsg": "x index: other_1 dup" }), "other_1");
    }
}
