//! The command line around the simulator: arguments, files, threads, reports. What is in here reads clocks and files and starts threads; what
//! is outside of it, in this crate, never does.
//!
//! Reading order: [`arguments`] and [`exit`] (what goes in, what comes out), [`scenario_file`] and [`targets`] (what is run), `run` (the
//! seeds), [`pool`] (the threads), [`tally`] (what they came to), [`report`] (how that is told).

mod again;
pub mod arguments;
mod commit;
pub mod exit;
mod keys;
mod marks;
mod mutants;
mod nearest;
mod output;
pub mod panics;
mod plan;
pub mod planted;
pub mod pool;
pub mod progress;
pub mod report;
mod run;
pub mod saved;
pub mod scenario_file;
pub mod signals;
pub mod tally;
pub mod targets;

use arguments::{Arguments, Command};
use clap::Parser;
use clap::error::ErrorKind;
use std::process::ExitCode;

/// The whole program.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    if let Err(error) = signals::watch() {
        eprintln!("doubletick-sim: signals cannot be watched: {error}");
    }
    match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Mutants(arguments) => mutants::mutants(&arguments),
        Command::Chain { seed, until } => again::serve(seed, until),
        Command::Keys => {
            print!("{}", scenario_file::keys_as_table());
            ExitCode::SUCCESS
        }
    }
}

/// Help goes to the standard output. What is wrong is told in one line.
fn explain(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        print!("{error}");
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect();
    eprintln!("doubletick-sim: {} (see --help)", lines.join(" ").trim_start_matches("error: "));
    exit::USAGE.into()
}
