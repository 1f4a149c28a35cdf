//! Documents as lists of elements: taken apart and put together without parsing the values that are not asked for. So what an
//! old database has passes through: types that are not written any more, text that is not UTF-8, names that are there twice, any
//! depth.

use std::cmp::Reverse;

use bson::{RawDocument, RawDocumentBuf};

use crate::documents::Error;

/// A field with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'a> {
    /// Not always UTF-8.
    pub(super) name: &'a [u8],
    /// Its type, its name and its value.
    pub(super) bytes: &'a [u8],
}

/// The fields of a document, in order.
pub(super) fn elements(document: &RawDocument) -> Result<Vec<Element<'_>>, Error> {
    let Some([inner @ .., 0]) = document.as_bytes().get(4..) else { return Err(damaged()) };
    let (mut rest, mut elements) = (inner, Vec::new());
    while !rest.is_empty() {
        let (element, after) = split(rest).ok_or_else(damaged)?;
        elements.push(element);
        rest = after;
    }
    Ok(elements)
}

/// The document of these elements, as [`Element::bytes`] has them.
pub(super) fn document_of<'a>(elements: impl IntoIterator<Item = &'a [u8]>) -> Result<RawDocumentBuf, Error> {
    let mut bytes = vec![0; 4];
    elements.into_iter().for_each(|element| bytes.extend_from_slice(element));
    bytes.push(0);
    let length = i32::try_from(bytes.len()).map_err(|_| Error::invalid("a document can't have 2 GiB"))?;
    if let Some(head) = bytes.first_chunk_mut() {
        *head = length.to_le_bytes();
    }
    RawDocumentBuf::from_bytes(bytes).map_err(|error| Error::invalid(error.to_string()))
}

/// A document of at most so many bytes: without its largest fields where it has more. `_id` is the last to go; nothing is left of
/// a document whose `_id` alone is larger.
pub(super) fn at_most(document: &RawDocument, most: usize) -> Result<RawDocumentBuf, Error> {
    let mut bytes = document.as_bytes().len();
    if bytes <= most {
        return Ok(document.to_owned());
    }
    let mut fields: Vec<(usize, Element<'_>)> = elements(document)?.into_iter().enumerate().collect();
    fields.sort_by_key(|(_, field)| Reverse(if field.name == b"_id" { 0 } else { field.bytes.len() }));
    let left_out = fields
        .iter()
        .take_while(|(_, field)| {
            let too_many = bytes > most;
            bytes -= if too_many { field.bytes.len() } else { 0 };
            too_many
        })
        .count();
    let mut kept = fields.split_off(left_out);
    kept.sort_by_key(|(place, _)| *place);
    document_of(kept.iter().map(|(_, field)| field.bytes))
}

/// The first element, and what follows it; none where the bytes are no element.
fn split(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (kind, named) = bytes.split_first()?;
    let end = named.iter().position(|byte| *byte == 0)?;
    let (name, value) = (named.get(..end)?, named.get(end + 1..)?);
    let (bytes, rest) = bytes.split_at_checked(size(*kind, value)?.checked_add(end + 2)?)?;
    Some((Element { name, bytes }, rest))
}

/// The size of a value of this type; it may be more than there is.
fn size(kind: u8, value: &[u8]) -> Option<usize> {
    let length = || usize::try_from(i32::from_le_bytes(*value.first_chunk()?)).ok();
    match kind {
        // Undefined, null, and the lowest and the highest key.
        0x06 | 0x0A | 0x7F | 0xFF => Some(0),
        0x08 => Some(1),
        0x10 => Some(4),
        0x01 | 0x09 | 0x11 | 0x12 => Some(8),
        0x07 => Some(12),
        0x13 => Some(16),
        // Text, code and symbols; binary data; a DBPointer.
        0x02 | 0x0D | 0x0E => length()?.checked_add(4),
        0x05 => length()?.checked_add(5),
        0x0C => length()?.checked_add(16),
        // Documents, arrays, and code with its scope count themselves.
        0x03 | 0x04 | 0x0F => length(),
        // A regular expression: a pattern and options, each with its end.
        0x0B => {
            let pattern = value.iter().position(|byte| *byte == 0)?;
            let options = value.get(pattern + 1..)?.iter().position(|byte| *byte == 0)?;
            Some(pattern + options + 2)
        }
        _ => None,
    }
}

fn damaged() -> Error {
    Error::Unavailable("a stored document is damaged: its elements do not fill it".to_owned())
}

#[cfg(test)]
mod tests {
    use bson::oid::ObjectId;
    use bson::spec::BinarySubtype;
    use bson::{Binary, Bson, Document, doc};

    use super::*;

    fn raw(document: &Document) -> RawDocumentBuf {
        RawDocumentBuf::try_from(document).unwrap()
    }

    /// Every type that BSON has.
    fn every_type() -> Document {
        doc! {
            "double": f64::NAN, "string": "a\0b", "document": { "a.b": 1, "$c": 2, "": 3 }, "array": [1, [2]],
            "binary": Binary { subtype: BinarySubtype::BinaryOld, bytes: vec![1, 2, 3] },
            "undefined": Bson::Undefined, "id": ObjectId::from_bytes([7; 12]), "boolean": true,
            "date": bson::DateTime::from_millis(i64::MAX), "null": null,
            "regex": bson::Regex { pattern: bson::raw::cstr!("^a").into(), options: bson::raw::cstr!("i").into() },
            "code": Bson::JavaScriptCode("f()".into()), "symbol": Bson::Symbol("s".into()),
            "scope": bson::JavaScriptCodeWithScope { code: "f()".into(), scope: doc! { "a": 1 } },
            "int32": 1, "timestamp": bson::Timestamp { time: 7, increment: 9 }, "int64": i64::MIN,
            "decimal": "1.50".parse::<bson::Decimal128>().unwrap(), "lowest": Bson::MinKey, "highest": Bson::MaxKey,
        }
    }

    #[test]
    fn every_type_is_taken_apart_and_put_together() {
        let whole = raw(&every_type());
        let elements = elements(&whole).unwrap();
        let names: Vec<&[u8]> = elements.iter().map(|element| element.name).collect();
        assert_eq!(names, every_type().keys().map(String::as_bytes).collect::<Vec<_>>());
        assert_eq!(document_of(elements.iter().map(|element| element.bytes)).unwrap(), whole);
    }

    #[test]
    fn what_is_damaged_is_an_error_and_no_panic() {
        let whole = raw(&every_type()).into_bytes();
        for at in 4..whole.len() - 1 {
            for byte in [0, 1, 0x0F, 0x7F, 0x80, 0xFF] {
                let mut bytes = whole.clone();
                *bytes.get_mut(at).unwrap() = byte;
                if let Ok(document) = RawDocumentBuf::from_bytes(bytes)
                    && let Ok(elements) = elements(&document)
                {
                    assert_eq!(document_of(elements.iter().map(|element| element.bytes)).unwrap(), document);
                }
            }
        }
    }

    #[test]
    fn a_large_document_loses_its_largest_fields() {
        let photo = "x".repeat(5_000);
        let whole = raw(
            &doc! { "photo": &photo, "name": "Ada", "_id": ObjectId::from_bytes([7; 12]), "about": "y".repeat(500) },
        );
        let names = |most: usize| {
            let fitted = at_most(&whole, most).unwrap();
            assert!(fitted.as_bytes().len() <= most.max(5), "{most}");
            Document::try_from(&*fitted).unwrap().keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(names(6_000), ["photo", "name", "_id", "about"]);
        assert_eq!(names(1_000), ["name", "_id", "about"]);
        assert_eq!(names(100), ["name", "_id"]);
        assert_eq!(names(25), ["_id"]);
        assert_eq!(names(5), [""; 0]);
    }
}
