//! A panic in a world is a verdict.

use doubletick_sim::cli::exit::Outcome;
use doubletick_sim::cli::panics::run_seed;
use doubletick_sim::{FailureKind, Scenario, Verdict};

#[test]
fn a_panic_in_a_world_is_a_crash_with_its_message_and_its_place() {
    // No file can say this: a body beyond the limit, which a device would never hand to the core.
    let impossible = Scenario { body_bytes: (200_000, 200_000), ..Scenario::default() };
    let run = run_seed(&impossible, 1);
    let Verdict::Failed(failure) = run.verdict else { panic!("it ran") };
    assert_eq!((failure.kind, failure.oracle), (FailureKind::Crash, "PANIC"), "{}", failure.detail);
    assert!(failure.detail.starts_with("sim/src/people.rs:") && failure.detail.ends_with("TooLarge"), "{}", failure.detail);
    assert_eq!(Outcome::from(failure.kind).code(), 12);
    // The place belongs to that run, and to no other of the thread.
    let calm = run_seed(&Scenario::default(), 1);
    assert_eq!(calm.verdict, Verdict::Clean);
}
