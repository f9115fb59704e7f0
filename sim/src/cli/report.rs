//! What is told in the end, in every form.

pub mod annotations;
pub mod html;
pub mod json;
pub mod junit;
pub mod text;

use super::exit::Outcome;
use super::marks;
use super::tally::Tally;
use core::time::Duration;

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The seeds or the faults that were asked for are done.
    Done,
    /// The time was over.
    Time,
    /// Something failed, and the first failure was to be the last.
    FirstFailure,
    /// A signal ended it.
    Interrupted,
    /// Nothing fired for so long that the number of faults would never be reached.
    NothingFires,
}

impl End {
    /// The name by which reports know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Time => "time",
            Self::FirstFailure => "first-failure",
            Self::Interrupted => "interrupted",
            Self::NothingFires => "nothing-fires",
        }
    }
}

/// What the runs of one scenario came to, and which that was.
#[derive(Clone, Debug)]
pub struct ScenarioReport {
    /// The name of the scenario.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its file.
    pub path: String,
    /// It is a saved failure.
    pub is_saved: bool,
    /// What its runs came to.
    pub tally: Tally,
    /// How long threads were busy with it, all together.
    pub busy: Duration,
}

/// What a run of many seeds came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The command that runs the same again.
    pub command: String,
    /// The commit that was checked out, if that is known.
    pub commit: Option<String>,
    /// The first seed of each scenario.
    pub from: u64,
    /// Why it ended.
    pub end: End,
    /// By scenario.
    pub scenarios: Vec<ScenarioReport>,
    /// Threads.
    pub jobs: usize,
    /// Threads that can be busy at a time.
    pub cores: usize,
    /// How long it took.
    pub elapsed: Duration,
    /// A coverage mark that was not reached is red.
    pub marks_demanded: bool,
}

impl Report {
    /// What all scenarios came to, but for their failures.
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.scenarios.iter().for_each(|scenario| total.add_counts(&scenario.tally));
        total
    }

    /// Coverage marks that this build knows and no seed has reached, if they all had to be.
    pub fn marks_missing(&self) -> Vec<&'static str> {
        let passed = self.total().marks;
        let missing = marks::known().into_iter().enumerate().filter(|(mark, _)| passed.get(*mark).copied().unwrap_or_default() == 0);
        missing.filter(|_| self.marks_demanded).map(|(_, known)| known.name).collect()
    }

    /// The worst of all.
    pub fn outcome(&self) -> Outcome {
        let end = match self.end {
            End::Interrupted => Outcome::Interrupted,
            End::NothingFires => Outcome::Inert,
            End::Done | End::Time | End::FirstFailure => Outcome::Clean,
        };
        let marks = if self.marks_missing().is_empty() { Outcome::Clean } else { Outcome::Inert };
        self.scenarios.iter().map(|scenario| scenario.tally.outcome()).chain([end, marks]).max().expect("there is at least one")
    }

    /// How fast it was.
    pub fn speed(&self) -> Speed {
        Speed::new(&self.total(), self.elapsed, self.jobs.min(self.cores))
    }
}

/// How much was done per second and core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speed {
    /// How long it took.
    pub millis: u64,
    /// Faults that fired.
    pub fired: u64,
    /// Events that were handled.
    pub steps: u64,
    /// Whole seeds, in thousandths.
    pub milliseeds: u64,
}

impl Speed {
    /// Of what was done in a time by so many cores.
    pub fn new(tally: &Tally, elapsed: Duration, cores: usize) -> Self {
        let micros = elapsed.as_micros().max(1) * cores.max(1) as u128;
        let rate = |count: u64, unit: u128| u64::try_from(u128::from(count) * unit / micros).unwrap_or(u64::MAX);
        Self {
            millis: elapsed.as_millis() as u64,
            fired: rate(tally.ledger.fired(), 1_000_000),
            steps: rate(tally.steps, 1_000_000),
            milliseeds: rate(tally.seeds, 1_000_000_000),
        }
    }
}

/// The command that runs one seed of a scenario again, or a saved failure.
pub fn again(report: &ScenarioReport, seed: u64) -> String {
    let path = quoted(&report.path);
    if report.is_saved { format!("doubletick-sim run {path}") } else { format!("doubletick-sim run {path} --from {seed} --seeds 1") }
}

/// The command that tells what happened in one seed of a scenario, or in a saved failure.
pub fn story(report: &ScenarioReport, seed: u64) -> String {
    let path = quoted(&report.path);
    if report.is_saved { format!("doubletick-replay {path}") } else { format!("doubletick-replay {seed} {path}") }
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:,+@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        for (word, shell) in [("scenarios/storm.toml", "scenarios/storm.toml"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("", "''")] {
            assert_eq!(quoted(word), shell);
        }
    }

    #[test]
    fn speed_is_per_second_and_core() {
        let tally = Tally { seeds: 3, steps: 1000, ..Tally::default() };
        let speed = Speed::new(&tally, Duration::from_secs(2), 5);
        assert_eq!((speed.millis, speed.fired, speed.steps, speed.milliseeds), (2000, 0, 100, 300));
    }
}
