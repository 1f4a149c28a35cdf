//! A request as the host hands it over, with the accessors a handler wants.
//! What a caller could have got wrong answers with an [`Error`] that says so; what the host guarantees
//! (a session on a route that requires one) answers with a 500 when the manifest forgot to ask for it.

use serde::de::DeserializeOwned;

use super::Error;
use crate::bindings::http as wit;
use crate::bson::ObjectId;
use crate::json;

/// Who calls, from a session that the host has checked.
pub use crate::bindings::imports::types::Identity;

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    inner: wit::Request,
}

impl Request {
    /// Wraps what the host sent. For tests of a handler by itself; the macro does it for a component.
    pub fn new(inner: wit::Request) -> Self {
        Self { inner }
    }

    /// This request's id: also in the log and in the answer's headers.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// Upper case.
    pub fn method(&self) -> &str {
        &self.inner.method
    }

    /// The pattern that matched, as the manifest writes it.
    pub fn route(&self) -> &str {
        &self.inner.route
    }

    /// The path as it came.
    pub fn path(&self) -> &str {
        &self.inner.path
    }

    /// The body as it came.
    pub fn body(&self) -> &[u8] {
        &self.inner.body
    }

    /// The client's address as the host believes it.
    pub fn client(&self) -> &str {
        &self.inner.client
    }

    /// The route's parameter `name`, percent-decoded; `""` when the pattern has no such parameter.
    pub fn param(&self, name: &str) -> &str {
        find(&self.inner.params, name).unwrap_or_default()
    }

    /// The route's parameter `name` as an id; 404 when it is none, since nothing can be found under it.
    pub fn id_param(&self, name: &str) -> Result<ObjectId, Error> {
        self.param(name).parse().map_err(|_| Error::not_found("Not found"))
    }

    /// The header `name` (lower case), when it was sent and the manifest's route asks for it under `headers`.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.inner.headers, name)
    }

    /// The first query value under `name`, percent-decoded, `+` as a space.
    pub fn query(&self, name: &str) -> Option<String> {
        self.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// All query pairs in order, percent-decoded. What is not UTF-8 then is replaced by `U+FFFD`.
    pub fn query_pairs(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.inner.query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decoded(name), percent_decoded(value))
        })
    }

    /// The query value under `name` as a number, a bool or another type that parses from text; none when it is not
    /// there or empty, 400 when it does not parse.
    pub fn query_as<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Error> {
        match self.query(name) {
            Some(text) if !text.is_empty() => text
                .parse()
                .map(Some)
                .map_err(|_| Error::bad_request(format!("{name}: \"{text}\" is not a valid value"))),
            _ => Ok(None),
        }
    }

    /// The body as a JSON object of type `T`; see [`json::parse`] for the 400s.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        json::parse(&self.inner.body)
    }

    /// Who calls. 500 when nobody is signed in: then the route's `session` in `component.toml` is not `required`,
    /// and [`Request::caller`] is the one to ask.
    pub fn identity(&self) -> Result<&Identity, Error> {
        self.caller().ok_or_else(|| {
            Error::internal(format!(
                "{} {} reads the identity: it needs session = \"required\" in component.toml",
                self.method(),
                self.route()
            ))
        })
    }

    /// Who calls, if anybody is signed in.
    pub fn caller(&self) -> Option<&Identity> {
        self.inner.identity.as_ref()
    }

    /// The caller's user id; as [`Request::identity`], and 500 when the subject is no ObjectId.
    pub fn user_id(&self) -> Result<ObjectId, Error> {
        let subject = &self.identity()?.subject;
        subject.parse().map_err(|_| Error::internal(format!("the session's subject `{subject}` is not an ObjectId")))
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// `application/x-www-form-urlencoded`: `%XX` is a byte, `+` a space, anything else itself.
fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (*first, tail) {
            (b'+', _) => decoded.push(b' '),
            (b'%', [high, low, after @ ..]) => match (nibble(*high), nibble(*low)) {
                (Some(high), Some(low)) => {
                    decoded.push(high << 4 | low);
                    rest = after;
                }
                _ => decoded.push(b'%'),
            },
            (byte, _) => decoded.push(byte),
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(query: &str) -> Request {
        Request::new(wit::Request {
            id: "r1".into(),
            method: "GET".into(),
            route: "/feed/{id}".into(),
            path: "/feed/64f000000000000000000001".into(),
            params: vec![("id".into(), "64f000000000000000000001".into())],
            query: query.into(),
            headers: vec![("user-agent".into(), "test".into())],
            body: Vec::new(),
            identity: None,
            client: "127.0.0.1".into(),
        })
    }

    #[test]
    fn query_values_are_decoded() {
        let request = request("q=a+b%20c%C3%A9&bad=%zz%4&&flag&page=2&page=3&limit=x");
        assert_eq!(request.query("q").as_deref(), Some("a b cé"));
        assert_eq!(request.query("bad").as_deref(), Some("%zz%4"));
        assert_eq!(request.query("flag").as_deref(), Some(""));
        assert_eq!(request.query("absent"), None);
        assert_eq!(request.query_as::<u32>("page").unwrap(), Some(2));
        assert_eq!(request.query_as::<u32>("flag").unwrap(), None);
        assert_eq!(request.query_as::<u32>("limit").unwrap_err().status(), 400);
    }

    #[test]
    fn parameters_and_headers_by_name() {
        let request = request("");
        assert_eq!(request.id_param("id").unwrap().to_hex(), "64f000000000000000000001");
        assert_eq!(request.id_param("other").unwrap_err().status(), 404);
        assert_eq!(request.header("user-agent"), Some("test"));
        assert_eq!(request.identity().unwrap_err().status(), 500);
    }

    mod fuzz {
        use super::*;

        proptest::proptest! {
            #![proptest_config(fuzzing::config())]

            #[test]
            fn a_value_comes_back_from_its_query(name in "[a-z]{1,8}", value in "\\PC{0,20}") {
                let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
                let request = request(&format!("x&{name}={encoded}&{name}=second"));
                proptest::prop_assert_eq!(request.query(&name).unwrap_or_default(), if name == "x" { String::new() } else { value });
            }

            #[test]
            fn any_query_is_read(query in "[a-c%&=+0-9]{0,30}|\\PC{0,20}") {
                let request = request(&query);
                let pairs: Vec<(String, String)> = request.query_pairs().collect();
                proptest::prop_assert_eq!(pairs.len(), query.split('&').filter(|pair| !pair.is_empty()).count());
                for (name, _) in &pairs {
                    let first = pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
                    proptest::prop_assert_eq!(request.query(name), first);
                }
                // A number, or an answer that says what is none.
                let number = request.query_as::<u32>("a").map_err(|error| error.status());
                proptest::prop_assert!(matches!(number, Ok(_) | Err(400)));
            }
        }
    }
}
