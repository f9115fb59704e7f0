//! A bug that is planted in the core for a while, by its name; only a build with the feature `probes` has any.

#[cfg(feature = "probes")]
use super::nearest::nearest;
#[cfg(feature = "probes")]
use doubletick_core::probe::{self, Bug};

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg(feature = "probes")]
pub struct Planted(Bug);

/// A planted bug, of which there is none in this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg(not(feature = "probes"))]
pub enum Planted {}

#[cfg(feature = "probes")]
impl Planted {
    /// Finds a bug by its name.
    ///
    /// # Errors
    /// A line that says that there is none of that name.
    pub fn find(name: &str) -> Result<Self, String> {
        let found = Bug::ALL.into_iter().find(|bug| bug.name() == name).map(Self);
        found.ok_or_else(|| format!("there is no mutant {name}; did you mean {}?", nearest(name, Bug::ALL.into_iter().map(Bug::name))))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Runs something with a bug planted in this thread, or without any.
    pub fn with<T>(planted: Option<Self>, run: impl FnOnce() -> T) -> T {
        match planted {
            Some(Self(bug)) => probe::with(bug, run).0,
            None => probe::without(run),
        }
    }
}

#[cfg(not(feature = "probes"))]
impl Planted {
    /// Finds a bug by its name.
    ///
    /// # Errors
    /// A line that says how to build a program that has any.
    pub fn find(name: &str) -> Result<Self, String> {
        Err(format!("this program has no mutant {name}, nor any other: build it with --features probes"))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {}
    }

    /// Runs something: there is no bug to plant.
    pub fn with<T>(_: Option<Self>, run: impl FnOnce() -> T) -> T {
        run()
    }
}
