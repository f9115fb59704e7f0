//! Storms: everything that people do, everything that goes wrong, and every order of both, by the throw of dice.
//!
//! A seed gives one storm, always the same. Once it is over, every promise must be kept within a bounded time. To look at more of them:
//!
//! ```text
//! STORMS=10000 cargo test -p doubletick-core --test storms
//! STORM_SEED=7 STORM_VERBOSE=1 cargo test -p doubletick-core --test storms -- --nocapture
//! ```

#![allow(clippy::unwrap_used, reason = "a panic is the report")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one variant among many")]

#[path = "pair/disk.rs"]
mod disk;
#[path = "pair/rows.rs"]
mod memory;
mod storm;

use doubletick_core::time::Millis;
use storm::Storm;

fn number(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().expect("a number"))
}

#[test]
fn after_every_storm_every_promise_is_kept() {
    if let Some(seed) = number("STORM_SEED") {
        return weather(seed);
    }
    for seed in 0..number("STORMS").unwrap_or(60) {
        weather(seed);
    }
}

/// Tells how to see a storm again if it ends in a panic.
struct Report(Storm, u64);

impl Drop for Report {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the last steps of the storm:");
            self.0.log.iter().for_each(|line| println!("{line}"));
            println!("to see it again: STORM_SEED={} cargo test -p doubletick-core --test storms", self.1);
        }
    }
}

fn weather(seed: u64) {
    let mut report = Report(Storm::new(seed), seed);
    let storm = &mut report.0;
    let steps = 100 + storm.dice.roll(500);
    let stormy = storm.dice.roll(5);
    for _ in 0..steps {
        match storm.dice.roll(40) {
            0..=2 => storm.act(),
            fault if fault < 3 + stormy => storm.strike(),
            _ => {
                storm.step();
            }
        }
    }
    storm.heal();
    storm.pass(Millis::seconds(120), 5000);
    storm.pass(Millis::seconds(480), 5000);
    storm.check_end();
    // Some vanish without a word, and whoever watches them hears of it in time.
    let heard = storm.now;
    let gone: Vec<usize> = (0..storm.phones.len()).filter(|_| storm.dice.chance(50)).collect();
    gone.iter().for_each(|phone| storm.vanish(*phone));
    storm.pass(Millis::seconds(120), 5000);
    storm.check_gone(&gone, heard);
}
