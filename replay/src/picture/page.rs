//! A picture as one page that a browser opens from the disk, with no network.
//!
//! The page is `page/page.html` with its style, its program and the run in it. The run is JSON: texts are told once and named by their number,
//! and what there is much of is arrays whose columns are named here and in `page/run.js`.

use super::lanes::{Lane, lanes};
use super::{Fate, Passage, Picture, cause};
use crate::case::failure;
use doubletick_core::id::{ConversationId, UserId};
use doubletick_sim::cli::exit::Outcome;
use doubletick_sim::draw::Who;
use doubletick_sim::inspect::Fact;
use doubletick_sim::standing::{Belongs, Standing};
use doubletick_sim::traffic::{End, Subject};
use doubletick_sim::watch::{Entry, Step};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const PROGRAM: [&str; 3] = [include_str!("page/run.js"), include_str!("page/view.js"), include_str!("page/panel.js")];

/// How much of what a gateway or an app was told or said is kept, in characters.
const WIDE: usize = 600;

/// The page.
pub fn page(picture: &Picture) -> String {
    // Within a script element, `<` could only end it too early.
    let run = Sheet::new(picture).run().to_string().replace('<', "\\u003c");
    let parts = [("/*STYLE*/", STYLE), ("/*RUN*/", &run), ("/*PROGRAM*/", &PROGRAM.concat())];
    let mut page = String::with_capacity(PAGE.len() + parts.iter().map(|(_, part)| part.len()).sum::<usize>());
    let mut rest = PAGE;
    for (mark, part) in parts {
        let (before, after) = rest.split_once(mark).expect("the page has a place for each part, in this order");
        page.push_str(before);
        page.push_str(part);
        rest = after;
    }
    page.push_str(rest);
    page
}

/// What is written down, and the numbers by which it is named.
struct Sheet<'a> {
    picture: &'a Picture,
    lanes: Vec<Lane>,
    ends: Vec<(End, usize)>,
    end_numbers: BTreeMap<End, usize>,
    conversations: BTreeMap<ConversationId, usize>,
    users: BTreeMap<UserId, usize>,
    texts: BTreeMap<String, usize>,
    /// What people call a conversation, by its id.
    names: BTreeMap<String, String>,
}

impl<'a> Sheet<'a> {
    fn new(picture: &'a Picture) -> Self {
        let lanes = lanes(picture);
        let ends: Vec<(End, usize)> =
            lanes.iter().enumerate().flat_map(|(nth, lane)| lane.ends.iter().map(move |end| (*end, nth))).collect();
        let end_numbers = ends.iter().enumerate().map(|(number, (end, _))| (*end, number)).collect();
        let mut conversations: Vec<ConversationId> =
            picture.passages.iter().flat_map(|passage| &passage.cargo.about).filter_map(Subject::conversation).collect();
        conversations.sort_by_key(|id| (picture.conversation(*id), *id));
        conversations.dedup();
        let mut users: Vec<(u32, UserId)> = picture.users.iter().map(|(id, number)| (*number, *id)).collect();
        users.sort_unstable();
        Self {
            picture,
            lanes,
            ends,
            end_numbers,
            names: conversations.iter().map(|id| (id.to_string(), picture.conversation(*id))).collect(),
            conversations: conversations.into_iter().enumerate().map(|(number, id)| (id, number)).collect(),
            users: users.into_iter().enumerate().map(|(number, (_, id))| (id, number)).collect(),
            texts: BTreeMap::new(),
        }
    }

    fn run(mut self) -> Value {
        let picture = self.picture;
        let steps: Vec<Value> = picture.steps.iter().map(|step| self.step(step)).collect();
        let passages: Vec<Value> = picture.passages.iter().filter_map(|passage| self.passage(passage)).collect();
        let standings: Vec<Value> = picture
            .steps
            .iter()
            .flat_map(|step| step.standings.iter().map(move |standing| (step.number, standing)))
            .filter_map(|(step, standing)| self.standing(step, standing))
            .collect();
        let leads: Vec<Value> = cause::leads(picture)
            .iter()
            .map(|lead| json!([lead.step, self.end(lead.who), lead.kind.name(), lead.text, self.place(lead.passage)]))
            .collect();
        let lanes: Vec<Value> = self.lanes.iter().map(|lane| json!([lane.name, lane.group])).collect();
        let ends: Vec<Value> = self.ends.iter().map(|(end, lane)| json!([end.to_string(), lane, self.user_of(*end)])).collect();
        let verdict = failure(&picture.run).map(|failure| {
            json!({
                "kind": Outcome::from(failure.kind).name(), "oracle": failure.oracle, "step": failure.step,
                "detail": picture.plain(&failure.detail),
            })
        });
        let mut texts: Vec<(&String, &usize)> = self.texts.iter().collect();
        texts.sort_by_key(|(_, number)| **number);
        json!({
            "command": picture.command, "seed": picture.run.seed, "version": env!("CARGO_PKG_VERSION"), "verdict": verdict,
            "lanes": lanes, "ends": ends, "conversations": self.conversation_names(), "users": self.user_names(),
            "steps": steps, "passages": passages, "standings": standings, "leads": leads,
            "texts": texts.into_iter().map(|(text, _)| text).collect::<Vec<_>>(),
        })
    }

    /// In the order of their numbers: name, and the numbers of the two users.
    fn conversation_names(&self) -> Vec<Value> {
        let mut names: Vec<(usize, Value)> = Vec::new();
        for (id, number) in &self.conversations {
            let users: Vec<i64> = id.pair().iter().flat_map(|pair| pair.users()).map(|user| number_of(self.users.get(&user))).collect();
            names.push((*number, json!([self.picture.conversation(*id), users, id.to_string()])));
        }
        names.sort_by_key(|(number, _)| *number);
        names.into_iter().map(|(_, name)| name).collect()
    }

    fn user_names(&self) -> Vec<Value> {
        let mut names: Vec<(usize, Value)> =
            self.users.iter().map(|(id, number)| (*number, json!([self.picture.user(*id), id.to_string()]))).collect();
        names.sort_by_key(|(number, _)| *number);
        names.into_iter().map(|(_, name)| name).collect()
    }

    fn user_of(&self, end: End) -> i64 {
        let belongs = |standing: &Standing| match (standing.of == end, standing.belongs) {
            (true, Belongs::User(_, Some(id))) => self.users.get(&id.user).copied(),
            _ => None,
        };
        let user = self.picture.steps.iter().rev().flat_map(|step| &step.standings).find_map(belongs);
        number_of(user.as_ref())
    }

    fn text(&mut self, text: &str) -> usize {
        if let Some(number) = self.texts.get(text) {
            return *number;
        }
        let number = self.texts.len();
        self.texts.insert(text.to_owned(), number);
        number
    }

    fn end(&self, end: End) -> i64 {
        number_of(self.end_numbers.get(&end))
    }

    /// The number on the page of something that went from one to another.
    fn place(&self, passage: Option<usize>) -> i64 {
        let drawn = |passage: &&Passage| self.is_drawn(passage);
        let place = passage.filter(|place| self.is_drawn(&self.picture.passages[*place]));
        number_of(place.map(|place| self.picture.passages[..place].iter().filter(drawn).count()).as_ref())
    }

    fn is_drawn(&self, passage: &Passage) -> bool {
        self.end(passage.cargo.from) >= 0 && self.end(passage.cargo.to) >= 0
    }

    /// Whose step it is: the number of somebody, or of a lane where it is a slot's, or nothing.
    fn whose(&self, who: Who) -> (i64, i64) {
        match who {
            Who::Device(_) | Who::Host(_) => {
                let end = self.end(End::from(who));
                (end, usize::try_from(end).map_or(-1, |end| self.ends[end].1 as i64))
            }
            Who::Slot(slot) => (-1, number_of(self.lanes.iter().position(|lane| lane.group == format!("slot-{slot}")).as_ref())),
            Who::World | Who::User(_) => (-1, -1),
        }
    }

    /// Milliseconds, what was due, who (or -1), lane (or -1), name, cause, entries.
    fn step(&mut self, step: &Step) -> Value {
        let (end, lane) = self.whose(step.who);
        let entries: Vec<Value> = step.entries.iter().map(|entry| self.entry(entry)).collect();
        json!([step.at_ms, self.text(&step.event), end, lane, self.text(&step.who.to_string()), step.cause, entries])
    }

    /// Kind, who (or -1), lane (or -1), text, conversation (or -1).
    fn entry(&mut self, entry: &Entry) -> Value {
        let (kind, who, text, conversation) = match entry {
            Entry::In(who, text) => ("in", Some(*who), shorter(text), None),
            Entry::Out(who, text) => ("out", Some(*who), shorter(text), None),
            Entry::Row(conversation, text) => ("row", None, shorter(text), *conversation),
            Entry::Act(id) => ("act", Some(Who::Device(id.device)), id.to_string(), None),
            Entry::Fault(id) => ("fault", Some(id.who), id.to_string(), None),
            Entry::Fired(kind) => ("fired", None, kind.to_string(), None),
        };
        let (end, lane) = who.map_or((-1, -1), |who| self.whose(who));
        let conversation = number_of(conversation.and_then(|id| self.conversations.get(&id).copied()).as_ref());
        json!([kind, end, lane, self.text(&text), conversation])
    }

    /// From, to, left in step, ended in step, what became of it, what, about what in words, conversations, users.
    fn passage(&mut self, passage: &Passage) -> Option<Value> {
        if !self.is_drawn(passage) {
            return None;
        }
        let fate = match passage.fate {
            Fate::Arrived(_) => 0,
            Fate::Lost(_) => 1,
            Fate::UnderWay => 2,
        };
        let about = &passage.cargo.about;
        let mut conversations: Vec<usize> =
            about.iter().filter_map(Subject::conversation).filter_map(|id| self.conversations.get(&id).copied()).collect();
        conversations.dedup();
        let users: Vec<usize> =
            about.iter().filter_map(|about| if let Subject::User(user) = about { self.users.get(user).copied() } else { None }).collect();
        let label = self.picture.about(passage);
        let (from, to) = (self.end(passage.cargo.from), self.end(passage.cargo.to));
        let what = self.text(&passage.cargo.what);
        Some(json!([from, to, passage.left, passage.end(), fate, what, self.text(label.trim_start()), conversations, users]))
    }

    /// Step, who, mode, and for each fact what and how.
    fn standing(&mut self, step: u64, standing: &Standing) -> Option<Value> {
        let end = usize::try_from(self.end(standing.of)).ok()?;
        let mode = self.text(standing.mode.name());
        let facts: Vec<[usize; 2]> = standing
            .facts
            .iter()
            .map(|Fact { name, text }| {
                let name = self.names.get(name).unwrap_or(name).clone();
                [self.text(&name), self.text(text)]
            })
            .collect();
        Some(json!([step, end, mode, facts]))
    }
}

fn number_of(number: Option<&usize>) -> i64 {
    number.map_or(-1, |number| i64::try_from(*number).unwrap_or(-1))
}

fn shorter(text: &str) -> String {
    let short: String = text.chars().take(WIDE).collect();
    if short.len() < text.len() { short + "…" } else { short }
}
