//! What is left of failures with hundreds of faults, and how long that takes, which is red where it misses the bars of `docs/replay.md`:
//! `cargo bench -p doubletick-replay --features probes --bench shrink [-- TEXT]`, of lines that hold the text.

#![allow(missing_docs, reason = "it is a program")]

mod on_core;

use doubletick_core::probe::Bug;
use doubletick_replay::case::{Case, Signature};
use doubletick_replay::shrink::{Happened, shrink};
use doubletick_sim::FailureKind;
use on_core::on_core;
use std::time::Duration;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Seeds of each scenario that are tried with each bug: the failure with the most faults is taken.
const SEEDS: u64 = 24;
/// Faults that a failure must have to be of interest.
const MANY: std::ops::RangeInclusive<usize> = 100..=1_000;
/// Faults that may be left.
const FEW: usize = 10;
/// Time that it may take.
const SOON: Duration = Duration::from_secs(60);

/// One failure in so many may miss it: one that hangs on the timing of everything.
const TOLERATED: usize = 20;

const SCENARIOS: [&str; 5] = ["storm", "everything", "flaky-mobile", "big-backlog", "store-trouble"];

fn worst(scenario: &str, bug: Bug) -> Option<(Case, usize)> {
    let path = format!("{}/../scenarios/{scenario}.toml", env!("CARGO_MANIFEST_DIR"));
    let case = |seed: u64| Case::find(&[seed.to_string(), path.clone()], Some(bug.name())).expect("it is there");
    // A run in which nothing was delivered shows nothing of the bug.
    let seen = |signature: Signature| signature.kind != FailureKind::Inert && bug.about().breaks.contains(&signature.oracle);
    let broken = |case: &Case| Signature::of(&case.run()).is_some_and(seen);
    let failing = (0..SEEDS).map(case).filter(broken);
    let faults = |case: Case| {
        let faults = case.planted(|| Happened::of(&case.scenario, case.seed)).faults.len();
        (case, faults)
    };
    failing.map(faults).filter(|(_, faults)| MANY.contains(faults)).max_by_key(|(_, faults)| *faults)
}

/// Shrinks the failure with the most faults of every bug in every scenario.
fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    println!("| scenario | seed | bug | promise | faults | left | acts | left | steps | left | runs | seconds |");
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    let (mut missed, mut all) = (0, 0);
    for scenario in SCENARIOS {
        for bug in Bug::ALL {
            if !wanted.iter().all(|text| format!("{scenario} {}", bug.name()).contains(text)) {
                continue;
            }
            let Some((case, _)) = worst(scenario, bug) else { continue };
            eprintln!("seed {} of {scenario} with {}", case.seed, bug.name());
            let begun = on_core();
            let shrunk = shrink(&case).expect("it fails");
            let took = on_core() - begun;
            let (before, after) = (&shrunk.before, &shrunk.after);
            let row = [
                scenario.to_owned(),
                case.seed.to_string(),
                bug.name().to_owned(),
                shrunk.signature.to_string(),
                before.faults.len().to_string(),
                after.faults.len().to_string(),
                before.acts.len().to_string(),
                after.acts.len().to_string(),
                before.steps.to_string(),
                after.steps.to_string(),
                shrunk.tried.to_string(),
                format!("{:.1}", took.as_secs_f64()),
            ];
            println!("| {} |", row.join(" | "));
            all += 1;
            missed += usize::from(after.faults.len() > FEW || took > SOON);
        }
    }
    println!("{all} failures; {missed} with more than {FEW} faults left, or in more than {} s", SOON.as_secs());
    assert!(all > 0 && missed * TOLERATED <= all, "the bar is missed");
}
