//! From a failing seed to its cause: the story of a run, the fewest faults that still make it fail, and which of them matter.
//!
//! Reading order: [`arguments`] (what can be asked), [`case`] (a seed and its scenario, run again), [`story`] (one line a step), [`shrink`]
//! (what is left of a failure), [`why`] (what of it matters), [`fate`] (from when on it was inevitable), [`diff`] (where two runs part),
//! [`bisect`] (with which commit it began), [`picture`] (a page to look at), [`inspect`] and [`tree`] (the state of anything after any step), [`walk`] (all of that on a terminal);
//! [`logs`] (the same for the logs of a real store: is it whole, and what does it tell).

pub mod arguments;
pub mod bisect;
pub mod case;
pub mod diff;
pub mod fate;
pub mod inspect;
pub mod logs;
pub mod picture;
mod search;
pub mod shrink;
pub mod story;
pub mod tree;
pub mod walk;
pub mod why;

use arguments::Arguments;
use case::Case;
use doubletick_sim::cli::exit::USAGE;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// Whatever reads the output has closed it.
const CLOSED: u8 = 74;

/// The whole program.
pub fn main() -> ExitCode {
    let answer = arguments::parse().and_then(|arguments| answer(&arguments, &mut io::stdout().lock()));
    match answer {
        Ok(outcome) => outcome,
        Err(line) if line.is_empty() => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("doubletick-replay: {line}");
            USAGE.into()
        }
    }
}

fn answer(arguments: &Arguments, out: &mut dyn Write) -> Result<ExitCode, String> {
    if logs::are_asked_for(arguments) {
        return logs::tell(arguments, out);
    }
    if let Some(range) = &arguments.bisect {
        return bisect::tell(arguments, range, out).map(ExitCode::from);
    }
    let case = Case::find(&arguments.what, arguments.mutant.as_deref())?;
    case.planted(|| told(arguments, &case, out))
}

fn told(arguments: &Arguments, case: &Case, out: &mut dyn Write) -> Result<ExitCode, String> {
    if arguments.walk {
        return walk::walk(case).map(|()| ExitCode::SUCCESS);
    }
    let written = if let Some(other) = &arguments.diff {
        let other = Case::find(other, None)?;
        diff::tell(case, &other, out)
    } else if arguments.shrink {
        let shrunk = shrink::shrink(case)?;
        let saved = arguments.output.as_deref().map(|path| shrunk.save(path)).transpose()?;
        shrunk.tell(saved.as_deref(), out)
    } else if let Some(inspect) = &arguments.inspect {
        let (step, wanted) = arguments::inspected(inspect)?;
        inspect::tell(case, step, wanted.as_ref(), arguments.json, out)?
    } else if arguments.why {
        let why = why::why(case)?;
        why.tell(out)
    } else if arguments.html.is_some() || arguments.perfetto.is_some() {
        return picture::draw(case, arguments, out);
    } else {
        let colour = io::stdout().is_terminal();
        return match story::tell(case, arguments, colour, out)? {
            Ok(outcome) => Ok(outcome.into()),
            Err(_) => Ok(CLOSED.into()),
        };
    };
    Ok(if written.is_ok() { ExitCode::SUCCESS } else { CLOSED.into() })
}
