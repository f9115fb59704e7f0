//! AT_LEAST_ONCE: until a device acknowledges a position it will be sent it again.
//!
//! Two things follow, and are watched. The store's idea of what a device has (its cursor, and that nothing is left for it) never passes
//! what is on its disk. And what a session delivers begins no later than after what its device has ever acknowledged, and goes on from
//! there without a gap.

use super::{Oracle, Oracles};
use doubletick_core::frame::{ClientFrame, Handle, RequestId, ServerFrame, Target};
use doubletick_core::id::{ConversationId, DeviceId, Seq};
use doubletick_core::rows::{Cursor, Row};
use std::collections::BTreeMap;

/// What the handles of a session stand for.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(Vec<ConversationId>);

/// What has passed over one session, as its device sees it.
#[derive(Clone, Default)]
pub(crate) struct Session {
    names: Names,
    sends: BTreeMap<RequestId, ConversationId>,
    fetches: BTreeMap<RequestId, ConversationId>,
    /// Up to where each conversation has come in this session, without a gap from what was acknowledged before.
    reached: BTreeMap<ConversationId, Seq>,
}

impl Names {
    pub(super) fn resolve(&mut self, target: Target) -> Option<ConversationId> {
        match target {
            Target::Handle(Handle(handle)) => self.0.get(handle as usize).copied(),
            Target::Id(conversation) => Some(conversation),
            Target::Bind(handle, conversation) => {
                if handle.0 as usize == self.0.len() {
                    self.0.push(conversation);
                }
                Some(conversation)
            }
        }
    }
}

impl Oracles {
    /// A device says something to its gateway.
    pub(crate) fn said(&mut self, device: u32, frame: &ClientFrame) {
        let watched = &mut self.devices[device as usize];
        if let ClientFrame::Ack { of, delivered, .. } = frame
            && let Some(conversation) = watched.session.names.resolve(*of)
        {
            let head = self.model.head(conversation);
            let acknowledged = watched.acknowledged.entry(conversation).or_default();
            // What is beyond the end is refused.
            *acknowledged = (*acknowledged).max((*delivered).min(head));
        } else if let ClientFrame::Send { request, to, .. } = frame
            && let Some(conversation) = watched.session.names.resolve(*to)
        {
            watched.session.sends.insert(*request, conversation);
        } else if let ClientFrame::Fetch { request, of, .. } = frame
            && let Some(conversation) = watched.session.names.resolve(*of)
        {
            watched.session.fetches.insert(*request, conversation);
        }
    }

    /// A device hears something from its gateway.
    pub(crate) fn heard_from_gateway(&mut self, device: u32, frame: &ServerFrame) {
        let watched = &mut self.devices[device as usize];
        if let ServerFrame::Welcome { .. } = frame {
            watched.session = Session::default();
        } else if let ServerFrame::Deliver { of, entries } = frame
            && let Some(conversation) = watched.session.names.resolve(*of)
            && let (Some(first), Some(last)) = (entries.first(), entries.last())
        {
            self.delivered(device, conversation, first.seq, last.seq);
            entries.iter().for_each(|entry| self.is_for(device, conversation, entry.seq));
        } else if let ServerFrame::Page { request, entries, .. } = frame
            && let Some(conversation) = watched.session.fetches.remove(request)
        {
            entries.iter().for_each(|entry| self.is_for(device, conversation, entry.seq));
        } else if let ServerFrame::Accepted { request, of, seq, .. } = frame {
            of.and_then(|of| watched.session.names.resolve(of));
            if let Some(conversation) = watched.session.sends.remove(request) {
                // The server need not send a device its own message if that is the very next one.
                let reached = self.reached(device, conversation);
                if Some(*seq) == self.after(device, conversation, reached.unwrap_or_default()) {
                    self.devices[device as usize].session.reached.insert(conversation, *seq);
                }
            }
        } else if let ServerFrame::Receipt { of, .. } | ServerFrame::Typing { of, .. } = frame {
            watched.session.names.resolve(*of);
        }
    }

    /// Up to where a conversation has come; `None` if this device knows nothing of it and may come in anywhere.
    fn reached(&self, device: u32, conversation: ConversationId) -> Option<Seq> {
        let watched = &self.devices[device as usize];
        // What it has acknowledged in this session, from before it, goes on from there too.
        let reached = watched.session.reached.get(&conversation).max(watched.acknowledged.get(&conversation)).copied();
        reached.or_else(|| self.there_from(device, conversation))
    }

    /// The next position after one that is for a device, or will be.
    fn after(&self, device: u32, conversation: ConversationId, seq: Seq) -> Option<Seq> {
        self.next_for(conversation, self.user_of(device)?, seq)
    }

    /// The next position that a device must be sent: it need not be sent what it has sent itself, also where the answer to that was lost.
    fn next_owed(&self, device: u32, conversation: ConversationId, reached: Seq) -> Seq {
        let own = self.devices[device as usize].id;
        let mut next = self.after(device, conversation, reached);
        while let Some(seq) = next.filter(|seq| own.is_some() && self.model.sender_at(conversation, *seq) == own) {
            next = self.after(device, conversation, seq);
        }
        next.unwrap_or(Seq(u64::MAX))
    }

    fn delivered(&mut self, device: u32, conversation: ConversationId, first: Seq, last: Seq) {
        let lies = self.user_of(device).is_some_and(|user| self.liars.contains(&user));
        let owed = self.reached(device, conversation).map(|reached| self.next_owed(device, conversation, reached));
        if let Some(owed) = owed.filter(|_| !lies) {
            self.compare(Oracle::AtLeastOnce, first <= owed, || {
                format!("device {device} was sent {conversation} from {first} on, and {owed} is the next after what it has acknowledged or was sent before")
            });
        }
        let reached = &mut self.devices[device as usize].session.reached;
        let upto = reached.entry(conversation).or_default();
        *upto = (*upto).max(last);
    }

    /// A device's cursor was committed.
    pub(super) fn cursor_moved(&mut self, device: DeviceId, conversation: ConversationId, value: &[u8]) {
        let Ok(Cursor { upto }) = Cursor::decode(value) else { return };
        let before = self.cursors.insert((device, conversation), upto);
        let Some(nth) = self.nth_of(device).filter(|_| !self.liars.contains(&device.user)) else { return };
        self.compare(Oracle::AtLeastOnce, before.is_none_or(|before| before <= upto), || {
            format!("the cursor of device {nth} in {conversation} went from {before:?} back to {upto}")
        });
        let watched = &self.devices[nth as usize];
        let stored = watched.stored.get(&conversation).copied();
        // Where a newcomer begins is not its own word: it needs nothing that another device of its user has.
        let begins = before.is_none() && !watched.acknowledged.contains_key(&conversation);
        let has = |stored| if conversation.pair().is_some() { stored } else { self.reach(conversation, device.user, stored) };
        let right =
            if begins { self.covered(device.user, conversation, upto) } else { stored.map(has) >= Some(upto) || before == Some(upto) };
        self.compare(Oracle::AtLeastOnce, right, || {
            format!("the store takes device {nth} to have {conversation} up to {upto}: it has stored {stored:?}")
        });
    }

    /// A mark that something waits for a device was cleared.
    pub(super) fn mark_cleared(&mut self, device: DeviceId, conversation: ConversationId) {
        // Whoever was removed is marked for nothing more.
        let removed = self.nth_of(device).is_none_or(|nth| self.devices[nth as usize].removed_at.is_some());
        if removed || self.liars.contains(&device.user) {
            return;
        }
        let cursor = self.cursors.get(&(device, conversation)).copied().unwrap_or_default();
        // A job that is not done marks it again.
        if self.due.contains_key(&conversation) {
            return;
        }
        let last = self.times_of(conversation, device.user).last().map_or(Seq::START, |(_, last)| *last);
        let owed = self.model.last_where(conversation, last, |sender| sender != device);
        self.compare(Oracle::AtLeastOnce, owed <= cursor, || {
            format!("nothing marks any more that {owed} of {conversation} waits for {device}, whose cursor is {cursor}")
        });
    }
}
