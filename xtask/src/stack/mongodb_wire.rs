//! As much of MongoDB's protocol as two commands need. A driver would be a hundred crates more for the first build of
//! `cargo xtask`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};

use super::native;

/// The kind of message that commands and answers are.
const MESSAGE: i32 = 2013;
/// No answer to our commands is near this long.
const LONGEST: usize = 1 << 20;

/// A value in a command.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Int(i32),
    Text(&'a str),
    Document(Vec<(&'a str, Value<'a>)>),
    List(Vec<Value<'a>>),
}

/// A connection to a server.
pub(super) struct Connection {
    stream: TcpStream,
}

/// A document that came back.
#[derive(Debug)]
pub(super) struct Answer {
    bytes: Vec<u8>,
}

impl Connection {
    /// To a server of this machine.
    pub(super) fn open(port: u16) -> Result<Self> {
        Ok(Self { stream: native::connect(port)? })
    }

    /// Sends a command to the database `admin`. An error is one of the connection; a refusal is in the answer.
    pub(super) fn command(&mut self, command: (&str, Value<'_>)) -> Result<Answer> {
        // No flags, then one section: the document.
        let mut body = vec![0; 5];
        body.extend(document(&[command, ("$db", Value::Text("admin"))])?);
        let mut message = Vec::new();
        for field in [length(body.len() + 16)?, 1, 0, MESSAGE] {
            message.extend(field.to_le_bytes());
        }
        message.extend(body);
        self.stream.write_all(&message)?;
        let mut header = [0; 4];
        self.stream.read_exact(&mut header).context("it listens and does not answer")?;
        let rest = usize::try_from(i32::from_le_bytes(header)).unwrap_or_default().saturating_sub(header.len());
        ensure!(rest <= LONGEST, "an answer of {rest} bytes is not MongoDB's");
        let mut bytes = vec![0; rest];
        self.stream.read_exact(&mut bytes)?;
        Ok(Answer { bytes })
    }
}

impl Answer {
    /// Has it a field of this name that is true?
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.after(0x08, name).is_some_and(|value| value.first() == Some(&1))
    }

    /// The text in the field of this name.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let (length, rest) = self.after(0x02, name)?.split_first_chunk()?;
        let text = rest.get(..usize::try_from(i32::from_le_bytes(*length)).ok()?)?;
        Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned())
    }

    /// What follows the kind and the name of a field. Found anywhere in the bytes: our answers repeat no names.
    fn after(&self, kind: u8, name: &str) -> Option<&[u8]> {
        let field = [&[kind], name.as_bytes(), &[0]].concat();
        let at = self.bytes.windows(field.len()).position(|window| window == field)?;
        self.bytes.get(at + field.len()..)
    }
}

fn document(fields: &[(&str, Value<'_>)]) -> Result<Vec<u8>> {
    let mut inner = Vec::new();
    for (name, value) in fields {
        let (kind, bytes) = encode(value)?;
        inner.push(kind);
        inner.extend(name.as_bytes());
        inner.push(0);
        inner.extend(bytes);
    }
    let mut whole = length(inner.len() + 5)?.to_le_bytes().to_vec();
    whole.extend(inner);
    whole.push(0);
    Ok(whole)
}

/// The kind of a value, and its bytes.
fn encode(value: &Value<'_>) -> Result<(u8, Vec<u8>)> {
    Ok(match value {
        Value::Int(number) => (0x10, number.to_le_bytes().to_vec()),
        Value::Text(text) => (0x02, [&length(text.len() + 1)?.to_le_bytes(), text.as_bytes(), &[0]].concat()),
        Value::Document(fields) => (0x03, document(fields)?),
        Value::List(values) => {
            let names: Vec<String> = (0..values.len()).map(|index| index.to_string()).collect();
            let fields: Vec<_> = names.iter().map(String::as_str).zip(values.iter().cloned()).collect();
            (0x04, document(&fields)?)
        }
    })
}

fn length(bytes: usize) -> Result<i32> {
    i32::try_from(bytes).context("a message that is too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_encoded_as_the_specification_says() {
        let hello = document(&[("hello", Value::Text("world"))]).unwrap();
        assert_eq!(hello, b"\x16\0\0\0\x02hello\0\x06\0\0\0world\0\0");
        let list = document(&[("a", Value::List(vec![Value::Int(1), Value::Document(Vec::new())]))]).unwrap();
        assert_eq!(list, b"\x1c\0\0\0\x04a\0\x14\0\0\0\x100\0\x01\0\0\0\x031\0\x05\0\0\0\0\0\0");
    }

    #[test]
    fn fields_of_an_answer_are_found() {
        let answer = |bytes: &[u8]| Answer { bytes: bytes.to_vec() };
        assert!(answer(b"..\x08isreplicaset\0\x01\x08other\0\x00").is_true("isreplicaset"));
        assert!(!answer(b"..\x08isreplicaset\0\x00").is_true("isreplicaset"));
        assert!(!answer(b"..\x08isreplicaset\0").is_true("isreplicaset"));
        assert_eq!(answer(b"..\x02errmsg\0\x03\0\0\0no\0\0").text("errmsg").as_deref(), Some("no"));
        assert_eq!(answer(b"..\x02errmsg\0\x09\0\0\0no\0").text("errmsg"), None);
    }
}
