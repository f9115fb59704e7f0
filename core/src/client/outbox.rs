//! Messages on their way out.

use super::link::Link;
use super::{Answer, Client, Notice, Outgoing, Pending, Record, SaveId, Saving};
use crate::draw::Purpose;
use crate::frame::{ClientFrame, RequestId, Target};
use crate::id::{MessageId, Seq};
use crate::reject::Reject;
use crate::time::{Millis, Timestamp};

/// A message that the server has not accepted.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    outgoing: Outgoing,
    state: State,
    /// It may have been sent in an earlier session, and accepted there.
    again: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is not stored yet, so it must not be sent.
    Unsaved,
    /// It may be sent.
    Ready,
    /// It was sent in this session, and not answered.
    Sent,
}

impl Waiting {
    pub(super) fn stored(outgoing: Outgoing) -> Self {
        Self { outgoing, state: State::Ready, again: true }
    }

    pub(super) fn is_sent(&self) -> bool {
        self.state == State::Sent
    }
}

/// How long sending is held up when the server cannot take messages and does not say until when.
const HOLD: Millis = Millis::seconds(2);

impl Client {
    pub(super) fn compose(&mut self, outgoing: Outgoing) {
        self.chat(outgoing.conversation);
        self.outbox.push_back(Waiting { outgoing: outgoing.clone(), state: State::Unsaved, again: false });
        let id = outgoing.id;
        let save = self.save(Record::Written(outgoing));
        self.unsaved.insert(save, id);
    }

    /// Messages up to this record are stored.
    pub(super) fn outbox_saved(&mut self, upto: SaveId) {
        while let Some(entry) = self.unsaved.first_entry().filter(|entry| *entry.key() <= upto) {
            let id = entry.remove();
            if let Some(waiting) = self.outbox.iter_mut().rev().find(|waiting| waiting.outgoing.id == id) {
                waiting.state = State::Ready;
            }
        }
    }

    /// Sends what may be sent: in order, and no more than the window allows.
    pub(super) fn pump(&mut self) {
        let Link::Open(session) = &self.link else { return };
        if session.held_until > self.now || session.renewing {
            return;
        }
        let (window, attempt) = (session.window as usize, session.attempt);
        let first = self.outbox.partition_point(Waiting::is_sent);
        for place in first..window.min(self.outbox.len()) {
            let waiting = &mut self.outbox[place];
            if waiting.state != State::Ready {
                break;
            }
            waiting.state = State::Sent;
            let Outgoing { conversation, id, content } = waiting.outgoing.clone();
            let Some(to) = self.name(conversation) else { return };
            let Some(request) = self.request(Pending::Send(id, attempt)) else { return };
            let roster = self.chat(conversation).roster;
            self.send(ClientFrame::Send { request, attempt, to, id, content, roster });
        }
    }

    /// What was sent and not answered is to be sent again.
    pub(super) fn unsend(&mut self) {
        self.outbox.retain(|waiting| !planted!(SentIsForgotten if waiting.is_sent()));
        for waiting in self.outbox.iter_mut().filter(|waiting| waiting.state == State::Sent) {
            (waiting.state, waiting.again) = (State::Ready, true);
            if planted!(RetryUnderAnotherId) {
                waiting.outgoing.id.0[15] ^= 1;
            }
        }
    }

    pub(super) fn accepted(&mut self, request: RequestId, of: Option<Target>, seq: Seq, at: Timestamp) {
        if let Some(target) = of {
            self.resolve(target);
        }
        // Whatever was refused since: it stands where it stands, and the server goes on from there.
        let Some(Pending::Send(id, attempt)) = self.take_pending(request) else { return };
        mark!(AcceptedUnderEarlierAttempt if attempt < self.attempt());
        let Some(Waiting { outgoing: Outgoing { conversation, .. }, again, .. }) = self.leave_outbox(id) else { return };
        let next = self.own_position(conversation, seq);
        let save = self.save(Record::Accepted { conversation, id, seq, at, next });
        if next {
            self.saving.push_back(Saving { save, conversation, seq, own: true });
        }
        if again && !next {
            // It may have come back before, and the acknowledgement of that be lost: the server does not send again what this device says it sent.
            self.chat(conversation).own_untold = true;
        }
        if again && !planted!(TicksOfRetriesNotAskedFor) {
            self.ask_receipts_of(conversation);
        }
    }

    pub(super) fn refused(&mut self, request: Option<RequestId>, reject: Reject) {
        let pending = request.and_then(|request| self.take_pending(request));
        if request.is_none() {
            self.watch_ended(None);
        }
        match pending {
            // The message is to be sent again anyhow, or was already, because one before it was refused for the moment.
            Some(Pending::Send(_, attempt)) if attempt < self.attempt() => {}
            Some(Pending::Send(id, _)) if reject.is_for_now() => self.refused_for_now(id, reject),
            Some(Pending::Send(id, _)) => {
                if let Some(waiting) = self.leave_outbox(id) {
                    mark!(RefusedForEver);
                    self.save(Record::Failed { conversation: waiting.outgoing.conversation, id, reject });
                }
            }
            Some(Pending::Ask(tag)) => self.notice(Notice::Answered(tag, Answer::Refused(reject))),
            Some(Pending::Fetch(conversation)) => self.chat(conversation).fetching = false,
            Some(Pending::Renew(_)) => {
                if let Link::Open(session) = &mut self.link {
                    session.renewing = false;
                }
                self.notice(Notice::Refused(reject));
                self.say_all();
            }
            // Nothing of this session's was asked under that number.
            None if request.is_some() => {}
            Some(Pending::Read(..)) | None => {
                if reject == Reject::TokenExpired {
                    self.renew();
                }
                self.notice(Notice::Refused(reject));
            }
        }
    }

    /// The message, and all that were sent after it, are sent again later, in order, with a higher attempt.
    fn refused_for_now(&mut self, id: MessageId, reject: Reject) {
        let sent = self.outbox.iter().find(|waiting| waiting.outgoing.id == id && waiting.state == State::Sent);
        let conversation = sent.map(|waiting| waiting.outgoing.conversation);
        let Link::Open(session) = &mut self.link else { return };
        let Some(conversation) = conversation else { return };
        session.attempt += 1;
        mark!(RefusedForNow);
        let wait = if let Reject::TooMany { retry_after } = reject {
            retry_after
        } else if reject == Reject::Unavailable {
            Millis(HOLD.0 + self.draws.below(Purpose::Resend, u64::from(session.attempt), HOLD).0)
        } else {
            Millis(0)
        };
        session.held_until = self.now + wait;
        if let Reject::StaleRoster { epoch } = reject {
            self.chat(conversation).roster = epoch;
        }
        self.unsend();
        self.notice(Notice::HeldUp(reject));
        if reject == Reject::TokenExpired {
            self.renew();
        }
        self.arm();
    }

    /// Under which attempt messages go out: each refusal for the moment begins another.
    fn attempt(&self) -> u32 {
        if let Link::Open(session) = &self.link { session.attempt } else { 0 }
    }

    fn leave_outbox(&mut self, id: MessageId) -> Option<Waiting> {
        let place = self.outbox.iter().position(|waiting| waiting.outgoing.id == id)?;
        self.outbox.remove(place)
    }
}
