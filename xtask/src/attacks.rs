//! `attacks`: the table of docs/attacks.md, from the doc comments of the tests that try them.
//!
//! Such a comment reads `Attack (44, API1): what is tried. Outcome: what it comes to.` The kinds group the lines: numbers of
//! faults that were found, entries of the OWASP API Security Top 10 (2023), and words.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where tests are.
const FOLDERS: [&str; 3] = ["tests", "components", "host"];
/// Where the table is.
const TABLE: &str = "docs/attacks.md";
const INTRODUCTION: &str = "# Attacks\n\nEach line is a test that CI runs. `cargo xtask attacks` writes this file from the \
tests' doc comments, and the suite `layers` fails when it is out of date. [SECURITY.md](../SECURITY.md) says who is trusted with \
what. A kind is the number of a fault that was found, an entry of the OWASP API Security Top 10 (2023), or a word.\n\n| Kind | Attack | Outcome | Test |\n|---|---|---|---|\n";

/// One line of the table.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Attack {
    kinds: Vec<Kind>,
    attack: String,
    outcome: String,
    test: String,
}

/// What an attack is of. Numbers come first, then words by the alphabet, those with a number by that: `API2` before `API10`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    /// In lower case, without the number.
    order: String,
    number: Option<u32>,
    /// As it is shown.
    name: String,
}

impl Kind {
    /// None: it is neither a number nor a word.
    fn of(name: &str) -> Option<Self> {
        let word = name.trim_end_matches(|character: char| character.is_ascii_digit());
        let is_kind = !name.is_empty() && word.chars().all(|character| character.is_ascii_alphabetic());
        let number = name.strip_prefix(word)?.parse().ok();
        is_kind.then(|| Self { order: word.to_ascii_lowercase(), number, name: name.to_owned() })
    }
}

/// Writes the table.
pub(crate) fn write(root: &Path) -> Result<()> {
    let file = root.join(TABLE);
    fs::write(&file, table(root)?).with_context(|| format!("can't write {}", file.display()))
}

/// What is wrong with the table: nothing, or a line.
pub(crate) fn finding(root: &Path) -> Result<Option<String>> {
    let written = fs::read_to_string(root.join(TABLE)).unwrap_or_default();
    let current = table(root)? == written;
    Ok((!current).then(|| format!("{TABLE} is not what the tests say; run `cargo xtask attacks`")))
}

fn table(root: &Path) -> Result<String> {
    let mut attacks = Vec::new();
    for folder in FOLDERS {
        for file in sources(&root.join(folder))? {
            let text = fs::read_to_string(&file).with_context(|| format!("can't read {}", file.display()))?;
            let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
            attacks.extend(found(&text, &shown));
        }
    }
    attacks.sort();
    let lines = attacks.iter().map(|Attack { kinds, attack, outcome, test }| {
        let kinds: Vec<&str> = kinds.iter().map(|kind| kind.name.as_str()).collect();
        format!("| {} | {attack} | {outcome} | {test} |\n", kinds.join(", "))
    });
    Ok(format!("{INTRODUCTION}{}", lines.collect::<String>()))
}

/// The Rust files below a folder.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !["target", "node_modules"].contains(&name) && !name.starts_with('.') {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

/// The attacks that a file's tests try.
fn found(text: &str, file: &str) -> Vec<Attack> {
    let (mut attacks, mut comment) = (Vec::new(), String::new());
    for line in text.lines().map(str::trim) {
        if let Some(part) = line.strip_prefix("///") {
            comment = format!("{comment} {}", part.trim());
        } else if let Some(name) = function(line) {
            attacks.extend(attack(comment.trim(), &format!("`{name}` in {file}")));
            comment.clear();
        } else if !line.starts_with("#[") {
            comment.clear();
        }
    }
    attacks
}

fn function(line: &str) -> Option<&str> {
    let (before, name) = line.split_once("fn ")?;
    let is_item = before.split_whitespace().all(|word| ["pub", "async"].contains(&word));
    is_item.then(|| name.split(['(', '<']).next().unwrap_or(name))
}

fn attack(comment: &str, test: &str) -> Option<Attack> {
    let (kinds, rest) = comment.split_once("Attack (")?.1.split_once("): ")?;
    let (attack, outcome) = rest.split_once(". Outcome: ")?;
    let kinds = kinds.split(", ").map(Kind::of).collect::<Option<_>>()?;
    let cell = |text: &str| text.trim_end_matches('.').replace('|', "\\|");
    Some(Attack { kinds, attack: cell(attack), outcome: cell(outcome), test: test.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_above_a_test_is_a_line_of_the_table() {
        let text = "/// Attack (44, 45): silence,\n/// for ever. Outcome: it is | cut.\n#[test]\nasync fn a_test() {}\n\n\
                    /// Attack (1): of a type. Outcome: none.\nstruct Type;\nfn other() {}\n/// Attack (2): no outcome.\nfn third() {}\n";
        let line = Attack {
            kinds: ["44", "45"].into_iter().map(|name| Kind::of(name).unwrap()).collect(),
            attack: "silence, for ever".into(),
            outcome: "it is \\| cut".into(),
            test: "`a_test` in a.rs".into(),
        };
        assert_eq!(found(text, "a.rs"), [line]);
    }

    #[test]
    fn kinds_are_numbers_and_words_in_an_order_that_people_expect() {
        let mut kinds: Vec<Kind> =
            ["smuggling", "API10", "JWT", "100", "API2", "9", "CSRF"].map(|name| Kind::of(name).unwrap()).into();
        kinds.sort();
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name.as_str()).collect();
        assert_eq!(names, ["9", "100", "API2", "API10", "CSRF", "JWT", "smuggling"]);
        assert!(["", "API 1", "44)", "a-b", "4a"].iter().all(|name| Kind::of(name).is_none()));
        let both = attack("Attack (46, API6): a. Outcome: b.", "t").unwrap();
        assert_eq!(both.kinds.iter().map(|kind| kind.name.as_str()).collect::<Vec<_>>(), ["46", "API6"]);
    }
}
