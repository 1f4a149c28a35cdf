//! The position of an error in a manifest: a path to the value, and its line and column in the text.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::ManifestError;

/// A step from a table or an array to one of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// A path: `at!["http", 2, "path"]`.
macro_rules! at {
    ($($step:expr),*) => {
        vec![$($crate::source_span::Step::from($step)),*]
    };
}
pub(super) use at;

/// An error in a manifest, with the path but without line and column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    at: Vec<Step>,
    contradiction: bool,
    why: String,
}

impl Problem {
    pub(super) fn malformed(at: Vec<Step>, why: String) -> Self {
        Self { at, contradiction: false, why }
    }

    pub(super) fn contradiction(at: Vec<Step>, why: String) -> Self {
        Self { at, contradiction: true, why }
    }

    /// The same problem with a path that starts further out.
    pub(super) fn within(mut self, mut at: Vec<Step>) -> Self {
        at.append(&mut self.at);
        Self { at, ..self }
    }

    /// The error, with line and column in this text.
    pub(super) fn in_text(self, text: &str) -> ManifestError {
        let why = match line_and_column(text, &self.at) {
            Some((line, column)) => format!("line {line}, column {column}: {}", self.why),
            None => self.why,
        };
        if self.contradiction { ManifestError::Contradiction(why) } else { ManifestError::Malformed(why) }
    }
}

/// Line and column, from 1, of the value at a path, or of the last value on the path that is in the text: a default is not.
fn line_and_column(text: &str, path: &[Step]) -> Option<(usize, usize)> {
    let table = DeTable::parse(text).ok()?;
    let mut span = None;
    let mut value: Option<&Spanned<DeValue<'_>>> = None;
    for step in path {
        let next = match (step, value) {
            (Step::Key(key), None) => table.get_ref().get(key.as_str()),
            (Step::Key(key), Some(value)) => value.get_ref().as_table().and_then(|table| table.get(key.as_str())),
            (Step::Index(index), value) => value.and_then(|value| value.get_ref().as_array()?.get(*index)),
        };
        let Some(next) = next else { break };
        (span, value) = (Some(next.span()), Some(next));
    }
    let before = text.get(..span?.start)?;
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Some((before.matches('\n').count() + 1, before.get(line_start..)?.chars().count() + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_a_line_and_a_column() {
        let text = "a = 1\n[[http]]\npath = \"/a\"\n\n[[http]]\n  path = \"/b\" # \nheaders = [\"x\",\n  \"é\", \"y\"]\n[\"é\"]\nb.c = 3\n";
        for (path, expected) in [
            (at!["a"], Some((1, 5))),
            (at!["http", 0, "path"], Some((3, 8))),
            (at!["http", 1, "path"], Some((6, 10))),
            (at!["http", 1, "headers", 2], Some((8, 8))),
            (at!["é", "b", "c"], Some((10, 7))),
            (at!["http", 1, "session"], Some((5, 1))),
            (at!["nothing"], None),
            (at!["a", "b"], Some((1, 5))),
        ] {
            assert_eq!(line_and_column(text, &path), expected, "{path:?}");
        }
    }
}
