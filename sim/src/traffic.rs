//! What goes between devices, gateways and the store, for those who look closely at a run: what left when, what it is about, and where it
//! arrived or was lost.

use crate::draw::Who;
use crate::slab::Name;
use crate::watch::{Closely, rarely};
use crate::world::World;
use core::fmt;
use doubletick_core::client::Record;
use doubletick_core::command::Command;
use doubletick_core::frame::{ClientFrame, Delivery, Handle, RequestId, ServerFrame, Target};
use doubletick_core::id::{ConversationId, MessageId, Seq, UserId};
use std::collections::BTreeMap;

/// Where something comes from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// A device.
    Device(u32),
    /// A gateway, from its start to its end.
    Gateway(u32),
    /// The store.
    Store,
}

/// Something that is under way for a while. No two of a run are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Journey {
    /// A frame of a device's connections, or the close of one, by its number among them.
    Frame(u32, u64),
    /// A device's attempt to connect, by the name of the connection.
    Dial(u32, u64),
    /// That the attempt is accepted.
    Accept(u32, u64),
    /// A transaction, by who wants it and its number.
    Transaction(End, u64),
    /// A transaction's answer, and at which stage it was given.
    Answer(End, u64, u64),
    /// A bell of a gateway, by its number.
    Bell(u32, u64),
    /// What an app stores, on its way to the disk: by the app's run and the number of the sync.
    Sync(u32, u32, u64),
}

/// What something is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A user.
    User(UserId),
    /// A conversation.
    Conversation(ConversationId),
    /// A conversation up to a position: a receipt or an acknowledgement.
    Upto(ConversationId, Seq),
    /// A message, with its position where that is said.
    Message(ConversationId, MessageId, Option<Seq>),
}

/// What leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cargo {
    /// From where.
    pub from: End,
    /// Where to.
    pub to: End,
    /// Its kind, in a word or two.
    pub what: String,
    /// What it is about.
    pub about: Vec<Subject>,
}

/// What happens to what goes between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// It leaves.
    Leaves(Journey, Cargo),
    /// It leaves, and nobody will ever get it.
    Vanishes(Cargo),
    /// It is there.
    Arrives(Journey),
    /// It is lost on its way.
    Lost(Journey),
    /// Somebody has written a message.
    Composed(u32, Subject),
}

/// What the short names of a connection stand for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    handles: BTreeMap<(u64, Handle), ConversationId>,
    requests: BTreeMap<(u64, RequestId), Subject>,
    /// Bells under way, by the gateway and when they were due.
    bells: BTreeMap<(u32, u64), Vec<Journey>>,
}

impl From<Who> for End {
    fn from(who: Who) -> Self {
        match who {
            Who::Device(device) => Self::Device(device),
            Who::Host(host) => Self::Gateway(host),
            Who::World | Who::Slot(_) | Who::User(_) => Self::Store,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(device) => Who::Device(*device).fmt(f),
            Self::Gateway(host) => Who::Host(*host).fmt(f),
            Self::Store => f.write_str("store"),
        }
    }
}

impl Subject {
    /// The conversation that it is about.
    pub fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::User(_) => None,
            Self::Conversation(id) | Self::Upto(id, _) | Self::Message(id, ..) => Some(*id),
        }
    }
}

impl Names {
    fn conversation(&mut self, link: Name, target: Target) -> Option<ConversationId> {
        match target {
            Target::Handle(handle) => self.handles.get(&(link.code(), handle)).copied(),
            Target::Id(id) => Some(id),
            Target::Bind(handle, id) => {
                self.handles.insert((link.code(), handle), id);
                Some(id)
            }
        }
    }

    fn asked(&mut self, link: Name, request: RequestId, about: Subject) -> Subject {
        self.requests.insert((link.code(), request), about);
        about
    }

    /// What a frame of a device is about.
    fn of_client(&mut self, link: Name, frame: &ClientFrame) -> Vec<Subject> {
        let about = match frame {
            ClientFrame::Hello { device, .. } => Some(Subject::User(device.user)),
            ClientFrame::Send { request, to, id, .. } => {
                self.conversation(link, *to).map(|of| self.asked(link, *request, Subject::Message(of, *id, None)))
            }
            ClientFrame::Ack { request, of, delivered, .. } => self.conversation(link, *of).map(|of| {
                let about = Subject::Upto(of, *delivered);
                request.map_or(about, |request| self.asked(link, request, about))
            }),
            ClientFrame::Fetch { request, of, .. } | ClientFrame::AskRoster { request, of, .. } => {
                self.conversation(link, *of).map(|of| self.asked(link, *request, Subject::Conversation(of)))
            }
            ClientFrame::Typing { to, .. } => self.conversation(link, *to).map(Subject::Conversation),
            ClientFrame::AskReceipts { of } => return of.iter().copied().map(Subject::Conversation).collect(),
            ClientFrame::Watch { user } | ClientFrame::Unwatch { user } => Some(Subject::User(*user)),
            ClientFrame::AskUser { request, user } | ClientFrame::SetListed { request, user, .. } => {
                Some(self.asked(link, *request, Subject::User(*user)))
            }
            ClientFrame::FindUsers { .. }
            | ClientFrame::ListChats { .. }
            | ClientFrame::SetPrivacy { .. }
            | ClientFrame::Renew { .. }
            | ClientFrame::RemoveDevice { .. }
            | ClientFrame::Ping => None,
        };
        about.into_iter().collect()
    }

    /// What a frame of a gateway is about.
    fn of_server(&mut self, link: Name, frame: &ServerFrame) -> Vec<Subject> {
        let about = match frame {
            ServerFrame::Accepted { request, of, seq, .. } => {
                of.map(|of| self.conversation(link, of));
                self.answered(link, *request).map(|about| match about {
                    Subject::Message(of, id, _) => Subject::Message(of, id, Some(*seq)),
                    Subject::User(_) | Subject::Conversation(_) | Subject::Upto(..) => about,
                })
            }
            ServerFrame::Refused { request, .. } => request.and_then(|request| self.answered(link, request)),
            ServerFrame::Done { request, .. } | ServerFrame::Roster { request, .. } => self.answered(link, *request),
            ServerFrame::Deliver { of, entries } => {
                return self.conversation(link, *of).map_or_else(Vec::new, |of| delivered(of, entries));
            }
            ServerFrame::Page { request, entries, .. } => {
                let of = self.answered(link, *request).and_then(|about| about.conversation());
                return of.map_or_else(Vec::new, |of| delivered(of, entries));
            }
            ServerFrame::Receipt { of, delivered, .. } => self.conversation(link, *of).map(|of| Subject::Upto(of, *delivered)),
            ServerFrame::Typing { of, .. } => self.conversation(link, *of).map(Subject::Conversation),
            ServerFrame::Presence { user, .. } => Some(Subject::User(*user)),
            ServerFrame::Users { users, .. } => return users.iter().map(|card| Subject::User(card.user)).collect(),
            ServerFrame::Chats { chats, .. } => return chats.iter().map(|chat| Subject::Conversation(chat.conversation)).collect(),
            ServerFrame::Welcome { .. } | ServerFrame::Pong | ServerFrame::Goodbye { .. } => None,
        };
        about.into_iter().collect()
    }

    fn answered(&self, link: Name, request: RequestId) -> Option<Subject> {
        self.requests.get(&(link.code(), request)).copied()
    }
}

fn delivered(of: ConversationId, entries: &[Delivery]) -> Vec<Subject> {
    entries.iter().map(|entry| Subject::Message(of, entry.id, Some(entry.seq))).collect()
}

/// What a command is about.
fn of_command(command: &Command) -> Option<Subject> {
    match command {
        Command::InSession { command, .. } => of_command(command),
        Command::Send { conversation, id, .. } => Some(Subject::Message(*conversation, *id, None)),
        Command::Acknowledge { conversation, delivered, .. } => Some(Subject::Upto(*conversation, *delivered)),
        Command::ReadLog { conversation, .. }
        | Command::Typing { conversation, .. }
        | Command::AskRoster { conversation, .. }
        | Command::FanOut { conversation }
        | Command::BeginSum { conversation }
        | Command::Sum { conversation }
        | Command::EndSum { conversation, .. } => Some(Subject::Conversation(*conversation)),
        Command::AskDelivered { conversation, .. } | Command::Trim { conversation, .. } => Some(Subject::Conversation(*conversation)),
        Command::OpenSession { device, .. }
        | Command::EndSession { device, .. }
        | Command::RemoveDevice { device }
        | Command::ReadDirty { device, .. }
        | Command::Renew { device, .. } => Some(Subject::User(device.user)),
        Command::Watch { user, .. }
        | Command::Unwatch { user, .. }
        | Command::AskUser { user }
        | Command::SetListed { user, .. }
        | Command::ListChats { user, .. }
        | Command::SetPrivacy { user, .. }
        | Command::AskReceipts { user, .. } => Some(Subject::User(*user)),
        Command::RequestCode { .. }
        | Command::Register { .. }
        | Command::Heard { .. }
        | Command::FindUsers { .. }
        | Command::TakeWakes { .. }
        | Command::Begin { .. }
        | Command::RenewLease { .. }
        | Command::ReadLeases
        | Command::ReadFanOuts
        | Command::ReadSums
        | Command::FindUntrimmed { .. }
        | Command::Reap { .. } => None,
    }
}

/// What a record is about.
fn of_record(record: &Record) -> Option<Subject> {
    match record {
        Record::Written(outgoing) => Some(Subject::Message(outgoing.conversation, outgoing.id, None)),
        Record::Accepted { conversation, id, seq, .. } => Some(Subject::Message(*conversation, *id, Some(*seq))),
        Record::Failed { conversation, id, .. } => Some(Subject::Message(*conversation, *id, None)),
        Record::Received { conversation, delivery, .. } => Some(Subject::Message(*conversation, delivery.id, Some(delivery.seq))),
        Record::Read { conversation, upto } | Record::ReadTold { conversation, upto } => Some(Subject::Upto(*conversation, *upto)),
        Record::Receipt { conversation, delivered, .. } => Some(Subject::Upto(*conversation, *delivered)),
        Record::Token(_) | Record::Started(_) => None,
    }
}

/// The name of a variant.
pub(crate) fn kind_of(thing: &dyn fmt::Debug) -> String {
    let text = format!("{thing:?}");
    let end = text.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(text.len());
    text[..end].to_owned()
}

/// The kinds of several things, each once, in the order in which they first come.
fn kinds_of<K: PartialEq + fmt::Display>(all: impl Iterator<Item = K>) -> String {
    let mut kinds: Vec<(K, u32)> = Vec::new();
    for kind in all {
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((kind, 1)),
        }
    }
    let told = kinds.into_iter().map(|(kind, count)| if count == 1 { kind.to_string() } else { format!("{kind} ×{count}") });
    told.collect::<Vec<_>>().join(", ")
}

/// It leaves; without a journey, nobody will ever get it.
fn goes(journey: Option<Journey>, cargo: Cargo) -> Traffic {
    match journey {
        Some(journey) => Traffic::Leaves(journey, cargo),
        None => Traffic::Vanishes(cargo),
    }
}

fn bell_to(host: u32) -> Cargo {
    Cargo { from: End::Store, to: End::Gateway(host), what: "Bell".into(), about: Vec::new() }
}

impl World<'_> {
    fn tell(&mut self, traffic: impl FnOnce(&mut Closely) -> Traffic) {
        if let Some(recorder) = &mut self.recorder {
            rarely(|| recorder.tell_traffic(traffic));
        }
    }

    pub(crate) fn arrives(&mut self, journey: Journey) {
        self.tell(|_| Traffic::Arrives(journey));
    }

    pub(crate) fn lost(&mut self, journey: Journey) {
        self.tell(|_| Traffic::Lost(journey));
    }

    pub(crate) fn composed(&mut self, device: u32, conversation: ConversationId, id: MessageId) {
        self.tell(|_| Traffic::Composed(device, Subject::Message(conversation, id, None)));
    }

    /// Something leaves that is about nothing.
    pub(crate) fn leaves(&mut self, journey: Journey, from: End, to: End, what: impl FnOnce() -> String) {
        self.tell(|_| Traffic::Leaves(journey, Cargo { from, to, what: what(), about: Vec::new() }));
    }

    /// A device tries to connect to a gateway, if there is one; without the name of a connection, nobody will hear of it.
    pub(crate) fn dial_leaves(&mut self, device: u32, host: Option<u32>, link: Option<Name>) {
        if let Some(host) = host {
            let (from, to) = (End::Device(device), End::Gateway(host));
            let journey = link.map(|link| Journey::Dial(device, link.code()));
            self.tell(|_| goes(journey, Cargo { from, to, what: "Connect".into(), about: Vec::new() }));
        }
    }

    /// A device's frame leaves; without a number it is lost at once.
    pub(crate) fn frame_leaves(&mut self, link: Name, device: u32, host: u32, number: Option<u64>, frame: &ClientFrame) {
        self.tell(|closely| {
            let about = closely.names.of_client(link, frame);
            let cargo = Cargo { from: End::Device(device), to: End::Gateway(host), what: kind_of(frame), about };
            goes(number.map(|number| Journey::Frame(device, number)), cargo)
        });
    }

    /// A gateway's frame, or the close of the connection, leaves; without a number it is lost at once.
    pub(crate) fn reply_leaves(&mut self, link: Name, device: u32, host: u32, number: Option<u64>, frame: Option<&ServerFrame>) {
        self.tell(|closely| {
            let about = frame.map_or_else(Vec::new, |frame| closely.names.of_server(link, frame));
            let what = frame.map_or_else(|| "Close".into(), |frame| kind_of(frame));
            let cargo = Cargo { from: End::Gateway(host), to: End::Device(device), what, about };
            goes(number.map(|number| Journey::Frame(device, number)), cargo)
        });
    }

    /// A transaction leaves for the store.
    pub(crate) fn transaction_leaves(&mut self, from: End, number: u64, commands: &[Command]) {
        self.tell(|_| {
            let what = kinds_of(commands.iter().map(Command::name));
            let about = commands.iter().filter_map(of_command).collect();
            Traffic::Leaves(Journey::Transaction(from, number), Cargo { from, to: End::Store, what, about })
        });
    }

    /// A bell leaves, which is due at some time.
    pub(crate) fn bell_leaves(&mut self, host: u32, number: u64, due: u64) {
        self.tell(|closely| {
            let journey = Journey::Bell(host, number);
            closely.names.bells.entry((host, due)).or_default().push(journey);
            Traffic::Leaves(journey, bell_to(host))
        });
    }

    pub(crate) fn bell_vanishes(&mut self, host: u32) {
        self.tell(|_| Traffic::Vanishes(bell_to(host)));
    }

    /// A bell rings that was due at some time; those that nobody has rung have not left.
    pub(crate) fn bell_arrives(&mut self, host: u32, due: u64) {
        let bells = self.recorder.as_mut().and_then(|recorder| recorder.names()?.bells.get_mut(&(host, due)));
        if let Some(journey) = bells.and_then(Vec::pop) {
            self.arrives(journey);
        }
    }

    /// A sync begins.
    pub(crate) fn sync_leaves(&mut self, device: u32, run: u32, number: u64) {
        let Some(recorder) = self.recorder.as_mut() else { return };
        let records = || self.devices[device as usize].syncing();
        recorder.tell_traffic(|_| {
            let what = kinds_of(records().map(|record| kind_of(record)));
            let about = records().filter_map(of_record).collect();
            let end = End::Device(device);
            Traffic::Leaves(Journey::Sync(device, run, number), Cargo { from: end, to: end, what, about })
        });
    }
}
