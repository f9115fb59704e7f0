//! `doubletick-sim mutants`: plants the bugs of core one at a time, and says which oracle found each, after how many seeds.
//!
//! The proof that a green run means something. A mutant is red if it survives its budget in one of several independent ranges of seeds,
//! if its line was never reached, or if it was found as the breach of an invariant that it does not break.

#[cfg(feature = "probes")]
mod hunt;
#[cfg(feature = "probes")]
mod table;

use super::arguments::MutantArguments;
use super::exit::USAGE;
use std::process::ExitCode;

/// Hunts what was asked for.
#[cfg(feature = "probes")]
pub(crate) fn mutants(arguments: &MutantArguments) -> ExitCode {
    let hunt = match hunt::Hunt::new(arguments) {
        Ok(hunt) => hunt,
        Err(line) => {
            eprintln!("doubletick-sim: {line}");
            return USAGE.into();
        }
    };
    if arguments.list {
        hunt.names().for_each(|name| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    match table::report(arguments, hunt) {
        Ok(outcome) => outcome.into(),
        Err((code, line)) => {
            eprintln!("doubletick-sim: {line}");
            code.into()
        }
    }
}

/// Says how to build a simulator that has something to plant: this one does not.
#[cfg(not(feature = "probes"))]
pub(crate) fn mutants(_: &MutantArguments) -> ExitCode {
    eprintln!("doubletick-sim: this build has no bugs to plant: cargo run --release -p doubletick-sim --features probes -- mutants");
    USAGE.into()
}
