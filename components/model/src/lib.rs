//! What several components know of the product: the user as it is stored and as it is shown, the rules that its
//! fields follow, the events that tell what happened, and how often somebody may do something. Values in, values out: nothing
//! here but `rate`, `attempts` and `cached`, which use the cache, asks the host for more than the time and settings.

pub mod attempts;
pub mod body;
pub mod cached;
pub mod cast;
pub mod client;
pub mod described;
pub mod email;
pub mod events;
#[cfg(test)]
mod fuzz;
pub mod invisible;
pub mod matching;
pub mod password;
pub mod preferences;
pub mod profile;
pub mod query;
pub mod rate;
pub mod text;
pub mod user;
