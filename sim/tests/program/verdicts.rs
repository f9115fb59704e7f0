//! What the exit codes say, and what is said about a failure.

use super::{CALM, Dir, LATE, ends_with, out, sim};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[test]
fn a_clean_run_ends_with_zero_and_its_first_line_runs_it_again() {
    let dir = Dir::new("clean");
    let calm = dir.file("calm.toml", CALM);
    let first = ends_with(0, &["run", &calm, "--seeds", "3", "--commit", "0000002"]);
    let line = first.lines().next().unwrap();
    assert!(line.starts_with(&format!("doubletick-sim run {calm} --from 2097152 --seeds 3 --jobs ")), "{line}");
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    let again = ends_with(0, &words);
    let without_times =
        |text: &str| text.lines().filter(|line| !line.contains(" in ") && !line.contains("per second")).collect::<Vec<_>>().join("\n");
    assert_eq!(without_times(&again), without_times(&first));
}

#[test]
fn what_did_not_happen_in_time_is_liveness_and_comes_with_the_command_that_shows_it() {
    let dir = Dir::new("late");
    let late = dir.file("late.toml", LATE);
    let text = ends_with(11, &["run", &late, "--seeds", "2"]);
    assert!(text.contains("liveness: late: ") && text.contains("CONVERGENCE"), "{text}");
    let again = text.lines().find_map(|line| line.trim().strip_prefix("again: doubletick-sim ")).unwrap();
    let one = ends_with(11, &again.split(' ').collect::<Vec<_>>());
    assert!(one.contains("1 seeds, 1 failed"), "{one}");
}

#[test]
fn the_first_failure_ends_a_run_that_was_asked_to() {
    let dir = Dir::new("fast");
    let late = dir.file("late.toml", LATE);
    for jobs in ["1", "3"] {
        let text = ends_with(11, &["run", &late, "--seeds", "50", "--fail-fast", "--jobs", jobs]);
        assert!(text.contains("1 seeds, 1 failed") && text.contains("up to the first failure"), "{text}");
    }
}

#[test]
fn a_run_in_which_nothing_is_delivered_is_inert() {
    let dir = Dir::new("inert");
    let file = dir
        .file("inert.toml", &CALM.replace("trouble_ms = 20_000\npace_ms = [500, 2_000]", "trouble_ms = [1_000, 2_000]\npace_ms = 2_000"));
    let text = ends_with(14, &["run", &file, "--seeds", "3"]);
    assert!(text.contains("inert: inert: nothing was delivered in "), "{text}");
}

#[test]
fn an_impure_world_is_caught_at_its_first_differing_step_with_both_sides() {
    if !cfg!(debug_assertions) {
        return; // The switch is in builds for tests only.
    }
    let dir = Dir::new("impure");
    let calm = dir.file("calm.toml", CALM);
    for from in [1, 2, 77, 100] {
        let output = sim(&["run", &calm, "--seeds", "1"]).env("DOUBLETICK_SIM_IMPURE_FROM", from.to_string()).output().unwrap();
        let text = out(&output);
        assert_eq!(output.status.code(), Some(13), "{text}");
        let line = text.lines().find(|line| line.starts_with("nondeterminism: calm: seed 0: ")).unwrap();
        let (_, sides) =
            line.split_once(&format!("the first step that differs is {from}: on one side {from} at ")).unwrap_or_else(|| panic!("{line}"));
        let (one, other) = sides.split_once(", on the other ").unwrap();
        let hash = |side: &str| side.rsplit(['(', ')']).nth(1).unwrap().to_owned();
        assert_eq!(hash(one).len(), 16);
        assert_ne!(hash(one), hash(other), "{line}");
    }
    let pure = ends_with(0, &["run", &calm, "--seeds", "3", "--twice", "1"]);
    assert!(pure.contains("0 of 3 run twice came out different"), "{pure}");
}

#[test]
fn a_panic_of_the_core_is_a_crash_with_its_place_and_its_message() {
    if !cfg!(debug_assertions) {
        return; // The switch is in builds for tests only.
    }
    let dir = Dir::new("panic");
    let (calm, report) = (dir.file("calm.toml", CALM), dir.path("report.json"));
    let output = sim(&["run", &calm, "--seeds", "3", "--json", &report])
        .env("DOUBLETICK_SIM_PANIC_AT", "7")
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let text = out(&output);
    assert_eq!(output.status.code(), Some(12), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "the report has it, and nothing else is said");
    assert!(text.contains("crash: calm: 3 of 3 seeds: PANIC: "), "{text}");
    assert!(text.contains("  seed 0, step 7: PANIC: sim/src/world.rs:") && text.contains(": a test has asked for this\n"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&dir.read("report.json")).unwrap();
    assert_eq!(json["outcome"], "crash");
}

#[test]
fn a_report_that_cannot_be_written_in_the_end_is_told_and_the_others_are_written() {
    let dir = Dir::new("full");
    let (calm, late, junit) = (dir.file("calm.toml", CALM), dir.file("late.toml", LATE), dir.path("report.xml"));
    let run = |scenario: &str| sim(&["run", scenario, "--seeds", "2", "--json", "/dev/full", "--junit", &junit]).output().unwrap();
    let output = run(&calm);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(74), "{error}");
    assert!(error.starts_with("doubletick-sim: /dev/full: No space left on device") && error.lines().count() == 1, "{error}");
    assert!(dir.read("report.xml").contains("<testsuites"), "{}", dir.read("report.xml"));
    let output = run(&late);
    assert_eq!(output.status.code(), Some(11), "what has failed is worse than a report that is missing");
}

#[test]
fn a_failure_is_saved_and_fails_again_and_says_where_it_drifts_once_it_is_fixed() {
    let dir = Dir::new("saved");
    let (late, folder) = (dir.file("late.toml", LATE), dir.path("saved"));
    let text = ends_with(11, &["run", &late, "--seeds", "1", "--from", "6", "--save", &folder]);
    assert!(text.contains("saved as ") && text.contains("late-6.toml"), "{text}");
    let again = ends_with(11, &["run", &folder]);
    assert!(again.contains("late-6: 1 of 1 seeds") && !again.contains("drifted"), "{again}");
    // As if the core had become faster: the same file, in a world in which all arrives.
    let saved = dir.read("saved/late-6.toml");
    let fixed = saved.replace("settle_ms = 1\n", "settle_ms = 420_000\n").replace("latency_ms = [2500, 4000]", "latency_ms = [1, 2]");
    assert_ne!(fixed, saved);
    dir.file("saved/late-6.toml", &fixed);
    let again = ends_with(0, &["run", &folder]);
    assert!(again.contains("note: late-6: drifted at step"), "{again}");
}

#[test]
fn only_a_service_that_reads_them_gets_annotations() {
    let dir = Dir::new("annotations");
    let late = dir.file("late.toml", LATE);
    let run = |service: Option<&str>| {
        let mut command = sim(&["run", &late, "--seeds", "1"]);
        service.map(|name| command.env(name, "true"));
        out(&command.output().unwrap())
    };
    assert!(!run(None).contains("::error"));
    let line = run(Some("GITHUB_ACTIONS"));
    let line = line.lines().find(|line| line.starts_with("::error file=")).unwrap();
    assert!(line.contains("title=liveness in late::CONVERGENCE") && line.contains("%0Aagain: doubletick-sim run "), "{line}");
}

#[test]
fn a_signal_ends_a_run_with_the_report_so_far() {
    // Twice at once is what `timeout` does: to the program, and to its group.
    for signals in [&["INT"][..], &["TERM", "TERM"]] {
        let dir = Dir::new(&format!("signal-{}", signals.len()));
        let report = dir.path("report.json");
        let (code, text) = interrupt(&["run", "scenarios/calm.toml", "--seeds", "1000000000", "--json", &report], signals);
        assert_eq!(code, Some(130), "{text}");
        assert!(text.contains(", interrupted: interrupted"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&dir.read("report.json")).unwrap();
        assert_eq!(json["end"], "interrupted");
        assert!(json["total"]["seeds"].as_u64().unwrap() > 0, "{json}");
    }
}

#[test]
fn a_second_signal_that_comes_later_ends_a_run_at_once() {
    let dir = Dir::new("signal-again");
    // One seed of this takes longer than anybody waits.
    let endless = dir.file("endless.toml", &CALM.replace("trouble_ms = 20_000", "trouble_ms = 2_592_000_000\nmax_steps = 1_000_000_000"));
    let mut child = sim(&["run", &endless, "--seeds", "1"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
    // That line comes before the seed: a signal in between would end the run before it has begun with it.
    std::thread::sleep(Duration::from_secs(2));
    send(&child, "TERM");
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(child.try_wait().unwrap(), None, "the first one waits for the seed that is under way");
    send(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[cfg(feature = "probes")]
#[test]
fn a_table_of_a_hunt_that_cannot_be_written_is_told() {
    let hunt = ["mutants", "--only", "DedupByTime", "--ranges", "1", "--json", "/dev/full"];
    let output = sim(&hunt).output().unwrap();
    assert_eq!(output.status.code(), Some(74), "{}", String::from_utf8_lossy(&output.stderr));
}

#[cfg(feature = "probes")]
#[test]
fn a_signal_ends_a_hunt_for_mutants_with_the_table_so_far() {
    for signals in [&["INT"][..], &["TERM", "TERM"]] {
        let dir = Dir::new(&format!("hunt-{}", signals.len()));
        let report = dir.path("report.json");
        let (code, text) = interrupt(&["mutants", "--ranges", "9999", "--json", &report], signals);
        assert_eq!(code, Some(130), "{text}");
        assert!(text.contains(" mutants, 0 red, interrupted"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&dir.read("report.json")).unwrap();
        assert_eq!(json["end"], "interrupted");
    }
}

/// Starts something long, and sends it signals once it has begun. Its exit code, and what it printed.
fn interrupt(arguments: &[&str], signals: &[&str]) -> (Option<i32>, String) {
    let mut child = sim(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    signals.iter().for_each(|signal| send(&child, signal));
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    (child.wait().unwrap().code(), rest)
}

fn send(child: &Child, signal: &str) {
    let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn time_ends_a_run() {
    let text = ends_with(0, &["run", "scenarios/calm.toml", "--time", "300ms"]);
    assert!(text.contains("until the time was over: clean"), "{text}");
}
