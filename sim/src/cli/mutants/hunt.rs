//! Runs worlds with a planted bug until one of them fails.

use crate::cli::arguments::MutantArguments;
use crate::cli::nearest::nearest;
use crate::cli::panics::run_seed;
use crate::cli::pool::Work;
use crate::cli::{scenario_file, signals};
use crate::run::{Failure, FailureKind, Verdict};
use crate::scenario::Scenario;
use core::ops::ControlFlow;
use doubletick_core::probe::{self, Bug};
use std::path::Path;

/// Between the first seeds of two ranges.
const APART: u64 = 1_000_000;
/// So many seeds that fail by themselves end a range: nothing can be said in such a world.
const MOST_VOID: u64 = 10;

/// What came of a mutant in one range of seeds.
pub(super) struct Fate {
    /// How it was found; `None` if it survived.
    pub(super) kill: Option<Kill>,
    /// Seeds that were run.
    pub(super) seeds: u64,
    /// Those of them in which the planted bug decided anything.
    pub(super) reached: u64,
    /// Seeds that fail without it too, and say nothing of it.
    pub(super) void: u64,
    /// A signal ended it before the range was through.
    pub(super) cut_short: bool,
}

/// How a mutant was found.
pub(super) struct Kill {
    pub(super) oracle: &'static str,
    pub(super) seed: u64,
    pub(super) detail: String,
}

/// A mutant in one range of seeds.
pub(super) struct Job {
    bug: Bug,
    scenario: Scenario,
    from: u64,
    seeds: u64,
}

/// Told of each mutant and its fates, one a range.
type Tell = Box<dyn FnMut(Bug, &[Fate])>;

/// What is left to be hunted, and what is told of each mutant when its ranges are through.
pub(super) struct Hunt {
    /// Each with the world in which it is to be found.
    quarry: Vec<(Bug, Scenario)>,
    arguments: MutantArguments,
    next: u64,
    fates: Vec<Fate>,
    told: usize,
    tell: Tell,
}

impl Hunt {
    /// # Errors
    /// A line that says what is wrong with the arguments.
    pub(super) fn new(arguments: &MutantArguments) -> Result<Self, String> {
        let named = arguments.only.iter().map(|name| named(name)).collect::<Result<Vec<Bug>, String>>()?;
        let bugs = if named.is_empty() { Bug::ALL.to_vec() } else { named };
        let quarry = bugs.into_iter().map(|bug| Ok((bug, scenario_of(bug)?))).collect::<Result<_, String>>()?;
        Ok(Self { quarry, arguments: arguments.clone(), next: 0, fates: Vec::new(), told: 0, tell: Box::new(|_, _| {}) })
    }

    /// Tells of each mutant as soon as it is through.
    pub(super) fn telling(self, tell: impl FnMut(Bug, &[Fate]) + 'static) -> Self {
        Self { tell: Box::new(tell), ..self }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.quarry.iter().map(|(bug, _)| bug.name())
    }
}

impl Work for Hunt {
    type Job = Job;
    type Done = Fate;

    fn next(&mut self) -> Option<Job> {
        let (nth, range) = (self.next / self.arguments.ranges, self.next % self.arguments.ranges);
        let (bug, scenario) = self.quarry.get(nth as usize).filter(|_| !signals::stopped())?;
        self.next += 1;
        let from = self.arguments.first() + range * APART;
        Some(Job { bug: *bug, scenario: scenario.clone(), from, seeds: self.arguments.seeds.unwrap_or(bug.about().within) })
    }

    fn merge(&mut self, fate: Fate) -> ControlFlow<()> {
        self.fates.push(fate);
        if self.fates.last().is_some_and(|fate| fate.cut_short) {
            return ControlFlow::Break(());
        }
        if self.fates.len() as u64 == self.arguments.ranges {
            (self.tell)(self.quarry[self.told].0, &core::mem::take(&mut self.fates));
            self.told += 1;
        }
        ControlFlow::Continue(())
    }

    fn tick(&mut self) {}
}

/// Runs one range, until the mutant is found or has survived.
pub(super) fn hunt(job: Job) -> Fate {
    let Job { bug, scenario, from, seeds } = job;
    let mut fate = Fate { kill: None, seeds: 0, reached: 0, void: 0, cut_short: false };
    for seed in from..from + seeds {
        if signals::stopped() {
            fate.cut_short = true;
            break;
        }
        let (run, reached) = probe::with(bug, || run_seed(&scenario, seed));
        fate.seeds += 1;
        fate.reached += u64::from(reached > 0);
        let Verdict::Failed(Failure { kind, oracle, detail, .. }) = run.verdict else { continue };
        // A run in which nothing happened is nobody's find.
        if kind == FailureKind::Inert {
            continue;
        }
        // What fails without the bug too says nothing of it.
        if matches!(run_seed(&scenario, seed).verdict, Verdict::Failed(_)) {
            fate.void += 1;
            if fate.void == MOST_VOID {
                break;
            }
            continue;
        }
        fate.kill = Some(Kill { oracle, seed, detail });
        break;
    }
    fate
}

/// The kind of world in which a bug has to be found.
fn scenario_of(bug: Bug) -> Result<Scenario, String> {
    let about = bug.about();
    let scenario = scenario_file::read(&Path::new("scenarios").join(about.scenario).with_extension("toml"))?;
    // The proof of the rows sees many bugs before anybody feels them. Of those it is asked whether the others would see them without it.
    let sample_every = if about.breaks[0] == "LOG_PROOF" { scenario.sample_every } else { scenario.max_steps };
    Ok(Scenario { sample_every, ..scenario })
}

fn named(name: &str) -> Result<Bug, String> {
    let found = Bug::ALL.into_iter().find(|bug| bug.name() == name);
    found.ok_or_else(|| format!("there is no mutant {name}; did you mean {}?", nearest(name, Bug::ALL.into_iter().map(Bug::name))))
}
