//! A picture of a run: who was there, what went between them, what went wrong, and what led to the broken promise.
//!
//! Reading order: this file (what is in a picture), [`lanes`] (where everybody is drawn), [`cause`] (what led to the failure), then the two
//! that write it down: [`page`] (a page for a browser) and [`perfetto`] (trace events for Perfetto and Chrome).

pub mod cause;
pub mod lanes;
pub mod page;
pub mod perfetto;

use crate::CLOSED;
use crate::arguments::Arguments;
use crate::case::Case;
use crate::story;
use doubletick_core::id::{ConversationId, MessageId, Seq, UserId};
use doubletick_sim::Run;
use doubletick_sim::cli::panics::with_place;
use doubletick_sim::standing::Belongs;
use doubletick_sim::traffic::{Cargo, Journey, Subject, Traffic};
use doubletick_sim::watch::{Step, watch_closely};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// A run as it is drawn.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Every step, from number 0 on, without its traffic, which is in `passages`.
    pub steps: Vec<Step>,
    /// Everything that went from one to another, in the order of leaving.
    pub passages: Vec<Passage>,
    /// Every message, in the order in which they were first heard of.
    pub messages: Vec<Message>,
    /// The number of the user behind an account.
    pub users: BTreeMap<UserId, u32>,
    /// What the run came to.
    pub run: Run,
    /// What tells it again.
    pub command: String,
}

/// Something that went from one to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// What it was.
    pub cargo: Cargo,
    /// In which step it left.
    pub left: u64,
    /// What became of it.
    pub fate: Fate,
}

/// What became of something that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrived in this step.
    Arrived(u64),
    /// It was lost in this step.
    Lost(u64),
    /// It had not arrived when the run ended, and whether it was lost is not known.
    UnderWay,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its conversation.
    pub conversation: ConversationId,
    /// Its name.
    pub id: MessageId,
    /// Its position, if anything said it.
    pub seq: Option<Seq>,
    /// The device on which it was written and in which step, if that was seen.
    pub written: Option<(u32, u64)>,
}

impl Picture {
    /// Draws a run.
    pub fn of(case: &Case) -> Self {
        let mut steps = Vec::new();
        let mut drawing = Drawing::default();
        let mut watched = || {
            watch_closely(&case.scenario, case.seed, &mut |mut step| {
                let traffic = core::mem::take(&mut step.traffic);
                traffic.into_iter().for_each(|traffic| drawing.add(step.number, traffic));
                for standing in &step.standings {
                    if let Belongs::User(user, Some(id)) = standing.belongs {
                        drawing.users.insert(id.user, user);
                    }
                }
                steps.push(step);
            })
        };
        let run = case.planted(|| with_place(&mut watched));
        let mutant = case.mutant.map(|planted| format!(" --mutant {}", planted.name())).unwrap_or_default();
        let command = format!("doubletick-replay {}{mutant}", case.name);
        Self { steps, passages: drawing.passages, messages: drawing.messages, users: drawing.users, run, command }
    }

    /// The step with a number.
    pub fn step(&self, number: u64) -> &Step {
        &self.steps[number as usize]
    }

    /// A name for people: numbers in place of ids.
    pub fn user(&self, user: UserId) -> String {
        self.users.get(&user).map_or_else(|| format!("user {user}"), |number| format!("user-{number}"))
    }

    /// The two who talk in a conversation.
    pub fn conversation(&self, conversation: ConversationId) -> String {
        match conversation {
            ConversationId::Direct(pair) => pair.users().map(|user| self.user(user)).join(" ↔ "),
            ConversationId::Group(_) => conversation.to_string(),
        }
    }

    /// The number of a message, from 1 on.
    pub fn message(&self, of: ConversationId, id: MessageId) -> Option<usize> {
        self.messages.iter().position(|message| (message.conversation, message.id) == (of, id)).map(|place| place + 1)
    }
}

/// Draws a run into the files that were asked for. The exit code is that of the run.
///
/// # Errors
/// A line that says why a file cannot be written.
pub(crate) fn draw(case: &Case, arguments: &Arguments, out: &mut dyn Write) -> Result<ExitCode, String> {
    let picture = Picture::of(case);
    let mut lines = Vec::new();
    if let Some(path) = &arguments.html {
        save(path, &page::page(&picture))?;
        lines.push(format!("saved {}: open it in a browser", path.display()));
    }
    if let Some(path) = &arguments.perfetto {
        save(path, &perfetto::trace(&picture).to_string())?;
        lines.push(format!("saved {}: open it in https://ui.perfetto.dev or chrome://tracing", path.display()));
    }
    let written =
        lines.iter().try_for_each(|line| writeln!(out, "{line}")).and_then(|()| story::end(case, &picture.run, false, false, out));
    Ok(if written.is_ok() { story::outcome(&picture.run).into() } else { CLOSED.into() })
}

fn save(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

impl Passage {
    /// The last step that it has to do with.
    pub fn end(&self) -> u64 {
        match self.fate {
            Fate::Arrived(step) | Fate::Lost(step) => step,
            Fate::UnderWay => self.left,
        }
    }

    /// Whether it arrived.
    pub fn arrived(&self) -> bool {
        matches!(self.fate, Fate::Arrived(_))
    }
}

/// What is gathered while a run goes on.
#[derive(Default)]
struct Drawing {
    passages: Vec<Passage>,
    under_way: BTreeMap<Journey, usize>,
    messages: Vec<Message>,
    known: BTreeMap<(ConversationId, MessageId), usize>,
    users: BTreeMap<UserId, u32>,
}

impl Drawing {
    fn add(&mut self, step: u64, traffic: Traffic) {
        match traffic {
            Traffic::Leaves(journey, cargo) => {
                self.hears_of(&cargo.about);
                self.under_way.insert(journey, self.passages.len());
                self.passages.push(Passage { cargo, left: step, fate: Fate::UnderWay });
            }
            Traffic::Vanishes(cargo) => {
                self.hears_of(&cargo.about);
                self.passages.push(Passage { cargo, left: step, fate: Fate::Lost(step) });
            }
            Traffic::Arrives(journey) => self.ends(journey, Fate::Arrived(step)),
            Traffic::Lost(journey) => self.ends(journey, Fate::Lost(step)),
            Traffic::Composed(device, subject) => {
                self.hears_of(&[subject]);
                if let Subject::Message(of, id, _) = subject {
                    let place = self.known[&(of, id)];
                    self.messages[place].written = Some((device, step));
                }
            }
        }
    }

    fn ends(&mut self, journey: Journey, fate: Fate) {
        if let Some(place) = self.under_way.remove(&journey) {
            self.passages[place].fate = fate;
        }
    }

    fn hears_of(&mut self, about: &[Subject]) {
        for subject in about {
            if let Subject::Message(conversation, id, seq) = *subject {
                let place = *self.known.entry((conversation, id)).or_insert_with(|| {
                    self.messages.push(Message { conversation, id, seq: None, written: None });
                    self.messages.len() - 1
                });
                let known = &mut self.messages[place].seq;
                *known = known.or(seq);
            }
        }
    }
}
