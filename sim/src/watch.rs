//! A run that tells its story: what came in, what went out, what was written and what went wrong, step by step. Runs that nobody watches
//! pay one look at an empty place for each of these.

use crate::draw::Who;
use crate::fault::FaultKind;
use crate::plan::{ActId, FaultId};
use crate::run::Run;
use crate::scenario::Scenario;
use crate::standing::{Mode, Standing};
use crate::traffic::{End, Names, Traffic};
use crate::world::World;
use core::fmt::Debug;
use doubletick_core::id::ConversationId;
use doubletick_core::rows::Place;
use doubletick_core::store::Write;
use std::collections::BTreeMap;

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its number, from 1 on; 0 is what is so before anything happens.
    pub number: u64,
    /// When it was, in virtual milliseconds.
    pub at_ms: u64,
    /// What was due.
    pub event: String,
    /// To whom it happened.
    pub who: Who,
    /// What came of it, in order.
    pub entries: Vec<Entry>,
    /// In the course of which step this one became due; only with [`watch_closely`], as are those below.
    pub cause: u64,
    /// What left, arrived and was lost.
    pub traffic: Vec<Traffic>,
    /// How those that it has met stand after it.
    pub standings: Vec<Standing>,
}

impl Step {
    fn new(number: u64, at_ms: u64, event: String, who: Who) -> Self {
        Self { number, at_ms, event, who, entries: Vec::new(), cause: 0, traffic: Vec::new(), standings: Vec::new() }
    }
}

/// Something that came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A gateway or an app was told something.
    In(Who, String),
    /// It answered.
    Out(Who, String),
    /// A row was written: which, and how. Rows of a conversation say so.
    Row(Option<ConversationId>, String),
    /// Somebody did something.
    Act(ActId),
    /// A fault happened.
    Fault(FaultId),
    /// A fault, of this or of an earlier step, changed what happened next.
    Fired(FaultKind),
}

/// Writes down what comes of the step that is being made.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    step: Step,
    /// Whether it is written out what was said and written; else it is only told that it was.
    in_full: bool,
    closely: Option<Closely>,
}

/// What must be remembered to say where something comes from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Closely {
    pub(crate) names: Names,
    /// In which step each event became due, by the event's number.
    causes: BTreeMap<u64, u64>,
    modes: BTreeMap<End, Mode>,
}

impl Recorder {
    /// From before the first step on.
    pub(crate) fn new(in_full: bool) -> Self {
        Self { step: Step::new(0, 0, "Beginning".into(), Who::World), in_full, closely: None }
    }

    /// The same in full, with what goes between whom, and how everybody stands.
    fn close() -> Self {
        Self { closely: Some(Closely::default()), ..Self::new(true) }
    }

    /// An event becomes due.
    pub(crate) fn due(&mut self, event: u64) {
        if let Some(closely) = &mut self.closely {
            closely.causes.insert(event, self.step.number);
        }
    }

    /// The step that is being made, if it is looked at closely.
    pub(crate) fn under_way(&self) -> Option<&Step> {
        self.closely.is_some().then_some(&self.step)
    }

    /// Whether somebody is another way than before.
    pub(crate) fn moved(&mut self, end: End, mode: Mode) -> bool {
        self.closely.as_mut().is_some_and(|closely| closely.modes.insert(end, mode) != Some(mode))
    }

    pub(crate) fn names(&mut self) -> Option<&mut Names> {
        self.closely.as_mut().map(|closely| &mut closely.names)
    }

    pub(crate) fn stands(&mut self, standing: Standing) {
        self.step.standings.push(standing);
    }

    pub(crate) fn tell_traffic(&mut self, traffic: impl FnOnce(&mut Closely) -> Traffic) {
        if let Some(closely) = &mut self.closely {
            self.step.traffic.push(traffic(closely));
        }
    }
}

impl World<'_> {
    /// A step begins; `nth` is the number of its event.
    pub(crate) fn record_step(&mut self, number: u64, at_ms: u64, nth: u64, event: &dyn Debug, who: Who) {
        if let Some(recorder) = &mut self.recorder {
            let event = if recorder.in_full { format!("{event:?}") } else { String::new() };
            let cause = recorder.closely.as_mut().and_then(|closely| closely.causes.remove(&nth)).unwrap_or_default();
            recorder.step = Step { cause, ..Step::new(number, at_ms, event, who) };
        }
    }

    /// The step that was made last, if it was recorded.
    pub(crate) fn recorded(&mut self) -> Option<Step> {
        let step = &mut self.recorder.as_mut()?.step;
        let bare = Step::new(step.number, step.at_ms, step.event.clone(), step.who);
        Some(core::mem::replace(step, bare))
    }

    /// Notes something, if anybody wants to know.
    pub(crate) fn note(&mut self, entry: impl FnOnce() -> Entry) {
        if let Some(recorder) = &mut self.recorder {
            rarely(|| recorder.step.entries.push(entry()));
        }
    }

    /// Notes what somebody was told, or said, if anybody wants to read it.
    pub(crate) fn note_words(&mut self, entry: impl FnOnce() -> Entry) {
        if let Some(recorder) = self.recorder.as_mut().filter(|recorder| recorder.in_full) {
            rarely(|| recorder.step.entries.push(entry()));
        }
    }

    /// Notes the rows of a commit; in brief, only that messages got their places.
    pub(crate) fn note_rows(&mut self, writes: &[Write]) {
        let Some(recorder) = &self.recorder else { return };
        let in_full = recorder.in_full;
        rarely(|| self.tell_rows(writes, in_full));
    }

    fn tell_rows(&mut self, writes: &[Write], in_full: bool) {
        for write in writes {
            let place = Place::of(write.key());
            if !in_full && !matches!(place, Some(Place::Log(..))) {
                continue;
            }
            let name = place.as_ref().map_or_else(|| format!("{:?}", write.key()), |place| format!("{place:?}"));
            let how = match write {
                Write::Set(_, value) => format!("= {} bytes", value.len()),
                Write::Clear(_) => "cleared".into(),
                Write::Max(_, number) => format!(">= {number}"),
                Write::Add(_, number) => format!("+ {number}"),
            };
            let conversation = place.and_then(|place| place.conversation());
            self.note(|| Entry::Row(conversation, format!("{name} {how}")));
        }
    }
}

/// Does what only runs that somebody watches do, away from the code of those that nobody watches: that is a tenth faster.
#[cold]
#[inline(never)]
pub(crate) fn rarely(note: impl FnOnce()) {
    note();
}

/// Runs one seed of a scenario, up to a step or to its end, and tells every step to `tell`. The run is the same as without.
pub fn watch(scenario: &Scenario, seed: u64, until: Option<u64>, tell: &mut dyn FnMut(Step)) -> Run {
    record(scenario, seed, until.unwrap_or(u64::MAX), Recorder::new(true), tell)
}

/// The same, to the end, with what went between whom, and how everybody stood.
pub fn watch_closely(scenario: &Scenario, seed: u64, tell: &mut dyn FnMut(Step)) -> Run {
    record(scenario, seed, u64::MAX, Recorder::close(), tell)
}

fn record(scenario: &Scenario, seed: u64, until: u64, recorder: Recorder, tell: &mut dyn FnMut(Step)) -> Run {
    let mut world = World::new(scenario, seed, Some(recorder));
    let mut told = None;
    let mut panic = None;
    while told != Some(world.trace.steps) {
        told = Some(world.trace.steps);
        world.recorded().into_iter().for_each(&mut *tell);
        if world.trace.steps < until && panic.is_none() {
            panic = world.live(world.trace.steps + 1);
        }
    }
    world.verdict(seed, panic)
}

/// What something says of itself, with long lists of bytes told by their number.
pub(crate) fn brief(thing: &dyn Debug) -> String {
    let text = format!("{thing:?}");
    let mut short = String::with_capacity(text.len().min(256));
    let mut rest = text.as_str();
    while let Some(open) = rest.find('[') {
        let (before, list) = rest.split_at(open + 1);
        short.push_str(before);
        let end = list.find(|letter: char| !letter.is_ascii_digit() && letter != ',' && letter != ' ').unwrap_or(list.len());
        if end > 16 && list[end..].starts_with(']') {
            short.push_str(&format!("{} bytes", 1 + list[..end].matches(',').count()));
            rest = &list[end..];
        } else {
            rest = list;
        }
    }
    short.push_str(rest);
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::run;

    #[test]
    fn a_run_that_is_watched_is_the_same_and_tells_the_same_story_twice() {
        let scenario = Scenario { trouble_ms: (20_000, 20_000), ..Scenario::storm() };
        let tell = || {
            let mut steps = Vec::new();
            let run = watch(&scenario, 3, None, &mut |step| steps.push(step));
            (run, steps)
        };
        let (watched, steps) = tell();
        assert_eq!(watched, run(&scenario, 3));
        assert_eq!(steps, tell().1);
        assert_eq!(steps.last().map(|step| step.number), Some(watched.steps));
        let fired = steps.iter().flat_map(|step| &step.entries).filter(|entry| matches!(entry, Entry::Fired(_))).count();
        assert_eq!(fired as u64, watched.ledger.fired());
    }

    #[test]
    fn with_only_the_faults_and_acts_that_happened_a_run_is_the_same_and_without_them_nothing_happens() {
        let mut scenario = Scenario { trouble_ms: (90_000, 90_000), ..Scenario::storm() };
        let (mut faults, mut acts) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        let drawn = watch(&scenario, 4, None, &mut |step| {
            for entry in step.entries {
                match entry {
                    Entry::Fault(id) => drop(faults.insert(id)),
                    Entry::Act(id) => drop(acts.insert(id)),
                    Entry::In(..) | Entry::Out(..) | Entry::Row(..) | Entry::Fired(_) => {}
                }
            }
        });
        assert!(faults.len() > 20 && acts.len() > 20, "{} {}", faults.len(), acts.len());
        scenario.plan.faults = Some(faults);
        scenario.plan.acts = Some(acts);
        assert_eq!(run(&scenario, 4), drawn);
        scenario.plan.faults = Some(Default::default());
        assert_eq!(run(&scenario, 4).ledger.fired(), 0);
        scenario.plan.acts = Some(Default::default());
        assert_eq!(run(&scenario, 4).work.written, 0);
    }

    #[test]
    fn lists_of_bytes_are_told_by_their_number() {
        assert_eq!(brief(&(vec![7_u8; 40], [1, 2])), "([40 bytes], [1, 2])");
    }
}
