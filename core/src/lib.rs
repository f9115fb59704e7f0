//! The pure state machine of Doubletick.

#![no_std]

extern crate alloc;
#[cfg(test)]
#[macro_use]
extern crate std;

pub mod chain;
pub mod client;
pub mod command;
pub mod content;
pub mod draw;
pub mod event;
pub mod frame;
pub mod gateway;
pub mod id;
pub mod limits;
pub mod rate;
pub mod reject;
pub mod rows;
pub mod store;
pub mod time;
pub mod transact;
pub mod verify;
pub mod view;
