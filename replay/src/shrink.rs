//! What is left of a failure when everything that it does not need is left out.
//!
//! Nothing is drawn anew: a candidate has a part of what happened in the run before, and only counts if it fails in the same way.

use crate::case::{Case, Signature, failure};
use crate::search::least;
use doubletick_sim::cli::panics::run_seed;
use doubletick_sim::cli::planted::Planted;
use doubletick_sim::cli::saved::{self, Origin};
use doubletick_sim::draw::Who;
use doubletick_sim::fault::FaultKind;
use doubletick_sim::plan::{ActId, FaultId};
use doubletick_sim::watch::{Entry, watch};
use doubletick_sim::{FailureKind, Run, Scenario};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// What happened in a run that can be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Happened {
    /// Faults.
    pub faults: BTreeSet<FaultId>,
    /// What people did.
    pub acts: BTreeSet<ActId>,
    /// Devices that were registered, or tried to.
    pub devices: BTreeSet<u32>,
    /// Steps.
    pub steps: u64,
}

impl Happened {
    /// In one run.
    pub fn of(scenario: &Scenario, seed: u64) -> Self {
        let mut happened = Self::default();
        let run = watch(scenario, seed, None, &mut |step| {
            if let (true, Who::Device(device)) = (step.event.starts_with("Register"), step.who) {
                happened.devices.insert(device);
            }
            for entry in step.entries {
                match entry {
                    Entry::Fault(id) => drop(happened.faults.insert(id)),
                    Entry::Act(id) => drop(happened.acts.insert(id)),
                    Entry::In(..) | Entry::Out(..) | Entry::Row(..) | Entry::Fired(_) => {}
                }
            }
        });
        Self { steps: run.steps, ..happened }
    }

    fn tell(&self) -> String {
        format!("{} faults, {} acts, {} devices, {} steps", self.faults.len(), self.acts.len(), self.devices.len(), self.steps)
    }
}

/// A failure, and what is left of it.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What it is known by.
    pub signature: Signature,
    /// What happened at first.
    pub before: Happened,
    /// What is left.
    pub after: Happened,
    /// The scenario with its plan.
    pub scenario: Scenario,
    /// Its run.
    pub run: Run,
    /// Runs that were made.
    pub tried: u64,
    mutant: Option<Planted>,
    took: Duration,
}

/// Candidates, and the best of them so far.
struct Search {
    seed: u64,
    signature: Signature,
    scenario: Scenario,
    /// Steps after which a candidate is given up.
    patience: u64,
    tried: u64,
}

impl Search {
    fn fails(&mut self, candidate: &Scenario) -> bool {
        self.tried += 1;
        let mut candidate = candidate.clone();
        // A stall is only known at the deadline; whatever must never happen happens early or is given up.
        if self.signature.kind != FailureKind::Liveness {
            candidate.max_steps = candidate.max_steps.min(self.patience);
        }
        Signature::of(&run_seed(&candidate, self.seed)) == Some(self.signature)
    }

    fn keep_if(&mut self, change: impl FnOnce(&mut Scenario)) -> bool {
        let mut candidate = self.scenario.clone();
        change(&mut candidate);
        let fails = candidate != self.scenario && self.fails(&candidate);
        if fails {
            self.scenario = candidate;
        }
        fails
    }

    fn least<T: Clone + Ord>(&mut self, all: &BTreeSet<T>, set: impl Fn(&mut Scenario, BTreeSet<T>)) {
        let all: Vec<T> = all.iter().cloned().collect();
        let left = least(&all, |some| {
            let mut candidate = self.scenario.clone();
            set(&mut candidate, some.iter().cloned().collect());
            self.fails(&candidate)
        });
        set(&mut self.scenario, left.into_iter().collect());
    }

    fn kinds(&mut self, happened: &Happened) {
        for kind in FaultKind::ALL {
            if happened.faults.iter().any(|id| id.kind == kind) {
                self.keep_if(|scenario| {
                    let left = scenario.plan.faults.get_or_insert_with(|| happened.faults.clone());
                    left.retain(|id| id.kind != kind);
                });
            }
        }
    }

    /// Ends the troubles earlier, as early as it goes.
    fn hurry(&mut self, run: &Run) {
        let mut end = run.virtual_ms.min(self.scenario.trouble_ms.1);
        while end > 1_000 && self.keep_if(|scenario| scenario.trouble_ms = (end, end)) {
            end = end * 3 / 4;
        }
    }

    /// Leaves out what it can, once.
    fn round(&mut self) {
        let happened = Happened::of(&self.scenario, self.seed);
        self.scenario.plan.faults = Some(happened.faults.clone());
        self.kinds(&happened);
        let faults = self.scenario.plan.faults.clone().unwrap_or_default();
        self.least(&faults, |scenario, some| scenario.plan.faults = Some(some));
        let happened = Happened::of(&self.scenario, self.seed);
        self.least(&happened.devices, |scenario, some| scenario.plan.devices = Some(some));
        let happened = Happened::of(&self.scenario, self.seed);
        self.least(&happened.acts, |scenario, some| scenario.plan.acts = Some(some));
        let fewest = self.scenario.gateways.0.min(self.scenario.gateways.1);
        (1..fewest.max(self.scenario.gateways.1)).any(|count| self.keep_if(|scenario| scenario.gateways = (count, count)));
    }
}

/// Leaves out what the failure does not need, until nothing more can be left out.
///
/// # Errors
/// A line that says that the run does not fail.
pub fn shrink(case: &Case) -> Result<Shrunk, String> {
    case.planted(|| shrink_planted(case))
}

fn shrink_planted(case: &Case) -> Result<Shrunk, String> {
    let begun = Instant::now();
    let (run, signature) = case.fail()?;
    let before = Happened::of(&case.scenario, case.seed);
    let mut search =
        Search { seed: case.seed, signature, scenario: case.scenario.clone(), patience: run.steps.saturating_mul(2), tried: 0 };
    search.hurry(&run);
    loop {
        let last = search.scenario.clone();
        search.round();
        if search.scenario == last {
            break;
        }
    }
    let run = run_seed(&search.scenario, case.seed);
    let mut after = Happened::of(&search.scenario, case.seed);
    // What never came to pass within the plan is no part of it.
    after.steps = run.steps;
    let (scenario, tried, mutant) = (search.scenario, search.tried, case.mutant);
    Ok(Shrunk { signature, before, after, scenario, run, tried, mutant, took: begun.elapsed() })
}

impl Shrunk {
    /// Saves it as a file that the simulator runs again. Says where.
    ///
    /// # Errors
    /// A line that says why not.
    pub fn save(&self, path: &Path) -> Result<String, String> {
        let failure = failure(&self.run).ok_or("what is left does not fail")?;
        let text = saved::write(&self.scenario, &self.run, failure, &Origin::here(), self.mutant);
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path.display().to_string())
    }

    /// Says what is left.
    pub(crate) fn tell(&self, saved: Option<&str>, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.signature)?;
        writeln!(out, "was   {}", self.before.tell())?;
        writeln!(out, "is    {}", self.after.tell())?;
        writeln!(out, "tried {} runs in {}.{:03} s", self.tried, self.took.as_secs(), self.took.subsec_millis())?;
        self.after.faults.iter().try_for_each(|id| writeln!(out, "fault {id}"))?;
        self.after.acts.iter().try_for_each(|id| writeln!(out, "act   {id}"))?;
        if let Some(failure) = failure(&self.run) {
            writeln!(out, "step  {}: {}", failure.step, failure.detail)?;
        }
        saved.map_or(Ok(()), |path| writeln!(out, "saved {path}: doubletick-replay {path}"))
    }
}
