//! Rows that say nothing of real people, and behave as those that they are made of.
//!
//! Users, message ids, phone numbers, names, bodies and digests are replaced by what a secret makes of them, the same each time, so that rows
//! still belong together; the secret is fresh for each export and kept nowhere. Positions, times, lengths, kinds and numbers of devices stay. The
//! chain is made anew, and so are the digests in the index. Where a row was wrong it is wrong in the same way afterwards: the first thing that a
//! proof finds in a conversation, it finds again.

use std::collections::BTreeMap;

use doubletick_core::chain;
use doubletick_core::change::{self, Change};
use doubletick_core::content::Parts;
use doubletick_core::id::{ConversationId, DeviceId, Digest, GroupId, MessageId, Seq, UserId};
use doubletick_core::rows::{
    self, Account, FanOut, Group, Head, Index, LogEntry, Lowest, Place, Reached, Row as _, StoredBody, StoredContent,
};
use doubletick_core::store::Key;
use doubletick_core::verify::{Around, Fault, verify_alone};

use crate::conversation::Row;

/// Makes rows anonymous, one conversation after the other.
pub struct Anonymiser {
    secret: [u8; 32],
    log: Log,
}

/// What is known of the conversation at hand.
#[derive(Default)]
struct Log {
    /// Rows that stand before a log, and say where it ends: they are handed out after it.
    waiting: Vec<(Place, Vec<u8>)>,
    /// The last entry's link, as it was and as it is, and its position.
    last: Option<(Digest, Digest)>,
    before: Link,
    /// The digests of contents, as they were and as they are.
    digests: BTreeMap<Seq, (Digest, Digest)>,
}

/// The links over which the next entry's is made.
struct Link {
    was: Digest,
    is: Digest,
}

impl Default for Link {
    fn default() -> Self {
        Self { was: Digest::START, is: Digest::START }
    }
}

impl Anonymiser {
    /// With a secret that nobody else has, and that is forgotten with this.
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret, log: Log::default() }
    }

    /// The next row of the conversation at hand. What it becomes may come later; `give` gets rows in an order that
    /// [`doubletick_core::verify::Proof`] takes.
    ///
    /// # Errors
    /// Those of `give`.
    pub fn row<E>(&mut self, key: &Key, value: &[u8], mut give: impl FnMut(Row) -> Result<(), E>) -> Result<(), E> {
        let Some(place) = Place::of(key) else {
            self.release(&mut give)?;
            return give((self.unknown(key), self.bytes("unknown", key.as_bytes(), value.len())));
        };
        if matches!(place, Place::Head(_) | Place::Receipt(..)) && self.log.last.is_none() {
            self.log.waiting.push((place, value.to_vec()));
            return Ok(());
        }
        if let Place::Log(conversation, seq) = place {
            let value = self.entry(conversation, seq, value);
            return give((rows::log(self.conversation(conversation), seq).key, value));
        }
        self.release(&mut give)?;
        self.other(&place, value).map_or(Ok(()), give)
    }

    /// The rows of the conversation at hand have all come.
    ///
    /// # Errors
    /// Those of `give`.
    pub fn end_conversation<E>(&mut self, mut give: impl FnMut(Row) -> Result<(), E>) -> Result<(), E> {
        self.release(&mut give)?;
        self.log = Log::default();
        Ok(())
    }

    fn release<E>(&mut self, give: &mut impl FnMut(Row) -> Result<(), E>) -> Result<(), E> {
        let waiting = std::mem::take(&mut self.log.waiting);
        waiting.into_iter().filter_map(|(place, value)| self.other(&place, &value)).try_for_each(give)
    }

    fn entry(&mut self, conversation: ConversationId, seq: Seq, value: &[u8]) -> Vec<u8> {
        let Ok(entry) = LogEntry::decode(value) else { return self.garbled(&Place::Log(conversation, seq), value) };
        let LogEntry { sender, id, at, chain: link, mut tally, content } = entry;
        let was = digest(&content);
        let right = was.is_some_and(|digest| link == chain::link(&self.log.before.was, seq, sender, id, at, &digest));
        let content = self.content(conversation, seq, content);
        let (sender, id) = (self.device(sender), self.message(id));
        let is = digest(&content);
        let new_link = match is {
            Some(digest) if right => chain::link(&self.log.before.is, seq, sender, id, at, &digest),
            // Not what follows, as it was not before.
            _ => self.digest(link),
        };
        if self.is_turned(conversation) {
            tally.0.reverse();
        }
        self.log.digests.extend(was.zip(is).map(|digests| (seq, digests)));
        self.log.before = Link { was: link, is: new_link };
        self.log.last = Some((link, new_link));
        LogEntry { sender, id, at, chain: new_link, tally, content }.encode()
    }

    fn content(&self, conversation: ConversationId, seq: Seq, content: StoredContent) -> StoredContent {
        let mut number = 0_u32;
        let mut body = |StoredBody { kind, bytes }| {
            number += 1;
            let name = [rows::log(conversation, seq).key.as_bytes(), &number.to_le_bytes()].concat();
            StoredBody { kind, bytes: self.bytes("body", &name, bytes.len()).into() }
        };
        match content {
            StoredContent::Shared(shared) if conversation.pair().is_none() && shared.kind == change::KIND => {
                StoredContent::Shared(self.changed(shared))
            }
            StoredContent::Shared(shared) => StoredContent::Shared(body(shared)),
            StoredContent::PerDevice(bodies) => {
                StoredContent::PerDevice(bodies.into_iter().map(|(to, own)| (self.device(to), body(own))).collect())
            }
        }
    }

    /// A change of a group, which the log is folded by: of other people, with other names.
    fn changed(&self, body: StoredBody) -> StoredBody {
        let Ok(Some(change)) = Change::of_body(&body.clone().into()) else {
            // No first byte of a change is this, so this cannot be read either.
            let mut bytes = self.bytes("unreadable", &body.bytes, body.bytes.len());
            bytes.iter_mut().take(1).for_each(|byte| *byte = u8::MAX);
            return StoredBody { kind: body.kind, bytes: bytes.into() };
        };
        let users = |users: Vec<UserId>| users.into_iter().map(|user| self.user(user)).collect();
        let change = match change {
            Change::Created { name, members, settings } => Change::Created { name: self.name(&name), members: users(members), settings },
            Change::Added { users: added } => Change::Added { users: users(added) },
            Change::Removed { user } => Change::Removed { user: self.user(user) },
            Change::RoleSet { user, admin } => Change::RoleSet { user: self.user(user), admin },
            Change::Renamed { name } => Change::Renamed { name: self.name(&name) },
            Change::AvatarSet { avatar } => Change::AvatarSet { avatar: self.bytes("avatar", &avatar, avatar.len()) },
            Change::Left => Change::Left,
            Change::SettingsSet { settings } => Change::SettingsSet { settings },
        };
        match change.content().parts() {
            Parts::Shared(body) => body.into(),
            Parts::PerDevice(_) => unreachable!("a change has one body"),
        }
    }

    /// The same name for the same name, of the same length.
    fn name(&self, name: &str) -> String {
        self.bytes("name", name.as_bytes(), name.len()).iter().map(|byte| char::from(b'a' + byte % 26)).collect()
    }

    /// A row that is no entry of a log; `None` for one that says nothing of a conversation.
    fn other(&self, place: &Place, value: &[u8]) -> Option<Row> {
        let key = self.key(place)?;
        if matches!(verify_alone(place, value, Around::default()), Err(Fault::Damaged(_))) {
            return Some((key, self.garbled(place, value)));
        }
        let value = match place {
            Place::Head(conversation) => self.head(*conversation, Head::decode(value).ok()?).encode(),
            Place::Index(..) => self.index(Index::decode(value).ok()?).encode(),
            Place::Account(user) => self.account(*user, Account::decode(value).ok()?).encode(),
            Place::Group(_) => self.group(Group::decode(value).ok()?).encode(),
            Place::FanOut(_) => {
                let job = FanOut::decode(value).ok()?;
                FanOut { after: self.user(job.after), ..job }.encode()
            }
            Place::Reached(_) => {
                let Reached { delivered, read } = Reached::decode(value).ok()?;
                let renamed = |lowest: Lowest| Lowest { behind: self.user(lowest.behind), ..lowest };
                Reached { delivered: renamed(delivered), read: renamed(read) }.encode()
            }
            Place::Log(conversation, seq) => unreachable!("entry {seq} of {conversation} is no other row"),
            // Positions and times stay as they are; of the rest no row gets here.
            Place::Receipt(..)
            | Place::Member(..)
            | Place::PastMember(..)
            | Place::Sent(..)
            | Place::Trimmed(_)
            | Place::FanOutDue(_)
            | Place::SumDue(_)
            | Place::GroupCount(_)
            | Place::Chat(..)
            | Place::Dirty(..)
            | Place::Cursor(..)
            | Place::Contact(..)
            | Place::Block(..)
            | Place::LastSeen(_)
            | Place::Device(_)
            | Place::Phone(_)
            | Place::Verification(_)
            | Place::Session(_)
            | Place::Bell(_)
            | Place::SessionOf(..)
            | Place::Wake(..)
            | Place::Lease(_)
            | Place::Watcher(..) => value.to_vec(),
        };
        Some((key, value))
    }

    /// Where the row stands once names are replaced; `None` for one that says nothing of a conversation.
    fn key(&self, place: &Place) -> Option<Key> {
        let (of, user, device) = (|id: &_| self.conversation(*id), |id: &_| self.user(*id), |id: &_| self.device(*id));
        Some(match place {
            Place::Head(id) => rows::head(of(id)).key,
            Place::Receipt(id, who) => rows::receipt(of(id), user(who)).key,
            Place::Log(id, seq) => rows::log(of(id), *seq).key,
            Place::Index(id, who, message) => rows::index(of(id), user(who), self.message(*message)).key,
            Place::Group(id) => rows::group(of(id)).key,
            Place::Member(id, who) => rows::member(of(id), user(who)).key,
            Place::PastMember(id, who) => rows::past_member(of(id), user(who)).key,
            Place::Sent(id, who) => rows::sent(of(id), user(who)).key,
            Place::Trimmed(id) => rows::trimmed(of(id)).key,
            Place::FanOutDue(id) => rows::fan_out_due(of(id)).key,
            Place::FanOut(id) => rows::fan_out(of(id)).key,
            Place::Reached(id) => rows::reached(of(id)).key,
            Place::SumDue(id) => rows::sum_due(of(id)).key,
            Place::Account(who) => rows::account(user(who)).key,
            Place::Chat(who, id) => rows::chat(user(who), of(id)).key,
            Place::Dirty(at, id) => rows::dirty(device(at), of(id)).key,
            Place::Cursor(at, id) => rows::cursor(device(at), of(id)).key,
            Place::GroupCount(_)
            | Place::Contact(..)
            | Place::Block(..)
            | Place::LastSeen(_)
            | Place::Device(_)
            | Place::Phone(_)
            | Place::Verification(_)
            | Place::Session(_)
            | Place::Bell(_)
            | Place::SessionOf(..)
            | Place::Wake(..)
            | Place::Lease(_)
            | Place::Watcher(..) => return None,
        })
    }

    fn head(&self, conversation: ConversationId, mut head: Head) -> Head {
        head.chain = match self.log.last {
            Some((was, is)) if was == head.chain => is,
            None if head.chain == Digest::START => Digest::START,
            _ => self.digest(head.chain),
        };
        if self.is_turned(conversation) {
            head.tally.0.reverse();
            head.last_of.reverse();
            head.device_epochs.reverse();
        }
        head
    }

    fn index(&self, index: Index) -> Index {
        let known = self.log.digests.get(&index.seq).filter(|(was, _)| *was == index.digest);
        Index { digest: known.map_or_else(|| self.digest(index.digest), |(_, is)| *is), ..index }
    }

    fn group(&self, group: Group) -> Group {
        let avatar = self.bytes("avatar", &group.avatar, group.avatar.len());
        Group { name: self.name(&group.name), avatar, ..group }
    }

    fn account(&self, user: UserId, mut account: Account) -> Account {
        let name = user.0.to_be_bytes();
        let digits = self.bytes("phone", &name, account.phone.len());
        account.phone = digits.iter().enumerate().map(|(place, byte)| if place == 0 { '+' } else { char::from(b'1' + byte % 9) }).collect();
        for device in &mut account.devices {
            device.name = self.name(&device.name);
        }
        account
    }

    /// Another value that does not decode either, for the same reason, of the same length.
    fn garbled(&self, place: &Place, value: &[u8]) -> Vec<u8> {
        let mut garbled = value.to_vec();
        if let Some(body) = garbled.get_mut(ENVELOPE..) {
            body.copy_from_slice(&self.bytes("damaged", &value[..ENVELOPE], body.len()));
            // By chance it may be a value. Bytes that are all ones are none: no length, no choice among variants, no place is so great.
            if verify_alone(place, &garbled, Around::default()) != verify_alone(place, value, Around::default()) {
                garbled[ENVELOPE..].fill(u8::MAX);
            }
        }
        garbled
    }

    fn conversation(&self, conversation: ConversationId) -> ConversationId {
        match conversation {
            ConversationId::Direct(pair) => {
                let [low, high] = pair.users().map(|user| self.user(user));
                ConversationId::direct(low, high).expect("a hash tells two users apart")
            }
            ConversationId::Group(GroupId(id)) => {
                let mut id: [u8; 16] = self.array("group", &id);
                // As every group's name is.
                (id[0], id[6], id[8]) = (id[0] & 0x7f, 0x70 | (id[6] & 0x0f), 0x80 | (id[8] & 0x3f));
                ConversationId::Group(GroupId(id))
            }
        }
    }

    /// Whether the low side has become the high one.
    fn is_turned(&self, conversation: ConversationId) -> bool {
        conversation.pair().is_some_and(|pair| {
            let [low, high] = pair.users().map(|user| self.user(user));
            low > high
        })
    }

    fn user(&self, user: UserId) -> UserId {
        UserId(u64::from_be_bytes(self.array("user", &user.0.to_be_bytes())))
    }

    fn device(&self, device: DeviceId) -> DeviceId {
        DeviceId { user: self.user(device.user), serial: device.serial }
    }

    fn message(&self, id: MessageId) -> MessageId {
        MessageId(self.array("message", &id.0))
    }

    fn digest(&self, digest: Digest) -> Digest {
        Digest(self.array("digest", &digest.0))
    }

    /// A key that is none of the row table's either, among the rows of the same conversation.
    fn unknown(&self, key: &Key) -> Key {
        let conversation = rows::conversation_of(key).map(|conversation| self.conversation(conversation));
        let mut bytes = conversation.map_or_else(Vec::new, |conversation| rows::head(conversation).key.as_bytes().to_vec());
        // In place of the byte that says what kind of row it is.
        bytes.pop();
        bytes.push(NO_KIND);
        bytes.extend_from_slice(&self.array::<8>("unknown", key.as_bytes()));
        Key::new(&bytes)
    }

    fn array<const N: usize>(&self, what: &str, name: &[u8]) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(what, name, &mut bytes);
        bytes
    }

    fn bytes(&self, what: &str, name: &[u8], length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.fill(what, name, &mut bytes);
        bytes
    }

    fn fill(&self, what: &str, name: &[u8], into: &mut [u8]) {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(what.as_bytes()).update(&[0]).update(name);
        hasher.finalize_xof().fill(into);
    }
}

/// Bytes before a value's archive: its schema and its kind.
const ENVELOPE: usize = 3;

/// No row of a conversation is of this kind.
const NO_KIND: u8 = 0xfe;

fn digest(content: &StoredContent) -> Option<Digest> {
    content.clone().digest().ok()
}

impl std::fmt::Debug for Anonymiser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the secret.
        f.debug_struct("Anonymiser").finish_non_exhaustive()
    }
}
