//! The pure state machine of Doubletick.

#![no_std]

extern crate alloc;

pub mod id;
pub mod store;
pub mod time;
