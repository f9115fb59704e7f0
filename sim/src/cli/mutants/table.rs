//! The kill table: a line a mutant.

use super::hunt::{Fate, Hunt, hunt};
use crate::cli::arguments::MutantArguments;
use crate::cli::exit::{Outcome, UNWRITTEN, USAGE};
use crate::cli::output::Output;
use crate::cli::pool;
use crate::cli::report::End;
use core::cell::RefCell;
use core::num::NonZero;
use doubletick_core::probe::Bug;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::rc::Rc;

/// What came of a mutant in all ranges.
struct Row {
    bug: Bug,
    /// Seeds of a range at the most.
    within: u64,
    /// Seeds that were run, and those in which it was reached.
    seeds: u64,
    reached: u64,
    /// How often each oracle has found it.
    oracles: BTreeMap<&'static str, usize>,
    /// Seeds until it was found, in half of the ranges and in all but a twentieth; `None` if it was not.
    median: Option<u64>,
    most: Option<u64>,
    /// What is wrong with that; empty if nothing is.
    wrong: Vec<String>,
    /// One seed at which it is found, and what is found.
    example: Option<(u64, String)>,
}

/// Hunts, tells of each mutant as soon as it is through, and writes the reports.
///
/// # Errors
/// A line that says which report cannot be written, and the exit code.
pub(super) fn report(arguments: &MutantArguments, quarry: Hunt) -> Result<Outcome, (u8, String)> {
    let open = |path: &Option<PathBuf>| path.as_deref().map(Output::open).transpose().map_err(|line| (USAGE, line));
    let (for_machines, for_people) = (open(&arguments.json)?, open(&arguments.markdown)?);
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let jobs = arguments.jobs.map_or(cores, usize::from);
    println!("{} mutants, {} ranges of seeds from {} on", quarry.names().count(), arguments.ranges, arguments.first());
    println!("{:34} {:>10} {:>7} {:>5} {:>7}  found by", "mutant", "reached", "median", "95 %", "at most");
    let rows = Rc::new(RefCell::new(Vec::new()));
    let (told, within) = (Rc::clone(&rows), arguments.seeds);
    let mut quarry = quarry.telling(move |bug, fates| {
        let row = Row::of(bug, within.unwrap_or(bug.about().within), fates);
        println!("{}", row.line());
        row.wrong.iter().for_each(|wrong| println!("    RED: {wrong}"));
        told.borrow_mut().push(row);
    });
    pool::work(&mut quarry, jobs, hunt);
    let rows = rows.take();
    let red = rows.iter().filter(|row| !row.wrong.is_empty()).count();
    let all = quarry.names().count();
    let interrupted = rows.len() < all;
    println!("{} of {all} mutants, {red} red{}", rows.len(), if interrupted { ", interrupted" } else { "" });
    let outcome = match (red, interrupted) {
        (0, false) => Outcome::Clean,
        (0, true) => Outcome::Interrupted,
        (..) => Outcome::Inert,
    };
    let written = [
        for_machines.map(|output| output.write(&json(arguments, &rows, interrupted))),
        for_people.map(|output| output.write(&markdown(arguments, &rows))),
    ];
    written.into_iter().flatten().collect::<Result<(), _>>().map_err(|line| (if red == 0 { UNWRITTEN } else { outcome.code() }, line))?;
    Ok(outcome)
}

impl Row {
    fn of(bug: Bug, within: u64, fates: &[Fate]) -> Self {
        let mut oracles = BTreeMap::new();
        let mut wrong = Vec::new();
        let breaks = bug.about().breaks;
        for (range, fate) in fates.iter().enumerate() {
            match &fate.kill {
                Some(kill) => {
                    *oracles.entry(kill.oracle).or_default() += 1;
                    if !breaks.contains(&kill.oracle) {
                        wrong.push(format!("found by {} at seed {}: {}", kill.oracle, kill.seed, short(&kill.detail)));
                    }
                }
                None => wrong.push(format!("survived range {range}: {} seeds, {} of them void", fate.seeds, fate.void)),
            }
        }
        let reached = fates.iter().map(|fate| fate.reached).sum();
        if reached == 0 {
            wrong.push("never reached".into());
        }
        let mut after: Vec<u64> = fates.iter().map(|fate| if fate.kill.is_some() { fate.seeds } else { u64::MAX }).collect();
        after.sort_unstable();
        // By nearest rank.
        let rank = |percent: usize| after.get((after.len() * percent).div_ceil(100).max(1) - 1).copied().filter(|after| *after < u64::MAX);
        let example = fates.iter().find_map(|fate| fate.kill.as_ref()).map(|kill| (kill.seed, kill.detail.clone()));
        let seeds = fates.iter().map(|fate| fate.seeds).sum();
        Self { bug, within, seeds, reached, oracles, median: rank(50), most: rank(95), wrong, example }
    }

    fn line(&self) -> String {
        let reached = format!("{}/{}", self.reached, self.seeds);
        let (median, most) = (number(self.median), number(self.most));
        format!("{:34} {reached:>10} {median:>7} {most:>5} {:>7}  {}", self.bug.name(), self.within, self.found())
    }

    fn found(&self) -> String {
        self.oracles.iter().map(|(oracle, times)| format!("{oracle} {times}")).collect::<Vec<_>>().join(", ")
    }
}

/// The beginning of a text, as much as a line holds.
fn short(text: &str) -> String {
    text.chars().take(160).collect()
}

fn number(number: Option<u64>) -> String {
    number.map_or_else(|| "—".into(), |number| number.to_string())
}

fn json(arguments: &MutantArguments, rows: &[Row], interrupted: bool) -> String {
    let mutants: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "name": row.bug.name(),
                "scenario": row.bug.about().scenario,
                "breaks": row.bug.about().breaks,
                "because": row.bug.about().because,
                "within": row.within,
                "runs": row.seeds,
                "reached": row.reached,
                "found_by": row.oracles,
                "median": row.median,
                "percentile_95": row.most,
                "example": row.example.as_ref().map(|(seed, detail)| json!({ "seed": seed, "detail": detail })),
                "red": row.wrong,
            })
        })
        .collect();
    let end = if interrupted { End::Interrupted } else { End::Done };
    let (ranges, from) = (arguments.ranges, arguments.first());
    format!(
        "{:#}
",
        json!({ "end": end.name(), "ranges": ranges, "from": from, "mutants": mutants })
    )
}

fn markdown(arguments: &MutantArguments, rows: &[Row]) -> String {
    let mut text = format!(
        "# The kill table

{} bugs that can be planted in the core, one at a time, and how the simulator finds each: in which scenario, as a breach of which invariant,
and after how many seeds, in {} independent ranges of seeds. *At most* is the budget: whoever survives it, or is found as a breach of anything
but what it breaks, is red. What is planted is in no build but that of a simulator with the feature `probes`.

Written by

```sh
cargo run --release -p doubletick-sim --features probes -- mutants --markdown docs/mutants.md
```

| mutant | what is wrong | seen as | in | breaks | found by | median | 95 % | at most |
|---|---|---|---|---|---|---|---|---|
",
        rows.len(),
        arguments.ranges
    );
    for row in rows {
        let about = row.bug.about();
        let found = row.found();
        let found = if row.wrong.is_empty() { found } else { format!("**red**: {found}") };
        let (median, most) = (number(row.median), number(row.most));
        let (name, what, seen, scenario, breaks) = (row.bug.name(), about.what, about.seen, about.scenario, about.breaks.join(", "));
        writeln!(text, "| `{name}` | {what} | {seen} | {scenario} | {breaks} | {found} | {median} | {most} | {} |", row.within)
            .expect("a string takes all");
    }
    text.push_str("\n## Where several invariants are right\n\nWhich is seen first depends on the seed.\n\n");
    for about in rows.iter().map(|row| (row.bug.name(), row.bug.about().because)).filter(|(_, because)| !because.is_empty()) {
        writeln!(text, "- `{}`: {}.", about.0, about.1).expect("a string takes all");
    }
    text
}
