//! Which of the faults that are left matter: the run without each of them.

use crate::case::{Case, Signature};
use crate::fate::{Fate, fate};
use crate::shrink::Happened;
use doubletick_sim::cli::panics::run_seed;
use doubletick_sim::plan::FaultId;
use std::io::{self, Write};

/// Faults of which each is left out once; more would take long and say little.
const MOST: usize = 200;

/// What came of leaving out each fault.
#[derive(Clone, Debug)]
pub struct Why {
    signature: Signature,
    /// From which step on it was inevitable.
    pub fate: Fate,
    /// Each fault with what the run came to without it; `None` is clean.
    pub without: Vec<(FaultId, Option<Signature>)>,
}

impl Why {
    /// Whether the run no longer fails in this way without a fault.
    fn matters(&self, without: Option<Signature>) -> bool {
        without != Some(self.signature)
    }

    /// Says which matter.
    pub(crate) fn tell(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.signature)?;
        if self.without.is_empty() {
            writeln!(out, "it fails without any fault")?;
            return self.fate.tell(out);
        }
        self.without.iter().try_for_each(|(id, without)| {
            let end = without.map_or_else(|| "clean".into(), |other| other.to_string());
            let says = if self.matters(*without) { format!("matters: without it, {end}") } else { "fails without it too".into() };
            writeln!(out, "{:<40} {says}", id.to_string())
        })?;
        self.fate.tell(out)
    }
}

/// Leaves out each fault, one at a time.
///
/// # Errors
/// A line that says that the run does not fail, or that there are too many faults.
pub fn why(case: &Case) -> Result<Why, String> {
    case.planted(|| why_planted(case))
}

fn why_planted(case: &Case) -> Result<Why, String> {
    let (_, signature) = case.fail()?;
    let faults = Happened::of(&case.scenario, case.seed).faults;
    if faults.len() > MOST {
        return Err(format!("{} faults are too many to leave out one by one: --shrink it first, with --output", faults.len()));
    }
    let without = |id: &FaultId| {
        let mut scenario = case.scenario.clone();
        scenario.plan.faults = Some(faults.iter().copied().filter(|other| other != id).collect());
        (*id, Signature::of(&run_seed(&scenario, case.seed)))
    };
    Ok(Why { signature, fate: fate(case, signature), without: faults.iter().map(without).collect() })
}
