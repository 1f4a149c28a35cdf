//! The SDK against what others made of the same thing.
//! A module for each part of it that has a counterpart.
//! What needs none is tested in the sources.

mod bson;
