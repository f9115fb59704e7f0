//! RECEIPT_TRUTH: what ticks say, and what the store holds of it, against what devices have and people were shown.

use super::{Oracle, Oracles};
use doubletick_core::id::{ConversationId, Seq, UserId};
use doubletick_core::rows::{Receipt, Row};

impl Oracles {
    /// A device has everything up to here on its disk.
    pub(crate) fn has(&mut self, device: u32, conversation: ConversationId, upto: Option<Seq>) {
        if let (Some(user), Some(upto)) = (self.user_of(device), upto) {
            let has = self.has.entry((user, conversation)).or_default();
            *has = (*has).max(upto);
            let stored = self.devices[device as usize].stored.entry(conversation).or_default();
            *stored = (*stored).max(upto);
        }
    }

    /// A user was shown everything up to here.
    pub(crate) fn shown(&mut self, device: u32, conversation: ConversationId, upto: Seq) {
        if let Some(user) = self.user_of(device) {
            let shown = self.shown.entry((user, conversation)).or_default();
            *shown = (*shown).max(upto);
        }
    }

    /// A device was told how far the other side is: what it had, and what it has from now on.
    pub(crate) fn ticks(&mut self, device: u32, conversation: ConversationId, before: (Seq, Seq), after: (Seq, Seq)) {
        self.told_of(device, conversation);
        let forward = before.0 <= after.0 && before.1 <= after.1;
        self.compare(Oracle::ReceiptTruth, forward, || format!("the ticks of device {device} in {conversation} went back"));
        if let Some(peer) = self.user_of(device).and_then(|user| conversation.peer(user)) {
            self.true_marks(conversation, peer, after, "a device was told");
        }
    }

    /// A user's watermarks were committed.
    pub(super) fn receipt_moved(&mut self, conversation: ConversationId, user: UserId, value: &[u8]) {
        let Ok(Receipt { delivered, read }) = Receipt::decode(value) else { return };
        let before = self.stored_receipts.insert((conversation, user), (delivered, read)).unwrap_or_default();
        let head = self.model.head(conversation);
        let right = before.0 <= delivered && before.1 <= read && read <= delivered && delivered <= head;
        self.compare(Oracle::ReceiptTruth, right, || {
            format!("the watermarks of {user} in {conversation}, which ends at {head}, went from {before:?} to {delivered} and {read}")
        });
        self.true_marks(conversation, user, (delivered, read), "the store holds");
    }

    fn true_marks(&mut self, conversation: ConversationId, user: UserId, (delivered, read): (Seq, Seq), where_from: &str) {
        if self.liars.contains(&user) {
            return;
        }
        let has = self.has.get(&(user, conversation)).copied().unwrap_or_default();
        // What is not for the user needs nobody to have it.
        let has = if conversation.pair().is_some() { has } else { self.reach(conversation, user, has) };
        let shown = self.shown.get(&(user, conversation)).copied().unwrap_or_default();
        self.compare(Oracle::ReceiptTruth, delivered <= has && read <= shown, || {
            format!("{where_from} that {user} has {conversation} up to {delivered} and read it up to {read}: it is {has} and {shown}")
        });
    }

    /// The watermarks that the store holds of a user.
    pub(crate) fn stored_receipt(&self, conversation: ConversationId, user: UserId) -> (Seq, Seq) {
        self.stored_receipts.get(&(conversation, user)).copied().unwrap_or_default()
    }
}
