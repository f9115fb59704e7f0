//! A picture as trace events, for Perfetto and Chrome's viewer.
//!
//! The format is the "Trace Event Format" (JSON object form): `X` slices for steps, one for each whom a step met; `s` and `f` flows, bound to
//! the slices around them, for what went from one to another; `i` instants for faults, losses and the broken promise; `M` for names.
//! Times are microseconds. The simulator counts milliseconds, so steps of one millisecond are spread over it, in their order.

use super::lanes::lanes;
use super::{Fate, Picture};
use crate::case::failure;
use doubletick_sim::draw::Who;
use doubletick_sim::traffic::End;
use doubletick_sim::watch::Entry;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Microseconds of a millisecond.
const MICROS: u64 = 1_000;
/// Entries of a step that its slice tells at most.
const TOLD: usize = 24;

/// The number of a process of the viewer, and of a thread in it.
type Track = (u64, u64);

/// The trace.
pub fn trace(picture: &Picture) -> Value {
    let (tracks, mut events) = tracks(picture);
    let times = times(picture);
    for (number, met) in met(picture).into_iter().enumerate() {
        let step = &picture.steps[number];
        let (ts, dur) = times[number];
        let told: Vec<String> = step.entries.iter().take(TOLD).map(words).collect();
        let args = json!({"step": step.number, "event": step.event, "due since step": step.cause, "entries": told});
        let name = step.event.split('(').next().unwrap_or_default();
        for (pid, tid) in met.iter().filter_map(|end| tracks.get(end)) {
            events.push(json!({"ph": "X", "cat": "step", "name": name, "pid": pid, "tid": tid, "ts": ts, "dur": dur, "args": args}));
        }
        for entry in &step.entries {
            if let Entry::Fault(id) = entry {
                let track = tracks.get(&End::from(id.who)).filter(|_| matches!(id.who, Who::Device(_) | Who::Host(_)));
                events.push(instant("fault", &format!("fault {id}"), ts, track));
            }
        }
    }
    for (id, passage) in picture.passages.iter().enumerate() {
        let (Some(from), Some(to)) = (tracks.get(&passage.cargo.from), tracks.get(&passage.cargo.to)) else { continue };
        let name = format!("{}{}", passage.cargo.what, picture.about(passage));
        let flow = |ph: &str, (pid, tid): &Track, step: u64| json!({"ph": ph, "cat": "passage", "name": name, "id": id, "pid": pid, "tid": tid, "ts": times[step as usize].0, "bp": "e"});
        match passage.fate {
            Fate::Arrived(step) if step > passage.left => events.extend([flow("s", from, passage.left), flow("f", to, step)]),
            Fate::Arrived(_) | Fate::UnderWay => {}
            Fate::Lost(step) => {
                let lost = format!("lost: {name} to {}", passage.cargo.to);
                events.push(instant("lost", &lost, times[step as usize].0, Some(from)));
            }
        }
    }
    if let Some(failure) = failure(&picture.run) {
        let name = format!("{} is broken: {}", failure.oracle, picture.plain(&failure.detail));
        events.push(instant("broken", &name, times[failure.step as usize].0, None));
    }
    json!({"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"command": picture.command, "version": env!("CARGO_PKG_VERSION")}})
}

/// A mark in time: of one track, or of all.
fn instant(cat: &str, name: &str, ts: u64, track: Option<&Track>) -> Value {
    let ((pid, tid), scope) = track.map_or(((1, 1), "g"), |track| (*track, "t"));
    json!({"ph": "i", "cat": cat, "name": name, "pid": pid, "tid": tid, "ts": ts, "s": scope})
}

/// Where everybody is drawn, and the events that say so: devices, gateways and the store are processes, lanes are threads.
fn tracks(picture: &Picture) -> (BTreeMap<End, Track>, Vec<Value>) {
    let meta =
        |name: &str, pid: u64, tid: u64, args: Value| json!({"ph": "M", "name": name, "pid": pid, "tid": tid, "ts": 0, "args": args});
    let mut events = Vec::new();
    for (pid, name) in [(1, "devices"), (2, "gateways"), (3, "store")] {
        events.push(meta("process_name", pid, 0, json!({"name": name})));
        events.push(meta("process_sort_index", pid, 0, json!({"sort_index": pid})));
    }
    let mut tracks = BTreeMap::new();
    for (lane, tid) in lanes(picture).into_iter().zip(1..) {
        let pid = match lane.ends[0] {
            End::Device(_) => 1,
            End::Gateway(_) => 2,
            End::Store => 3,
        };
        let name = if lane.group.is_empty() || lane.group == lane.name { lane.name } else { format!("{} ({})", lane.name, lane.group) };
        events.push(meta("thread_name", pid, tid, json!({"name": name})));
        events.push(meta("thread_sort_index", pid, tid, json!({"sort_index": tid})));
        tracks.extend(lane.ends.into_iter().map(|end| (end, (pid, tid))));
    }
    (tracks, events)
}

/// When each step begins, and how long it is drawn, in microseconds: in their order, and none over the next.
fn times(picture: &Picture) -> Vec<(u64, u64)> {
    let mut times: Vec<(u64, u64)> = Vec::with_capacity(picture.steps.len());
    for together in picture.steps.chunk_by(|one, other| one.at_ms == other.at_ms) {
        let share = (MICROS / together.len() as u64).max(1);
        for (nth, step) in (0..).zip(together) {
            let earliest = times.last().map_or(0, |(ts, dur)| ts + dur);
            times.push(((step.at_ms * MICROS + nth * share).max(earliest), share));
        }
    }
    times
}

/// Whom each step met.
fn met(picture: &Picture) -> Vec<BTreeSet<End>> {
    let mut met: Vec<BTreeSet<End>> = Vec::with_capacity(picture.steps.len());
    for step in &picture.steps {
        let mut ends = BTreeSet::new();
        if matches!(step.who, Who::Device(_) | Who::Host(_)) {
            ends.insert(End::from(step.who));
        }
        if step.entries.iter().any(|entry| matches!(entry, Entry::Row(..))) {
            ends.insert(End::Store);
        }
        met.push(ends);
    }
    for passage in &picture.passages {
        met[passage.left as usize].insert(passage.cargo.from);
        if let Fate::Arrived(step) = passage.fate {
            met[step as usize].insert(passage.cargo.to);
        }
    }
    met
}

fn words(entry: &Entry) -> String {
    match entry {
        Entry::In(who, text) => format!("→{who} {text}"),
        Entry::Out(who, text) => format!("{who}→ {text}"),
        Entry::Row(_, text) => format!("row {text}"),
        Entry::Act(id) => format!("act {id}"),
        Entry::Fault(id) => format!("fault {id}"),
        Entry::Fired(kind) => format!("fired {kind}"),
    }
}
