//! What a gateway knows of one connection.

use super::dispatch::Queued;
use crate::frame::{Handle, RequestId, Target};
use crate::id::{ConversationId, DeviceId, Seq, UserId};
use crate::limits;
use crate::rate::Meter;
use crate::time::Timestamp;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

/// How far a connection has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has not said who it is.
    Greeting,
    /// The transaction that opens its session is under way.
    Opening {
        /// A wake-up for the device came meanwhile: what it was about may be missing from the transaction's answer.
        woken: bool,
    },
    /// Its session is open.
    Open,
}

/// A user whom a session watches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    pub(super) user: UserId,
    /// The number of the last question for what is to be seen of the user, while it is under way. Answers to earlier ones, also from before
    /// the user was not watched for a while, are passed over.
    pub(super) asked: Option<u64>,
    /// News came meanwhile: it is not known which is newer, they or the answer.
    pub(super) stale: bool,
    /// The taking of wake-ups that was under way when the last answer came: what it brings may be older than that.
    pub(super) during: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) phase: Phase,
    /// Whether the store may have heard of it, so that it must hear of its end.
    pub(super) begun: bool,
    /// Whose it is; says nothing while greeting.
    pub(super) device: DeviceId,
    /// When something last came from it.
    pub(super) heard: Timestamp,
    /// When the store was last told that the user was heard.
    pub(super) told: Timestamp,
    /// When the next look at this session is due. There is exactly one such timer.
    pub(super) due: Timestamp,
    /// When its dirty set is to be read again.
    pub(super) reread: Timestamp,
    pub(super) token_expires: Timestamp,
    /// Sends with a lower attempt are refused: an earlier one was refused for the moment, and none may overtake it.
    pub(super) attempt: u32,
    /// Bytes given to the connection that it has not passed on to the network. Never above the limit.
    pub(super) unflushed: u32,
    /// Sends that wait or are under way. Never above the window.
    pub(super) sends: u32,
    /// Other requests that wait or are under way.
    pub(super) requests: u32,
    /// Entries sent to it and not acknowledged: the sum over its chats.
    pub(super) owed: u32,
    /// Since when it owes an acknowledgement.
    pub(super) owed_since: Timestamp,
    /// Log pages that are being read for it.
    pub(super) reading: u32,
    /// Durable commands that wait. They are carried out in order: the next transaction starts when the one before has ended.
    pub(super) queue: VecDeque<Queued>,
    /// Conversations with an acknowledgement that waits.
    pub(super) acks: Vec<ConversationId>,
    /// Whether a durable transaction of this session is under way.
    pub(super) busy: bool,
    /// Whether it stands in the line of sessions with something to be done.
    pub(super) ready: bool,
    /// Its sending is held back until then.
    pub(super) paused: Timestamp,
    pub(super) send_meter: Meter,
    pub(super) lookup_meter: Meter,
    /// Conversations that were spoken of in this session.
    pub(super) chats: BTreeMap<ConversationId, Chat>,
    /// What each handle stands for, for the whole life of the session.
    pub(super) handles: Vec<ConversationId>,
    /// Conversations of which there is more to be read and delivered.
    pub(super) backlog: VecDeque<ConversationId>,
    /// Pages of its dirty set that are being read.
    pub(super) rereading: u32,
    /// Where to go on in the dirty set when the backlog is done.
    pub(super) more_dirty: Option<ConversationId>,
    /// There was no room to note that a conversation is behind: the dirty set is to be read from its beginning when the backlog is done.
    pub(super) missed: bool,
    /// Whom this session watches.
    pub(super) watches: Vec<Watched>,
}

/// One conversation in one session.
#[derive(Clone, Debug, Default)]
pub(super) struct Chat {
    pub(super) handle: Option<Handle>,
    /// Everything up to here was sent in this session or acknowledged before it; unknown until the log or the cursor was read.
    pub(super) sent: Option<Seq>,
    /// The conversation is known to reach at least up to here.
    pub(super) upto: Seq,
    /// The last entry that was sent in this session. Own messages that were accepted in it are not sent.
    pub(super) delivered: Seq,
    /// What the device has acknowledged, as far as this session knows.
    pub(super) acknowledged: Seq,
    /// Entries sent in this session and not acknowledged.
    pub(super) owed: u32,
    /// Whether a page of it is being read.
    pub(super) reading: bool,
    /// Whether it stands in the session's backlog.
    pub(super) queued: bool,
    /// An acknowledgement that waits.
    pub(super) ack: Option<PendingAck>,
}

/// An acknowledgement that waits for the session's next transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingAck {
    pub(super) delivered: Seq,
    pub(super) read: Seq,
    /// Under which number the device wants to hear of it.
    pub(super) request: Option<RequestId>,
}

impl PendingAck {
    /// Two acknowledgements of one conversation as one.
    pub(super) fn merge(self, later: Self) -> Self {
        if planted!(LaterAcknowledgementWins if later.read < self.read) {
            return later;
        }
        Self { delivered: self.delivered.max(later.delivered), read: self.read.max(later.read), request: later.request.or(self.request) }
    }
}

impl Session {
    pub(super) fn new(now: Timestamp, due: Timestamp) -> Self {
        Self {
            phase: Phase::Greeting,
            begun: false,
            device: DeviceId { user: UserId(0), serial: 0 },
            heard: now,
            told: Timestamp::default(),
            due,
            reread: now,
            token_expires: Timestamp::default(),
            attempt: 0,
            unflushed: 0,
            sends: 0,
            requests: 0,
            owed: 0,
            owed_since: now,
            reading: 0,
            queue: VecDeque::new(),
            acks: Vec::new(),
            busy: false,
            ready: false,
            paused: Timestamp::default(),
            send_meter: Meter::default(),
            lookup_meter: Meter::default(),
            chats: BTreeMap::new(),
            handles: Vec::new(),
            backlog: VecDeque::new(),
            rereading: 0,
            more_dirty: None,
            missed: false,
            watches: Vec::new(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// The conversation that a client's frame names; `None` for a handle that was never given out.
    pub(super) fn resolve(&self, target: Target) -> Option<ConversationId> {
        match target {
            Target::Handle(Handle(handle)) => self.handles.get(handle as usize).copied(),
            Target::Id(conversation) | Target::Bind(_, conversation) => Some(conversation),
        }
    }

    /// How to name a conversation to the client. Binds a handle on the first occasion, while there are handles left.
    pub(super) fn name(&mut self, conversation: ConversationId) -> Target {
        if let Some(handle) = self.chats.get(&conversation).and_then(|chat| chat.handle) {
            return Target::Handle(handle);
        }
        if self.handles.len() >= limits::HANDLES_PER_SESSION {
            return Target::Id(conversation);
        }
        let handle = Handle(self.handles.len() as u32);
        self.chats.entry(conversation).or_default().handle = Some(handle);
        self.handles.push(conversation);
        Target::Bind(handle, conversation)
    }

    /// What is known of a conversation that is ahead of the device. Where there is no room for another, its mark in the dirty set has to wait.
    pub(super) fn chat(&mut self, conversation: ConversationId) -> Option<&mut Chat> {
        if self.chats.len() >= limits::CHATS_PER_SESSION && !self.chats.contains_key(&conversation) {
            self.missed = true;
            return None;
        }
        Some(self.chats.entry(conversation).or_default())
    }

    /// Forgets what a conversation without a handle was about, once nothing is left to be done for it.
    pub(super) fn forget_if_idle(&mut self, conversation: ConversationId) {
        if let Some(chat) = self.chats.get(&conversation)
            && chat.is_idle()
        {
            self.chats.remove(&conversation);
        }
    }

    /// Panics if what stands here contradicts itself: that would be a bug of the gateway's.
    pub(super) fn check(&self) {
        assert_eq!(self.owed, self.chats.values().map(|chat| chat.owed).sum::<u32>(), "owed is the sum over the chats");
        let queued = self.chats.values().filter(|chat| chat.queued).count();
        assert_eq!(queued, self.backlog.len(), "the backlog lists exactly the queued chats");
        let reading = self.chats.values().filter(|chat| chat.reading).count();
        assert_eq!(reading, self.reading as usize, "pages under way");
        for (place, conversation) in self.handles.iter().enumerate() {
            assert_eq!(self.chats[conversation].handle, Some(Handle(place as u32)), "a handle stands for one conversation");
        }
        for conversation in &self.acks {
            assert!(self.chats[conversation].ack.is_some(), "an acknowledgement that waits says what it acknowledges");
        }
    }
}

impl Chat {
    /// Whether the log has more for the device than was sent.
    pub(super) fn is_behind(&self) -> bool {
        self.sent.unwrap_or(Seq::START) < self.upto
    }

    fn is_idle(&self) -> bool {
        self.handle.is_none() && !self.is_behind() && self.owed == 0 && !self.reading && !self.queued && self.ack.is_none()
    }
}
