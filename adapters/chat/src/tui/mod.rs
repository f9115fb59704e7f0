//! The full-screen client.
//!
//! [`app`] is what is on the screen and what a key does to it, [`view`] is what that looks like, `terminal` is where it is drawn; here
//! they meet the client library.

mod app;
mod command;
mod input;
mod register;
mod terminal;
#[cfg(test)]
mod tests;
mod text;
mod view;

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossterm::event::{Event as Key, KeyEventKind};
use doubletick_client::{
    Body, Change, Chat, Client, ConversationId, Member, Message, Party, Place, RequestError, State, Status, Stop, Timestamp, UserId,
};
use jiff::tz::TimeZone;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::Failure;
use crate::group::{self, Wish};
use crate::start::Start;
use crate::words;
use app::{Action, App};
use terminal::Screen;

/// Messages that are read from the history at a time.
const PAGE: usize = 200;

/// Messages on their way to the disk. While there are as many, keys wait.
const SENDING: usize = 256;

/// What has become of an action.
#[derive(Debug)]
enum Outcome {
    Opened(ConversationId),
    Note(String),
    /// A title and lines.
    List(String, Vec<String>),
    Failed(RequestError),
}

/// Registers the device if need be, and shows the conversations until the user leaves.
///
/// # Errors
/// See [`Failure`].
pub(crate) async fn run(start: Start) -> Result<(), Failure> {
    let mut screen = Screen::take()?;
    let mut keys = Screen::events();
    let Some(client) = register::registered(start, &mut screen, &mut keys).await? else { return Ok(()) };
    let shown = Session::new(&client).run(&mut screen, &mut keys).await;
    drop(screen);
    client.close().await;
    shown
}

/// The client and the screen together.
struct Session<'a> {
    client: &'a Client,
    app: App,
    outcomes: mpsc::Sender<Outcome>,
    results: mpsc::Receiver<Outcome>,
    /// One after the other, so that messages stay in their order.
    sending: mpsc::Sender<(ConversationId, String)>,
    /// How many messages of the open conversation are to be loaded.
    loaded: usize,
}

impl<'a> Session<'a> {
    fn new(client: &'a Client) -> Self {
        let (outcomes, results) = mpsc::channel(SENDING);
        let (sending, mut to_send) = mpsc::channel::<(ConversationId, String)>(SENDING);
        let (sender, told) = (client.clone(), outcomes.clone());
        tokio::spawn(async move {
            while let Some((conversation, text)) = to_send.recv().await {
                if let Err(error) = sender.send(conversation, &text).await {
                    // Nobody is there to be told when the program ends.
                    let _gone = told.send(Outcome::Failed(error)).await;
                }
            }
        });
        let account = client.account();
        let mut app = App::new(account.phone.clone(), account.device.user, TimeZone::system(), now());
        app.status = client.status();
        Self { client, app, outcomes, results, sending, loaded: PAGE }
    }

    async fn run(mut self, screen: &mut Screen, keys: &mut mpsc::Receiver<io::Result<Key>>) -> Result<(), Failure> {
        let mut events = self.client.events();
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut terminate, mut hang_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
        self.reload()?;
        if let Some(first) = self.app.chats.first().map(|chat| chat.conversation) {
            let actions = self.app.open(first);
            self.act(actions).await?;
        }
        while !self.app.quit {
            self.app.tick(now());
            screen.0.draw(|frame| view::draw(frame, &mut self.app))?;
            let mut actions = vec![];
            tokio::select! {
                biased;
                _ = terminate.recv() => self.app.quit = true,
                _ = hang_up.recv() => self.app.quit = true,
                key = keys.recv() => match key {
                    Some(key) => actions.extend(self.key(key?)),
                    None => self.app.quit = true,
                },
                event = events.next() => match event {
                    Some(event) => {
                        actions.extend(self.app.event(event));
                        // What has gathered is shown at once.
                        while let Some(event) = events.try_next() {
                            actions.extend(self.app.event(event));
                        }
                    }
                    None => break,
                },
                Some(outcome) = self.results.recv() => actions.extend(self.outcome(outcome)),
                _ = seconds.tick() => {}
            }
            actions.dedup();
            self.act(actions).await?;
            // A profile that cannot be written is no place to go on from; what the server has ended can still be read.
            if let Status::Stopped(stop @ Stop::Storage(_)) = self.client.status() {
                return Err(Failure::Stopped(stop));
            }
        }
        Ok(())
    }

    fn key(&mut self, key: Key) -> Vec<Action> {
        match key {
            Key::Key(key) if key.kind != KeyEventKind::Release => self.app.key(key),
            Key::Paste(text) => self.app.paste(&text),
            Key::FocusGained => self.app.focus(true),
            Key::FocusLost => self.app.focus(false),
            Key::Key(_) | Key::Mouse(_) | Key::Resize(..) => vec![],
        }
    }

    fn outcome(&mut self, outcome: Outcome) -> Vec<Action> {
        match outcome {
            Outcome::Opened(conversation) => {
                self.loaded = PAGE;
                return self.app.open(conversation);
            }
            Outcome::Note(text) => self.app.note(text),
            Outcome::List(title, lines) => self.app.list = Some((title, lines)),
            Outcome::Failed(error) => self.app.note(format!("{error}.")),
        }
        vec![]
    }

    async fn act(&mut self, actions: Vec<Action>) -> Result<(), Failure> {
        for action in actions {
            match action {
                Action::Reload => {
                    if let Some(Action::MarkRead(conversation, upto)) = self.reload()? {
                        self.client.mark_read(conversation, upto).await?;
                    }
                }
                Action::LoadOlder => {
                    self.loaded += PAGE;
                    self.reload()?;
                }
                Action::Send(conversation, text) => {
                    // The task that takes them lives as long as this.
                    let _gone = self.sending.send((conversation, text)).await;
                }
                Action::MarkRead(conversation, upto) => self.client.mark_read(conversation, upto).await?,
                Action::Typing(conversation, active) => self.client.typing(conversation, active).await?,
                Action::Watch(user, active) => self.client.watch(user, active).await?,
                action @ (Action::Open(_)
                | Action::OpenGroup(_)
                | Action::Create(..)
                | Action::Group(..)
                | Action::Name(..)
                | Action::Block(..)
                | Action::Contact(..)
                | Action::Privacy(_)
                | Action::Devices
                | Action::RemoveDevice(_)) => self.ask(action),
            }
        }
        Ok(())
    }

    /// What waits for the server waits beside the screen.
    fn ask(&self, action: Action) {
        let (client, outcomes) = (self.client.clone(), self.outcomes.clone());
        tokio::spawn(async move {
            let outcome = carry_out(&client, action).await.unwrap_or_else(Outcome::Failed);
            // Nobody is there to be told when the program ends.
            let _gone = outcomes.send(outcome).await;
        });
    }

    /// Reads from the disk what is on the screen.
    fn reload(&mut self) -> Result<Option<Action>, Failure> {
        let open = match self.app.open {
            Some(conversation) => {
                let with = match self.app.peer(conversation) {
                    Some(peer) => Party::Person(self.client.person(peer)?),
                    None => Party::Group(self.client.group(conversation)?),
                };
                Some(Chat { conversation, with, last: None, unread: 0 })
            }
            None => None,
        };
        let chats = self.client.chats()?;
        self.learn_names(chats.iter().filter_map(|chat| chat.last.as_ref()))?;
        self.app.loaded_chats(chats, open);
        let Some(open) = self.app.open else { return Ok(None) };
        let messages = self.client.history(open, None::<Place>, self.loaded)?;
        if open.pair().is_none() {
            self.learn_names(messages.iter())?;
        }
        let older = messages.len() == self.loaded;
        Ok(self.app.loaded_messages(messages, older))
    }

    /// What those are called who have written messages of groups, or are spoken of in them.
    fn learn_names<'m>(&mut self, messages: impl Iterator<Item = &'m Message>) -> Result<(), Failure> {
        let mut users = BTreeSet::new();
        for message in messages {
            users.extend(message.from);
            if let Body::Change(change) = &message.body {
                users.extend(named(change));
            }
        }
        for user in users {
            self.app.names.insert(user, self.client.person(user)?.display());
        }
        Ok(())
    }
}

/// Whose names are in a change as it is shown.
fn named(change: &Change) -> &[UserId] {
    match change {
        Change::Added { users } => &users[..users.len().min(2)],
        Change::Removed { user } | Change::RoleSet { user, .. } => std::slice::from_ref(user),
        Change::Created { .. } | Change::Left | Change::Renamed { .. } | Change::AvatarSet { .. } | Change::SettingsSet { .. } => &[],
    }
}

async fn carry_out(client: &Client, action: Action) -> Result<Outcome, RequestError> {
    let note = |text: &str| Ok(Outcome::Note(text.to_owned()));
    match action {
        Action::Open(phone) => Ok(Outcome::Opened(client.conversation(&phone).await?)),
        Action::OpenGroup(name) => match group::called(client, &name)?.as_slice() {
            [group, ..] => Ok(Outcome::Opened(*group)),
            [] => Ok(Outcome::Note(format!("You are in no group that is called {name}."))),
        },
        Action::Create(name, people) => {
            let people = client.users(&people).await?;
            Ok(Outcome::Opened(client.create_group(&name, &people).await?.0))
        }
        Action::Group(group, wish) => of_group(client, group, wish).await,
        Action::Name(user, name) => {
            client.set_name(user, &name).await?;
            note("The name is kept on this device.")
        }
        Action::Block(user, true) => {
            client.block(user).await?;
            note("Blocked: they can no longer write to you.")
        }
        Action::Block(user, false) => {
            client.unblock(user).await?;
            note("Unblocked.")
        }
        Action::Contact(user, true) => {
            client.add_contact(user).await?;
            note("They may see when you are online.")
        }
        Action::Contact(user, false) => {
            client.remove_contact(user).await?;
            note("They may not see when you are online.")
        }
        Action::Privacy(privacy) => {
            client.set_privacy(privacy).await?;
            note("Who may see when you are online is changed.")
        }
        Action::Devices => {
            let own = client.account().device.serial;
            let devices = client.devices().await?;
            let named: Vec<String> =
                devices.iter().map(|serial| if *serial == own { format!("{serial} (this one)") } else { serial.to_string() }).collect();
            Ok(Outcome::Note(format!("Your devices: {}", named.join(", "))))
        }
        Action::RemoveDevice(serial) => {
            client.remove_device(serial).await?;
            Ok(Outcome::Note(format!("Device {serial} is removed.")))
        }
        Action::Send(..) | Action::Typing(..) | Action::MarkRead(..) | Action::Watch(..) | Action::Reload | Action::LoadOlder => {
            unreachable!("these are done at once")
        }
    }
}

async fn of_group(client: &Client, group: ConversationId, wish: Wish) -> Result<Outcome, RequestError> {
    match wish {
        Wish::Change(wanted) => {
            let change = group::change(client, wanted).await?;
            client.change_group(group, change).await?;
            Ok(Outcome::Note("It is on its way to the server; the conversation shows what becomes of it.".into()))
        }
        Wish::Members | Wish::Create(..) | Wish::Typing(_) => {
            let members = client.members(group).await?;
            let line = |member: &Member| {
                let number = member.person.phone.as_ref().filter(|_| member.person.name.is_some());
                let number = number.map(|number| format!("  {number}")).unwrap_or_default();
                format!("{}{number}{}", member.person.display(), if member.admin { "  admin" } else { "" })
            };
            let title = format!("{}: {} members", client.group(group)?.display(), members.len());
            Ok(Outcome::List(title, members.iter().map(line).collect()))
        }
        Wish::Receipts => {
            let (_, others) = group::receipts(client, group).await?;
            let tick = |(member, state): &(Member, State)| {
                let tick = if *state == State::Read { "✓✓ read" } else { words::tick(*state) };
                format!("{}  {tick}", member.person.display())
            };
            Ok(Outcome::List("Your last message".into(), others.iter().map(tick).collect()))
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
