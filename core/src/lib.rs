//! The pure state machine of Doubletick.

#![no_std]

extern crate alloc;
#[cfg(test)]
#[macro_use]
extern crate std;

pub mod content;
pub mod frame;
pub mod id;
pub mod limits;
pub mod reject;
pub mod store;
pub mod time;
