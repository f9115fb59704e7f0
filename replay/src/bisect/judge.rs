//! What is told of a commit: its program is built, and runs the saved failure again.
//!
//! A commit is good if the run does not fail although every fault and every act of the failing run happened in it too, at the same virtual
//! times. If some did not, the commit has another run, in which the bug may well be, and has only not been met.

use super::child;
use super::scratch::{Scratch, first_line};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is told of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It does not fail, and what happened to the failing run happened to it.
    Good,
    /// It fails in the same way.
    Bad,
    /// Its run is another one: why it is said to be.
    Drifted(String),
    /// There is no program of it: the first thing that the build says.
    DoesNotBuild(String),
}

impl Told {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Drifted(_) => "drifted",
            Self::DoesNotBuild(_) => "does not build",
        }
    }

    pub(super) fn why(&self) -> Option<&str> {
        match self {
            Self::Good | Self::Bad => None,
            Self::Drifted(why) | Self::DoesNotBuild(why) => Some(why),
        }
    }

    /// What git calls it.
    pub(super) fn mark(&self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Drifted(_) | Self::DoesNotBuild(_) => super::SKIP,
        }
    }
}

/// A saved failure, as far as it must be known here.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    /// Its file, as other folders know it.
    pub(super) file: PathBuf,
    /// Its kind and the promise that is broken.
    pub(super) failure: String,
    /// Whether it needs a planted bug.
    pub(super) planted: bool,
}

/// The story of a run, as far as runs of different commits can be compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Story {
    /// Faults and acts, with their virtual times in milliseconds.
    happened: BTreeSet<(u64, String)>,
    /// The kind of the failure and the promise that is broken, if one is.
    failure: Option<String>,
}

impl Story {
    /// Reads the lines of `--json`. None if they have no end.
    fn read(lines: impl BufRead) -> Option<Self> {
        let mut story = Self::default();
        for line in lines.lines() {
            let line: Value = serde_json::from_str(&line.ok()?).ok()?;
            if line.get("end").is_some() {
                let failure = line.get("failure").filter(|failure| !failure.is_null());
                story.failure = failure.map(|failure| format!("{} {}", plain(&failure["kind"]), plain(&failure["oracle"])));
                return Some(story);
            }
            let at = line["at_ms"].as_u64()?;
            for entry in line["entries"].as_array()? {
                let named = ["fault", "act"].into_iter().find_map(|what| Some((what, entry.get(what)?)));
                story.happened.extend(named.map(|(what, id)| (at, format!("{what} {}", plain(id)))));
            }
        }
        None
    }
}

fn plain(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Tells it of one commit after the other, of which the first must be bad: the others are compared with it.
pub(super) struct Judge<'a> {
    scratch: &'a Scratch<'a>,
    file: PathBuf,
    build: Command,
    /// What the file says of its failure, as [`Story::failure`] does.
    failure: String,
    /// What happened in the run that fails.
    failing: Option<BTreeSet<(u64, String)>>,
}

impl<'a> Judge<'a> {
    /// `build` is a command for the shell.
    pub(super) fn new(scratch: &'a Scratch<'a>, saved: Saved, build: Option<&str>) -> Self {
        let mut command = Command::new(if build.is_some() { "sh" } else { "cargo" });
        match build {
            Some(build) => command.args(["-c", build]),
            None => command
                .args(["build", "--release", "--locked", "--package", "doubletick-replay"])
                .args(saved.planted.then_some("--features=probes")),
        };
        command.current_dir(scratch.tree()).env("CARGO_TARGET_DIR", scratch.target()).stdin(Stdio::null()).stdout(Stdio::null());
        Self { scratch, file: saved.file, build: command, failure: saved.failure, failing: None }
    }

    /// What is told of the commit that is checked out.
    ///
    /// # Errors
    /// A line that says why a program could not be started, or that a signal has ended it.
    pub(super) fn told(&mut self) -> Result<Told, String> {
        if let Some(why) = self.build()? {
            return Ok(Told::DoesNotBuild(why));
        }
        let story = match self.run()? {
            Ok(story) => story,
            Err(refused) => return Ok(Told::Drifted(refused)),
        };
        let failing = self.failing.get_or_insert_with(|| story.happened.clone());
        Ok(compared(&story, &self.failure, failing))
    }

    /// Says what is wrong, if it does not build.
    fn build(&mut self) -> Result<Option<String>, String> {
        // What another commit has built is not this one's.
        drop(fs::remove_file(self.program()));
        let errors = self.scratch.target().with_extension("errors");
        let status = child::run(self.build.stderr(created(&errors)?))?;
        if status.success() {
            let missing = || format!("there is no {} after the build", self.program().display());
            return Ok((!self.program().exists()).then(missing));
        }
        let said = fs::read_to_string(&errors).unwrap_or_default();
        let error = said.lines().find(|line| line.starts_with("error")).unwrap_or_else(|| first_line(&said));
        Ok(Some(error.to_owned()))
    }

    fn program(&self) -> PathBuf {
        self.scratch.target().join("release").join("doubletick-replay")
    }

    /// Runs the failure again. Inside, the error is why the program does not.
    fn run(&self) -> Result<Result<Story, String>, String> {
        let (lines, errors) = (self.scratch.target().with_extension("json"), self.scratch.target().with_extension("errors"));
        let mut program = Command::new(self.program());
        program.current_dir(self.scratch.tree()).arg(&self.file).arg("--json");
        let status = child::run(program.stdin(Stdio::null()).stdout(created(&lines)?).stderr(created(&errors)?))?;
        let story = File::open(&lines).ok().and_then(|lines| Story::read(BufReader::new(lines)));
        Ok(story.ok_or_else(|| {
            let said = fs::read_to_string(&errors).unwrap_or_default();
            if said.trim().is_empty() {
                format!("its program tells no story, and ends with {status}")
            } else {
                first_line(&said).to_owned()
            }
        }))
    }
}

fn created(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn compared(story: &Story, failure: &str, failing: &BTreeSet<(u64, String)>) -> Told {
    match &story.failure {
        Some(same) if same == failure => Told::Bad,
        Some(other) => Told::Drifted(format!("it fails in another way: {other}")),
        None => {
            let missing: Vec<&(u64, String)> = failing.difference(&story.happened).collect();
            missing.first().map_or(Told::Good, |(at, first)| {
                let (some, all) = (missing.len(), failing.len());
                Told::Drifted(format!("it does not fail, but {some} of {all} faults and acts are not as they were: {first} at {at} ms"))
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(happened: &[(u64, &str)], failure: Option<&str>) -> Story {
        let happened = happened.iter().map(|(at, what)| (*at, (*what).to_owned())).collect();
        Story { happened, failure: failure.map(str::to_owned) }
    }

    #[test]
    fn a_commit_is_good_only_if_what_befell_the_failing_run_befell_it_too() {
        let failing = story(&[(5, "fault reset device-1 7"), (9, "act device-1 2")], None).happened;
        let told = |story| compared(&story, "safety ORDER", &failing);
        let with_more = story(&[(5, "fault reset device-1 7"), (9, "act device-1 2"), (11, "act device-1 3")], None);
        assert_eq!(told(with_more), Told::Good);
        let later = story(&[(6, "fault reset device-1 7"), (9, "act device-1 2")], None);
        let why = "it does not fail, but 1 of 2 faults and acts are not as they were: fault reset device-1 7 at 5 ms";
        assert_eq!(told(later), Told::Drifted(why.into()));
        assert_eq!(told(story(&[], Some("safety ORDER"))), Told::Bad);
        let other = Told::Drifted("it fails in another way: crash PANIC".into());
        assert_eq!(told(story(&[], Some("crash PANIC"))), other);
    }

    #[test]
    fn a_story_is_read_to_its_end_and_without_one_it_is_none() {
        let step = r#"{"step":3,"at_ms":40,"entries":[{"fault":"reset device-1 7"},{"row":"Log"},{"act":"device-2 1"}]}"#;
        let end = r#"{"end":3,"failure":{"kind":"safety","oracle":"ORDER"}}"#;
        let read = Story::read(format!("{step}\n{end}\n").as_bytes());
        assert_eq!(read, Some(story(&[(40, "fault reset device-1 7"), (40, "act device-2 1")], Some("safety ORDER"))));
        assert_eq!(Story::read(format!("{step}\n").as_bytes()), None);
        assert_eq!(Story::read(&b"{\"end\":3,\"failure\":null}\n"[..]), Some(Story::default()));
        assert_eq!(Story::read(&b"no JSON\n"[..]), None);
    }
}
