//! The program as people and pipelines run it.

#![allow(clippy::unwrap_used, reason = "a panic in what tests share is the report too")]

mod bad_input;
mod inert;
mod reports;
mod verdicts;
mod xml;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("doubletick-sim-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.0.join(name), text).unwrap();
        self.path(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // A folder that stays behind harms nobody.
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// The program, in the repository's root, with nothing in its environment that it would listen to.
fn sim(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doubletick-sim"));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
    for name in [
        "GITHUB_ACTIONS",
        "GITHUB_SHA",
        "CI_COMMIT_SHA",
        "TF_BUILD",
        "TEAMCITY_VERSION",
        "DOUBLETICK_SIM_IMPURE_FROM",
        "DOUBLETICK_SIM_PANIC_AT",
    ] {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Runs it, and wants an exit code.
fn ends_with(code: i32, arguments: &[&str]) -> String {
    let output = sim(arguments).output().unwrap();
    let (text, error) = (out(&output), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{text}\n{error}");
    assert!(!error.contains("panicked"), "{error}");
    text
}

/// A small world in which everything works.
const CALM: &str = "description = \"A small world\"\nusers = 2\ndevices = 1\ngateways = 1\ntrouble_ms = 20_000\npace_ms = [500, 2_000]\n";
/// A world in which messages take too long.
const LATE: &str = "description = \"Too late\"\nusers = 2\nsettle_ms = 1\npace_ms = [20, 200]\nlatency_ms = [2_500, 4_000]\n";
