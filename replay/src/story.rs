//! The story of a run: one line a step, in columns.

use crate::arguments::Arguments;
use crate::case::{Case, failure};
use doubletick_sim::cli::exit::Outcome;
use doubletick_sim::cli::panics::with_place;
use doubletick_sim::draw::Who;
use doubletick_sim::watch::{Entry, Step, watch};
use doubletick_sim::{FailureKind, Run};
use serde_json::{Value, json};
use std::io::{self, Write};

/// What an entry adds to the line of its step at most, in characters; JSON has all of it.
const WIDE: usize = 160;

/// Tells a run, and what came of it.
///
/// # Errors
/// Outside: a line about steps that there are not. Inside: nobody reads what is written.
pub fn tell(case: &Case, arguments: &Arguments, colour: bool, out: &mut dyn Write) -> Result<io::Result<Outcome>, String> {
    let from = arguments.from.unwrap_or_default();
    if let Some(until) = arguments.until
        && from > until
    {
        return Err(format!("--from {from} --until {until}: there is nothing between them"));
    }
    let mut written = Ok(());
    let mut told = |step: Step| {
        if written.is_ok() && step.number >= from && wanted(arguments, &step) {
            written = if arguments.json { writeln!(out, "{}", as_json(&step)) } else { writeln!(out, "{}", as_line(&step, colour)) };
        }
    };
    let run = with_place(|| watch(&case.scenario, case.seed, arguments.until, &mut told));
    let last = arguments.until.unwrap_or_default().max(from);
    if last > run.steps {
        return Err(format!("step {last}: there is none, the run ends with step {}", run.steps));
    }
    // A run that was stopped before anything was delivered is not inert.
    let broken = failure(&run).filter(|failure| failure.kind != FailureKind::Inert);
    let stopped = broken.is_none() && arguments.until == Some(run.steps);
    Ok(written.and_then(|()| end(case, &run, stopped, arguments.json, out)).map(|()| if stopped { Outcome::Clean } else { outcome(&run) }))
}

/// A story has the exit code of the run that it tells.
pub(crate) fn outcome(run: &Run) -> Outcome {
    failure(run).map_or(Outcome::Clean, |failure| failure.kind.into())
}

/// Says what a run came to; `stopped` is whether it was ended on purpose.
pub(crate) fn end(case: &Case, run: &Run, stopped: bool, as_json: bool, out: &mut dyn Write) -> io::Result<()> {
    let drift = case.drift(run).filter(|_| !stopped).unwrap_or_default();
    if as_json {
        let failure = failure(run).filter(|_| !stopped).map(|failure| {
            json!({"kind": Outcome::from(failure.kind).name(), "oracle": failure.oracle, "detail": failure.detail, "step": failure.step})
        });
        return writeln!(out, "{}", json!({"end": run.steps, "stopped": stopped, "hash": format!("{:?}", run.hash), "failure": failure}));
    }
    match failure(run) {
        _ if stopped => writeln!(out, "stopped after step {}", run.steps),
        None => writeln!(out, "clean after {} steps{drift}", run.steps),
        Some(failure) => {
            let kind = Outcome::from(failure.kind).name();
            writeln!(out, "{kind}: {} is broken at step {}: {}{drift}", failure.oracle, failure.step, failure.detail)
        }
    }
}

fn wanted(arguments: &Arguments, step: &Step) -> bool {
    let who = arguments.who.is_empty()
        || arguments.who.iter().any(|who| step.who == *who || step.entries.iter().any(|entry| whose(entry) == Some(*who)));
    let fault = !arguments.faults || step.entries.iter().any(|entry| matches!(entry, Entry::Fault(_) | Entry::Fired(_)));
    let named = |about: &String| step.event.contains(about.as_str()) || step.entries.iter().any(|entry| names(entry, about));
    who && fault && arguments.about.iter().all(named)
}

fn whose(entry: &Entry) -> Option<Who> {
    match entry {
        Entry::In(who, _) | Entry::Out(who, _) => Some(*who),
        Entry::Fault(id) => Some(id.who),
        Entry::Act(id) => Some(Who::Device(id.device)),
        Entry::Row(..) | Entry::Fired(_) => None,
    }
}

fn names(entry: &Entry, about: &str) -> bool {
    match entry {
        Entry::In(_, text) | Entry::Out(_, text) => text.contains(about),
        Entry::Row(conversation, text) => text.contains(about) || conversation.is_some_and(|id| id.to_string().contains(about)),
        Entry::Act(id) => id.to_string().contains(about),
        Entry::Fault(id) => id.to_string().contains(about),
        Entry::Fired(kind) => kind.name().contains(about),
    }
}

/// One line for a person.
pub fn as_line(step: &Step, colour: bool) -> String {
    let paint = |code: &str, text: String| if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text };
    let mut line = format!("{:>7} {:>11} {:<11} {:<28}", step.number, time(step.at_ms), step.who.to_string(), cut(&step.event, 28));
    for entry in &step.entries {
        let told = match entry {
            Entry::In(who, text) => format!("→{who} {}", cut(text, WIDE)),
            Entry::Out(who, text) => format!("{who}→ {}", cut(text, WIDE)),
            Entry::Row(_, text) => paint("32", format!("row {}", cut(text, WIDE))),
            Entry::Act(id) => paint("36", format!("act {id}")),
            Entry::Fault(id) => paint("33", format!("fault {id}")),
            Entry::Fired(kind) => paint("31", format!("fired {kind}")),
        };
        line.push_str(" | ");
        line.push_str(&told);
    }
    line.truncate(line.trim_end().len());
    line
}

/// Minutes, seconds and milliseconds.
pub(crate) fn time(millis: u64) -> String {
    format!("{}:{:02}.{:03}", millis / 60_000, millis / 1_000 % 60, millis % 1_000)
}

fn cut(text: &str, most: usize) -> String {
    let mut short: String = text.chars().take(most).collect();
    if short.len() < text.len() {
        short.pop();
        short.push('…');
    }
    short
}

fn as_json(step: &Step) -> Value {
    let entry = |entry: &Entry| match entry {
        Entry::In(who, text) => json!({"in": text, "who": who.to_string()}),
        Entry::Out(who, text) => json!({"out": text, "who": who.to_string()}),
        Entry::Row(conversation, text) => json!({"row": text, "conversation": conversation.map(|id| id.to_string())}),
        Entry::Act(id) => json!({"act": id.to_string()}),
        Entry::Fault(id) => json!({"fault": id.to_string()}),
        Entry::Fired(kind) => json!({"fired": kind.name()}),
    };
    let entries: Vec<Value> = step.entries.iter().map(entry).collect();
    json!({"step": step.number, "at_ms": step.at_ms, "who": step.who.to_string(), "event": step.event, "entries": entries})
}
