//! NO_LOSS, VISIBLE_ONCE, TOTAL_ORDER, SENDER_ORDER, DEDUP and VISIBILITY, as messages come and go.

use super::{Message, Oracle, Oracles};
use doubletick_core::content::{Content, TRIMMED};
use doubletick_core::frame::{Delivery, Sender};
use doubletick_core::id::{ConversationId, MessageId, Seq};
use doubletick_core::reject::Reject;

impl Oracles {
    /// Somebody has written a message.
    pub(crate) fn written(&mut self, device: u32, conversation: ConversationId, id: MessageId, content: &Content) {
        let Some(sender) = self.devices[device as usize].id else { return };
        let same = |message: &&Message| message.device == device && message.conversation == conversation && !message.follows;
        let order = self.messages.iter().rev().find(same);
        let order = order.map_or(0, |message| message.order + 1);
        self.by_id.insert(id, self.messages.len() as u32);
        self.messages.push(Message {
            conversation,
            device,
            sender,
            id,
            content: content.clone(),
            order,
            durable: false,
            seq: None,
            told: false,
            refused: None,
            turned_away: Vec::new(),
            follows: false,
        });
    }

    /// One of the messages of a device whose acceptance it was told.
    pub(crate) fn told_message(&self, device: u32, drawn: u64) -> Option<(ConversationId, MessageId, Content)> {
        let told: Vec<&Message> = self.messages.iter().filter(|message| message.device == device && message.told).collect();
        let message = told.get(usize::try_from(drawn).unwrap_or_default().checked_rem(told.len())?)?;
        Some((message.conversation, message.id, message.content.clone()))
    }

    /// It is stored in the outbox.
    pub(crate) fn durable(&mut self, id: MessageId) {
        if let Some(message) = self.by_id.get(&id) {
            self.messages[*message as usize].durable = true;
        }
    }

    /// Its sender was told that it stands at a position.
    pub(crate) fn accepted(&mut self, device: u32, conversation: ConversationId, id: MessageId, seq: Seq) {
        let Some(nth) = self.by_id.get(&id).copied() else { return };
        let right = self.messages[nth as usize].conversation == conversation && self.messages[nth as usize].device == device;
        self.compare(Oracle::Visibility, right, || format!("device {device} was told of {id} in {conversation}, and did not send that"));
        self.messages[nth as usize].told = true;
        self.place(nth, seq);
        self.put(device, nth, seq);
        let held = self.model.message_at(conversation, seq) == Some(nth);
        self.compare(Oracle::NoLoss, held, || format!("{id} was accepted at {seq} of {conversation}, where the store does not hold it"));
    }

    /// Its sender was told that it will never be taken.
    pub(crate) fn refused(&mut self, id: MessageId, reject: Reject) {
        let Some(nth) = self.by_id.get(&id).copied() else { return };
        let message = &mut self.messages[nth as usize];
        message.refused = Some(reject);
        let (device, sender, conversation, told, seq) =
            (message.device, message.sender.user, message.conversation, message.told, message.seq);
        let peer = conversation.peer(sender);
        let blocked = peer.is_some_and(|peer| self.blocks.contains(&(sender, peer)) || self.blocks.contains(&(peer, sender)));
        let removed = self.devices[device as usize].removed;
        let told_so = conversation.pair().is_none() && self.messages[nth as usize].turned_away.contains(&reject);
        let right = told_so || (reject == Reject::NotAllowed && blocked) || (reject == Reject::DeviceRemoved && removed);
        self.compare(Oracle::NoLoss, right, || format!("{id} was refused for ever: {reject:?}"));
        self.compare(Oracle::Dedup, !told && seq.is_none(), || format!("{id} was refused for ever, and stands in the log"));
    }

    /// A message stands at a position, as somebody was told.
    pub(super) fn place(&mut self, nth: u32, seq: Seq) {
        let message = &mut self.messages[nth as usize];
        let (id, conversation, device, order) = (message.id, message.conversation, message.device, message.order);
        let first = *message.seq.get_or_insert(seq);
        self.compare(Oracle::Dedup, first == seq, || format!("{id} stands at {first} and at {seq} of {conversation}"));
        let there = self.model.message_at(conversation, seq);
        self.compare(Oracle::TotalOrder, there == Some(nth), || {
            format!("{id} is said to stand at {seq} of {conversation}: there stands {there:?}")
        });
        let it = &self.messages[nth as usize];
        if it.follows || !it.turned_away.is_empty() || self.liars.contains(&it.sender.user) {
            return;
        }
        let sent = self.sent.entry((device, conversation)).or_default();
        let before = sent.range(..order).next_back().map(|(order, seq)| (*order, *seq));
        let after = sent.range(order + 1..).next().map(|(order, seq)| (*order, *seq));
        sent.insert(order, seq);
        let in_turn = before.is_none_or(|(_, earlier)| earlier < seq) && after.is_none_or(|(_, later)| later > seq);
        self.compare(Oracle::SenderOrder, in_turn, || {
            format!("device {device} wrote {id} as number {order} into {conversation}, and it stands at {seq}: {before:?} before, {after:?} after")
        });
    }

    /// A device has a message at a position.
    fn put(&mut self, device: u32, nth: u32, seq: Seq) {
        let first = *self.devices[device as usize].entries.entry(nth).or_insert(seq);
        let id = self.messages[nth as usize].id;
        self.compare(Oracle::VisibleOnce, first == seq, || format!("device {device} has {id} at {first} and at {seq}"));
    }

    /// A device has stored an entry. `before` is its cursor before that; `again` and `new` are as the record and the disk say.
    pub(crate) fn entry(
        &mut self,
        device: u32,
        conversation: ConversationId,
        delivery: &Delivery,
        before: Option<Seq>,
        again: bool,
        new: bool,
    ) {
        let (id, seq) = (delivery.id, delivery.seq);
        self.told_of(device, conversation);
        let Some(nth) = self.by_id.get(&id).copied() else {
            return self
                .compare(Oracle::Visibility, false, || format!("device {device} got {id} at {seq} of {conversation}; nobody wrote it"));
        };
        let gone = delivery.body.as_ref().is_some_and(|body| body.kind == TRIMMED);
        self.compare(Oracle::NoLoss, !(gone && new), || {
            format!("device {device} got {id} at {seq} of {conversation}, and what it says was not kept until then")
        });
        self.same_message(device, conversation, nth, delivery);
        self.is_for(device, conversation, seq);
        if let Some(removed_at) = self.devices[device as usize].removed_at {
            let at = self.model.committed_at(conversation, seq);
            self.compare(Oracle::Visibility, at.is_some_and(|at| at <= removed_at), || {
                format!("device {device} got {seq} of {conversation}, of {at:?} ms, and was removed at {removed_at} ms")
            });
        }
        self.place(nth, seq);
        self.put(device, nth, seq);

        let own = self.messages[nth as usize].device == device;
        self.compare(Oracle::VisibleOnce, own || new != again, || {
            format!("device {device} got {id} at {seq} of {conversation}: again is {again}, new is {new}")
        });
        if again {
            return;
        }
        let Some(user) = self.user_of(device) else { return };
        let follows = match before {
            Some(before) => Some(seq) == self.next_for(conversation, user, before),
            None => self.there_from(device, conversation).is_none_or(|before| seq == before.next()),
        };
        self.compare(Oracle::TotalOrder, follows, || {
            format!("device {device} stored {seq} of {conversation} after {before:?}: something is missing between")
        });
    }

    /// The position before the first that is for a device, if it was there from the start. One that came later may come in anywhere.
    pub(super) fn there_from(&self, device: u32, conversation: ConversationId) -> Option<Seq> {
        let watched = &self.devices[device as usize];
        let first = self.next_for(conversation, watched.id?.user, Seq::START)?;
        let there = self.model.first_after(conversation, watched.linked_at) <= first;
        there.then_some(Seq(first.0 - 1))
    }

    /// A device is given what stands at a position.
    pub(super) fn is_for(&mut self, device: u32, conversation: ConversationId, seq: Seq) {
        let watched = &self.devices[device as usize];
        let Some(id) = watched.poses_as.or(watched.id).filter(|_| conversation.pair().is_none()) else { return };
        let right = self.is_within(conversation, id, seq);
        self.compare(Oracle::Visibility, right, || format!("device {device} was given {seq} of {conversation}, which is not for it"));
    }

    /// What a device got is what was written, and is said to be by whom it is.
    fn same_message(&mut self, device: u32, conversation: ConversationId, nth: u32, delivery: &Delivery) {
        let Some(to) = self.devices[device as usize].id else { return };
        let message = &self.messages[nth as usize];
        let from = if message.sender.user == to.user {
            Sender::Own(message.sender.serial)
        } else if conversation.pair().is_some() {
            Sender::Peer(message.sender.serial)
        } else {
            Sender::Member(message.sender)
        };
        let gone = delivery.body.as_ref().is_some_and(|body| body.kind == TRIMMED);
        let body = gone || message.content.body_for(to) == delivery.body.as_ref();
        let same = message.conversation == conversation && body && from == delivery.from;
        self.compare(Oracle::Visibility, same, || {
            format!("device {device} got {} of {conversation}, and not as it was written", delivery.id)
        });
    }
}
