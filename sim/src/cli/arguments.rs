//! What the program can be asked for.

use clap::{Args, Parser, Subcommand};
use core::time::Duration;
use std::path::PathBuf;

/// Runs the messenger's core in simulated worlds, in which everything goes wrong, and says whether it kept its promises.
#[derive(Debug, Parser)]
#[command(name = "doubletick-sim", version, arg_required_else_help = false, disable_help_subcommand = true)]
pub struct Arguments {
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs seeds of scenarios
    Run(RunArguments),
    /// Plants bugs in the core, one at a time, and says which invariant found each, after how many seeds
    Mutants(MutantArguments),
    /// Runs one seed of the scenario in the standard input, and prints its chain: what a run starts as a fresh process
    #[command(hide = true)]
    Chain {
        /// The seed.
        seed: u64,
        /// The last step. Every step is sealed.
        #[arg(long)]
        until: Option<u64>,
    },
    /// Prints the keys of scenario files as a table
    Keys,
}

/// Which seeds of which scenarios are run, and what is written about it.
///
/// `--seeds`, `--faults` and `--time` are limits, and the first that is reached ends the run; without any of them, 100 seeds of each scenario
/// are run. Scenarios take turns, one seed each, so every one gets as many seeds as the others.
#[derive(Debug, Default, Args)]
pub struct RunArguments {
    /// Scenario files, saved failures, or folders of them (not the folders in those)
    #[arg(value_name = "PATH", required_unless_present = "all", conflicts_with = "all")]
    pub paths: Vec<PathBuf>,
    /// All scenarios in the folder `scenarios`
    #[arg(long)]
    pub all: bool,
    /// Seeds of each scenario
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: Option<u64>,
    /// Until so many faults have fired, in all scenarios together; the last turn is completed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub faults: Option<u64>,
    /// For so long, such as 90s, 5m or 2h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub time: Option<Duration>,
    /// The first seed [default: 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=LAST_SEED))]
    pub from: Option<u64>,
    /// The first seed is made of a commit's hash: its first seven digits, times 2^20
    #[arg(long, value_name = "HASH", value_parser = commit, conflicts_with = "from")]
    pub commit: Option<u64>,
    /// Threads [default: as many as there are cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Writes a report as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes a report as JUnit's XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Writes a report as a page for a browser
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Stops at the first failure
    #[arg(long)]
    pub fail_fast: bool,
    /// Every coverage mark of the core must be reached, or the run is inert; for long runs of a build with the feature `probes`
    #[arg(long)]
    pub marks: bool,
    /// Saves failures in a folder, one file each, up to five of each scenario and cluster
    #[arg(long, value_name = "FOLDER")]
    pub save: Option<PathBuf>,
    /// One seed in so many, and each that fails, is run again in a fresh process and must come out the same (0: only those that fail)
    #[arg(long, value_name = "N", default_value_t = SAMPLE)]
    pub twice: u64,
    /// One seed in so many is run again without one of the faults that fired, to see whether it mattered (0: none)
    #[arg(long, value_name = "N", default_value_t = SAMPLE)]
    pub without: u64,
}

/// Which planted bugs are hunted, and for how long.
#[derive(Clone, Debug, Default, Args)]
pub struct MutantArguments {
    /// Only these; without it, all
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub only: Vec<String>,
    /// Seeds after which a mutant has survived a range [default: each mutant's own budget]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..1_000_000))]
    pub seeds: Option<u64>,
    /// Independent ranges of seeds: the median and the 95th percentile are over them
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u64).range(1..10_000))]
    pub ranges: u64,
    /// The first seed of the first range [default: 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=LAST_SEED))]
    pub from: Option<u64>,
    /// The first seed is made of a commit's hash: its first seven digits, times 2^20
    #[arg(long, value_name = "HASH", value_parser = commit, conflicts_with = "from")]
    pub commit: Option<u64>,
    /// Threads [default: as many as there are cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Writes the table as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes the table as Markdown
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Only prints the names
    #[arg(long)]
    pub list: bool,
}

impl MutantArguments {
    /// The first seed of the first range.
    pub fn first(&self) -> u64 {
        self.from.or(self.commit).unwrap_or_default()
    }
}

/// One seed in so many is run once more.
pub const SAMPLE: u64 = 100;
/// The last seed that a file can hold: TOML's numbers are signed.
pub const LAST_SEED: u64 = i64::MAX as u64;

/// A number of milliseconds, seconds, minutes or hours.
fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()));
    let millis = UNITS.iter().find(|(name, _)| *name == unit).and_then(|(_, millis)| number.parse::<u64>().ok()?.checked_mul(*millis));
    millis.filter(|millis| *millis > 0).map(Duration::from_millis).ok_or_else(|| "it must be a time such as 90s, 5m or 2h".into())
}

/// Digits of a hash that make a seed: as many as short hashes have at least, so that short and long ones give the same.
const DIGITS: usize = 7;

/// The first seed of a commit. Those of two commits are a million apart.
fn commit(hash: &str) -> Result<u64, String> {
    let right = (DIGITS..=64).contains(&hash.len()) && hash.bytes().all(|digit| digit.is_ascii_hexdigit());
    let digits = right.then(|| u64::from_str_radix(&hash[..DIGITS], 16).ok()).flatten();
    digits.map(|digits| digits << 20).ok_or_else(|| format!("it must be a commit's hash, {DIGITS} to 64 hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_does_not_contradict_itself() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn times_are_read() {
        for (text, millis) in [("500ms", 500), ("90s", 90_000), ("5m", 300_000), ("2h", 7_200_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)));
        }
        for text in ["", "5", "m", "0s", "-5m", "1.5h", "5 m", "5d", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_short_and_a_long_hash_of_a_commit_give_the_same_seed() {
        let long = "3393ce9f00ba4c6d1e2f3a4b5c6d7e8f90a1b2c3";
        assert_eq!(commit(long), Ok(0x339_3ce9 << 20));
        assert_eq!(commit(&long[..7]), commit(long));
        assert_eq!(commit("3393CE9"), commit(long));
        for text in ["", "3393ce", "3393ceg", "HEAD", "main-branch", &"a".repeat(65)] {
            assert!(commit(text).is_err(), "{text}");
        }
    }
}
