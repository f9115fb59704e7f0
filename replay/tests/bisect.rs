//! The search over commits, in repositories that the tests make: the program of each commit is a few lines of shell that tell a story.

use doubletick_replay::case::Case;
use doubletick_replay::shrink::shrink;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const STRICT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/strict.toml");
/// What the failure of the tests says, and what befell it.
const FAILS: &str = r#"{"end":9,"failure":{"kind":"liveness","oracle":"CONVERGENCE"}}"#;
const FAILS_ELSE: &str = r#"{"end":9,"failure":{"kind":"safety","oracle":"PRESENCE"}}"#;
const HOLDS: &str = r#"{"end":12,"failure":null}"#;
const FAULT: &str = r#"{"step":4,"at_ms":70,"entries":[{"fault":"half-open device-4 9"}]}"#;
const FAULT_LATER: &str = r#"{"step":4,"at_ms":71,"entries":[{"fault":"half-open device-4 9"}]}"#;
/// Builds a commit: its program is the file `program`, if the file `build` is there.
const BUILD: &str = "test -e build || { echo 'warning: a'; echo 'error: no build' >&2; exit 1; }
    mkdir -p $CARGO_TARGET_DIR/release && cp program $CARGO_TARGET_DIR/release/doubletick-replay";

/// A repository, a saved failure beside it, and where work trees would be.
struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().expect("a folder") };
        for folder in [world.repository(), world.temporary()] {
            fs::create_dir(folder).expect("a folder");
        }
        world.git(&["init", "--quiet", "--initial-branch", "main"]);
        let case = Case::find(&["2".into(), STRICT.into()], None).expect("it is there");
        shrink(&case).expect("it fails").save(&world.failure()).expect("it is saved");
        world
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    fn temporary(&self) -> PathBuf {
        self.folder.path().join("temporary")
    }

    fn failure(&self) -> PathBuf {
        self.folder.path().join("failure.toml")
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "a").env(format!("GIT_{who}_EMAIL"), "a@example.org");
        }
        let output = command.current_dir(self.repository()).args(arguments).output().expect("git is there");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("it is text").trim().to_owned()
    }

    /// Commits a program that tells such lines, and tags it with its name.
    fn commit(&self, name: &str, story: &[&str]) {
        let lines: String = story.iter().map(|line| format!("echo '{line}'\n")).collect();
        self.commit_program(name, &format!("#!/bin/sh\n# {name}\n{lines}"));
    }

    fn commit_program(&self, name: &str, text: &str) {
        let program = self.repository().join("program");
        fs::write(&program, text).expect("it is written");
        fs::write(self.repository().join("build"), "").expect("it is written");
        let made = Command::new("chmod").arg("+x").arg(&program).status().expect("chmod is there");
        assert!(made.success());
        self.tag(name);
    }

    fn tag(&self, name: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", name]);
        self.git(&["tag", name]);
    }

    fn commit_that_does_not_build(&self, name: &str) {
        fs::remove_file(self.repository().join("build")).expect("it was there");
        self.tag(name);
    }

    fn bisect(&self, range: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doubletick-replay"));
        command.current_dir(self.repository()).env("TMPDIR", self.temporary());
        command.arg(self.failure()).args(["--bisect", range, "--build", BUILD]);
        command
    }

    fn told(&self, range: &str) -> Vec<String> {
        let output = self.bisect(range).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        self.assert_put_away();
        said(&output.stdout)
    }

    fn refused(&self, range: &str) -> String {
        let output = self.bisect(range).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        self.assert_put_away();
        let errors = said(&output.stderr);
        errors.into_iter().rfind(|line| line.starts_with("doubletick-replay: ")).expect("it says what is wrong")
    }

    /// Nothing is left of what was built, and git knows of no work tree but the one that there was.
    fn assert_put_away(&self) {
        assert_eq!(fs::read_dir(self.temporary()).expect("it is there").count(), 0);
        assert_eq!(self.git(&["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
    }
}

fn said(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
}

/// What each line says of which commit.
fn verdicts(lines: &[String]) -> Vec<String> {
    let words = |line: &String| line.split(':').next().unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let without_hash = |mut words: Vec<String>| {
        words.remove(words.len().saturating_sub(2));
        words.join(" ")
    };
    lines.iter().map(words).map(without_hash).collect()
}

#[test]
fn the_first_commit_at_which_a_failure_appears_is_found_in_few_builds_whatever_lies_about() {
    let world = World::new();
    for nth in 0..16 {
        world.commit(&format!("c{nth}"), if nth < 11 { &[FAULT, HOLDS] } else { &[FAULT, FAILS] });
    }
    fs::write(world.repository().join("program"), "what somebody is working on").expect("it is written");
    let lines = world.told("c0..");
    let (answer, steps) = lines.split_last().expect("it says something");
    assert!(answer.starts_with("the first bad commit is ") && answer.ends_with(" c11"), "{answer}");
    assert_eq!(verdicts(&steps[..2]), ["bad c15", "good c0"]);
    assert!(steps.len() <= 6, "{steps:#?}");
    let kept = fs::read_to_string(world.repository().join("program")).expect("it is there");
    assert_eq!(kept, "what somebody is working on");
}

#[test]
fn commits_with_another_run_and_those_that_do_not_build_are_skipped_and_an_answer_says_how_many() {
    let world = World::new();
    world.commit("holds", &[FAULT, HOLDS]);
    world.commit("holds-too", &[FAULT, HOLDS]);
    world.commit("without-its-fault", &[HOLDS]);
    world.commit("fails-else", &[FAULT, FAILS_ELSE]);
    world.commit_that_does_not_build("no-build");
    world.commit_program("refuses", "#!/bin/sh\necho 'doubletick-replay: there is no key `gateways`' >&2\nexit 64\n");
    world.commit("at-another-time", &[FAULT_LATER, HOLDS]);
    world.commit("fails", &[FAULT, FAILS]);
    world.commit("fails-too", &[FAULT, FAILS]);
    let lines = world.told("holds..fails-too");
    let text = lines.join("\n");
    for (name, why) in [
        ("without-its-fault", "it does not fail, but 1 of 1 faults and acts are not as they were: fault half-open device-4 9 at 70 ms"),
        ("at-another-time", "it does not fail, but 1 of 1 faults and acts are not as they were: fault half-open device-4 9 at 70 ms"),
        ("fails-else", "it fails in another way: safety PRESENCE"),
        ("refuses", "doubletick-replay: there is no key `gateways`"),
        ("no-build", "error: no build"),
    ] {
        let line = lines.iter().find(|line| line.contains(&format!(" {name}: "))).unwrap_or_else(|| panic!("{name}: {text}"));
        assert!(line.ends_with(why) && line.starts_with(if name == "no-build" { "does not build" } else { "drifted" }), "{line}");
    }
    let from = lines.iter().position(|line| line.starts_with("the first")).expect("there is an answer");
    assert!(lines[from].ends_with("is one of these 6; 5 commits were skipped:"), "{text}");
    let names: Vec<&str> = lines[from + 1..].iter().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(names, ["fails", "at-another-time", "refuses", "no-build", "fails-else", "without-its-fault"]);
}

#[test]
fn what_cannot_be_searched_is_told_in_one_line() {
    let world = World::new();
    world.commit("holds", &[FAULT, HOLDS]);
    world.git(&["branch", "aside"]);
    world.commit("fails", &[FAULT, FAILS]);
    world.commit("holds-again", &[FAULT, HOLDS]);
    world.commit("fails-else", &[FAILS_ELSE]);
    world.commit("drifted", &[HOLDS]);
    world.commit("fails-again", &[FAULT, FAILS]);
    world.commit_that_does_not_build("no-build");
    world.commit("breaks", &[FAULT, FAILS]);
    world.git(&["checkout", "--quiet", "aside"]);
    world.commit("elsewhere", &[FAULT, FAILS]);
    for (range, says) in [
        ("holds", "--bisect holds: it must be GOOD..BAD, two commits, of which the first does not fail and the second does"),
        ("..fails", "--bisect ..fails: it must be GOOD..BAD"),
        ("holds...fails", "--bisect holds...fails: it must be GOOD..BAD"),
        ("holds..nowhere", "nowhere: there is no such commit"),
        ("fails..fails", "--bisect fails..fails: both are "),
        ("fails..holds", "is no ancestor of"),
        ("elsewhere..fails", "is no ancestor of"),
        ("holds..holds-again", "holds-again: it does not fail at the bad end of holds..holds-again, so there is nothing to look for"),
        ("fails..fails-again", "fails: it fails at the good end of fails..fails-again too: begin further back"),
        (
            "drifted..fails-again",
            "drifted: drifted at the good end of drifted..fails-again, which tells nothing: begin later: it does not fail",
        ),
        (
            "holds..fails-else",
            "fails-else: drifted at the bad end of holds..fails-else, so there is nothing to compare with: it fails in another way",
        ),
        ("holds..no-build", "no-build: it does not build at the bad end of holds..no-build: error: no build"),
        ("no-build..breaks", "no-build: it does not build at the good end of no-build..breaks: begin later: error: no build"),
    ] {
        let line = world.refused(range);
        assert!(line.contains(says), "{range}: {line}");
    }

    let elsewhere = world.bisect("a..b").current_dir(world.folder.path()).output().expect("the program starts");
    let line = "doubletick-replay: there is no git repository here: --bisect is for the folder of a clone of Doubletick";
    assert_eq!((elsewhere.status.code(), said(&elsewhere.stderr)), (Some(64), vec![line.to_owned()]));
    let of_a_seed = |what: &[&str]| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doubletick-replay"));
        command.args(what).args(["--bisect", "holds..fails"]).current_dir(world.repository()).output().expect("the program starts")
    };
    for what in [&["2", STRICT][..], &[STRICT]] {
        let line = "doubletick-replay: --bisect is for a saved failure: save one with --shrink --output FILE";
        assert_eq!(said(&of_a_seed(what).stderr), [line]);
    }
}

#[test]
fn a_signal_ends_the_build_that_is_under_way_and_nothing_is_left() {
    let world = World::new();
    world.commit("holds", &[FAULT, HOLDS]);
    world.commit("fails", &[FAULT, FAILS]);
    let begun = world.folder.path().join("begun");
    let made = Command::new("mkfifo").arg(&begun).status().expect("mkfifo is there");
    assert!(made.success());
    let build = format!("sh -c 'echo $$ > {}; exec sleep 600'", begun.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_doubletick-replay"));
    command.arg(world.failure()).args(["--bisect", "holds..fails", "--build", &build]);
    command.current_dir(world.repository()).env("TMPDIR", world.temporary()).stderr(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().expect("the program starts");
    let builder = fs::read_to_string(&begun).expect("the build says who it is");
    kill_process(Pid::from_child(&child), Signal::INT).expect("it is there");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    let errors = BufReader::new(child.stderr.take().expect("it is read")).lines().map_while(Result::ok).last();
    assert_eq!(errors.as_deref(), Some("doubletick-replay: ended by a signal; the scratch work tree is removed"));
    let stands = fs::read_to_string(Path::new("/proc").join(builder.trim()).join("stat")).unwrap_or_default();
    assert!(stands.is_empty() || stands.contains(") Z "), "the build goes on: {stands}");
    world.assert_put_away();
}
