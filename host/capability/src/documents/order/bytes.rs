//! Validation of BSON from outside: code that runs after it may trust the bytes.
//!
//! Reads every byte once with a depth limit, accepts the types that the order has, and refuses the rest by name. Reads
//! slices only; hostile bytes get an error, never a panic and never deep recursion.

use bson::Timestamp;

use crate::documents::{Error, MAX_DEPTH, MAX_DOCUMENT};
use crate::text;

use crate::documents::order::{RawBsonRef, RawDocument};

/// The longest path, in bytes. One filter may repeat a path with each of its conditions.
pub const MAX_PATH: usize = 1_024;

/// Checks every byte of a document: at most [`MAX_DOCUMENT`] long and [`MAX_DEPTH`] deep, only types that can be
/// stored, UTF-8 text, no name twice in one document, array elements named by their indexes.
///
/// # Errors
/// [`Error::Invalid`] that says what is wrong and under which name.
pub fn validate(document: &RawDocument) -> Result<(), Error> {
    let bytes = document.as_bytes();
    if bytes.len() > MAX_DOCUMENT {
        return Err(invalid(format!("the document has {} bytes; at most {MAX_DOCUMENT} are allowed", bytes.len())));
    }
    let mut reader = Reader { rest: bytes };
    reader.document(1, Shape::Document)?;
    if reader.rest.is_empty() { Ok(()) } else { Err(invalid("bytes follow the end of the document")) }
}

/// [`validate`], and also what a stored document must have: an `_id` that is not an array and has no name that begins with
/// `$`, no such name at the top, and no empty timestamp there, which MongoDB would replace.
///
/// # Errors
/// [`Error::Invalid`] that says what is wrong.
pub fn validate_insert(document: &RawDocument) -> Result<(), Error> {
    validate(document)?;
    storable(document)
}

/// What [`validate_insert`] checks beyond [`validate`].
///
/// # Errors
/// [`Error::Invalid`] that says what is wrong.
pub fn storable(document: &RawDocument) -> Result<(), Error> {
    let mut has_id = false;
    for (name, value) in document.iter().flatten() {
        if name.as_str().starts_with('$') {
            return Err(invalid(format!("the field `{name}` begins with `$`, which is kept for operators")));
        }
        if name.as_str() == "_id" {
            if matches!(value, RawBsonRef::Array(_)) {
                return Err(invalid("`_id` can't be an array"));
            }
            if has_operator(value) {
                return Err(invalid("`_id` has a field that begins with `$`, which is kept for operators"));
            }
            has_id = true;
        } else if matches!(value, RawBsonRef::Timestamp(Timestamp { time: 0, increment: 0 })) {
            return Err(invalid(format!("`{name}` is an empty timestamp, which MongoDB would replace by its own")));
        }
    }
    if has_id { Ok(()) } else { Err(invalid("the document has no `_id`; give it one")) }
}

/// Whether a value has a name that begins with `$`.
fn has_operator(value: RawBsonRef<'_>) -> bool {
    match value {
        RawBsonRef::Document(document) => {
            document.iter().flatten().any(|(name, value)| name.as_str().starts_with('$') || has_operator(value))
        }
        RawBsonRef::Array(array) => array.into_iter().flatten().any(has_operator),
        _ => false,
    }
}

/// Checks a dotted path of a filter, an update, a sort or a projection.
///
/// # Errors
/// [`Error::Invalid`] for an empty part, a part that begins with `$`, more than [`MAX_DEPTH`] parts, or more than [`MAX_PATH`]
/// bytes.
pub fn valid_path(path: &str) -> Result<(), Error> {
    let wrong = |what: &str| invalid(format!("the path `{}` has {what}", text::cut(path, text::MAX_NAME)));
    if path.len() > MAX_PATH {
        return Err(wrong(&format!("more than {MAX_PATH} bytes")));
    }
    if path.split('.').count() > MAX_DEPTH {
        return Err(wrong(&format!("more than {MAX_DEPTH} parts")));
    }
    if path.contains('\0') || path.split('.').any(str::is_empty) {
        return Err(wrong("an empty part or a zero byte"));
    }
    match path.split('.').find(|part| part.starts_with('$')) {
        Some(part) => Err(wrong(&format!("the part `{part}`; `$` is kept for operators"))),
        None => Ok(()),
    }
}

/// An [`Error::Invalid`] for an operator that is not known in this context, such as `a filter`.
pub fn outside(name: &str, context: &str, known: &str) -> Error {
    invalid(format!("`{}` is not known in {context}; known are {known}", text::cut(name, text::MAX_NAME)))
}

fn invalid(text: impl AsRef<str>) -> Error {
    Error::invalid(text)
}

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Document,
    Array,
}

/// The bytes that are left to read. Every method takes from the front and refuses to go past the end.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (head, tail) =
            self.rest.split_at_checked(count).ok_or_else(|| invalid("the BSON ends in the middle of a value"))?;
        self.rest = tail;
        Ok(head)
    }

    fn length(&mut self) -> Result<usize, Error> {
        let head = self.take(4)?.try_into().map_err(|_| invalid("the BSON ends in the middle of a length"))?;
        usize::try_from(i32::from_le_bytes(head)).map_err(|_| invalid("the BSON has a negative length"))
    }

    fn name(&mut self) -> Result<&'a str, Error> {
        let end = self.rest.iter().position(|&byte| byte == 0).ok_or_else(|| invalid("a field's name has no end"))?;
        let name = self.take(end)?;
        self.take(1)?;
        str::from_utf8(name).map_err(|_| invalid("a field's name is not UTF-8"))
    }

    /// One document or array with its length and its end.
    fn document(&mut self, depth: usize, shape: Shape) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(invalid(format!("the document is nested more than {MAX_DEPTH} deep")));
        }
        let length = self.length()?;
        let body = length.checked_sub(4).ok_or_else(|| invalid("a document's length is too small"))?;
        let mut inner = Reader { rest: self.take(body)? };
        let mut names = Vec::new();
        loop {
            let kind = inner.take(1)?.first().copied().unwrap_or(0);
            if kind == 0 {
                break;
            }
            let name = inner.name()?;
            if shape == Shape::Array && !is_index(name, names.len()) {
                return Err(invalid(format!("an array's element {} is named `{name}`", names.len())));
            }
            names.push(name);
            inner.value(kind, name, depth)?;
        }
        if !inner.rest.is_empty() {
            return Err(invalid("bytes follow the end of a document"));
        }
        if shape == Shape::Document { unrepeated(names) } else { Ok(()) }
    }

    fn value(&mut self, kind: u8, name: &str, depth: usize) -> Result<(), Error> {
        match kind {
            0x01 | 0x09 | 0x11 | 0x12 => self.take(8).map(drop),
            0x02 => self.string(name),
            0x03 => self.document(depth + 1, Shape::Document),
            0x04 => self.document(depth + 1, Shape::Array),
            0x05 => self.binary(name),
            0x07 => self.take(12).map(drop),
            0x08 => match self.take(1)? {
                [0 | 1] => Ok(()),
                _ => Err(invalid(format!("`{name}` is a boolean that is neither true nor false"))),
            },
            0x0A | 0x7F | 0xFF => Ok(()),
            0x10 => self.take(4).map(drop),
            _ => Err(invalid(format!("`{name}` is {}, which is not supported", type_name(kind)))),
        }
    }

    fn string(&mut self, name: &str) -> Result<(), Error> {
        let length = self.length()?;
        match self.take(length)?.split_last() {
            Some((0, text)) if str::from_utf8(text).is_ok() => Ok(()),
            _ => Err(invalid(format!("`{name}` is text that is not UTF-8 or has no end"))),
        }
    }

    fn binary(&mut self, name: &str) -> Result<(), Error> {
        let length = self.length()?;
        // Subtype 2 has a second length inside and is deprecated.
        if self.take(1)? == [0x02] {
            return Err(invalid(format!("`{name}` is a binary of the old subtype 2; use subtype 0")));
        }
        self.take(length).map(drop)
    }
}

fn is_index(name: &str, index: usize) -> bool {
    name.parse() == Ok(index) && (name.len() == 1 || !name.starts_with(['0', '+']))
}

fn unrepeated(mut names: Vec<&str>) -> Result<(), Error> {
    names.sort_unstable();
    match names.array_windows().find(|[a, b]| a == b) {
        Some([name, _]) => Err(invalid(format!("the field `{name}` is there twice"))),
        None => Ok(()),
    }
}

fn type_name(kind: u8) -> String {
    match kind {
        0x06 => "undefined".to_owned(),
        0x0B => "a regular expression".to_owned(),
        0x0C => "a DBPointer".to_owned(),
        0x0D | 0x0F => "JavaScript code".to_owned(),
        0x0E => "a symbol".to_owned(),
        0x13 => "a Decimal128".to_owned(),
        _ => format!("of the unknown type {kind:#04x}"),
    }
}
