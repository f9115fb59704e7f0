//! `doubletick-sim`: runs seeds of scenarios and says what came of them.

use std::process::ExitCode;

/// Worlds allocate small things all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    doubletick_sim::cli::main()
}
