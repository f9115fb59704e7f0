//! A panic of the core is a verdict, with its place.

use crate::run::{FailureKind, Run, Verdict, run};
use crate::scenario::Scenario;
use core::cell::{Cell, RefCell};
use std::sync::Once;

thread_local! {
    static IN_WORLD: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From here on a panic within a world is not printed, but its place is kept. Others are printed as ever.
fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if IN_WORLD.get() {
                let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
                PLACE.with_borrow_mut(|kept| *kept = kept.take().or(place));
            } else {
                before(panic);
            }
        }));
    });
}

/// Runs one seed. If the core panics, the failure says where.
pub fn run_seed(scenario: &Scenario, seed: u64) -> Run {
    with_place(|| run(scenario, seed))
}

/// Does something with worlds whose panics are caught. If one panicked, says where.
pub fn quietly<T>(live: impl FnOnce() -> T) -> (T, Option<String>) {
    install();
    IN_WORLD.set(true);
    let result = live();
    IN_WORLD.set(false);
    (result, PLACE.take())
}

/// The same for a run that is made in another way.
pub fn with_place(live: impl FnOnce() -> Run) -> Run {
    let (mut run, place) = quietly(live);
    if let (Verdict::Failed(failure), Some(place)) = (&mut run.verdict, place)
        && failure.kind == FailureKind::Crash
    {
        failure.detail = format!("{place}: {}", failure.detail);
    }
    run
}
