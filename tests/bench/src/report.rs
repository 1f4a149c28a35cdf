//! What a bench found, in rows: a table for people and for docs/benchmarks.md, one JSON object a row for programs.

use serde_json::{Map, Value, json};

use crate::spread::{Rounds, Spread, millis};

/// What a bench found.
#[derive(Debug)]
pub(crate) struct Report {
    /// Its name on the command line, and what it ran on.
    pub(crate) bench: &'static str,
    pub(crate) engine: &'static str,
    /// What was done, how often, and how the figures are to be read; a paragraph each.
    pub(crate) about: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// Columns by their names; a row need not have all of them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Row(Vec<(&'static str, Value)>);

impl Row {
    /// With a further column.
    #[must_use]
    pub(crate) fn with(mut self, column: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((column, value.into()));
        self
    }

    /// With a further column, where there is a figure.
    #[must_use]
    pub(crate) fn with_some(self, column: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(column, value),
            None => self,
        }
    }

    /// With how many a second (in a column of this name), how long one took, and which share the first side's rate, `ours`, is.
    #[must_use]
    pub(crate) fn with_speed(self, rate: &'static str, rates: &Rounds, times: &Spread, ours: f64) -> Self {
        self.with(rate, rates.median)
            .with("lowest", rates.lowest)
            .with("highest", rates.highest)
            .with("p50 ms", millis(times.p50))
            .with("p99 ms", millis(times.p99))
            .with("of this", ours / rates.median)
    }

    fn get(&self, column: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| *name == column).map(|(_, value)| value)
    }
}

impl Report {
    /// The names of the columns, each where it first comes.
    fn columns(&self) -> Vec<&'static str> {
        let mut columns = Vec::new();
        for (name, _) in self.rows.iter().flat_map(|row| &row.0) {
            if !columns.contains(name) {
                columns.push(*name);
            }
        }
        columns
    }

    /// One object a row.
    pub(crate) fn json_lines(&self) -> Vec<String> {
        let line = |row: &Row| {
            let mut object = Map::from_iter([
                ("bench".to_owned(), json!(self.bench)),
                ("engine".to_owned(), json!(self.engine)),
                ("machine".to_owned(), json!(crate::machine::name())),
            ]);
            object.extend(row.0.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            Value::Object(object).to_string()
        };
        self.rows.iter().map(line).collect()
    }

    /// As a section of a page.
    pub(crate) fn markdown(&self) -> String {
        let columns = self.columns();
        let mut text = format!("## {}, {}\n\n", self.bench, self.engine);
        for paragraph in &self.about {
            text.push_str(&format!("{paragraph}\n\n"));
        }
        text.push_str(&format!("| {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len())));
        for row in &self.rows {
            let cells: Vec<String> = columns.iter().map(|column| cell(row.get(column))).collect();
            text.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        text
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}, {}; {}", self.bench, self.engine, crate::machine::name())?;
        self.about.iter().try_for_each(|paragraph| writeln!(f, "{paragraph}"))?;
        let columns = self.columns();
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| columns.iter().map(|column| cell(row.get(column))).collect()).collect();
        let widths: Vec<usize> = columns
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
                cells.chain([name.chars().count()]).max().unwrap_or(0)
            })
            .collect();
        write!(f, "{}", line(columns.iter().copied(), &widths))?;
        rows.iter().try_for_each(|row| write!(f, "\n{}", line(row.iter().map(String::as_str), &widths)))
    }
}

/// Cells of these widths beside each other.
fn line<'a>(cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
    let padded: Vec<String> = cells.zip(widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
    padded.join("  ").trim_end().to_owned()
}

/// Three digits of a number say enough.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => match (value.as_u64(), value.as_f64()) {
            (Some(whole), _) => whole.to_string(),
            (None, Some(number)) if number.abs() >= 100.0 => format!("{number:.0}"),
            (None, Some(number)) if number.abs() >= 10.0 => format!("{number:.1}"),
            (None, Some(number)) => format!("{number:.2}"),
            (None, None) => value.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

    use super::*;

    fn report() -> Report {
        let rows = vec![
            Row::default().with("route", "profile").with("requests/s", 22_400.4).with("lost", 0_u64),
            Row::default().with("route", "feed").with("requests/s", 9.876).with_some("p99 ms", Some(1.0)),
        ];
        Report { bench: "http", engine: "embedded", about: vec!["Three rounds.".to_owned()], rows }
    }

    #[test]
    fn every_row_has_a_cell_for_every_column() {
        let markdown = report().markdown();
        assert!(markdown.contains("| route | requests/s | lost | p99 ms |\n|---|---|---|---|\n"), "{markdown}");
        assert!(markdown.contains("| profile | 22400 | 0 | – |\n| feed | 9.88 | – | 1.00 |\n"), "{markdown}");
    }

    #[test]
    fn a_program_gets_one_object_a_line() {
        let lines = report().json_lines();
        let first: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!((lines.len(), &first["bench"], &first["requests/s"]), (2, &json!("http"), &json!(22_400.4)));
    }

    #[test]
    fn columns_stand_below_each_other() {
        let text = report().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[lines.len() - 3].find("requests/s"), lines[lines.len() - 1].find("9.88"), "{text}");
    }
}
