//! The same seed again in a fresh process: whatever an address, a clock or the state of a process has got into shows as a difference.

use super::panics::run_seed;
use super::scenario_file;
use crate::run::{Run, Verdict};
use crate::scenario::{Sabotage, Scenario};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::process::{Command, ExitCode, Stdio};

/// Makes the worlds of a build for tests impure from a step on, with the number of the process. Builds with optimisation pass over it.
const IMPURE: &str = "DOUBLETICK_SIM_IMPURE_FROM";
/// Makes them panic at a step, likewise.
const PANIC: &str = "DOUBLETICK_SIM_PANIC_AT";

/// The chain of a run at some steps, and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// After so many steps. A hash is told by its first eight bytes.
    pub(crate) checkpoints: Vec<(u64, String)>,
    /// After all.
    hash: String,
    /// How many those are.
    steps: u64,
    /// What happened last.
    last_step: String,
}

impl Chain {
    /// Of a run.
    pub(crate) fn of(run: &Run) -> Self {
        let last_step = match &run.verdict {
            Verdict::Clean => String::new(),
            Verdict::Failed(failure) => failure.last_steps.last().cloned().unwrap_or_default(),
        };
        let checkpoints = run.checkpoints.iter().map(|(step, digest)| (*step, format!("{digest:?}"))).collect();
        Self { checkpoints, hash: format!("{:?}", run.hash), steps: run.steps, last_step }
    }

    /// As a file holds it.
    pub(crate) fn saved(checkpoints: Vec<(u64, String)>, hash: String, steps: u64) -> Self {
        Self { checkpoints, hash, steps, last_step: String::new() }
    }

    /// The end, hashed.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// The steps between which two runs part: the last at which they are known to be the same, and the first at which they differ.
    pub(crate) fn part(&self, other: &Self) -> Option<(u64, u64)> {
        let mut same = 0;
        for ((step, one), (other_step, another)) in self.checkpoints.iter().zip(&other.checkpoints) {
            if step != other_step || one != another {
                return Some((same, (*step).min(*other_step)));
            }
            same = *step;
        }
        let differ = self.hash != other.hash || self.steps != other.steps;
        differ.then(|| (same, self.steps.min(other.steps).max(same + 1)))
    }

    fn to_json(&self) -> Value {
        json!({"checkpoints": self.checkpoints, "hash": self.hash, "steps": self.steps, "last_step": self.last_step})
    }

    fn from_json(value: &Value) -> Option<Self> {
        let checkpoint = |pair: &Value| Some((pair.get(0)?.as_u64()?, pair.get(1)?.as_str()?.to_owned()));
        Some(Self {
            checkpoints: value["checkpoints"].as_array()?.iter().map(checkpoint).collect::<Option<_>>()?,
            hash: value["hash"].as_str()?.into(),
            steps: value["steps"].as_u64()?,
            last_step: value["last_step"].as_str()?.into(),
        })
    }
}

/// In a build for tests, and only if the environment asks for it, a scenario whose worlds do what they must not.
pub(crate) fn perhaps_sabotage(scenario: &mut Scenario) {
    let step = |name: &str| std::env::var(name).ok().filter(|_| cfg!(debug_assertions))?.parse().ok();
    let impure = step(IMPURE).map(|from| (from, Sabotage::Impure(std::process::id().into())));
    scenario.sabotage = impure.or_else(|| step(PANIC).map(|at| (at, Sabotage::Panic)));
}

/// What the fresh process does: the scenario comes from the standard input, and the chain goes to the standard output.
pub(crate) fn serve(seed: u64, until: Option<u64>) -> ExitCode {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text).map_err(|error| error.to_string());
    match read.and_then(|_| scenario_file::parse(&text, "standard input", "again")) {
        Ok(mut scenario) => {
            perhaps_sabotage(&mut scenario);
            if let Some(until) = until {
                (scenario.max_steps, scenario.checkpoint_every) = (until, 1);
            }
            println!("{}", Chain::of(&run_seed(&scenario, seed)).to_json());
            ExitCode::SUCCESS
        }
        Err(line) => {
            eprintln!("doubletick-sim: {line}");
            super::exit::USAGE.into()
        }
    }
}

/// Runs a seed in a fresh process; if it is to end after some steps, every one of them is sealed.
fn fresh(scenario: &Scenario, seed: u64, until: Option<u64>) -> Result<Chain, String> {
    let program = std::env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?;
    let mut command = Command::new(program);
    command.args(["chain", &seed.to_string()]);
    if let Some(until) = until {
        command.args(["--until", &until.to_string()]);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| format!("a fresh process cannot be started: {error}"))?;
    let text = scenario_file::write(scenario);
    child.stdin.take().expect("it was asked for").write_all(text.as_bytes()).map_err(|error| format!("a fresh process died: {error}"))?;
    let output = child.wait_with_output().map_err(|error| format!("a fresh process died: {error}"))?;
    let chain = serde_json::from_slice(&output.stdout).ok().as_ref().and_then(Chain::from_json);
    chain.ok_or_else(|| format!("a fresh process said nothing, and ended with {}", output.status))
}

/// Runs a seed again in a fresh process.
///
/// # Errors
/// What differs: the first step at which it does, with both sides.
pub(crate) fn again(scenario: &Scenario, run: &Run) -> Result<(), String> {
    let first = Chain::of(run);
    let Some((same, differs)) = first.part(&fresh(scenario, run.seed, None)?) else { return Ok(()) };
    Err(format!("two runs part between steps {same} and {differs}{}", locate(scenario, run.seed, differs)?))
}

/// The first step that differs, looked for in more fresh processes, which seal every step.
fn locate(scenario: &Scenario, seed: u64, differs: u64) -> Result<String, String> {
    let two = |until: u64| Ok::<_, String>((fresh(scenario, seed, Some(until))?, fresh(scenario, seed, Some(until))?));
    let (one, other) = two(differs)?;
    let Some((_, step)) = one.part(&other) else {
        return Ok("; two more runs were the same up to there".into());
    };
    let (one, other) = two(step)?;
    let side = |chain: &Chain| format!("{} ({})", chain.last_step, chain.hash);
    Ok(format!("; the first step that differs is {step}: on one side {}, on the other {}", side(&one), side(&other)))
}
