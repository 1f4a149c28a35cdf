//! Health: whether the store behind a capability answers, for the host and its operators.
//!
//! Written by a store's circuit, read by `/readyz` and `/metrics`. Nothing here calls a store.

/// The health of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    Up,
    /// It did not answer the last calls, for this reason.
    Degraded(String),
    /// It has not answered for a while, for this reason.
    Down(String),
}

impl Health {
    /// Every [`Health::name`].
    pub const NAMES: [&str; 3] = ["up", "degraded", "down"];

    /// One of [`Health::NAMES`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded(_) => "degraded",
            Self::Down(_) => "down",
        }
    }
}

/// The store behind one capability, for operators.
pub struct Store {
    /// The capability.
    pub capability: &'static str,
    /// The product, such as `MongoDB`.
    pub engine: &'static str,
    /// Without it the host can't serve.
    pub needed: bool,
    health: Box<dyn Fn() -> Health + Send + Sync>,
}

impl Store {
    /// A store whose health `health` returns.
    pub fn new(
        capability: &'static str,
        engine: &'static str,
        health: impl Fn() -> Health + Send + Sync + 'static,
    ) -> Self {
        Self { capability, engine, needed: false, health: Box::new(health) }
    }

    /// The same store, marked as needed to serve.
    #[must_use]
    pub fn required(self) -> Self {
        Self { needed: true, ..self }
    }

    /// A store in this process; it is always up.
    pub fn embedded(capability: &'static str, engine: &'static str) -> Self {
        Self::new(capability, engine, || Health::Up)
    }

    /// Its health, by the last calls.
    pub fn health(&self) -> Health {
        (self.health)()
    }
}
