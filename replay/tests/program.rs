//! The program as a process: what it says, and with which code it ends.

use doubletick_replay::case::{Case, Signature};
use doubletick_replay::shrink::{Happened, shrink};
use doubletick_replay::{diff, why};
use std::process::{Command, Output};

const STRICT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/strict.toml");

fn replay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_doubletick-replay")).args(arguments).output().expect("the program starts")
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("it is text")
}

fn case(seed: u64) -> Case {
    Case::find(&[seed.to_string(), STRICT.into()], None).expect("it is there")
}

#[test]
fn the_story_of_a_seed_is_the_same_twice_and_ends_with_the_broken_promise() {
    let (one, other) = (replay(&["2", STRICT]), replay(&["2", STRICT]));
    assert_eq!(one, other);
    assert_eq!(one.status.code(), Some(11));
    let last = said(&one).lines().last().map(str::to_owned).expect("it says something");
    assert!(last.starts_with("liveness: CONVERGENCE is broken at step"), "{last}");
    assert!(!said(&one).contains('\x1b'), "no colour in a pipe");
}

#[test]
fn a_story_is_told_in_part_and_each_line_of_json_is_read() {
    let part = said(&replay(&["2", STRICT, "--from", "5", "--until", "9", "--json"]));
    let steps: Vec<serde_json::Value> = part.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    assert_eq!(steps.iter().filter_map(|step| step["step"].as_u64()).collect::<Vec<_>>(), [5, 6, 7, 8, 9]);
    assert_eq!((steps[5]["end"].as_u64(), steps[5]["stopped"].as_bool()), (Some(9), Some(true)));
    assert_eq!(replay(&["2", STRICT, "--until", "9"]).status.code(), Some(0), "what was stopped is no failure");
    let faults = said(&replay(&["2", STRICT, "--faults"]));
    let (end, lines) = faults.lines().collect::<Vec<_>>().split_last().map(|(end, lines)| (end.to_string(), lines.len())).expect("lines");
    assert!(lines > 100 && end.starts_with("liveness"), "{lines} {end}");
    let silent = said(&replay(&["2", STRICT, "--faults", "--about", "half-open", "--who", "device-4"]));
    assert!(silent.lines().count() > 1 && silent.lines().rev().skip(1).all(|line| line.contains("half-open") && line.contains("device-4")));
}

#[test]
fn a_shrunk_failure_fails_in_the_same_way_with_a_few_faults_of_the_original() {
    for seed in [1, 2, 3] {
        let case = case(seed);
        let shrunk = shrink(&case).expect("it fails");
        assert_eq!(Signature::of(&shrunk.run), Some(shrunk.signature));
        assert!(shrunk.before.faults.len() > 30, "{seed}: {}", shrunk.before.faults.len());
        assert!(shrunk.after.faults.len() <= 10, "{seed}: {}", shrunk.after.faults.len());
        assert!(shrunk.after.acts.len() < shrunk.before.acts.len() && shrunk.after.devices.is_subset(&shrunk.before.devices));
        let plan = shrunk.scenario.plan.faults.clone().expect("it has a plan");
        assert!(shrunk.after.faults.iter().all(|id| plan.contains(id) && shrunk.before.faults.contains(id)), "nothing is drawn anew");
        if seed == 1 {
            assert_eq!(shrink(&case).expect("it fails").scenario, shrunk.scenario, "it is the same twice");
        }
    }
}

#[test]
fn what_is_left_is_saved_and_told_and_every_fault_of_it_matters() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("shrunk.toml").display().to_string();
    let shrunk = replay(&["2", STRICT, "--shrink", "--output", &path]);
    assert_eq!(shrunk.status.code(), Some(0));
    assert!(said(&shrunk).contains("\nfault half-open "), "{}", said(&shrunk));
    let story = replay(&[&path]);
    assert_eq!(story.status.code(), Some(11));
    assert!(!said(&story).contains("drifted"), "{}", said(&story));
    let saved = Case::find(std::slice::from_ref(&path), None).expect("it is read");
    let why = why::why(&saved).expect("it fails");
    assert_eq!(why.without.len(), Happened::of(&saved.scenario, saved.seed).faults.len());
    assert!(!why.without.is_empty() && why.without.iter().all(|(_, without)| without.is_none()), "{why:?}");
    assert!(said(&replay(&[&path, "--why"])).contains("matters: without it, clean"));

    let text = std::fs::read_to_string(&path).expect("it is there");
    std::fs::write(&path, text.replace("settle_ms = 8000", "settle_ms = 9000")).expect("it is written");
    let drifted = replay(&[&path]);
    assert!(said(&drifted).contains("drifted: it is another run than the one that was saved"), "{}", said(&drifted));
    assert!(!said(&drifted).contains("made by"), "{}", said(&drifted));

    let version = concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"");
    assert!(text.contains(version), "{text}");
    let elsewhere = text.replace(version, "version = \"99.1.0\"");
    std::fs::write(&path, &elsewhere).expect("it is written");
    assert_eq!(replay(&[&path]).stdout, story.stdout, "the same run is the same run, whoever saved it");
    std::fs::write(&path, elsewhere.replace("settle_ms = 8000", "settle_ms = 9000")).expect("it is written");
    let drifted = said(&replay(&[&path]));
    assert!(drifted.contains("; drifted: ") && drifted.contains("; the file was made by version 99.1.0 "), "{drifted}");
    std::fs::write(&path, elsewhere.replace("settle_ms = 8000", "patience_ms = 9000")).expect("it is written");
    let unknown = replay(&[&path]);
    let error = String::from_utf8(unknown.stderr).expect("it is text");
    assert_eq!(unknown.status.code(), Some(64));
    assert!(error.contains("there is no key `patience_ms`") && error.contains("the file was made by version 99.1.0"), "{error}");

    std::fs::write(&path, text.replace("checkpoints = [", "mutant = \"Nobody\"\ncheckpoints = [")).expect("it is written");
    let mutant = replay(&[&path]);
    assert_eq!((mutant.status.code(), mutant.stdout), (Some(64), Vec::new()));
}

#[test]
fn two_runs_part_at_their_first_differing_step() {
    assert_eq!(diff::part(&case(2), &case(2)), None);
    let mut without = case(2);
    let faults = Happened::of(&without.scenario, 2).faults;
    let first = faults.iter().find(|id| id.kind.name() == "conflict").copied().expect("there is one");
    without.scenario.plan.faults = Some(faults.into_iter().filter(|id| *id != first).collect());
    let (left, right) = diff::part(&case(2), &without).expect("they part");
    let (left, right) = (left.expect("a step"), right.expect("a step"));
    assert_eq!((left.number, &left.event), (right.number, &right.event));
    assert!(format!("{left:?}").contains("Conflict") && !format!("{right:?}").contains("Conflict"), "{left:?}\n{right:?}");
    assert!(said(&replay(&["2", STRICT, "--diff", "3", STRICT])).starts_with("they part at step "));
}

#[test]
fn what_makes_no_sense_is_told_in_one_line() {
    let calm = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/calm.toml");
    let cases: [&[&str]; 9] = [
        &[],
        &["x", STRICT],
        &["1", "nowhere.toml"],
        &[STRICT],
        &["1", STRICT, "--until", "99999999"],
        &["1", STRICT, "--from", "9", "--until", "3"],
        &["1", STRICT, "--who", "nobody"],
        &["1", STRICT, "--shrink", "--json"],
        &["1", calm, "--shrink"],
    ];
    for arguments in cases {
        let output = replay(arguments);
        let error = String::from_utf8(output.stderr.clone()).expect("it is text");
        assert_eq!((output.status.code(), error.lines().count()), (Some(64), 1), "{arguments:?}: {error}");
    }
}
