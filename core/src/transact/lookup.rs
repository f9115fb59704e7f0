//! Who is there, and which conversations a user has.

use super::Decision;
use crate::command::Reply;
use crate::frame::{Chat, UserCard};
use crate::id::{ConversationId, Phone, Seq, Side, UserId};
use crate::limits;
use crate::rows::{self, ChatRow, Counter, Head, Tally};
use crate::store::Key;
use crate::view::{Stop, View};
use alloc::vec;
use alloc::vec::Vec;

pub(super) fn find_users(view: &mut View, phones: &[Phone]) -> Result<Decision, Stop> {
    let keys: Vec<Key> = phones.iter().map(|phone| rows::phone(phone).key).collect();
    view.need(&keys)?;
    let mut found = vec![];
    for phone in phones {
        if let Some(row) = view.find(&rows::phone(phone))? {
            found.push(row.user);
        }
    }
    cards(view, &found)
}

pub(super) fn ask_user(view: &mut View, user: UserId) -> Result<Decision, Stop> {
    cards(view, &[user])
}

fn cards(view: &mut View, users: &[UserId]) -> Result<Decision, Stop> {
    let keys: Vec<Key> = users.iter().map(|user| rows::account(*user).key).collect();
    view.need(&keys)?;
    let mut cards = vec![];
    for user in users {
        let Some(account) = view.find(&rows::account(*user))? else { continue };
        let Some(phone) = Phone::parse(&account.phone) else {
            view.report(rows::account(*user).key);
            continue;
        };
        cards.push(UserCard { user: *user, phone, devices: account.devices.iter().map(|device| device.serial).collect() });
    }
    Ok(Decision::reply(Reply::Users(cards)))
}

pub(super) fn list_chats(view: &mut View, user: UserId, after: Option<ConversationId>) -> Result<Decision, Stop> {
    let rows = view.scan::<ChatRow>(&rows::chats(user, after, limits::PAGE_CONVERSATIONS))?;
    let more = rows.len() as u32 == limits::PAGE_CONVERSATIONS;
    let listed: Vec<ConversationId> = rows.iter().filter_map(|(key, _)| rows::chat_of(key)).collect();
    let mut keys: Vec<Key> = listed.iter().flat_map(|chat| [rows::head(*chat).key, rows::receipt(*chat, user).key]).collect();
    let groups = listed.iter().filter(|chat| chat.pair().is_none());
    keys.extend(groups.flat_map(|group| [rows::member(*group, user).key, rows::sent(*group, user).key]));
    view.need(&keys)?;
    let mut read_to = vec![];
    for conversation in listed {
        let head = view.find(&rows::head(conversation))?.unwrap_or(Head::EMPTY);
        let receipt = view.find(&rows::receipt(conversation, user))?.unwrap_or_default();
        let read = if planted!(UnreadFromDelivered if receipt.read < receipt.delivered) { receipt.delivered } else { receipt.read };
        let read = if conversation.pair().is_none() { read.max(answered(view, conversation, user)?).min(head.seq) } else { read };
        read_to.push((conversation, head, read));
    }
    let keys: Vec<Key> =
        read_to.iter().filter(|(_, head, read)| partly_read(head, *read)).map(|(chat, _, read)| rows::log(*chat, *read).key).collect();
    view.need(&keys)?;
    let mut chats = vec![];
    for (conversation, head, read) in read_to {
        let tally = if partly_read(&head, read) {
            view.find(&rows::log(conversation, read))?.map_or_else(Tally::default, |entry| entry.tally)
        } else if read == Seq::START {
            Tally::default()
        } else {
            head.tally
        };
        let unread = unread(conversation, user, head.tally, tally);
        chats.push(Chat { conversation, head: head.seq, at: head.at, unread });
    }
    Ok(Decision::reply(Reply::Chats { chats, more }))
}

/// In a group, who writes has read what stands before; and a new member has nothing to read of what stands before that.
fn answered(view: &mut View, conversation: ConversationId, user: UserId) -> Result<Seq, Stop> {
    let sent = view.find(&rows::sent(conversation, user))?.map_or(Seq::START, |Counter(sent)| Seq(sent));
    let joined = view.find(&rows::member(conversation, user))?.map_or(Seq::START, |member| member.joined);
    Ok(if planted!(UnreadSinceTheBeginning) { sent } else { sent.max(Seq(joined.0.saturating_sub(1))) })
}

/// Whether the tally at the position that was read must be looked up.
fn partly_read(head: &Head, read: Seq) -> bool {
    Seq::START < read && read < head.seq
}

/// Messages of others after the position that was read: a difference of two tallies, so it cannot drift.
fn unread(conversation: ConversationId, user: UserId, head: Tally, read: Tally) -> u64 {
    let Some(pair) = conversation.pair() else { return head.of(Side::Low).saturating_sub(read.of(Side::Low)) };
    let side = pair.side(user).expect("a chat list holds the owner's conversations").other();
    let side = if planted!(UnreadCountsOwn) { side.other() } else { side };
    head.of(side).saturating_sub(read.of(side))
}
