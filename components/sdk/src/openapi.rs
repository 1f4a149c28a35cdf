//! What a component says of its routes: the custom section `devconnect:openapi` of the built file, a line of JSON a route.
//! The host puts the lines of all components together and answers them at `GET /openapi.json`.
//!
//! The lines are made while the component is compiled. A custom section is no part of an instance's memory: a description
//! costs bytes of the file, and nothing of a call.
//!
//! ```
//! use devconnect_sdk::openapi::{Answer, Description, Field, Named, Parameter, Schema};
//! use devconnect_sdk::prelude::*;
//!
//! devconnect_sdk::http_component! {
//!     GET "/greeting/{id}" as SHOW => show,
//! }
//!
//! const GREETING: Named = Named {
//!     name: "Greeting",
//!     about: "What somebody says",
//!     schema: Schema::Object(&[
//!         Field::Required("text", Schema::TextOf(1, 100)),
//!         Field::Optional("seenAt", Schema::Date),
//!     ]),
//! };
//! const SHOW: Description = Description {
//!     summary: "Show a greeting",
//!     parameters: &[Parameter::Path("id", Schema::Id, "Of the greeting")],
//!     answers: &[
//!         Answer::Json(200, Schema::Named(&GREETING), "The greeting"),
//!         Answer::Error(404, "There is no such greeting"),
//!     ],
//!     ..Description::NONE
//! };
//!
//! fn show(request: &Request) -> Result<Response, Error> {
//!     let found: Option<Document> = collection("greetings").by_id(request.id_param("id")?)?;
//!     Ok(Response::json(&found.ok_or_else(|| Error::not_found("There is no such greeting"))?))
//! }
//! ```

/// What one route takes and answers. The host adds what it answers itself before a component is called (401, 413, 415 and
/// the like), and whether a session is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// One line.
    pub summary: &'static str,
    /// More, where one line is not enough.
    pub about: &'static str,
    /// The JSON that it takes.
    pub body: Option<Schema>,
    /// The parameters of its path and its query. Those of the path that are not here are texts.
    pub parameters: &'static [Parameter],
    /// All that it answers itself.
    pub answers: &'static [Answer],
}

impl Description {
    /// Of a route that takes and answers nothing, for `..Description::NONE`.
    pub const NONE: Self = Self { summary: "", about: "", body: None, parameters: &[], answers: &[] };
}

/// A parameter: its name, what it takes, and what for.
#[derive(Debug, Clone, Copy)]
pub enum Parameter {
    /// Of the path.
    Path(&'static str, Schema, &'static str),
    /// Of the query, where it may be left out, or be empty, which is the same.
    Query(&'static str, Schema, &'static str),
    /// Of the query, where it has to be.
    RequiredQuery(&'static str, Schema, &'static str),
}

/// An answer: its status, what is in it, and when it is given.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// JSON.
    Json(u16, Schema, &'static str),
    /// Plain text.
    Text(u16, &'static str),
    /// A page.
    Html(u16, &'static str),
    /// What a handler's [`Error`](crate::http::Error) becomes: JSON with a `message`.
    Error(u16, &'static str),
}

/// A value as it is on the wire.
#[derive(Debug, Clone, Copy)]
pub enum Schema {
    /// Anything.
    Any,
    /// A text.
    Text,
    /// A text with so many characters, at least and at most.
    TextOf(u32, u32),
    /// A text that matches a regular expression (ECMA 262).
    Pattern(&'static str),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// An e-mail address.
    Email,
    /// The 24 hex digits of an ObjectId.
    Id,
    /// A moment: ISO 8601 with milliseconds and `Z`.
    Date,
    /// A day: `2026-01-31`.
    Day,
    /// `true` or `false`.
    Boolean,
    /// `null`.
    Null,
    /// A whole number.
    Integer,
    /// A whole number from this one on.
    IntegerFrom(i64),
    /// A whole number from the one to the other.
    IntegerOf(i64, i64),
    /// A number.
    Number,
    /// A number from the one to the other.
    NumberOf(i64, i64),
    /// A list.
    List(&'static Schema),
    /// A list with so many values at most.
    ListOf(&'static Schema, u32),
    /// An object with these fields; it may have others.
    Object(&'static [Field]),
    /// An object with these fields and no others.
    Closed(&'static [Field]),
    /// A value that is described once, under a name.
    Named(&'static Named),
    /// A value that is at least one of these.
    AnyOf(&'static [Schema]),
    /// A value that is all of these.
    AllOf(&'static [Schema]),
    /// A value, and what is to be said of it.
    About(&'static str, &'static Schema),
}

/// A value with a name, which the type in a generated client has. A name has one meaning in a component.
#[derive(Debug, Clone, Copy)]
pub struct Named {
    /// Letters, digits and `_`.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// How it looks.
    pub schema: Schema,
}

/// A field of an object.
#[derive(Debug, Clone, Copy)]
pub enum Field {
    /// It is always there.
    Required(&'static str, Schema),
    /// It may be missing.
    Optional(&'static str, Schema),
}

/// A route with its description, as `http_component!` lists them: method, path, description.
#[doc(hidden)]
pub type Listed = (&'static str, &'static str, &'static Description);

/// How many bytes the lines of these routes have.
#[doc(hidden)]
pub const fn length(routes: &[Listed]) -> usize {
    let mut sink = Sink::<0>::new();
    sink.routes(routes);
    sink.length
}

/// The lines of these routes; `N` is their [`length`].
#[doc(hidden)]
pub const fn lines<const N: usize>(routes: &[Listed]) -> [u8; N] {
    let mut sink = Sink::<N>::new();
    sink.routes(routes);
    sink.bytes
}

/// Takes JSON byte by byte. What does not fit is only counted, so that one without room measures.
struct Sink<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

// It runs in the compiler: an index out of bounds is an error of compilation, and `for` is not there yet.
#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler only")]
impl<const N: usize> Sink<N> {
    const fn new() -> Self {
        Self { bytes: [0; N], length: 0 }
    }

    const fn byte(&mut self, byte: u8) {
        if self.length < N {
            self.bytes[self.length] = byte;
        }
        self.length += 1;
    }

    const fn raw(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            self.byte(bytes[at]);
            at += 1;
        }
    }

    /// A text in quotes.
    const fn text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        self.byte(b'"');
        let mut at = 0;
        while at < bytes.len() {
            match bytes[at] {
                byte @ (b'"' | b'\\') => {
                    self.byte(b'\\');
                    self.byte(byte);
                }
                byte @ 0..=31 => {
                    self.raw("\\u00");
                    self.byte(b"0123456789abcdef"[(byte >> 4) as usize]);
                    self.byte(b"0123456789abcdef"[(byte & 15) as usize]);
                }
                byte => self.byte(byte),
            }
            at += 1;
        }
        self.byte(b'"');
    }

    const fn number(&mut self, number: i64) {
        if number < 0 {
            self.byte(b'-');
        }
        let (mut digits, mut count, mut left) = ([0_u8; 20], 0, number.unsigned_abs());
        loop {
            digits[count] = b'0' + (left % 10) as u8;
            count += 1;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        while count > 0 {
            count -= 1;
            self.byte(digits[count]);
        }
    }

    /// `,"NAME":`, and without the comma after an opening bracket.
    const fn name(&mut self, is_first: bool, name: &str) {
        if !is_first {
            self.byte(b',');
        }
        self.text(name);
        self.byte(b':');
    }

    const fn routes(&mut self, routes: &[Listed]) {
        let mut at = 0;
        while at < routes.len() {
            let (method, path, description) = routes[at];
            self.route(method, path, description);
            self.byte(b'\n');
            at += 1;
        }
    }

    const fn route(&mut self, method: &str, path: &str, description: &Description) {
        self.raw("{\"method\":");
        self.text(method);
        self.name(false, "path");
        self.text(path);
        self.name(false, "summary");
        self.text(description.summary);
        self.name(false, "description");
        self.text(description.about);
        if let Some(body) = &description.body {
            self.name(false, "body");
            self.object(body);
        }
        self.name(false, "parameters");
        self.byte(b'[');
        let mut at = 0;
        while at < description.parameters.len() {
            if at > 0 {
                self.byte(b',');
            }
            self.parameter(&description.parameters[at]);
            at += 1;
        }
        self.byte(b']');
        self.name(false, "answers");
        self.byte(b'[');
        at = 0;
        while at < description.answers.len() {
            if at > 0 {
                self.byte(b',');
            }
            self.answer(&description.answers[at]);
            at += 1;
        }
        self.raw("]}");
    }

    const fn parameter(&mut self, parameter: &Parameter) {
        let (place, is_required, name, schema, about) = match parameter {
            Parameter::Path(name, schema, about) => ("path", true, *name, schema, *about),
            Parameter::Query(name, schema, about) => ("query", false, *name, schema, *about),
            Parameter::RequiredQuery(name, schema, about) => ("query", true, *name, schema, *about),
        };
        self.raw("{\"name\":");
        self.text(name);
        self.name(false, "in");
        self.text(place);
        self.name(false, if is_required { "required" } else { "empty" });
        self.raw("true");
        self.name(false, "description");
        self.text(about);
        self.name(false, "schema");
        self.object(schema);
        self.byte(b'}');
    }

    const fn answer(&mut self, answer: &Answer) {
        let (status, kind, schema, about) = match answer {
            Answer::Json(status, schema, about) => (*status, "application/json", Some(schema), *about),
            Answer::Text(status, about) => (*status, "text/plain", None, *about),
            Answer::Html(status, about) => (*status, "text/html", None, *about),
            Answer::Error(status, about) => (*status, "", None, *about),
        };
        self.raw("{\"status\":");
        self.number(status as i64);
        self.name(false, "description");
        self.text(about);
        if !kind.is_empty() {
            self.name(false, "type");
            self.text(kind);
        }
        if let Some(schema) = schema {
            self.name(false, "schema");
            self.object(schema);
        }
        self.byte(b'}');
    }

    /// A schema as an object of its own.
    const fn object(&mut self, schema: &Schema) {
        self.byte(b'{');
        self.keywords(true, schema);
        self.byte(b'}');
    }

    /// The keywords of a schema; `is_first` when there is none before them in their object.
    const fn keywords(&mut self, is_first: bool, schema: &Schema) {
        match schema {
            Schema::Any => {}
            Schema::Text => self.kind(is_first, "string"),
            Schema::TextOf(least, most) => {
                self.kind(is_first, "string");
                self.name(false, "minLength");
                self.number(*least as i64);
                self.name(false, "maxLength");
                self.number(*most as i64);
            }
            Schema::Pattern(pattern) => {
                self.kind(is_first, "string");
                self.name(false, "pattern");
                self.text(pattern);
            }
            Schema::OneOf(texts) => {
                self.kind(is_first, "string");
                self.name(false, "enum");
                self.texts(texts);
            }
            Schema::Email => self.format(is_first, "email"),
            Schema::Id => {
                self.kind(is_first, "string");
                self.name(false, "pattern");
                self.text("^[0-9a-fA-F]{24}$");
            }
            Schema::Date => self.format(is_first, "date-time"),
            Schema::Day => self.format(is_first, "date"),
            Schema::Boolean => self.kind(is_first, "boolean"),
            Schema::Null => self.kind(is_first, "null"),
            Schema::Integer => self.kind(is_first, "integer"),
            Schema::IntegerFrom(least) => {
                self.kind(is_first, "integer");
                self.name(false, "minimum");
                self.number(*least);
            }
            Schema::IntegerOf(least, most) => {
                self.kind(is_first, "integer");
                self.name(false, "minimum");
                self.number(*least);
                self.name(false, "maximum");
                self.number(*most);
            }
            Schema::Number => self.kind(is_first, "number"),
            Schema::NumberOf(least, most) => {
                self.kind(is_first, "number");
                self.name(false, "minimum");
                self.number(*least);
                self.name(false, "maximum");
                self.number(*most);
            }
            Schema::List(items) => {
                self.kind(is_first, "array");
                self.name(false, "items");
                self.object(items);
            }
            Schema::ListOf(items, most) => {
                self.kind(is_first, "array");
                self.name(false, "items");
                self.object(items);
                self.name(false, "maxItems");
                self.number(*most as i64);
            }
            Schema::Object(fields) => self.fields(is_first, fields),
            Schema::Closed(fields) => {
                self.fields(is_first, fields);
                self.name(false, "additionalProperties");
                self.raw("false");
            }
            Schema::Named(Named { name, about, schema }) => {
                self.name(is_first, "title");
                self.text(name);
                self.name(false, "description");
                self.text(about);
                self.keywords(false, schema);
            }
            Schema::AnyOf(schemas) => self.schemas(is_first, "anyOf", schemas),
            Schema::AllOf(schemas) => self.schemas(is_first, "allOf", schemas),
            Schema::About(about, inner) => {
                self.name(is_first, "description");
                self.text(about);
                match inner {
                    // It has words of its own.
                    Schema::Named(_) => self.schemas(false, "allOf", std::slice::from_ref(*inner)),
                    _ => self.keywords(false, inner),
                }
            }
        }
    }

    const fn kind(&mut self, is_first: bool, kind: &str) {
        self.name(is_first, "type");
        self.text(kind);
    }

    const fn format(&mut self, is_first: bool, format: &str) {
        self.kind(is_first, "string");
        self.name(false, "format");
        self.text(format);
    }

    const fn texts(&mut self, texts: &[&str]) {
        self.byte(b'[');
        let mut at = 0;
        while at < texts.len() {
            if at > 0 {
                self.byte(b',');
            }
            self.text(texts[at]);
            at += 1;
        }
        self.byte(b']');
    }

    const fn schemas(&mut self, is_first: bool, name: &str, schemas: &[Schema]) {
        self.name(is_first, name);
        self.byte(b'[');
        let mut at = 0;
        while at < schemas.len() {
            if at > 0 {
                self.byte(b',');
            }
            self.object(&schemas[at]);
            at += 1;
        }
        self.byte(b']');
    }

    const fn fields(&mut self, is_first: bool, fields: &[Field]) {
        self.kind(is_first, "object");
        self.name(false, "properties");
        self.byte(b'{');
        let (mut at, mut required) = (0, 0);
        while at < fields.len() {
            let (name, schema) = match &fields[at] {
                Field::Required(name, schema) => {
                    required += 1;
                    (*name, schema)
                }
                Field::Optional(name, schema) => (*name, schema),
            };
            self.name(at == 0, name);
            self.object(schema);
            at += 1;
        }
        self.byte(b'}');
        if required == 0 {
            return;
        }
        self.name(false, "required");
        self.byte(b'[');
        (at, required) = (0, 0);
        while at < fields.len() {
            if let Field::Required(name, _) = &fields[at] {
                if required > 0 {
                    self.byte(b',');
                }
                self.text(name);
                required += 1;
            }
            at += 1;
        }
        self.byte(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const INNER: Named = Named {
        name: "Inner",
        about: "Says \"hi\"\n",
        schema: Schema::Object(&[Field::Optional("n", Schema::Number)]),
    };
    const ALL: &[Listed] = &[
        (
            "POST",
            "/things/{id}",
            &Description {
                summary: "Change a thing",
                about: "With a \\ in it",
                body: Some(Schema::Closed(&[
                    Field::Required("name", Schema::TextOf(1, 50)),
                    Field::Required("kind", Schema::OneOf(&["a", "b"])),
                    Field::Optional("age", Schema::AnyOf(&[Schema::IntegerOf(-18, 120), Schema::Text])),
                    Field::Optional("mail", Schema::Email),
                    Field::Optional("tags", Schema::ListOf(&Schema::Pattern("^[a-z]\\d$"), 5)),
                ])),
                parameters: &[
                    Parameter::Path("id", Schema::Id, "Which"),
                    Parameter::Query("page", Schema::IntegerFrom(1), "From 1"),
                    Parameter::RequiredQuery("token", Schema::Any, ""),
                ],
                answers: &[
                    Answer::Json(200, Schema::List(&Schema::Named(&INNER)), "Done"),
                    Answer::Json(
                        201,
                        Schema::Object(&[
                            Field::Required("at", Schema::Date),
                            Field::Required("on", Schema::About("The day", &Schema::Day)),
                            Field::Required("is", Schema::Boolean),
                            Field::Required("in", Schema::About("It", &Schema::Named(&INNER))),
                            Field::Required("of", Schema::NumberOf(0, 1)),
                            Field::Required("no", Schema::Integer),
                            Field::Required("all", Schema::AllOf(&[Schema::Any, Schema::Text])),
                        ]),
                        "More",
                    ),
                    Answer::Text(202, "Text"),
                    Answer::Html(403, "Page"),
                    Answer::Error(404, "None"),
                ],
            },
        ),
        ("GET", "/nothing", &Description::NONE),
    ];
    const LENGTH: usize = length(ALL);
    const LINES: [u8; LENGTH] = lines(ALL);

    #[test]
    fn each_route_is_a_line_of_json() {
        let text = std::str::from_utf8(&LINES).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let inner = json!({ "title": "Inner", "description": "Says \"hi\"\n", "type": "object", "properties": { "n": { "type": "number" } } });
        let first = json!({
            "method": "POST", "path": "/things/{id}", "summary": "Change a thing", "description": "With a \\ in it",
            "body": {
                "type": "object",
                "properties": {
                    "name": { "type": "string", "minLength": 1, "maxLength": 50 },
                    "kind": { "type": "string", "enum": ["a", "b"] },
                    "age": { "anyOf": [{ "type": "integer", "minimum": -18, "maximum": 120 }, { "type": "string" }] },
                    "mail": { "type": "string", "format": "email" },
                    "tags": { "type": "array", "items": { "type": "string", "pattern": "^[a-z]\\d$" }, "maxItems": 5 },
                },
                "required": ["name", "kind"],
                "additionalProperties": false,
            },
            "parameters": [
                { "name": "id", "in": "path", "required": true, "description": "Which", "schema": { "type": "string", "pattern": "^[0-9a-fA-F]{24}$" } },
                { "name": "page", "in": "query", "empty": true, "description": "From 1", "schema": { "type": "integer", "minimum": 1 } },
                { "name": "token", "in": "query", "required": true, "description": "", "schema": {} },
            ],
            "answers": [
                { "status": 200, "description": "Done", "type": "application/json", "schema": { "type": "array", "items": inner } },
                { "status": 201, "description": "More", "type": "application/json", "schema": {
                    "type": "object",
                    "properties": {
                        "at": { "type": "string", "format": "date-time" },
                        "on": { "description": "The day", "type": "string", "format": "date" },
                        "is": { "type": "boolean" },
                        "in": { "description": "It", "allOf": [inner] },
                        "of": { "type": "number", "minimum": 0, "maximum": 1 },
                        "no": { "type": "integer" },
                        "all": { "allOf": [{}, { "type": "string" }] },
                    },
                    "required": ["at", "on", "is", "in", "of", "no", "all"],
                } },
                { "status": 202, "description": "Text", "type": "text/plain" },
                { "status": 403, "description": "Page", "type": "text/html" },
                { "status": 404, "description": "None" },
            ],
        });
        let second = json!({ "method": "GET", "path": "/nothing", "summary": "", "description": "", "parameters": [], "answers": [] });
        assert_eq!(lines, [first, second]);
    }

    #[test]
    fn numbers_are_written_as_they_are() {
        let written = |number: i64| {
            let mut sink = Sink::<24>::new();
            sink.number(number);
            String::from_utf8_lossy(&sink.bytes[..sink.length]).into_owned()
        };
        for number in [0, 7, 10, 429, -1, i64::MAX, i64::MIN] {
            assert_eq!(written(number), number.to_string());
        }
    }
}
