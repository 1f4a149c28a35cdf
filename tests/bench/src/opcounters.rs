//! What a MongoDB was asked, by its own counters (`serverStatus`). They count for everybody who asks it.

use anyhow::Context as _;
use bson::{Document, doc};
use mongodb::Client;

/// The counters, by the names that MongoDB has for them.
const COUNTERS: [(&str, &str); 5] = [
    ("query", "finds"),
    ("insert", "inserted"),
    ("update", "updates"),
    ("delete", "deletes"),
    // Among them findAndModify, and each transaction's commit.
    ("command", "commands"),
];

/// What was asked since the server started, or between two moments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Operations([u64; COUNTERS.len()]);

impl Operations {
    /// Of a server, until now.
    pub(crate) async fn of(client: &Client) -> anyhow::Result<Self> {
        let status = client.database("admin").run_command(doc! { "serverStatus": 1 }).await?;
        Self::read(&status).context("serverStatus has no opcounters")
    }

    fn read(status: &Document) -> Option<Self> {
        let counters = status.get_document("opcounters").ok()?;
        Some(Self(COUNTERS.map(|(name, _)| number(counters, name))))
    }

    /// What was asked between `before` and this.
    pub(crate) fn since(self, before: Self) -> Self {
        Self(std::array::from_fn(|at| self.at(at).saturating_sub(before.at(at))))
    }

    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.at(at) + other.at(at)))
    }

    /// Each counter's name and figure.
    pub(crate) fn named(self) -> impl Iterator<Item = (&'static str, u64)> {
        COUNTERS.into_iter().map(|(_, name)| name).zip(self.0)
    }

    fn at(&self, place: usize) -> u64 {
        self.0.get(place).copied().unwrap_or_default()
    }
}

fn number(counters: &Document, name: &str) -> u64 {
    let wide = counters.get_i64(name).ok();
    let number = wide.or_else(|| counters.get_i32(name).ok().map(i64::from));
    number.and_then(|number| u64::try_from(number).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_either_width_are_read() {
        let status = doc! { "opcounters": { "query": 7_i32, "insert": 1_i64 << 40, "getmore": 3 } };
        let read = Operations::read(&status).unwrap_or_default();
        let before = Operations([2, 0, 0, 0, 9]);
        let named: Vec<_> = read.since(before).named().collect();
        assert_eq!(named, [("finds", 5), ("inserted", 1 << 40), ("updates", 0), ("deletes", 0), ("commands", 0)]);
        assert_eq!(Operations::read(&doc! {}), None);
    }
}
