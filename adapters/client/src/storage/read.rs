//! Rows become what an application shows.

use doubletick_core::client::Stored;
use doubletick_core::id::{ConversationId, DeviceId, MessageId, Phone, Secret, Seq, UserId};
use doubletick_core::time::Timestamp;
use prost::Message as _;
use redb::{ReadableDatabase, ReadableTable};

use super::rows::{self, Author, ChatRow, Contact, MessageRow, OutgoingRow, Place, UserRow};
use super::{Storage, StorageError};
use crate::model::{Body, Chat, Group, Message, Party, Person, State};

/// What is known of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) phone: Option<Phone>,
    pub(crate) name: Option<String>,
    pub(crate) contact: Contact,
    pub(crate) blocked: bool,
}

impl Storage {
    /// What the machine needs to go on.
    pub(crate) fn stored(&self, device: DeviceId, secret: Secret) -> Result<Stored, StorageError> {
        let txn = self.db.begin_read()?;
        let mut outbox = vec![];
        for row in txn.open_table(rows::OUTBOX)?.iter()? {
            let outgoing = OutgoingRow::decode(row?.1.value()).ok().and_then(OutgoingRow::outgoing);
            outbox.push(outgoing.ok_or(StorageError::Damaged("outbox"))?);
        }
        let mut chats = vec![];
        for row in txn.open_table(rows::CHATS)?.iter()? {
            let (key, row) = row?;
            let (conversation, row) = chat(key.value(), row.value())?;
            chats.push(row.stored(conversation));
        }
        let starts = match txn.open_table(rows::META)?.get("starts")? {
            Some(row) => u32::from_be_bytes(row.value().try_into().map_err(|_| StorageError::Damaged("meta"))?),
            None => 0,
        };
        Ok(Stored { device, secret, starts, outbox, chats })
    }

    /// The conversations, the one with the latest message first.
    pub(crate) fn chats(&self, me: UserId) -> Result<Vec<Chat>, StorageError> {
        let txn = self.db.begin_read()?;
        let (history, users) = (txn.open_table(rows::HISTORY)?, txn.open_table(rows::USERS)?);
        let mut chats = vec![];
        for row in txn.open_table(rows::CHATS)?.iter()? {
            let (key, row) = row?;
            let (conversation, row) = chat(key.value(), row.value())?;
            let (first, last) = (rows::history_key(conversation, Place::FIRST), rows::history_key(conversation, Place::LAST));
            let last = match history.range::<&[u8; 36]>(&first..=&last)?.next_back() {
                Some(last) => {
                    let (key, value) = last?;
                    Some(message(rows::place_of(key.value()), value.value(), &row))
                }
                None => None,
            };
            let with = match conversation {
                ConversationId::Direct(pair) => {
                    let peer = pair.peer(me).ok_or(StorageError::Damaged("chats"))?;
                    let address = users.get(peer.0)?.map_or(Ok(Address::default()), |row| address(row.value()))?;
                    Party::Person(Person::new(peer, address))
                }
                ConversationId::Group(_) => Party::Group(group(&row)),
            };
            chats.push(Chat { conversation, with, last, unread: row.unread });
        }
        chats.sort_by_key(|chat| std::cmp::Reverse(chat.last.as_ref().map(|last| last.at)));
        Ok(chats)
    }

    /// At most `limit` messages of a conversation, those before a place, in their order.
    pub(crate) fn history(&self, conversation: ConversationId, before: Option<Place>, limit: usize) -> Result<Vec<Message>, StorageError> {
        let txn = self.db.begin_read()?;
        let history = txn.open_table(rows::HISTORY)?;
        let chat = self.chat_row(&txn, conversation)?;
        let from = rows::history_key(conversation, Place::FIRST);
        let range = match before {
            Some(before) => history.range::<&[u8; 36]>(&from..&rows::history_key(conversation, before))?,
            None => history.range::<&[u8; 36]>(&from..=&rows::history_key(conversation, Place::LAST))?,
        };
        let mut messages = vec![];
        for row in range.rev().take(limit) {
            let (key, row) = row?;
            messages.push(message(rows::place_of(key.value()), row.value(), &chat));
        }
        messages.reverse();
        Ok(messages)
    }

    /// What is known of a group.
    pub(crate) fn group(&self, conversation: ConversationId) -> Result<Group, StorageError> {
        Ok(group(&self.chat_row(&self.db.begin_read()?, conversation)?))
    }

    /// One message by its name.
    pub(crate) fn message(&self, conversation: ConversationId, author: Author, id: MessageId) -> Result<Option<Message>, StorageError> {
        let txn = self.db.begin_read()?;
        let place = match author {
            Author::Member(sender) => txn.open_table(rows::GROUP_INDEX)?.get(&rows::group_index_key(conversation, sender, id))?,
            Author::Own | Author::Peer => txn.open_table(rows::INDEX)?.get(&rows::index_key(conversation, author == Author::Own, id))?,
        };
        let Some(place) = place else { return Ok(None) };
        let place = Place::from_bytes(place.value());
        let row = txn.open_table(rows::HISTORY)?.get(&rows::history_key(conversation, place))?;
        let chat = self.chat_row(&txn, conversation)?;
        Ok(row.map(|row| message(place, row.value(), &chat)))
    }

    fn chat_row(&self, txn: &redb::ReadTransaction, conversation: ConversationId) -> Result<ChatRow, StorageError> {
        let row = txn.open_table(rows::CHATS)?.get(&rows::chat_key(conversation))?.map(|row| ChatRow::decode(row.value()));
        row.transpose().map(Option::unwrap_or_default).map_err(|_| StorageError::Damaged("chats"))
    }

    /// What is known of a user.
    pub(crate) fn address(&self, user: UserId) -> Result<Address, StorageError> {
        let users = self.db.begin_read()?.open_table(rows::USERS)?;
        let row = users.get(user.0)?;
        row.map_or(Ok(Address::default()), |row| address(row.value()))
    }

    /// Everybody of whom anything is known.
    pub(crate) fn addresses(&self) -> Result<Vec<(UserId, Address)>, StorageError> {
        let users = self.db.begin_read()?.open_table(rows::USERS)?;
        let mut addresses = vec![];
        for row in users.iter()? {
            let (user, row) = row?;
            addresses.push((UserId(user.value()), address(row.value())?));
        }
        Ok(addresses)
    }

    /// Who has a number, as far as this device knows.
    pub(crate) fn user_of(&self, phone: &Phone) -> Result<Option<UserId>, StorageError> {
        let phones = self.db.begin_read()?.open_table(rows::PHONES)?;
        Ok(phones.get(phone.as_str())?.map(|user| UserId(user.value())))
    }
}

fn chat(key: &[u8], row: &[u8]) -> Result<(ConversationId, ChatRow), StorageError> {
    let read = || Some((rows::conversation(key)?, ChatRow::decode(row).ok()?));
    read().ok_or(StorageError::Damaged("chats"))
}

fn group(row: &ChatRow) -> Group {
    Group { name: Some(row.name.clone()).filter(|name| !name.is_empty()), member: !row.gone }
}

fn address(row: &[u8]) -> Result<Address, StorageError> {
    let row = UserRow::decode(row).map_err(|_| StorageError::Damaged("users"))?;
    Ok(Address {
        phone: Phone::parse(&row.phone),
        name: Some(row.name.clone()).filter(|name| !name.is_empty()),
        contact: row.contact(),
        blocked: row.blocked,
    })
}

/// A row that does not read is a message all the same, so that the others around it are shown.
fn message(place: Place, row: &[u8], chat: &ChatRow) -> Message {
    let Ok(row) = MessageRow::decode(row) else {
        let state = State::Received;
        let (id, at) = (MessageId([0; 16]), Timestamp::default());
        return Message { place, id, own: false, from: None, device: 0, at, body: Body::Damaged, state };
    };
    let state = match (place.seq(), row.failed) {
        (_, Some(code)) => State::Failed { code },
        _ if !row.own => State::Received,
        (Some(Seq(seq)), None) if seq <= chat.peer_read => State::Read,
        (Some(Seq(seq)), None) if seq <= chat.peer_delivered => State::Delivered,
        (Some(_), None) => State::Sent,
        (None, None) if place.is_waiting() => State::Waiting,
        (None, None) => State::Sent,
    };
    Message {
        place,
        id: rows::message_id(&row.id).unwrap_or(MessageId([0; 16])),
        own: row.own,
        from: Some(UserId(row.sender)).filter(|sender| sender.0 != 0),
        device: row.serial.try_into().unwrap_or(0),
        at: Timestamp::from_millis(row.at),
        body: Body::read(row.kind, row.body),
        state,
    }
}
