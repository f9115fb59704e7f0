//! `doubletick-sim mutants`: plants the bugs of core one at a time, and says which oracle found each, after how many seeds.
//!
//! The proof that a green run means something. A mutant is red if it survives its budget in one of several independent ranges of seeds,
//! if its line was never reached, or if it was found as the breach of an invariant that it does not break.

#[cfg(feature = "probes")]
mod hunt;
#[cfg(feature = "probes")]
mod plan;
#[cfg(feature = "probes")]
mod table;

use std::process::ExitCode;

/// What is wrong with the command line.
const USAGE: u8 = 64;

/// Carries out the command. What it does is said by `--help`.
#[cfg(feature = "probes")]
pub fn command(arguments: impl Iterator<Item = String>) -> ExitCode {
    let plan = match plan::Plan::parse(arguments) {
        Ok(plan) => plan,
        Err(line) => {
            eprintln!("{line}");
            return ExitCode::from(USAGE);
        }
    };
    if plan.list {
        plan.bugs.iter().for_each(|bug| println!("{}", bug.name()));
        return ExitCode::SUCCESS;
    }
    match table::report(&plan) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(line) => {
            eprintln!("{line}");
            ExitCode::from(USAGE)
        }
    }
}

/// Says how to build a simulator that has the command: this one has no planted bugs.
#[cfg(not(feature = "probes"))]
pub fn command(_: impl Iterator<Item = String>) -> ExitCode {
    eprintln!("this build has no planted bugs: cargo run --release -p doubletick-sim --features probes -- mutants");
    ExitCode::from(USAGE)
}
