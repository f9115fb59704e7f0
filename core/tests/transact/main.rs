//! What the store's machine does, told in small stories.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one variant among many")]

#[path = "../world/mod.rs"]
mod world;

mod accounts;
mod batches;
mod cost;
mod damage;
mod devices;
mod group_receipts;
mod groups;
mod messages;
mod presence;
mod purity;
mod receipts;
mod retention;
mod sessions;
