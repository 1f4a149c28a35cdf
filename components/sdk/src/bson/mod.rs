//! Documents as the database has them: BSON bytes to and from values ([`Document`], [`Bson`], [`doc!`](crate::doc!))
//! and to and from structs that derive serde's traits ([`to_vec`], [`from_slice`]), without the baggage that keeps
//! the `bson` crate off this target. Reading never panics, whatever the bytes, and refuses only what is no BSON: what old databases
//! have and nobody makes any more is carried. What lies deeper than 64 levels is carried as it is, and so is not looked into; text that
//! is not UTF-8 is read with U+FFFD in the place of what is not.

mod date;
mod de;
mod decimal;
mod document;
mod id;
mod macros;
mod name;
mod raw;
mod scalar;
mod ser;
mod value;

pub use date::DateTime;
pub use de::from_slice;
pub use document::Document;
pub use id::ObjectId;
pub use raw::Raw;
pub use scalar::{Binary, Opaque};
pub use ser::to_vec;
pub use value::Bson;

pub(crate) use id::hex;

/// How many documents and arrays inside each other are looked into. Deeper ones are carried as they are: null in JSON.
pub const DEEPEST: u32 = 64;

/// Why bytes could not be read, or a value not written, and at which field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Dotted; empty for the whole document.
    path: String,
    text: String,
}

/// A path longer than this tells nobody anything; its inner end is what counts.
const LONGEST_PATH: usize = 120;

impl Error {
    fn new(text: impl Into<String>) -> Self {
        Self { path: String::new(), text: text.into() }
    }

    /// The same error, seen from the document whose field `name` it is in.
    fn within(mut self, name: &str) -> Self {
        if self.path.is_empty() {
            self.path = name.into();
        } else if self.path.len() + name.len() < LONGEST_PATH {
            self.path = format!("{name}.{}", self.path);
        }
        self
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.text),
            path => write!(f, "{path}: {}", self.text),
        }
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: std::fmt::Display>(text: T) -> Self {
        Self::new(text.to_string())
    }
}

impl serde::ser::Error for Error {
    fn custom<T: std::fmt::Display>(text: T) -> Self {
        Self::new(text.to_string())
    }
}

/// The bytes that stand before an element's name and say what its value is.
mod kind {
    pub(super) const DOUBLE: u8 = 0x01;
    pub(super) const STRING: u8 = 0x02;
    pub(super) const DOCUMENT: u8 = 0x03;
    pub(super) const ARRAY: u8 = 0x04;
    pub(super) const BINARY: u8 = 0x05;
    pub(super) const UNDEFINED: u8 = 0x06;
    pub(super) const OBJECT_ID: u8 = 0x07;
    pub(super) const BOOLEAN: u8 = 0x08;
    pub(super) const DATE_TIME: u8 = 0x09;
    pub(super) const NULL: u8 = 0x0A;
    pub(super) const REGEX: u8 = 0x0B;
    pub(super) const DB_POINTER: u8 = 0x0C;
    pub(super) const CODE: u8 = 0x0D;
    pub(super) const SYMBOL: u8 = 0x0E;
    pub(super) const CODE_WITH_SCOPE: u8 = 0x0F;
    pub(super) const INT32: u8 = 0x10;
    pub(super) const TIMESTAMP: u8 = 0x11;
    pub(super) const INT64: u8 = 0x12;
    pub(super) const DECIMAL128: u8 = 0x13;
    pub(super) const MIN_KEY: u8 = 0xFF;
    pub(super) const MAX_KEY: u8 = 0x7F;
}

/// How a value that serde has no word for passes through it: as bytes, `0xFF`, then its kind, then its payload, in a
/// newtype of this name when it is written. No UTF-8 text begins with `0xFF`, so none is ever mistaken for one.
const TAGGED: &str = "$devconnect::bson";
const TAG: u8 = 0xFF;
