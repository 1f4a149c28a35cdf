//! What several components know of the product: the user as it is stored and as it is shown, the rules that its
//! fields follow, and the events that tell what happened. Values in, values out: nothing here asks the host for more
//! than the time.

pub mod body;
pub mod email;
pub mod events;
pub mod password;
pub mod preferences;
pub mod profile;
pub mod text;
pub mod user;
