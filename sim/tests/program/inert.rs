//! A run that proves less than it should is red, however clean its seeds are.

use super::{CALM, Dir, ends_with, out, sim};

/// Short, so that a hundred seeds take no time, and long enough for something to be delivered.
const SHORT: &str = "description = \"A short one\"\nusers = 2\ndevices = 1\ngateways = 1\ntrouble_ms = 1_000\npace_ms = [50, 200]\n";
/// On in every seed, offered with every frame, and so rare that it never fires.
const RARE: &str = "[faults]\nreset = 1\n";

/// Hardly anybody ever writes anything.
fn idle() -> String {
    let pace = SHORT.replace("pace_ms = [50, 200]", "pace_ms = 1_000");
    format!("{pace}[operations]\nwrite = 1\nburst = 0\nreply = 0\nshow = 1_000_000\n")
}

#[test]
fn a_fault_that_was_on_in_a_hundred_seeds_and_never_fired_is_inert() {
    let dir = Dir::new("never-fired");
    let rare = dir.file("rare.toml", &format!("{SHORT}{RARE}"));
    let text = ends_with(14, &["run", &rare, "--seeds", "100", "--twice", "0"]);
    assert!(text.contains("inert: rare: reset was on in 100 runs, offered ") && text.contains(" times, and never fired\n"), "{text}");
    let text = ends_with(0, &["run", &rare, "--seeds", "99", "--twice", "0"]);
    assert!(!text.contains("inert"), "a hundred are enough to say so, and fewer are not: {text}");
}

#[test]
fn an_oracle_that_compared_nothing_in_a_hundred_seeds_is_inert() {
    let dir = Dir::new("never-compared");
    let idle = dir.file("idle.toml", &idle());
    let text = ends_with(14, &["run", &idle, "--seeds", "100", "--twice", "0"]);
    assert!(text.contains("inert: idle: VISIBLE_ONCE compared nothing in 100 runs\n"), "{text}");
    let text = ends_with(14, &["run", &idle, "--seeds", "99", "--twice", "0"]);
    assert!(!text.contains("compared nothing") && text.contains("inert: idle: nothing was delivered in 99 of 99 runs\n"), "{text}");
}

#[test]
fn one_inert_scenario_makes_a_run_of_all_inert_and_the_others_say_nothing_of_it() {
    let dir = Dir::new("inert-all");
    std::fs::create_dir_all(dir.path("scenarios/aside")).unwrap();
    dir.file("scenarios/calm.toml", CALM);
    let all = |seeds: &str| sim(&["run", "--all", "--seeds", seeds, "--twice", "0"]).current_dir(dir.path("")).output().unwrap();
    // What lies in a folder within is no part of all.
    dir.file("scenarios/aside/idle.toml", &idle());
    let output = all("4");
    assert_eq!(output.status.code(), Some(0), "{}", out(&output));
    dir.file("scenarios/idle.toml", &idle());
    let output = all("4");
    let text = out(&output);
    assert_eq!(output.status.code(), Some(14), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let inert: Vec<&str> = text.lines().filter(|line| line.starts_with("inert: ")).collect();
    assert_eq!(inert, ["inert: idle: nothing was delivered in 4 of 4 runs"], "{text}");
}

#[test]
fn a_number_of_faults_that_will_never_fire_is_not_waited_for() {
    let dir = Dir::new("nothing-fires");
    let rare = dir.file("rare.toml", &format!("{SHORT}{RARE}"));
    let text = ends_with(14, &["run", &rare, "--faults", "1", "--twice", "0"]);
    assert!(text.contains("given up, for nothing fired"), "{text}");
}
