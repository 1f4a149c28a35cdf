//! Whom a member fits: the skills that are known by name, the formula that compares two members, and a model of which skills
//! go together that is learnt from what became of requests. Values in, values out: the feed scores with it, and so do tests and
//! benches on the machine.

pub mod calibration;
pub mod catalogue;
pub mod pairs;
pub mod profile;
pub mod scores;
