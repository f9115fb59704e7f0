//! Files that are written in the end, and opened before anything runs, so that a path that cannot be written is told at once.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A file that will be written.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    file: File,
}

impl Output {
    /// Opens a file, and empties it: nobody shall take an old report for the one that is to come.
    ///
    /// # Errors
    /// A line that names the path.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path: path.into(), file })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// A line that names the path.
    pub(crate) fn write(&self, text: &str) -> Result<(), String> {
        (&self.file).write_all(text.as_bytes()).map_err(|error| format!("{}: {error}", self.path.display()))
    }
}
