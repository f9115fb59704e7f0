//! A seed and its scenario, run again.

use doubletick_sim::cli::exit::Outcome;
use doubletick_sim::cli::panics::run_seed;
use doubletick_sim::cli::planted::Planted;
use doubletick_sim::cli::saved::Origin;
use doubletick_sim::cli::targets::{self, Target};
use doubletick_sim::{Failure, FailureKind, Run, Scenario, Verdict};
use std::path::PathBuf;

/// The name of no planted bug: what a mutant's failure is without it.
const CLEAN: &str = "none";

/// A run that can be had again.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its seed.
    pub seed: u64,
    /// Its scenario, with what is left of the seed.
    pub scenario: Scenario,
    /// How it was named on the command line.
    pub name: String,
    /// The bug that is planted in the core for it.
    pub mutant: Option<Planted>,
    target: Target,
}

/// What a failure is known by: as long as it stays the same, it is the same failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Of which kind it is.
    pub kind: FailureKind,
    /// The promise that is broken.
    pub oracle: &'static str,
}

impl Signature {
    /// That of a run, if it failed.
    pub fn of(run: &Run) -> Option<Self> {
        failure(run).map(|failure| Self { kind: failure.kind, oracle: failure.oracle })
    }
}

impl core::fmt::Display for Signature {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {}", Outcome::from(self.kind).name(), self.oracle)
    }
}

/// What was wrong in a run.
pub fn failure(run: &Run) -> Option<&Failure> {
    match &run.verdict {
        Verdict::Clean => None,
        Verdict::Failed(failure) => Some(failure),
    }
}

impl Case {
    /// Finds what a command line names; `mutant` is planted, or else what a saved failure names.
    ///
    /// # Errors
    /// A line that says what is wrong with it.
    pub fn find(what: &[String], mutant: Option<&str>) -> Result<Self, String> {
        let (seed, path) = match what {
            [path] => (None, path),
            [seed, path] => {
                let number = seed.parse().map_err(|_| format!("{seed}: a seed is a whole number"))?;
                (Some(number), path)
            }
            _ => return Err("a run is a seed and a scenario, or a saved failure".into()),
        };
        if PathBuf::from(path).is_dir() {
            return Err(format!("{path}: it is a folder, and one run is told at a time"));
        }
        let target = targets::find(&[PathBuf::from(path)])?.into_iter().next().ok_or_else(|| format!("{path}: nothing is in it"))?;
        let seed = match (seed, target.seed()) {
            (Some(_), Some(_)) => return Err(format!("{path}: a saved failure has its own seed")),
            (Some(seed), None) | (None, Some(seed)) => seed,
            (None, None) => return Err(format!("{path}: it is a scenario, so a seed must be named before it")),
        };
        let mutant = mutant.or(target.mutant()).filter(|name| *name != CLEAN).map(Planted::find).transpose()?;
        Ok(Self { seed, scenario: target.scenario.clone(), name: what.join(" "), mutant, target })
    }

    /// Does something with the case's bug planted, if it has one: whatever runs its worlds does it in here.
    pub fn planted<T>(&self, run: impl FnOnce() -> T) -> T {
        Planted::with(self.mutant, run)
    }

    /// Runs it.
    pub fn run(&self) -> Run {
        self.planted(|| run_seed(&self.scenario, self.seed))
    }

    /// Runs it, which must fail.
    ///
    /// # Errors
    /// A line that says that it did not.
    pub fn fail(&self) -> Result<(Run, Signature), String> {
        let run = self.run();
        match Signature::of(&run) {
            Some(signature) => Ok((run, signature)),
            None => Err(format!("{}: it does not fail{}", self.name, self.drift(&run).unwrap_or_default())),
        }
    }

    /// Whether a saved failure is no longer the run that was saved, and who had made it.
    pub fn drift(&self, run: &Run) -> Option<String> {
        let (same, differs) = self.target.drift(run)?;
        let drifted =
            format!("; drifted: it is another run than the one that was saved, the same up to step {same} and not at step {differs}");
        let elsewhere = self.target.made_by().and_then(|origin| origin.elsewhere(&Origin::here()));
        Some(elsewhere.map_or(drifted.clone(), |elsewhere| format!("{drifted}; the file was {elsewhere}")))
    }
}
