//! The store for one machine keeps every promise, on a disk that is well, that fails, that loses power, and under kill -9.

mod conformance;
mod directory;
mod disk;
mod failing;
mod kill;
mod power;
mod temporary;
