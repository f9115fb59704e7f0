//! What the line mode prints, and what it knows of what it has printed.

use std::collections::{BTreeMap, BTreeSet};

use doubletick_client::{
    Body, Change, Client, ConversationId, Event, Group, Message, MessageId, Place, Presence, Seq, State, Status, UserId,
};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::Outcome;
use crate::{Failure, Wait, words};

/// Messages read from the history at a time.
const PAGE: usize = 100;

/// Prints, and knows what it has printed.
pub(super) struct Printer<'a, W> {
    client: &'a Client,
    output: tokio::io::BufWriter<W>,
    /// Of each conversation, the last message of somebody else's, or of another own device's, that was printed.
    printed: BTreeMap<ConversationId, Place>,
    /// Messages that were written here, as they were last printed.
    tracked: BTreeMap<MessageId, Tracked>,
    /// Of those, the ones that have a position and were not read.
    placed: BTreeMap<(ConversationId, Seq), MessageId>,
    /// As it was last printed.
    status: Option<Status>,
    /// Groups, as they were last printed.
    groups: BTreeMap<ConversationId, Group>,
    /// Conversations that wait for the number of somebody in them to become known.
    waiting: BTreeMap<UserId, BTreeSet<ConversationId>>,
    undone: usize,
    pub(super) ended: bool,
}

struct Tracked {
    conversation: ConversationId,
    state: State,
}

impl<'a, W: AsyncWrite + Unpin> Printer<'a, W> {
    /// Begins with what was not shown before.
    pub(super) fn new(client: &'a Client, output: W) -> Result<Self, Failure> {
        let mut printed = BTreeMap::new();
        for chat in client.chats()? {
            if let Some(place) = last_shown(client, chat.conversation, chat.unread)? {
                printed.insert(chat.conversation, place);
            }
        }
        let output = tokio::io::BufWriter::new(output);
        Ok(Self {
            client,
            output,
            printed,
            tracked: BTreeMap::new(),
            placed: BTreeMap::new(),
            status: None,
            groups: BTreeMap::new(),
            waiting: BTreeMap::new(),
            undone: 0,
            ended: false,
        })
    }

    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.output.flush().await?)
    }

    /// Fields with tabs between them.
    async fn line(&mut self, fields: &[&str]) -> Result<(), Failure> {
        let line = fields.iter().map(|field| escape(field)).collect::<Vec<_>>().join("\t") + "\n";
        Ok(self.output.write_all(line.as_bytes()).await?)
    }

    pub(super) async fn event(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Message(conversation, message) if !message.own || message.device != 0 => self.messages(conversation).await,
            Event::Person(user) => {
                for conversation in self.waiting.remove(&user).unwrap_or_default() {
                    self.messages(conversation).await?;
                }
                Ok(())
            }
            Event::Group(group) => self.group(group).await,
            Event::Accepted { id, .. } | Event::Failed { id, .. } => self.tick(id).await,
            Event::Receipt { conversation, delivered, .. } => {
                let moved: Vec<_> = self.placed.range((conversation, Seq::START)..=(conversation, delivered)).map(|(_, id)| *id).collect();
                for id in moved {
                    self.tick(id).await?;
                }
                Ok(())
            }
            Event::Typing { conversation, by, active } => {
                let (with, by) = (with(self.client, conversation)?, by.map(|user| number(self.client, user)).transpose()?);
                let fields = ["typing", &with, if active { "on" } else { "off" }].into_iter().chain(by.as_deref());
                self.line(&fields.collect::<Vec<_>>()).await
            }
            Event::Presence { user, presence } => {
                let phone = number(self.client, user)?;
                match presence {
                    Presence::Hidden => self.line(&["presence", &phone, "hidden"]).await,
                    Presence::Online => self.line(&["presence", &phone, "online"]).await,
                    Presence::Offline { last_seen: None } => self.line(&["presence", &phone, "offline"]).await,
                    Presence::Offline { last_seen: Some(at) } => self.line(&["presence", &phone, "offline", &words::rfc3339(at)]).await,
                }
            }
            Event::Status(status) if self.status.as_ref() == Some(&status) => Ok(()),
            Event::Status(status) => {
                match &status {
                    Status::Online => self.line(&["online"]).await?,
                    Status::Waiting { retry, why } => self.line(&["offline", &retry.0.to_string(), why]).await?,
                    Status::Connecting | Status::Stopped(_) => {}
                }
                self.status = Some(status);
                Ok(())
            }
            Event::HeldUp(reject) => self.line(&["held", doubletick_client::refusal(reject)]).await,
            Event::Refused(reject) => self.line(&["refused", doubletick_client::refusal(reject)]).await,
            Event::Missed(_) => self.everything().await,
            // An own message is printed as `queued`; the rest is for those who look at a screen.
            Event::Message(..) | Event::Shown(_) => Ok(()),
        }
    }

    pub(super) async fn outcome(&mut self, outcome: Outcome) -> Result<(), Failure> {
        match outcome {
            Outcome::Queued { conversation, id } => {
                self.line(&["queued", &with(self.client, conversation)?, &id.to_string()]).await?;
                self.tracked.insert(id, Tracked { conversation, state: State::Waiting });
                // It may have got further before this was heard.
                self.tick(id).await
            }
            Outcome::Answered(lines) => {
                for fields in lines {
                    self.line(&fields.iter().map(String::as_str).collect::<Vec<_>>()).await?;
                }
                Ok(())
            }
            Outcome::Undone { line, why } => {
                self.undone += 1;
                self.line(&["error", &line.to_string(), &why]).await
            }
            Outcome::Ended => {
                self.ended = true;
                Ok(())
            }
            Outcome::Failed(failure) => Err(failure),
        }
    }

    /// Looks at everything again: events may have been missed.
    pub(super) async fn everything(&mut self) -> Result<(), Failure> {
        for chat in self.client.chats()? {
            self.group(chat.conversation).await?;
            self.messages(chat.conversation).await?;
        }
        for id in self.tracked.keys().copied().collect::<Vec<_>>() {
            self.tick(id).await?;
        }
        Ok(())
    }

    /// Prints what a group is called and whether the user is a member, if that was not printed.
    async fn group(&mut self, group: ConversationId) -> Result<(), Failure> {
        if group.pair().is_some() {
            return Ok(());
        }
        let known = self.client.group(group)?;
        if known.name.is_none() || self.groups.get(&group) == Some(&known) {
            return Ok(());
        }
        let state = if known.member { "member" } else { "gone" };
        self.line(&["group", &group.to_string(), state, &known.display()]).await?;
        self.groups.insert(group, known);
        Ok(())
    }

    /// Prints the messages of a conversation that were not printed, and says that they were shown.
    async fn messages(&mut self, conversation: ConversationId) -> Result<(), Failure> {
        let after = self.printed.get(&conversation).copied();
        let (mut fresh, mut before): (Vec<Message>, _) = (vec![], None);
        loop {
            let page = self.client.history(conversation, before, PAGE)?;
            before = page.first().map(|message| message.place);
            let more = page.len() == PAGE && before > after;
            fresh.splice(0..0, page.into_iter().filter(|message| Some(message.place) > after));
            if !more {
                break;
            }
        }
        let mut shown = None;
        for message in fresh.into_iter().filter(|message| !message.own || message.device != 0) {
            let account = self.client.account();
            let author = if message.own { account.device.user } else { author(&message, conversation, account.device.user) };
            // The number comes with an event of its own if it is not known.
            let unknown = [Some(author).filter(|_| !message.own), conversation.peer(account.device.user)].into_iter().flatten();
            if let Some(unknown) = first_unknown(self.client, unknown)? {
                self.waiting.entry(unknown).or_default().insert(conversation);
                break;
            }
            self.message(conversation, &message, author).await?;
            self.printed.insert(conversation, message.place);
            shown = shown.max(message.place.seq());
        }
        // Only what has left this program was shown to anybody.
        self.flush().await?;
        if let Some(upto) = shown {
            self.client.mark_read(conversation, upto).await?;
        }
        Ok(())
    }

    async fn message(&mut self, conversation: ConversationId, message: &Message, author: UserId) -> Result<(), Failure> {
        let (id, at, by) = (message.id.to_string(), words::rfc3339(message.at), number(self.client, author)?);
        let with = with(self.client, conversation)?;
        if let Body::Change(change) = &message.body {
            let what = changed(self.client, change)?;
            let fields = ["change", &with, &id, &at, &by].into_iter().chain(what.iter().map(String::as_str));
            return self.line(&fields.collect::<Vec<_>>()).await;
        }
        let kind = if message.own { "own" } else { "message" };
        let text = message.body.display();
        let fields = [kind, &with, &id, &at, &text, &by];
        self.line(if conversation.pair().is_some() { &fields[..5] } else { &fields }).await
    }

    /// Prints how far a message has got, step by step.
    async fn tick(&mut self, id: MessageId) -> Result<(), Failure> {
        let Some(Tracked { conversation, state: before }) = self.tracked.get_mut(&id) else { return Ok(()) };
        let Some(message) = self.client.own_message(*conversation, id)? else { return Ok(()) };
        let state = std::mem::replace(before, message.state);
        let (before, state, conversation) = (state, message.state, *conversation);
        let with = with(self.client, conversation)?;
        if let State::Failed { code } = state {
            if before != state {
                self.line(&["failed", &with, &id.to_string(), words::failure(code)]).await?;
            }
            return Ok(());
        }
        for (step, word) in [(State::Sent, "sent"), (State::Delivered, "delivered"), (State::Read, "read")] {
            if before < step && step <= state {
                self.line(&[word, &with, &id.to_string()]).await?;
            }
        }
        if let Some(seq) = message.place.seq() {
            if state == State::Read {
                self.placed.remove(&(conversation, seq));
            } else {
                self.placed.insert((conversation, seq), id);
            }
        }
        Ok(())
    }

    pub(super) fn unsettled(&self, wait: Wait) -> usize {
        let far_enough = match wait {
            Wait::Sent => State::Sent,
            Wait::Delivered => State::Delivered,
        };
        // A message that failed has got as far as it ever will.
        self.tracked.values().filter(|tracked| tracked.state < far_enough).count()
    }

    pub(super) fn settled(&self, wait: Wait) -> bool {
        self.unsettled(wait) == 0
    }

    pub(super) fn verdict(&self) -> Result<(), Failure> {
        let refused = self.tracked.values().filter(|tracked| matches!(tracked.state, State::Failed { .. })).count();
        match (self.undone, refused) {
            (0, 0) => Ok(()),
            (undone, refused) => {
                Err(Failure::Undone(format!("{undone} lines could not be carried out, and {refused} messages were refused")))
            }
        }
    }

    pub(super) fn stopped(&self) -> Failure {
        match self.client.status() {
            Status::Stopped(stop) => Failure::Stopped(stop),
            Status::Connecting | Status::Online | Status::Waiting { .. } => Failure::Stopped(doubletick_client::Stop::Closed),
        }
    }
}

/// The place before the first message of somebody else's that was not shown.
fn last_shown(client: &Client, conversation: ConversationId, unread: u64) -> Result<Option<Place>, Failure> {
    let (mut left, mut before) = (unread, None);
    loop {
        let page = client.history(conversation, before, PAGE)?;
        for message in page.iter().rev().filter(|message| message.place.seq().is_some()) {
            if left == 0 {
                return Ok(Some(message.place));
            }
            left -= u64::from(!message.own && !matches!(message.body, Body::Change(_)));
        }
        match page.first() {
            Some(first) => before = Some(first.place),
            None => return Ok(None),
        }
    }
}

/// How a conversation is named in a field: by the other side's number, or by the group's id.
fn with(client: &Client, conversation: ConversationId) -> Result<String, Failure> {
    match conversation.peer(client.account().device.user) {
        Some(peer) => number(client, peer),
        None => Ok(conversation.to_string()),
    }
}

/// Somebody's number; while it is not known, their id.
pub(super) fn number(client: &Client, user: UserId) -> Result<String, Failure> {
    let account = client.account();
    if user == account.device.user {
        return Ok(account.phone.to_string());
    }
    Ok(client.person(user)?.phone.map_or_else(|| user.to_string(), |phone| phone.to_string()))
}

/// Who has written a message that is not this user's.
fn author(message: &Message, conversation: ConversationId, me: UserId) -> UserId {
    message.from.or_else(|| conversation.peer(me)).unwrap_or(me)
}

fn first_unknown(client: &Client, users: impl Iterator<Item = UserId>) -> Result<Option<UserId>, Failure> {
    for user in users {
        if client.person(user)?.phone.is_none() {
            return Ok(Some(user));
        }
    }
    Ok(None)
}

/// The fields that say what a change was.
fn changed(client: &Client, change: &Change) -> Result<Vec<String>, Failure> {
    let numbers = |users: &[UserId]| users.iter().map(|user| number(client, *user)).collect::<Result<Vec<_>, _>>();
    let (word, name, users): (&str, Option<&String>, &[UserId]) = match change {
        Change::Created { name, members, .. } => ("created", Some(name), members),
        Change::Added { users } => ("added", None, users),
        Change::Removed { user } => ("removed", None, std::slice::from_ref(user)),
        Change::Left => ("left", None, &[]),
        Change::RoleSet { user, admin: true } => ("promoted", None, std::slice::from_ref(user)),
        Change::RoleSet { user, admin: false } => ("demoted", None, std::slice::from_ref(user)),
        Change::Renamed { name } => ("renamed", Some(name), &[]),
        Change::AvatarSet { .. } => ("avatar", None, &[]),
        Change::SettingsSet { .. } => ("settings", None, &[]),
    };
    Ok([word.to_owned()].into_iter().chain(name.cloned()).chain(numbers(users)?).collect())
}

/// So that a field has neither tabs nor line breaks nor anything else that steers.
fn escape(field: &str) -> String {
    let mut escaped = String::with_capacity(field.len());
    for c in field.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            c if c.is_control() => escaped.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_one_field_whatever_is_in_it() {
        assert_eq!(escape("a\tb\\n\nc\x1b[0m"), "a\\tb\\\\n\\nc\\u{1b}[0m");
    }
}
