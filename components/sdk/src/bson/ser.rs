//! BSON bytes from structs, by serde, and from documents, without it.
//! An element's kind stands before its name, so the byte is left open and filled in when the value is known.
//! Widths of numbers are those that the `bson` crate writes: up to 16 bits and `i32` as int32, the rest as int64.

use serde::ser::{self, Serialize, Serializer};

use super::{Bson, Document, Error, TAG, TAGGED, kind};

/// The bytes of `value`: a struct, a map whose keys are text, or a [`Document`]. Anything else is an error, as are a
/// number above `i64::MAX` and a name with a zero character.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(128);
    value.serialize(Slot { out: &mut out, kind_at: None, tagged: false })?;
    Ok(out)
}

/// Leaves room for a document's length; answers where it begins.
fn begin(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; 4]);
    out.len() - 4
}

/// Ends the document that began at `start`.
fn finish(out: &mut Vec<u8>, start: usize) {
    out.push(0);
    let length = i32::try_from(out.len() - start).unwrap_or(i32::MAX);
    if let Some(room) = out.get_mut(start..start + 4) {
        room.copy_from_slice(&length.to_le_bytes());
    }
}

fn write_str(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&i32::try_from(text.len() + 1).unwrap_or(i32::MAX).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

fn write_binary(out: &mut Vec<u8>, subtype: u8, bytes: &[u8]) {
    out.extend_from_slice(&i32::try_from(bytes.len()).unwrap_or(i32::MAX).to_le_bytes());
    out.push(subtype);
    out.extend_from_slice(bytes);
}

/// An array's items are named by their place.
fn write_place(out: &mut Vec<u8>, mut place: usize) {
    let mut digits = [0; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (place % 10) as u8;
        place /= 10;
        used += 1;
        if place == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(20 - used..).unwrap_or_default());
    out.push(0);
}

pub(super) fn write_document(out: &mut Vec<u8>, document: &Document) {
    let start = begin(out);
    for (name, value) in document.iter() {
        out.push(value.kind());
        out.extend(name.bytes().take_while(|byte| *byte != 0));
        out.push(0);
        write_value(out, value);
    }
    finish(out, start);
}

fn write_value(out: &mut Vec<u8>, value: &Bson) {
    match value {
        Bson::Null => {}
        Bson::Boolean(value) => out.push(u8::from(*value)),
        Bson::Int32(value) => out.extend_from_slice(&value.to_le_bytes()),
        Bson::Int64(value) => out.extend_from_slice(&value.to_le_bytes()),
        Bson::Double(value) => out.extend_from_slice(&value.to_le_bytes()),
        Bson::String(value) => write_str(out, value),
        Bson::ObjectId(value) => out.extend_from_slice(&value.bytes()),
        Bson::DateTime(value) => out.extend_from_slice(&value.millis().to_le_bytes()),
        Bson::Binary(value) => write_binary(out, value.subtype, &value.bytes),
        Bson::Document(value) => write_document(out, value),
        Bson::Opaque(value) => out.extend_from_slice(&value.payload),
        Bson::Array(values) => {
            let start = begin(out);
            for (place, value) in values.iter().enumerate() {
                out.push(value.kind());
                write_place(out, place);
                write_value(out, value);
            }
            finish(out, start);
        }
    }
}

/// A place for one value.
struct Slot<'a> {
    out: &'a mut Vec<u8>,
    /// Where the value's kind belongs; nowhere for the outermost document.
    kind_at: Option<usize>,
    /// Bytes that come now are a tagged value and not binary data.
    tagged: bool,
}

impl<'a> Slot<'a> {
    fn is(&mut self, kind: u8) -> Result<(), Error> {
        match self.kind_at.map(|at| self.out.get_mut(at)) {
            Some(Some(room)) => *room = kind,
            _ if kind == kind::DOCUMENT => {}
            _ => {
                return Err(Error::new("only a struct, a map or a document can be a whole document"));
            }
        }
        Ok(())
    }

    fn write(mut self, kind: u8, payload: &[u8]) -> Result<(), Error> {
        self.is(kind)?;
        self.out.extend_from_slice(payload);
        Ok(())
    }

    fn compound(mut self, kind: u8) -> Result<Compound<'a>, Error> {
        self.is(kind)?;
        let start = begin(self.out);
        Ok(Compound { out: self.out, start, place: 0, wrapper: None })
    }

    /// `{variant: <document or array>}`
    fn variant(self, variant: &str, kind: u8) -> Result<Compound<'a>, Error> {
        let Compound { out, start: wrapper, .. } = self.compound(kind::DOCUMENT)?;
        write_name(out, variant, kind)?;
        let start = begin(out);
        Ok(Compound { out, start, place: 0, wrapper: Some(wrapper) })
    }
}

/// An element's kind and name.
fn write_name(out: &mut Vec<u8>, name: &str, kind: u8) -> Result<(), Error> {
    if name.contains('\0') {
        return Err(Error::new(format!("a name with a zero character: {name:?}")));
    }
    out.push(kind);
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    Ok(())
}

macro_rules! numbers {
    ($($method:ident($type:ty) => $kind:ident $wire:ty),* $(,)?) => {
        $(fn $method(self, value: $type) -> Result<(), Error> {
            self.write(kind::$kind, &<$wire>::from(value).to_le_bytes())
        })*
    };
}

impl<'a> Serializer for Slot<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    fn is_human_readable(&self) -> bool {
        false
    }

    numbers! {
        serialize_i8(i8) => INT32 i32,
        serialize_i16(i16) => INT32 i32,
        serialize_i32(i32) => INT32 i32,
        serialize_i64(i64) => INT64 i64,
        serialize_u8(u8) => INT32 i32,
        serialize_u16(u16) => INT32 i32,
        serialize_u32(u32) => INT64 i64,
        serialize_f32(f32) => DOUBLE f64,
        serialize_f64(f64) => DOUBLE f64,
    }

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        let value =
            i64::try_from(value).map_err(|_| Error::new(format!("{value} does not fit into 64 bits with a sign")))?;
        self.serialize_i64(value)
    }

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.write(kind::BOOLEAN, &[u8::from(value)])
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(mut self, value: &str) -> Result<(), Error> {
        self.is(kind::STRING)?;
        write_str(self.out, value);
        Ok(())
    }

    fn serialize_bytes(mut self, value: &[u8]) -> Result<(), Error> {
        match value {
            [TAG, kind, payload @ ..] if self.tagged => self.write(*kind, payload),
            _ => {
                self.is(kind::BINARY)?;
                write_binary(self.out, 0, value);
                Ok(())
            }
        }
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.write(kind::NULL, &[])
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Error> {
        self.serialize_none()
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.tagged = name == TAGGED;
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let mut wrapper = self.compound(kind::DOCUMENT)?;
        wrapper.field(variant, value)?;
        wrapper.close()
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Compound<'a>, Error> {
        self.compound(kind::ARRAY)
    }

    fn serialize_tuple(self, _length: usize) -> Result<Compound<'a>, Error> {
        self.compound(kind::ARRAY)
    }

    fn serialize_tuple_struct(self, _name: &'static str, _length: usize) -> Result<Compound<'a>, Error> {
        self.compound(kind::ARRAY)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Compound<'a>, Error> {
        self.variant(variant, kind::ARRAY)
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Compound<'a>, Error> {
        self.compound(kind::DOCUMENT)
    }

    fn serialize_struct(self, _name: &'static str, _length: usize) -> Result<Compound<'a>, Error> {
        self.compound(kind::DOCUMENT)
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Compound<'a>, Error> {
        self.variant(variant, kind::DOCUMENT)
    }
}

/// A document or an array that is being written.
struct Compound<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    /// Of the next item, in an array.
    place: usize,
    /// Where the document around it begins that names an enum's variant.
    wrapper: Option<usize>,
}

impl Compound<'_> {
    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        let kind_at = self.out.len();
        write_name(self.out, name, 0)?;
        let slot = Slot { out: self.out, kind_at: Some(kind_at), tagged: false };
        value.serialize(slot).map_err(|error| error.within(name))
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let kind_at = self.out.len();
        self.out.push(0);
        write_place(self.out, self.place);
        self.place += 1;
        value.serialize(Slot { out: self.out, kind_at: Some(kind_at), tagged: false })
    }

    fn close(self) -> Result<(), Error> {
        finish(self.out, self.start);
        if let Some(wrapper) = self.wrapper {
            finish(self.out, wrapper);
        }
        Ok(())
    }
}

macro_rules! items {
    ($($trait:ident $method:ident),*) => {
        $(impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = Error;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.item(value)
            }
            fn end(self) -> Result<(), Error> {
                self.close()
            }
        })*
    };
}

items!(SerializeSeq serialize_element, SerializeTuple serialize_element, SerializeTupleStruct serialize_field, SerializeTupleVariant serialize_field);

macro_rules! fields {
    ($($trait:ident),*) => {
        $(impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = Error;
            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
                self.field(name, value)
            }
            fn end(self) -> Result<(), Error> {
                self.close()
            }
        })*
    };
}

fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        let name = key.serialize(super::name::Name)?;
        // The kind is filled in when the value comes; until then its place is remembered in `place`.
        self.place = self.out.len();
        write_name(self.out, &name, 0)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(Slot { out: self.out, kind_at: Some(self.place), tagged: false })
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}
