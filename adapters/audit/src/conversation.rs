//! All rows about one conversation, as of one moment.

use std::collections::{BTreeMap, BTreeSet};

use doubletick_core::id::{ConversationId, DeviceId, Seq, UserId};
use doubletick_core::rows::{self, Account, Head, Index, Place, Row as _};
use doubletick_core::store::{Key, Missing, Snapshot};
use doubletick_store::readable::{ReadError, Readable, Reading, Stage};

/// A row as it is stored.
pub type Row = (Key, Vec<u8>);

/// Rows of a log or an index that are read at a time: a log's may be large.
const PAGE: u32 = 128;

/// More rows than a conversation has beside its log and index.
const BESIDE: u32 = 100_000;

/// What stands where conversations do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Rows of a conversation.
    Conversation(ConversationId),
    /// A key that is none of the row table's, and of no conversation.
    Unknown(Key),
}

/// The next conversations from a key on, at most `limit`, each with the key from which on to look for those after it.
///
/// # Errors
/// Those of the store.
pub fn next(store: &impl Readable, from: Option<Key>, limit: usize) -> Result<Vec<(Found, Key)>, ReadError> {
    store.read(Next { from, limit })
}

#[derive(Clone)]
struct Next {
    from: Option<Key>,
    limit: usize,
}

impl Reading for Next {
    type Answer = Vec<(Found, Key)>;

    fn run(&self, snapshot: &mut dyn Snapshot) -> Result<Self::Answer, Missing> {
        let mut found = Vec::new();
        let mut from = self.from;
        while found.len() < self.limit {
            let mut stage = Stage::new(snapshot);
            let first = stage.rows(&rows::conversations(from, 1));
            stage.end()?;
            let Some((key, _)) = first.first() else { break };
            let next = match rows::conversation_of(key) {
                Some(conversation) => (Found::Conversation(conversation), rows::conversation_end(conversation)),
                None => (Found::Unknown(*key), key.after()),
            };
            found.push(next);
            from = Some(next.1);
        }
        Ok(found)
    }
}

/// Hands over all rows about a conversation: its own, and what the rows of its people say of it, in an order that
/// [`doubletick_core::verify::Proof`] takes. Returns how many there were.
///
/// # Errors
/// Those of the store, and whatever `take` says.
pub fn rows_of<E: From<ReadError>>(
    store: &impl Readable,
    conversation: ConversationId,
    mut take: impl FnMut(Key, Vec<u8>) -> Result<(), E>,
) -> Result<u64, E> {
    let mut count = 0;
    let mut give = |(key, value): Row| {
        count += 1;
        take(key, value)
    };
    let opened = store.read(Opening(conversation))?;
    let end = opened.log.head;
    opened.before.into_iter().try_for_each(&mut give)?;
    for (part, first) in [(Part::Log, opened.log), (Part::Index, opened.index)] {
        let mut page = first;
        loop {
            let next = page.rows.last().filter(|_| page.rows.len() == PAGE as usize).map(|(key, _)| key.after());
            for row in page.rows {
                if !is_newer(&row, end, page.head) {
                    give(row)?;
                }
            }
            let Some(from) = next else { break };
            page = store.read(Page { conversation, part, from: Some(from) })?;
        }
    }
    opened.after.into_iter().chain(opened.people).try_for_each(&mut give)?;
    Ok(count)
}

/// Whether a row was written after the moment as of which the conversation is read. What lies beyond the head of its own moment was not: it is
/// wrong.
fn is_newer((key, value): &Row, end: Option<Seq>, head: Option<Seq>) -> bool {
    let (Some(end), Some(head)) = (end, head) else { return false };
    let place = Place::of(key);
    let seq = if let Some(Place::Log(_, seq)) = place {
        Some(seq)
    } else if let Some(Place::Index(..)) = place {
        Index::decode(value).ok().map(|index| index.seq)
    } else {
        None
    };
    seq.is_some_and(|seq| seq > end && seq <= head)
}

#[derive(Clone, Copy)]
enum Part {
    Log,
    Index,
}

/// What is short about a conversation, and the beginnings of what may be long.
#[derive(Clone)]
struct Opening(ConversationId);

struct Opened {
    /// Head and receipts, which stand before the log.
    before: Vec<Row>,
    log: Paged,
    index: Paged,
    /// What stands after the index: of a group, what it is and who is in it.
    after: Vec<Row>,
    /// What the rows of its people and jobs say of it, in the order of keys, and the accounts.
    people: Vec<Row>,
}

/// A page, and where the log ended in the state from which it was read.
struct Paged {
    rows: Vec<Row>,
    head: Option<Seq>,
}

impl Reading for Opening {
    type Answer = Opened;

    fn run(&self, snapshot: &mut dyn Snapshot) -> Result<Opened, Missing> {
        let conversation = self.0;
        let mut stage = Stage::new(snapshot);
        let [before, after] = rows::beside_log(conversation, BESIDE).map(|scan| stage.rows(&scan));
        let log = stage.rows(&rows::log_rows(conversation, None, PAGE));
        let index = stage.rows(&rows::index_rows(conversation, None, PAGE));
        let jobs = [rows::fan_out_due(conversation).key, rows::fan_out(conversation).key];
        let jobs: Vec<_> = jobs.into_iter().filter_map(|key| Some((key, stage.row(&key)?))).collect();
        let mut people = BTreeMap::new();
        if let Some(pair) = conversation.pair() {
            pair.users().into_iter().for_each(|user| lists(&mut stage, conversation, user, &mut people));
        }
        stage.end()?;
        for user in members(&after) {
            lists(&mut stage, conversation, user, &mut people);
        }
        stage.end()?;
        for device in people.iter().filter_map(|(key, value)| devices(key, value)).flatten().collect::<Vec<_>>() {
            for key in [rows::dirty(device, conversation).key, rows::cursor(device, conversation).key] {
                people.extend(stage.row(&key).map(|value| (key, value)));
            }
        }
        stage.end()?;
        let head = before.iter().find(|(key, _)| *key == rows::head(conversation).key).and_then(|(_, value)| end_of(value));
        let paged = |rows| Paged { rows, head };
        let people = people.into_iter().chain(jobs).collect();
        Ok(Opened { before, log: paged(log), index: paged(index), after, people })
    }
}

/// The members of a group, and those who were, if their rows say so.
fn members(rows: &[Row]) -> BTreeSet<UserId> {
    let member = |(key, _): &Row| {
        let place = Place::of(key)?;
        if let Place::Member(_, user) | Place::PastMember(_, user) = place { Some(user) } else { None }
    };
    rows.iter().filter_map(member).collect()
}

/// A user's account, and the conversation on the user's list.
fn lists(stage: &mut Stage, conversation: ConversationId, user: UserId, people: &mut BTreeMap<Key, Vec<u8>>) {
    for key in [rows::account(user).key, rows::chat(user, conversation).key] {
        people.extend(stage.row(&key).map(|value| (key, value)));
    }
}

/// The devices of an account.
fn devices(key: &Key, value: &[u8]) -> Option<Vec<DeviceId>> {
    let Some(Place::Account(user)) = Place::of(key) else { return None };
    let account = Account::decode(value).ok()?;
    Some(account.devices.iter().map(|device| DeviceId { user, serial: device.serial }).collect())
}

/// One more page.
#[derive(Clone)]
struct Page {
    conversation: ConversationId,
    part: Part,
    from: Option<Key>,
}

impl Reading for Page {
    type Answer = Paged;

    fn run(&self, snapshot: &mut dyn Snapshot) -> Result<Paged, Missing> {
        let mut stage = Stage::new(snapshot);
        let head = stage.row(&rows::head(self.conversation).key);
        let scan = match self.part {
            Part::Log => rows::log_rows(self.conversation, self.from, PAGE),
            Part::Index => rows::index_rows(self.conversation, self.from, PAGE),
        };
        let rows = stage.rows(&scan);
        stage.end()?;
        Ok(Paged { rows, head: head.as_deref().and_then(end_of) })
    }
}

fn end_of(head: &[u8]) -> Option<Seq> {
    Head::decode(head).ok().map(|head| head.seq)
}
