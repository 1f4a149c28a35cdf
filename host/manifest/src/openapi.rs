//! What a component says of its routes: the custom section `devconnect:openapi`, a line of JSON a route.
//!
//! It is read and checked with the manifest; a component without one has routes all the same. The trigger puts the
//! descriptions of all components together.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use capability::text;

use crate::section::sections;
use crate::{HttpTrigger, Manifest, ManifestError, Method};

/// The name of the custom section of a component that describes its routes.
pub const SECTION: &str = "devconnect:openapi";
/// The largest description, in bytes.
const MAX_BYTES: usize = 256 << 10;
/// The longest name of a value.
const MAX_NAME: usize = 64;

/// What a component says of its routes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    routes: Vec<DescribedRoute>,
}

/// What is said of one route.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescribedRoute {
    /// As in the manifest.
    pub method: Method,
    /// As in the manifest.
    pub path: String,
    /// One line.
    #[serde(default)]
    pub summary: String,
    /// More.
    #[serde(default)]
    pub description: String,
    /// The JSON that it takes.
    pub body: Option<ValueSchema>,
    /// The parameters of its path and query.
    #[serde(default)]
    pub parameters: Vec<DescribedParameter>,
    /// What it answers.
    #[serde(default)]
    pub answers: Vec<DescribedAnswer>,
}

/// A parameter of a route.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescribedParameter {
    /// Its name.
    pub name: String,
    /// Where it is.
    #[serde(rename = "in")]
    pub place: Place,
    /// Whether it has to be there.
    #[serde(default)]
    pub required: bool,
    /// Of the query: whether it may be empty, which is as if it were not there.
    #[serde(default)]
    pub empty: bool,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// What it takes.
    #[serde(default)]
    pub schema: ValueSchema,
}

/// Where a parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In the path.
    Path,
    /// In the query.
    Query,
}

/// An answer of a route.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescribedAnswer {
    /// Its status, 200 to 599.
    pub status: u16,
    /// When it is given.
    #[serde(default)]
    pub description: String,
    /// The media type; none: that of an error, JSON with a `message`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The value in it.
    pub schema: Option<ValueSchema>,
}

/// A value on the wire: the keywords of JSON Schema that a description may have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ValueSchema {
    /// The name of a value that is described under one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Of a text: `date-time`, `email` and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Of a text: a regular expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Of a text: the texts that it may be.
    #[serde(rename = "enum", skip_serializing_if = "Option::is_none")]
    pub texts: Option<Vec<String>>,
    /// Of a text, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u32>,
    /// Of a text, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    /// Of a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<i64>,
    /// Of a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<i64>,
    /// Of a list: each of its values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Box<ValueSchema>>,
    /// Of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_items: Option<u32>,
    /// Of an object: its fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, ValueSchema>,
    /// Of an object: the fields that are always there.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub required: BTreeSet<String>,
    /// Of an object: false when it has no other fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_properties: Option<bool>,
    /// It is at least one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any_of: Vec<ValueSchema>,
    /// It is all of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub all_of: Vec<ValueSchema>,
}

/// The types of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "RFC 8259; an integer is a number without a fraction")]
pub enum Kind {
    String,
    Integer,
    Number,
    Boolean,
    Array,
    Object,
    Null,
}

impl Description {
    /// The description of a component's routes; an empty one when it has none.
    ///
    /// # Errors
    /// There are two, or it is larger than 256 KiB, malformed, or of routes that the manifest does not have.
    pub fn of_component(wasm: &[u8], manifest: &Manifest) -> Result<Self, ManifestError> {
        // One that is nested is of what the component was made of, and describes nothing that is served here.
        let mut top = sections(wasm, SECTION)?.into_iter().filter(|(depth, _)| *depth == 0).map(|(_, data)| data);
        match (top.next(), top.next()) {
            (None, _) => Ok(Self::default()),
            (Some(data), None) => {
                let wrong = |why: String| ManifestError::Description(text::cut(&why, text::MAX_REASON));
                Self::parse(data, &manifest.http).map_err(wrong)
            }
            (Some(_), Some(_)) => Err(ManifestError::Description("there are two".to_owned())),
        }
    }

    /// What is said of a route.
    pub fn route(&self, method: Method, path: &str) -> Option<&DescribedRoute> {
        self.routes.iter().find(|route| route.method == method && route.path == path)
    }

    /// Parses the lines of a description of routes of a manifest.
    ///
    /// # Errors
    /// They are more than 256 KiB, malformed, or of routes that are not there.
    pub fn parse(data: &[u8], manifest: &[HttpTrigger]) -> Result<Self, String> {
        if data.len() > MAX_BYTES {
            return Err(format!("{} bytes, at most {MAX_BYTES} are allowed", data.len()));
        }
        let lines =
            std::str::from_utf8(data).map_err(|error| format!("not UTF-8 from byte {}", error.valid_up_to()))?;
        let mut routes: Vec<DescribedRoute> = Vec::new();
        for (number, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let in_line = |why: String| format!("line {}: {why}", number + 1);
            let route: DescribedRoute = serde_json::from_str(line).map_err(|error| in_line(error.to_string()))?;
            route.check(manifest).map_err(in_line)?;
            if routes.iter().any(|other| (other.method, &other.path) == (route.method, &route.path)) {
                return Err(in_line(format!("{} {} is there twice", route.method.as_str(), route.path)));
            }
            routes.push(route);
        }
        check_names(&routes)?;
        Ok(Self { routes })
    }
}

/// In a component a name is the name of one value.
fn check_names(routes: &[DescribedRoute]) -> Result<(), String> {
    let mut known = BTreeMap::new();
    routes.iter().flat_map(DescribedRoute::schemas).try_for_each(|schema| schema.check_names(&mut known))
}

impl DescribedRoute {
    /// All values that it takes and answers.
    fn schemas(&self) -> impl Iterator<Item = &ValueSchema> {
        let parameters = self.parameters.iter().map(|parameter| &parameter.schema);
        let answers = self.answers.iter().filter_map(|answer| answer.schema.as_ref());
        self.body.iter().chain(parameters).chain(answers)
    }

    fn check(&self, manifest: &[HttpTrigger]) -> Result<(), String> {
        let Self { method, path, .. } = self;
        if !manifest.iter().any(|trigger| trigger.method == *method && trigger.path == *path) {
            return Err(format!("the manifest has no route {} {path:?}", method.as_str()));
        }
        let mut names = BTreeSet::new();
        for DescribedParameter { name, place, .. } in &self.parameters {
            if name.is_empty() || !names.insert((*place, name)) {
                return Err(format!("{path} has the parameter {name:?} twice, or it has no name"));
            }
            if *place == Place::Path && !parameters(path).any(|there| there == name) {
                return Err(format!("{path} has no parameter {name:?}"));
            }
        }
        for DescribedAnswer { status, kind, .. } in &self.answers {
            if !(200..600).contains(status) {
                return Err(format!("{path} answers the status {status}; it is 200 to 599"));
            }
            if kind.as_deref().is_some_and(|kind| !is_media_type(kind)) {
                return Err(format!("{path} answers the type {kind:?}, which is no media type without parameters"));
            }
        }
        Ok(())
    }
}

impl ValueSchema {
    /// Whether `{}` is such a value.
    pub fn takes_an_empty_object(&self) -> bool {
        self.required.is_empty()
            && self.kind.is_none_or(|kind| kind == Kind::Object)
            && (self.any_of.is_empty() || self.any_of.iter().any(Self::takes_an_empty_object))
            && self.all_of.iter().all(Self::takes_an_empty_object)
    }

    /// A name is a name of one value, and can be that of a type. `known` has those before.
    fn check_names<'a>(&'a self, known: &mut BTreeMap<&'a str, &'a ValueSchema>) -> Result<(), String> {
        if let Some(name) = &self.title {
            let is_name = (1..=MAX_NAME).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !is_name {
                return Err(format!("{name:?} is no name of a value: it takes 1 to {MAX_NAME} of a-z, A-Z, 0-9 and _"));
            }
            match known.insert(name.as_str(), self) {
                Some(other) if other != self => return Err(format!("{name:?} is two different values")),
                // What is inside was looked at.
                Some(_) => return Ok(()),
                None => {}
            }
        }
        let inside = self.items.as_deref().into_iter().chain(self.properties.values());
        inside.chain(&self.any_of).chain(&self.all_of).try_for_each(|schema| schema.check_names(known))
    }
}

/// The names of a path's parameters, in order.
pub fn parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        Some(name.strip_prefix('*').unwrap_or(name))
    })
}

fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
    };
    text.len() <= 127 && text.split_once('/').is_some_and(|(kind, of)| is_token(kind) && is_token(of))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wasm_encoder::{ComponentSection as _, CustomSection};

    use super::*;
    use crate::{Bundle, BundleError};

    const MANIFEST: &str = "[component]\nname = \"a\"\nversion = \"1\"\n\
        [[http]]\nmethod = \"GET\"\npath = \"/a/{id}\"\n[[http]]\nmethod = \"POST\"\npath = \"/a\"\n";
    const GET: &str = r#"{"method":"GET","path":"/a/{id}","parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}}],"answers":[{"status":200,"type":"application/json","schema":{"title":"A","type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}},{"status":404}]}"#;

    /// A component with these sections, and its manifest behind them.
    fn component(sections: &[&[u8]]) -> Vec<u8> {
        let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
        for data in sections {
            CustomSection { name: SECTION.into(), data: (*data).into() }.append_to_component(&mut wasm);
        }
        Manifest::bundle(wasm, MANIFEST).unwrap()
    }

    fn read(sections: &[&[u8]]) -> Result<Description, String> {
        match Bundle::read("file", component(sections)) {
            Ok(bundle) => Ok(bundle.description.as_ref().clone()),
            Err(BundleError::Manifest { why, .. }) => Err(why.to_string()),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_description_is_read_line_by_line() {
        let post = r#"{"method":"POST","path":"/a","body":{"anyOf":[{"type":"null"},{"title":"A","type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}]}}"#;
        let description = read(&[format!("{GET}\n\n{post}\n").as_bytes()]).unwrap();
        let route = description.route(Method::Get, "/a/{id}").unwrap();
        assert_eq!((route.parameters[0].place, route.answers.len()), (Place::Path, 2));
        assert_eq!(description.route(Method::Post, "/a").unwrap().body.as_ref().unwrap().any_of.len(), 2);
        assert_eq!(description.route(Method::Get, "/a"), None);
    }

    #[test]
    fn one_without_is_as_good() {
        assert_eq!(read(&[]), Ok(Description::default()));
        assert_eq!(read(&[b""]), Ok(Description::default()));
        assert_eq!(read(&[b"\n \n"]), Ok(Description::default()));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let answer = |answer: &str| format!(r#"{{"method":"POST","path":"/a","answers":[{answer}]}}"#);
        let parameter =
            |parameters: &str| format!(r#"{{"method":"GET","path":"/a/{{id}}","parameters":[{parameters}]}}"#);
        let deep =
            format!(r#"{{"method":"POST","path":"/a","body":{}{}}}"#, r#"{"items":"#.repeat(500), "}".repeat(500));
        let body = |body: &str| format!(r#"{{"method":"POST","path":"/a","body":{body}}}"#);
        for (text, why) in [
            ("{".to_owned(), "line 1: EOF"),
            (format!("{GET}\n[]"), "line 2: "),
            (r#"{"method":"GET","path":"/b"}"#.to_owned(), "the manifest has no route GET \"/b\""),
            (r#"{"method":"PATCH","path":"/a"}"#.to_owned(), "the manifest has no route PATCH"),
            (r#"{"method":"HEAD","path":"/a"}"#.to_owned(), "unknown variant `HEAD`"),
            (format!("{GET}\n{GET}"), "line 2: GET /a/{id} is there twice"),
            (r#"{"method":"POST","path":"/a","server":"evil"}"#.to_owned(), "unknown field `server`"),
            (body(r#"{"$ref":"http://elsewhere"}"#), "unknown field `$ref`"),
            (body(r#"{"title":"a b"}"#), "is no name of a value"),
            (body(r#"{"anyOf":[{"title":"A"},{"title":"A","type":"null"}]}"#), "\"A\" is two different values"),
            (deep, "recursion limit"),
            (answer(r#"{"status":99}"#), "the status 99"),
            (answer(r#"{"status":70000}"#), "invalid value"),
            (answer(r#"{"status":200,"type":"text/html; charset=utf-8"}"#), "no media type"),
            (answer(r#"{"status":200,"type":"a/b\n/c"}"#), "no media type"),
            (parameter(r#"{"name":"other","in":"path"}"#), "/a/{id} has no parameter \"other\""),
            (parameter(r#"{"name":"q","in":"query"},{"name":"q","in":"query"}"#), "twice"),
            (parameter(r#"{"name":"q","in":"cookie"}"#), "unknown variant `cookie`"),
        ] {
            let error = read(&[text.as_bytes()]).unwrap_err();
            assert!(error.contains("devconnect:openapi") && error.contains(why), "{text}: {error}");
        }
        assert!(read(&[GET.as_bytes(), b""]).unwrap_err().contains("there are two"));
        assert!(read(&[b"\xff"]).unwrap_err().contains("not UTF-8 from byte 0"));
        assert!(read(&[&vec![b'\n'; MAX_BYTES + 1]]).unwrap_err().contains("at most 262144 are allowed"));
        assert!(read(&[&vec![b'\n'; MAX_BYTES]]).is_ok());
    }

    #[test]
    fn the_parameters_of_a_path_are_its_own() {
        let of = |path| parameters(path).collect::<Vec<_>>();
        assert_eq!(of("/a/{b}/c/{d}/{*rest}"), ["b", "d", "rest"]);
        assert!(of("/a/x{b}").is_empty());
    }

    proptest! {
        /// Any bytes, and a good description with some of its bytes changed: no panic, and no reason that fills a log.
        #[test]
        fn whatever_a_section_has_it_is_read_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            changes in proptest::collection::vec((0..GET.len(), any::<u8>()), 0..4),
        ) {
            let mut changed = GET.as_bytes().to_vec();
            for (at, byte) in changes {
                changed[at] = byte;
            }
            for data in [bytes, changed] {
                match read(&[&data]) {
                    Ok(description) => prop_assert!(description.routes.len() <= 2),
                    Err(why) => prop_assert!(why.contains("devconnect:openapi") && why.len() < 2_000, "{why}"),
                }
            }
        }
    }
}
