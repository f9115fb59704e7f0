//! Saved failures: a seed, its scenario with all that it says, and what the run was like, so that it can be run again after the fix, and by
//! every change from then on.

use super::again::Chain;
use super::exit::Outcome;
use super::planted::Planted;
use super::scenario_file::{Source, write_all};
use crate::run::{Failure, Run};
use crate::scenario::Scenario;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Value};

/// Checkpoints that a file has at most; of more, every second, fourth and so on are kept.
const CHECKPOINTS: usize = 256;
/// What stands for a version or a commit of which nothing is known.
const UNKNOWN: &str = "unknown";

/// What a saved failure says about its run, apart from the scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Saved {
    /// The seed.
    pub(crate) seed: u64,
    /// The step at which the failure was noticed.
    pub(crate) step: u64,
    /// Its kind and the promise that is broken, if it says so.
    pub(crate) failure: Option<String>,
    /// The planted bug without which it is nothing.
    pub(crate) mutant: Option<String>,
    /// The version that made it, and the commit.
    pub(crate) made_by: Origin,
    chain: Chain,
}

/// Which program made a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its version.
    pub version: String,
    /// The commit that was checked out, if that was known.
    pub commit: Option<String>,
}

impl Origin {
    /// This program, as far as it is known what is checked out.
    pub fn here() -> Self {
        Self { version: env!("CARGO_PKG_VERSION").into(), commit: super::commit::current() }
    }

    /// What to say of a file of this origin to somebody who runs it here; nothing if it was made here.
    pub fn elsewhere(&self, here: &Self) -> Option<String> {
        let differs = self.version != here.version || (self.commit != here.commit && self.commit.is_some() && here.commit.is_some());
        differs.then(|| format!("made by {self}, and this is {here}"))
    }
}

impl core::fmt::Display for Origin {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "version {}", self.version)?;
        self.commit.as_ref().map_or(Ok(()), |commit| write!(f, " (commit {})", &commit[..commit.len().min(12)]))
    }
}

/// How a saved failure fared when it was run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Up to this step the run is known to be the one that was saved.
    pub same: u64,
    /// At this step at the latest it is another.
    pub differs: u64,
    /// The step at which the failure had been noticed.
    pub failed_at: u64,
}

impl Saved {
    /// Where a run parts from the one that was saved.
    pub(crate) fn drift(&self, run: &Run) -> Option<Drift> {
        let mut now = Chain::of(run);
        now.checkpoints.retain(|(step, _)| self.chain.checkpoints.iter().any(|(saved, _)| saved == step));
        self.chain.part(&now).map(|(same, differs)| Drift { same, differs, failed_at: self.step })
    }
}

/// A saved failure as a file holds it.
pub fn write(scenario: &Scenario, run: &Run, failure: &Failure, origin: &Origin, mutant: Option<Planted>) -> String {
    let chain = Chain::of(run);
    let every = chain.checkpoints.len().div_ceil(CHECKPOINTS).next_power_of_two();
    let checkpoints = chain.checkpoints.iter().skip(every - 1).step_by(every);
    let text = |text: &str| Value::from(text).to_string();
    let kind = Outcome::from(failure.kind).name();
    let mut lines = vec![
        format!(
            "# {kind}, found in {}, seed {}. Once it is fixed, this file belongs into scenarios/regressions/.",
            scenario.name, run.seed
        ),
        format!("seed = {}", run.seed),
        format!("kind = {}", text(kind)),
        format!("oracle = {}", text(failure.oracle)),
        format!("detail = {}", text(&failure.detail)),
        format!("step = {}", failure.step),
        format!("version = {}", text(&origin.version)),
        format!("commit = {}", text(origin.commit.as_deref().unwrap_or(UNKNOWN))),
        format!("steps = {}", run.steps),
        format!("hash = {}", text(chain.hash())),
    ];
    lines.extend(mutant.map(|mutant| format!("mutant = {}", text(mutant.name()))));
    lines.push("checkpoints = [".into());
    lines.extend(checkpoints.map(|(step, hash)| format!("    [{step}, {}],", text(hash))));
    lines.push("]\nlast_steps = [".into());
    lines.extend(failure.last_steps.iter().map(|step| format!("    {},", text(step))));
    lines.push(format!("]\n\n{}", write_all(scenario, "scenario")));
    lines.join("\n")
}

/// Where a failure is saved.
pub(crate) fn path(folder: &Path, scenario: &Scenario, seed: u64) -> PathBuf {
    folder.join(format!("{}-{seed}.toml", scenario.name))
}

/// Whether a table is a saved failure, and no scenario.
pub(super) fn is_one(table: &DeTable<'_>) -> bool {
    table.contains_key("seed")
}

/// Reads a saved failure. What another version wrote may mean nothing here; then that is said too.
pub(super) fn read(source: &Source<'_>, table: &DeTable<'_>, scenario: Scenario) -> Result<(Scenario, Saved), String> {
    let version = table.get("version").and_then(|version| version.get_ref().as_str()).unwrap_or(env!("CARGO_PKG_VERSION"));
    read_here(source, table, scenario).map_err(|error| {
        let here = env!("CARGO_PKG_VERSION");
        if version == here { error } else { format!("{error}; the file was made by version {version}, and this is {here}") }
    })
}

fn read_here(source: &Source<'_>, table: &DeTable<'_>, scenario: Scenario) -> Result<(Scenario, Saved), String> {
    const KEYS: [&str; 13] = [
        "seed",
        "kind",
        "oracle",
        "detail",
        "step",
        "version",
        "commit",
        "steps",
        "hash",
        "mutant",
        "checkpoints",
        "last_steps",
        "scenario",
    ];
    if let Some(unknown) = table.keys().find(|key| !KEYS.contains(&key.get_ref().as_ref())) {
        let name = unknown.get_ref();
        let near = super::nearest::nearest(name, KEYS);
        return Err(source.wrong(unknown.span(), format_args!("a saved failure has no key `{name}`; did you mean `{near}`?")));
    }
    let get = |name: &str| table.get(name).ok_or_else(|| format!("{}: a saved failure needs `{name}`", source.from));
    let number = |value: &Spanned<DeValue<'_>>| {
        let number = value.get_ref().as_integer().and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
        number.ok_or_else(|| source.wrong(value.span(), "it must be a whole number"))
    };
    let text = |value: &Spanned<DeValue<'_>>| {
        let text = value.get_ref().as_str().map(str::to_owned);
        text.ok_or_else(|| source.wrong(value.span(), "it must be a text"))
    };
    let places = get("checkpoints")?;
    let wrong = || source.wrong(places.span(), "it must be a list of steps with their hashes");
    let mut checkpoints = Vec::new();
    for place in places.get_ref().as_array().ok_or_else(wrong)? {
        let [step, hash] = place.get_ref().as_array().ok_or_else(wrong)?.iter().collect::<Vec<_>>()[..] else { return Err(wrong()) };
        checkpoints.push((number(step)?, text(hash)?));
    }
    let chain = Chain::saved(checkpoints, text(get("hash")?)?, number(get("steps")?)?);
    let said = |name: &str| table.get(name).map(text).transpose();
    let version = said("version")?.unwrap_or_else(|| UNKNOWN.into());
    let commit = said("commit")?.filter(|commit| commit != UNKNOWN);
    let saved = Saved {
        seed: number(get("seed")?)?,
        step: number(get("step")?)?,
        failure: said("kind")?.zip(said("oracle")?).map(|(kind, oracle)| format!("{kind} {oracle}")),
        mutant: said("mutant")?,
        made_by: Origin { version, commit },
        chain,
    };
    let of = get("scenario")?;
    let of = of.get_ref().as_table().ok_or_else(|| source.wrong(of.span(), "`scenario` must be a table"))?;
    Ok((source.scenario(of, scenario)?, saved))
}
