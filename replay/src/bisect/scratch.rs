//! Git by its command line, and a work tree that is there for as long as it is looked at. The one in which somebody works is not touched.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// The repository in whose folder the program was started.
pub(super) struct Git {
    folder: PathBuf,
}

impl Git {
    /// Finds it.
    ///
    /// # Errors
    /// A line that says that there is none, or no git.
    pub(super) fn here() -> Result<Self, String> {
        let folder = Self { folder: PathBuf::from(".") };
        let top = folder.ask(&["rev-parse", "--show-toplevel"]).map_err(|error| {
            let none = error.contains("not a git repository");
            if none { "there is no git repository here: --bisect is for the folder of a clone of Doubletick".into() } else { error }
        })?;
        Ok(Self { folder: top.into() })
    }

    fn output(&self, arguments: &[&str]) -> Result<Output, String> {
        // No hook and no translation: both would answer in place of git. Ctrl-C on the terminal is for this program alone.
        let mut command = Command::new("git");
        command
            .env("LC_ALL", "C")
            .process_group(0)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .args(["-c", "core.hooksPath=/dev/null"])
            .args(arguments);
        command.output().map_err(|error| format!("git cannot be started: {error}"))
    }

    /// What it answers.
    fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.output(arguments)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let error = String::from_utf8_lossy(&output.stderr);
        Err(format!("git {}: {}", arguments.first().copied().unwrap_or_default(), first_line(&error)))
    }

    /// The hash of a commit.
    pub(super) fn commit(&self, name: &str) -> Result<String, String> {
        let commit = format!("{name}^{{commit}}");
        self.ask(&["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]).map_err(|_| format!("{name}: there is no such commit"))
    }

    /// A commit as people know it.
    pub(super) fn name(&self, commit: &str) -> Result<String, String> {
        self.ask(&["log", "-1", "--format=%h %s", commit])
    }

    pub(super) fn is_ancestor(&self, older: &str, newer: &str) -> Result<bool, String> {
        Ok(self.output(&["merge-base", "--is-ancestor", older, newer])?.status.success())
    }
}

/// The first line that says something, if a program says more than one.
pub(super) fn first_line(text: &str) -> &str {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it says nothing")
}

/// A work tree and what is built in it.
pub(super) struct Scratch<'a> {
    git: &'a Git,
    tree: Git,
    folder: TempDir,
}

impl<'a> Scratch<'a> {
    /// Makes one, in the folder for temporary files.
    ///
    /// # Errors
    /// A line that says why there can be none.
    pub(super) fn new(git: &'a Git, commit: &str) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("doubletick-bisect-").tempdir();
        let folder = folder.map_err(|error| format!("{}: {error}", std::env::temp_dir().display()))?;
        let tree = Git { folder: folder.path().join("tree") };
        let scratch = Self { git, tree, folder };
        git.ask(&["worktree", "add", "--quiet", "--detach", &scratch.tree().display().to_string(), commit])?;
        Ok(scratch)
    }

    /// The files of the commit that is looked at.
    pub(super) fn tree(&self) -> &Path {
        &self.tree.folder
    }

    /// Where it is built. What one commit has built serves the next.
    pub(super) fn target(&self) -> PathBuf {
        self.folder.path().join("target")
    }

    /// Goes to a commit, whatever was left lying about.
    pub(super) fn check_out(&self, commit: &str) -> Result<(), String> {
        self.tree.ask(&["checkout", "--quiet", "--force", "--detach", commit])?;
        self.tree.ask(&["clean", "--quiet", "-d", "--force"]).map(drop)
    }

    /// Begins the search between two commits. Its marks belong to this work tree, so they disturb no other search.
    pub(super) fn begin(&self, good: &str, bad: &str) -> Result<(), String> {
        self.tree.ask(&["bisect", "start", "--no-checkout", bad, good, "--"]).map(drop)
    }

    /// Says how a commit is: good, bad or skip.
    pub(super) fn mark(&self, how: &str, commit: &str) -> Result<(), String> {
        /// So git ends when only skipped commits are left, which [`Scratch::suspects`] shows.
        const ONLY_SKIPPED: i32 = 2;
        let output = self.tree.output(&["bisect", how, commit])?;
        let well = output.status.success() || output.status.code() == Some(ONLY_SKIPPED);
        if well { Ok(()) } else { Err(format!("git bisect {how}: {}", first_line(&String::from_utf8_lossy(&output.stderr)))) }
    }

    /// The commits that can be the first bad one; the first of them is known to be bad.
    pub(super) fn suspects(&self) -> Result<Vec<String>, String> {
        let list = self.tree.ask(&["rev-list", "refs/bisect/bad", "--not", "--glob=refs/bisect/good-*"])?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    /// The commit that halves what is left, or is near it and was not skipped.
    pub(super) fn next(&self) -> Result<String, String> {
        self.tree.commit("BISECT_HEAD")
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // If git cannot, its next `git worktree prune` finds the folder gone.
        drop(self.git.ask(&["worktree", "remove", "--force", "--force", &self.tree().display().to_string()]));
    }
}
