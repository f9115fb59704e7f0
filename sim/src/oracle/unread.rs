//! UNREAD: what a chat list says, against a recount of the log in the same state of the store.

use super::access::inner;
use super::{Oracle, Oracles};
use crate::store::{Reads, Store, Version};
use doubletick_core::command::{Command, Reply};
use doubletick_core::frame::Chat;
use doubletick_core::id::{ConversationId, Seq, UserId};
use doubletick_core::reject::Reject;
use doubletick_core::rows::{self, Receipt, Row};
use doubletick_core::store::{Scan, Snapshot};
use doubletick_core::transact::{Batch, Outcome};

impl Oracles {
    /// A transaction has its answer, from the state at a version.
    pub(crate) fn answered(&mut self, store: &Store, version: Version, batch: &Batch, outcome: &Outcome) {
        self.presence_answered(version, batch, outcome);
        self.group_answered(store, version, batch, outcome);
        for (command, reply) in batch.commands.iter().zip(&outcome.replies) {
            let command = inner(command);
            if let (Command::ListChats { user, after: None }, Ok(Reply::Chats { chats, more: false })) = (command, reply) {
                self.recount(store, version, *user, chats);
            }
            if let (Command::Send { id, conversation: ConversationId::Direct(_), .. }, Err(Reject::NotAllowed)) = (command, reply)
                && let Some(nth) = self.by_id.get(id)
            {
                self.messages[*nth as usize].turned_away.push(Reject::NotAllowed);
            }
        }
    }

    fn recount(&mut self, store: &Store, version: Version, user: UserId, chats: &[Chat]) {
        for chat in chats {
            self.told_of_user(user, chat.conversation);
            let (head, read) = ends(store, version, chat.conversation, user);
            if chat.conversation.pair().is_none() {
                let there = self.joined_at(chat.conversation, user, head).is_some();
                self.compare(Oracle::Visibility, there, || format!("{user} was told of {}, and is no member at {head}", chat.conversation));
            }
            let unread = self.unread(chat.conversation, user, read, head);
            self.compare(Oracle::Unread, chat.unread == unread && chat.head == head, || {
                format!(
                    "{user} was told of {} unread up to {} in {}; a recount says {unread} and {head}",
                    chat.unread, chat.head, chat.conversation
                )
            });
        }
        let of_user: Vec<_> = self.model.conversations().filter(|conversation| self.took_part(*conversation, user)).collect();
        let missing = of_user.into_iter().find(|conversation| {
            let listed = chats.iter().any(|chat| chat.conversation == *conversation);
            let head = ends(store, version, *conversation, user).0;
            let there = conversation.pair().is_some() || self.joined_at(*conversation, user, head).is_some();
            !listed && there && head > Seq::START
        });
        self.compare(Oracle::Unread, missing.is_none(), || format!("{missing:?} is not on the chat list of {user}"));
    }

    /// What others wrote since the user has read, written or become a member.
    fn unread(&self, conversation: ConversationId, user: UserId, read: Seq, head: Seq) -> u64 {
        if conversation.pair().is_some() {
            return self.model.between(conversation, read, head, |placed| placed.sender.user != user);
        }
        let joined = self.joined_at(conversation, user, head).map_or(head, |joined| Seq(joined.0 - 1));
        let written = self.model.last_with(conversation, head, |placed| placed.sender.user == user && !placed.change);
        self.model.between(conversation, read.max(joined).max(written), head, |placed| !placed.change)
    }

    fn told_of_user(&mut self, user: UserId, conversation: ConversationId) {
        let takes_part = self.took_part(conversation, user);
        self.compare(Oracle::Visibility, takes_part, || format!("{user} was told of {conversation}"));
    }
}

/// Where a conversation ended at a version, and how far a user had read in it.
fn ends(store: &Store, version: Version, conversation: ConversationId, user: UserId) -> (Seq, Seq) {
    let mut reads = Reads::default();
    let mut at = store.at(version, &mut reads, None);
    let receipt = at.get(&rows::receipt(conversation, user).key).ok().flatten();
    let read = receipt.and_then(|value| Receipt::decode(&value).ok()).unwrap_or_default().read;
    let last = Scan { reverse: true, ..rows::log_page(conversation, Seq::START, 1) };
    let last = at.scan(&last).ok().and_then(|rows| rows::log_of(&rows.first()?.0));
    (last.unwrap_or_default(), read)
}
