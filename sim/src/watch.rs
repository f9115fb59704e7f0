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
use std::collections::{BTreeMap, BTreeSet};

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

/// What came of a run, without what was said and written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brief {
    /// Faults, acts and the places of messages, with their steps. Rows have no words.
    pub entries: Vec<(u64, Entry)>,
    /// Devices that something happened to.
    pub devices: BTreeSet<u32>,
}

/// Writes down what comes of the step that is being made.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    step: Step,
    /// What came of all steps, if that is all that anybody wants to know.
    brief: Option<Brief>,
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
    /// From before the first step on: each step in full.
    pub(crate) fn full() -> Self {
        Self { step: Step::new(0, 0, "Beginning".into(), Who::World), brief: None, closely: None }
    }

    /// The same, with what goes between whom, and how everybody stands.
    fn close() -> Self {
        Self { closely: Some(Closely::default()), ..Self::full() }
    }

    /// All steps in brief.
    pub(crate) fn brief() -> Self {
        Self { brief: Some(Brief::default()), ..Self::full() }
    }

    /// What was written down in brief.
    pub(crate) fn into_brief(self) -> Brief {
        self.brief.unwrap_or_default()
    }

    fn note(&mut self, entry: Entry) {
        match &mut self.brief {
            Some(brief) => brief.entries.push((self.step.number, entry)),
            None => self.step.entries.push(entry),
        }
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
        let Some(recorder) = &mut self.recorder else { return };
        if let Some(brief) = &mut recorder.brief {
            recorder.step.number = number;
            if let Who::Device(device) = who {
                brief.devices.insert(device);
            }
            return;
        }
        let cause = recorder.closely.as_mut().and_then(|closely| closely.causes.remove(&nth)).unwrap_or_default();
        recorder.step = Step { cause, ..Step::new(number, at_ms, format!("{event:?}"), who) };
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
            rarely(|| recorder.note(entry()));
        }
    }

    /// Notes what somebody was told, or said, if anybody wants to read it.
    pub(crate) fn note_words(&mut self, entry: impl FnOnce() -> Entry) {
        if let Some(recorder) = self.recorder.as_mut().filter(|recorder| recorder.brief.is_none()) {
            rarely(|| recorder.note(entry()));
        }
    }

    /// Notes the rows of a commit; in brief, only that messages got their places.
    pub(crate) fn note_rows(&mut self, writes: &[Write]) {
        match &self.recorder {
            None => {}
            Some(recorder) if recorder.brief.is_some() => rarely(|| self.tell_places(writes)),
            Some(_) => rarely(|| self.tell_rows(writes)),
        }
    }

    fn tell_places(&mut self, writes: &[Write]) {
        for write in writes {
            if let Some(place @ Place::Log(..)) = Place::of(write.key()) {
                self.note(|| Entry::Row(place.conversation(), String::new()));
            }
        }
    }

    fn tell_rows(&mut self, writes: &[Write]) {
        for write in writes {
            let place = Place::of(write.key());
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
    record(scenario, seed, until.unwrap_or(u64::MAX), Recorder::full(), tell)
}

/// The same, to the end, in brief.
pub fn watch_briefly(scenario: &Scenario, seed: u64) -> (Run, Brief) {
    let mut world = World::new(scenario, seed, Some(Recorder::brief()));
    let panic = world.live(u64::MAX);
    let brief = world.recorder.take().map(Recorder::into_brief).unwrap_or_default();
    (world.verdict(seed, panic), brief)
}

/// The same as [`watch`], to the end, with what went between whom, and how everybody stood.
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
        let (again, brief) = watch_briefly(&scenario, 3);
        assert_eq!(again, watched);
        let mut told = Vec::new();
        for step in &steps {
            for entry in &step.entries {
                match entry {
                    Entry::Row(of, text) if text.starts_with("Log(") => told.push((step.number, Entry::Row(*of, String::new()))),
                    Entry::Fault(_) | Entry::Fired(_) | Entry::Act(_) => told.push((step.number, entry.clone())),
                    Entry::Row(..) | Entry::In(..) | Entry::Out(..) => {}
                }
            }
        }
        assert!(told == brief.entries, "{:?}", told.iter().zip(&brief.entries).find(|(one, other)| one != other));
        let met = steps.iter().filter_map(|step| if let Who::Device(device) = step.who { Some(device) } else { None });
        assert_eq!(met.collect::<BTreeSet<u32>>(), brief.devices);
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
