//! A run that can be stopped at any step, looked into, gone back in, and given another rest.
//!
//! The first pass keeps clones of the world on its way, few of them, and the further apart the longer the run is. A jump clones the one
//! before its goal and lives on from there.

use crate::fault::FaultKind;
use crate::plan::FaultId;
use crate::run::Run;
use crate::scenario::{Scenario, Setting};
use crate::watch::{Entry, Recorder, Step};
use crate::world::{Panic, World};
use doubletick_core::id::ConversationId;

/// Clones that are kept at most. Half of them at least, in a run that is long enough.
const KEPT: usize = 16;
/// Steps between clones at first.
const APART: u64 = 256;

/// Something in a run to which one may want to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A fault happened.
    Fault(FaultId),
    /// A fault, of that or an earlier step, changed what happened next.
    Fired(FaultKind),
    /// A message got its place in a conversation.
    Message(ConversationId),
}

impl Mark {
    fn of(entry: &Entry) -> Option<Self> {
        match entry {
            Entry::Fault(id) => Some(Self::Fault(*id)),
            Entry::Fired(kind) => Some(Self::Fired(*kind)),
            Entry::Row(conversation, _) => conversation.map(Self::Message),
            Entry::Act(_) | Entry::In(..) | Entry::Out(..) => None,
        }
    }
}

/// A run, at one of its steps.
pub struct Player<'a> {
    scenario: &'a Scenario,
    seed: u64,
    pub(crate) world: World<'a>,
    kept: Vec<World<'a>>,
    marks: Vec<(u64, Mark)>,
    run: Run,
}

impl<'a> Player<'a> {
    /// Runs a seed of a scenario from beginning to end, and stays there.
    pub fn play(scenario: &'a Scenario, seed: u64) -> Self {
        let mut world = World::new(scenario, seed, Some(Recorder::brief()));
        let mut kept = Vec::new();
        let mut apart = APART;
        let mut panic = None;
        let mut last = None;
        while !world.done && panic.is_none() && last != Some(world.trace.steps) {
            last = Some(world.trace.steps);
            // What was written down is no part of the world.
            let recorder = world.recorder.take();
            kept.push(world.clone());
            world.recorder = recorder;
            if kept.len() > KEPT {
                apart *= 2;
                kept.retain(|world| world.trace.steps.is_multiple_of(apart));
            }
            panic = world.live((world.trace.steps / apart + 1) * apart);
        }
        let brief = world.recorder.take().map(Recorder::into_brief).unwrap_or_default();
        let marks = brief.entries.into_iter().filter_map(|(step, entry)| Some((step, Mark::of(&entry)?))).collect();
        let run = world.verdict(seed, panic);
        Self { scenario, seed, world, kept, marks, run }
    }

    /// What it came to in the end.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// To what one may want to go, in the order of steps.
    pub fn marks(&self) -> &[(u64, Mark)] {
        &self.marks
    }

    /// The last step that has been made.
    pub fn at(&self) -> u64 {
        self.world.trace.steps
    }

    /// Goes to where a step has been made, forwards or back; says what the step was. Beyond the last step there is none.
    pub fn go(&mut self, step: u64) -> Option<Step> {
        self.steps(step, step).pop()
    }

    /// Tells the steps between two, both included, and stays at the later one, or at the end.
    pub fn steps(&mut self, from: u64, until: u64) -> Vec<Step> {
        let mut steps = Vec::new();
        if from == 0 {
            self.world = World::new(self.scenario, self.seed, Some(Recorder::full()));
            steps.extend(self.world.recorded());
        } else {
            self.jump(from - 1);
            self.world.recorder = Some(Recorder::full());
        }
        while self.at() < until {
            let before = self.at();
            self.world.live(before + 1);
            if self.at() == before {
                break;
            }
            steps.extend(self.world.recorded());
        }
        self.world.recorder = None;
        steps
    }

    /// Lives up to a step from the last place before it that is at hand.
    fn jump(&mut self, step: u64) {
        let nearest = self.kept.partition_point(|world| world.trace.steps <= step).saturating_sub(1);
        let nearest = &self.kept[nearest];
        if self.at() > step || self.at() < nearest.trace.steps {
            self.world = nearest.clone();
        }
        self.world.live(step);
    }

    /// The run with another rest from here on: everything that is not settled yet is drawn from another seed, and nothing more goes wrong.
    pub fn with_another_rest(&self, seed: u64) -> Run {
        let mut world = self.world.clone();
        world.draws = world.draws.with_rest_of(seed);
        world.options.faults.iter_mut().for_each(|setting: &mut Setting| setting.per_million = 0);
        let panic: Option<Panic> = world.live(u64::MAX);
        world.verdict(self.seed, panic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::run;
    use crate::watch::watch;

    fn scenario() -> Scenario {
        Scenario { trouble_ms: (60_000, 60_000), pace_ms: (50, 500), ..Scenario::storm() }
    }

    #[test]
    fn a_run_that_is_played_is_the_same_run_and_its_steps_are_those_of_the_story() {
        let scenario = scenario();
        let mut player = Player::play(&scenario, 3);
        assert_eq!(player.run(), &run(&scenario, 3));
        let mut story = Vec::new();
        watch(&scenario, 3, None, &mut |step| story.push(step));
        assert_eq!(player.steps(0, u64::MAX), story);
        let last = player.run().steps;
        assert!(last > 4 * APART, "it is long enough to have clones: {last}");
        for step in [last, 0, 1, last - 1, 2 * APART, 2 * APART + 1, 2 * APART - 1, 2 * APART - 1, 7] {
            assert_eq!(player.go(step).as_ref(), story.get(step as usize), "{step}");
            assert_eq!(player.at(), step);
        }
        assert_eq!((player.go(last + 9), player.at()), (None, last));
        let fired = player.marks().iter().filter(|(_, mark)| matches!(mark, Mark::Fired(_))).count();
        assert_eq!(fired as u64, player.run().ledger.fired());
        let rows = story.iter().flat_map(|step| &step.entries);
        let logged = rows.filter(|entry| matches!(entry, Entry::Row(_, text) if text.starts_with("Log("))).count();
        let messages = player.marks().iter().filter(|(_, mark)| matches!(mark, Mark::Message(_))).count();
        assert!(messages > 10 && messages == logged, "{messages} {logged}");
    }

    #[test]
    fn clones_get_further_apart_with_the_length_of_the_run() {
        let scenario = Scenario { trouble_ms: (600_000, 600_000), pace_ms: (50, 300), ..Scenario::storm() };
        let player = Player::play(&scenario, 2);
        let steps: Vec<u64> = player.kept.iter().map(|world| world.trace.steps).collect();
        assert!(player.run().steps > KEPT as u64 * APART, "{}", player.run().steps);
        assert!((KEPT / 2..=KEPT).contains(&steps.len()), "{steps:?}");
        assert!(steps.windows(2).all(|pair| pair[1] - pair[0] == steps[1]), "{steps:?}");
    }

    #[test]
    fn another_rest_is_another_run_with_the_same_beginning_and_without_more_faults() {
        let scenario = scenario();
        let mut player = Player::play(&scenario, 3);
        let last = player.run().steps;
        player.go(last / 2);
        let (one, other) = (player.with_another_rest(1), player.with_another_rest(2));
        assert_ne!(one.hash, other.hash);
        assert_eq!(one, player.with_another_rest(1));
        let same = one.checkpoints.iter().zip(&player.run().checkpoints).take_while(|(one, all)| one == all).count();
        let before = player.run().checkpoints.iter().filter(|(step, _)| *step <= last / 2).count();
        assert!(same >= before, "{same} {before}");
        player.go(1);
        assert_eq!(player.with_another_rest(1).ledger.of(FaultKind::Reset).fired, 0);
    }
}
