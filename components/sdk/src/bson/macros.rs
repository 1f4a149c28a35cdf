//! `doc!`, which writes a document the way one writes JSON.
//! Names are literals or variables; values are anything that turns into a [`Bson`](super::Bson), `null`, `{…}` and `[…]`.
//! The two macros under it walk over fields and over values; they are not for use by themselves.

/// A [`Document`](crate::bson::Document): `doc! { "age": { "$gte": 18 }, "_id": id, "tags": ["a", name], "gone": null }`.
#[macro_export]
macro_rules! doc {
    () => { $crate::bson::Document::new() };
    ($($fields:tt)+) => {{
        let mut document = $crate::bson::Document::new();
        $crate::doc_fields!(document $($fields)+);
        document
    }};
}

/// The fields of a [`doc!`](crate::doc!), one by one.
#[doc(hidden)]
#[macro_export]
macro_rules! doc_fields {
    ($document:ident) => {};
    ($document:ident $name:tt : null $(, $($rest:tt)*)?) => {
        $document.insert($name, $crate::bson::Bson::Null);
        $crate::doc_fields!($document $($($rest)*)?);
    };
    ($document:ident $name:tt : { $($fields:tt)* } $(, $($rest:tt)*)?) => {
        $document.insert($name, $crate::doc! { $($fields)* });
        $crate::doc_fields!($document $($($rest)*)?);
    };
    ($document:ident $name:tt : [ $($values:tt)* ] $(, $($rest:tt)*)?) => {
        $document.insert($name, $crate::doc_values!([] $($values)*));
        $crate::doc_fields!($document $($($rest)*)?);
    };
    ($document:ident $name:tt : $value:expr $(, $($rest:tt)*)?) => {
        $document.insert($name, $value);
        $crate::doc_fields!($document $($($rest)*)?);
    };
}

/// The values of an array in a [`doc!`](crate::doc!), one by one; the first bracket holds those already seen.
#[doc(hidden)]
#[macro_export]
macro_rules! doc_values {
    ([$($seen:expr,)*]) => { $crate::bson::Bson::Array(vec![$($seen),*]) };
    ([$($seen:expr,)*] null $(, $($rest:tt)*)?) => {
        $crate::doc_values!([$($seen,)* $crate::bson::Bson::Null,] $($($rest)*)?)
    };
    ([$($seen:expr,)*] { $($fields:tt)* } $(, $($rest:tt)*)?) => {
        $crate::doc_values!([$($seen,)* $crate::bson::Bson::Document($crate::doc! { $($fields)* }),] $($($rest)*)?)
    };
    ([$($seen:expr,)*] [ $($values:tt)* ] $(, $($rest:tt)*)?) => {
        $crate::doc_values!([$($seen,)* $crate::doc_values!([] $($values)*),] $($($rest)*)?)
    };
    ([$($seen:expr,)*] $value:expr $(, $($rest:tt)*)?) => {
        $crate::doc_values!([$($seen,)* $crate::bson::Bson::from($value),] $($($rest)*)?)
    };
}

#[cfg(test)]
mod tests {
    use crate::bson::{Bson, Document};

    #[test]
    fn documents_are_written_like_json() {
        let (name, number) = ("dynamic", 3_u32);
        let document = doc! { "a": 1 + 1, name: null, "in": { "$in": [1, "two", { "three": number }, [null], true,] }, "list": vec![1_i64, 2], "none": None::<i32>, };
        assert_eq!(document.get_i64("a"), Some(2));
        assert_eq!(document.get("dynamic"), Some(&Bson::Null));
        let list = document.get_document("in").and_then(|d| d.get_array("$in")).unwrap();
        assert_eq!(list.len(), 5);
        assert_eq!(list[2], Bson::Document(doc! { "three": 3 }));
        assert_eq!(list[3], Bson::Array(vec![Bson::Null]));
        assert_eq!(doc! {}, Document::new());
        assert_eq!(
            serde_json::to_string(&document).unwrap(),
            r#"{"a":2,"dynamic":null,"in":{"$in":[1,"two",{"three":3},[null],true]},"list":[1,2],"none":null}"#
        );
    }
}
