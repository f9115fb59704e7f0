//! The store for one machine keeps every promise, on a disk that is well, that fails, and that loses power.

mod conformance;
mod directory;
mod disk;
mod failing;
mod power;
mod reader;
mod temporary;
