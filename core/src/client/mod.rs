//! The client: what a device does to keep its side of the promise, as a pure machine.
//!
//! Driven like the gateway: [`Client::handle_input`], [`Client::handle_timeout`] at the time that [`Client::poll_timeout`] names, and
//! after either [`Client::poll_output`] until there is nothing more. The application stores what [`Output::Save`] says, in order, and
//! reports with [`Input::Saved`]; it shows what it has stored, and the [`Notice`]s.
//!
//! - A message is stored in the outbox before it is sent, and stays there until the server has accepted or for ever refused it. After
//!   each new connection the whole outbox is sent again, in order, under the same message ids; the server recognises what it has.
//! - A run of the program numbers itself, and stores that number before it connects: the server takes no earlier run for a newer client.
//! - An entry is acknowledged only once it is stored. The cursor of a conversation means "everything up to here", and nothing else.
//! - Connections are made again after a jittered, exponentially growing delay, for as long as it takes, unless the server says that
//!   another client has taken this one's place.

mod inbox;
mod line;
mod link;
mod outbox;
mod port;

pub use port::{Answer, Ask, Input, Notice, Outgoing, Output, Record, SaveId, Stored, StoredChat, Tag};

use crate::draw::Draws;
use crate::frame::{ClientFrame, Handle, RequestId, ServerFrame, Target};
use crate::id::{ConversationId, DeviceId, MessageId, Secret, Seq, UserId};
use crate::limits;
use crate::reject::Reject;
use crate::time::{Millis, Timestamp};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use link::Link;
use outbox::Waiting;

/// One device. See the [module's documentation](self).
#[derive(Clone, Debug)]
pub struct Client {
    device: DeviceId,
    secret: Secret,
    /// A newer secret, which is used once it is stored: then the server refuses the older one. No connection is made before.
    newer: Option<(SaveId, Secret)>,
    /// Which run of the program this is: the number of its starts, and below that a random number, which tells copies of one device apart.
    run: u64,
    /// The record of that number, until it is stored. No connection is made before.
    starting: Option<SaveId>,
    draws: Draws,
    now: Timestamp,
    link: Link,
    /// Connections that failed, or ended soon, since the last good one.
    failures: u32,
    /// When the next connection is to be tried, the server be pinged, or something held back be sent.
    due: Option<Timestamp>,
    /// Messages that the server has not accepted, in the order in which they were written. What was sent stands before what was not.
    outbox: VecDeque<Waiting>,
    chats: BTreeMap<ConversationId, Chat>,
    /// Users whose presence the application wants to be told of, also across connections.
    watches: BTreeSet<UserId>,
    saves: u64,
    /// Positions that are being stored, in the order of their records.
    saving: VecDeque<Saving>,
    /// Messages whose record is not stored yet.
    unsaved: BTreeMap<SaveId, MessageId>,
    outputs: VecDeque<Output>,
}

/// What is known of one conversation.
#[derive(Clone, Debug)]
struct Chat {
    /// As it is stored.
    stored: StoredChat,
    /// Everything up to here has come, and is stored or being stored. Never behind the cursor.
    received: Option<Seq>,
    /// An own message has moved the cursor, and no acknowledgement since has told the server so.
    own_untold: bool,
    /// A position is missing, and was asked for.
    fetching: bool,
    /// Of a group: the roster epoch, as the server said last. Zero until it has.
    roster: u64,
    /// The request that tells the server how far the user has read, if one is under way. Of several, the last.
    telling: Option<RequestId>,
}

/// A position that is being stored.
#[derive(Clone, Copy, Debug)]
struct Saving {
    save: SaveId,
    conversation: ConversationId,
    seq: Seq,
    /// The message is this device's own: the server knows that the device has it.
    own: bool,
}

/// What a numbered request of this session was about.
#[derive(Clone, Debug)]
enum Pending {
    /// A message, and the attempt under which it went out.
    Send(MessageId, u32),
    Ask(Tag),
    Read(ConversationId, Seq),
    Fetch(ConversationId),
    Renew(Secret),
}

impl Client {
    /// The machine of a device that has stored this. `random` is another number for each start of the program.
    pub fn new(stored: Stored, random: u64, now: Timestamp) -> Self {
        let chats = stored.chats.into_iter().map(|chat| (chat.conversation, Chat::new(chat))).collect();
        let outbox = stored.outbox.into_iter().map(Waiting::stored).collect();
        let starts = stored.starts.saturating_add(1);
        let mut client = Self {
            device: stored.device,
            secret: stored.secret,
            newer: None,
            run: (u64::from(starts) << 32) | (random & u64::from(u32::MAX)),
            starting: None,
            draws: Draws::new(random),
            now,
            link: Link::Down,
            failures: 0,
            due: None,
            outbox,
            chats,
            watches: BTreeSet::new(),
            saves: 0,
            saving: VecDeque::new(),
            unsaved: BTreeMap::new(),
            outputs: VecDeque::new(),
        };
        client.starting = Some(client.save(Record::Started(starts)));
        client
    }

    /// Which device it is.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// Whether the session is open.
    pub fn is_online(&self) -> bool {
        matches!(self.link, Link::Open(_))
    }

    /// Messages that the server has not accepted.
    pub fn outbox_len(&self) -> usize {
        self.outbox.len()
    }

    /// Numbered requests of this session that were not answered.
    pub fn requests_under_way(&self) -> usize {
        if let Link::Open(session) = &self.link { session.pending.len() } else { 0 }
    }

    /// Takes in something that has happened.
    pub fn handle_input(&mut self, now: Timestamp, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Connected { fresh } => self.connected(fresh),
            Input::Disconnected { reason } => self.disconnected(reason),
            Input::TurnedAway { retry_after } => self.turned_away(retry_after),
            Input::Frame(frame) => self.received(frame),
            Input::Saved { upto, new_after_all } => self.saved(upto, &new_after_all),
            Input::Compose(outgoing) => self.compose(outgoing),
            Input::Show { conversation, upto } => self.show(conversation, upto),
            Input::Typing { conversation, active } => {
                if let Some(to) = self.name(conversation) {
                    self.send(ClientFrame::Typing { to, active });
                }
            }
            Input::Watch { user, active } => self.watch(user, active),
            Input::Ask(tag, ask) => self.ask(tag, ask),
            Input::Hurry => self.hurry(),
        }
    }

    /// When [`Self::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.due
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        if self.due.is_some_and(|due| due <= self.now) {
            self.expired();
        }
    }

    /// What is to be done next; `None` until there is another input or timeout.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() {
            self.pump();
        }
        self.outputs.pop_front()
    }

    /// Shows everything that gathers and has a limit: what it is called, how much of it there is, and how much there may be. What the user
    /// writes has none. For tests and the simulator.
    pub fn queues(&self, visit: &mut dyn FnMut(&'static str, usize, usize)) {
        visit("watches of a device", self.watches.len(), limits::WATCHES_PER_SESSION);
        if let Link::Open(session) = &self.link {
            let sent = self.outbox.iter().filter(|waiting| waiting.is_sent()).count();
            visit("messages of a device under way", sent, session.window as usize);
            visit("handles of a device", session.handles.bound.len(), limits::HANDLES_PER_SESSION);
            session.line.queues(visit);
        }
    }

    /// Panics if the machine contradicts itself. For tests and the simulator.
    pub fn check(&self) {
        self.queues(&mut |name, len, limit| assert!(len <= limit, "{name}: {len}, and the limit is {limit}"));
        for chat in self.chats.values() {
            assert!(chat.stored.cursor <= chat.received, "what is stored has come");
            assert!(chat.stored.read_told <= chat.stored.read);
        }
        assert!(self.saving.iter().is_sorted_by_key(|saving| saving.save));
        if let Link::Open(session) = &self.link {
            session.line.check(session.pending.values());
        }
        let first_unsent = self.outbox.iter().position(|waiting| !waiting.is_sent()).unwrap_or(self.outbox.len());
        assert!(self.outbox.iter().skip(first_unsent).all(|waiting| !waiting.is_sent()), "nothing overtakes what was not sent");
    }

    fn save(&mut self, record: Record) -> SaveId {
        self.saves += 1;
        let save = SaveId(self.saves);
        self.outputs.push_back(Output::Save(save, record));
        save
    }

    fn notice(&mut self, notice: Notice) {
        self.outputs.push_back(Output::Notice(notice));
    }

    fn chat(&mut self, conversation: ConversationId) -> &mut Chat {
        self.chats.entry(conversation).or_insert_with(|| Chat::new(StoredChat::new(conversation)))
    }

    /// How to name a conversation to the server; `None` without an open session.
    fn name(&self, conversation: ConversationId) -> Option<Target> {
        let Link::Open(session) = &self.link else { return None };
        Some(session.handles.name(conversation))
    }

    fn watch(&mut self, user: UserId, active: bool) {
        if active && self.watches.len() >= limits::WATCHES_PER_SESSION && !self.watches.contains(&user) {
            return self.notice(Notice::Refused(Reject::ListFull));
        }
        let changed = if active { self.watches.insert(user) } else { self.watches.remove(&user) };
        if changed {
            self.ask_in_turn(if active { ClientFrame::Watch { user } } else { ClientFrame::Unwatch { user } });
        }
    }

    fn ask(&mut self, tag: Tag, ask: Ask) {
        if let Link::Open(session) = &self.link
            && session.line.is_full()
        {
            let reject = Reject::TooMany { retry_after: Millis::seconds(1) };
            return self.notice(Notice::Answered(tag, Answer::Refused(reject)));
        }
        let Some(request) = self.request(Pending::Ask(tag)) else {
            return self.notice(Notice::Answered(tag, Answer::Lost));
        };
        let frame = match ask {
            Ask::FindUsers(phones) => ClientFrame::FindUsers { request, phones },
            Ask::User(user) => ClientFrame::AskUser { request, user },
            Ask::Roster(group, after) => ClientFrame::AskRoster { request, of: Target::Id(group), after },
            Ask::Chats(after) => ClientFrame::ListChats { request, after },
            Ask::History(conversation, after) => ClientFrame::Fetch { request, of: Target::Id(conversation), after },
            Ask::SetListed(list, user, listed) => ClientFrame::SetListed { request, list, user, listed },
            Ask::SetPrivacy(privacy) => ClientFrame::SetPrivacy { request, privacy },
            Ask::RemoveDevice(serial) => ClientFrame::RemoveDevice { request, serial },
        };
        self.ask_in_turn(frame);
    }

    /// A number for a request of this session.
    fn request(&mut self, pending: Pending) -> Option<RequestId> {
        let Link::Open(session) = &mut self.link else { return None };
        session.requests += 1;
        let request = RequestId(session.requests);
        session.pending.insert(request, pending);
        Some(request)
    }

    fn take_pending(&mut self, request: RequestId) -> Option<Pending> {
        let Link::Open(session) = &mut self.link else { return None };
        let pending = session.pending.remove(&request)?;
        if pending.waits_in_line() {
            self.ask_ended();
        }
        Some(pending)
    }

    fn received(&mut self, frame: ServerFrame) {
        let now = self.now;
        match &mut self.link {
            Link::Open(session) => session.heard = now,
            Link::Greeting(greeting) => greeting.since = now,
            Link::Down | Link::Connecting | Link::Stopped => return,
        }
        match frame {
            ServerFrame::Welcome { token_expires, window, .. } => self.welcomed(token_expires, window),
            ServerFrame::Goodbye { reason, retry_after } => self.dismissed(reason, retry_after),
            ServerFrame::Pong => {}
            ServerFrame::Accepted { request, of, seq, at } => self.accepted(request, of, seq, at),
            ServerFrame::Refused { request, reject } => self.refused(request, reject),
            ServerFrame::Deliver { of, entries } => {
                if let Some(conversation) = self.resolve(of) {
                    self.delivered(conversation, entries);
                }
            }
            ServerFrame::Page { request, entries, head } => self.paged(request, entries, head),
            ServerFrame::Receipt { of, delivered, read } => {
                if let Some(conversation) = self.resolve(of) {
                    self.receipt(conversation, delivered, read);
                }
            }
            ServerFrame::Typing { of, by, active } => {
                if let Some(conversation) = self.resolve(of) {
                    self.notice(Notice::Typing { conversation, by, active });
                }
            }
            ServerFrame::Presence { user, presence } => {
                self.watch_ended(Some(user));
                if self.watches.contains(&user) {
                    self.notice(Notice::Presence { user, presence });
                }
            }
            ServerFrame::Users { request, users } => self.answered(request, Answer::Users(users)),
            ServerFrame::Roster { request, name, epoch, members, more } => {
                self.answered(request, Answer::Roster { name, epoch, members, more });
            }
            ServerFrame::Chats { request, chats, more } => self.answered(request, Answer::Chats(chats, more)),
            ServerFrame::Done { request, expires } => self.done(request, expires),
        }
    }

    fn answered(&mut self, request: RequestId, answer: Answer) {
        if let Some(Pending::Ask(tag)) = self.take_pending(request) {
            self.notice(Notice::Answered(tag, answer));
        }
    }

    fn done(&mut self, request: RequestId, expires: Timestamp) {
        match self.take_pending(request) {
            Some(Pending::Ask(tag)) => self.notice(Notice::Answered(tag, Answer::Done)),
            Some(Pending::Read(conversation, upto)) => self.read_told(conversation, upto),
            Some(Pending::Renew(secret)) => self.renewed(secret, expires),
            Some(Pending::Send(..) | Pending::Fetch(_)) | None => {}
        }
    }

    /// The conversation that the server means. A handle that it never gave out is a mistake of its own; the frame says nothing then.
    fn resolve(&mut self, target: Target) -> Option<ConversationId> {
        let Link::Open(session) = &mut self.link else { return None };
        session.handles.resolve(target)
    }
}

impl StoredChat {
    /// A conversation of which nothing is known.
    pub fn new(conversation: ConversationId) -> Self {
        let start = Seq::START;
        Self { conversation, cursor: None, own_last: start, read: start, read_told: start, peer_delivered: start, peer_read: start }
    }
}

impl Chat {
    fn new(stored: StoredChat) -> Self {
        Self { stored, received: stored.cursor, own_untold: false, fetching: false, roster: 0, telling: None }
    }
}

/// The short names of one session.
#[derive(Clone, Debug, Default)]
struct Handles {
    bound: Vec<ConversationId>,
    names: BTreeMap<ConversationId, Handle>,
}

impl Handles {
    fn name(&self, conversation: ConversationId) -> Target {
        self.names.get(&conversation).map_or(Target::Id(conversation), |handle| Target::Handle(*handle))
    }

    fn resolve(&mut self, target: Target) -> Option<ConversationId> {
        match target {
            Target::Handle(Handle(handle)) => self.bound.get(handle as usize).copied(),
            Target::Id(conversation) => Some(conversation),
            Target::Bind(handle, conversation) => {
                // The server counts its handles up from zero; one out of turn is not noted, and the conversation goes by its full name.
                if handle.0 as usize == self.bound.len() {
                    self.bound.push(conversation);
                    self.names.insert(conversation, handle);
                }
                Some(conversation)
            }
        }
    }
}
