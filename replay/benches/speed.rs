//! How fast a run is replayed, which is red where it misses the bars of `docs/replay.md`: `cargo bench -p doubletick-replay --bench speed`.

#![allow(missing_docs, reason = "it is a program")]

mod on_core;

use doubletick_sim::fault::FaultKind;
use doubletick_sim::player::Player;
use doubletick_sim::{Scenario, run};
use on_core::on_core;
use std::time::Duration;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let begun = on_core();
    let what = what();
    (what, on_core() - begun)
}

/// A million steps are replayed in twice their time, and each is reached within a second.
fn main() {
    let scenario = Scenario {
        users: (8, 8),
        trouble_ms: (300_000_000, 300_000_000),
        pace_ms: (300, 2_000),
        max_steps: 1_000_000,
        ..Scenario::default()
    }
    .with(FaultKind::Delay, 300_000, (1, 400))
    .with(FaultKind::Conflict, 30_000, (0, 0))
    .with(FaultKind::Reset, 1_000, (0, 0));
    let (alone, simulated) = timed(|| run(&scenario, 1));
    let (mut player, played) = timed(|| Player::play(&scenario, 1));
    assert_eq!(player.run(), &alone);
    let steps = alone.steps;
    assert_eq!(steps, 1_000_000, "it is long enough");
    let mut slowest = Duration::ZERO;
    // Far apart and near each other, forwards and backwards.
    for nth in 0..24 {
        let goal = if nth % 3 == 2 { player.at() - 1 } else { (nth * 7 % 24 + 1) * steps / 24 };
        let (step, took) = timed(|| player.go(goal));
        assert_eq!(step.map(|step| step.number), Some(goal));
        slowest = slowest.max(took);
    }
    println!("{steps} steps: simulated in {simulated:?}, played in {played:?}, slowest of 24 jumps {slowest:?}");
    assert!(played < 2 * simulated && slowest < Duration::from_secs(1));
}
