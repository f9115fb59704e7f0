//! What makes no sense is told in one line, before anything runs.

use super::{CALM, Dir, out, sim};

fn refuses(arguments: &[&str], says: &str) {
    let output = sim(arguments).output().unwrap();
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(64), "{arguments:?}: {error}");
    assert_eq!(error.lines().count(), 1, "{arguments:?}: {error}");
    assert!(error.starts_with("doubletick-sim: ") && error.contains(says), "{arguments:?}: {error}");
    assert_eq!(out(&output), "", "{arguments:?}: nothing was run");
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let dir = Dir::new("arguments");
    let calm = dir.file("calm.toml", CALM);
    let run = |rest: &[&str], says| refuses(&[&["run", calm.as_str()], rest].concat(), says);
    run(&["--seeds", "many"], "'many' for '--seeds <N>'");
    run(&["--seeds", "0"], "0 is not in 1..");
    run(&["--from", "-1"], "unexpected argument '-1'");
    run(&["--from", "1.5"], "'1.5' for '--from <N>'");
    run(&["--from", "9223372036854775808"], "9223372036854775808 is not in 0..=9223372036854775807");
    run(&["--from", "9223372036854775807", "--seeds", "2"], "there are not so many");
    run(&["--commit", "HEAD"], "it must be a commit's hash");
    run(&["--commit", "3393ce9", "--from", "3"], "cannot be used with");
    run(&["--time", "soon"], "it must be a time such as 90s, 5m or 2h");
    run(&["--jobs", "0"], "0 is not in 1..=1024");
    run(&["--sedes", "3"], "--seeds");
    run(&["--faults", "10"], "no scenario that was named has any fault");
    run(&["--all"], "cannot be used with");
    if !cfg!(feature = "probes") {
        run(&["--marks"], "this build knows no marks");
    }
    run(&[&calm], "both called calm");
    refuses(&["run"], "not provided");
    refuses(&["walk"], "walk");
    refuses(&[], "doubletick-sim");
}

#[test]
fn a_scenario_that_is_not_there_is_told_with_the_nearest_that_is() {
    refuses(&["run", "scenarios/strom.toml"], "scenarios/strom.toml: there is no such scenario; did you mean scenarios/storm.toml?");
    refuses(&["run", "no/such/folder/storm.toml"], "did you mean scenarios/storm.toml?");
    let dir = Dir::new("empty");
    refuses(&["run", &dir.path("")], "there is no scenario");
}

#[test]
fn a_scenario_that_is_wrong_is_told_with_its_line() {
    let dir = Dir::new("wrong");
    let file = dir.file("wrong.toml", &format!("{CALM}usres = 3\n"));
    refuses(&["run", &file], "wrong.toml:7: there is no key `usres`; did you mean `users`?");
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_anything_runs() {
    let dir = Dir::new("unwritable");
    let calm = dir.file("calm.toml", CALM);
    for flag in ["--json", "--junit", "--html"] {
        refuses(&["run", &calm, flag, &dir.path("no/such/folder/report")], "no/such/folder/report: No such file");
        refuses(&["run", &calm, flag, &dir.path("")], "Is a directory");
    }
    let file = dir.path("report");
    refuses(&["run", &calm, "--json", &file, "--html", &file], "two reports cannot be the same file");
    refuses(&["run", &calm, "--save", &calm], "calm.toml: File exists");
}

#[test]
fn a_saved_failure_that_is_wrong_is_told() {
    let dir = Dir::new("saved-wrong");
    let saved = |text: &str| dir.file("saved.toml", text);
    refuses(&["run", &saved("seed = 3\n")], "a saved failure needs `checkpoints`");
    refuses(&["run", &saved("seed = 3\nsteep = 3\n")], "saved.toml:2: a saved failure has no key `steep`; did you mean `step`?");
    let right = "checkpoints = []\nhash = \"\"\nsteps = 3\nstep = 3\n";
    refuses(&["run", &saved(&format!("seed = \"x\"\n{right}"))], "saved.toml:1: it must be a whole number");
    refuses(&["run", &saved(&format!("seed = 1\n{right}[scenario]\nuser = 3\n"))], "saved.toml:7: there is no key `user`");
    let whole = saved(&format!("seed = 1\n{right}[scenario]\ndescription = \"x\"\n"));
    refuses(&["run", &whole, "--seeds", "3"], "saved failures have their own seeds");
}
