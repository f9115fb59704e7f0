//! What is kept of what was said, and for how long.

use crate::world::group::*;
use crate::world::*;
use doubletick_core::command::{Command, Reply};
use doubletick_core::content::{Body, Content, ContentError, Parts, TRIMMED};
use doubletick_core::id::{ConversationId, DeviceId, Seq};
use doubletick_core::limits;
use doubletick_core::reject::Reject;
use doubletick_core::rows::{self, Counter, LogEntry};
use doubletick_core::store::Key;
use doubletick_core::time::{Millis, Timestamp};
use doubletick_core::verify;

/// No time is before this one.
const EVER: Timestamp = Timestamp::from_millis(u64::MAX);

impl World {
    /// Up to where all devices have a conversation, and in how many parts that was asked.
    fn delivered(&mut self, conversation: ConversationId) -> (u64, u32) {
        let (mut least, mut from, mut parts) = (u64::MAX, None::<Key>, 0);
        loop {
            match self.run(Command::AskDelivered { conversation, after: from }) {
                Ok(Reply::Delivered { upto, after }) => {
                    (least, from, parts) = (least.min(upto.0), after, parts + 1);
                    if after.is_none() {
                        return (least, parts);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Trims, as often as it takes; how often that was.
    fn trim(&mut self, conversation: ConversationId, upto: u64, before: Timestamp) -> u32 {
        for steps in 1.. {
            match self.run(Command::Trim { conversation, upto: Seq(upto), before }) {
                Ok(Reply::Trimmed { more: true }) => {}
                Ok(Reply::Trimmed { more: false }) => return steps,
                other => panic!("{other:?}"),
            }
        }
        unreachable!("it ends")
    }

    /// Trims what all devices have.
    fn trim_delivered(&mut self, conversation: ConversationId) -> u64 {
        let (upto, _) = self.delivered(conversation);
        self.trim(conversation, upto, EVER);
        upto
    }

    /// The positions of a conversation that have lost their contents.
    fn lost(&self, conversation: ConversationId) -> Vec<u64> {
        let entries = (1..).map_while(|seq| self.row::<LogEntry>(&rows::log(conversation, Seq(seq))));
        entries.zip(1..).filter(|(entry, _)| entry.content.is_trimmed()).map(|(_, seq)| seq).collect()
    }
}

/// What a device reads: a star for what is not kept.
fn shown(world: &mut World, device: DeviceId, with: DeviceId) -> Vec<String> {
    let entries = world.log(device, with, Some(0));
    let star = |body: &Body| body.kind == TRIMMED && body.bytes.is_empty();
    entries.iter().map(|entry| if entry.body.as_ref().is_some_and(star) { "*".into() } else { text(entry) }).collect()
}

/// Ann has written to Ben, who has all of it but the last.
fn written() -> (World, DeviceId, DeviceId) {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    for text in ["one", "two", "three"] {
        world.send(ann, ben, text);
    }
    world.acknowledge(ann, ben, 3, 0).unwrap();
    world.acknowledge(ben, ann, 2, 0).unwrap();
    (world, ann, ben)
}

#[test]
fn what_all_devices_have_is_trimmed_and_keeps_its_place_its_name_and_its_proof() {
    let (mut world, ann, ben) = written();
    let talk = talk(ann.user, ben.user);
    let before = world.log(ben, ann, Some(0));
    assert_eq!(world.trim_delivered(talk), 2);
    assert_eq!(shown(&mut world, ben, ann), ["*", "*", "three"]);
    let after = world.log(ben, ann, Some(0));
    for (was, is) in before.iter().zip(&after) {
        assert_eq!((was.seq, was.sender, was.id, was.at), (is.seq, is.sender, is.id, is.at));
    }
    assert_eq!(world.run(send(ann, ben.user, "one")).map(|sent| matches!(sent, Reply::Sent { seq: Seq(1), .. })), Ok(true));
    assert_eq!(world.run(send_as(ann, ben.user, id_of("one"), "other")), Err(Reject::MessageIdReused));
    assert_eq!(world.unread(ben, ann), 3, "what is on the device and was not read");
    world.acknowledge(ben, ann, 3, 2).unwrap();
    assert_eq!(world.unread(ben, ann), 1);
    world.prove();
}

#[test]
fn trimming_twice_or_for_less_changes_nothing() {
    let (mut world, ann, ben) = written();
    let talk = talk(ann.user, ben.user);
    world.trim_delivered(talk);
    let before = world.rows.clone();
    for upto in [0, 1, 2] {
        assert_eq!(world.trim(talk, upto, EVER), 1);
        assert_eq!(world.rows, before);
    }
    assert_eq!(world.row(&rows::trimmed(talk)), Some(Counter(2)));
}

#[test]
fn what_any_device_lacks_is_kept() {
    let (mut world, ann, ben) = written();
    let talk = talk(ann.user, ben.user);
    let tablet = world.link(2);
    // Nobody has said anything since: should anything be said, it gets what the phone does not have.
    assert_eq!(world.delivered(talk).0, 2);
    world.send(ann, ben, "four");
    world.acknowledge(ben, ann, 4, 4).unwrap();
    world.acknowledge(ann, ben, 4, 0).unwrap();
    assert_eq!(world.trim_delivered(talk), 2);
    assert_eq!(world.texts(tablet, ann, None), ["three", "four"]);
    world.acknowledge(tablet, ann, 4, 0).unwrap();
    assert_eq!(world.trim_delivered(talk), 4);
    world.prove();
}

#[test]
fn what_no_device_of_a_user_without_devices_had_is_kept_for_the_next_one() {
    let (mut world, ann, ben) = written();
    let talk = talk(ann.user, ben.user);
    world.run(Command::RemoveDevice { device: ben }).unwrap();
    assert_eq!(world.trim_delivered(talk), 2);
    let next = world.link(2);
    world.send(ann, ben, "four");
    assert_eq!(world.texts(next, ann, None), ["three", "four"]);
    world.prove();
}

#[test]
fn what_is_old_enough_is_trimmed_whoever_lacks_it_and_says_so() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    let talk = talk(ann.user, ben.user);
    world.send(ann, ben, "one");
    world.wait(Millis::days(30));
    world.send(ann, ben, "two");
    let (now, month) = (world.now, Millis::days(30));
    world.trim(talk, u64::MAX, now);
    assert_eq!(shown(&mut world, ben, ann), ["*", "two"], "from {month:?} on");
    assert_eq!(world.unread(ben, ann), 2);
    world.prove();
}

#[test]
fn many_entries_are_trimmed_some_at_a_time() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    let talk = talk(ann.user, ben.user);
    let many = 2 * u64::from(limits::ENTRIES_TRIMMED) + 5;
    for nth in 1..=many {
        world.send(ann, ben, &format!("{nth}"));
    }
    assert_eq!(world.trim(talk, many - 1, EVER), 3);
    assert_eq!(world.lost(talk), (1..many).collect::<Vec<_>>());
    world.prove();
}

#[test]
fn the_changes_of_a_group_are_kept() {
    let (mut world, [ann, ben, cid]) = World::of([1, 2, 3]);
    world.group(&[ann, ben, cid]);
    world.say(ann, "two").unwrap();
    world.change(ann, "three", &removed(cid)).unwrap();
    world.say(ben, "four").unwrap();
    world.has(ann, 4).unwrap();
    world.has(ben, 4).unwrap();
    assert_eq!(world.trim_delivered(GROUP), 0, "whoever was removed is to have what came before");
    world.has(cid, 3).unwrap();
    assert_eq!(world.trim_delivered(GROUP), 4);
    assert_eq!(world.lost(GROUP), [2, 4]);
    assert_eq!(world.read(ben, Some(0)), Ok(vec![1, 2, 3, 4]));
    world.prove();
}

#[test]
fn who_joins_a_group_needs_nothing_from_before() {
    let (mut world, [ann, ben, cid]) = World::of([1, 2, 3]);
    world.group(&[ann, ben]);
    world.say(ann, "two").unwrap();
    world.change(ann, "three", &added(&[cid])).unwrap();
    for device in [ann, ben] {
        world.has(device, 3).unwrap();
    }
    assert_eq!(world.trim_delivered(GROUP), 2);
    world.has(cid, 3).unwrap();
    assert_eq!(world.delivered(GROUP).0, 3);
}

#[test]
fn the_members_of_a_large_group_are_asked_about_in_parts() {
    let users: Vec<u64> = (1..=300).collect();
    let mut world = World::new();
    let people: Vec<DeviceId> = users.iter().map(|user| world.link(*user)).collect();
    world.group(&people);
    world.say(people[0], "two").unwrap();
    for device in &people[..299] {
        world.has(*device, 2).unwrap();
    }
    assert_eq!(world.delivered(GROUP), (0, 3));
    world.has(people[299], 2).unwrap();
    assert_eq!(world.delivered(GROUP), (2, 3));
}

#[test]
fn conversations_are_found_in_parts_and_those_that_are_trimmed_are_passed_by() {
    let users: Vec<u64> = (1..=8).collect();
    let mut world = World::new();
    let people: Vec<DeviceId> = users.iter().map(|user| world.link(*user)).collect();
    for (nth, one) in people.iter().enumerate() {
        people[..nth].iter().for_each(|other| {
            world.send(*one, *other, &format!("{} to {}", one.user, other.user));
        });
    }
    world.group(&people[..3]);
    let done = talk(people[3].user, people[4].user);
    world.trim(done, 1, EVER);
    let (mut found, mut after, mut parts) = (vec![], None, 0);
    loop {
        match world.run(Command::FindUntrimmed { after }) {
            Ok(Reply::Untrimmed { conversations, last }) => {
                found.extend(conversations);
                if last.is_none() {
                    break;
                }
                (after, parts) = (last, parts + 1);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((found.len(), parts), (28, 2), "28 of people, one of a group, less one");
    assert!(found.contains(&GROUP) && !found.contains(&done) && found.is_sorted());
}

#[test]
fn nobody_can_send_what_says_that_it_is_not_kept() {
    let trimmed = || Body { kind: TRIMMED, bytes: (*b"").into() };
    let device = DeviceId { user: doubletick_core::id::UserId(1), serial: 1 };
    for parts in [Parts::Shared(trimmed()), Parts::PerDevice(vec![(device, trimmed())])] {
        assert_eq!(Content::new(parts), Err(ContentError::Trimmed));
    }
}

#[test]
fn a_content_that_is_gone_where_nothing_was_trimmed_is_reported() {
    let (mut world, ann, ben) = written();
    let talk = talk(ann.user, ben.user);
    world.trim(talk, 2, EVER);
    for (upto, problems) in [(None, 1), (Some(1), 1), (Some(2), 0), (Some(3), 0), (Some(4), 1)] {
        match upto {
            Some(upto) => world.set(&rows::trimmed(talk), &Counter(upto)),
            None => drop(world.rows.remove(&rows::trimmed(talk).key)),
        }
        let report = verify::verify(world.rows.iter().map(|(key, value)| (*key, value.clone())));
        assert_eq!(report.problems.len(), problems, "trimmed up to {upto:?}: {:?}", report.problems);
    }
}

#[test]
fn a_damaged_entry_is_left_for_whoever_mends_it_and_those_around_it_are_trimmed() {
    let (mut world, ann, ben) = written();
    let talk = talk(ann.user, ben.user);
    let second = rows::log(talk, Seq(2)).key;
    world.damage(second);
    let damaged = world.rows[&second].clone();
    world.trim(talk, 3, EVER);
    assert_eq!(world.rows[&second], damaged);
    world.rows.remove(&second);
    let trimmed = |seq| world.row::<LogEntry>(&rows::log(talk, Seq(seq))).unwrap().content.is_trimmed();
    assert!(trimmed(1) && trimmed(3));
}
