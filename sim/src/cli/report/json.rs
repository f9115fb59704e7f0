//! The report as JSON. What differs from run to run of the same seeds is in the objects `speed`, and nowhere else.

use super::{Report, ScenarioReport, Speed, again, story};
use crate::cli::marks;
use crate::cli::tally::{Cluster, Tally};
use crate::fault::FaultKind;
use crate::oracle::Oracle;
use serde_json::{Map, Value, json};

/// The report, over several lines.
pub fn write(report: &Report) -> String {
    let mut speed = speed(report.speed());
    speed["jobs"] = report.jobs.into();
    speed["cores"] = report.cores.into();
    let value = json!({
        "format": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "commit": report.commit,
        "command": report.command,
        "from": report.from,
        "end": report.end.name(),
        "outcome": report.outcome().name(),
        "exit_code": report.outcome().code(),
        "marks_missing": report.marks_missing(),
        "total": tally(&report.total()),
        "scenarios": report.scenarios.iter().map(scenario).collect::<Vec<_>>(),
        "speed": speed,
    });
    serde_json::to_string_pretty(&value).expect("values are JSON") + "\n"
}

fn scenario(report: &ScenarioReport) -> Value {
    let mut value = tally(&report.tally);
    value["name"] = report.name.as_str().into();
    value["description"] = report.description.as_str().into();
    value["path"] = report.path.as_str().into();
    value["outcome"] = report.tally.outcome().name().into();
    value["inert"] = report.tally.inert().into();
    let difference = |(seed, what): &(u64, String)| json!({"seed": seed, "difference": what, "again": again(report, *seed)});
    value["differences"] = report.tally.differences.iter().map(difference).collect();
    value["drift"] = report.tally.drift.map_or(
        Value::Null,
        |drift| json!({"same_until_step": drift.same, "differs_at_step": drift.differs, "failed_at_step": drift.failed_at}),
    );
    value["failures"] = report.tally.clusters.iter().map(|(signature, cluster)| failure(report, signature, cluster)).collect();
    value["speed"] = speed(Speed::new(&report.tally, report.busy, 1));
    value
}

fn tally(tally: &Tally) -> Value {
    let faults = FaultKind::ALL.into_iter().map(|kind| (kind, tally.ledger.of(kind))).filter(|(_, count)| count.configured > 0);
    let faults: Map<String, Value> = faults
        .map(|(kind, count)| {
            let without = tally.mattered.get(&kind).copied().unwrap_or_default();
            let value = json!({
                "configured": count.configured,
                "offered": count.offered,
                "fired": count.fired,
                "tried_without": without.tried,
                "mattered": without.mattered,
            });
            (kind.name().into(), value)
        })
        .collect();
    let oracles: Map<String, Value> =
        Oracle::ALL.into_iter().map(|oracle| (oracle.name().into(), tally.oracles[oracle as usize].into())).collect();
    let marks: Map<String, Value> =
        marks::known().into_iter().zip(&tally.marks).map(|(known, count)| (known.name.into(), (*count).into())).collect();
    json!({
        "marks": marks,
        "seeds": tally.seeds,
        "failed": tally.failed,
        "delivered_nothing": tally.empty,
        "steps": tally.steps,
        "virtual_ms": tally.virtual_ms,
        "fired": tally.ledger.fired(),
        "run_twice": tally.twice,
        "nondeterministic": tally.unlike,
        "faults": faults,
        "comparisons": oracles,
        "work": {
            "written": tally.work.written,
            "accepted": tally.work.accepted,
            "stored": tally.work.stored,
            "commits": tally.work.commits,
            "conflicts": tally.work.conflicts,
            "sessions": tally.work.sessions,
        },
    })
}

fn failure(report: &ScenarioReport, signature: &str, cluster: &Cluster) -> Value {
    json!({
        "signature": signature,
        "kind": crate::cli::exit::Outcome::from(cluster.kind).name(),
        "oracle": cluster.first.oracle,
        "count": cluster.count,
        "seeds": cluster.seeds,
        "step": cluster.first.step,
        "detail": cluster.first.detail,
        "last_steps": cluster.first.last_steps,
        "again": cluster.seeds.first().map(|seed| again(report, *seed)),
        "story": cluster.seeds.first().map(|seed| story(report, *seed)),
    })
}

fn speed(speed: Speed) -> Value {
    json!({
        "millis": speed.millis,
        "fired_per_second_per_core": speed.fired,
        "steps_per_second_per_core": speed.steps,
        "seeds_per_second_per_core": thousandths(speed.milliseeds).parse::<serde_json::Number>().expect("it is a decimal"),
    })
}

/// A number of thousandths as a decimal.
fn thousandths(number: u64) -> String {
    format!("{}.{:03}", number / 1000, number % 1000)
}
