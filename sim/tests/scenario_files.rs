//! Scenario files: what they may say, and what is said about what they may not.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

use doubletick_sim::cli::scenario_file::{keys_as_table, parse, read, write};
use doubletick_sim::cli::targets;
use doubletick_sim::fault::FaultKind;
use doubletick_sim::scenario::{Operation, Scenario, Setting};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().into()
}

/// What a file says that is wrong, without its name.
fn wrong(text: &str) -> String {
    let error = parse(text, "f.toml", "f").unwrap_err();
    assert_eq!(error.lines().count(), 1, "{error}");
    error.strip_prefix("f.toml:").unwrap().to_owned()
}

#[test]
fn every_scenario_of_the_repository_is_right_and_says_what_it_is_for() {
    let targets = targets::find(&[root().join("scenarios"), root().join("scenarios/canary")]).unwrap();
    let names: Vec<&str> = targets.iter().map(|target| target.scenario.name.as_str()).collect();
    for name in
        ["calm", "flaky-mobile", "storm", "crashy-gateways", "store-trouble", "half-open", "clock-trouble", "two-incarnations", "canary"]
            .into_iter()
            .chain(["hostile-client", "big-backlog", "everything"])
    {
        assert!(names.contains(&name), "{name} is missing: {names:?}");
    }
    for target in &targets {
        let text = std::fs::read_to_string(&target.path).unwrap();
        assert!(text.starts_with("# "), "{} does not open with a comment", target.path.display());
    }
}

#[test]
fn together_the_scenarios_have_every_fault() {
    let targets = targets::find(&[root().join("scenarios")]).unwrap();
    let never: Vec<&str> = FaultKind::ALL
        .into_iter()
        .filter(|kind| targets.iter().all(|target| target.scenario.faults[*kind as usize].per_million == 0))
        .map(FaultKind::name)
        .collect();
    assert!(never.is_empty(), "no scenario has {never:?}");
    let everything = targets.iter().find(|target| target.scenario.name == "everything").unwrap();
    let missing: Vec<&str> = FaultKind::ALL
        .into_iter()
        .filter(|kind| everything.scenario.faults[*kind as usize].per_million == 0)
        .map(FaultKind::name)
        .collect();
    assert!(missing.is_empty(), "everything.toml has no {missing:?}");
}

#[test]
fn the_storm_in_the_file_is_the_storm_in_the_code() {
    let file = read(&root().join("scenarios/storm.toml")).unwrap();
    let code = Scenario { description: file.description.clone(), ..Scenario::storm() };
    assert_eq!(file, code, "the file must say:\n{}", write(&code));
}

#[test]
fn what_is_written_is_read_as_the_same_scenario() {
    let described = |scenario: Scenario| Scenario { name: "f".into(), description: "It says \"why\".".into(), ..scenario };
    let mut odd = Scenario::storm();
    odd.without = vec![FaultKind::Reset, FaultKind::Crash];
    odd.weights[Operation::Burst as usize] = 77;
    (odd.users, odd.settle_ms, odd.sample_every, odd.swarm) = ((2, 2), 1, 7, 1);
    odd.faults[FaultKind::Crash as usize] = Setting { per_million: 1, length: (5, 5) };
    for scenario in [Scenario::default(), Scenario::storm(), odd].map(described) {
        let text = write(&scenario);
        assert_eq!(parse(&text, "f.toml", "f").unwrap(), scenario, "{text}");
    }
}

#[test]
fn a_name_that_there_is_not_is_told_with_its_line_and_the_nearest_that_there_is() {
    for (text, error) in [
        ("description = \"x\"\n\nuser = 3", "3: there is no key `user`; did you mean `users`?"),
        ("[fault]\nreset = 3", "1: there is no key `fault`; did you mean `faults`?"),
        ("[faults]\n# a comment\nresett = 3", "3: there is no fault `resett`; did you mean `reset`?"),
        ("[faults]\ncrash = { per_milion = 3 }", "2: a fault has no key `per_milion`; did you mean `per_million`?"),
        ("[operations]\nbusrt = 3", "2: there is no operation `busrt`; did you mean `burst`?"),
        ("without = [\"reset\", \"partitions\"]", "1: there is no fault `partitions`; did you mean `partition`?"),
    ] {
        assert_eq!(wrong(text), error);
    }
}

#[test]
fn a_value_out_of_its_range_or_of_another_kind_is_told() {
    for (text, error) in [
        ("users = 1", "1: `users` must be a whole number from 2 to 64, or two: [least, most]"),
        ("users = [2, 65]", "1: `users` must be a whole number from 2 to 64"),
        ("users = [2, 3, 4]", "1: `users` must be one number or two: [least, most]"),
        ("users = [4, 3]", "1: `users` has 4 as its least and 3 as its most"),
        ("settle_ms = -1", "1: `settle_ms` must be a whole number from 1 to 86400000"),
        ("settle_ms = 1.5", "1: `settle_ms` must be a whole number from 1 to 86400000"),
        ("description = 3", "1: `description` must be a line of text"),
        ("description = \"\"", "1: `description` must be a line of text"),
        ("faults = 3", "1: `faults` must be a table"),
        ("without = \"reset\"", "1: `without` must be a list of faults"),
        ("[faults]\nreset = 1_000_001", "2: `reset` must be a whole number from 0 to 1000000"),
        ("[operations]\nwrite = 0", "1: `write` must have a weight: without messages there is nothing to be seen"),
    ] {
        assert_eq!(wrong(text), error);
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    for (text, error) in [
        ("[faults]\nreset = { per_million = 3, ms = 5 }", "2: `reset` has no length: leave `ms` out"),
        ("[faults]\ncrash = { per_million = 3 }", "2: `crash` has a length: it needs `ms`"),
        ("[faults]\ncrash = 3", "2: `crash` has a length: write `crash = { per_million = 3, ms = [least, most] }`"),
        ("without = [\"reset\", \"reset\"]", "1: `without` names `reset` twice"),
        ("users = 3\nusers = 4", "2: duplicate key"),
        ("users = ", "1: string values must be quoted, expected literal string"),
        ("", " `description` is missing: one sentence about what it is for"),
        (
            "description = \"x\"\ndead_per_million = 1_000_000",
            " `dead_per_million` leaves nobody alive to whom anything could be delivered",
        ),
        ("description = \"x\"\npace_ms = 90_000\ntrouble_ms = 1_000", " `pace_ms` is longer than `trouble_ms`: nobody would do anything"),
        (
            "description = \"x\"\nmax_steps = 1_000\nsample_every = 1_001\ncheckpoint_every = 1",
            " `sample_every` and `checkpoint_every` must not be more than `max_steps`",
        ),
    ] {
        assert_eq!(wrong(text), error);
    }
}

#[test]
fn the_table_of_keys_in_the_documentation_is_the_one_in_the_code() {
    let table = keys_as_table();
    let document = std::fs::read_to_string(root().join("docs/simulation.md")).unwrap();
    assert!(document.contains(&table), "docs/simulation.md must say:\n{table}");
}
