//! `doubletick-replay`: from a failing seed to its cause.

use std::process::ExitCode;

/// Worlds allocate small things all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    doubletick_replay::main()
}
