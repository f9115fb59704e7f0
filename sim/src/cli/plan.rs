//! What is left of a seed, as files hold it.

use super::nearest::nearest;
use super::scenario_file::{Source, Value};
use crate::plan::Plan;
use crate::scenario::Scenario;
use core::fmt::Display;
use core::str::FromStr;
use std::collections::BTreeSet;

/// Its line in the table of keys.
pub(super) const HELP: &str =
    "| `plan` | `faults`, `acts`, `devices` | all | What is left of a seed: only these faults, acts and devices; shrunk failures have it |";

/// Reads the table.
pub(super) fn read(source: &Source<'_>, value: &Value<'_>, scenario: &mut Scenario) -> Result<(), String> {
    for (name, value) in source.table("plan", value)? {
        match name.get_ref().as_ref() {
            "faults" => scenario.plan.faults = Some(list(source, value, "a fault: kind, whom, counter, as in \"conflict gateway-3 17\"")?),
            "acts" => scenario.plan.acts = Some(list(source, value, "an act: device and number, as in \"device-1 4\"")?),
            "devices" => scenario.plan.devices = Some(list(source, value, "a device's number in quotes")?),
            other => {
                let near = nearest(other, ["faults", "acts", "devices"]);
                return Err(source.wrong(name.span(), format_args!("a plan has no key `{other}`; did you mean `{near}`?")));
            }
        }
    }
    Ok(())
}

fn list<T: FromStr + Ord>(source: &Source<'_>, value: &Value<'_>, what: &str) -> Result<BTreeSet<T>, String> {
    let entries = value.get_ref().as_array().ok_or_else(|| source.wrong(value.span(), format_args!("it must be a list, each {what}")))?;
    let one = |entry: &Value<'_>| {
        let read = entry.get_ref().as_str().and_then(|text| text.parse().ok());
        read.ok_or_else(|| source.wrong(entry.span(), format_args!("it must be {what}")))
    };
    entries.iter().map(one).collect()
}

/// The table, if anything is left out.
pub(super) fn write(plan: &Plan, prefix: &str) -> String {
    if plan.is_everything() {
        return String::new();
    }
    format!("\n[{prefix}plan]\n{}{}{}", one("faults", &plan.faults), one("acts", &plan.acts), one("devices", &plan.devices))
}

fn one<T: Display>(name: &str, left: &Option<BTreeSet<T>>) -> String {
    let Some(left) = left else { return String::new() };
    let lines: String = left.iter().map(|id| format!("    \"{id}\",\n")).collect();
    format!("{name} = [\n{lines}]\n")
}

#[cfg(test)]
mod tests {
    use super::super::scenario_file::{parse, write};
    use crate::plan::Plan;
    use crate::scenario::Scenario;

    #[test]
    fn a_plan_is_read_as_it_is_written() {
        let faults = ["conflict gateway-3 17", "offline device-0 2"].map(|id| id.parse().expect("a name"));
        let plan =
            Plan { faults: Some(faults.into()), acts: Some(["device-1 4".parse().expect("a name")].into()), devices: Some([0, 1].into()) };
        let scenario = Scenario { plan, ..Scenario::storm() };
        assert_eq!(parse(&write(&scenario), "text", "storm"), Ok(scenario));
    }

    #[test]
    fn what_is_no_fault_is_told_with_its_line() {
        let error = parse("description = \"x\"\n[plan]\nfaults = [\"conflict\"]", "text", "x").expect_err("it is none");
        assert!(error.starts_with("text:3: it must be a fault"), "{error}");
    }
}
