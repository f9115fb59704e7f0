//! What is left of a failure when everything that it does not need is left out.
//!
//! Nothing is drawn anew: a candidate has a part of what happened in the run before, and only counts if it fails in the same way.

use crate::case::{Case, Signature, failure};
use crate::search::least;
use doubletick_sim::cli::panics::{quietly, run_seed};
use doubletick_sim::cli::planted::Planted;
use doubletick_sim::cli::saved::{self, Origin};
use doubletick_sim::fault::FaultKind;
use doubletick_sim::plan::{ActId, FaultId};
use doubletick_sim::watch::{Entry, watch_briefly};
use doubletick_sim::{Run, Scenario};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// What happened in a run that can be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Happened {
    /// Faults, in the order in which they happened.
    pub faults: Vec<FaultId>,
    /// What people did, in that order.
    pub acts: Vec<ActId>,
    /// Devices that were registered, or tried to.
    pub devices: BTreeSet<u32>,
    /// Steps.
    pub steps: u64,
}

impl Happened {
    /// In one run.
    pub fn of(scenario: &Scenario, seed: u64) -> Self {
        let ((run, brief), _) = quietly(|| watch_briefly(scenario, seed));
        let mut happened = Self { devices: brief.devices, steps: run.steps, ..Self::default() };
        for (_, entry) in brief.entries {
            match entry {
                Entry::Fault(id) => happened.faults.push(id),
                Entry::Act(id) => happened.acts.push(id),
                Entry::In(..) | Entry::Out(..) | Entry::Row(..) | Entry::Fired(_) => {}
            }
        }
        happened
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
    /// Whether it ended although more could perhaps be left out.
    pub unfinished: bool,
    mutant: Option<Planted>,
    took: Duration,
}

/// Into how many parts what can be left out is cut at most, in the first rounds: what is left of a long run by a few coarse cuts is so much
/// shorter that the fine ones cost little.
const COARSE: [usize; 2] = [4, 32];

/// Faults of which two are left out at a time, if there is none that can be left out alone; of more there would be too many twos.
const PAIRED: usize = 128;

/// A candidate is given up after so many times the steps of the best one.
const PATIENCE: u64 = 2;

/// Steps that all candidates may make together: about a minute on one core. Then it ends with what it has.
const BUDGET: u64 = 60_000_000;

/// Faults with which a search is content.
const FEW: usize = 10;

/// In which order things are left out. Where a failure hangs on the timing of many things, one order gets stuck where another does not.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    /// What happened last is left out first.
    late_first: bool,
    /// Faults are left out before acts.
    faults_first: bool,
}

impl Way {
    /// The later ones are gone if the earlier ones leave many faults.
    const ALL: [Self; 4] = [
        Self { late_first: false, faults_first: false },
        Self { late_first: true, faults_first: false },
        Self { late_first: false, faults_first: true },
        Self { late_first: true, faults_first: true },
    ];

    fn sorted<T>(self, mut all: Vec<T>) -> Vec<T> {
        if self.late_first {
            all.reverse();
        }
        all
    }
}

/// Candidates, and the best of them so far.
#[derive(Clone)]
struct Search {
    seed: u64,
    signature: Signature,
    scenario: Scenario,
    /// Steps of its run.
    steps: u64,
    tried: u64,
    /// Steps that all candidates have made.
    made: u64,
}

impl Search {
    /// Takes a candidate if it fails in the same way.
    fn take(&mut self, candidate: Scenario) -> bool {
        if self.is_over() {
            return false;
        }
        self.tried += 1;
        let mut hasty = candidate.clone();
        hasty.max_steps = hasty.max_steps.min(self.steps.saturating_mul(PATIENCE));
        let run = run_seed(&hasty, self.seed);
        self.made += run.steps;
        // What is given up is no stall.
        let given_up = run.steps >= hasty.max_steps && hasty.max_steps < candidate.max_steps;
        let fails = !given_up && Signature::of(&run) == Some(self.signature);
        if fails {
            (self.scenario, self.steps) = (candidate, run.steps);
        }
        fails
    }

    fn is_over(&self) -> bool {
        self.made >= BUDGET
    }

    fn take_if_changed(&mut self, change: impl FnOnce(&mut Scenario)) -> bool {
        let mut candidate = self.scenario.clone();
        change(&mut candidate);
        candidate != self.scenario && self.take(candidate)
    }

    fn least<T: Clone>(&mut self, all: &[T], parts: usize, set: impl Fn(&mut Scenario, &[T])) {
        least(all, parts, |some| {
            let mut candidate = self.scenario.clone();
            set(&mut candidate, some);
            self.take(candidate)
        });
    }

    fn happened(&self) -> Happened {
        Happened::of(&self.scenario, self.seed)
    }

    /// Ends the troubles earlier, as early as it goes.
    fn hurry(&mut self, virtual_ms: u64) {
        let mut end = virtual_ms.min(self.scenario.trouble_ms.1);
        while end > 1_000 && self.take_if_changed(|scenario| scenario.trouble_ms = (end, end)) {
            end = end * 3 / 4;
        }
    }

    /// Leaves out two faults, of which neither can be left out alone: each is perhaps there only to undo what the other does. Says whether it
    /// found any.
    fn pair(&mut self) -> bool {
        let faults = self.happened().faults;
        if faults.len() > PAIRED {
            return false;
        }
        let pairs = faults.iter().enumerate().flat_map(|(nth, one)| faults[nth + 1..].iter().map(move |other| [one, other]));
        pairs.into_iter().any(|pair| {
            let left = faults.iter().filter(|id| !pair.contains(id)).copied().collect();
            self.take_if_changed(|scenario| scenario.plan.faults = Some(left))
        })
    }

    fn acts(&mut self, parts: usize, way: Way) {
        let acts = way.sorted(self.happened().acts);
        self.least(&acts, parts, |scenario, some| scenario.plan.acts = Some(some.iter().copied().collect()));
    }

    fn faults(&mut self, parts: usize, way: Way) {
        let set = |scenario: &mut Scenario, some: &[FaultId]| scenario.plan.faults = Some(some.iter().copied().collect());
        let faults = way.sorted(self.happened().faults);
        self.least(&faults, parts, set);
        // What cannot be left out together with what happened next perhaps can with what else befell the same one.
        let mut faults = self.happened().faults;
        faults.sort_unstable_by_key(|id| (id.who, *id));
        self.least(&way.sorted(faults), parts, set);
    }

    /// Leaves out what it can, once: what makes a run long first.
    fn round(&mut self, parts: usize, way: Way) {
        let devices = way.sorted(self.happened().devices.into_iter().collect());
        self.least(&devices, parts, |scenario, some| scenario.plan.devices = Some(some.iter().copied().collect()));
        let faults = self.happened().faults;
        let kinds: Vec<FaultKind> = FaultKind::ALL.into_iter().filter(|kind| faults.iter().any(|id| id.kind == *kind)).collect();
        self.least(&way.sorted(kinds), parts, |scenario, some| {
            scenario.plan.faults = Some(faults.iter().copied().filter(|id| some.contains(&id.kind)).collect());
        });
        if way.faults_first {
            self.faults(parts, way);
            self.acts(parts, way);
        } else {
            self.acts(parts, way);
            self.faults(parts, way);
        }
        let fewest = self.scenario.gateways.0.min(self.scenario.gateways.1);
        (1..fewest.max(self.scenario.gateways.1)).any(|count| self.take_if_changed(|scenario| scenario.gateways = (count, count)));
    }

    /// Leaves out what it can until nothing more can be left out.
    fn go(&mut self, way: Way) {
        COARSE.into_iter().for_each(|parts| self.round(parts, way));
        loop {
            let last = self.scenario.clone();
            self.round(usize::MAX, way);
            if self.scenario == last && !self.pair() {
                return;
            }
        }
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
    let mut search = Search { seed: case.seed, signature, scenario: case.scenario.clone(), steps: run.steps, tried: 0, made: 0 };
    // From here on nothing is drawn anew.
    search.scenario.plan.faults = Some(before.faults.iter().copied().collect());
    search.hurry(run.virtual_ms);
    let search = best(search);
    let run = run_seed(&search.scenario, case.seed);
    let mut after = search.happened();
    // What never came to pass within the plan is no part of it.
    after.steps = run.steps;
    let unfinished = search.is_over();
    let (scenario, tried, mutant) = (search.scenario, search.tried, case.mutant);
    Ok(Shrunk { signature, before, after, scenario, run, tried, unfinished, mutant, took: begun.elapsed() })
}

/// The way that leaves the fewest faults, of those that have to be gone.
fn best(begin: Search) -> Search {
    let mut best: Option<(usize, Search)> = None;
    let (mut tried, mut made) = (begin.tried, begin.made);
    for way in Way::ALL {
        let mut search = Search { tried, made, ..begin.clone() };
        search.go(way);
        (tried, made) = (search.tried, search.made);
        let left = search.happened().faults.len();
        let over = search.is_over();
        if best.as_ref().is_none_or(|(fewest, _)| left < *fewest) {
            best = Some((left, search));
        }
        if left <= FEW || over {
            break;
        }
    }
    let best = best.map_or(begin, |(_, search)| search);
    Search { tried, made, ..best }
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
        if self.unfinished {
            writeln!(out, "ended after {BUDGET} steps, and perhaps more can be left out: save what is left, and shrink that")?;
        }
        self.after.faults.iter().try_for_each(|id| writeln!(out, "fault {id}"))?;
        self.after.acts.iter().try_for_each(|id| writeln!(out, "act   {id}"))?;
        if let Some(failure) = failure(&self.run) {
            writeln!(out, "step  {}: {}", failure.step, failure.detail)?;
        }
        saved.map_or(Ok(()), |path| writeln!(out, "saved {path}: doubletick-replay {path}"))
    }
}
