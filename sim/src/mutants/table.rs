//! The kill table: a line a mutant.

use super::hunt::{Fate, hunt};
use super::plan::Plan;
use doubletick_core::probe::Bug;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// What came of a mutant in all ranges.
struct Row {
    bug: Bug,
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

/// Hunts, tells of each mutant as soon as it is through, and writes the reports. Says whether all is well.
///
/// # Errors
/// A line that says which report cannot be written.
pub(super) fn report(plan: &Plan) -> Result<bool, String> {
    // A panic of core is a verdict; its message comes with it.
    std::panic::set_hook(Box::new(|_| {}));
    for path in [&plan.json, &plan.markdown].into_iter().flatten() {
        write(path, "")?;
    }
    println!("{} mutants, {} ranges of at most {} seeds", plan.bugs.len(), plan.ranges, plan.seeds);
    println!("{:28} {:>8} {:>7} {:>5}  found by", "mutant", "reached", "median", "95 %");
    let mut rows = Vec::new();
    hunt(plan, |bug, fates| {
        let row = Row::of(bug, fates);
        println!("{}", row.line());
        row.wrong.iter().for_each(|wrong| println!("    RED: {wrong}"));
        rows.push(row);
    });
    let red = rows.iter().filter(|row| !row.wrong.is_empty()).count();
    println!("{} mutants, {red} red", rows.len());
    if let Some(path) = &plan.json {
        write(path, &json(plan, &rows))?;
    }
    if let Some(path) = &plan.markdown {
        write(path, &markdown(plan, &rows))?;
    }
    Ok(red == 0)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

impl Row {
    fn of(bug: Bug, fates: &[Fate]) -> Self {
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
        Self { bug, seeds, reached, oracles, median: rank(50), most: rank(95), wrong, example }
    }

    fn line(&self) -> String {
        let reached = format!("{}/{}", self.reached, self.seeds);
        format!("{:28} {reached:>8} {:>7} {:>5}  {}", self.bug.name(), number(self.median), number(self.most), self.found())
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

/// A number, or nothing.
fn json_number(number: Option<u64>) -> String {
    number.map_or_else(|| "null".into(), |number| number.to_string())
}

/// A text with its quotes.
fn json_text(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter < ' ' => write!(quoted, "\\u{:04x}", u32::from(letter)).expect("a string takes all"),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

fn json(plan: &Plan, rows: &[Row]) -> String {
    let mut text = format!("{{\"seeds\":{},\"ranges\":{},\"mutants\":[", plan.seeds, plan.ranges);
    for (nth, row) in rows.iter().enumerate() {
        let found: Vec<String> = row.oracles.iter().map(|(oracle, times)| format!("\"{oracle}\":{times}")).collect();
        let wrong: Vec<String> = row.wrong.iter().map(|wrong| json_text(wrong)).collect();
        let example = row
            .example
            .as_ref()
            .map_or_else(|| "null".into(), |(seed, detail)| format!("{{\"seed\":{seed},\"detail\":{}}}", json_text(detail)));
        write!(
            text,
            "{}\n{{\"name\":\"{}\",\"scenario\":\"{}\",\"runs\":{},\"reached\":{},\"found_by\":{{{}}},\"median\":{},\"percentile_95\":{},\"example\":{example},\"red\":[{}]}}",
            if nth > 0 { "," } else { "" },
            row.bug.name(),
            row.bug.about().scenario,
            row.seeds,
            row.reached,
            found.join(","),
            json_number(row.median),
            json_number(row.most),
            wrong.join(","),
        )
        .expect("a string takes all");
    }
    text + "\n]}\n"
}

fn markdown(plan: &Plan, rows: &[Row]) -> String {
    let mut text = format!(
        "# The kill table

{} bugs that can be planted in core, one at a time, and how the simulator finds each: by which invariant, and after how many seeds, in
{} independent ranges of seeds. No build but a simulator with the feature `probes` has them. Written by

```sh
cargo run --release -p doubletick-sim --features probes -- mutants --markdown docs/mutants.md
```

| mutant | what is wrong | seen as | in | reached | found by | median | 95 % |
|---|---|---|---|---|---|---|---|
",
        rows.len(),
        plan.ranges
    );
    for row in rows {
        let about = row.bug.about();
        let found = row.found();
        let found = if row.wrong.is_empty() { found } else { format!("**red**: {found}") };
        writeln!(
            text,
            "| `{}` | {} | {} | {} | {} of {} | {found} | {} | {} |",
            row.bug.name(),
            about.what,
            about.seen,
            about.scenario,
            row.reached,
            row.seeds,
            number(row.median),
            number(row.most)
        )
        .expect("a string takes all");
    }
    text
}
