//! The proof of a store: a whole one passes, and each kind of damage is found where it is.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

mod world;

use doubletick_core::chain;
use doubletick_core::content::ContentError;
use doubletick_core::id::{ConversationId, DeviceId, Digest, Seq, UserId};
use doubletick_core::rows::{self, At, Cursor, Damage, Head, LogEntry, Receipt, Row, StoredBody, StoredContent, Tally};
use doubletick_core::store::Key;
use doubletick_core::verify::{Fault, Names, Problem, Proof, Proved, Report, verify, verify_again};
use world::*;

/// Ann and Ben, who has two devices, have exchanged four messages; Cid has sent one to Ann.
struct Story {
    world: World,
    ann: DeviceId,
    ben: DeviceId,
    talk: ConversationId,
}

fn story() -> Story {
    let (mut world, [ann, ben, cid]) = World::of([1, 2, 3]);
    world.link(2);
    for (from, to, text) in [(ann, ben, "one"), (ann, ben, "two"), (ben, ann, "three"), (ann, ben, "four"), (cid, ann, "hi")] {
        world.wait(doubletick_core::time::Millis::seconds(1));
        world.send(from, to, text);
    }
    world.acknowledge(ben, ann, 3, 2).unwrap();
    world.open(ben, WEST, 1);
    Story { world, ann, ben, talk: talk(ann.user, ben.user) }
}

fn lent(rows: &Rows) -> impl Iterator<Item = (Key, &[u8])> {
    rows.iter().map(|(key, value)| (*key, value.as_slice()))
}

fn proof(rows: &Rows) -> Report {
    verify(rows.iter().map(|(key, value)| (*key, value.clone())))
}

impl Story {
    fn edit<R: Row>(&mut self, at: At<R>, edit: impl FnOnce(&mut R)) -> Key {
        let mut row = self.world.row(&at).unwrap();
        edit(&mut row);
        self.world.set(&at, &row);
        at.key
    }

    fn put<R: Row>(&mut self, at: At<R>, row: &R) -> Key {
        self.world.set(&at, row);
        at.key
    }

    fn entry(&mut self, seq: u64, edit: impl FnOnce(&mut LogEntry)) -> Key {
        self.edit(rows::log(self.talk, Seq(seq)), edit)
    }

    fn head(&mut self, edit: impl FnOnce(&mut Head)) -> Key {
        self.edit(rows::head(self.talk), edit)
    }

    fn remove(&mut self, key: Key) -> Key {
        assert!(self.world.rows.remove(&key).is_some());
        key
    }

    /// Adds one more entry to the log whose chain is right, so that only what is wrong besides is found.
    fn append(&mut self, sender: DeviceId, text: &str, edit: impl FnOnce(&mut LogEntry)) -> Key {
        let before = self.world.row(&rows::head(self.talk)).unwrap();
        let content = doubletick_core::content::Content::shared(1, text.as_bytes()).unwrap();
        let seq = before.seq.next();
        let side = self.talk.pair().unwrap().side(sender.user);
        let tally = side.map_or(before.tally, |side| before.tally.with(side));
        let mut entry = LogEntry { sender, id: id_of(text), at: before.at, chain: Digest::START, tally, content: (&content).into() };
        edit(&mut entry);
        entry.chain = chain::link(&before.chain, seq, entry.sender, entry.id, entry.at, &content.digest());
        self.put(rows::log(self.talk, seq), &entry)
    }
}

#[test]
fn a_whole_store_passes() {
    let report = proof(&story().world.rows);
    assert_eq!(report, Report { conversations: 2, entries: 5, problems: vec![] });
    assert_eq!(proof(&Rows::new()), Report::default());
}

#[test]
fn every_kind_of_damage_is_found_where_it_is() {
    type Break = fn(&mut Story) -> Key;
    let table: Vec<(&str, Break, Fault)> = vec![
        (
            "a head that does not decode",
            |s| {
                let key = rows::head(s.talk).key;
                s.world.damage(key);
                key
            },
            Fault::Damaged(Damage::Truncated),
        ),
        (
            "an entry that does not decode",
            |s| {
                let key = rows::log(s.talk, Seq(2)).key;
                s.world.damage(key);
                key
            },
            Fault::Damaged(Damage::Truncated),
        ),
        (
            "the first entry is lost",
            |s| {
                s.remove(rows::log(s.talk, Seq(1)).key);
                rows::log(s.talk, Seq(2)).key
            },
            Fault::Gap { missing: Seq(1) },
        ),
        (
            "an entry in the middle is lost",
            |s| {
                s.remove(rows::log(s.talk, Seq(3)).key);
                rows::log(s.talk, Seq(4)).key
            },
            Fault::Gap { missing: Seq(3) },
        ),
        (
            "the last entry is lost",
            |s| {
                s.remove(rows::log(s.talk, Seq(4)).key);
                rows::head(s.talk).key
            },
            Fault::HeadDiffers,
        ),
        (
            "a body was changed",
            |s| s.entry(2, |entry| entry.content = StoredContent::Shared(StoredBody { kind: 1, bytes: (*b"tow").into() })),
            Fault::Chain,
        ),
        ("a sending device was changed", |s| s.entry(2, |entry| entry.sender.serial = 7), Fault::Chain),
        ("a link was changed", |s| s.entry(2, |entry| entry.chain.0[31] ^= 1), Fault::Chain),
        ("a time was changed forwards", |s| s.entry(1, |entry| entry.at = entry.at + doubletick_core::time::Millis(1)), Fault::Chain),
        (
            "a time went back",
            |s| s.entry(2, |entry| entry.at = START),
            Fault::TimeWentBack { before: START + doubletick_core::time::Millis(1000), at: START },
        ),
        (
            "a tally was changed",
            |s| s.entry(3, |entry| entry.tally = Tally([3, 0])),
            Fault::Tally { counted: Tally([2, 1]), stored: Tally([3, 0]) },
        ),
        (
            "a content that nobody could send",
            |s| s.entry(2, |entry| entry.content = StoredContent::PerDevice(vec![])),
            Fault::Content(ContentError::Bodies),
        ),
        (
            "a stranger's message",
            |s| s.append(DeviceId { user: UserId(3), serial: 1 }, "psst", |_| {}),
            Fault::Stranger { sender: UserId(3) },
        ),
        ("a message that stands twice", |s| s.append(s.ann, "two", |_| {}), Fault::Repeated { first: Seq(2) }),
        (
            "an entry beyond the head",
            |s| {
                s.append(s.ann, "five", |_| {});
                rows::head(s.talk).key
            },
            Fault::HeadDiffers,
        ),
        ("a lost head", |s| s.remove(rows::head(s.talk).key), Fault::NoHead),
        ("a head that is ahead", |s| s.head(|head| head.seq = Seq(5)), Fault::HeadDiffers),
        ("a head that is behind", |s| s.head(|head| head.last_of[0] = Seq(2)), Fault::HeadDiffers),
        ("a head with another tally", |s| s.head(|head| head.tally = Tally([4, 0])), Fault::HeadDiffers),
        ("a head that knows of devices to come", |s| s.head(|head| head.device_epochs[1] = 9), Fault::DeviceEpoch { head: 9, account: 2 }),
        ("a lost index row", |s| s.remove(rows::index(s.talk, s.ann.user, id_of("two")).key), Fault::NotIndexed),
        (
            "an index row without a message",
            |s| s.put(rows::index(s.talk, s.ann.user, id_of("x")), &rows::Index { seq: Seq(1), at: START, digest: Digest::START }),
            Fault::IndexedNowhere,
        ),
        (
            "an index row of another position",
            |s| s.edit(rows::index(s.talk, s.ann.user, id_of("two")), |index| index.seq = Seq(1)),
            Fault::IndexDiffers,
        ),
        (
            "an index row of another content",
            |s| s.edit(rows::index(s.talk, s.ann.user, id_of("two")), |index| index.digest.0[0] ^= 1),
            Fault::IndexDiffers,
        ),
        (
            "read past delivered",
            |s| s.edit(rows::receipt(s.talk, s.ben.user), |receipt| receipt.read = Seq(4)),
            Fault::ReadPastDelivered { receipt: Receipt { delivered: Seq(3), read: Seq(4) } },
        ),
        (
            "delivered past the head",
            |s| s.edit(rows::receipt(s.talk, s.ben.user), |receipt| receipt.delivered = Seq(5)),
            Fault::PastHead { position: Seq(5), head: Seq(4) },
        ),
        ("a stranger's receipt", |s| s.put(rows::receipt(s.talk, UserId(3)), &Receipt::default()), Fault::NotMember),
        (
            "a cursor past the head",
            |s| s.edit(rows::cursor(s.ben, s.talk), |cursor| cursor.upto = Seq(5)),
            Fault::PastHead { position: Seq(5), head: Seq(4) },
        ),
        (
            "a cursor that went back, though a mark tells of it",
            |s| s.put(rows::cursor(DeviceId { user: UserId(3), serial: 1 }, s.talk), &Cursor { upto: Seq(1) }),
            Fault::NotMember,
        ),
        (
            "a mark past the head",
            |s| s.put(rows::dirty(s.ben, s.talk), &rows::Counter(5)),
            Fault::PastHead { position: Seq(5), head: Seq(4) },
        ),
        ("a lost mark", |s| s.remove(rows::dirty(s.ben, s.talk).key), Fault::NotMarked { cursor: Seq(3), owed: Seq(4) }),
        (
            "a mark that is too low",
            |s| s.put(rows::dirty(s.ben, s.talk), &rows::Counter(3)),
            Fault::NotMarked { cursor: Seq(3), owed: Seq(4) },
        ),
        (
            "a lost mark of a device that also sends",
            |s| s.remove(rows::dirty(s.ann, s.talk).key),
            Fault::NotMarked { cursor: Seq(0), owed: Seq(3) },
        ),
        ("a chat that is on one list only", |s| s.remove(rows::chat(s.ben.user, s.talk).key), Fault::NotListed),
        (
            "a chat without a log",
            |s| s.put(rows::chat(s.ben.user, talk(s.ben.user, UserId(3))), &rows::ChatRow { since: START }),
            Fault::EmptyConversation,
        ),
        (
            "an account that does not decode",
            |s| {
                let key = rows::account(s.ann.user).key;
                s.world.damage(key);
                key
            },
            Fault::Damaged(Damage::Truncated),
        ),
        (
            "a value of another kind",
            |s| {
                let key = rows::session(s.ben).key;
                s.world.rows.insert(key, Receipt::default().encode());
                key
            },
            Fault::Damaged(Damage::Kind(4)),
        ),
        (
            "a key of no layout",
            |s| {
                let key = Key::new(b"\x77?");
                s.world.rows.insert(key, vec![]);
                key
            },
            Fault::UnknownKey,
        ),
    ];
    for (case, break_it, fault) in table {
        let mut story = story();
        let (mut proved, whole) = (Proved::default(), story.world.rows.clone());
        assert_eq!(verify_again(&mut proved, lent(&whole)), proof(&whole), "{case}");
        let key = break_it(&mut story);
        let problems = proof(&story.world.rows).problems;
        assert_eq!(problems.iter().map(|problem| (problem.key, problem.fault)).collect::<Vec<_>>(), [(key, fault)], "{case}");
        // A proof that goes on from before the damage shows the same, if it is told which logs have changed.
        for (key, value) in &whole {
            if let Some(rows::Place::Log(conversation, _)) = rows::Place::of(key)
                && story.world.rows.get(key) != Some(value)
            {
                proved.forget(conversation);
            }
        }
        assert_eq!(verify_again(&mut proved, lent(&story.world.rows)).problems, problems, "{case}");
    }
}

#[test]
fn a_proof_that_goes_on_reads_what_was_added_and_holds_everything_else_against_the_whole_log() {
    let mut story = story();
    let mut proved = Proved::default();
    let mut again = |story: &Story| verify_again(&mut proved, lent(&story.world.rows));
    assert_eq!(again(&story), Report { conversations: 2, entries: 5, problems: vec![] });
    assert_eq!(again(&story), Report { conversations: 2, entries: 0, problems: vec![] });
    story.world.send(story.ben, story.ann, "five");
    assert_eq!(again(&story), Report { conversations: 2, entries: 1, problems: vec![] });
    story.world.send(story.ben, story.ann, "six");
    story.entry(6, |entry| entry.chain.0[0] ^= 1);
    let report = again(&story);
    assert_eq!((report.entries, report.problems.len()), (1, 1));
    assert_eq!(report.problems[0].fault, Fault::Chain);
    // What was wrong is read again.
    assert_eq!(again(&story).entries, 6);
}

#[test]
fn each_conversation_is_told_of_once_and_the_others_are_proved_all_the_same() {
    let mut story = story();
    for seq in [1, 3] {
        story.entry(seq, |entry| entry.chain.0[0] ^= 1);
    }
    let other = talk(story.ann.user, UserId(3));
    story.remove(rows::log(other, Seq(1)).key);
    let report = proof(&story.world.rows);
    assert_eq!(report.problems.iter().map(|problem| problem.conversation).collect::<Vec<_>>(), [Some(story.talk), Some(other)]);
    assert_eq!((report.conversations, report.entries), (2, 4));
}

#[test]
fn a_problem_says_in_words_which_row_and_what() {
    let talk = talk(UserId(1), UserId(2));
    let lost = Problem { key: rows::log(talk, Seq(4)).key, conversation: Some(talk), fault: Fault::Gap { missing: Seq(3) } };
    assert_eq!(lost.to_string(), "position 4 of 0000000000000001-0000000000000002: position 3 before it is missing");
    let unknown = Problem { key: Key::new(b"\x77?"), conversation: None, fault: Fault::UnknownKey };
    assert_eq!(unknown.to_string(), "key 773f: not a key of the row table");
}

/// No single bit of what the log proves can be changed unnoticed: of heads, entries and index rows.
#[test]
fn no_bit_of_a_log_its_head_or_its_index_flips_unnoticed() {
    let story = story();
    let proved: Vec<Key> = story
        .world
        .rows
        .keys()
        .copied()
        .filter(|key| matches!(rows::Place::of(key), Some(rows::Place::Head(_) | rows::Place::Log(..) | rows::Place::Index(..))))
        .collect();
    let mut unnoticed = std::collections::BTreeSet::new();
    for key in proved {
        let value = story.world.rows[&key].clone();
        for bit in 0..value.len() * 8 {
            let mut rows = story.world.rows.clone();
            rows.get_mut(&key).unwrap()[bit / 8] ^= 1 << (bit % 8);
            if proof(&rows).problems.is_empty() {
                unnoticed.insert((rows::Place::of(&key).unwrap().to_string(), bit / 8));
            }
        }
    }
    // The head's device epochs are said nowhere in the log; they are held against the accounts only from above.
    let lenient = |(place, _): &(String, usize)| place.starts_with("head of");
    assert!(unnoticed.iter().all(lenient) && unnoticed.len() <= 2 * 2, "{unnoticed:?}");
}

#[test]
fn an_index_that_is_wrong_is_seen_without_any_name_and_named_by_one_of_the_shares() {
    let index = |s: &Story, text: &str| rows::index(s.talk, s.ann.user, id_of(text));
    type Break<'a> = &'a dyn Fn(&mut Story) -> Key;
    let table: [(&str, Break<'_>, Fault); 3] = [
        ("a message is missing", &|s| s.remove(index(s, "two").key), Fault::NotIndexed),
        ("a message stands elsewhere", &|s| s.edit(index(s, "two"), |index| index.seq = Seq(4)), Fault::IndexDiffers),
        (
            "a message is in no log",
            &|s| {
                let one = s.world.row(&index(s, "one")).unwrap();
                s.put(index(s, "never"), &one)
            },
            Fault::IndexedNowhere,
        ),
    ];
    let problems = |story: &Story, names: Names| {
        let mut proof = Proof::naming(names);
        story.world.rows.iter().for_each(|(key, value)| proof.row(*key, value));
        proof.finish().problems
    };
    assert_eq!(problems(&story(), Names::UpTo(1)), []);
    for (what, damage, fault) in table {
        let mut story = story();
        let (conversation, head) = (Some(story.talk), rows::head(story.talk).key);
        let found = vec![Problem { key: damage(&mut story), conversation, fault }];
        assert_eq!(problems(&story, Names::default()), found, "{what}");
        assert_eq!(problems(&story, Names::UpTo(1)), [Problem { key: head, conversation, fault: Fault::IndexDisagrees }], "{what}");
        let shares = (0..3).map(|nth| problems(&story, Names::Share { nth, of: 3 }));
        assert_eq!(shares.flatten().collect::<Vec<_>>(), found, "{what}");
    }
}
