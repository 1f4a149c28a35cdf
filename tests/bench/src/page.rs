//! `all`: every bench, one after the other, and docs/benchmarks.md from what they found.

use std::fmt::Display;
use std::fs;

use anyhow::Context as _;
use serde::Serialize;

use crate::report::Report;
use crate::{
    chat, density, deploys, events, files, http, invoke, login, machine, memory, print, queries, sessions, show,
    sockets, writes,
};

/// Where the figures go, in the workspace.
const PAGE: &str = "docs/benchmarks.md";

/// Runs all of them and writes the page. The figures are printed as they come.
pub(crate) fn write(real: bool, against: &[String], json: bool) -> anyhow::Result<()> {
    let mut page = Page { text: opening(), json };
    let engines = if real { &[false, true][..] } else { &[false] };
    for real in engines.iter().copied() {
        // Other servers stand beside ours on the same kind of stores, once.
        let against = if real || engines.len() == 1 { against } else { &[] };
        page.report(&http::measure(real, against)?)?;
        page.report(&chat::measure(real, against)?)?;
        page.report(&sessions::measure(real)?)?;
        page.report(&queries::measure(real)?)?;
        page.report(&writes::measure(real)?)?;
        page.report(&memory::measure(real)?)?;
    }
    page.report(&files::measure()?)?;
    page.figures("invoke", &invoke::measure()?)?;
    page.figures("events", &events::measure()?)?;
    page.figures("deploy", &deploys::measure()?)?;
    page.figures("sockets", &sockets::measure(10_000, 2_000)?)?;
    page.figures("density", &density::measure(1_000)?)?;
    page.figures("login", &login::measure()?)?;
    let file = e2e::root().join(PAGE);
    fs::write(&file, page.text).with_context(|| format!("{} can't be written", file.display()))?;
    eprintln!("written: {}", file.display());
    Ok(())
}

fn opening() -> String {
    format!(
        "# Benchmarks\n\nWritten by `cargo xtask bench all`; every figure can be had again by `cargo xtask bench NAME`, with \
         `--real` on Redis, MongoDB and Kafka, and `--against URL` beside another server with the same contract.\n\nMachine: {}. \
         Clients and servers share its cores.\n",
        machine::name()
    )
}

/// The page so far.
struct Page {
    text: String,
    json: bool,
}

impl Page {
    fn report(&mut self, report: &Report) -> anyhow::Result<()> {
        print(report, self.json)?;
        self.text.push_str(&format!("\n{}", report.markdown()));
        Ok(())
    }

    /// Those of a bench that says them in its own words.
    fn figures(&mut self, name: &str, figures: &(impl Display + Serialize)) -> anyhow::Result<()> {
        show(figures, self.json)?;
        self.text.push_str(&format!("\n## {name}\n\n```text\n{figures}\n```\n"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_its_machine() {
        let mut page = Page { text: opening(), json: false };
        assert!(page.figures("invoke", &"p50 9 µs").is_ok());
        assert!(page.text.contains(&machine::name()), "{}", page.text);
        assert!(page.text.ends_with("## invoke\n\n```text\np50 9 µs\n```\n"), "{}", page.text);
    }
}
