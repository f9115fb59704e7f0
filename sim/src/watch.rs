//! A run that tells its story: what came in, what went out, what was written and what went wrong, step by step. Runs that nobody watches
//! pay one look at an empty place for each of these.

use crate::draw::Who;
use crate::fault::FaultKind;
use crate::plan::{ActId, FaultId};
use crate::run::Run;
use crate::scenario::Scenario;
use crate::world::World;
use core::fmt::Debug;
use doubletick_core::id::ConversationId;
use doubletick_core::rows::Place;
use doubletick_core::store::Write;

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

/// Who watches, and how long.
pub(crate) struct Watch<'a> {
    pub(crate) until: u64,
    step: Option<Step>,
    tell: &'a mut dyn FnMut(Step),
}

impl Watch<'_> {
    /// A step begins, so the one before it has ended.
    fn begin(&mut self, step: Option<Step>) {
        if let Some(step) = core::mem::replace(&mut self.step, step) {
            (self.tell)(step);
        }
    }
}

impl World<'_> {
    pub(crate) fn watch_step(&mut self, number: u64, at_ms: u64, event: &dyn Debug, who: Who) {
        if let Some(watch) = &mut self.watch {
            watch.begin(Some(Step { number, at_ms, event: format!("{event:?}"), who, entries: Vec::new() }));
        }
    }

    /// Notes something, if anybody watches.
    pub(crate) fn note(&mut self, entry: impl FnOnce() -> Entry) {
        if let Some(Watch { step: Some(step), .. }) = &mut self.watch {
            step.entries.push(entry());
        }
    }

    /// Notes the rows of a commit.
    pub(crate) fn note_rows(&mut self, writes: &[Write]) {
        if self.watch.is_none() {
            return;
        }
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

/// Runs one seed of a scenario, up to a step or to its end, and tells every step to `tell`. The run is the same as without.
pub fn watch(scenario: &Scenario, seed: u64, until: Option<u64>, tell: &mut dyn FnMut(Step)) -> Run {
    let watch = Watch { until: until.unwrap_or(u64::MAX), step: Some(beginning()), tell };
    crate::world::run(scenario, seed, Some(watch))
}

/// What is so before anything happens.
fn beginning() -> Step {
    Step { number: 0, at_ms: 0, event: "Beginning".into(), who: Who::World, entries: Vec::new() }
}

/// The last step has ended.
pub(crate) fn end(world: &mut World<'_>) {
    if let Some(watch) = &mut world.watch {
        watch.begin(None);
    }
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
