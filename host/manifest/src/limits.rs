//! Limits: how much one call of a component may use. The manifest requests them, the operator has ceilings.

use serde::Deserialize;

/// The limits of one call. The defaults suit a small handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Limits {
    /// The guest's own CPU time, without that of the host's functions, in milliseconds (1 to 60,000).
    pub cpu_ms: u32,
    /// The wall-clock time of the call, waiting included, in milliseconds (1 to 300,000).
    pub wall_ms: u32,
    /// All memories together, in KiB (64 to 65,536).
    pub memory_kib: u32,
    /// The elements of all tables together (0 to 20,000).
    pub table_elements: u32,
    /// Calls into the host (1 to 100,000).
    pub host_calls: u32,
    /// The largest request body, in KiB (0 to 16,384).
    pub body_kib: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu_ms: 250,
            wall_ms: 10_000,
            memory_kib: 16_384,
            table_elements: 10_000,
            host_calls: 1_000,
            body_kib: 256,
        }
    }
}

impl Limits {
    /// The most memory that any component may ask for, in KiB; pool slots are this large.
    pub const MAX_MEMORY_KIB: u32 = 65_536;
    /// The most table elements that any component may ask for; pool slots are this large.
    pub const MAX_TABLE_ELEMENTS: u32 = 20_000;

    /// The least that a component may ask for.
    pub const LEAST: Self =
        Self { cpu_ms: 1, wall_ms: 1, memory_kib: 64, table_elements: 0, host_calls: 1, body_kib: 0 };
    /// The most that any component may ask for.
    pub const MOST: Self = Self {
        cpu_ms: 60_000,
        wall_ms: 300_000,
        memory_kib: Self::MAX_MEMORY_KIB,
        table_elements: Self::MAX_TABLE_ELEMENTS,
        host_calls: 100_000,
        body_kib: 16_384,
    };

    /// Checks the ranges above; the error is the field, and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let bounds = Self::LEAST.named().into_iter().zip(Self::MOST.named());
        for ((name, value), ((_, least), (_, most))) in self.named().into_iter().zip(bounds) {
            if !(least..=most).contains(&value) {
                return Err((name, format!("limits.{name} takes {least} to {most}, not {value}")));
            }
        }
        Ok(())
    }

    /// The first limit above the operator's ceiling: its name, its value and the ceiling.
    pub fn beyond(&self, ceilings: &Self) -> Option<(&'static str, u32, u32)> {
        let pairs = self.named().into_iter().zip(ceilings.named());
        pairs.into_iter().find_map(|((name, value), (_, most))| (value > most).then_some((name, value, most)))
    }

    /// The limits above the defaults, by their names in a manifest.
    pub(super) fn above_defaults(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let pairs = self.named().into_iter().zip(Self::default().named());
        pairs.filter(|((_, value), (_, default))| value > default).map(|(limit, _)| limit)
    }

    /// The fields with their names in a manifest.
    fn named(&self) -> [(&'static str, u32); 6] {
        [
            ("cpu-ms", self.cpu_ms),
            ("wall-ms", self.wall_ms),
            ("memory-kib", self.memory_kib),
            ("table-elements", self.table_elements),
            ("host-calls", self.host_calls),
            ("body-kib", self.body_kib),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_may_allow_less() {
        let requested = Limits { cpu_ms: 300, ..Limits::default() };
        assert_eq!(requested.beyond(&Limits::MOST), None);
        assert_eq!(requested.beyond(&Limits { cpu_ms: 299, ..Limits::MOST }), Some(("cpu-ms", 300, 299)));
    }

    #[test]
    fn limits_out_of_range_are_refused_by_name() {
        let error = Limits { memory_kib: 1 << 20, ..Limits::default() }.check().unwrap_err().1;
        assert!(error.contains("memory-kib"), "{error}");
    }
}
