//! What is on the screen and what a key does to it: a value, without a terminal or a client.

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use doubletick_client::{
    Chat, ConversationId, Event, Message, Millis, Phone, Place, Presence, Privacy, Seq, Status, Timestamp, UserId, refusal,
};
use jiff::tz::TimeZone;

use super::command::{self, Command};
use super::input::Input;
use crate::group::Wish;
use crate::words;

/// How long "is typing" stands unless it is said again.
const TYPING_LASTS: Millis = Millis::seconds(8);

/// How often it is said again.
const TYPING_EVERY: Millis = Millis::seconds(4);

/// How long a note stands.
const NOTE_LASTS: Millis = Millis::seconds(8);

/// Everything that is on the screen.
#[derive(Debug)]
pub(super) struct App {
    pub(super) me: Phone,
    pub(super) user: UserId,
    pub(super) zone: TimeZone,
    pub(super) now: Timestamp,
    pub(super) status: Status,
    /// When the next connection is to be tried.
    pub(super) retry: Timestamp,
    pub(super) chats: Vec<Chat>,
    pub(super) open: Option<ConversationId>,
    /// Of the open conversation, as many as were loaded.
    pub(super) messages: Vec<Message>,
    /// Whether there are older ones.
    pub(super) older: bool,
    /// Lines between the bottom of the screen and the end of the conversation.
    pub(super) scroll: usize,
    /// The last message when the conversation was last drawn: with newer ones, what the user reads stays where it is.
    pub(super) bottom: Option<Place>,
    pub(super) input: Input,
    drafts: BTreeMap<ConversationId, Input>,
    pub(super) presence: BTreeMap<UserId, Presence>,
    /// Who is typing, and until when that stands.
    pub(super) typing: BTreeMap<ConversationId, Timestamp>,
    /// When this user's typing was last said.
    said_typing: Option<Timestamp>,
    note: Option<(String, Timestamp)>,
    pub(super) help: bool,
    /// A list that stands over everything until a key is pressed: its title and its lines.
    pub(super) list: Option<(String, Vec<String>)>,
    /// What those are called of whom is spoken on the screen.
    pub(super) names: BTreeMap<UserId, String>,
    /// Whether the user looks at the terminal, as far as it tells.
    focused: bool,
    pub(super) quit: bool,
}

/// Something that is to be done about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Send(ConversationId, String),
    Open(Phone),
    OpenGroup(String),
    Create(String, Vec<Phone>),
    /// Something is wanted of a group.
    Group(ConversationId, Wish),
    Typing(ConversationId, bool),
    MarkRead(ConversationId, Seq),
    Watch(UserId, bool),
    Name(UserId, String),
    Block(UserId, bool),
    Contact(UserId, bool),
    Privacy(Privacy),
    Devices,
    RemoveDevice(u16),
    /// The conversations and the open one have changed on disk.
    Reload,
    /// Older messages are to be seen.
    LoadOlder,
}

impl App {
    pub(super) fn new(me: Phone, user: UserId, zone: TimeZone, now: Timestamp) -> Self {
        Self {
            me,
            user,
            zone,
            now,
            status: Status::Connecting,
            retry: now,
            chats: vec![],
            open: None,
            messages: vec![],
            older: false,
            scroll: 0,
            bottom: None,
            input: Input::default(),
            drafts: BTreeMap::new(),
            presence: BTreeMap::new(),
            typing: BTreeMap::new(),
            said_typing: None,
            note: None,
            help: false,
            list: None,
            names: BTreeMap::new(),
            focused: true,
            quit: false,
        }
    }

    /// Time passes.
    pub(super) fn tick(&mut self, now: Timestamp) {
        self.now = now;
        self.typing.retain(|_, until| *until > now);
        self.note.take_if(|(_, until)| *until <= now);
    }

    /// Says something at the bottom of the screen for a while.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.note = Some((text.into(), self.now + NOTE_LASTS));
    }

    pub(super) fn noted(&self) -> Option<&str> {
        self.note.as_ref().map(|(text, _)| text.as_str())
    }

    /// The other side of a conversation, if it is not a group.
    pub(super) fn peer(&self, conversation: ConversationId) -> Option<UserId> {
        conversation.peer(self.user)
    }

    /// What somebody is called.
    pub(super) fn name(&self, user: UserId) -> String {
        if user == self.user { "you".into() } else { self.names.get(&user).cloned().unwrap_or_else(|| user.to_string()) }
    }

    pub(super) fn open_chat(&self) -> Option<&Chat> {
        self.chats.iter().find(|chat| Some(chat.conversation) == self.open)
    }

    /// The conversations as they are on disk.
    pub(super) fn loaded_chats(&mut self, mut chats: Vec<Chat>, open: Option<Chat>) {
        // A conversation that was opened and holds nothing yet is listed all the same.
        if let Some(open) = open.filter(|open| chats.iter().all(|chat| chat.conversation != open.conversation)) {
            chats.insert(0, open);
        }
        self.chats = chats;
    }

    /// The open conversation as it is on disk. Says what is to be done now that it is shown.
    pub(super) fn loaded_messages(&mut self, messages: Vec<Message>, older: bool) -> Option<Action> {
        self.messages = messages;
        self.older = older;
        self.shown()
    }

    /// Whoever looks at the end of a conversation has been shown it.
    fn shown(&self) -> Option<Action> {
        let open = self.open_chat().filter(|chat| chat.unread > 0 && self.focused && self.scroll == 0 && !self.is_covered())?;
        let last = self.messages.iter().filter_map(|message| message.place.seq()).max()?;
        Some(Action::MarkRead(open.conversation, last))
    }

    /// Whether something stands over the conversation.
    fn is_covered(&self) -> bool {
        self.help || self.list.is_some()
    }

    /// Opens a conversation.
    pub(super) fn open(&mut self, conversation: ConversationId) -> Vec<Action> {
        if self.open == Some(conversation) {
            return vec![];
        }
        let mut actions = self.stop_typing();
        if let Some(before) = self.open.replace(conversation) {
            let draft = std::mem::take(&mut self.input);
            self.drafts.insert(before, draft);
            actions.extend(self.peer(before).map(|peer| Action::Watch(peer, false)));
        }
        self.input = self.drafts.remove(&conversation).unwrap_or_default();
        self.messages.clear();
        (self.scroll, self.bottom) = (0, None);
        actions.extend(self.peer(conversation).map(|peer| Action::Watch(peer, true)));
        actions.push(Action::Reload);
        actions
    }

    pub(super) fn event(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Message(conversation, message) => {
                if !message.own {
                    self.typing.remove(&conversation);
                }
                return vec![Action::Reload];
            }
            Event::Failed { reject, .. } => {
                self.note(format!("A message was refused: {}.", refusal(reject)));
                return vec![Action::Reload];
            }
            Event::Accepted { .. } | Event::Receipt { .. } | Event::Shown(_) | Event::Person(_) | Event::Group(_) | Event::Missed(_) => {
                return vec![Action::Reload];
            }
            Event::Typing { conversation, active: true, .. } => drop(self.typing.insert(conversation, self.now + TYPING_LASTS)),
            Event::Typing { conversation, active: false, .. } => drop(self.typing.remove(&conversation)),
            Event::Presence { user, presence } => drop(self.presence.insert(user, presence)),
            Event::Status(status) => {
                if status != Status::Online {
                    self.presence.clear();
                    self.typing.clear();
                }
                if let Status::Waiting { retry, .. } = &status {
                    self.retry = self.now + *retry;
                }
                self.status = status;
            }
            Event::HeldUp(reject) => self.note(format!("Sending waits: {}.", refusal(reject))),
            Event::Refused(reject) => self.note(format!("The server refused something: {}.", refusal(reject))),
        }
        vec![]
    }

    pub(super) fn focus(&mut self, focused: bool) -> Vec<Action> {
        self.focused = focused;
        self.shown().into_iter().collect()
    }

    pub(super) fn paste(&mut self, text: &str) -> Vec<Action> {
        self.input.insert(&text.replace("\r\n", "\n").replace('\r', "\n"));
        self.typed()
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing here")]
    pub(super) fn key(&mut self, key: KeyEvent) -> Vec<Action> {
        let (control, alt) = (key.modifiers.contains(KeyModifiers::CONTROL), key.modifiers.contains(KeyModifiers::ALT));
        match key.code {
            KeyCode::Char('c') if control => self.quit = true,
            KeyCode::Char('d') if control && self.input.is_empty() => self.quit = true,
            _ if self.is_covered() => {
                (self.help, self.list) = (false, None);
                return self.shown().into_iter().collect();
            }
            KeyCode::Esc => return self.leave_the_past(),
            KeyCode::Tab | KeyCode::Down => return self.step(1),
            KeyCode::BackTab | KeyCode::Up => return self.step(-1),
            KeyCode::PageUp => return self.scroll_up(10),
            KeyCode::PageDown => {
                self.scroll = self.scroll.saturating_sub(10);
                return self.shown().into_iter().collect();
            }
            KeyCode::Enter if alt => self.input.insert("\n"),
            KeyCode::Enter => return self.enter(),
            KeyCode::Left => self.input.left(),
            KeyCode::Right => self.input.right(),
            KeyCode::Home => self.input.home(),
            KeyCode::End => self.input.end(),
            KeyCode::Backspace => {
                self.input.backspace();
                return self.typed();
            }
            KeyCode::Delete => self.input.delete(),
            KeyCode::Char('a') if control => self.input.home(),
            KeyCode::Char('e') if control => self.input.end(),
            KeyCode::Char('w') if control => self.input.delete_word(),
            KeyCode::Char('u') if control => {
                self.input.delete_line();
                return self.typed();
            }
            KeyCode::Char(c) if !control => {
                self.input.insert(c.encode_utf8(&mut [0; 4]));
                return self.typed();
            }
            _ => {}
        }
        vec![]
    }

    fn leave_the_past(&mut self) -> Vec<Action> {
        self.scroll = 0;
        self.shown().into_iter().collect()
    }

    fn scroll_up(&mut self, lines: usize) -> Vec<Action> {
        self.scroll += lines;
        if self.older { vec![Action::LoadOlder] } else { vec![] }
    }

    /// Opens the next conversation of the list, or the one before.
    fn step(&mut self, by: isize) -> Vec<Action> {
        let at = self.chats.iter().position(|chat| Some(chat.conversation) == self.open);
        let next = match at {
            Some(at) => at.checked_add_signed(by).filter(|next| *next < self.chats.len()),
            None => Some(0).filter(|_| !self.chats.is_empty()),
        };
        next.map_or_else(Vec::new, |next| self.open(self.chats[next].conversation))
    }

    /// Tells the other side, but not with every key, and nothing of commands.
    fn typed(&mut self) -> Vec<Action> {
        let Some(open) = self.open else { return vec![] };
        if self.input.is_empty() || self.input.text().starts_with('/') {
            return self.stop_typing();
        }
        if self.said_typing.is_some_and(|said| self.now < said + TYPING_EVERY) {
            return vec![];
        }
        self.said_typing = Some(self.now);
        vec![Action::Typing(open, true)]
    }

    fn stop_typing(&mut self) -> Vec<Action> {
        match (self.said_typing.take(), self.open) {
            (Some(_), Some(open)) => vec![Action::Typing(open, false)],
            _ => vec![],
        }
    }

    fn enter(&mut self) -> Vec<Action> {
        let text = self.input.take();
        if text.trim().is_empty() {
            return vec![];
        }
        let mut actions = self.stop_typing();
        if let Some(rest) = text.strip_prefix('/').filter(|rest| !rest.starts_with('/')) {
            actions.extend(self.command(rest));
            return actions;
        }
        let Some(open) = self.open else {
            self.note("Open a conversation first: /to +4915100000001");
            self.input.insert(&text);
            return actions;
        };
        self.scroll = 0;
        let text = text.strip_prefix('/').unwrap_or(&text);
        actions.push(Action::Send(open, text.to_owned()));
        actions
    }

    fn command(&mut self, text: &str) -> Vec<Action> {
        let command = match command::parse(text) {
            Ok(command) => command,
            Err(sentence) => {
                self.note(sentence);
                return vec![];
            }
        };
        let (peer, group) = (self.open.and_then(|open| self.peer(open)), self.open.filter(|open| open.pair().is_none()));
        let action = match (command, peer) {
            (Command::To(phone), _) => Action::Open(phone),
            (Command::ToGroup(name), _) => Action::OpenGroup(name),
            (Command::Group(Wish::Create(name, people)), _) => Action::Create(words::harmless(&name), people),
            (Command::Group(wish), _) => match group {
                Some(group) => Action::Group(group, wish),
                None => {
                    self.note("Open a group first: /to and its name, or /create NAME +4915100000001");
                    return vec![];
                }
            },
            (Command::Privacy(privacy), _) => Action::Privacy(privacy),
            (Command::Devices, _) => Action::Devices,
            (Command::RemoveDevice(serial), _) => Action::RemoveDevice(serial),
            (Command::Name(name), Some(peer)) => Action::Name(peer, words::harmless(&name)),
            (Command::Block(blocked), Some(peer)) => Action::Block(peer, blocked),
            (Command::Contact(listed), Some(peer)) => Action::Contact(peer, listed),
            (Command::Help, _) => {
                self.help = true;
                return vec![];
            }
            (Command::Quit, _) => {
                self.quit = true;
                return vec![];
            }
            (Command::Name(_) | Command::Block(_) | Command::Contact(_), None) => {
                self.note("Open a conversation with somebody first: /to +4915100000001");
                return vec![];
            }
        };
        vec![action]
    }
}
