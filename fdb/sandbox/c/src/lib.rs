//! The functions of FoundationDB's C interface, over [`doubletick_fdb_sandbox`].
//!
//! Everything that has to do with raw pointers is here; what the functions do is in that crate, which has no unsafe code. The functions are
//! exported under their names, and are no Rust interface. They follow `fdb_c.h` of API versions 630 to 740, those removed before left out.
//!
//! # Safety
//! Each function relies on what `fdb_c.h` asks of its caller, and on nothing else:
//! - handles are those that a function here gave, and are destroyed once;
//! - a pointer with a length names that many bytes that stay as they are until the function returns;
//! - a pointer for results may be written to;
//! - what a future gives out is not looked at after the future is destroyed or its memory released.

#![allow(unsafe_code, reason = "a C interface")]

mod absent;
mod database;
mod future;
mod handles;
mod network;
mod transaction;
