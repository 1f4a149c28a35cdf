//! What is counted, by the built component in the real engine: a module for members' own activity and its roll-ups,
//! and one for what operators see of the whole network.
//! They share nothing but the executable.

mod analytics;
mod forgotten;
mod network;
mod types;
