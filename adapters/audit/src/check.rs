//! The proof of a whole store: every conversation, then every row of users, devices and phone numbers.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use doubletick_core::id::{ConversationId, Seq, UserId};
use doubletick_core::rows::{self, ChatRow, Counter, Head, Place, Row as _};
use doubletick_core::store::{Key, Missing, Snapshot};
use doubletick_core::verify::{Around, Fault, Names, Problem, Proof, Report, verify_alone};
use doubletick_store::readable::{ReadError, Readable, Reading, Stage};

use crate::conversation::{Found, Row, next, rows_of};
use crate::findings::Findings;

/// Conversations that a reader takes at a time.
const BATCH: usize = 16;

/// Messages of a conversation that are kept by name, a hundred bytes each.
const NAMED: usize = 1 << 16;

/// Rows of people that are read at a time.
const PAGE: u32 = 256;

/// What was proved so far, and what that has shown.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Conversations.
    pub conversations: u64,
    /// Entries of their logs.
    pub entries: u64,
    /// Rows in all. Those of people about a conversation are looked at twice and counted once.
    pub rows: u64,
    /// What is wrong.
    pub findings: Findings,
}

/// Proves a whole store with so many readings at a time. `progress` is told from time to time how far it is.
///
/// Keeps in memory: for each reader a page of rows, and of the conversation that it is at the names of some messages.
///
/// # Errors
/// Those of the store: then nothing is proved.
pub fn check(store: &impl Readable, readers: usize, progress: &(dyn Fn(&Checked) + Sync)) -> Result<Checked, ReadError> {
    let shared = Shared { from: Mutex::new(Some(None)), checked: Mutex::default() };
    thread::scope(|scope| {
        let readers: Vec<_> = (0..readers.max(1)).map(|_| scope.spawn(|| conversations(store, &shared, progress))).collect();
        readers.into_iter().try_for_each(|reader| reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let mut checked = shared.checked.into_inner().unwrap_or_else(PoisonError::into_inner);
    people(store, &mut checked, progress)?;
    Ok(checked)
}

/// Proves one conversation, keeping the names of at most about so many of its messages, and counts its own rows.
///
/// If something is wrong with the index of a longer one, it is read again, in shares, until the message is found with which that is so.
///
/// # Errors
/// Those of the store.
pub fn prove(store: &impl Readable, conversation: ConversationId, named: usize) -> Result<(Report, u64), ReadError> {
    let (report, own) = prove_naming(store, conversation, Names::UpTo(named))?;
    if report.problems.iter().any(|problem| problem.fault == Fault::IndexDisagrees) {
        let of = report.entries.div_ceil(named.max(1) as u64);
        for nth in 0..of {
            let (share, _) = prove_naming(store, conversation, Names::Share { nth, of })?;
            if !share.problems.is_empty() {
                return Ok((share, own));
            }
        }
    }
    Ok((report, own))
}

fn prove_naming(store: &impl Readable, conversation: ConversationId, names: Names) -> Result<(Report, u64), ReadError> {
    let mut proof = Proof::naming(names);
    let mut own = 0;
    rows_of(store, conversation, |key, value| {
        own += u64::from(rows::conversation_of(&key).is_some());
        proof.row(key, &value);
        Ok::<_, ReadError>(())
    })?;
    Ok((proof.finish(), own))
}

/// What the readers share.
struct Shared {
    /// Where the next conversations are; nothing once there are no more, or one of the readers has failed.
    from: Mutex<Option<Option<Key>>>,
    checked: Mutex<Checked>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn take(&self, store: &impl Readable) -> Result<Vec<Found>, ReadError> {
        let mut from = lock(&self.from);
        let Some(begin) = *from else { return Ok(Vec::new()) };
        // If this fails, nobody goes on.
        *from = None;
        let found = next(store, begin, BATCH)?;
        *from = found.last().map(|(_, after)| Some(*after));
        Ok(found.into_iter().map(|(found, _)| found).collect())
    }
}

fn conversations(store: &impl Readable, shared: &Shared, progress: &(dyn Fn(&Checked) + Sync)) -> Result<(), ReadError> {
    loop {
        let batch = shared.take(store)?;
        if batch.is_empty() {
            return Ok(());
        }
        for found in batch {
            match found {
                Found::Conversation(conversation) => {
                    let (report, own) = prove(store, conversation, NAMED).inspect_err(|_| *lock(&shared.from) = None)?;
                    let mut checked = lock(&shared.checked);
                    checked.add(report, own);
                    progress(&checked);
                }
                Found::Unknown(key) => {
                    let mut checked = lock(&shared.checked);
                    checked.rows += 1;
                    checked.findings.note(Problem { key, conversation: None, fault: Fault::UnknownKey });
                }
            }
        }
    }
}

impl Checked {
    fn add(&mut self, report: Report, rows: u64) {
        self.rows += rows;
        self.conversations += report.conversations;
        self.entries += report.entries;
        // Rows of people that are wrong by themselves are found again with those of all people.
        let own = |problem: &Problem| problem.conversation.is_some() || rows::conversation_of(&problem.key).is_some();
        report.problems.into_iter().filter(own).for_each(|problem| self.findings.note(problem));
    }
}

fn people(store: &impl Readable, checked: &mut Checked, progress: &(dyn Fn(&Checked) + Sync)) -> Result<(), ReadError> {
    let mut from = None;
    let mut groups = Groups::default();
    loop {
        let Swept { rows, around } = store.read(People { from })?;
        checked.rows += rows.len() as u64;
        for (key, value) in &rows {
            let place = Place::of(key);
            if let Some(user) = groups.row(place.as_ref(), value) {
                recount(store, user, checked)?;
            }
            let conversation = place.as_ref().and_then(Place::conversation);
            let around = around.get(key).copied().unwrap_or_default();
            let proved = place.ok_or(Fault::UnknownKey).and_then(|place| verify_alone(&place, value, around));
            if let Err(fault) = proved {
                checked.findings.note(Problem { key: *key, conversation, fault });
            }
        }
        progress(checked);
        match rows.last() {
            Some((key, _)) if rows.len() == PAGE as usize => from = Some(key.after()),
            _ => break,
        }
    }
    match groups.end() {
        Some(user) => recount(store, user, checked),
        None => Ok(()),
    }
}

/// In how many groups the user is whose rows are coming in, by their list and by their count.
#[derive(Default)]
struct Groups {
    user: Option<UserId>,
    listed: u64,
    stored: u64,
}

impl Groups {
    /// Takes in a row. If it is the first of another user, and the last one's numbers differ: whose they were.
    fn row(&mut self, place: Option<&Place>, value: &[u8]) -> Option<UserId> {
        let (Place::Account(user) | Place::Chat(user, _) | Place::GroupCount(user)) = place? else { return None };
        let ended = if self.user == Some(*user) { None } else { self.end() };
        self.user = Some(*user);
        if let Place::Chat(_, conversation) = place? {
            self.listed += u64::from(conversation.pair().is_none() && ChatRow::decode(value).is_ok());
        } else if let Place::GroupCount(_) = place? {
            // A damaged one is told by itself.
            self.stored = Counter::decode(value).map_or(self.listed, |Counter(count)| count);
        }
        ended
    }

    fn end(&mut self) -> Option<UserId> {
        let Self { user, listed, stored } = std::mem::take(self);
        user.filter(|_| listed != stored)
    }
}

/// A user's list and count came from different moments, perhaps: they are read again, from one.
fn recount(store: &impl Readable, user: UserId, checked: &mut Checked) -> Result<(), ReadError> {
    let (counted, stored) = store.read(Recount(user))?;
    if counted != stored {
        let fault = Fault::Miscounted { counted, stored };
        checked.findings.note(Problem { key: rows::group_count(user).key, conversation: None, fault });
    }
    Ok(())
}

/// The groups on a user's list, and the stored count of them.
#[derive(Clone)]
struct Recount(UserId);

impl Reading for Recount {
    type Answer = (u64, u64);

    fn run(&self, snapshot: &mut dyn Snapshot) -> Result<(u64, u64), Missing> {
        let mut stage = Stage::new(snapshot);
        let stored = stage.row(&rows::group_count(self.0).key);
        let mut counted = 0;
        let mut after = None;
        loop {
            let page = stage.rows(&rows::chats(self.0, after, PAGE));
            stage.end()?;
            let groups = page.iter().filter(|(key, value)| {
                rows::chat_of(key).is_some_and(|conversation| conversation.pair().is_none()) && ChatRow::decode(value).is_ok()
            });
            counted += groups.count() as u64;
            match page.last() {
                Some((key, _)) if page.len() == PAGE as usize => after = rows::chat_of(key),
                _ => break,
            }
        }
        Ok((counted, stored.and_then(|value| Counter::decode(&value).ok()).map_or(0, |Counter(count)| count)))
    }
}

/// A page of rows of people and jobs, and what stands around those that speak of a conversation.
#[derive(Clone)]
struct People {
    from: Option<Key>,
}

struct Swept {
    rows: Vec<Row>,
    around: BTreeMap<Key, Around>,
}

impl Reading for People {
    type Answer = Swept;

    fn run(&self, snapshot: &mut dyn Snapshot) -> Result<Swept, Missing> {
        let mut stage = Stage::new(snapshot);
        let rows = stage.rows(&rows::people(self.from, PAGE));
        stage.end()?;
        let mut heads = BTreeMap::new();
        let mut around = BTreeMap::new();
        for (key, _) in &rows {
            let Some(place) = Place::of(key) else { continue };
            let Some(conversation) = place.conversation() else { continue };
            let head = *heads.entry(conversation).or_insert_with(|| {
                let head = stage.row(&rows::head(conversation).key)?;
                // Of a head that is damaged nobody knows how far it went, and it is found by itself.
                Some(Head::decode(&head).map_or(Seq(u64::MAX), |head| head.seq))
            });
            let listed_by = if let Place::Chat(user, _) = place { Some(user) } else { None };
            let listed_by = listed_by.filter(|_| conversation.pair().is_none());
            let member = listed_by.is_some_and(|user| stage.row(&rows::member(conversation, user).key).is_some());
            around.insert(*key, Around { head, member });
        }
        stage.end()?;
        Ok(Swept { rows, around })
    }
}
