//! `doubletick chat`: a client in the terminal.

use std::process::ExitCode;

use doubletick_chat::{ChatArgs, Failure};

/// Runs the client until its user or its input ends it. Each kind of failure has its own exit code.
pub(crate) fn chat(args: ChatArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(Failure::from);
    let ended = runtime.and_then(|runtime| {
        let ended = runtime.block_on(doubletick_chat::run(args));
        // A thread that reads the terminal, or the standard input, may wait for ever.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("doubletick: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
