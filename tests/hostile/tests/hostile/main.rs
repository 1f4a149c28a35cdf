//! Attacks: each with what it must come to, and with the others' requests beside it. A module is who attacks.

mod components;
mod members;
mod mixed;
mod strangers;
