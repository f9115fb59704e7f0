//! Replies from the store, on their way to those who asked.

use super::dispatch::{Lane, Origin};
use super::session::Phase;
use super::{ConnId, Gateway};
use crate::command::{Command, Reply};
use crate::frame::{CloseReason, RequestId, ServerFrame};
use crate::id::{ConversationId, GatewayId, Seq, UserId};
use crate::limits;
use crate::reject::Reject;
use crate::rows::{self, Topic};
use crate::time::Timestamp;
use alloc::vec::Vec;

impl Gateway {
    pub(super) fn replied(&mut self, origin: Origin, reply: Result<Reply, Reject>) {
        match origin {
            Origin::Nobody => {}
            Origin::Heard => {
                self.reporting = false;
                if self.heard.len() >= self.config.batch {
                    self.report_heard();
                }
            }
            Origin::Quiet(conn) => self.request_ended(conn),
            Origin::Open(conn) => self.opened(conn, reply),
            Origin::Send(conn, request, attempt, conversation) => self.send_answered(conn, request, attempt, conversation, reply),
            Origin::Ack(conn, conversation, request) => self.ack_answered(conn, conversation, request, reply),
            Origin::Page(conn, conversation) => self.page_read(conn, conversation, reply),
            Origin::Dirty(conn) => self.dirty_answered(conn, reply),
            Origin::Receipts(conn) => self.receipts(conn, reply),
            Origin::Watch(conn, user, number) => self.watched(conn, user, number, reply),
            Origin::Request(conn, request) => self.request_answered(conn, request, reply),
            Origin::Wakes => self.wakes_taken(reply),
            Origin::Lease => {
                self.renewing = false;
                if reply == Ok(Reply::Lease { held: false }) {
                    self.end();
                }
            }
            Origin::Leases => self.leases_read(reply),
            Origin::FanOut(conversation) => self.fanned_out(conversation, &reply),
            Origin::FanOuts => self.fan_outs_read(reply),
            Origin::Sum(conversation) => self.summed(conversation, reply),
            Origin::Sums => self.sums_read(reply),
            Origin::Untrimmed => self.untrimmed_found(reply),
            Origin::Delivered(conversation) => self.delivered_told(conversation, reply),
            Origin::Trim(conversation) => self.trimmed(conversation, &reply),
            Origin::Reap(gateway, renewals) => self.reaped(gateway, renewals, reply),
        }
    }

    fn opened(&mut self, conn: ConnId, reply: Result<Reply, Reject>) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let device = session.device;
        let (expires, dirty) = match reply {
            Ok(Reply::Opened { expires, dirty, .. }) => (expires, dirty),
            Ok(Reply::Outrun) => return self.close(conn, CloseReason::Replaced),
            Err(Reject::BadToken) => return self.close(conn, CloseReason::BadToken),
            _ => return self.close(conn, CloseReason::Unavailable),
        };
        let woken = session.phase == Phase::Opening { woken: true };
        session.phase = Phase::Open;
        session.token_expires = expires;
        // The store may have taken its time: the device was heard when it greeted, and perhaps never since.
        let heard = session.heard;
        session.told = heard;
        session.reread = now + self.config.reread;
        self.opening.remove(&(device, conn));
        self.open.insert(device, conn);
        self.hear(device.user, heard);
        self.tell(conn, ServerFrame::Welcome { now, token_expires: expires, window: self.config.window });
        self.dirty_read(conn, dirty);
        if woken {
            mark!(WokenWhileOpening);
            self.read_dirty(conn, None);
        }
        self.arm(conn, now + limits::HEARTBEAT);
    }

    fn dirty_answered(&mut self, conn: ConnId, reply: Result<Reply, Reject>) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.rereading -= 1;
        match reply {
            Ok(Reply::Dirty(page)) => self.dirty_read(conn, page),
            // As when the wake-up that says so was lost.
            Err(Reject::DeviceRemoved) => self.close(conn, CloseReason::DeviceRemoved),
            Ok(_) | Err(_) => {}
        }
    }

    fn send_answered(
        &mut self,
        conn: ConnId,
        request: RequestId,
        attempt: u32,
        conversation: ConversationId,
        reply: Result<Reply, Reject>,
    ) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        if !planted!(WindowNotGivenBack if reply.is_err()) {
            session.sends -= 1;
        }
        let reject = match reply {
            Ok(Reply::Sent { seq, at, cursor, fan_out }) => {
                if fan_out {
                    self.fan_out(conversation);
                }
                let Some(session) = self.sessions.get_mut(&conn) else { return };
                let named = session.name(conversation);
                let bound = matches!(named, crate::frame::Target::Bind(..)).then_some(named);
                self.accepted(conn, conversation, seq, cursor);
                return self.tell(conn, ServerFrame::Accepted { request, of: bound, seq, at });
            }
            Ok(_) => Reject::Damaged,
            Err(reject) => reject,
        };
        self.tell(conn, ServerFrame::Refused { request: Some(request), reject });
        if reject == Reject::DeviceRemoved {
            self.close(conn, CloseReason::DeviceRemoved);
        } else if reject.is_for_now() {
            self.raise_attempt(conn, attempt);
        }
    }

    /// The device has what it sent: if that is the very next position for it, it need not be sent back.
    fn accepted(&mut self, conn: ConnId, conversation: ConversationId, seq: Seq, cursor: Seq) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let Some(chat) = session.chats.get_mut(&conversation) else { return };
        if chat.sent.is_none() && !chat.reading {
            chat.sent = Some(cursor);
            // Also for a mark that is made late: nothing else will be read of the conversation, by which it would be cleared.
            chat.acknowledged = chat.acknowledged.max(cursor);
        }
        let gap = planted!(OwnMessageHidesGap if chat.sent.is_some_and(|sent| sent.next() < seq) && !chat.reading);
        if (chat.sent == Some(Seq(seq.0 - 1)) && !chat.reading) || gap {
            chat.sent = Some(seq);
            chat.upto = chat.upto.max(seq);
        }
    }

    fn ack_answered(&mut self, conn: ConnId, conversation: ConversationId, request: Option<RequestId>, reply: Result<Reply, Reject>) {
        if reply == Ok(Reply::SumDue) {
            self.sum_later(conversation);
        }
        match (reply, request) {
            (Err(reject), request) => self.tell(conn, ServerFrame::Refused { request, reject }),
            (Ok(_), Some(request)) => self.tell(conn, ServerFrame::Done { request, expires: Timestamp::default() }),
            (Ok(_), None) => {}
        }
        if let Some(session) = self.sessions.get_mut(&conn) {
            session.forget_if_idle(conversation);
        }
    }

    fn receipts(&mut self, conn: ConnId, reply: Result<Reply, Reject>) {
        self.request_ended(conn);
        match reply {
            Ok(Reply::Receipts(receipts)) => {
                for (conversation, delivered, read) in receipts {
                    self.tell_receipt(conn, conversation, delivered, read);
                }
            }
            Ok(_) => {}
            Err(reject) => self.tell(conn, ServerFrame::Refused { request: None, reject }),
        }
    }

    pub(super) fn tell_receipt(&mut self, conn: ConnId, conversation: ConversationId, delivered: Seq, read: Seq) {
        if let Some(session) = self.sessions.get_mut(&conn) {
            let of = session.name(conversation);
            self.tell(conn, ServerFrame::Receipt { of, delivered, read });
        }
    }

    fn watched(&mut self, conn: ConnId, user: UserId, number: u64, reply: Result<Reply, Reject>) {
        self.request_ended(conn);
        let during = self.taking.then_some(self.takes);
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        // Who is not watched any more is not spoken of.
        let Some(watched) = session.watches.iter_mut().find(|watched| watched.user == user) else { return };
        if watched.asked != Some(number) {
            return;
        }
        watched.asked = None;
        match reply {
            Ok(Reply::Presence(_)) if watched.stale && !planted!(OldPresenceWins) => {
                mark!(PresenceAnswerIsStale);
                self.watch_again(conn, user);
            }
            Ok(Reply::Presence(presence)) => {
                watched.during = during;
                let news = rows::wake(self.id, session.device, Topic::Presence(user)).key;
                self.reconsider(news);
                self.tell(conn, ServerFrame::Presence { user, presence });
            }
            Ok(_) => {}
            Err(reject) => {
                session.watches.retain(|watched| watched.user != user);
                self.tell(conn, ServerFrame::Refused { request: None, reject });
            }
        }
    }

    /// Asks once more what is to be seen of a watched user.
    pub(super) fn watch_again(&mut self, conn: ConnId, user: UserId) {
        self.questions += 1;
        let number = self.questions;
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let Some(watched) = session.watches.iter_mut().find(|watched| watched.user == user) else { return };
        (watched.asked, watched.stale) = (Some(number), false);
        session.requests += 1;
        let watch = Command::Watch { device: session.device, gateway: self.id, user };
        self.enqueue(Lane::Session, Origin::Watch(conn, user, number), watch);
    }

    fn request_answered(&mut self, conn: ConnId, request: RequestId, reply: Result<Reply, Reject>) {
        self.request_ended(conn);
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let device = session.device;
        let frame = match reply {
            Ok(Reply::Done) => ServerFrame::Done { request, expires: Timestamp::default() },
            Ok(Reply::Renewed { expires }) => {
                session.token_expires = expires;
                ServerFrame::Done { request, expires }
            }
            Ok(Reply::Users(users)) => ServerFrame::Users { request, users },
            Ok(Reply::Chats { chats, more }) => ServerFrame::Chats { request, chats, more },
            Ok(Reply::Roster { name, epoch, members, more }) => ServerFrame::Roster { request, name, epoch, members, more },
            Ok(Reply::Page { conversation, entries, head, .. }) => {
                let entries = entries.into_iter().map(|entry| super::deliver::delivery(conversation, entry, device)).collect();
                ServerFrame::Page { request, entries, head }
            }
            Ok(
                Reply::Registered { .. }
                | Reply::Opened { .. }
                | Reply::Outrun
                | Reply::Sent { .. }
                | Reply::Dirty(_)
                | Reply::Receipts(_)
                | Reply::Presence(_)
                | Reply::Wakes { .. }
                | Reply::Lease { .. }
                | Reply::Leases(_)
                | Reply::Reaped { .. }
                | Reply::FannedOut { .. }
                | Reply::SumDue
                | Reply::SumBegun { .. }
                | Reply::Summed { .. }
                | Reply::SumEnded { .. }
                | Reply::Sums(_)
                | Reply::FanOuts(_)
                | Reply::Untrimmed { .. }
                | Reply::Delivered { .. }
                | Reply::Trimmed { .. },
            ) => unreachable!("no request is answered so"),
            Err(reject) => ServerFrame::Refused { request: Some(request), reject },
        };
        self.tell(conn, frame);
    }

    fn request_ended(&mut self, conn: ConnId) {
        if let Some(session) = self.sessions.get_mut(&conn) {
            session.requests -= 1;
        }
    }

    /// Judges which gateways are dead: those whose renewals this gateway has not seen move for the length of a lease.
    fn leases_read(&mut self, reply: Result<Reply, Reject>) {
        self.judging -= 1;
        let Ok(Reply::Leases(leases)) = reply else { return };
        let now = self.now;
        let seen = core::mem::take(&mut self.leases);
        let mut dead: Vec<(GatewayId, u64)> = Vec::new();
        for (gateway, renewals) in leases.into_iter().filter(|(gateway, _)| *gateway != self.id) {
            let since = match seen.get(&gateway) {
                Some((before, since)) if *before == renewals => *since,
                _ => now,
            };
            if now >= since + limits::LEASE {
                dead.push((gateway, renewals));
            }
            self.leases.insert(gateway, (renewals, since));
        }
        for (gateway, renewals) in dead {
            mark!(GatewayIsJudgedDead);
            self.judging += 1;
            self.enqueue(Lane::Session, Origin::Reap(gateway, renewals), Command::Reap { gateway, renewals });
        }
    }
}
