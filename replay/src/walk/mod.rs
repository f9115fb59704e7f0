//! A walk through a run on a terminal: forwards and backwards, to faults, messages and the failure, with the state of any part in sight.

mod keys;
mod view;

use crate::case::{Case, failure};
use crate::inspect::trees;
use crossterm::event::{self, Event, KeyEventKind};
use doubletick_sim::cli::panics::quietly;
use doubletick_sim::draw::Who;
use doubletick_sim::inspect::Part;
use doubletick_sim::player::{Mark, Player};
use doubletick_sim::watch::Step;
use std::collections::BTreeSet;
use std::io::{self, IsTerminal};

/// Steps before the one at which the walk stands that are at hand.
const BEFORE: u64 = 60;

/// Where a walk stands, and what is to be seen from there.
pub struct Walk<'a> {
    player: Player<'a>,
    /// The steps up to the one at which it stands, which is the last.
    story: Vec<Step>,
    part: Part,
    /// The state of the part, in lines; none if there is no such part yet.
    state: Vec<String>,
    /// The lines that were not there before the last step.
    changed: BTreeSet<usize>,
    scroll: usize,
    prompt: Option<Prompt>,
    /// What came of the last key, if it was not what was wanted.
    note: String,
}

/// Something that is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Prompt {
    asked: Asked,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Step,
    Part,
}

impl<'a> Walk<'a> {
    /// Plays a case, and stands at its last step: the failure, if it fails.
    pub fn new(case: &'a Case) -> Self {
        let player = quietly(|| Player::play(&case.scenario, case.seed)).0;
        let last = player.run().steps;
        let part = Part::Of(Who::World);
        let mut walk = Self {
            player,
            story: Vec::new(),
            part,
            state: Vec::new(),
            changed: BTreeSet::new(),
            scroll: 0,
            prompt: None,
            note: String::new(),
        };
        walk.go(last);
        walk
    }

    /// The step at which it stands.
    pub fn at(&self) -> u64 {
        self.player.at()
    }

    fn last(&self) -> u64 {
        self.player.run().steps
    }

    fn go(&mut self, step: u64) {
        let step = step.min(self.last());
        quietly(|| {
            self.story = match step.checked_sub(1) {
                None => Vec::new(),
                Some(before) => self.player.steps(step.saturating_sub(BEFORE), before),
            };
            let before = if step == 0 { Vec::new() } else { self.seen() };
            self.story.extend(self.player.go(step));
            self.state = self.seen();
            let known: BTreeSet<&String> = before.iter().collect();
            self.changed = (0..self.state.len()).filter(|line| step > 0 && !known.contains(&self.state[*line])).collect();
        });
        self.scroll = self.scroll.min(self.state.len().saturating_sub(1));
    }

    /// The part as it is, in lines.
    fn seen(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let facts = self.player.inspect(self.part).unwrap_or_default();
        trees(&facts).iter().for_each(|(name, tree)| tree.lines(name, 0, &mut lines));
        lines
    }

    fn show(&mut self, part: Part) {
        self.part = part;
        self.scroll = 0;
        self.go(self.at());
        if self.state.is_empty() {
            self.note = format!("there is no {part} yet, or nothing in it");
        }
    }

    /// To the next, or the last, of the marks that are wanted.
    fn seek(&mut self, forwards: bool, what: &str, wanted: impl Fn(&Mark) -> bool) {
        let at = self.at();
        let marks = self.player.marks();
        let found = if forwards {
            marks.iter().find(|(step, mark)| *step > at && wanted(mark))
        } else {
            marks.iter().rev().find(|(step, mark)| *step < at && wanted(mark))
        };
        match found.map(|(step, _)| *step) {
            Some(step) => self.go(step),
            None => self.note = format!("there is no {what} {}", if forwards { "after this step" } else { "before this step" }),
        }
    }

    /// What the run came to, where it ends.
    fn verdict(&self) -> Option<String> {
        (self.at() == self.last()).then(|| match failure(self.player.run()) {
            None => "clean".into(),
            Some(failure) => format!("{} is broken: {}", failure.oracle, failure.detail),
        })
    }
}

/// Walks until the walker has seen enough.
///
/// # Errors
/// A line that says that there is no terminal, or what is wrong with it.
pub(crate) fn walk(case: &Case) -> Result<(), String> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err("--walk needs a terminal; the story and --inspect do not".into());
    }
    let mut walk = Walk::new(case);
    let mut terminal = ratatui::try_init().map_err(|error| format!("the terminal: {error}"))?;
    let walked = (|| -> io::Result<()> {
        loop {
            terminal.draw(|frame| walk.draw(frame))?;
            if let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
                && !walk.press(key)
            {
                return Ok(());
            }
        }
    })();
    ratatui::restore();
    walked.map_err(|error| format!("the terminal: {error}"))
}

#[cfg(test)]
mod tests;
