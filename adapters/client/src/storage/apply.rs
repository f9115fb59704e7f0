//! Records become rows: one batch, one transaction, one sync.

use std::collections::BTreeMap;

use doubletick_core::change::{self, Change as GroupChange};
use doubletick_core::client::{Outgoing, Record, SaveId, StoredChat};
use doubletick_core::content::{Body, Parts};
use doubletick_core::frame::{Delivery, Sender};
use doubletick_core::id::{ConversationId, MessageId, Phone, Secret, Seq, UserId};
use doubletick_core::reject::Reject;
use doubletick_core::time::Timestamp;
use doubletick_wire::Token;
use prost::Message as _;
use redb::{ReadableTable, Table, WriteTransaction};

use super::rows::{self, AccountRow, Author, ChatRow, Contact, MessageRow, OutgoingRow, Place, UserRow};
use super::{Storage, StorageError};

/// Something to be stored.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    /// Of the machine's. With the time at which it was made.
    Record(SaveId, Record, Timestamp),
    /// Of the address book.
    User(UserId, UserChange),
    /// What the server says that a group is called, and that this user is a member of it.
    Group(ConversationId, String),
}

/// What has become known of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UserChange {
    /// Their number.
    Phone(Phone),
    /// What this user calls them.
    Name(String),
    /// Whether they are on the contact list.
    Contact(Contact),
    /// Somebody writes to them: they are to become a contact, unless they were taken off the list.
    WrittenTo,
    /// Whether they are blocked.
    Blocked(bool),
}

/// A batch is stored.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// The last record of it.
    pub(crate) upto: Option<SaveId>,
    /// See [`doubletick_core::client::Input::Saved`].
    pub(crate) new_after_all: Vec<SaveId>,
    /// What readers can see that they could not see before.
    pub(crate) changes: Vec<Change>,
}

/// Something that readers can see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A message stands in the history that did not.
    Message { conversation: ConversationId, place: Place, author: Author, id: MessageId },
    /// A message of this device's has its position.
    Accepted { conversation: ConversationId, id: MessageId, seq: Seq },
    /// A message of this device's will never have one.
    Failed { conversation: ConversationId, id: MessageId, reject: Reject },
    /// The other side has got so far.
    Receipt { conversation: ConversationId, delivered: Seq, read: Seq },
    /// The user was shown everything up to here.
    Read { conversation: ConversationId },
    /// A group has another name, or this user another part in it.
    Group(ConversationId),
    /// Something is known of a user that was not.
    User(UserId),
}

impl Storage {
    /// Stores a batch. When this returns, no crash can undo it.
    pub(crate) fn apply(&self, jobs: Vec<Job>) -> Result<Applied, StorageError> {
        let txn = self.db.begin_write()?;
        let applied = {
            let mut writer = Writer::new(&txn)?;
            for job in jobs {
                match job {
                    Job::Record(save, record, now) => {
                        if writer.record(record, now)? {
                            writer.applied.new_after_all.push(save);
                        }
                        writer.applied.upto = Some(save);
                    }
                    Job::User(user, change) => writer.user(user, change)?,
                    Job::Group(group, name) => writer.change_group(group, |row| (row.name, row.gone) = (name, false))?,
                }
            }
            writer.finish()?
        };
        txn.commit()?;
        Ok(applied)
    }
}

/// The tables of one transaction.
struct Writer<'txn> {
    meta: Table<'txn, &'static str, &'static [u8]>,
    outbox: Table<'txn, u64, &'static [u8]>,
    chats: Table<'txn, &'static [u8; 16], &'static [u8]>,
    history: Table<'txn, &'static [u8; 36], &'static [u8]>,
    index: Table<'txn, &'static [u8; 33], &'static [u8; 20]>,
    group_index: Table<'txn, &'static [u8; 40], &'static [u8; 20]>,
    users: Table<'txn, u64, &'static [u8]>,
    phones: Table<'txn, &'static str, u64>,
    /// Those that were read in this transaction, as they are to be stored.
    open: BTreeMap<ConversationId, ChatRow>,
    /// How many messages were ever written, and places made.
    written: u64,
    applied: Applied,
}

impl<'txn> Writer<'txn> {
    fn new(txn: &'txn WriteTransaction) -> Result<Self, StorageError> {
        let meta = txn.open_table(rows::META)?;
        let written = match meta.get("written")? {
            Some(row) => row.value().try_into().map(u64::from_be_bytes).map_err(|_| StorageError::Damaged("meta"))?,
            None => 0,
        };
        Ok(Self {
            meta,
            outbox: txn.open_table(rows::OUTBOX)?,
            chats: txn.open_table(rows::CHATS)?,
            history: txn.open_table(rows::HISTORY)?,
            index: txn.open_table(rows::INDEX)?,
            group_index: txn.open_table(rows::GROUP_INDEX)?,
            users: txn.open_table(rows::USERS)?,
            phones: txn.open_table(rows::PHONES)?,
            open: BTreeMap::new(),
            written,
            applied: Applied::default(),
        })
    }

    fn finish(mut self) -> Result<Applied, StorageError> {
        self.meta.insert("written", self.written.to_be_bytes().as_slice())?;
        for (conversation, chat) in self.open {
            self.chats.insert(&rows::chat_key(conversation), chat.encode_to_vec().as_slice())?;
        }
        Ok(self.applied)
    }

    /// Says whether an entry that came again was new after all.
    fn record(&mut self, record: Record, now: Timestamp) -> Result<bool, StorageError> {
        match record {
            Record::Written(outgoing) => self.write(&outgoing, now)?,
            Record::Accepted { conversation, id, seq, at, next } => self.accept(conversation, id, seq, at, next)?,
            Record::Failed { conversation, id, reject } => self.fail(conversation, id, reject)?,
            Record::Received { conversation, delivery, again } => return self.receive(conversation, delivery, again),
            Record::Read { conversation, upto } => self.read(conversation, upto)?,
            Record::ReadTold { conversation, upto } => self.chat(conversation)?.read_told = upto.0,
            Record::Receipt { conversation, delivered, read } => {
                let chat = self.chat(conversation)?;
                (chat.peer_delivered, chat.peer_read) = (delivered.0, read.0);
                self.applied.changes.push(Change::Receipt { conversation, delivered, read });
            }
            Record::Token(secret) => self.token(secret)?,
            Record::Started(starts) => drop(self.meta.insert("starts", starts.to_be_bytes().as_slice())?),
        }
        Ok(false)
    }

    fn write(&mut self, outgoing: &Outgoing, now: Timestamp) -> Result<(), StorageError> {
        let Outgoing { conversation, id, content } = outgoing;
        self.chat(*conversation)?;
        self.written += 1;
        let place = Place::waiting(self.written);
        self.outbox.insert(self.written, OutgoingRow::new(outgoing).encode_to_vec().as_slice())?;
        let body = match content.parts() {
            Parts::Shared(body) => Some(body),
            Parts::PerDevice(_) => None,
        };
        let row = MessageRow {
            id: id.0.to_vec(),
            own: true,
            serial: 0,
            at: now.millis(),
            kind: body.map_or(0, |body| body.kind),
            body: body.map(|body| body.bytes.to_vec()),
            failed: None,
            sender: 0,
        };
        self.put(*conversation, place, &row)?;
        self.applied.changes.push(Change::Message { conversation: *conversation, place, author: Author::Own, id: *id });
        // A group that is to be created has its name at once, so that it can be shown.
        if let Some(change @ GroupChange::Created { .. }) = body.and_then(|body| change_in(*conversation, body.kind, &body.bytes)) {
            self.changed(*conversation, Author::Own, &change)?;
        }
        Ok(())
    }

    /// A group has changed.
    fn changed(&mut self, group: ConversationId, by: Author, change: &GroupChange) -> Result<(), StorageError> {
        match change {
            GroupChange::Created { name, .. } => self.change_group(group, |row| (row.name, row.gone) = (name.clone(), false)),
            GroupChange::Renamed { name } => self.change_group(group, |row| row.name.clone_from(name)),
            GroupChange::Left if by == Author::Own => self.change_group(group, |row| row.gone = true),
            GroupChange::Removed { user } if Some(*user) == self.me()? => self.change_group(group, |row| row.gone = true),
            // Whoever comes back may have missed a change of the name.
            GroupChange::Added { users } if self.me()?.is_some_and(|me| users.contains(&me)) => {
                self.change_group(group, |row| (row.name, row.gone) = (String::new(), false))
            }
            GroupChange::Left
            | GroupChange::Removed { .. }
            | GroupChange::Added { .. }
            | GroupChange::RoleSet { .. }
            | GroupChange::AvatarSet { .. }
            | GroupChange::SettingsSet { .. } => Ok(()),
        }
    }

    fn change_group(&mut self, group: ConversationId, change: impl FnOnce(&mut ChatRow)) -> Result<(), StorageError> {
        let row = self.chat(group)?;
        let before = row.clone();
        change(row);
        if *row != before {
            self.applied.changes.push(Change::Group(group));
        }
        Ok(())
    }

    /// The user whose device this is; `None` in a profile without an account.
    fn me(&self) -> Result<Option<UserId>, StorageError> {
        let Some(row) = self.meta.get("account")? else { return Ok(None) };
        let row = AccountRow::decode(row.value()).map_err(|_| StorageError::Damaged("meta"))?;
        Ok(Token::parse(&row.token).ok().map(|token| token.device.user))
    }

    fn accept(&mut self, conversation: ConversationId, id: MessageId, seq: Seq, at: Timestamp, next: bool) -> Result<(), StorageError> {
        self.leave_outbox(conversation, id)?;
        let chat = self.chat(conversation)?;
        chat.own_last = chat.own_last.max(seq.0);
        if next {
            chat.cursor = chat.cursor.max(Some(seq.0));
        }
        // Where it has come back from the server before its acceptance, it has its place.
        if let Some(place) = self.place(conversation, Author::Own, id)?.filter(|place| place.is_waiting()) {
            let to = self.free_place(conversation, seq)?;
            let row = self.relocate(conversation, place, to, |row| row.at = at.millis())?;
            if let Some(change) = row.change(conversation) {
                self.changed(conversation, Author::Own, &change)?;
            }
        }
        self.applied.changes.push(Change::Accepted { conversation, id, seq });
        Ok(())
    }

    fn fail(&mut self, conversation: ConversationId, id: MessageId, reject: Reject) -> Result<(), StorageError> {
        self.leave_outbox(conversation, id)?;
        if let Some(place) = self.place(conversation, Author::Own, id)?.filter(|place| place.is_waiting()) {
            let chat = self.chat(conversation)?;
            let to = Place { log: chat.log, seq: chat.cursor.unwrap_or(0), tie: place.tie };
            let row = self.relocate(conversation, place, to, |row| row.failed = Some(reject.code()))?;
            if matches!(row.change(conversation), Some(GroupChange::Created { .. })) {
                self.change_group(conversation, |row| row.gone = true)?;
            }
        }
        self.applied.changes.push(Change::Failed { conversation, id, reject });
        Ok(())
    }

    fn receive(&mut self, conversation: ConversationId, delivery: Delivery, again: bool) -> Result<bool, StorageError> {
        let Delivery { seq, from, id, at, body } = delivery;
        let (author, serial, sender) = match from {
            Sender::Own(serial) => (Author::Own, serial, 0),
            Sender::Peer(serial) => (Author::Peer, serial, 0),
            Sender::Member(device) => (Author::Member(device.user), device.serial, device.user.0),
        };
        let own = author == Author::Own;
        let change = body.as_ref().and_then(|body| change_in(conversation, body.kind, &body.bytes));
        let known = self.place(conversation, author, id)?;
        let is_new = known.is_none();
        let chat = self.chat(conversation)?;
        if again && is_new {
            if chat.cursor >= Some(seq.0) {
                // The server's log is not the one that this device has seen: what comes now stands after all that has come before.
                chat.log += 1;
            }
            chat.cursor = Some(seq.0);
        } else {
            chat.cursor = chat.cursor.max(Some(seq.0));
        }
        if own {
            chat.own_last = chat.own_last.max(seq.0);
        } else if is_new && seq.0 > chat.read && change.is_none() {
            chat.unread += 1;
        }
        if let Some(change) = change.filter(|_| known.is_none_or(Place::is_waiting)) {
            self.changed(conversation, author, &change)?;
        }
        match known {
            Some(place) if place.is_waiting() => {
                let to = self.free_place(conversation, seq)?;
                self.relocate(conversation, place, to, |row| row.at = at.millis())?;
            }
            Some(_) => {}
            None => {
                let row = MessageRow {
                    id: id.0.to_vec(),
                    own,
                    serial: serial.into(),
                    at: at.millis(),
                    kind: body.as_ref().map_or(0, |body| body.kind),
                    body: body.map(|body| body.bytes.to_vec()),
                    failed: None,
                    sender,
                };
                let place = self.free_place(conversation, seq)?;
                self.put(conversation, place, &row)?;
                self.applied.changes.push(Change::Message { conversation, place, author, id });
            }
        }
        Ok(again && is_new)
    }

    fn read(&mut self, conversation: ConversationId, upto: Seq) -> Result<(), StorageError> {
        let before = self.chat(conversation)?.read;
        self.chat(conversation)?.read = upto.0;
        let logs = 0..=self.chat(conversation)?.log;
        let mut shown = 0;
        for log in logs {
            let place = |seq| rows::history_key(conversation, Place { log, seq, tie: 0 });
            for row in self.history.range::<&[u8; 36]>(&place(before.saturating_add(1))..&place(upto.0.saturating_add(1)))? {
                let (_, row) = row?;
                shown += u64::from(MessageRow::decode(row.value()).is_ok_and(|row| !row.own && row.change(conversation).is_none()));
            }
        }
        let chat = self.chat(conversation)?;
        chat.unread = chat.unread.saturating_sub(shown);
        self.applied.changes.push(Change::Read { conversation });
        Ok(())
    }

    fn token(&mut self, secret: Secret) -> Result<(), StorageError> {
        let damaged = || StorageError::Damaged("meta");
        let mut row = match self.meta.get("account")? {
            Some(row) => AccountRow::decode(row.value()).map_err(|_| damaged())?,
            None => return Err(damaged()),
        };
        let device = Token::parse(&row.token).map_err(|_| damaged())?.device;
        row.token = Token { device, secret }.to_text();
        self.meta.insert("account", row.encode_to_vec().as_slice())?;
        Ok(())
    }

    fn user(&mut self, user: UserId, change: UserChange) -> Result<(), StorageError> {
        let mut row = match self.users.get(user.0)? {
            Some(row) => UserRow::decode(row.value()).map_err(|_| StorageError::Damaged("users"))?,
            None => UserRow::default(),
        };
        match change {
            UserChange::Phone(phone) => {
                self.phones.insert(phone.as_str(), user.0)?;
                row.phone = phone.as_str().to_owned();
            }
            UserChange::Name(name) => row.name = name,
            UserChange::Contact(contact) => row.contact = contact.into(),
            UserChange::WrittenTo if row.contact == i32::from(Contact::Unknown) => row.contact = Contact::Wanted.into(),
            UserChange::WrittenTo => return Ok(()),
            UserChange::Blocked(blocked) => row.blocked = blocked,
        }
        self.users.insert(user.0, row.encode_to_vec().as_slice())?;
        self.applied.changes.push(Change::User(user));
        Ok(())
    }

    fn chat(&mut self, conversation: ConversationId) -> Result<&mut ChatRow, StorageError> {
        if !self.open.contains_key(&conversation) {
            let row = match self.chats.get(&rows::chat_key(conversation))? {
                Some(row) => ChatRow::decode(row.value()).map_err(|_| StorageError::Damaged("chats"))?,
                None => ChatRow::new(conversation),
            };
            self.open.insert(conversation, row);
        }
        Ok(self.open.get_mut(&conversation).expect("it was put there if it was not"))
    }

    fn place(&self, conversation: ConversationId, author: Author, id: MessageId) -> Result<Option<Place>, StorageError> {
        let row = match author {
            Author::Member(sender) => self.group_index.get(&rows::group_index_key(conversation, sender, id))?,
            Author::Own | Author::Peer => self.index.get(&rows::index_key(conversation, author == Author::Own, id))?,
        };
        Ok(row.map(|row| Place::from_bytes(row.value())))
    }

    /// The place of a position; behind it, if somebody stands there already.
    fn free_place(&mut self, conversation: ConversationId, seq: Seq) -> Result<Place, StorageError> {
        let place = Place { log: self.chat(conversation)?.log, seq: seq.0, tie: 0 };
        if self.history.get(&rows::history_key(conversation, place))?.is_none() {
            return Ok(place);
        }
        self.written += 1;
        Ok(Place { tie: self.written, ..place })
    }

    fn put(&mut self, conversation: ConversationId, place: Place, row: &MessageRow) -> Result<(), StorageError> {
        let id = rows::message_id(&row.id).expect("rows are made with whole ids");
        self.history.insert(&rows::history_key(conversation, place), row.encode_to_vec().as_slice())?;
        if row.sender == 0 {
            self.index.insert(&rows::index_key(conversation, row.own, id), &place.to_bytes())?;
        } else {
            self.group_index.insert(&rows::group_index_key(conversation, UserId(row.sender), id), &place.to_bytes())?;
        }
        Ok(())
    }

    fn relocate(
        &mut self,
        conversation: ConversationId,
        from: Place,
        to: Place,
        change: impl FnOnce(&mut MessageRow),
    ) -> Result<MessageRow, StorageError> {
        let row = self.history.remove(&rows::history_key(conversation, from))?.map(|row| MessageRow::decode(row.value()));
        let Some(Ok(mut row)) = row else { return Err(StorageError::Damaged("history")) };
        change(&mut row);
        self.put(conversation, to, &row)?;
        Ok(row)
    }

    /// What is accepted first stands in front, so this hardly ever looks further than the first row.
    fn leave_outbox(&mut self, conversation: ConversationId, id: MessageId) -> Result<(), StorageError> {
        let mut found = None;
        for row in self.outbox.iter()? {
            let (number, row) = row?;
            let row = OutgoingRow::decode(row.value()).map_err(|_| StorageError::Damaged("outbox"))?;
            if row.id == id.0 && row.conversation == rows::chat_key(conversation) {
                found = Some(number.value());
                break;
            }
        }
        if let Some(number) = found {
            self.outbox.remove(number)?;
        }
        Ok(())
    }
}

/// The change of a group that a body tells of.
fn change_in(conversation: ConversationId, kind: u32, bytes: &[u8]) -> Option<GroupChange> {
    if kind != change::KIND || conversation.pair().is_some() {
        return None;
    }
    GroupChange::of_body(&Body { kind, bytes: bytes.into() }).ok().flatten()
}

impl MessageRow {
    fn change(&self, conversation: ConversationId) -> Option<GroupChange> {
        change_in(conversation, self.kind, self.body.as_deref()?)
    }
}

impl ChatRow {
    fn new(conversation: ConversationId) -> Self {
        let StoredChat { cursor, own_last, read, read_told, peer_delivered, peer_read, .. } = StoredChat::new(conversation);
        Self {
            cursor: cursor.map(|cursor| cursor.0),
            own_last: own_last.0,
            read: read.0,
            read_told: read_told.0,
            peer_delivered: peer_delivered.0,
            peer_read: peer_read.0,
            log: 0,
            unread: 0,
            name: String::new(),
            gone: false,
        }
    }
}
