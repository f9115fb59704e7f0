//! What goes into a client machine and what comes out of it.

use crate::content::Content;
use crate::frame::{Chat, ClientFrame, CloseReason, Delivery, Presence, Privacy, RosterEntry, ServerFrame, UserCard, UserList};
use crate::id::{ConversationId, DeviceId, MessageId, Phone, Secret, Seq, UserId};
use crate::reject::Reject;
use crate::time::{Millis, Timestamp};
use alloc::string::String;
use alloc::vec::Vec;

/// What a device has stored, as the machine needs it to go on.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Which device it is.
    pub device: DeviceId,
    /// The secret of its token.
    pub secret: Secret,
    /// How often the program has started before; see [`Record::Started`].
    pub starts: u32,
    /// Messages that the server has not accepted, in the order in which they were written.
    pub outbox: Vec<Outgoing>,
    /// Every conversation that it knows.
    pub chats: Vec<StoredChat>,
}

/// A conversation as the device has stored it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredChat {
    /// Which one.
    pub conversation: ConversationId,
    /// The device has everything up to here; `None` if it knows no position of it.
    pub cursor: Option<Seq>,
    /// The last position at which a message of this user's own stands.
    pub own_last: Seq,
    /// The user was shown everything up to here.
    pub read: Seq,
    /// The server is known to have heard of that up to here.
    pub read_told: Seq,
    /// The other side's watermark.
    pub peer_delivered: Seq,
    /// The other side's watermark.
    pub peer_read: Seq,
}

/// A message that was written on this device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub conversation: ConversationId,
    /// Its name.
    pub id: MessageId,
    /// What it carries.
    pub content: Content,
}

/// Numbers the records of a machine: everything up to one is stored when it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SaveId(pub u64);

/// Names a question of the application's, so that it recognises the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(pub u64);

/// Something to be stored, each in full or not at all, in the order in which they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A message was written. It stands in the outbox from now on.
    Written(Outgoing),
    /// A message has left the outbox: the server has it, at this position.
    Accepted {
        /// In which conversation.
        conversation: ConversationId,
        /// Which message.
        id: MessageId,
        /// Its position.
        seq: Seq,
        /// The server's time.
        at: Timestamp,
        /// Whether the device has everything up to that position with it.
        next: bool,
    },
    /// A message has left the outbox: the server will never take it.
    Failed {
        /// In which conversation.
        conversation: ConversationId,
        /// Which message.
        id: MessageId,
        /// Why.
        reject: Reject,
    },
    /// An entry came. To be shown unless a message of this id by this sender is there already, whatever its position says. The device has
    /// everything up to its position from now on. Where it is the user's own, [`StoredChat::own_last`] is at least its position.
    Received {
        /// In which conversation.
        conversation: ConversationId,
        /// What came.
        delivery: Delivery,
        /// The position is not beyond the cursor: the entry was there before, or else the server's log is another one.
        again: bool,
    },
    /// The user was shown everything up to here.
    Read {
        /// In which conversation.
        conversation: ConversationId,
        /// Up to where.
        upto: Seq,
    },
    /// The server has heard that the user was shown everything up to here.
    ReadTold {
        /// In which conversation.
        conversation: ConversationId,
        /// Up to where.
        upto: Seq,
    },
    /// The other side has got so far.
    Receipt {
        /// In which conversation.
        conversation: ConversationId,
        /// Their devices have everything up to here.
        delivered: Seq,
        /// They were shown everything up to here.
        read: Seq,
    },
    /// The device proves itself by this secret from now on.
    Token(Secret),
    /// The program has started so often. The first record of every run: nothing is sent before it is stored, so that the server can tell a
    /// later run from an earlier one whose greeting is late.
    Started(u32),
}

/// Something that the application wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Which phone numbers have accounts. Answer: [`Answer::Users`].
    FindUsers(Vec<Phone>),
    /// Who is behind an id. Answer: [`Answer::Users`].
    User(UserId),
    /// A page of a group's members. Answer: [`Answer::Roster`].
    Roster(ConversationId, Option<UserId>),
    /// A page of the user's conversations. Answer: [`Answer::Chats`].
    Chats(Option<ConversationId>),
    /// Entries after a position. Answer: [`Answer::Page`].
    History(ConversationId, Seq),
    /// A change of one of the user's lists. Answer: [`Answer::Done`].
    SetListed(UserList, UserId, bool),
    /// Who may see the user's presence. Answer: [`Answer::Done`].
    SetPrivacy(Privacy),
    /// The end of one of the user's devices. Answer: [`Answer::Done`].
    RemoveDevice(u16),
}

/// The answer to an [`Ask`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was carried out.
    Done,
    /// Those that have accounts.
    Users(Vec<UserCard>),
    /// A page of a group's members.
    Roster {
        /// What the group is called.
        name: String,
        /// Its roster epoch.
        epoch: u64,
        /// In the order of user ids.
        members: Vec<RosterEntry>,
        /// Whether there are more.
        more: bool,
    },
    /// A page of conversations, and whether there are more.
    Chats(Vec<Chat>, bool),
    /// Entries, and the last position of the conversation.
    Page(Vec<Delivery>, Seq),
    /// It changed nothing.
    Refused(Reject),
    /// The connection ended before the answer came: ask again.
    Lost,
}

/// Something happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The connection that [`Output::Connect`] asked for is there.
    Connected {
        /// Thirty-two random bytes, for a new token if one is due.
        fresh: Secret,
    },
    /// The connection is gone, or could not be made.
    Disconnected {
        /// The WebSocket close code, if the server gave one of ours.
        reason: Option<CloseReason>,
    },
    /// The connection could not be made, because the server takes none for the moment.
    TurnedAway {
        /// When to come back, by the server's word.
        retry_after: Millis,
    },
    /// A frame came.
    Frame(ServerFrame),
    /// Everything up to a record is stored, so that a crash cannot undo it.
    Saved {
        /// The last of them.
        upto: SaveId,
        /// Those records among them that said [`Record::Received`] `again` and were not there before.
        new_after_all: Vec<SaveId>,
    },
    /// The user has written a message.
    Compose(Outgoing),
    /// The user was shown a conversation up to a position.
    Show {
        /// Which one.
        conversation: ConversationId,
        /// Up to where.
        upto: Seq,
    },
    /// The user is typing, or has stopped.
    Typing {
        /// In which conversation.
        conversation: ConversationId,
        /// Whether they are typing.
        active: bool,
    },
    /// The application wants to be told of a user's presence, until it wants that no more.
    Watch {
        /// Whose.
        user: UserId,
        /// From now on, or no more.
        active: bool,
    },
    /// The application wants something. Answered by [`Notice::Answered`].
    Ask(Tag, Ask),
    /// Connect at once, without waiting for the back-off: the network is back, or the user is impatient.
    Hurry,
}

/// Something to be done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Make a connection.
    Connect,
    /// Drop the connection. No [`Input::Disconnected`] is expected for it.
    Disconnect,
    /// Send a frame.
    Frame(ClientFrame),
    /// Store a record, and say so with [`Input::Saved`].
    Save(SaveId, Record),
    /// Tell the application.
    Notice(Notice),
}

/// Something that the application may want to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The session is open, or is not.
    Online(bool),
    /// The machine has stopped for good: the device must be registered again, or another client has taken its place.
    Stopped(CloseReason),
    /// The next try to connect is after this.
    Waiting(Millis),
    /// Sending is held up for the moment.
    HeldUp(Reject),
    /// The other side is typing, or has stopped.
    Typing {
        /// In which conversation.
        conversation: ConversationId,
        /// In a group, who.
        by: Option<UserId>,
        /// Whether they are typing.
        active: bool,
    },
    /// What is to be seen of a watched user.
    Presence {
        /// Whose.
        user: UserId,
        /// What there is to be seen.
        presence: Presence,
    },
    /// The answer to [`Input::Ask`].
    Answered(Tag, Answer),
    /// A request without a number was refused.
    Refused(Reject),
}
