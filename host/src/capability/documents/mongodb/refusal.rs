//! What the server says no to, as the errors of a document store.
//!
//! A request that it can't take is the caller's; everything else is the server being away. Pure.

use ::mongodb::error::{Error as ServerError, ErrorKind, TRANSIENT_TRANSACTION_ERROR, WriteFailure};
use bson::Document;

use crate::capability::documents::{Collection, Error};

/// A value that a unique index has already.
const DUPLICATE: i32 = 11_000;
/// The codes of requests that can't be taken: bad value, failed to parse, type mismatch, immutable field, a name with a
/// dollar, too much memory for a sort, parallel arrays, ambiguous places of arrays, documents that are too large.
const OF_THE_REQUEST: [i32; 14] = [2, 9, 14, 52, 57, 66, 171, 292, 10_334, 16_746, 16_755, 17_419, 17_420, 17_280];

/// Why a transaction did not come to its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It must not; trying again changes nothing.
    Refused(Error),
    /// The server, or the way to it.
    Server(ServerError),
    /// Another one was faster; nothing was done.
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
    /// Nothing of it was done, and it may well succeed when it is done again.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Stop::Refused(_) => false,
            Stop::Server(error) => error.contains_label(TRANSIENT_TRANSACTION_ERROR),
            Stop::Conflict => true,
        }
    }

    pub(super) fn told(self) -> Error {
        match self {
            Stop::Refused(error) => error,
            Stop::Server(error) => told(&error),
            Stop::Conflict => Error::Unavailable("other commits were always faster".to_owned()),
        }
    }
}

/// An error of the server outside writes.
pub(crate) fn told(error: &ServerError) -> Error {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => told_in(command.code, &command.message),
        ErrorKind::InvalidArgument { message, .. } => Error::Invalid(message.clone()),
        ErrorKind::Write(WriteFailure::WriteError(refused)) => told_in(refused.code, &refused.message),
        // Without the labels and the whole answer.
        kind => Error::Unavailable(kind.to_string()),
    }
}

/// An error of the server by its code.
pub(crate) fn told_in(code: i32, text: &str) -> Error {
    if OF_THE_REQUEST.contains(&code) {
        Error::Invalid(text.to_owned())
    } else {
        Error::Unavailable(format!("{text} (code {code})"))
    }
}

/// The server's code of an error, if it said one.
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

/// What became of a command of writes, of which the first is at the place `first` of the commit and the others behind
/// it, or, when they are of one write, at the same place.
pub(super) fn outcome(
    reply: Result<Document, ServerError>,
    collection: &Collection,
    place: impl Fn(u32) -> u32,
) -> Result<Document, Stop> {
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) if is_duplicate(&error) => {
            let said = error.server_response().and_then(|said| Document::try_from(said.as_ref()).ok());
            let index = index_name(collection, &said.unwrap_or_default());
            return Err(Error::Duplicate { write: place(0), index }.into());
        }
        Err(error) => return Err(error.into()),
    };
    let refused =
        reply.get_array("writeErrors").ok().and_then(|errors| errors.first()).and_then(|error| error.as_document());
    let Some(refused) = refused else { return Ok(reply) };
    let code = refused.get_i32("code").unwrap_or_default();
    if code == DUPLICATE {
        let behind = refused.get_i32("index").ok().and_then(|index| u32::try_from(index).ok()).unwrap_or_default();
        return Err(Error::Duplicate { write: place(behind), index: index_name(collection, refused) }.into());
    }
    Err(told_in(code, refused.get_str("errmsg").unwrap_or("a write was refused")).into())
}

/// The schema's name of the index that refused, however the server calls it; the server's own for an index of others.
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
    use crate::capability::documents::Index;

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
