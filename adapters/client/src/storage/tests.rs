#[allow(dead_code, reason = "shared with the tests over sockets, which use more of it")]
#[path = "../../tests/devices/disk.rs"]
mod disk;

use std::collections::BTreeMap;

use disk::{Disk, Unsynced};
use doubletick_core::change::Change as GroupChange;
use doubletick_core::client::{Outgoing, Record, SaveId};
use doubletick_core::content::{Body, Content, Parts};
use doubletick_core::frame::{Delivery, Sender};
use doubletick_core::id::{ConversationId, DeviceId, MessageId, Phone, Secret, Seq, UserId};
use doubletick_core::reject::Reject;
use doubletick_core::time::Timestamp;
use doubletick_wire::Token;
use proptest::prelude::*;

use super::{Contact, Job, Storage, StorageError, StoredAccount, UserChange};
use crate::model::{Chat, State};

const ME: DeviceId = DeviceId { user: UserId(1), serial: 1 };

fn chat(peer: u8) -> ConversationId {
    ConversationId::direct(ME.user, UserId(10 + u64::from(peer))).unwrap()
}

fn id(n: u8) -> MessageId {
    MessageId([n; 16])
}

fn outgoing(peer: u8, n: u8) -> Outgoing {
    Outgoing { conversation: chat(peer), id: id(n), content: Content::shared(0, format!("message {n}").into_bytes()).unwrap() }
}

fn received(peer: u8, seq: u64, from: Sender, n: u8, again: bool) -> Record {
    let body = Some(Body { kind: 0, bytes: format!("message {n}").into_bytes().into() });
    let delivery = Delivery { seq: Seq(seq), from, id: id(n), at: Timestamp::from_millis(1000 + seq), body };
    Record::Received { conversation: chat(peer), delivery, again }
}

fn accepted(peer: u8, n: u8, seq: u64, next: bool) -> Record {
    Record::Accepted { conversation: chat(peer), id: id(n), seq: Seq(seq), at: Timestamp::from_millis(1000 + seq), next }
}

/// A profile on a disk, with the numbers of its records.
struct Kept {
    storage: Storage,
    saves: u64,
}

impl Kept {
    fn on(disk: &Disk) -> Self {
        Self { storage: Storage::on(disk.clone()).unwrap(), saves: 0 }
    }

    /// Stores a batch; says how many records were new after all.
    fn store(&mut self, records: impl IntoIterator<Item = Record>) -> Result<usize, StorageError> {
        let mut jobs = vec![];
        for record in records {
            self.saves += 1;
            jobs.push(Job::Record(SaveId(self.saves), record, Timestamp::from_millis(self.saves)));
        }
        Ok(self.storage.apply(jobs)?.new_after_all.len())
    }

    fn texts(&self, peer: u8) -> Vec<String> {
        let history = self.storage.history(chat(peer), None, 1000).unwrap();
        history.iter().map(|message| format!("{} {}", message.body.display(), tick(message.state))).collect()
    }

    fn unread(&self, peer: u8) -> u64 {
        self.storage.chats(ME.user).unwrap().iter().find(|known| known.conversation == chat(peer)).map_or(0, |chat| chat.unread)
    }

    fn outbox(&self) -> Vec<MessageId> {
        self.storage.stored(ME, Secret([0; 32])).unwrap().outbox.iter().map(|outgoing| outgoing.id).collect()
    }
}

/// The user on the other side.
fn peer_of(chat: &Chat) -> u64 {
    chat.conversation.peer(ME.user).unwrap().0
}

fn tick(state: State) -> &'static str {
    match state {
        State::Received => "<",
        State::Waiting => "·",
        State::Sent => "✓",
        State::Delivered => "✓✓",
        State::Read => "✓✓ read",
        State::Failed { .. } => "!",
    }
}

#[test]
fn messages_stand_in_the_order_of_the_log_and_those_that_wait_at_the_end() {
    let mut it = Kept::on(&Disk::default());
    it.store([
        Record::Written(outgoing(0, 1)),
        Record::Written(outgoing(0, 2)),
        received(0, 1, Sender::Peer(1), 8, false),
        accepted(0, 1, 2, true),
    ])
    .unwrap();
    assert_eq!(it.texts(0), ["message 8 <", "message 1 ✓", "message 2 ·"]);
    assert_eq!(it.outbox(), [id(2)]);

    it.store([received(0, 3, Sender::Peer(1), 9, false), accepted(0, 2, 4, true)]).unwrap();
    it.store([Record::Receipt { conversation: chat(0), delivered: Seq(4), read: Seq(2) }]).unwrap();
    assert_eq!(it.texts(0), ["message 8 <", "message 1 ✓✓ read", "message 9 <", "message 2 ✓✓"]);
    assert_eq!(it.outbox(), []);
}

#[test]
fn a_message_that_comes_back_before_its_acceptance_is_shown_once_and_leaves_the_outbox() {
    let mut it = Kept::on(&Disk::default());
    it.store([Record::Written(outgoing(0, 1))]).unwrap();
    it.store([received(0, 1, Sender::Own(ME.serial), 1, false)]).unwrap();
    assert_eq!((it.texts(0), it.outbox()), (vec!["message 1 ✓".to_owned()], vec![id(1)]));
    it.store([accepted(0, 1, 1, false)]).unwrap();
    assert_eq!((it.texts(0), it.outbox()), (vec!["message 1 ✓".to_owned()], vec![]));
}

#[test]
fn the_same_id_from_both_sides_is_two_messages() {
    let mut it = Kept::on(&Disk::default());
    it.store([received(0, 1, Sender::Peer(1), 1, false), received(0, 2, Sender::Own(2), 1, false)]).unwrap();
    assert_eq!(it.texts(0), ["message 1 <", "message 1 ✓"]);
}

#[test]
fn a_refused_message_stays_where_it_was_written() {
    let mut it = Kept::on(&Disk::default());
    it.store([received(0, 1, Sender::Peer(1), 8, false), Record::Written(outgoing(0, 1))]).unwrap();
    it.store([Record::Failed { conversation: chat(0), id: id(1), reject: Reject::NotAllowed }]).unwrap();
    it.store([received(0, 2, Sender::Peer(1), 9, false)]).unwrap();
    assert_eq!(it.texts(0), ["message 8 <", "message 1 !", "message 9 <"]);
    assert_eq!(it.outbox(), []);
}

#[test]
fn a_server_that_was_restored_goes_on_after_what_it_has_forgotten() {
    let mut it = Kept::on(&Disk::default());
    it.store([1, 2, 3].map(|n| received(0, n.into(), Sender::Peer(1), n, false))).unwrap();
    // Positions 2 and 3 are given out again. One batch, as the machine does not know yet.
    let new = it.store([received(0, 2, Sender::Peer(1), 12, true), received(0, 3, Sender::Peer(1), 13, true)]).unwrap();
    assert_eq!(new, 2);
    it.store([received(0, 4, Sender::Peer(1), 14, false)]).unwrap();
    assert_eq!(it.texts(0), ["message 1 <", "message 2 <", "message 3 <", "message 12 <", "message 13 <", "message 14 <"]);
    let stored = it.storage.stored(ME, Secret([0; 32])).unwrap();
    assert_eq!(stored.chats[0].cursor, Some(Seq(4)));
    it.store([Record::Read { conversation: chat(0), upto: Seq(4) }]).unwrap();
    assert_eq!(it.unread(0), 0);
}

#[test]
fn history_comes_in_pages_from_the_end() {
    let mut it = Kept::on(&Disk::default());
    it.store((1..=5).map(|n| received(0, n.into(), Sender::Peer(1), n, false))).unwrap();
    it.store([Record::Written(outgoing(1, 9))]).unwrap();
    let texts = |before, limit| -> (Vec<String>, Option<super::Place>) {
        let page = it.storage.history(chat(0), before, limit).unwrap();
        (page.iter().map(|message| message.body.display().into_owned()).collect(), page.first().map(|message| message.place))
    };
    let (page, first) = texts(None, 2);
    assert_eq!(page, ["message 4", "message 5"]);
    let (page, first) = texts(first, 2);
    assert_eq!(page, ["message 2", "message 3"]);
    assert_eq!(texts(first, 2).0, ["message 1"]);
}

#[test]
fn messages_of_two_members_with_one_id_are_two_messages() {
    let mut it = Kept::on(&Disk::default());
    let group: ConversationId = "group-0190f5fe7c007000800000000000000a".parse().unwrap();
    let from = |seq, user, again| {
        let from = Sender::Member(DeviceId { user: UserId(user), serial: 1 });
        let Record::Received { delivery, .. } = received(0, seq, from, 1, again) else { unreachable!("it is one") };
        Record::Received { conversation: group, delivery, again }
    };
    assert_eq!(it.store([from(1, 11, false), from(2, 12, false)]).unwrap(), 0);
    assert_eq!(it.store([from(1, 11, true), from(2, 12, true)]).unwrap(), 0, "both are known when they come again");
    let history = it.storage.history(group, None, 10).unwrap();
    let shown: Vec<_> = history.iter().map(|message| (message.place.seq(), message.from)).collect();
    assert_eq!(shown, [(Some(Seq(1)), Some(UserId(11))), (Some(Seq(2)), Some(UserId(12)))]);
    assert_eq!(it.storage.chats(ME.user).unwrap()[0].unread, 2);
}

#[test]
fn a_group_is_called_as_its_changes_say_and_they_count_as_no_message() {
    let mut it = Kept::on(&Disk::default());
    let token = Token { device: ME, secret: Secret([7; 32]) };
    let phone = Phone::parse("+4915100000001").unwrap();
    it.storage.set_account(&StoredAccount { token, phone, server: "http://127.0.0.1:1".into() }).unwrap();
    let group: ConversationId = "group-0190f5fe7c007000800000000000000a".parse().unwrap();
    let mut seq = 0;
    let mut happens = |it: &mut Kept, change: GroupChange| {
        seq += 1;
        let from = Sender::Member(DeviceId { user: UserId(11), serial: 1 });
        let Parts::Shared(body) = change.content().parts().clone() else { unreachable!("a change is for all") };
        let delivery = Delivery { seq: Seq(seq), from, id: id(seq as u8), at: Timestamp::default(), body: Some(body) };
        it.store([Record::Received { conversation: group, delivery, again: false }]).unwrap();
        let known = it.storage.group(group).unwrap();
        (known.name.unwrap_or_default(), known.member)
    };
    let created = GroupChange::Created { name: "Us".into(), members: vec![ME.user], settings: Default::default() };
    assert_eq!(happens(&mut it, created), ("Us".into(), true));
    assert_eq!(happens(&mut it, GroupChange::Renamed { name: "Them".into() }), ("Them".into(), true));
    assert_eq!(happens(&mut it, GroupChange::Left), ("Them".into(), true), "somebody else has left");
    assert_eq!(happens(&mut it, GroupChange::Removed { user: ME.user }), ("Them".into(), false));
    assert_eq!(happens(&mut it, GroupChange::Added { users: vec![ME.user] }), (String::new(), true), "it may have another name");
    assert_eq!(it.storage.chats(ME.user).unwrap()[0].unread, 0);
    it.store([Record::Read { conversation: group, upto: Seq(5) }]).unwrap();
    assert_eq!(it.storage.chats(ME.user).unwrap()[0].unread, 0);
}

#[test]
fn the_conversation_with_the_latest_message_comes_first() {
    let mut it = Kept::on(&Disk::default());
    it.store([received(0, 5, Sender::Peer(1), 1, false), received(1, 7, Sender::Peer(1), 2, false)]).unwrap();
    let peers = |it: &Kept| it.storage.chats(ME.user).unwrap().iter().map(peer_of).collect::<Vec<_>>();
    assert_eq!(peers(&it), [11, 10]);
    it.store([received(0, 8, Sender::Peer(1), 3, false)]).unwrap();
    assert_eq!(peers(&it), [10, 11]);
}

#[test]
fn whoever_is_written_to_becomes_a_contact_unless_they_were_taken_off() {
    let storage = Storage::on(Disk::default()).unwrap();
    let user = UserId(10);
    let apply = |change| drop(storage.apply(vec![Job::User(user, change)]).unwrap());
    let contact = || storage.address(user).unwrap().contact;
    apply(UserChange::WrittenTo);
    assert_eq!(contact(), Contact::Wanted);
    apply(UserChange::Contact(Contact::Listed));
    apply(UserChange::WrittenTo);
    assert_eq!(contact(), Contact::Listed);
    apply(UserChange::Contact(Contact::Removed));
    apply(UserChange::WrittenTo);
    assert_eq!(contact(), Contact::Removed);

    apply(UserChange::Phone(Phone::parse("+4915100000001").unwrap()));
    apply(UserChange::Name("Ada".into()));
    let address = storage.address(user).unwrap();
    assert_eq!((address.name.as_deref(), storage.user_of(&address.phone.unwrap()).unwrap()), (Some("Ada"), Some(user)));
}

#[test]
fn a_new_token_takes_the_place_of_the_old_one() {
    let storage = Storage::on(Disk::default()).unwrap();
    assert_eq!(storage.account().unwrap(), None);
    let phone = Phone::parse("+4915100000001").unwrap();
    storage.set_registering(&phone, Secret([1; 32])).unwrap();
    assert_eq!(storage.registering().unwrap(), Some((phone.clone(), Secret([1; 32]))));
    let account = StoredAccount { token: Token { device: ME, secret: Secret([1; 32]) }, phone, server: "http://here:1".into() };
    storage.set_account(&account).unwrap();
    assert_eq!(storage.account().unwrap(), Some(account.clone()));
    assert_eq!(storage.registering().unwrap(), None);
    storage.apply(vec![Job::Record(SaveId(1), Record::Token(Secret([2; 32])), Timestamp::default())]).unwrap();
    let renewed = StoredAccount { token: Token { device: ME, secret: Secret([2; 32]) }, ..account };
    assert_eq!(storage.account().unwrap(), Some(renewed));
}

#[test]
fn one_process_at_a_time_has_a_profile_and_the_next_is_told_which() {
    let directory = tempfile::tempdir().unwrap();
    let profile = directory.path().join("ada");
    let first = Storage::open(&profile).unwrap();
    let second = Storage::open(&profile).unwrap_err();
    assert_eq!(second.to_string(), format!("the profile {} is in use by another process", profile.display()));
    drop(first);
    Storage::open(&profile).unwrap();
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_a_profile() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let profile = directory.path().join("ada");
    drop(Storage::open(&profile).unwrap());
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&profile), mode(&profile.join(super::FILE))), (0o700, 0o600));
}

#[test]
fn a_profile_of_a_later_version_is_left_alone() {
    use redb::Database;
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join(super::FILE)).unwrap();
    let txn = db.begin_write().unwrap();
    txn.open_table(super::rows::META).unwrap().insert("schema", 7_u64.to_be_bytes().as_slice()).unwrap();
    txn.commit().unwrap();
    drop(db);
    assert!(matches!(Storage::open(directory.path()), Err(StorageError::Newer { found: 7 })));
}

/// What a machine may do next, by choice numbers that always mean something.
#[derive(Clone, Debug)]
enum Act {
    Write(u8),
    /// The first message that waits gets the next position; or, if `echo`, comes back without an answer first.
    Settle {
        echo: bool,
    },
    Fail,
    Receive(u8),
    /// An entry that has come before.
    Repeat(u8),
    Read(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..2_u8).prop_map(Act::Write),
        any::<bool>().prop_map(|echo| Act::Settle { echo }),
        Just(Act::Fail),
        (0..2_u8).prop_map(Act::Receive),
        (0..2_u8).prop_map(Act::Repeat),
        (0..2_u8).prop_map(Act::Read),
    ]
}

/// What should be stored, kept as a person would keep it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    /// By conversation: position, own, message number. A failed one has none of its own.
    shown: BTreeMap<u8, Vec<(u64, bool, u8)>>,
    failed: BTreeMap<u8, usize>,
    outbox: Vec<(u8, u8)>,
    /// Of the messages that wait, those that have come back already.
    echoed: Vec<u8>,
    heads: BTreeMap<u8, u64>,
    read: BTreeMap<u8, u64>,
    next: u8,
}

impl Model {
    /// Does it, and says which record the machine would write.
    fn act(&mut self, act: &Act) -> Option<Record> {
        match *act {
            Act::Write(peer) => {
                self.next += 1;
                self.outbox.push((peer, self.next));
                Some(Record::Written(outgoing(peer, self.next)))
            }
            Act::Settle { echo } => {
                let &(peer, n) = self.outbox.first()?;
                if let Some(&(seq, ..)) = self.shown.get(&peer).and_then(|shown| shown.iter().find(|(_, own, other)| *own && *other == n)) {
                    self.outbox.remove(0);
                    return Some(accepted(peer, n, seq, false));
                }
                let seq = self.advance(peer);
                self.shown.entry(peer).or_default().push((seq, true, n));
                if echo {
                    return Some(received(peer, seq, Sender::Own(ME.serial), n, false));
                }
                self.outbox.remove(0);
                Some(accepted(peer, n, seq, true))
            }
            Act::Fail => {
                let &(peer, n) = self.outbox.last()?;
                if self.shown.get(&peer).is_some_and(|shown| shown.iter().any(|(_, own, other)| *own && *other == n)) {
                    return None;
                }
                self.outbox.pop();
                *self.failed.entry(peer).or_default() += 1;
                Some(Record::Failed { conversation: chat(peer), id: id(n), reject: Reject::NotAllowed })
            }
            Act::Receive(peer) => {
                self.next += 1;
                let seq = self.advance(peer);
                self.shown.entry(peer).or_default().push((seq, false, self.next));
                Some(received(peer, seq, Sender::Peer(1), self.next, false))
            }
            Act::Repeat(peer) => {
                let &(seq, own, n) = self.shown.get(&peer)?.first()?;
                Some(received(peer, seq, if own { Sender::Own(ME.serial) } else { Sender::Peer(1) }, n, true))
            }
            Act::Read(peer) => {
                let head = *self.heads.get(&peer)?;
                // Halfway on, so that there is something to be counted on both sides.
                let read = self.read.entry(peer).or_default();
                *read += (head - *read).div_ceil(2);
                Some(Record::Read { conversation: chat(peer), upto: Seq(*read) })
            }
        }
    }

    fn advance(&mut self, peer: u8) -> u64 {
        let head = self.heads.entry(peer).or_default();
        *head += 1;
        *head
    }

    fn unread(&self, peer: u8) -> u64 {
        let read = self.read.get(&peer).copied().unwrap_or(0);
        self.shown.get(&peer).map_or(0, |shown| shown.iter().filter(|(seq, own, _)| !own && *seq > read).count() as u64)
    }
}

/// Whether a profile holds exactly this.
fn equals(it: &Kept, model: &Model) -> Result<(), TestCaseError> {
    for peer in 0..2 {
        let history = it.storage.history(chat(peer), None, 1000).unwrap();
        let placed: Vec<_> = history.iter().filter_map(|message| Some((message.place.seq()?.0, message.own, message.id.0[0]))).collect();
        prop_assert_eq!(&placed, &model.shown.get(&peer).cloned().unwrap_or_default());
        let waiting: Vec<_> = history.iter().filter(|message| message.state == State::Waiting).map(|message| message.id.0[0]).collect();
        let expected: Vec<_> = model
            .outbox
            .iter()
            .filter(|(to, n)| *to == peer && !placed.iter().any(|(_, own, other)| *own && other == n))
            .map(|(_, n)| *n)
            .collect();
        prop_assert_eq!(waiting, expected);
        let failed = history.iter().filter(|message| matches!(message.state, State::Failed { .. })).count();
        prop_assert_eq!(failed, model.failed.get(&peer).copied().unwrap_or(0));
        prop_assert_eq!(it.unread(peer), model.unread(peer));
    }
    prop_assert_eq!(it.outbox(), model.outbox.iter().map(|(_, n)| id(*n)).collect::<Vec<_>>());
    let stored = it.storage.stored(ME, Secret([0; 32])).unwrap();
    for known in stored.chats {
        let peer = u8::try_from(known.conversation.peer(ME.user).unwrap().0 - 10).unwrap();
        prop_assert_eq!(known.cursor.map(|cursor| cursor.0), model.heads.get(&peer).copied());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_a_power_failure_a_profile_holds_every_stored_batch_and_no_part_of_another(
        batches in prop::collection::vec(prop::collection::vec(act(), 1..6), 1..12),
        fails_at in 0_u64..24,
        unsynced in prop_oneof![Just(Unsynced::Lost), Just(Unsynced::Kept), (1_usize..4).prop_map(Unsynced::Some)],
    ) {
        let mut disk = Disk::default();
        let mut it = Kept::on(&disk);
        let mut model = Model::default();
        disk.fail_at(fails_at);
        for batch in &batches {
            let mut after = model.clone();
            let records: Vec<_> = batch.iter().filter_map(|act| after.act(act)).collect();
            if records.is_empty() {
                continue;
            }
            if it.store(records.clone()).is_ok() {
                model = after;
                equals(&it, &model)?;
                continue;
            }
            prop_assert!(disk.is_dead());
            drop(it);
            disk = disk.after_crash(unsynced);
            it = Kept::on(&disk);
            // The commit that failed may have happened, in full.
            if equals(&it, &after).is_err() {
                equals(&it, &model)?;
                it.store(records).unwrap();
            }
            model = after;
            equals(&it, &model)?;
        }
    }
}
