//! The task that drives the machine: between the application, the storage and the connection.
//!
//! It never waits until something is stored or sent: batches are stored on a thread of their own, and what has gathered meanwhile is the
//! next batch. Everything that gathers is bounded: while too much waits to be stored or sent, nothing is read from the connection, and
//! nothing is taken from the application.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use doubletick_core::client::{Answer, Ask, Client as Machine, Input, Notice, Outgoing, Output, Record, SaveId, Tag};
use doubletick_core::frame::{ClientFrame, Presence, UserList};
use doubletick_core::id::{ConversationId, DeviceId, MessageId, Phone, Secret, UserId};
use doubletick_core::reject::Reject;
use doubletick_core::time::{Millis, Timestamp};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::model::{Body, Chat, Event, Message, Party, Status, Stop};
use crate::seam::{self, Clock};
use crate::server::Server;
use crate::socket::{self, Link, LinkEvent, NoLink};
use crate::storage::{Applied, Author, Change, Contact, Job, Storage, StorageError, UserChange};

/// Records that may wait to be stored before the connection and the application have to wait.
const UNSAVED: usize = 1024;

/// Frames that may wait for the socket before the connection and the application have to wait.
const UNSENT: usize = 1024;

/// The longest sleep: a clock that was set forwards, or a computer that has slept, is noticed after this time.
const LONGEST_SLEEP: Millis = Millis::seconds(5);

/// How long the last frames may wait for the socket.
const GOODBYE: Millis = Millis::seconds(1);

/// Something under way.
type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What an application asks of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    /// Something for the machine, of which nothing need be heard.
    Input(Input),
    /// Store and send a message. Answered when it is stored.
    Compose(Outgoing, oneshot::Sender<()>),
    /// Ask the server.
    Ask(Ask, oneshot::Sender<Answer>),
    /// Note something about a user. Answered when it is stored.
    Note(UserId, UserChange, oneshot::Sender<()>),
    /// End, once everything that waits to be stored is stored.
    Close,
}

/// What the driver and the application's handles have in common.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) storage: Arc<Storage>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) status: watch::Sender<Status>,
}

/// The task's state. See the [module's documentation](self).
pub(crate) struct Driver {
    me: DeviceId,
    server: Server,
    shared: Shared,
    clock: Clock,
    machine: Machine,
    commands: mpsc::Receiver<Command>,
    dialing: Option<Work<Result<Link, NoLink>>>,
    link: Option<Link>,
    /// Frames for the socket.
    unsent: Vec<ClientFrame>,
    /// The next batch for the disk.
    unsaved: Vec<Job>,
    /// The batch that is being stored.
    saving: Option<Work<Result<Applied, StorageError>>>,
    /// Who is to hear when a message is stored: first by its name, then, once it has a record, by that.
    composed: BTreeMap<MessageId, oneshot::Sender<()>>,
    composed_saving: Vec<(SaveId, oneshot::Sender<()>)>,
    /// Who is to hear when the next batch is stored, and when the one that is being stored is.
    noted: Vec<oneshot::Sender<()>>,
    noted_saving: Vec<oneshot::Sender<()>>,
    tags: u64,
    asked: BTreeMap<Tag, oneshot::Sender<Answer>>,
    /// What is to be asked of the server without the application's doing; one at a time.
    chores: VecDeque<Chore>,
    chore: Option<(Tag, Chore)>,
    /// Watched users whose presence may not be seen.
    hidden: BTreeSet<UserId>,
    /// Why there is no connection.
    why: String,
    closing: bool,
}

/// Something to be asked of the server by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chore {
    /// The number of somebody with whom there is a conversation.
    Learn(UserId),
    /// The user has written to them: they become a contact.
    AddContact(UserId),
    /// What a group is called and who its members are, those after one.
    LearnGroup(ConversationId, Option<UserId>),
}

/// What happens next.
enum Step {
    Command(Option<Command>),
    Saved(Result<Applied, StorageError>),
    Dialed(Result<Link, NoLink>),
    Link(Option<LinkEvent>),
    Sent,
    Time,
}

impl Driver {
    pub(crate) fn new(
        me: DeviceId,
        secret: Secret,
        server: Server,
        shared: Shared,
        commands: mpsc::Receiver<Command>,
    ) -> Result<Self, StorageError> {
        let mut clock = Clock::default();
        let random = u64::from_le_bytes(seam::random());
        let machine = Machine::new(shared.storage.stored(me, secret)?, random, clock.now());
        Ok(Self {
            me,
            server,
            shared,
            clock,
            machine,
            commands,
            dialing: None,
            link: None,
            unsent: vec![],
            unsaved: vec![],
            saving: None,
            composed: BTreeMap::new(),
            composed_saving: vec![],
            noted: vec![],
            noted_saving: vec![],
            tags: 0,
            asked: BTreeMap::new(),
            chores: VecDeque::new(),
            chore: None,
            hidden: BTreeSet::new(),
            why: String::new(),
            closing: false,
        })
    }

    /// Runs until the application closes it, or drops every handle, or the profile cannot be written.
    pub(crate) async fn run(mut self) {
        let stop = loop {
            self.drain();
            if self.closing && self.saving.is_none() {
                break Stop::Closed;
            }
            let step = self.step().await;
            let now = self.clock.now();
            match step {
                Step::Command(command) => self.command(command),
                Step::Saved(Ok(applied)) => self.saved(applied),
                Step::Saved(Err(error)) => break Stop::Storage(error.to_string()),
                Step::Dialed(Ok(link)) => {
                    self.link = Some(link);
                    let fresh = Secret(seam::random());
                    self.machine.handle_input(now, Input::Connected { fresh });
                }
                Step::Dialed(Err(NoLink { why, retry_after })) => {
                    self.why = why;
                    let turned_away = |retry_after| Input::TurnedAway { retry_after };
                    self.machine.handle_input(now, retry_after.map_or(Input::Disconnected { reason: None }, turned_away));
                }
                Step::Link(Some(LinkEvent::Frame(frame))) => self.machine.handle_input(now, Input::Frame(frame)),
                Step::Link(Some(LinkEvent::Closed { reason, why })) => {
                    self.why = why;
                    self.lost(reason);
                }
                Step::Link(None) => self.lost(None),
                Step::Sent => {}
                Step::Time => self.machine.handle_timeout(now),
            }
        };
        if let Some(link) = self.link.take() {
            // Acknowledgements of what was stored last. If they do not get out, it comes again.
            if stop == Stop::Closed && !self.unsent.is_empty() {
                seam::within(GOODBYE, link.frames.send(std::mem::take(&mut self.unsent))).await;
            }
            link.close().await;
        }
        self.status(Status::Stopped(stop));
    }

    /// Waits for the next thing to happen.
    async fn step(&mut self) -> Step {
        let now = self.clock.now();
        let sleep = self.machine.poll_timeout().map_or(LONGEST_SLEEP, |due| due.since(now)).min(LONGEST_SLEEP);
        let room = self.unsaved.len() < UNSAVED && self.unsent.len() < UNSENT;
        let takes_commands = room && !self.closing;
        let (frames, events) = match &mut self.link {
            Some(link) => (Some(&link.frames).filter(|_| !self.unsent.is_empty()), Some(&mut link.events).filter(|_| room)),
            None => (None, None),
        };
        tokio::select! {
            biased;
            saved = pending_or(self.saving.as_mut()) => {
                self.saving = None;
                Step::Saved(saved)
            }
            dialed = pending_or(self.dialing.as_mut()) => {
                self.dialing = None;
                Step::Dialed(dialed)
            }
            Some(permit) = async { frames?.reserve().await.ok() } => {
                permit.send(std::mem::take(&mut self.unsent));
                Step::Sent
            }
            event = async { match events { Some(events) => events.recv().await, None => std::future::pending().await } } => Step::Link(event),
            command = self.commands.recv(), if takes_commands => Step::Command(command),
            () = seam::sleep(sleep) => Step::Time,
        }
    }

    /// Carries out what the machine wants, until it wants nothing more.
    fn drain(&mut self) {
        loop {
            while let Some(output) = self.machine.poll_output() {
                self.output(output);
            }
            if !self.next_chore() {
                break;
            }
        }
        if self.saving.is_none() && !self.unsaved.is_empty() {
            let jobs = std::mem::take(&mut self.unsaved);
            self.noted_saving = std::mem::take(&mut self.noted);
            let storage = self.shared.storage.clone();
            self.saving = Some(Box::pin(seam::blocking(move || storage.apply(jobs))));
        }
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Connect => {
                self.dialing = Some(Box::pin(socket::connect(self.server.clone())));
                self.status(Status::Connecting);
            }
            Output::Disconnect => {
                self.dialing = None;
                self.unsent.clear();
                if let Some(link) = self.link.take() {
                    seam::spawn(link.close());
                }
            }
            Output::Frame(frame) => self.unsent.push(frame),
            Output::Save(save, record) => {
                if let Record::Written(outgoing) = &record
                    && let Some(waiter) = self.composed.remove(&outgoing.id)
                {
                    self.composed_saving.push((save, waiter));
                }
                let now = self.clock.now();
                self.unsaved.push(Job::Record(save, record, now));
            }
            Output::Notice(notice) => self.notice(notice),
        }
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Online(true) => {
                self.why = "the connection is lost".into();
                self.status(Status::Online);
                self.find_chores();
            }
            Notice::Online(false) => {}
            Notice::Stopped(reason) => self.status(Status::Stopped(Stop::Server(reason))),
            Notice::Waiting(retry) => {
                let why = self.why.clone();
                self.status(Status::Waiting { retry, why });
            }
            // The machine has been told the roster by that, and sends again at once.
            Notice::HeldUp(Reject::StaleRoster { .. }) => {}
            Notice::HeldUp(reject) => self.tell(Event::HeldUp(reject)),
            Notice::Typing { conversation, by, active } => self.tell(Event::Typing { conversation, by, active }),
            Notice::Presence { user, presence } => {
                if presence == Presence::Hidden {
                    self.hidden.insert(user);
                } else {
                    self.hidden.remove(&user);
                }
                self.tell(Event::Presence { user, presence });
            }
            Notice::Answered(tag, answer) => self.answered(tag, answer),
            Notice::Refused(reject) => self.tell(Event::Refused(reject)),
        }
    }

    fn command(&mut self, command: Option<Command>) {
        let now = self.clock.now();
        match command {
            Some(Command::Input(input)) => {
                if let Input::Watch { user, active: false } = input {
                    self.hidden.remove(&user);
                }
                self.machine.handle_input(now, input);
            }
            Some(Command::Compose(outgoing, stored)) => {
                self.composed.insert(outgoing.id, stored);
                let peer = outgoing.conversation.peer(self.me.user);
                self.machine.handle_input(now, Input::Compose(outgoing));
                if let Some(peer) = peer {
                    self.unsaved.push(Job::User(peer, UserChange::WrittenTo));
                }
            }
            Some(Command::Ask(ask, answer)) => {
                let tag = self.tag();
                self.asked.insert(tag, answer);
                self.machine.handle_input(now, Input::Ask(tag, ask));
            }
            Some(Command::Note(user, change, stored)) => {
                self.unsaved.push(Job::User(user, change));
                self.noted.push(stored);
            }
            Some(Command::Close) | None => self.closing = true,
        }
    }

    fn saved(&mut self, applied: Applied) {
        let now = self.clock.now();
        if let Some(upto) = applied.upto {
            let stored: Vec<_> = self.composed_saving.extract_if(.., |(save, _)| *save <= upto).collect();
            stored.into_iter().for_each(|(_, waiter)| answer(waiter, ()));
            self.machine.handle_input(now, Input::Saved { upto, new_after_all: applied.new_after_all });
        }
        std::mem::take(&mut self.noted_saving).into_iter().for_each(|waiter| answer(waiter, ()));
        for change in applied.changes {
            self.changed(change);
        }
    }

    fn changed(&mut self, change: Change) {
        match change {
            Change::Message { conversation, author, id, .. } => {
                let message = self.shared.storage.message(conversation, author, id).ok().flatten();
                match author {
                    Author::Own => {}
                    Author::Peer => self.heard_from(conversation),
                    Author::Member(_) => message.iter().for_each(|message| self.find_chores_in(conversation, message)),
                }
                // Whoever looks at the history sees what is wrong.
                self.tell(message.map_or(Event::Missed(1), |message| Event::Message(conversation, message)));
            }
            Change::Group(group) => {
                self.tell(Event::Group(group));
                if self.shared.storage.group(group).is_ok_and(|known| known.member && known.name.is_none()) {
                    self.do_chore(Chore::LearnGroup(group, None));
                }
            }
            Change::Accepted { conversation, id, seq } => self.tell(Event::Accepted { conversation, id, seq }),
            Change::Failed { conversation, id, reject } => self.tell(Event::Failed { conversation, id, reject }),
            Change::Receipt { conversation, delivered, read } => self.tell(Event::Receipt { conversation, delivered, read }),
            Change::Read { conversation } => self.tell(Event::Shown(conversation)),
            Change::User(user) => {
                self.tell(Event::Person(user));
                self.find_chores_about(user);
            }
        }
    }

    /// Somebody has written. Whoever does so may have made this user a contact, who may see what was hidden before.
    fn heard_from(&mut self, conversation: ConversationId) {
        let Some(peer) = conversation.peer(self.me.user) else { return };
        self.find_chores_about(peer);
        if self.hidden.remove(&peer) {
            let now = self.clock.now();
            self.machine.handle_input(now, Input::Watch { user: peer, active: false });
            self.machine.handle_input(now, Input::Watch { user: peer, active: true });
        }
    }

    fn lost(&mut self, reason: Option<doubletick_core::frame::CloseReason>) {
        self.link = None;
        self.unsent.clear();
        let now = self.clock.now();
        self.machine.handle_input(now, Input::Disconnected { reason });
    }

    fn answered(&mut self, tag: Tag, answer: Answer) {
        if let Some((_, chore)) = self.chore.take_if(|(asked, _)| *asked == tag) {
            return self.chore_done(chore, &answer);
        }
        self.learn(&answer);
        if let Some(asker) = self.asked.remove(&tag) {
            self::answer(asker, answer);
        }
    }

    /// Looks for everything that is to be asked, after each new connection: what was lost with the one before is found again.
    fn find_chores(&mut self) {
        self.chores.clear();
        let storage = self.shared.storage.clone();
        // A profile that does not read is reported where it is written or shown.
        for Chat { conversation, with, last, .. } in storage.chats(self.me.user).unwrap_or_default() {
            match with {
                Party::Person(peer) => self.find_chores_about(peer.user),
                Party::Group(group) if group.member && group.name.is_none() => self.do_chore(Chore::LearnGroup(conversation, None)),
                Party::Group(_) => last.iter().for_each(|last| self.find_chores_in(conversation, last)),
            }
        }
        for (user, _) in storage.addresses().unwrap_or_default() {
            self.find_chores_about(user);
        }
    }

    fn find_chores_about(&mut self, user: UserId) {
        let address = self.shared.storage.address(user).unwrap_or_default();
        let learn = Some(Chore::Learn(user)).filter(|_| address.phone.is_none());
        let add = Some(Chore::AddContact(user)).filter(|_| address.contact == Contact::Wanted);
        learn.into_iter().chain(add).for_each(|chore| self.do_chore(chore));
    }

    /// Whoever speaks in a group, or is spoken of, is to be known by their number.
    fn find_chores_in(&mut self, group: ConversationId, message: &Message) {
        let unknown = |user: &UserId| self.shared.storage.address(*user).unwrap_or_default().phone.is_none();
        let added = matches!(&message.body, Body::Change(change) if change.added().iter().any(unknown));
        match message.from.filter(unknown) {
            _ if added => self.do_chore(Chore::LearnGroup(group, None)),
            Some(sender) => self.do_chore(Chore::Learn(sender)),
            None => {}
        }
    }

    fn do_chore(&mut self, chore: Chore) {
        let under_way = self.chore.is_some_and(|(_, other)| other == chore);
        if self.machine.is_online() && !under_way && !self.chores.contains(&chore) {
            self.chores.push_back(chore);
        }
    }

    /// Says whether there was one.
    fn next_chore(&mut self) -> bool {
        if self.chore.is_some() || !self.machine.is_online() {
            return false;
        }
        let Some(chore) = self.chores.pop_front() else { return false };
        let tag = self.tag();
        self.chore = Some((tag, chore));
        let ask = match chore {
            Chore::Learn(user) => Ask::User(user),
            Chore::AddContact(user) => Ask::SetListed(UserList::Contacts, user, true),
            Chore::LearnGroup(group, after) => Ask::Roster(group, after),
        };
        let now = self.clock.now();
        self.machine.handle_input(now, Input::Ask(tag, ask));
        true
    }

    /// What was refused or lost is tried again with the next connection.
    fn chore_done(&mut self, chore: Chore, answer: &Answer) {
        self.learn(answer);
        match (chore, answer) {
            (Chore::AddContact(user), Answer::Done) => {
                self.unsaved.push(Job::User(user, UserChange::Contact(Contact::Listed)));
            }
            (Chore::LearnGroup(group, after), Answer::Roster { name, members, more, .. }) => {
                if after.is_none() {
                    self.unsaved.push(Job::Group(group, name.clone()));
                }
                if let Some(last) = members.last().filter(|_| *more) {
                    self.do_chore(Chore::LearnGroup(group, Some(last.user)));
                }
            }
            (Chore::Learn(_) | Chore::AddContact(_) | Chore::LearnGroup(..), _) => {}
        }
    }

    /// Notes the numbers that an answer tells of.
    fn learn(&mut self, answer: &Answer) {
        let told: Vec<(UserId, Phone)> = match answer {
            Answer::Users(users) => users.iter().map(|card| (card.user, card.phone.clone())).collect(),
            Answer::Roster { members, .. } => members.iter().filter_map(|member| Some((member.user, member.phone.clone()?))).collect(),
            Answer::Done | Answer::Chats(..) | Answer::Page(..) | Answer::Refused(_) | Answer::Lost => return,
        };
        for (user, phone) in told {
            if self.shared.storage.address(user).unwrap_or_default().phone.as_ref() != Some(&phone) {
                self.unsaved.push(Job::User(user, UserChange::Phone(phone)));
            }
        }
    }

    fn tag(&mut self) -> Tag {
        self.tags += 1;
        Tag(self.tags)
    }

    fn tell(&self, event: Event) {
        // Nobody may be listening.
        drop(self.shared.events.send(event));
    }

    fn status(&self, status: Status) {
        if self.shared.status.send_if_modified(|before| std::mem::replace(before, status.clone()) != status) {
            self.tell(Event::Status(status));
        }
    }
}

/// Who does not wait for the answer any more need not have it.
fn answer<T>(waiter: oneshot::Sender<T>, answer: T) {
    let _gone = waiter.send(answer);
}

/// Never resolves if there is nothing to wait for.
async fn pending_or<F: Future + Unpin>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// The name of a message that is written at this moment.
pub(crate) fn new_message_id(now: Timestamp) -> MessageId {
    MessageId::new(now, seam::random())
}
