//! What can be asked for.

use crate::inspect::Wanted;
use clap::error::ErrorKind;
use clap::{Args, Parser};
use doubletick_sim::draw::Who;
use std::path::PathBuf;

/// Tells what happened in a simulated run, and finds what was needed to make it fail.
///
/// A run is a seed and a scenario (`7 scenarios/storm.toml`), or a saved failure (`failures/storm-7.toml`). The logs of a real store are told and
/// proved in the same way: those of a store (`--conversation ID --data DIR`), or those in a file that was made with `--export`.
#[derive(Debug, Default, Parser)]
#[command(name = "doubletick-replay", version)]
pub struct Arguments {
    /// A seed and a scenario's file, the file of a saved failure, or the file of an export
    #[arg(value_name = "SEED SCENARIO | FILE", required_unless_present_any = ["conversation", "all"], num_args = 1..=2)]
    pub what: Vec<String>,
    /// With a bug planted in the core, in a build with the feature `probes` (`none`: without the one that a saved failure names)
    #[arg(long, value_name = "NAME")]
    pub mutant: Option<String>,
    /// Up to this step
    #[arg(long, value_name = "STEP", value_parser = clap::value_parser!(u64).range(1..))]
    pub until: Option<u64>,
    /// From this step on
    #[arg(long, value_name = "STEP")]
    pub from: Option<u64>,
    /// Only what meets or comes from these: gateway-N, device-N, slot-N or world
    #[arg(long, value_name = "WHO", value_parser = who)]
    pub who: Vec<Who>,
    /// Only steps that name such a text: a conversation's or a user's id, a kind of frame, a fault
    #[arg(long, value_name = "TEXT")]
    pub about: Vec<String>,
    /// Only steps in which a fault happened or was felt
    #[arg(long)]
    pub faults: bool,
    /// A line of JSON for each step
    #[arg(long)]
    pub json: bool,
    /// Draws the run: a page that a browser opens from the disk
    #[arg(long, value_name = "FILE", conflicts_with_all = ["until", "from", "who", "about", "faults", "json"])]
    pub html: Option<PathBuf>,
    /// The run as trace events, for Perfetto and Chrome's viewer
    #[arg(long, value_name = "FILE", conflicts_with_all = ["until", "from", "who", "about", "faults", "json"])]
    pub perfetto: Option<PathBuf>,
    /// The state after a step, of a part: world, network, transactions, due, store, slot-N, gateway-N, device-N, user-N, a conversation's id, or
    /// something in it (device-4/app/chats); without a part, which there are
    #[arg(long, value_names = ["STEP", "PART"], num_args = 1..=2, conflicts_with_all = ["until", "from", "who", "about", "faults", "shrink", "why", "diff", "html", "perfetto"])]
    pub inspect: Option<Vec<String>>,
    /// Walks through the run on the terminal, forwards and backwards, with the state of any part in sight
    #[arg(long, conflicts_with_all = ["until", "from", "who", "about", "faults", "json", "inspect", "shrink", "why", "diff", "html", "perfetto"])]
    pub walk: bool,
    /// The fewest faults, acts, devices and gateways that still fail in the same way
    #[arg(long, conflicts_with_all = ["until", "from", "who", "about", "faults", "json", "html", "perfetto", "why", "diff"])]
    pub shrink: bool,
    /// With --shrink: saves what is left, as a file that the simulator runs again
    #[arg(long, value_name = "FILE", requires = "shrink")]
    pub output: Option<PathBuf>,
    /// Which of the faults that are left matter: of a shrunk failure, best
    #[arg(long, conflicts_with_all = ["until", "from", "who", "about", "faults", "json", "html", "perfetto", "diff"])]
    pub why: bool,
    /// The first step at which this run and another part
    #[arg(long, value_name = "SEED SCENARIO | FILE", num_args = 1..=2, conflicts_with_all = ["until", "from", "who", "about", "faults", "json", "html", "perfetto"])]
    pub diff: Option<Vec<String>>,
    /// The first commit of a range at which a saved failure fails: builds and runs this program at commits between one that does not fail and
    /// one that does, in a git work tree of its own
    #[arg(long, value_name = "GOOD..BAD", conflicts_with_all = ["until", "from", "who", "about", "faults", "json", "html", "perfetto", "inspect", "walk", "shrink", "why", "diff", "mutant"])]
    pub bisect: Option<String>,
    /// With --bisect: builds a commit with this command of the shell, which leaves $CARGO_TARGET_DIR/release/doubletick-replay
    #[arg(long, value_name = "COMMAND", requires = "bisect")]
    pub build: Option<String>,
    /// Logs of real stores
    #[command(flatten, next_help_heading = "Logs of a store")]
    pub logs: Logs,
}

/// Which logs of which store.
#[derive(Debug, Default, Args)]
pub struct Logs {
    /// Tells and proves a conversation of a real store
    #[arg(long, value_name = "ID", conflicts_with_all = ["what", "all"])]
    pub conversation: Option<String>,
    /// Proves all conversations of a real store
    #[arg(long, conflicts_with = "what")]
    pub all: bool,
    /// The data directory of the store; no server may be using it
    #[arg(long, value_name = "DIR", conflicts_with_all = ["what", "store"])]
    pub data: Option<PathBuf>,
    /// The cluster of the store, as fdb: and the path of a cluster file, in a build with the feature `fdb`
    #[arg(long, value_name = "fdb:FILE", conflicts_with = "what")]
    pub store: Option<String>,
    /// What the keys of the store begin with on its cluster
    #[arg(long, value_name = "TEXT", default_value = "doubletick", requires = "store")]
    pub fdb_prefix: String,
    /// The client library of FoundationDB, if it is not where the system finds it
    #[arg(long, value_name = "FILE", requires = "store")]
    pub fdb_library: Option<PathBuf>,
    /// Writes the rows that were read to a file, which this program reads elsewhere
    #[arg(long, value_name = "FILE", conflicts_with = "what")]
    pub export: Option<PathBuf>,
    /// With --export: says nothing of people; ids, names and what was written are replaced, lengths and times stay
    #[arg(long, requires = "export")]
    pub anonymise: bool,
}

/// What `--inspect` says.
///
/// # Errors
/// A line that says what is wrong with it.
pub(crate) fn inspected(words: &[String]) -> Result<(u64, Option<Wanted>), String> {
    let step = words.first().map(String::as_str).unwrap_or_default();
    let number = step.parse().map_err(|_| format!("--inspect {step}: a step is a whole number"))?;
    Ok((number, words.get(1).map(|part| Wanted::read(part)).transpose()?))
}

fn who(text: &str) -> Result<Who, String> {
    text.parse().map_err(|()| "it must be gateway-N, device-N, slot-N, user-N or world".into())
}

/// Reads the command line.
///
/// # Errors
/// One line about what is wrong; none if help was asked for and given.
pub fn parse() -> Result<Arguments, String> {
    Arguments::try_parse().map_err(|error| {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            print!("{error}");
            return String::new();
        }
        let text = error.to_string();
        let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
        let line = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        format!("{} (see --help)", line.trim_start_matches("error: "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_does_not_contradict_itself() {
        Arguments::command().debug_assert();
    }
}
