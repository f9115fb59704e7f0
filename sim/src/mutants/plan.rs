//! What is to be hunted, and for how long.

use doubletick_core::probe::Bug;
use std::path::PathBuf;

const HELP: &str = "\
usage: doubletick-sim mutants [NAME]… [OPTION]…
  NAME…           only these mutants (all)
  --seeds N       seeds after which a mutant has survived a range (200)
  --ranges N      independent ranges of seeds (20)
  --from N        the first seed of the first range (0)
  --jobs N        worlds side by side (one a core)
  --json FILE     the table for machines
  --markdown FILE the table for people
  --list          only the names";

/// Between the first seeds of two ranges.
const APART: u64 = 1_000_000;

/// What is to be hunted, and for how long.
pub(super) struct Plan {
    pub(super) bugs: Vec<Bug>,
    /// Seeds of each range after which a mutant has survived it.
    pub(super) seeds: u64,
    /// Independent ranges of seeds.
    pub(super) ranges: u64,
    from: u64,
    /// Threads.
    pub(super) jobs: usize,
    pub(super) json: Option<PathBuf>,
    pub(super) markdown: Option<PathBuf>,
    /// Only the names are wanted.
    pub(super) list: bool,
}

impl Plan {
    /// # Errors
    /// A line that says what is wrong, or the help that was asked for.
    pub(super) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut plan = Self { bugs: Vec::new(), seeds: 200, ranges: 20, from: 0, jobs, json: None, markdown: None, list: false };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} wants a value"));
            match argument.as_str() {
                "--seeds" => plan.seeds = number(&argument, value()?)?,
                "--ranges" => plan.ranges = number(&argument, value()?)?,
                "--from" => plan.from = number(&argument, value()?)?,
                "--jobs" => plan.jobs = number::<usize>(&argument, value()?)?.max(1),
                "--json" => plan.json = Some(value()?.into()),
                "--markdown" => plan.markdown = Some(value()?.into()),
                "--list" => plan.list = true,
                "--help" => return Err(HELP.into()),
                // For those who write it before the names.
                "--only" => {}
                option if option.starts_with('-') => return Err(format!("there is no option {option}\n{HELP}")),
                name => plan.bugs.push(named(name)?),
            }
        }
        if plan.bugs.is_empty() {
            plan.bugs = Bug::ALL.to_vec();
        }
        if plan.seeds == 0 || plan.ranges == 0 || plan.seeds > APART {
            return Err(format!("there must be seeds, at most {APART} in a range, and ranges"));
        }
        Ok(plan)
    }

    /// The first seed of a range.
    pub(super) fn first(&self, range: u64) -> u64 {
        self.from + range * APART
    }
}

fn number<T: std::str::FromStr>(option: &str, value: String) -> Result<T, String> {
    value.parse().map_err(|_| format!("{option} wants a number, and {value} is none"))
}

fn named(name: &str) -> Result<Bug, String> {
    let found = Bug::ALL.into_iter().find(|bug| bug.name() == name);
    found.ok_or_else(|| format!("there is no mutant {name}; --list names them all"))
}
