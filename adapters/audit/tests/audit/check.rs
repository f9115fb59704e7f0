//! The proof of a whole store.

use std::sync::{Arc, Mutex};

use doubletick_audit::check::{Checked, check, prove};
use doubletick_core::id::{ConversationId, DeviceId, Digest, MessageId, Seq};
use doubletick_core::rows::{self, Counter, Cursor, Index, LogEntry, Receipt, Row, StoredBody, StoredContent, Tally};
use doubletick_core::store::{Key, Write};
use doubletick_core::time::Timestamp;
use doubletick_core::verify::Problem;
use doubletick_store::memory::Memory;
use doubletick_store::readable::{ReadError, ReadOnly, Readable, Reading};
use proptest::prelude::*;

use crate::world::{GROUP, World, device, receipt_of_ben, talk, user};

fn checked(world: &World) -> Checked {
    check(&world.readable(), 2, &|_| ()).unwrap()
}

fn problems(checked: &Checked) -> Vec<Problem> {
    checked.findings.first().cloned().collect()
}

#[test]
fn a_whole_store_is_whole_and_all_of_it_was_looked_at() {
    let world = World::story();
    let checked = checked(&world);
    assert_eq!(problems(&checked), vec![]);
    assert_eq!((checked.conversations, checked.entries), (2, 4));
    assert_eq!(checked.rows, world.rows().len() as u64);
}

#[test]
fn what_is_wrong_with_an_index_is_named_however_few_names_are_kept() {
    let talk = talk(device(1), device(2));
    type Break = fn(&World, Key) -> Key;
    let table: [(&str, Break); 3] = [
        ("missing index", |world, key| remove_and_show(world, key, key)),
        ("wrong index", |world, key| put(world, key, Index { seq: Seq(3), at: Timestamp::from_millis(1), digest: Digest::START }.encode())),
        ("index of nothing", |world, key| {
            put(world, rows::index(self::talk(device(1), device(2)), user(1), MessageId([9; 16])).key, of(world, key))
        }),
    ];
    for (what, damage) in table {
        let world = World::story();
        let mut rows = world.rows().into_iter().map(|(key, _)| key);
        let message = rows.find(|key| matches!(rows::Place::of(key), Some(rows::Place::Index(at, ..)) if at == talk)).unwrap();
        let key = damage(&world, message);
        let (report, own) = prove(&world.readable(), talk, usize::MAX).unwrap();
        assert_eq!(report.problems.iter().map(|problem| (problem.key, problem.fault.name())).collect::<Vec<_>>(), [(key, what)]);
        for named in [0, 1, 2] {
            let (found, counted) = prove(&world.readable(), talk, named).unwrap();
            assert_eq!((found.problems, counted), (report.problems.clone(), own), "{what}, with {named} names");
        }
    }
}

#[test]
fn a_store_with_a_group_is_whole_and_what_is_wrong_about_groups_is_found() {
    let world = World::with_group();
    assert_eq!(world.proof().problems, vec![]);
    let checked = checked(&world);
    assert_eq!(problems(&checked), vec![]);
    assert_eq!((checked.conversations, checked.entries, checked.rows), (3, 4 + 8, world.rows().len() as u64));

    type Break = fn(&World) -> Key;
    let table: [(&str, Break, &str); 9] = [
        ("a change that is none", |w| edit(w, rows::log(GROUP, Seq(5)), break_change), "unreadable change"),
        ("changed words", |w| edit(w, rows::log(GROUP, Seq(2)), change_words), "broken chain"),
        ("a member too many", |w| put(w, rows::member(GROUP, user(3)).key, of(w, rows::member(GROUP, user(2)).key)), "row of a stranger"),
        ("a lost member", |w| remove_and_show(w, rows::member(GROUP, user(2)).key, rows::group(GROUP).key), "missing group"),
        ("another name", |w| edit(w, rows::group(GROUP), |group| group.name = "the first name".into()), "wrong row of a group"),
        ("an admin too many", |w| edit(w, rows::group(GROUP), |group| group.admins = 3), "wrong row of a group"),
        ("a wrong last message", |w| put(w, rows::sent(GROUP, user(1)).key, Counter(7).encode()), "wrong row of a group"),
        ("a wrong count", |w| put(w, rows::group_count(user(2)).key, Counter(2).encode()), "wrong count"),
        (
            "on the list of one who has left",
            |w| put(w, rows::chat(user(3), GROUP).key, of(w, rows::chat(user(2), GROUP).key)),
            "row of a stranger",
        ),
    ];
    for (what, damage, kind) in table {
        let world = World::with_group();
        let key = damage(&world);
        let found = problems(&self::checked(&world));
        let whole: Vec<_> = world.proof().problems.iter().map(|problem| (problem.key, problem.fault)).collect();
        assert!(found.iter().any(|problem| (problem.key, problem.fault.name()) == (key, kind)), "{what}: {found:?}");
        assert!(found.iter().any(|problem| whole.contains(&(problem.key, problem.fault))), "{what}: {found:?} {whole:?}");
    }
}

/// The value of a row.
fn of(world: &World, key: Key) -> Vec<u8> {
    world.rows().into_iter().find(|(found, _)| *found == key).unwrap().1
}

#[test]
fn an_empty_store_is_whole() {
    let checked = checked(&World::new());
    assert!(checked.findings.is_empty());
    assert_eq!((checked.conversations, checked.entries, checked.rows), (0, 0, 0));
}

/// No change begins so.
fn break_change(entry: &mut LogEntry) {
    let StoredContent::Shared(StoredBody { bytes, .. }) = &mut entry.content else { panic!("all are shared") };
    Arc::make_mut(bytes)[0] = u8::MAX;
}

/// A flipped bit in what was said.
fn change_words(entry: &mut LogEntry) {
    let StoredContent::Shared(StoredBody { bytes, .. }) = &mut entry.content else { panic!("all are shared") };
    Arc::make_mut(bytes)[3] ^= 1;
}

#[test]
fn every_kind_of_damage_is_found_and_named() {
    type Break = fn(&World) -> Key;
    let table: [(&str, Break, &str); 14] = [
        ("a flipped byte in an event", |w| edit(w, log(2), change_words), "broken chain"),
        ("a dropped event", |w| remove_and_show(w, log(2).key, log(3).key), "gap in a log"),
        ("the last event dropped", |w| remove_and_show(w, log(3).key, rows::head(ours()).key), "wrong head"),
        ("a wrong unread count", |w| edit(w, log(2), |entry| entry.tally = Tally([2, 0])), "wrong tally"),
        ("a wrong unread count in the head", |w| edit(w, rows::head(ours()), |head| head.tally = Tally([1, 2])), "wrong head"),
        (
            "a receipt beyond the log",
            |w| edit(w, receipt_of_ben(), |receipt| *receipt = Receipt { delivered: Seq(9), read: Seq(1) }),
            "position past the head",
        ),
        ("read past delivered", |w| edit(w, receipt_of_ben(), |receipt| receipt.read = Seq(3)), "read past delivered"),
        ("a missing head", |w| remove_and_show(w, rows::head(ours()).key, rows::head(ours()).key), "missing head"),
        ("a missing mark", |w| remove_and_show(w, mark_of_ben(), mark_of_ben()), "missing mark"),
        ("a missing chat", |w| remove_and_show(w, rows::chat(user(2), ours()).key, rows::chat(user(2), ours()).key), "missing chat"),
        ("an index row too many", |w| put(w, rows::index(ours(), user(1), MessageId([7; 16])).key, index_of(2)), "index of nothing"),
        (
            "a cursor of a device that is no more",
            |w| put(w, rows::cursor(DeviceId { user: user(2), serial: 9 }, ours()).key, Cursor { upto: Seq(77) }.encode()),
            "position past the head",
        ),
        ("a key that is none", |w| put(w, Key::new(&[0x10, 9, 9]), vec![1]), "unknown key"),
        (
            "a chat of nothing",
            |w| {
                let nothing = talk(device(2), device(3));
                put(w, rows::chat(user(3), nothing).key, rows::ChatRow { since: Default::default() }.encode())
            },
            "chat of nothing",
        ),
    ];
    for (what, damage, kind) in table {
        let world = World::story();
        let key = damage(&world);
        let checked = checked(&world);
        let found = problems(&checked);
        assert_eq!(found.len(), 1, "{what}: {found:?}");
        assert_eq!((found[0].key, found[0].fault.name()), (key, kind), "{what}: {}", found[0]);
        assert_eq!(checked.findings.kinds().collect::<Vec<_>>(), [(kind, 1)], "{what}");
    }
}

fn ours() -> ConversationId {
    talk(device(1), device(2))
}

fn log(seq: u64) -> rows::At<LogEntry> {
    rows::log(ours(), Seq(seq))
}

fn mark_of_ben() -> Key {
    rows::dirty(device(2), ours()).key
}

fn index_of(seq: u64) -> Vec<u8> {
    Index { seq: Seq(seq), at: Default::default(), digest: Digest::START }.encode()
}

fn edit<R: Row>(world: &World, at: rows::At<R>, change: impl FnOnce(&mut R)) -> Key {
    let key = at.key;
    world.edit(at, change);
    key
}

fn put(world: &World, key: Key, value: Vec<u8>) -> Key {
    world.plant(vec![Write::Set(key, value)]);
    key
}

fn remove_and_show(world: &World, key: Key, shows: Key) -> Key {
    world.remove(key);
    shows
}

#[test]
fn of_many_problems_the_first_are_told_and_all_are_counted() {
    let mut world = World::new();
    let first = world.link(1);
    for number in 2..=150 {
        let other = world.link(number);
        world.send(first, other, "hello");
        world.remove(rows::index(talk(first, other), first.user, id_of(&world, talk(first, other))).key);
    }
    let checked = checked(&world);
    assert_eq!(checked.findings.count(), 149);
    let told = problems(&checked);
    assert_eq!(told.len(), 100);
    assert!(told.is_sorted_by_key(|problem| problem.key));
    assert_eq!(told[0].conversation, Some(talk(first, device(2))));
}

fn id_of(world: &World, conversation: ConversationId) -> MessageId {
    let rows = world.rows();
    let entry = rows.iter().find(|(key, _)| *key == rows::log(conversation, Seq(1)).key).unwrap();
    LogEntry::decode(&entry.1).unwrap().id
}

/// A conversation of several pages.
fn long_talk() -> World {
    let mut world = World::new();
    let (ann, ben) = (world.link(1), world.link(2));
    for number in 0..300 {
        let (from, to) = if number % 3 == 0 { (ann, ben) } else { (ben, ann) };
        world.send(from, to, &format!("message {number}"));
    }
    world
}

#[test]
fn a_log_of_many_pages_is_proved_to_its_end() {
    let world = long_talk();
    assert_eq!(checked(&world).entries, 300);
    assert!(checked(&world).findings.is_empty());
    for seq in [128, 129, 256, 257, 300] {
        let world = long_talk();
        edit(&world, log(seq), change_words);
        assert_eq!(problems(&checked(&world)).first().map(|problem| problem.key), Some(log(seq).key), "{seq}");
    }
    // Beyond the head, and in the index something that points there.
    put(&world, log(301).key, world.rows().iter().find(|(key, _)| *key == log(300).key).unwrap().1.clone());
    assert_eq!(problems(&checked(&world)).len(), 1);
    let world = long_talk();
    let key = put(&world, rows::index(ours(), user(2), MessageId([255; 16])).key, index_of(305));
    assert_eq!(problems(&checked(&world)).first().map(|problem| problem.key), Some(key));
}

/// A store that is written to before every read.
struct Busy {
    world: Mutex<(World, u64)>,
    store: ReadOnly<Memory>,
}

impl Readable for Busy {
    fn read<R: Reading>(&self, reading: R) -> Result<R::Answer, ReadError> {
        let (world, turn) = &mut *self.world.lock().unwrap();
        *turn += 1;
        let (ann, ben) = (device(1), device(2));
        let seq = if *turn % 2 == 0 { world.send(ann, ben, "more") } else { world.send(ben, ann, "and more") };
        world.acknowledge(if *turn % 3 == 0 { ann } else { ben }, if *turn % 3 == 0 { ben } else { ann }, seq.0, seq.0 - 1);
        self.store.read(reading)
    }
}

#[test]
fn a_store_in_use_is_not_blamed_for_what_happens_meanwhile() {
    let world = long_talk();
    let store = world.readable();
    let busy = Busy { world: Mutex::new((world, 0)), store };
    let checked = check(&busy, 3, &|_| ()).unwrap();
    assert_eq!(problems(&checked), vec![]);
    let turns = busy.world.lock().unwrap().1;
    assert!(turns > 5, "it was read in {turns} parts");
    assert!(checked.entries >= 300);
    // And what is wrong in it is still found.
    edit(&busy.world.lock().unwrap().0, log(290), change_words);
    assert_eq!(problems(&check(&busy, 3, &|_| ()).unwrap())[0].key, log(290).key);
}

/// One way to damage a row.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    Remove,
    Flip(prop::sample::Index),
    Cut(prop::sample::Index),
    Copy(prop::sample::Index),
    Raise(u64),
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        Just(Damage::Remove),
        any::<prop::sample::Index>().prop_map(Damage::Flip),
        any::<prop::sample::Index>().prop_map(Damage::Cut),
        any::<prop::sample::Index>().prop_map(Damage::Copy),
        (1_u64..100).prop_map(Damage::Raise),
    ]
}

pub(crate) fn do_damage(world: &World, row: prop::sample::Index, damage: &Damage) {
    let rows = world.rows();
    let (key, value) = &rows[row.index(rows.len())];
    let mut value = value.clone();
    let write = match damage {
        Damage::Remove => Write::Clear(*key),
        // Cut to nothing by the damage before.
        Damage::Flip(_) | Damage::Cut(_) if value.is_empty() => Write::Clear(*key),
        Damage::Flip(at) => {
            let bit = at.index(8 * value.len());
            value[bit / 8] ^= 1 << (bit % 8);
            Write::Set(*key, value)
        }
        Damage::Cut(at) => {
            value.truncate(at.index(value.len()));
            Write::Set(*key, value)
        }
        Damage::Copy(to) => Write::Set(rows[to.index(rows.len())].0, value),
        Damage::Raise(by) => Write::Set(*key, Counter(*by).encode()),
    };
    world.plant(vec![write]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Reading in parts, by several readers at a time, shows what reading all at once shows. Of several things that are wrong with one
    /// conversation both name one, and which comes first depends on the order of reading.
    #[test]
    fn whatever_is_damaged_the_parts_show_what_the_whole_shows(damages in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..4)) {
        let world = World::story();
        for (row, damage) in &damages {
            do_damage(&world, *row, damage);
        }
        let whole: Vec<_> = {
            let mut problems = world.proof().problems;
            problems.sort_by_key(|problem| problem.key);
            problems
        };
        let parts = problems(&checked(&world));
        let of = |problems: &[Problem]| -> Vec<_> {
            let mut of: Vec<_> = problems.iter().map(|problem| (problem.conversation, problem.conversation.is_none().then_some(problem.key))).collect();
            of.sort();
            of
        };
        prop_assert_eq!(of(&parts), of(&whole));
        if damages.len() == 1 {
            prop_assert_eq!(parts, whole);
        }
    }
}
