//! The report as lines for people.

use super::{End, Report, ScenarioReport, again, story};
use crate::cli::exit::Outcome;
use crate::cli::marks;
use crate::cli::saved::Drift;
use crate::cli::tally::Cluster;
use crate::fault::{Count, FaultKind};
use crate::oracle::Oracle;
use std::fmt::Write;

/// The report: a table of the scenarios, what faults and oracles did, and the failures last, for that is where one looks.
pub fn write(report: &Report) -> String {
    let mut text = String::new();
    let width = report.scenarios.iter().map(|scenario| scenario.name.len()).max().unwrap_or_default().max("scenario".len());
    let put = |text: &mut String, line: core::fmt::Arguments<'_>| {
        text.write_fmt(line).and_then(|()| text.write_char('\n')).expect("a string takes everything");
    };
    put(
        &mut text,
        format_args!("{:width$} {:>9} {:>7} {:>13} {:>13} {:>13}", "scenario", "seeds", "failed", "steps", "fired", "comparisons"),
    );
    for ScenarioReport { name, tally, .. } in &report.scenarios {
        let (steps, fired, compared) = (tally.steps, tally.ledger.fired(), tally.oracles.iter().sum::<u64>());
        put(&mut text, format_args!("{name:width$} {:>9} {:>7} {steps:>13} {fired:>13} {compared:>13}", tally.seeds, tally.failed));
    }
    let total = report.total();
    let faults = FaultKind::ALL.into_iter().filter(|kind| total.ledger.of(*kind).configured > 0).map(|kind| (kind, total.ledger.of(kind)));
    for (number, (kind, count)) in faults.enumerate() {
        if number == 0 {
            put(&mut text, format_args!("\n{:18} {:>9} {:>15} {:>13} {:>15}", "fault", "on in", "offered", "fired", "mattered"));
        }
        let without = total.mattered.get(&kind).copied().unwrap_or_default();
        let mattered = if without.tried == 0 { "-".into() } else { format!("{} of {}", without.mattered, without.tried) };
        let Count { configured, offered, fired } = count;
        put(&mut text, format_args!("{:18} {configured:>9} {offered:>15} {fired:>13} {mattered:>15}", kind.name()));
    }
    put(&mut text, format_args!("\n{:18} {:>15}", "oracle", "comparisons"));
    for oracle in Oracle::ALL {
        put(&mut text, format_args!("{:18} {:>15}", oracle.name(), total.oracles[oracle as usize]));
    }
    let known = marks::known();
    if !known.is_empty() {
        let reached = total.marks.iter().filter(|count| **count > 0).count();
        put(&mut text, format_args!("\n{reached} of {} coverage marks reached", known.len()));
    }
    for mark in report.marks_missing() {
        put(&mut text, format_args!("inert: the mark {mark} was never reached"));
    }
    for scenario in &report.scenarios {
        for what in scenario.tally.inert() {
            put(&mut text, format_args!("\ninert: {}: {what}", scenario.name));
        }
        for (seed, difference) in &scenario.tally.differences {
            let (name, again) = (&scenario.name, again(scenario, *seed));
            put(&mut text, format_args!("\nnondeterminism: {name}: seed {seed}: {difference}\n  again: {again}"));
        }
        if let Some(Drift { same, differs, failed_at }) = scenario.tally.drift {
            let name = &scenario.name;
            put(
                &mut text,
                format_args!(
                    "\nnote: {name}: drifted at step {differs} at the latest, and not before {same}; it had failed at step {failed_at}"
                ),
            );
        }
        for (signature, cluster) in &scenario.tally.clusters {
            text.push('\n');
            text.push_str(&failure(scenario, signature, cluster));
        }
    }
    text.push('\n');
    text.push_str(&summary(report));
    text
}

fn failure(scenario: &ScenarioReport, signature: &str, cluster: &Cluster) -> String {
    let kind = Outcome::from(cluster.kind).name();
    let mut text = format!("{kind}: {}: {} of {} seeds: {signature}\n", scenario.name, cluster.count, scenario.tally.seeds);
    let seeds: Vec<String> = cluster.seeds.iter().map(u64::to_string).collect();
    let more = if cluster.count > cluster.seeds.len() as u64 { " …" } else { "" };
    text += &format!("  seeds {}{more}\n", seeds.join(", "));
    if let Some(seed) = cluster.seeds.first() {
        let Cluster { first, .. } = cluster;
        text += &format!("  seed {seed}, step {}: {}: {}\n", first.step, first.oracle, first.detail);
        text += &format!("  again: {}\n  story: {}\n", again(scenario, *seed), story(scenario, *seed));
    }
    text
}

/// What it came to, in two lines.
fn summary(report: &Report) -> String {
    let (total, speed, outcome) = (report.total(), report.speed(), report.outcome());
    let end = match report.end {
        End::Done => "",
        End::Time => ", until the time was over",
        End::FirstFailure => ", up to the first failure",
        End::Interrupted => ", interrupted",
        End::NothingFires => ", given up, for nothing fired",
    };
    format!(
        "{} seeds, {} failed, {} of {} run twice came out different, {} faults fired, in {}.{:03} s{end}: {}\nper second and core: {} faults, {} steps, {}.{:03} seeds\n",
        total.seeds,
        total.failed,
        total.unlike,
        total.twice,
        total.ledger.fired(),
        speed.millis / 1000,
        speed.millis % 1000,
        outcome.name(),
        speed.fired,
        speed.steps,
        speed.milliseeds / 1000,
        speed.milliseeds % 1000,
    )
}
