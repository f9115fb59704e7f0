//! The connection: made again and again, kept alive, and given up when the server is silent.

use super::line::Line;
use super::{Answer, Client, Handles, Notice, Output, Pending, Record, SaveId};
use crate::draw::Purpose;
use crate::frame::{ClientFrame, CloseReason, RequestId};
use crate::id::{ConversationId, Secret};
use crate::limits;
use crate::time::{Millis, Timestamp};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// Where the connection stands.
#[derive(Clone, Debug)]
pub(super) enum Link {
    /// There is none; the next try is due.
    Down,
    /// It is being made.
    Connecting,
    /// It is there, and the greeting was sent.
    Greeting(Greeting),
    /// The session is open.
    Open(Box<Session>),
    /// There will be none.
    Stopped,
}

#[derive(Clone, Debug)]
pub(super) struct Greeting {
    pub(super) since: Timestamp,
    /// The server said when to come again.
    retry_after: Option<Millis>,
    fresh: Secret,
}

/// What belongs to one open session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    since: Timestamp,
    /// When the server was last heard.
    pub(super) heard: Timestamp,
    /// When a frame was last sent.
    said: Timestamp,
    /// A ping that was not answered by anything.
    pinged: Option<Timestamp>,
    retry_after: Option<Millis>,
    fresh: Option<Secret>,
    pub(super) handles: Handles,
    pub(super) requests: u32,
    pub(super) pending: BTreeMap<RequestId, Pending>,
    /// Messages that may be on their way at a time.
    pub(super) window: u32,
    /// See [`crate::reject::Reject::Superseded`].
    pub(super) attempt: u32,
    /// Nothing is sent before that.
    pub(super) held_until: Timestamp,
    token_expires: Timestamp,
    /// Whether a new token is being asked for.
    pub(super) renewing: bool,
    pub(super) line: Line,
    /// Conversations whose receipts are to be asked for.
    unasked: BTreeSet<ConversationId>,
}

/// The first delay, and the longest.
const RETRY_FIRST: Millis = Millis(500);
const RETRY_LONGEST: Millis = Millis::seconds(60);
/// The longest that a server can keep a client away: longer than any server asks for.
const LONGEST_TOLD: Millis = Millis::seconds(600);
/// A session that lasted this long was a good one.
const GOOD_SESSION: Millis = Millis::seconds(10);
/// How long the server may take to be heard after a ping, and to answer the greeting.
const PATIENCE: Millis = Millis::seconds(20);
/// A token is renewed when it has less than this left.
const RENEW_BEFORE: Millis = Millis::days(7);
/// How often a further question for receipts is asked.
const ASK_EVERY: Millis = Millis::seconds(1);
impl Client {
    pub(super) fn connect(&mut self) {
        self.link = Link::Connecting;
        self.due = None;
        self.outputs.push_back(Output::Connect);
    }

    pub(super) fn hurry(&mut self) {
        if matches!(self.link, Link::Down) && self.knows_itself() {
            self.connect();
        }
    }

    pub(super) fn connected(&mut self, fresh: Secret) {
        if !matches!(self.link, Link::Connecting) {
            return;
        }
        self.link = Link::Greeting(Greeting { since: self.now, retry_after: None, fresh });
        self.due = Some(self.now + PATIENCE);
        let hello = ClientFrame::Hello { device: self.device, secret: self.secret, run: self.run };
        self.outputs.push_back(Output::Frame(hello));
    }

    pub(super) fn welcomed(&mut self, token_expires: Timestamp, window: u32) {
        let Link::Greeting(greeting) = &self.link else { return };
        let session = Session {
            since: self.now,
            heard: self.now,
            said: self.now,
            pinged: None,
            retry_after: None,
            fresh: Some(greeting.fresh),
            handles: Handles::default(),
            requests: 0,
            pending: BTreeMap::new(),
            window,
            attempt: 0,
            held_until: Timestamp::default(),
            token_expires,
            renewing: false,
            line: Line::default(),
            unasked: BTreeSet::new(),
        };
        self.link = Link::Open(Box::new(session));
        self.notice(Notice::Online(true));
        self.renew_in_time();
        self.say_all();
        self.arm();
    }

    /// Says and asks what the server must hear of in every session. Not while a token is being exchanged: with one that has run out all of it
    /// would be refused.
    pub(super) fn say_all(&mut self) {
        let Link::Open(session) = &mut self.link else { return };
        if session.renewing {
            return;
        }
        let behind = self.chats.values().filter(|chat| chat.stored.own_last > chat.stored.peer_read).map(|chat| chat.stored.conversation);
        session.unasked.extend(behind.filter(|_| !planted!(TicksNotAskedFor)));
        for user in self.watches.clone() {
            self.ask_in_turn(ClientFrame::Watch { user });
        }
        self.tell_again();
        self.ask_receipts();
    }

    /// Notes what the server says before it closes the connection.
    pub(super) fn dismissed(&mut self, reason: CloseReason, retry_after: Millis) {
        match &mut self.link {
            Link::Greeting(greeting) => greeting.retry_after = Some(retry_after),
            Link::Open(session) => session.retry_after = Some(retry_after),
            Link::Down | Link::Connecting | Link::Stopped => return,
        }
        self.outputs.push_back(Output::Disconnect);
        self.disconnected(Some(reason));
    }

    pub(super) fn disconnected(&mut self, reason: Option<CloseReason>) {
        let told = match core::mem::replace(&mut self.link, Link::Down) {
            Link::Stopped => {
                self.link = Link::Stopped;
                return;
            }
            Link::Down => return,
            Link::Connecting => None,
            Link::Greeting(greeting) => greeting.retry_after,
            Link::Open(session) => {
                if self.now >= session.since + GOOD_SESSION {
                    self.failures = 0;
                }
                let retry_after = session.retry_after;
                self.session_ended(*session);
                retry_after
            }
        };
        if let Some(reason) = reason.filter(|reason| reason.is_final()) {
            self.link = Link::Stopped;
            self.due = None;
            return self.notice(Notice::Stopped(reason));
        }
        self.wait(told.unwrap_or_default());
    }

    /// The server takes nobody for the moment.
    pub(super) fn turned_away(&mut self, retry_after: Millis) {
        if matches!(self.link, Link::Connecting) {
            self.link = Link::Down;
            self.wait(retry_after);
        }
    }

    /// Waits for what the server has told, and then a while of its own choice.
    fn wait(&mut self, told: Millis) {
        self.failures = self.failures.saturating_add(1);
        let wait = told.min(LONGEST_TOLD).0 + self.back_off().0;
        self.due = Some(self.now + Millis(wait));
        self.notice(Notice::Waiting(Millis(wait)));
    }

    fn session_ended(&mut self, session: Session) {
        self.notice(Notice::Online(false));
        self.unsend();
        for (_, pending) in session.pending {
            if let Pending::Ask(tag) = pending {
                self.notice(Notice::Answered(tag, Answer::Lost));
            }
        }
        for chat in self.chats.values_mut() {
            (chat.fetching, chat.telling) = (false, None);
        }
    }

    /// Half of a growing length, and at random up to as much again.
    fn back_off(&self) -> Millis {
        let doublings = self.failures.saturating_sub(1).min(16);
        let length = Millis((RETRY_FIRST.0 << doublings).min(RETRY_LONGEST.0));
        let half = Millis(length.0 / 2);
        Millis(half.0 + self.draws.below(Purpose::Reconnect, u64::from(self.failures), Millis(half.0 + 1)).0)
    }

    pub(super) fn expired(&mut self) {
        self.due = None;
        match &self.link {
            // Else it connects once what it waits for is stored.
            Link::Down if self.knows_itself() => self.connect(),
            Link::Greeting(_) => self.give_up(),
            Link::Open(session) => {
                let silent = session.pinged.is_some_and(|pinged| session.heard < pinged && self.now >= pinged + PATIENCE);
                mark!(ServerIsSilent if silent);
                if silent && !planted!(SilenceIsTrusted) {
                    return self.give_up();
                }
                let silent = session.said.min(session.heard) + limits::HEARTBEAT;
                if self.now >= silent && session.pinged.is_none_or(|pinged| pinged <= session.heard) {
                    self.tell_own();
                    self.send(ClientFrame::Ping);
                    let now = self.now;
                    if let Link::Open(session) = &mut self.link {
                        session.pinged = Some(now);
                    }
                }
                self.ask_receipts();
                self.renew_in_time();
                self.arm();
            }
            Link::Down | Link::Connecting | Link::Stopped => {}
        }
    }

    /// Whether the number of this run, and the last token that the server gave out, are stored. Another session before that could exchange the
    /// token again, and what the disk then holds would open none.
    fn knows_itself(&self) -> bool {
        self.starting.is_none() && self.newer.is_none()
    }

    /// The server is silent: whatever this connection still brings is of no interest.
    fn give_up(&mut self) {
        self.outputs.push_back(Output::Disconnect);
        self.disconnected(None);
    }

    /// Sets the timer of an open session.
    pub(super) fn arm(&mut self) {
        let Link::Open(session) = &self.link else { return };
        let waits_for_answer = session.pinged.filter(|pinged| session.heard < *pinged);
        let mut due = match waits_for_answer {
            Some(pinged) => pinged + PATIENCE,
            None => session.said.min(session.heard) + limits::HEARTBEAT,
        };
        if session.held_until > self.now {
            due = due.min(session.held_until);
        }
        if !session.unasked.is_empty() {
            due = due.min(self.now + ASK_EVERY);
        }
        self.due = Some(due);
    }

    pub(super) fn send(&mut self, frame: ClientFrame) {
        if let Link::Open(session) = &mut self.link {
            session.said = self.now;
            self.outputs.push_back(Output::Frame(frame));
        }
    }

    fn ask_receipts(&mut self) {
        let Link::Open(session) = &mut self.link else { return };
        if session.renewing {
            return;
        }
        let of: Vec<ConversationId> = core::iter::from_fn(|| session.unasked.pop_first()).take(limits::BATCH_ITEMS).collect();
        if !of.is_empty() {
            self.send(ClientFrame::AskReceipts { of });
        }
    }

    /// A message of the user's own has turned out to stand there since before this session, perhaps. While there was none, nobody could be
    /// told how far it has got.
    pub(super) fn ask_receipts_of(&mut self, conversation: ConversationId) {
        if let Link::Open(session) = &mut self.link
            && session.unasked.insert(conversation)
        {
            self.arm();
        }
    }

    fn renew_in_time(&mut self) {
        if let Link::Open(session) = &self.link
            && session.token_expires <= self.now + RENEW_BEFORE
            && session.fresh.is_some()
        {
            self.renew();
        }
    }

    /// Asks for a new token. Where the session's random bytes are used up, another session brings others.
    pub(super) fn renew(&mut self) {
        let Link::Open(session) = &mut self.link else { return };
        if session.renewing {
            return;
        }
        let Some(fresh) = session.fresh.take() else { return self.give_up() };
        session.renewing = true;
        if let Some(request) = self.request(Pending::Renew(fresh)) {
            self.send(ClientFrame::Renew { request, secret: fresh });
        }
    }

    /// Records up to this one are stored: the run's number may be told, and a new token be used.
    pub(super) fn self_saved(&mut self, upto: SaveId) {
        if let Some((_, secret)) = self.newer.take_if(|(save, _)| *save <= upto) {
            self.secret = secret;
        }
        self.starting.take_if(|save| *save <= upto);
        if matches!(self.link, Link::Down) && self.due.is_none() && self.knows_itself() {
            self.connect();
        }
    }

    pub(super) fn renewed(&mut self, secret: Secret, expires: Timestamp) {
        self.newer = Some((self.save(Record::Token(secret)), secret));
        if let Link::Open(session) = &mut self.link {
            session.token_expires = expires;
            session.renewing = false;
            session.held_until = Timestamp::default();
        }
        // Also what was refused because the old one had run out.
        self.say_all();
        self.arm();
    }
}
