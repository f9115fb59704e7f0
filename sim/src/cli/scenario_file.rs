//! Scenario files: TOML in, a [`Scenario`] out, and back.
//!
//! A file says how its world differs from the calm one, in which everything works. What it says wrongly is told in one line with the
//! place at which it stands.

use super::keys::{Field, KEYS, Key, LENGTH, MILLION, WEIGHT, has_length};
use super::nearest::nearest;
use super::plan;
use super::saved::{self, Saved};
use crate::fault::FaultKind;
use crate::scenario::{Bounds, Operation, Scenario, Setting};
use core::ops::{Range, RangeInclusive};
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// Reads a scenario file. The scenario has the name of the file, without its ending.
///
/// # Errors
/// A line that names the file and the place.
pub fn read(path: &Path) -> Result<Scenario, String> {
    read_any(path).map(|(scenario, _)| scenario)
}

pub(super) fn read_any(path: &Path) -> Result<(Scenario, Option<Saved>), String> {
    let from = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{from}: {error}"))?;
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    parse_any(&text, &from, &name)
}

/// Reads a scenario.
///
/// # Errors
/// A line that says `from` and the place.
pub fn parse(text: &str, from: &str, name: &str) -> Result<Scenario, String> {
    parse_any(text, from, name).map(|(scenario, _)| scenario)
}

/// Reads a scenario, by itself or in a saved failure.
pub(super) fn parse_any(text: &str, from: &str, name: &str) -> Result<(Scenario, Option<Saved>), String> {
    let source = Source { text, from };
    let table = DeTable::parse(text).map_err(|error| source.wrong(error.span().unwrap_or_default(), error.message()))?;
    let (table, scenario) = (table.get_ref(), Scenario { name: name.into(), description: String::new(), ..Scenario::default() });
    if saved::is_one(table) {
        saved::read(&source, table, scenario).map(|(scenario, saved)| (scenario, Some(saved)))
    } else {
        source.scenario(table, scenario).map(|scenario| (scenario, None))
    }
}

/// A text, and where it comes from.
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) from: &'a str,
}

impl Source<'_> {
    pub(super) fn wrong(&self, place: Range<usize>, what: impl core::fmt::Display) -> String {
        let before = &self.text.as_bytes()[..place.start.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        format!("{}:{line}: {what}", self.from)
    }

    /// What a table says, put over a scenario.
    pub(super) fn scenario(&self, table: &DeTable<'_>, mut scenario: Scenario) -> Result<Scenario, String> {
        for (name, value) in table {
            let key = name.get_ref().as_ref();
            match (key, KEYS.iter().find(|known| known.name == key)) {
                ("faults", _) => self.faults(value, &mut scenario)?,
                ("operations", _) => self.operations(value, &mut scenario)?,
                ("without", _) => self.without(value, &mut scenario)?,
                ("plan", _) => plan::read(self, value, &mut scenario)?,
                (_, Some(known)) => self.set(known, value, &mut scenario)?,
                (_, None) => {
                    let known = KEYS.iter().map(|key| key.name).chain(["faults", "operations", "plan", "without"]);
                    return Err(self.wrong(name.span(), format_args!("there is no key `{key}`; did you mean `{}`?", nearest(key, known))));
                }
            }
        }
        self.contradictions(&scenario)?;
        Ok(scenario)
    }

    fn set(&self, key: &Key, value: &Value<'_>, scenario: &mut Scenario) -> Result<(), String> {
        match &key.field {
            Field::Text(field) => {
                let text = value.get_ref().as_str().filter(|text| !text.trim().is_empty() && !text.contains('\n'));
                let text = text.ok_or_else(|| self.wrong(value.span(), format_args!("`{}` must be a line of text", key.name)))?;
                field(scenario).replace_range(.., text);
            }
            Field::Number(range, _, set) => set(scenario, self.number(key.name, value, range)?),
            Field::Bounds(range, field) => *field(scenario) = self.bounds(key.name, value, range)?,
        }
        Ok(())
    }

    fn number(&self, name: &str, value: &Value<'_>, range: &RangeInclusive<u64>) -> Result<u64, String> {
        let number = value.get_ref().as_integer().and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
        number.filter(|number| range.contains(number)).ok_or_else(|| {
            self.wrong(value.span(), format_args!("`{name}` must be a whole number from {} to {}", range.start(), range.end()))
        })
    }

    fn bounds(&self, name: &str, value: &Value<'_>, range: &RangeInclusive<u64>) -> Result<Bounds, String> {
        let Some(array) = value.get_ref().as_array() else {
            return self.number(name, value, range).map(|number| (number, number)).map_err(|error| error + ", or two: [least, most]");
        };
        let [least, most] = array.iter().collect::<Vec<_>>()[..] else {
            return Err(self.wrong(value.span(), format_args!("`{name}` must be one number or two: [least, most]")));
        };
        let (least, most) = (self.number(name, least, range)?, self.number(name, most, range)?);
        if least > most {
            return Err(self.wrong(value.span(), format_args!("`{name}` has {least} as its least and {most} as its most")));
        }
        Ok((least, most))
    }

    pub(super) fn table<'v, 'a>(&self, name: &str, value: &'v Value<'a>) -> Result<&'v DeTable<'a>, String> {
        value.get_ref().as_table().ok_or_else(|| self.wrong(value.span(), format_args!("`{name}` must be a table")))
    }

    fn kind(&self, name: &str, place: Range<usize>) -> Result<FaultKind, String> {
        FaultKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let near = nearest(name, FaultKind::ALL.into_iter().map(FaultKind::name));
            self.wrong(place, format_args!("there is no fault `{name}`; did you mean `{near}`?"))
        })
    }

    fn faults(&self, value: &Value<'_>, scenario: &mut Scenario) -> Result<(), String> {
        for (name, value) in self.table("faults", value)? {
            let kind = self.kind(name.get_ref(), name.span())?;
            scenario.faults[kind as usize] = self.setting(kind, value)?;
        }
        Ok(())
    }

    /// `reset = 10_000`, or `delay = { per_million = 300_000, ms = [1, 400] }`.
    fn setting(&self, kind: FaultKind, value: &Value<'_>) -> Result<Setting, String> {
        let rate = |name: &str, value: &Value<'_>| self.number(name, value, &(0..=MILLION)).map(|number| number as u32);
        let Some(table) = value.get_ref().as_table() else {
            let per_million = rate(kind.name(), value)?;
            if per_million > 0 && has_length(kind) {
                let example = format!("{kind} = {{ per_million = {per_million}, ms = [least, most] }}");
                return Err(self.wrong(value.span(), format_args!("`{kind}` has a length: write `{example}`")));
            }
            return Ok(Setting { per_million, length: (0, 0) });
        };
        let mut setting = Setting::default();
        let mut length = None;
        for (name, value) in table {
            match name.get_ref().as_ref() {
                "per_million" => setting.per_million = rate("per_million", value)?,
                "ms" => length = Some((name.span(), self.bounds("ms", value, &LENGTH)?)),
                other => {
                    let near = nearest(other, ["per_million", "ms"]);
                    return Err(self.wrong(name.span(), format_args!("a fault has no key `{other}`; did you mean `{near}`?")));
                }
            }
        }
        match length {
            Some((place, _)) if !has_length(kind) => {
                return Err(self.wrong(place, format_args!("`{kind}` has no length: leave `ms` out")));
            }
            None if has_length(kind) && setting.per_million > 0 => {
                return Err(self.wrong(value.span(), format_args!("`{kind}` has a length: it needs `ms`")));
            }
            Some((_, length)) => setting.length = length,
            None => {}
        }
        Ok(setting)
    }

    fn operations(&self, value: &Value<'_>, scenario: &mut Scenario) -> Result<(), String> {
        for (name, value) in self.table("operations", value)? {
            let given = name.get_ref().as_ref();
            let Some(operation) = Operation::ALL.into_iter().find(|operation| operation.name() == given) else {
                let near = nearest(given, Operation::ALL.into_iter().map(Operation::name));
                return Err(self.wrong(name.span(), format_args!("there is no operation `{given}`; did you mean `{near}`?")));
            };
            scenario.weights[operation as usize] = self.number(given, value, &WEIGHT)? as u32;
        }
        if scenario.weights[Operation::Write as usize] == 0 {
            return Err(self.wrong(value.span(), "`write` must have a weight: without messages there is nothing to be seen"));
        }
        Ok(())
    }

    fn without(&self, value: &Value<'_>, scenario: &mut Scenario) -> Result<(), String> {
        let names = value.get_ref().as_array().ok_or_else(|| self.wrong(value.span(), "`without` must be a list of faults"))?;
        for name in names {
            let text = name.get_ref().as_str().ok_or_else(|| self.wrong(name.span(), "`without` must be a list of faults"))?;
            let kind = self.kind(text, name.span())?;
            if scenario.without.contains(&kind) {
                return Err(self.wrong(name.span(), format_args!("`without` names `{kind}` twice")));
            }
            scenario.without.push(kind);
        }
        Ok(())
    }

    /// What is right by itself and wrong together.
    fn contradictions(&self, scenario: &Scenario) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{}: {what}", self.from));
        if scenario.description.is_empty() {
            return wrong("`description` is missing: one sentence about what it is for");
        }
        if scenario.dead == MILLION as u32 {
            return wrong("`dead_per_million` leaves nobody alive to whom anything could be delivered");
        }
        if scenario.pace_ms.0 > scenario.trouble_ms.1 {
            return wrong("`pace_ms` is longer than `trouble_ms`: nobody would do anything");
        }
        if scenario.sample_every > scenario.max_steps || scenario.checkpoint_every > scenario.max_steps {
            return wrong("`sample_every` and `checkpoint_every` must not be more than `max_steps`");
        }
        Ok(())
    }
}

/// A scenario as a file holds it, with everything that differs from the calm one, and a description in any case.
pub fn write(scenario: &Scenario) -> String {
    let calm = Scenario { description: String::new(), ..Scenario::default() };
    write_over(scenario, Some(calm), "")
}

/// A scenario with all that it says, so that it stays what it is whatever the calm one becomes. It stands in a table of that name.
pub(super) fn write_all(scenario: &Scenario, table: &str) -> String {
    format!("[{table}]\n{}", write_over(scenario, None, &format!("{table}.")))
}

fn write_over(scenario: &Scenario, mut base: Option<Scenario>, prefix: &str) -> String {
    let mut scenario = scenario.clone();
    let mut text = String::new();
    for key in KEYS {
        let value = match &key.field {
            Field::Text(field) => toml::Value::from(field(&mut scenario).as_str()).to_string(),
            Field::Number(_, get, _) if base.as_ref().is_some_and(|base| get(&scenario) == get(base)) => continue,
            Field::Number(_, get, _) => get(&scenario).to_string(),
            Field::Bounds(_, field) if base.as_mut().is_some_and(|base| field(&mut scenario) == field(base)) => continue,
            Field::Bounds(_, field) => show(*field(&mut scenario)),
        };
        line(&mut text, &format!("{} = {value}", key.name));
    }
    if !scenario.without.is_empty() {
        let names: Vec<String> = scenario.without.iter().map(|kind| format!("\"{kind}\"")).collect();
        line(&mut text, &format!("without = [{}]", names.join(", ")));
    }
    let mut section = format!("\n[{prefix}operations]\n");
    for operation in Operation::ALL {
        let weight = scenario.weights[operation as usize];
        if base.as_ref().is_none_or(|base| weight != base.weights[operation as usize]) {
            text.push_str(&core::mem::take(&mut section));
            line(&mut text, &format!("{} = {weight}", operation.name()));
        }
    }
    let mut section = format!("\n[{prefix}faults]\n");
    for kind in FaultKind::ALL {
        let Setting { per_million, length } = scenario.faults[kind as usize];
        if per_million > 0 {
            text.push_str(&core::mem::take(&mut section));
            let value = if has_length(kind) {
                format!("{{ per_million = {per_million}, ms = {} }}", show(length))
            } else {
                per_million.to_string()
            };
            line(&mut text, &format!("{kind} = {value}"));
        }
    }
    text.push_str(&plan::write(&scenario.plan, prefix));
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn show((least, most): Bounds) -> String {
    if least == most { least.to_string() } else { format!("[{least}, {most}]") }
}

/// The keys as a table in Markdown: what each may be, what it is in the calm world, and what it means.
pub fn keys_as_table() -> String {
    let mut calm = Scenario::default();
    let mut text = String::from("| key | values | calm | meaning |\n|---|---|---|---|\n");
    for Key { name, help, field } in KEYS {
        let (values, value) = match field {
            Field::Text(_) => ("a line of text, required".into(), String::new()),
            Field::Number(range, get, _) => (format!("{} to {}", range.start(), range.end()), get(&calm).to_string()),
            Field::Bounds(range, field) => {
                (format!("{} to {}, or `[least, most]`", range.start(), range.end()), format!("`{}`", show(*field(&mut calm))))
            }
        };
        line(&mut text, &format!("| `{name}` | {values} | {value} | {help} |"));
    }
    let (rates, lengths) = (format!("0 to {MILLION}"), format!("0 to {}", LENGTH.end()));
    line(
        &mut text,
        "| `without` | a list of faults | none | Faults that are off although a seed would have them on: to see which matter |",
    );
    line(&mut text, plan::HELP);
    for operation in Operation::ALL {
        let weight = calm.weights[operation as usize];
        let values = format!("0 to {}", WEIGHT.end());
        line(&mut text, &format!("| `operations.{}` | {values} | {weight} | How much of what people do is this |", operation.name()));
    }
    for kind in FaultKind::ALL {
        let values = if has_length(kind) { format!("`{{ per_million = {rates}, ms = {lengths} }}`") } else { rates.clone() };
        line(&mut text, &format!("| `faults.{kind}` | {values} | 0 | {} |", kind.help()));
    }
    text
}
