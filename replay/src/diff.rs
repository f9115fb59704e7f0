//! Where two runs part.

use crate::case::Case;
use crate::story::as_line;
use doubletick_sim::watch::{Step, watch};
use std::io::{self, Write};

/// The first step that differs, with both sides; a side that has ended has none. `None` if the runs are the same.
pub fn part(one: &Case, other: &Case) -> Option<(Option<Step>, Option<Step>)> {
    let mut steps = Vec::new();
    one.planted(|| watch(&one.scenario, one.seed, None, &mut |step| steps.push(step)));
    let mut steps = steps.into_iter();
    let mut parted = None;
    let mut compare = |step: Step| {
        if parted.is_none() {
            let mine = steps.next();
            if mine.as_ref() != Some(&step) {
                parted = Some((mine, Some(step)));
            }
        }
    };
    other.planted(|| watch(&other.scenario, other.seed, None, &mut compare));
    parted.or_else(|| steps.next().map(|step| (Some(step), None)))
}

/// Says where they part, field by field.
pub(crate) fn tell(one: &Case, other: &Case, out: &mut dyn Write) -> io::Result<()> {
    let Some((left, right)) = part(one, other) else { return writeln!(out, "the same from beginning to end") };
    let (Some(left), Some(right)) = (&left, &right) else {
        let longer = left.or(right);
        let line = longer.map(|step| as_line(&step, false)).unwrap_or_default();
        return writeln!(out, "one run has ended, and the other goes on:\n{line}");
    };
    writeln!(out, "they part at step {}", left.number)?;
    let mut field = |name: &str, left: String, right: String| {
        if left == right { Ok(()) } else { writeln!(out, "{name}\n  - {left}\n  + {right}") }
    };
    field("at", format!("{} ms", left.at_ms), format!("{} ms", right.at_ms))?;
    field("who", left.who.to_string(), right.who.to_string())?;
    field("event", left.event.clone(), right.event.clone())?;
    for nth in 0..left.entries.len().max(right.entries.len()) {
        let side = |step: &Step| step.entries.get(nth).map_or_else(|| "nothing".into(), |entry| format!("{entry:?}"));
        field(&format!("entry {}", nth + 1), side(left), side(right))?;
    }
    Ok(())
}
