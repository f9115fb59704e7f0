//! Frames from devices.

use super::dispatch::{Lane, Origin, Queued};
use super::session::{PendingAck, Phase, Session, Watched};
use super::{ConnId, Gateway, Output};
use crate::command::Command;
use crate::content::Content;
use crate::frame::{ClientFrame, CloseReason, RequestId, ServerFrame, Target};
use crate::id::{ConversationId, DeviceId, GatewayId, MessageId, Secret, SessionEpoch, UserId};
use crate::limits;
use crate::reject::Reject;
use crate::time::Millis;
use alloc::boxed::Box;
use alloc::collections::VecDeque;

impl Gateway {
    pub(super) fn received(&mut self, conn: ConnId, frame: ClientFrame) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.heard = now;
        let greeting = session.phase == Phase::Greeting;
        if let ClientFrame::Hello { device, secret, run } = frame {
            if greeting { self.greeted(conn, device, secret, run) } else { self.close(conn, CloseReason::Protocol) }
        } else if session.is_open() {
            self.received_open(conn, frame);
        } else {
            self.close(conn, CloseReason::Protocol);
        }
    }

    fn greeted(&mut self, conn: ConnId, device: DeviceId, secret: Secret, run: u64) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.phase = Phase::Opening { woken: false };
        session.device = device;
        self.opening.insert((device, conn));
        let open = Command::OpenSession { device, secret: secret.digest(), gateway: self.id, epoch: SessionEpoch(conn.0), run };
        self.enqueue(Lane::Session, Origin::Open(conn), open);
    }

    /// A frame of an open session. All but the renewal of the token need a token that has not run out.
    fn received_open(&mut self, conn: ConnId, frame: ClientFrame) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let device = session.device;
        if session.token_expires <= self.now && !matches!(frame, ClientFrame::Renew { .. } | ClientFrame::Ping) {
            return self.refuse_expired(conn, &frame);
        }
        match frame {
            ClientFrame::Hello { .. } => unreachable!("a greeting is no frame of an open session"),
            ClientFrame::Ping => self.tell(conn, ServerFrame::Pong),
            ClientFrame::Renew { request, secret } => {
                self.request_in_order(conn, request, Command::Renew { device, secret: secret.digest() });
            }
            ClientFrame::Send { request, attempt, to, id, content, roster } => self.sent(conn, request, attempt, to, (id, content, roster)),
            ClientFrame::Ack { request, of, delivered, read } => self.acknowledged(conn, of, PendingAck { delivered, read, request }),
            ClientFrame::Fetch { request, of, after } => {
                if let Some(conversation) = self.resolve(conn, Some(request), of) {
                    let command = Command::ReadLog { device, conversation, after: Some(after) };
                    self.request(conn, request, Lane::Read, command);
                }
            }
            ClientFrame::AskReceipts { of } => {
                let ask = Command::AskReceipts { user: device.user, conversations: of };
                self.enqueue_request(conn, Lane::Read, Origin::Receipts(conn), ask);
            }
            ClientFrame::Typing { to, active } => {
                if let Some(conversation) = self.resolve(conn, None, to) {
                    let typing = Command::Typing { from: device, conversation, active };
                    self.enqueue_request(conn, Lane::Read, Origin::Quiet(conn), typing);
                }
            }
            ClientFrame::Watch { user } => self.watch(conn, user),
            ClientFrame::Unwatch { user } => {
                // Not counted as a request: there is no more than one for each watch, and those are.
                let before = session.watches.len();
                session.watches.retain(|watched| watched.user != user);
                if session.watches.len() < before {
                    self.unwatch(device, user);
                }
            }
            ClientFrame::FindUsers { request, phones } => self.look_up(conn, request, Command::FindUsers { phones }),
            ClientFrame::AskUser { request, user } => self.look_up(conn, request, Command::AskUser { user }),
            ClientFrame::AskRoster { request, of, after } => {
                if let Some(conversation) = self.resolve(conn, Some(request), of) {
                    self.request(conn, request, Lane::Read, Command::AskRoster { user: device.user, conversation, after });
                }
            }
            ClientFrame::ListChats { request, after } => {
                self.request(conn, request, Lane::Read, Command::ListChats { user: device.user, after });
            }
            ClientFrame::SetListed { request, list, user, listed } => {
                self.request_in_order(conn, request, Command::SetListed { owner: device.user, list, user, listed });
            }
            ClientFrame::SetPrivacy { request, privacy } => {
                self.request_in_order(conn, request, Command::SetPrivacy { user: device.user, privacy });
            }
            ClientFrame::RemoveDevice { request, serial } => {
                let device = DeviceId { user: device.user, serial };
                self.request_in_order(conn, request, Command::RemoveDevice { device });
            }
        }
    }

    fn sent(&mut self, conn: ConnId, request: RequestId, attempt: u32, to: Target, (id, content, roster): (MessageId, Content, u64)) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        mark!(OlderAttemptIsRefused if attempt < session.attempt);
        if attempt < session.attempt && !planted!(OlderAttemptAdmitted) {
            return self.tell(conn, ServerFrame::Refused { request: Some(request), reject: Reject::Superseded });
        }
        if session.sends >= self.config.window {
            return self.close(conn, CloseReason::Flood);
        }
        let Some(conversation) = self.resolve(conn, Some(request), to) else { return };
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.sends += 1;
        let idle = |session: &Session| {
            session.chats.get(&conversation).filter(|chat| session.sends == 1 && chat.sent == Some(chat.upto)).map(|chat| chat.upto)
        };
        if planted!(AcceptedBeforeCommit if idle(session).is_some()) {
            let seq = idle(session).unwrap_or_default().next();
            self.outputs.push_back(Output::Frame(conn, ServerFrame::Accepted { request, of: None, seq, at: self.now }));
        }
        let command = Command::Send { from: session.device, conversation, id, content, roster };
        let command = in_session(self.id, conn, session.device, command);
        session.queue.push_back(Queued { origin: Origin::Send(conn, request, attempt, conversation), command });
        // Too fast: the session is held back and not refused, so that nothing overtakes anything.
        match session.send_meter.count(self.config.send_rate, self.now) {
            Millis(0) => self.make_ready(conn),
            wait => {
                mark!(SenderIsSlowedDown);
                self.pause(conn, self.now + wait);
            }
        }
    }

    fn acknowledged(&mut self, conn: ConnId, of: Target, ack: PendingAck) {
        let Some(conversation) = self.resolve(conn, ack.request, of) else { return };
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let now = self.now;
        if let Some(chat) = session.chats.get_mut(&conversation) {
            chat.acknowledged = chat.acknowledged.max(ack.delivered);
            let left = chat.delivered.0.saturating_sub(ack.delivered.0);
            let owed = chat.owed.min(u32::try_from(left).unwrap_or(u32::MAX));
            if owed < chat.owed && !planted!(DeliveriesNotGivenBack) {
                session.owed -= chat.owed - owed;
                chat.owed = owed;
                session.owed_since = now;
            }
        }
        self.acknowledge_later(conn, conversation, ack);
        self.pump(conn);
    }

    /// Notes an acknowledgement for the session's next transaction. Several of one conversation become one.
    pub(super) fn acknowledge_later(&mut self, conn: ConnId, conversation: ConversationId, ack: PendingAck) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        if session.acks.len() >= limits::HANDLES_PER_SESSION {
            return self.close(conn, CloseReason::Flood);
        }
        let chat = session.chats.entry(conversation).or_default();
        match &mut chat.ack {
            Some(waiting) => *waiting = waiting.merge(ack),
            None => {
                chat.ack = Some(ack);
                session.acks.push(conversation);
            }
        }
        self.make_ready(conn);
    }

    fn watch(&mut self, conn: ConnId, user: UserId) {
        self.questions += 1;
        let number = self.questions;
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let device = session.device;
        let watching = session.watches.len();
        if let Some(watched) = session.watches.iter_mut().find(|watched| watched.user == user) {
            watched.asked = Some(number);
        } else if watching < limits::WATCHES_PER_SESSION {
            session.watches.push(Watched { user, asked: Some(number), stale: false, during: None });
        } else {
            return self.tell(conn, ServerFrame::Refused { request: None, reject: Reject::ListFull });
        }
        let watch = Command::Watch { device, gateway: self.id, user };
        self.enqueue_request(conn, Lane::Session, Origin::Watch(conn, user, number), watch);
    }

    /// Takes a device off the list of a user's watchers, unless another session of the device's here watches that user too.
    pub(super) fn unwatch(&mut self, device: DeviceId, user: UserId) {
        let watches = |session: &Session| session.watches.iter().any(|watched| watched.user == user);
        let other = self.open.get(&device).and_then(|conn| self.sessions.get(conn));
        if !other.is_some_and(watches) || planted!(WatchOfNewerSessionEnded) {
            self.enqueue(Lane::Session, Origin::Nobody, Command::Unwatch { device, gateway: self.id, user });
        }
    }

    fn look_up(&mut self, conn: ConnId, request: RequestId, command: Command) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        match session.lookup_meter.admit(self.config.lookup_rate, self.now) {
            Ok(()) => self.request(conn, request, Lane::Read, command),
            Err(retry_after) => {
                let reject = Reject::TooMany { retry_after };
                self.tell(conn, ServerFrame::Refused { request: Some(request), reject });
            }
        }
    }

    fn request(&mut self, conn: ConnId, request: RequestId, lane: Lane, command: Command) {
        self.enqueue_request(conn, lane, Origin::Request(conn, request), command);
    }

    fn enqueue_request(&mut self, conn: ConnId, lane: Lane, origin: Origin, command: Command) {
        if self.count_request(conn) {
            self.enqueue(lane, origin, command);
        }
    }

    /// A request that takes its turn among the session's messages.
    fn request_in_order(&mut self, conn: ConnId, request: RequestId, command: Command) {
        if self.count_request(conn)
            && let Some(session) = self.sessions.get_mut(&conn)
        {
            let command = in_session(self.id, conn, session.device, command);
            session.queue.push_back(Queued { origin: Origin::Request(conn, request), command });
            self.make_ready(conn);
        }
    }

    fn count_request(&mut self, conn: ConnId) -> bool {
        let Some(session) = self.sessions.get_mut(&conn) else { return false };
        if session.requests >= self.config.requests {
            self.close(conn, CloseReason::Flood);
            return false;
        }
        session.requests += 1;
        true
    }

    /// The conversation that a frame names, if the session's user takes part in it; else the frame is refused.
    fn resolve(&mut self, conn: ConnId, request: Option<RequestId>, target: Target) -> Option<ConversationId> {
        let session = self.sessions.get(&conn)?;
        let reject = match session.resolve(target) {
            None => Reject::UnknownHandle,
            Some(conversation) if !conversation.may_include(session.device.user) => Reject::NotMember,
            Some(conversation) => return Some(conversation),
        };
        self.tell(conn, ServerFrame::Refused { request, reject });
        None
    }

    fn refuse_expired(&mut self, conn: ConnId, frame: &ClientFrame) {
        let request = match frame {
            ClientFrame::Send { request, attempt, .. } => {
                self.raise_attempt(conn, *attempt);
                Some(*request)
            }
            ClientFrame::Fetch { request, .. }
            | ClientFrame::FindUsers { request, .. }
            | ClientFrame::AskUser { request, .. }
            | ClientFrame::AskRoster { request, .. }
            | ClientFrame::ListChats { request, .. }
            | ClientFrame::SetListed { request, .. }
            | ClientFrame::SetPrivacy { request, .. }
            | ClientFrame::RemoveDevice { request, .. } => Some(*request),
            ClientFrame::Ack { request, .. } => *request,
            ClientFrame::Hello { .. }
            | ClientFrame::AskReceipts { .. }
            | ClientFrame::Typing { .. }
            | ClientFrame::Watch { .. }
            | ClientFrame::Unwatch { .. }
            | ClientFrame::Renew { .. }
            | ClientFrame::Ping => None,
        };
        self.tell(conn, ServerFrame::Refused { request, reject: Reject::TokenExpired });
    }

    /// A message was refused for the moment: those sent after it with the same attempt are refused too, so that none overtakes it.
    pub(super) fn raise_attempt(&mut self, conn: ConnId, attempt: u32) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        if attempt < session.attempt {
            return;
        }
        session.attempt = attempt.saturating_add(1);
        let (late, kept): (VecDeque<Queued>, VecDeque<Queued>) = core::mem::take(&mut session.queue).into_iter().partition(
            |queued| matches!(queued.origin, Origin::Send(_, _, with, _) if with <= attempt && !planted!(QueueOvertakesRefused)),
        );
        session.queue = kept;
        mark!(WaitingMessagesAreRefused if !late.is_empty());
        for queued in late {
            self.replied(queued.origin, Err(Reject::Superseded));
        }
    }
}

/// A command that counts only as long as the connection is its device's session.
fn in_session(gateway: GatewayId, conn: ConnId, device: DeviceId, command: Command) -> Command {
    Command::InSession { device, gateway, epoch: SessionEpoch(conn.0), command: Box::new(command) }
}
