//! The state after any step, and from which step on a failure was inevitable.

use doubletick_replay::case::{Case, Signature};
use doubletick_replay::fate::{FUTURES, fate};
use doubletick_replay::shrink::shrink;
use doubletick_sim::plan::FaultId;
use doubletick_sim::watch::{Entry, watch};
use serde_json::Value;
use std::process::{Command, Output};

const STRICT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/strict.toml");

fn replay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_doubletick-replay")).args(arguments).output().expect("the program starts")
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("it is text")
}

fn state(step: u64, part: &str) -> Value {
    let output = replay(&["2", STRICT, "--inspect", &step.to_string(), part, "--json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{part} {step}: {error}: {output:?}"))
}

#[test]
fn every_part_that_is_named_can_be_looked_at_in_lines_and_as_json() {
    let parts = said(&replay(&["2", STRICT, "--inspect", "2000"]));
    let kinds = ["world", "network", "transactions", "due", "store", "slot-0", "gateway-0", "device-4", "user-0"];
    assert!(kinds.iter().all(|kind| parts.lines().any(|part| part == *kind)), "{parts}");
    let talk = parts.lines().find(|part| part.len() == 33).expect("there is a conversation");
    for part in kinds.into_iter().chain([talk]) {
        let lines = said(&replay(&["2", STRICT, "--inspect", "2000", part]));
        assert!(lines.starts_with(&format!("{part} after step 2000\n")), "{lines}");
        let json = state(2000, part);
        assert_eq!((json["part"].as_str(), json["step"].as_u64()), (Some(part), Some(2000)));
        assert!(json["state"].is_object(), "{json}");
    }
    assert_eq!(said(&replay(&["2", STRICT, "--inspect", "2000", "--json"])).matches('"').count(), 2 * parts.lines().count());
}

#[test]
fn what_is_seen_of_a_part_is_what_the_steps_have_made_of_it() {
    let case = Case::find(&["2".into(), STRICT.into()], None).expect("it is there");
    let (mut stored, mut registered) = (None, None);
    watch(&case.scenario, case.seed, None, &mut |step| {
        let texts = || step.entries.iter().filter_map(|entry| if let Entry::Row(Some(_), text) = entry { Some(text) } else { None });
        if let (None, Some(text)) = (&stored, texts().find(|text| text.starts_with("Log("))) {
            stored = text.split_once(" = ").map(|(name, _)| (step.number, name.to_owned()));
        }
        if registered.is_none() && step.event.starts_with("Register(4") {
            registered = Some(step.number);
        }
    });
    let (step, row) = stored.expect("a message was stored");
    assert!(state(step, "store")["state"].get(&row).is_some_and(|entry| entry["seq"].is_u64() || entry.is_object()));
    assert!(state(step - 1, "store")["state"].get(&row).is_none());
    let before = registered.expect("device 4 is registered") - 1;
    assert_eq!(state(before, "device-4")["state"]["app"], Value::Null);
    let app = &state(4000, "device-4/app")["state"]["app"];
    assert!(app["chats"].is_object() && app["link"].is_object(), "{app}");
    let sessions = &state(2000, "gateway-0/machine/sessions")["state"]["sessions"];
    assert!(sessions.as_object().is_some_and(|sessions| !sessions.is_empty()), "{sessions}");
    assert_eq!(state(2000, "gateway-0/machine"), state(2000, "gateway-0/machine"));
}

#[test]
fn what_cannot_be_looked_at_is_told_in_one_line() {
    let cases: [(&[&str], &str); 5] = [
        (&["2000", "nobody"], "nobody: a part is"),
        (&["2000", "device-99"], "device-99: there is no such part after step 2000"),
        (&["99999999", "world"], "step 99999999: there is none"),
        (&["x"], "--inspect x: a step is a whole number"),
        (&["2000", "device-4/app/shoes"], "device-4 has no shoes; there is "),
    ];
    for (arguments, says) in cases {
        let output = replay(&[&["2", STRICT, "--inspect"], arguments].concat());
        let error = String::from_utf8(output.stderr.clone()).expect("it is text");
        assert_eq!((output.status.code(), error.lines().count()), (Some(64), 1), "{error}");
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn a_shrunk_failure_becomes_inevitable_with_the_fault_that_it_needs() {
    let case = Case::find(&["2".into(), STRICT.into()], None).expect("it is there");
    let shrunk = shrink(&case).expect("it fails");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("shrunk.toml").display().to_string();
    shrunk.save(std::path::Path::new(&path)).expect("it is saved");
    let case = Case::find(std::slice::from_ref(&path), None).expect("it is read");
    let needed: Vec<FaultId> = shrunk.after.faults.clone();
    let mut at = 0;
    watch(&case.scenario, case.seed, None, &mut |step| {
        if step.entries.iter().any(|entry| matches!(entry, Entry::Fault(id) if needed.contains(id))) {
            at = step.number;
        }
    });
    let signature = Signature::of(&case.run()).expect("it fails");
    let fate = fate(&case, signature);
    assert_eq!(fate.inevitable, Some(at), "{fate:?}");
    assert_eq!((fate.failing[&(at - 1)], fate.failing[&at]), (0, FUTURES));
}
