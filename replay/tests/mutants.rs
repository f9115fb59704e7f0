//! Failures of planted bugs: found with the bug, saved with its name, and gone without it.

use doubletick_replay::case::{Case, Signature};
use doubletick_replay::diff;
use std::process::{Command, Output};

const STORM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/storm.toml");

fn replay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_doubletick-replay")).args(arguments).output().expect("the program starts")
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("it is text")
}

#[test]
fn a_failure_of_a_planted_bug_is_saved_with_its_name_and_needs_the_bug() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("shrunk.toml").display().to_string();
    let bug = ["--mutant", "QueueClearedAtLogin"];
    let told = replay(&["0", STORM, bug[0], bug[1]]);
    assert_eq!(told.status.code(), Some(10), "{}", said(&told));
    let shrunk = replay(&["0", STORM, bug[0], bug[1], "--shrink", "--output", &path]);
    assert!(said(&shrunk).starts_with("safety AT_LEAST_ONCE\n"), "{}", said(&shrunk));
    let again = replay(&[&path]);
    assert_eq!(again.status.code(), Some(10));
    assert!(!said(&again).contains("drifted"), "{}", said(&again));
    let clean = replay(&[&path, "--mutant", "none"]);
    assert_eq!(clean.status.code(), Some(0));
    assert!(said(&clean).contains("clean after") && said(&clean).contains("drifted"), "{}", said(&clean));
    let file = std::slice::from_ref(&path);
    let (with, without) = (Case::find(file, None).expect("it is read"), Case::find(file, Some("none")).expect("it is read"));
    assert!(Signature::of(&with.run()).is_some() && Signature::of(&without.run()).is_none());
    let (with, without) = diff::part(&with, &without).expect("they part");
    assert!(format!("{with:?}").contains("cleared") && !format!("{without:?}").contains("cleared"), "{with:?}\n{without:?}");
}

#[test]
fn a_bug_that_is_not_in_the_table_is_told_with_the_one_that_was_meant() {
    let output = replay(&["0", STORM, "--mutant", "QueueClearedAtLogon"]);
    assert_eq!(output.status.code(), Some(64));
    let error = String::from_utf8(output.stderr).expect("it is text");
    assert_eq!(error, "doubletick-replay: there is no mutant QueueClearedAtLogon; did you mean QueueClearedAtLogin?\n");
}
