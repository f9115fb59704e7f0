//! Failures of planted bugs: found with the bug, saved with its name, and gone without it.

#[allow(dead_code, reason = "the tests of the picture use all of it")]
mod browser;

use browser::Browser;
use doubletick_replay::case::{Case, Signature};
use doubletick_replay::diff;
use doubletick_replay::picture::cause::{Lead, LeadKind, leads};
use doubletick_replay::picture::{Picture, page};
use doubletick_replay::shrink::shrink;
use doubletick_sim::traffic::End;
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

/// What is left of a bug's first failure in storms, its leads, and the page, as a browser shows it.
fn drawn(bug: &str, promise: &str) -> (Vec<Lead>, Browser) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("shrunk.toml");
    let case = |seed: u64| Case::find(&[seed.to_string(), STORM.into()], Some(bug)).expect("it is there");
    let broken = |case: &Case| Signature::of(&case.run()).is_some_and(|signature| signature.oracle == promise);
    let case = (0..100).map(case).find(broken).expect("one of them fails");
    shrink(&case).and_then(|shrunk| shrunk.save(&path)).expect("it fails");
    let case = Case::find(&[path.display().to_string()], None).expect("it is read");
    let picture = case.planted(|| Picture::of(&case));
    let page = folder.path().join("run.html");
    std::fs::write(&page, page::page(&picture)).expect("it is written");
    (leads(&picture), Browser::open(&page, ""))
}

#[test]
fn what_led_to_a_broken_promise_about_no_message_is_shown_with_whom_it_names() {
    let (leads, mut browser) = drawn("DrainAtOnce", "BOUNDED");
    let broken = leads.last().expect("it fails");
    assert!(broken.text.starts_with("BOUNDED is broken: gateway") && matches!(broken.who, End::Gateway(_)), "{broken:?}");
    let drain = leads.iter().find(|lead| lead.text.starts_with("fault drain")).expect("it was needed");
    assert_eq!(drain.who, broken.who, "{leads:#?}");
    assert!(leads.iter().filter(|lead| lead.who == broken.who && lead.passage.is_some()).count() > 1, "{leads:#?}");
    assert!(browser.text("broken").contains("BOUNDED (safety) is broken at step"));
    assert_eq!(browser.value("document.querySelectorAll('#leads button').length"), leads.len());

    let (leads, mut browser) = drawn("LastSeenIsNow", "PRESENCE");
    let broken = leads.last().expect("it fails");
    assert!(broken.text.starts_with("PRESENCE is broken: the store holds that user-"), "{broken:?}");
    let commit = leads.iter().rev().find(|lead| lead.kind == LeadKind::Commit).expect("it is about a row");
    assert!(commit.text.contains("LastSeen") && commit.step == broken.step, "{leads:#?}");
    assert!(leads.iter().any(|lead| lead.text.contains("OpenSession user-")), "{leads:#?}");
    assert_eq!(browser.value("document.querySelectorAll('#leads button').length"), leads.len());
}
