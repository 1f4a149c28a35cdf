//! Which top module of a crate uses which, by the paths in its text: those that begin at the crate, and those that go up
//! to it. Tests do not count.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::Lines;

use anyhow::{Context, Result};

use super::circle::Graph;

/// The top modules of the crate whose sources are in `folder`, and what each uses of the others.
pub(super) fn graph(folder: &Path) -> Result<Graph> {
    let mut graph = Graph::new();
    for (path, name) in entries(folder)? {
        if name != "lib" && name != "main" {
            read(&path, 1, graph.entry(name).or_default())?;
        }
    }
    let known: Vec<String> = graph.keys().cloned().collect();
    for (name, used) in &mut graph {
        used.retain(|other| other != name && known.contains(other));
    }
    Ok(graph)
}

/// Files of Rust and folders, with the name of the module, without those of tests.
fn entries(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let listed = fs::read_dir(folder).with_context(|| format!("{} can't be read", folder.display()))?;
    let mut found = Vec::new();
    for entry in listed {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let is_source = path.is_dir() || path.extension().is_some_and(|extension| extension == "rs");
        if is_source && !["tests", "fuzz"].contains(&name.as_str()) {
            found.push((path, name));
        }
    }
    Ok(found)
}

/// Takes down what a file, or a folder's files, use of the crate. `depth`: how many modules deep it is.
fn read(path: &Path, depth: usize, used: &mut BTreeSet<String>) -> Result<()> {
    if path.is_dir() {
        for (path, name) in entries(path)? {
            read(&path, if name == "mod" { depth } else { depth + 1 }, used)?;
        }
        return Ok(());
    }
    let text = fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))?;
    let code = without_tests(&text);
    for root in ["crate::".to_owned(), "super::".repeat(depth)] {
        used.extend(names(&code, &root));
    }
    Ok(())
}

/// The first names after `root`, wherever a path begins with it.
fn names(code: &str, root: &str) -> Vec<String> {
    let pieces: Vec<&str> = code.split(root).collect();
    let mut found = Vec::new();
    for (at, [before, after]) in pieces.array_windows().enumerate() {
        // Nothing between two of them: the path began earlier.
        let goes_on =
            (at > 0 && before.is_empty()) || before.ends_with(|letter: char| is_name(letter) || letter == ':');
        if !goes_on {
            found.extend(heads(after));
        }
    }
    found
}

/// `a` of `a::b`, or `a` and `c` of `{a::b, c::{d, e}}`.
fn heads(after: &str) -> Vec<String> {
    let Some(group) = after.strip_prefix('{') else {
        return vec![head(after)];
    };
    let (mut heads, mut part, mut depth) = (Vec::new(), String::new(), 0_usize);
    for letter in group.chars() {
        match letter {
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            '{' => depth += 1,
            ',' if depth == 0 => heads.push(head(&std::mem::take(&mut part))),
            _ if depth == 0 => part.push(letter),
            _ => {}
        }
    }
    heads.push(head(&part));
    heads
}

fn head(path: &str) -> String {
    path.trim_start().chars().take_while(|letter| is_name(*letter)).collect()
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The text without comments and without what is compiled for tests only.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            skip_item(&mut lines, indent(line));
        } else {
            code.push_str(line.split("//").next().unwrap_or_default());
            code.push('\n');
        }
    }
    code
}

/// One item: up to the line with its indentation that ends it, as rustfmt has it. A module of tests is the last item.
fn skip_item(lines: &mut Lines<'_>, depth: usize) {
    let mut is_module = false;
    for line in lines {
        let text = line.trim();
        is_module |= text.starts_with("mod ") && text.ends_with('{');
        if !is_module && indent(line) == depth && (text.ends_with(';') || text.ends_with('}')) {
            return;
        }
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_begin_at_the_crate_are_found() {
        let code = "use crate::events::{Event, Log};\nuse crate::{self, cache::Key, mail::{a, b},\n    random};\nlet x = crate::health::now();";
        assert_eq!(names(code, "crate::"), ["events", "self", "cache", "mail", "random", "health"]);
        assert!(names("mycrate::a othercrate::b", "crate::").is_empty());
    }

    #[test]
    fn paths_that_go_up_to_the_crate_are_found() {
        assert_eq!(names("super::random::bytes()", "super::"), ["random"]);
        assert_eq!(names("use super::super::b; super::c", "super::super::"), ["b"]);
        assert_eq!(names("self::super::b", "super::"), Vec::<String>::new());
    }

    #[test]
    fn tests_and_comments_do_not_count() {
        let text = "#[cfg(test)]\nmod cases;\nuse crate::a::A; // crate::b::B\n\n#[cfg(test)]\nimpl A {\n    fn x() {\n        crate::c::d();\n    }\n}\n\nfn y() {\n    crate::e::f();\n}\n\n#[cfg(test)]\nmod tests {\n    use crate::g::h;\n}\n";
        assert_eq!(names(&without_tests(text), "crate::"), ["a", "e"]);
    }

    #[test]
    fn modules_of_a_folder_are_read() {
        let folder = std::env::temp_dir().join(format!("xtask-modules-{}", std::process::id()));
        for (file, text) in [
            ("lib.rs", "use crate::a::A;"),
            ("a/mod.rs", "use super::b::B; use crate::Shared;"),
            ("a/deep.rs", "use super::super::c::C;\nuse super::own;"),
            ("a/tests.rs", "use crate::d::D;"),
            ("a/fuzz.rs", "use crate::d::D;"),
            ("b.rs", "use crate::a::A;\nuse crate::b::own;"),
            ("c.rs", ""),
            ("d.rs", ""),
        ] {
            let file = folder.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let expected = super::super::circle::graph(&[("a", &["b", "c"]), ("b", &["a"]), ("d", &[])]);
        assert_eq!(graph(&folder).unwrap(), expected);
        fs::remove_dir_all(folder).unwrap();
    }
}
