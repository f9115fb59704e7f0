//! What is said of a store is so: of one that is whole, of one that is damaged in any way, and of one that is in use meanwhile.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one variant among many")]

mod check;
mod export;
mod stats;
mod world;
