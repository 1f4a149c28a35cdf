//! What can be bought, and for how much.

use serde_json::Value;

/// A membership that is paid for, the lesser one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    Silver,
    Gold,
}

impl Tier {
    /// As it is stored.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Tier::Silver => "silver",
            Tier::Gold => "gold",
        }
    }

    /// In paise.
    pub(crate) fn price(self) -> i64 {
        match self {
            Tier::Silver => 9_900,
            Tier::Gold => 19_900,
        }
    }

    /// Of a stored name; none for a member who pays nothing.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Tier::Silver, Tier::Gold].into_iter().find(|tier| tier.as_str() == name)
    }

    /// Of a field of a body.
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        value.as_str().and_then(Self::named).ok_or_else(|| "must be silver or gold".to_owned())
    }
}
