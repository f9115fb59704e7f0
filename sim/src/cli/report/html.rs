//! The report as one page that needs nothing else: no network, no script, light or dark as the reader has it.

use super::junit::escaped;
use super::{End, Report, ScenarioReport, Speed, again, story};
use crate::cli::exit::Outcome;
use crate::cli::marks;
use crate::cli::tally::{Cluster, Tally};
use crate::fault::FaultKind;
use crate::oracle::Oracle;

/// The page.
pub fn write(report: &Report) -> String {
    let total = report.total();
    let body = [head(report, &total), failures(report), scenarios(report), faults(&total), oracles(&total), marks(&total)].concat();
    let title = format!("doubletick-sim: {}", report.outcome().name());
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        include_str!("page.css")
    )
}

fn head(report: &Report, total: &Tally) -> String {
    let (outcome, speed) = (report.outcome(), report.speed());
    let (class, sentence) = match outcome {
        Outcome::Clean => ("good", "Every promise was kept."),
        Outcome::Interrupted => ("good", "Interrupted; every promise was kept so far."),
        Outcome::Inert => ("bad", "Something did nothing: this run proves less than it should."),
        Outcome::Liveness => ("bad", "Something that must happen in the end did not."),
        Outcome::Crash => ("bad", "The core panicked."),
        Outcome::Safety => ("bad", "Something happened that must never happen."),
        Outcome::Nondeterminism => ("bad", "The same seed gave two different runs."),
    };
    let end = match report.end {
        End::Done => "all that was asked for",
        End::Time => "until the time was over",
        End::FirstFailure => "up to the first failure",
        End::Interrupted => "until it was interrupted",
        End::NothingFires => "given up, for nothing fired",
    };
    let commit = report.commit.as_deref().map_or(String::new(), |commit| format!(", commit <code>{}</code>", escaped(commit)));
    let tiles = [
        ("seeds", grouped(total.seeds)),
        ("failed", grouped(total.failed)),
        ("faults fired", grouped(total.ledger.fired())),
        ("steps", grouped(total.steps)),
        ("comparisons by oracles", grouped(total.oracles.iter().sum())),
        ("run a second time", grouped(total.twice)),
        ("of those unlike the first", grouped(total.unlike)),
        ("faults a second and core", grouped(speed.fired)),
        ("steps a second and core", grouped(speed.steps)),
        ("virtual time", virtual_time(total.virtual_ms)),
    ];
    let tiles: String =
        tiles.into_iter().map(|(name, value)| format!("<div class=\"tile\"><b>{value}</b><span>{name}</span></div>\n")).collect();
    let threads = if report.jobs == 1 { "thread" } else { "threads" };
    format!(
        "<h1>Simulation</h1>\n<p class=\"verdict {class}\">{sentence}</p>\n\
         <p class=\"quiet\">{}.{:03} s on {} {threads}, {end}; version {}{commit}</p>\n<pre class=\"command\">{}</pre>\n<div class=\"tiles\">\n{tiles}</div>\n",
        speed.millis / 1000,
        speed.millis % 1000,
        report.jobs,
        env!("CARGO_PKG_VERSION"),
        escaped(&report.command),
    )
}

fn failures(report: &Report) -> String {
    let mut text = String::new();
    for scenario in &report.scenarios {
        let tally = &scenario.tally;
        let mut clusters: Vec<(&String, &Cluster)> = tally.clusters.iter().collect();
        clusters.sort_by_key(|(_, cluster)| core::cmp::Reverse(cluster.count));
        clusters.into_iter().for_each(|(signature, cluster)| text.push_str(&failure(scenario, signature, cluster)));
        for (seed, difference) in &tally.differences {
            text += &format!(
                "<div class=\"panel failure\"><h3>nondeterminism in {}: seed {seed}</h3><p>{}</p><pre class=\"command\">{}</pre></div>\n",
                escaped(&scenario.name),
                escaped(difference),
                escaped(&again(scenario, *seed))
            );
        }
        for what in tally.inert() {
            text += &format!("<div class=\"panel note\">inert in {}: {}</div>\n", escaped(&scenario.name), escaped(&what));
        }
        if let Some(drift) = tally.drift {
            text += &format!(
                "<div class=\"panel note\">{} drifted at step {} at the latest, and not before {}; it had failed at step {}</div>\n",
                escaped(&scenario.name),
                drift.differs,
                drift.same,
                drift.failed_at
            );
        }
    }
    if text.is_empty() { text } else { format!("<h2>What failed</h2>\n{text}") }
}

fn failure(scenario: &ScenarioReport, signature: &str, cluster: &Cluster) -> String {
    let Cluster { kind, count, first, seeds } = cluster;
    let kind = Outcome::from(*kind).name();
    let named: Vec<String> = seeds.iter().map(u64::to_string).collect();
    let seed = seeds.first().copied().unwrap_or_default();
    format!(
        "<div class=\"panel failure\"><h3>{kind} in {}: {}</h3>\n<p class=\"quiet\">{count} of {} seeds: {}{}</p>\n\
         <p>seed {seed}, step {}: {}</p>\n<pre class=\"command\">{}\n{}</pre>\n<details><summary>the last steps</summary><pre>{}</pre></details></div>\n",
        escaped(&scenario.name),
        escaped(signature),
        scenario.tally.seeds,
        named.join(", "),
        if *count > seeds.len() as u64 { " …" } else { "" },
        first.step,
        escaped(&first.detail),
        escaped(&again(scenario, seed)),
        escaped(&story(scenario, seed)),
        escaped(&first.last_steps.join("\n")),
    )
}

fn scenarios(report: &Report) -> String {
    let rows: String = report
        .scenarios
        .iter()
        .map(|scenario| {
            let ScenarioReport { name, description, tally, busy, .. } = scenario;
            let speed = Speed::new(tally, *busy, 1);
            let failed = if tally.failed + tally.unlike > 0 { "verdict bad" } else { "" };
            format!(
                "<tr><td><b>{}</b></td><td>{}</td><td class=\"{failed}\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"wide\">{}</td></tr>\n",
                escaped(name),
                grouped(tally.seeds),
                grouped(tally.failed),
                grouped(tally.steps),
                grouped(tally.ledger.fired()),
                grouped(speed.fired),
                grouped(speed.steps),
                escaped(description)
            )
        })
        .collect();
    format!(
        "<h2>Scenarios</h2>\n<div class=\"panel\"><table>\n<tr><th>scenario</th><th>seeds</th><th>failed</th><th>steps</th><th>fired</th>\
         <th>fired/s</th><th>steps/s</th><th></th></tr>\n{rows}</table></div>\n"
    )
}

fn faults(total: &Tally) -> String {
    let on: Vec<FaultKind> = FaultKind::ALL.into_iter().filter(|kind| total.ledger.of(*kind).configured > 0).collect();
    let most = on.iter().map(|kind| total.ledger.of(*kind).offered).max().unwrap_or_default();
    let rows: String = on
        .into_iter()
        .map(|kind| {
            let count = total.ledger.of(kind);
            let without = total.mattered.get(&kind).copied().unwrap_or_default();
            let mattered = if without.tried == 0 { "–".into() } else { format!("{} of {}", without.mattered, without.tried) };
            format!(
                "<tr title=\"{}\"><td>{kind}</td><td>{}</td><td>{}</td><td>{}</td><td>{mattered}</td><td>{}</td></tr>\n",
                escaped(kind.help()),
                grouped(count.configured),
                grouped(count.offered),
                grouped(count.fired),
                bars(most, Some(count.offered), count.fired)
            )
        })
        .collect();
    if rows.is_empty() {
        return rows;
    }
    format!(
        "<h2>Faults</h2>\n<p class=\"quiet\">A fault fires when it changed what happened next. It mattered if the same seed ended differently \
         without it (sampled). Bars are logarithmic: offered pale, fired full.</p>\n<div class=\"panel\"><table>\n<tr><th>fault</th>\
         <th>on in seeds</th><th>offered</th><th>fired</th><th>mattered</th><th></th></tr>\n{rows}</table></div>\n"
    )
}

fn oracles(total: &Tally) -> String {
    let most = total.oracles.iter().copied().max().unwrap_or_default();
    let row = |oracle: Oracle| {
        let count = total.oracles[oracle as usize];
        format!("<tr><td>{}</td><td>{}</td><td>{}</td></tr>\n", oracle.name(), grouped(count), bars(most, None, count))
    };
    let rows: String = Oracle::ALL.into_iter().map(row).collect();
    format!(
        "<h2>Oracles</h2>\n<div class=\"panel\"><table>\n<tr><th>invariant</th><th>comparisons</th><th></th></tr>\n{rows}</table></div>\n"
    )
}

fn marks(total: &Tally) -> String {
    let most = total.marks.iter().copied().max().unwrap_or_default();
    let row = |(known, count): (marks::Known, &u64)| {
        let class = if *count == 0 { " class=\"verdict bad\"" } else { "" };
        let (name, what) = (escaped(known.name), escaped(known.what));
        format!(
            "<tr><td>{name}</td><td{class}>{}</td><td>{}</td><td class=\"wide\">{what}</td></tr>\n",
            grouped(*count),
            bars(most, None, *count)
        )
    };
    let rows: String = marks::known().into_iter().zip(&total.marks).map(row).collect();
    if rows.is_empty() {
        return rows;
    }
    format!(
        "<h2>Coverage marks</h2>\n<p class=\"quiet\">Rare branches of the core, and how often they were taken.</p>\n<div class=\"panel\"><table>\n\
         <tr><th>mark</th><th>taken</th><th></th><th></th></tr>\n{rows}</table></div>\n"
    )
}

/// Bars of one row, on a logarithmic scale up to the most of all rows.
fn bars(most: u64, behind: Option<u64>, count: u64) -> String {
    const WIDTH: u64 = 260;
    let width = |count: u64| if count == 0 { 0 } else { (WIDTH * (1 + thousand_log2(count)) / (1 + thousand_log2(most.max(1)))).max(2) };
    let behind =
        behind.map_or(String::new(), |count| format!("<rect class=\"offered\" width=\"{}\" height=\"12\" rx=\"2\"/>", width(count)));
    format!(
        "<svg width=\"{WIDTH}\" height=\"12\" role=\"img\" aria-label=\"{count}\">{behind}<rect class=\"fired\" width=\"{}\" height=\"12\" rx=\"2\"/></svg>",
        width(count)
    )
}

/// A thousand times the logarithm to the base of two, good enough for a bar.
fn thousand_log2(number: u64) -> u64 {
    let whole = u64::from(number.max(1).ilog2());
    let rest = u128::from(number) * 1000 / (1_u128 << whole);
    whole * 1000 + rest as u64 - 1000
}

/// A time in the worlds' own clocks, in the largest unit of which there are two.
fn virtual_time(millis: u64) -> String {
    let units = [("days", 86_400_000), ("hours", 3_600_000), ("minutes", 60_000), ("seconds", 1_000)];
    let (name, unit) = units.into_iter().find(|(_, unit)| millis >= 2 * unit).unwrap_or(("ms", 1));
    format!("{} {name}", grouped(millis / unit))
}

/// A number with its thousands set apart by narrow spaces.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (number, shown) in [(0, "0"), (999, "999"), (1000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(grouped(number), shown.replace(' ', "\u{202f}"));
        }
    }

    #[test]
    fn time_is_told_in_a_unit_that_can_be_read() {
        for (millis, shown) in [
            (0, "0 ms"),
            (1_999, "1\u{202f}999 ms"),
            (119_000, "119 seconds"),
            (7_200_000, "2 hours"),
            (u64::MAX / 100, "2\u{202f}135\u{202f}039\u{202f}823 days"),
        ] {
            assert_eq!(virtual_time(millis), shown);
        }
    }

    #[test]
    fn bars_grow_with_what_they_show_and_end_at_the_most() {
        let logs: Vec<u64> = [1, 2, 3, 4, 1000, u64::MAX].map(thousand_log2).into();
        assert_eq!(logs[..4], [0, 1000, 1500, 2000]);
        assert!(logs.is_sorted());
        assert!(
            bars(1000, None, 1000).contains("class=\"fired\" width=\"260\"") && bars(1000, None, 0).contains("class=\"fired\" width=\"0\"")
        );
    }
}
