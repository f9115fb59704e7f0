//! Time and events.

use crate::draw::{Draws, What, Who};
use crate::fault::Ledger;
use crate::oracle::Oracle;
use crate::run::{Failure, FailureKind, Run, Verdict, Work};
use crate::scenario::Scenario;
use crate::trace::Trace;

pub(crate) fn run(scenario: &Scenario, seed: u64) -> Run {
    let draws = Draws::new(seed);
    let virtual_ms = draws.within(Who::World, What::Constant(0), 0, scenario.trouble_ms);
    let mut trace = Trace::new(scenario.checkpoint_every);
    trace.step(virtual_ms, ());
    let hash = trace.seal();
    let failure = Failure {
        kind: FailureKind::Inert,
        oracle: Oracle::Convergence.name(),
        step: 1,
        detail: "nothing was delivered".into(),
        last_steps: trace.last_steps(),
    };
    Run {
        seed,
        hash,
        checkpoints: trace.checkpoints,
        steps: trace.steps,
        virtual_ms,
        ledger: Ledger::default(),
        oracles: [0; Oracle::ALL.len()],
        work: Work::default(),
        verdict: Verdict::Failed(failure),
    }
}
