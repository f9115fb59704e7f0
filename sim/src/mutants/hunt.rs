//! Runs worlds with a planted bug until one of them fails.

use super::plan::Plan;
use crate::{Failure, Run, Scenario, Verdict, run};
use doubletick_core::probe::{self, Bug};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

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
}

/// How a mutant was found.
pub(super) struct Kill {
    pub(super) oracle: &'static str,
    pub(super) seed: u64,
    pub(super) detail: String,
}

/// The kind of world in which a bug has to be found.
pub(super) fn scenario_of(bug: Bug) -> Scenario {
    let about = bug.about();
    let scenario = match about.scenario {
        "storm" => Scenario::storm(),
        "calm" => Scenario::default(),
        other => panic!("{} is to be found in {other}, which there is not", bug.name()),
    };
    // The proof of the rows sees many bugs before anybody feels them. Of those it is asked whether the others would see them without it.
    let sample_every = if about.breaks[0] == "LOG_PROOF" { scenario.sample_every } else { scenario.max_steps };
    Scenario { sample_every, ..scenario }
}

/// Hunts all, side by side. Hands each bug's fates, one a range, to `each` as soon as they and those of the bugs before it are there.
pub(super) fn hunt(plan: &Plan, mut each: impl FnMut(Bug, &[Fate])) {
    let ranges = plan.ranges as usize;
    let next = AtomicUsize::new(0);
    let (sender, fates) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let unit = next.fetch_add(1, Ordering::Relaxed);
                    let Some(bug) = plan.bugs.get(unit / ranges) else { break };
                    let fate = one_range(plan, *bug, (unit % ranges) as u64);
                    if sender.send((unit, fate)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut known: Vec<Option<Fate>> = (0..plan.bugs.len() * ranges).map(|_| None).collect();
        let mut told = 0;
        for (unit, fate) in fates {
            known[unit] = Some(fate);
            while let Some(bug) = plan.bugs.get(told)
                && known[told * ranges..(told + 1) * ranges].iter().all(Option::is_some)
            {
                let fates: Vec<Fate> = known[told * ranges..(told + 1) * ranges].iter_mut().filter_map(Option::take).collect();
                each(*bug, &fates);
                told += 1;
            }
        }
    });
}

fn one_range(plan: &Plan, bug: Bug, range: u64) -> Fate {
    let scenario = scenario_of(bug);
    let first = plan.first(range);
    let mut fate = Fate { kill: None, seeds: 0, reached: 0, void: 0 };
    for seed in first..first + plan.seeds {
        let (run, reached) = probe::with(bug, || run(&scenario, seed));
        fate.seeds += 1;
        fate.reached += u64::from(reached > 0);
        let Run { verdict: Verdict::Failed(Failure { oracle, detail, .. }), .. } = run else { continue };
        if is_red_anyway(&scenario, seed) {
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

/// Whether a seed fails without any planted bug.
fn is_red_anyway(scenario: &Scenario, seed: u64) -> bool {
    matches!(run(scenario, seed).verdict, Verdict::Failed(_))
}
