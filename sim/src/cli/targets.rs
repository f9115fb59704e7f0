//! Which scenarios are run.

use super::saved::{Origin, Saved};
use super::scenario_file;
use crate::run::Run;
use crate::scenario::Scenario;
use std::path::{Path, PathBuf};

/// Where all scenarios are, seen from where the program is started.
const ALL: &str = "scenarios";

/// A scenario and its file.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its file, as it was named.
    pub path: PathBuf,
    /// What it says.
    pub scenario: Scenario,
    /// If it is a saved failure, its one seed and what its run was like.
    pub(crate) saved: Option<Saved>,
}

impl Target {
    /// The seed of a saved failure.
    pub fn seed(&self) -> Option<u64> {
        self.saved.as_ref().map(|saved| saved.seed)
    }

    /// What a saved failure is known by: its kind and the promise that is broken.
    pub fn failure(&self) -> Option<String> {
        self.saved.as_ref()?.failure.clone()
    }

    /// The name of the planted bug without which a saved failure is nothing.
    pub fn mutant(&self) -> Option<&str> {
        self.saved.as_ref()?.mutant.as_deref()
    }

    /// Which program made a saved failure.
    pub fn made_by(&self) -> Option<&Origin> {
        self.saved.as_ref().map(|saved| &saved.made_by)
    }

    /// Where a run parts from the saved failure: the last step at which it is known to be the same, and one at which it differs.
    pub fn drift(&self, run: &Run) -> Option<(u64, u64)> {
        self.saved.as_ref()?.drift(run).map(|drift| (drift.same, drift.differs))
    }
}

/// Finds and reads the files. A folder stands for the files in it, in the order of their names, and not for the folders in it: what lies
/// in those is not part of "all scenarios".
///
/// # Errors
/// A line that says what is wrong with which path.
pub fn find(paths: &[PathBuf]) -> Result<Vec<Target>, String> {
    let all = [PathBuf::from(ALL)];
    let paths = if paths.is_empty() { &all } else { paths };
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() { files.extend(within(path)?) } else { files.push(path.clone()) }
    }
    let mut targets: Vec<Target> = Vec::new();
    for path in files {
        let (scenario, saved) = scenario_file::read_any(&path).map_err(|error| if path.exists() { error } else { missing(&path) })?;
        if let Some(other) = targets.iter().find(|other| other.scenario.name == scenario.name) {
            return Err(format!("{} and {} are both called {}", other.path.display(), path.display(), scenario.name));
        }
        targets.push(Target { path, scenario, saved });
    }
    Ok(targets)
}

fn within(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let wrong = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.extension().is_some_and(|ending| ending == "toml") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(format!("{}: there is no scenario (a file that ends in .toml) in this folder", folder.display()));
    }
    Ok(files)
}

fn missing(path: &Path) -> String {
    let folder = path.parent().filter(|parent| parent.is_dir()).map_or_else(|| PathBuf::from(ALL), Path::to_path_buf);
    let known = within(&folder).unwrap_or_default();
    let names: Vec<String> = known.iter().map(|path| path.display().to_string()).collect();
    if names.is_empty() {
        return format!("{}: there is no such scenario", path.display());
    }
    let wanted = folder.join(path.file_name().unwrap_or_default()).display().to_string();
    let near = super::nearest::nearest(&wanted, names.iter().map(String::as_str));
    format!("{}: there is no such scenario; did you mean {near}?", path.display())
}
