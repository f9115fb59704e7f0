//! From which step on a failure was inevitable.
//!
//! The run is taken up after a step, and everything that is not settled yet is drawn anew, from other seeds; nothing more goes wrong. If it
//! fails in the same way in each of these futures, the harm is in the state, and had been done by then.

use crate::case::{Case, Signature};
use doubletick_sim::cli::panics::quietly;
use doubletick_sim::player::Player;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Futures of each step that is looked at.
pub const FUTURES: u64 = 16;
/// Steps at which is looked at first, evenly spread over the run.
const LOOKS: u64 = 12;

/// Of the steps that were looked at, in how many of their futures the run fails in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// By step: of [`FUTURES`] many.
    pub failing: BTreeMap<u64, u64>,
    /// The first step after which it failed in all of them, and did so after each later one that was looked at.
    pub inevitable: Option<u64>,
    /// The last step of the run.
    pub steps: u64,
}

/// Looks for it, by looking at steps that are evenly spread and then at those between the last with a way out and the first without.
///
/// The steps between two that were looked at are taken to be like these, and a way out that none of the futures takes is not seen.
pub fn fate(case: &Case, signature: Signature) -> Fate {
    quietly(|| case.planted(|| looked(case, signature))).0
}

fn looked(case: &Case, signature: Signature) -> Fate {
    let mut player = Player::play(&case.scenario, case.seed);
    let steps = player.run().steps;
    let mut failing = BTreeMap::new();
    // After its last step a run has failed; the one before is the last at which anything is open.
    let last = steps.saturating_sub(1);
    for nth in 0..=LOOKS {
        look(&mut player, signature, last * nth / LOOKS, &mut failing);
    }
    loop {
        let open = failing.iter().rev().find(|(_, failed)| **failed < FUTURES).map(|(step, _)| *step);
        let from = open.map_or(0, |step| step + 1);
        let closed = failing.range(from..).next().map(|(step, _)| *step);
        match (open, closed) {
            (Some(open), Some(closed)) if closed > open + 1 => look(&mut player, signature, open + (closed - open) / 2, &mut failing),
            (_, inevitable) => return Fate { failing, inevitable, steps },
        }
    }
}

fn look(player: &mut Player<'_>, signature: Signature, step: u64, failing: &mut BTreeMap<u64, u64>) {
    player.go(step);
    let fails = |seed: &u64| Signature::of(&player.with_another_rest(*seed)) == Some(signature);
    let failed = (1..=FUTURES).filter(fails).count() as u64;
    failing.insert(step, failed);
}

impl Fate {
    /// Says which step it was, and what was seen on the way.
    pub(crate) fn tell(&self, out: &mut dyn Write) -> io::Result<()> {
        match self.inevitable {
            Some(0) => writeln!(out, "inevitable from the beginning: no fault is needed")?,
            Some(step) => writeln!(
                out,
                "inevitable from step {step} on: after it the run fails in {FUTURES} of {FUTURES} futures without further faults"
            )?,
            None => writeln!(
                out,
                "not inevitable before step {}, the last: there are futures without further faults in which it does not fail",
                self.steps
            )?,
        }
        let seen: Vec<String> = self.failing.iter().map(|(step, failed)| format!("{step}: {failed}")).collect();
        writeln!(out, "failing futures of {FUTURES}, by step: {}", seen.join(", "))
    }
}
