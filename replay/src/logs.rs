//! The logs of real stores: whether they are whole, what they tell, and a copy of them to be looked at elsewhere.

use crate::arguments::Arguments;
use doubletick_audit::anonymise::Anonymiser;
use doubletick_audit::conversation::{Found, next, rows_of};
use doubletick_audit::export::{Export, ExportError, Item, Writer, looks_like_one};
use doubletick_audit::source::{Place, Source};
use doubletick_audit::story::{Event, Story};
use doubletick_core::change::Change;
use doubletick_core::id::{ConversationId, UserId};
use doubletick_core::rows;
use doubletick_core::store::Key;
use doubletick_core::time::Timestamp;
use doubletick_core::verify::{Problem, Proof};
use doubletick_sim::cli::exit::Outcome;
use doubletick_store::readable::ReadError;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Conversations that are looked up at a time.
const BATCH: usize = 64;

/// Whether a command line is about real logs, not simulated runs.
pub fn are_asked_for(arguments: &Arguments) -> bool {
    let file = match &arguments.what[..] {
        [file] => looks_like_one(Path::new(file)),
        _ => false,
    };
    file || arguments.logs.conversation.is_some() || arguments.logs.all
}

/// Tells and proves the logs that a command line is about.
///
/// # Errors
/// One line about what is wrong with the command line, the store or the file.
pub fn tell(arguments: &Arguments, out: &mut dyn Write) -> Result<ExitCode, String> {
    let mut teller = Teller { out, json: arguments.json, events: true, wrong: 0, conversations: 0, entries: 0, at_hand: AtHand::default() };
    let told = match &arguments.what[..] {
        [file] => teller.file(Path::new(file)),
        _ => teller.store(arguments),
    };
    match told {
        Ok(()) if teller.wrong > 0 => Ok(Outcome::Safety.into()),
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(Trouble::Closed) => Ok(crate::CLOSED.into()),
        Err(Trouble::Line(line)) => Err(line),
    }
}

/// Why it cannot be told.
enum Trouble {
    /// One line for people.
    Line(String),
    /// Nobody reads what is written.
    Closed,
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        Self::Line(error.to_string())
    }
}

impl From<ExportError> for Trouble {
    fn from(error: ExportError) -> Self {
        Self::Line(error.to_string())
    }
}

impl From<io::Error> for Trouble {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// Tells conversations as their rows come in.
struct Teller<'a> {
    out: &'a mut dyn Write,
    json: bool,
    /// Whether each event has a line.
    events: bool,
    /// Conversations in which something is wrong.
    wrong: u64,
    conversations: u64,
    entries: u64,
    at_hand: AtHand,
}

/// The conversation at hand.
#[derive(Default)]
struct AtHand {
    proof: Proof,
    story: Story,
    begun: bool,
}

impl Teller<'_> {
    fn file(&mut self, path: &Path) -> Result<(), Trouble> {
        let export = Export::open(path)?;
        if !self.json {
            let kind = if export.anonymised { "; anonymised: names and words are replaced, and the chain is made anew" } else { "" };
            writeln!(self.out, "{}: {} rows, exported by version {}{kind}", path.display(), export.rows, export.made_by)?;
        }
        export.each(|item| match item {
            Item::Row((key, value)) => self.row(&key, &value),
            Item::ConversationEnds => self.end_conversation(),
        })?;
        self.end()
    }

    fn store(&mut self, arguments: &Arguments) -> Result<(), Trouble> {
        let logs = &arguments.logs;
        let wanted = logs.conversation.as_deref().map(conversation).transpose().map_err(Trouble::Line)?;
        let source = Source::open(&place(arguments).map_err(Trouble::Line)?).map_err(Trouble::Line)?;
        let mut copy = logs.export.as_deref().map(|path| Copy::create(path, logs.anonymise)).transpose()?;
        let told = match wanted {
            Some(wanted) => self.one(&source, wanted, &mut copy),
            None => self.all(&source, &mut copy),
        };
        let told = told.and_then(|()| self.end());
        match (told, copy) {
            (Ok(()), Some(copy)) => {
                let line = copy.finish()?;
                if !self.json {
                    writeln!(self.out, "{line}")?;
                }
                Ok(())
            }
            (Err(trouble), Some(copy)) => {
                copy.give_up();
                Err(trouble)
            }
            (told, None) => told,
        }
    }

    fn one(&mut self, source: &Source, wanted: ConversationId, copy: &mut Option<Copy>) -> Result<(), Trouble> {
        if self.conversation(source, wanted, copy)? == 0 {
            let mut count = 0_u64;
            let mut from = None;
            loop {
                let found = next(source, from, BATCH)?;
                let Some((_, after)) = found.last() else { break };
                from = Some(*after);
                count += found.iter().filter(|(found, _)| matches!(found, Found::Conversation(_))).count() as u64;
            }
            return Err(Trouble::Line(format!("{wanted}: there is no such conversation; the store has {count}")));
        }
        self.end_conversation()
    }

    fn all(&mut self, source: &Source, copy: &mut Option<Copy>) -> Result<(), Trouble> {
        self.events = false;
        let mut from = None;
        loop {
            let batch = next(source, from, BATCH)?;
            let Some((_, after)) = batch.last() else { return Ok(()) };
            from = Some(*after);
            for (found, _) in batch {
                match found {
                    Found::Conversation(conversation) => {
                        self.conversation(source, conversation, copy)?;
                        self.end_conversation()?;
                    }
                    Found::Unknown(key) => {
                        self.wrong += 1;
                        let line = format!("wrong: key {key:?}: not a key of the row table");
                        if self.json {
                            writeln!(self.out, "{}", json!({"wrong": line}))?;
                        } else {
                            writeln!(self.out, "{line}")?;
                        }
                    }
                }
            }
        }
    }

    /// Reads a conversation and tells it, but for its end; how many rows of its own it has.
    fn conversation(&mut self, source: &Source, wanted: ConversationId, copy: &mut Option<Copy>) -> Result<u64, Trouble> {
        let mut own = 0;
        rows_of(source, wanted, |key, value| {
            own += u64::from(rows::conversation_of(&key).is_some());
            copy.as_mut().map_or(Ok(()), |copy| copy.row(&key, &value))?;
            self.row(&key, &value)
        })?;
        copy.as_mut().map_or(Ok(()), Copy::end_conversation)?;
        Ok(own)
    }

    fn row(&mut self, key: &Key, value: &[u8]) -> Result<(), Trouble> {
        self.at_hand.proof.row(*key, value);
        let event = self.at_hand.story.row(key, value);
        let (Some(event), Some(conversation), true) = (event, self.at_hand.story.conversation, self.events) else { return Ok(()) };
        if self.json {
            writeln!(self.out, "{}", event_as_json(conversation, &event))?;
            return Ok(());
        }
        if !self.at_hand.begun {
            self.at_hand.begun = true;
            writeln!(self.out, "\nconversation {conversation}")?;
        }
        writeln!(self.out, "{}", event_as_line(&event))?;
        Ok(())
    }

    fn end_conversation(&mut self) -> Result<(), Trouble> {
        let AtHand { proof, mut story, .. } = std::mem::take(&mut self.at_hand);
        story.end();
        let report = proof.finish();
        self.conversations += 1;
        self.entries += report.entries;
        self.wrong += u64::from(!report.problems.is_empty());
        if self.json {
            writeln!(self.out, "{}", end_as_json(&story, report.entries, &report.problems))?;
            return Ok(());
        }
        let name = story.conversation.map(|conversation| conversation.to_string()).unwrap_or_default();
        if self.events {
            tell_standing(&story, self.out)?;
        }
        for problem in &report.problems {
            writeln!(self.out, "wrong: {problem} (key {:?})", problem.key)?;
        }
        if self.events && report.problems.is_empty() {
            writeln!(self.out, "whole: {} messages, chain and rows verified", report.entries)?;
        } else if !self.events {
            let how = if report.problems.is_empty() { "whole" } else { "NOT WHOLE" };
            writeln!(self.out, "{name}  {:>8} messages  {how}", report.entries)?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Trouble> {
        let Self { conversations, entries, wrong, .. } = *self;
        if self.json {
            writeln!(self.out, "{}", json!({"conversations": conversations, "messages": entries, "wrong": wrong}))?;
        } else if conversations != 1 || wrong > 0 {
            writeln!(self.out, "{conversations} conversations, {entries} messages; something is wrong in {wrong}")?;
        }
        Ok(())
    }
}

/// A copy of what is read.
struct Copy {
    writer: Writer,
    anonymiser: Option<Anonymiser>,
    path: PathBuf,
    conversations: u64,
}

impl Copy {
    fn create(path: &Path, anonymise: bool) -> Result<Self, Trouble> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| Trouble::Line(format!("the system gives no random bytes: {error}")))?;
        let anonymiser = anonymise.then(|| Anonymiser::new(secret));
        Ok(Self { writer: Writer::create(path, anonymise)?, anonymiser, path: path.to_owned(), conversations: 0 })
    }

    fn row(&mut self, key: &Key, value: &[u8]) -> Result<(), ExportError> {
        let Self { writer, anonymiser, .. } = self;
        match anonymiser {
            Some(anonymiser) => anonymiser.row(key, value, |(key, value)| writer.row(&key, &value)),
            None => writer.row(key, value),
        }
    }

    fn end_conversation(&mut self) -> Result<(), ExportError> {
        let Self { writer, anonymiser, .. } = self;
        if let Some(anonymiser) = anonymiser {
            anonymiser.end_conversation(|(key, value)| writer.row(&key, &value))?;
        }
        self.conversations += 1;
        writer.end_conversation()
    }

    fn finish(self) -> Result<String, ExportError> {
        let Self { writer, anonymiser, path, conversations } = self;
        writer.finish()?;
        let how = if anonymiser.is_some() { ", anonymised, with a chain made anew" } else { ", with all that people wrote to each other" };
        Ok(format!("exported {conversations} conversations to {}{how}: doubletick-replay {}", path.display(), path.display()))
    }

    fn give_up(self) {
        drop(self.writer);
        // What stays behind is told as torn by whoever reads it.
        let _gone = std::fs::remove_file(self.path);
    }
}

fn place(arguments: &Arguments) -> Result<Place, String> {
    let logs = &arguments.logs;
    match (&logs.data, &logs.store) {
        (Some(data), _) => Ok(Place::Directory(data.clone())),
        (None, Some(store)) => {
            let file = store.strip_prefix("fdb:").filter(|file| !file.is_empty());
            let file = file.ok_or_else(|| format!("--store {store}: it must be fdb: and the path of a cluster file"))?;
            Ok(Place::Cluster { file: file.into(), prefix: logs.fdb_prefix.clone(), library: logs.fdb_library.clone() })
        }
        (None, None) => Err("--data DIR or --store fdb:FILE must say which store".into()),
    }
}

/// Reads a conversation's id, as all programs write it.
fn conversation(text: &str) -> Result<ConversationId, String> {
    text.parse().map_err(|()| {
        format!(
            "--conversation {text}: it must be the ids of two users, such as 0000010000000000-0000020000000000, or group- and the 32 digits of a group"
        )
    })
}

fn event_as_line(event: &Event) -> String {
    let Event { seq, at, sender, id, bodies, change, chain } = event;
    let bytes: usize = bodies.iter().map(|(.., bytes)| bytes).sum();
    let what = match &bodies[..] {
        _ if change.is_some() => change.as_ref().map(told).unwrap_or_default(),
        [(None, kind, _)] => format!("kind {kind}, {bytes} bytes"),
        bodies => format!("{} bodies, {bytes} bytes", bodies.len()),
    };
    format!("{:>8}  {}  {sender}  {what:<24}  message {id}  chain {chain:?}", seq.0, time(*at))
}

/// What a change of a group does. Not the group's name: it is what people wrote.
fn told(change: &Change) -> String {
    let users = |users: &[UserId]| users.iter().map(UserId::to_string).collect::<Vec<_>>().join(" ");
    match change {
        Change::Created { members, .. } => format!("creates the group, with {}", users(members)),
        Change::Added { users: added } => format!("adds {}", users(added)),
        Change::Removed { user } => format!("removes {user}"),
        Change::Left => "leaves".into(),
        Change::RoleSet { user, admin: true } => format!("makes {user} an admin"),
        Change::RoleSet { user, admin: false } => format!("makes {user} no admin any more"),
        Change::Renamed { name } => format!("renames the group, {} bytes", name.len()),
        Change::AvatarSet { avatar } => format!("sets the picture, {} bytes", avatar.len()),
        Change::SettingsSet { .. } => "sets who may do what".into(),
    }
}

fn tell_standing(story: &Story, out: &mut dyn Write) -> io::Result<()> {
    if let Some(head) = &story.head {
        writeln!(out, "    head  {} messages, the last at {}, chain {:?}", head.seq, time(head.at), head.chain)?;
    }
    for (user, standing) in &story.people {
        let receipt = standing.receipt;
        let joined = standing.joined.map_or_else(String::new, |joined| format!(", member from {joined} on"));
        writeln!(out, "    user  {user}  delivered {}, read {}, unread {}{joined}", receipt.delivered, receipt.read, standing.unread)?;
    }
    for (device, reached) in &story.devices {
        let waiting = reached.marked.map_or_else(String::new, |marked| format!(", waiting up to {marked}"));
        writeln!(out, "  device  {device}  acknowledged {}{waiting}", reached.acknowledged)?;
    }
    Ok(())
}

fn event_as_json(conversation: ConversationId, event: &Event) -> Value {
    let Event { seq, at, sender, id, bodies, change, chain } = event;
    let body = |(to, kind, bytes): &(Option<_>, u32, usize)| json!({"to": to.map(|to| name(&to)), "kind": kind, "bytes": bytes});
    json!({
        "conversation": name(&conversation),
        "seq": seq.0,
        "at_ms": at.millis(),
        "sender": name(sender),
        "message": name(id),
        "bodies": bodies.iter().map(body).collect::<Vec<_>>(),
        "change": change.as_ref().map(told),
        "chain": format!("{chain:?}"),
    })
}

fn end_as_json(story: &Story, entries: u64, problems: &[Problem]) -> Value {
    let people = story.people.iter().map(|(user, standing)| {
        let receipt = standing.receipt;
        let joined = standing.joined.map(|joined| joined.0);
        json!({"user": name(user), "joined": joined, "delivered": receipt.delivered.0, "read": receipt.read.0, "unread": standing.unread})
    });
    let devices = story.devices.iter().map(|(device, reached)| {
        json!({"device": name(device), "acknowledged": reached.acknowledged.0, "waiting": reached.marked.map(|marked| marked.0)})
    });
    let wrong = problems
        .iter()
        .map(|problem| json!({"key": format!("{:?}", problem.key), "kind": problem.fault.name(), "what": problem.to_string()}));
    json!({
        "end": story.conversation.map(|conversation| name(&conversation)),
        "messages": entries,
        "head": story.head.map(|head| head.seq.0),
        "people": people.collect::<Vec<_>>(),
        "devices": devices.collect::<Vec<_>>(),
        "wrong": wrong.collect::<Vec<_>>(),
    })
}

fn name(id: &impl ToString) -> String {
    id.to_string()
}

/// In UTC, to the millisecond.
fn time(at: Timestamp) -> String {
    let moment = i64::try_from(at.millis()).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    moment.map_or_else(|| format!("{} ms", at.millis()), |moment| moment.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string())
}
