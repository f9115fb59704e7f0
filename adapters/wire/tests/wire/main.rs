//! The wire protocol against its schema, its document, its golden files, and a hostile peer.

#![allow(clippy::unwrap_used, reason = "clippy's exception for tests does not reach the functions that they call")]

mod budget;
mod change;
mod document;
mod frames;
mod generated;
mod golden;
mod hostile;
mod round_trip;
