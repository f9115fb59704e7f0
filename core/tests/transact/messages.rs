//! Sending, and reading what was sent.

use crate::world::*;
use doubletick_core::command::{Command, Reply};
use doubletick_core::content::{Body, Content, Parts};
use doubletick_core::frame::UserList;
use doubletick_core::id::{DeviceId, Seq, UserId};
use doubletick_core::limits;
use doubletick_core::reject::Reject;
use doubletick_core::rows;
use doubletick_core::time::{Millis, Timestamp};

#[test]
fn a_retry_is_answered_again_but_written_once() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    let first = world.run(send(ann, ben.user, "hello"));
    let retry = |world: &mut World, when: &str| {
        let before = world.rows.clone();
        assert_eq!(world.run(send(ann, ben.user, "hello")), first, "{when}");
        assert_eq!(world.rows, before, "{when}");
    };
    retry(&mut world, "at once");
    world.wait(Millis::days(1));
    retry(&mut world, "after a day");
    world.wait(Millis::days(8));
    retry(&mut world, "after more than a week");
    world.list(ben, UserList::Blocked, ann, true);
    retry(&mut world, "after the other blocked the sender");
    world.list(ann, UserList::Blocked, ben, true);
    retry(&mut world, "after both blocked each other");
    world.run(Command::RemoveDevice { device: ann }).unwrap();
    retry(&mut world, "after the sending device was removed");
    world.prove();
}

#[test]
fn a_retry_from_another_device_of_the_sender_has_the_same_position() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    let tablet = world.link(1);
    assert_eq!(world.send(ann, ben, "hello"), Seq(1));
    assert_eq!(world.send(tablet, ben, "hello"), Seq(1));
    assert_eq!(world.texts(ben, ann, None), ["hello"]);
}

#[test]
fn two_users_may_use_one_message_id_and_one_user_may_in_two_conversations() {
    let (mut world, [ann, ben, cid]) = World::of([1, 2, 3]);
    assert_eq!(world.send(ann, ben, "hello"), Seq(1));
    assert_eq!(world.send(ben, ann, "hello"), Seq(2));
    assert_eq!(world.send(ann, cid, "hello"), Seq(1));
    world.prove();
}

#[test]
fn the_same_id_with_another_body_is_refused_and_changes_nothing() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    world.send(ann, ben, "hello");
    let before = world.rows.clone();
    assert_eq!(world.run(send_as(ann, ben.user, id_of("hello"), "goodbye")), Err(Reject::MessageIdReused));
    assert_eq!(world.rows, before);
}

#[test]
fn who_may_not_send_is_told_why() {
    let (mut world, [ann, ben, cid]) = World::of([1, 2, 3]);
    let removed = world.link(1);
    world.run(Command::RemoveDevice { device: removed }).unwrap();
    let between = |from: DeviceId, one: DeviceId, other: DeviceId| Command::Send {
        from,
        conversation: talk(one.user, other.user),
        id: id_of("x"),
        content: Content::shared(1, *b"x").unwrap(),
        roster: 0,
    };
    for (command, reject) in [
        (between(cid, ann, ben), Reject::NotMember),
        (send(ann, UserId(9), "x"), Reject::UnknownUser),
        (send(removed, ben.user, "x"), Reject::DeviceRemoved),
        (send(DeviceId { user: UserId(8), serial: 1 }, ben.user, "x"), Reject::DeviceRemoved),
        (send(DeviceId { user: ann.user, serial: 77 }, ben.user, "x"), Reject::DeviceRemoved),
    ] {
        assert_eq!(world.run(command.clone()), Err(reject), "{command:?}");
    }
    assert_eq!(world.rows.get(&rows::head(talk(ann.user, ben.user)).key), None);
}

#[test]
fn a_block_stops_messages_both_ways_and_its_end_lets_them_through() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    world.send(ann, ben, "before");
    world.list(ann, UserList::Blocked, ben, true);
    for (from, to) in [(ann, ben), (ben, ann)] {
        assert_eq!(world.run(send(from, to.user, "during")), Err(Reject::NotAllowed));
    }
    world.list(ann, UserList::Blocked, ben, false);
    assert_eq!(world.send(ben, ann, "after"), Seq(2));
    assert_eq!(world.texts(ann, ben, None), ["before", "after"]);
}

#[test]
fn positions_are_in_order_and_times_never_go_back_though_clocks_do() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    let minute = Millis::seconds(60).0;
    for (place, clock) in [5 * minute, 0, 9 * minute, 3 * minute, 9 * minute, 10 * minute].into_iter().enumerate() {
        world.now = START + Millis(clock);
        let (from, to) = if place % 2 == 0 { (ann, ben) } else { (ben, ann) };
        world.send(from, to, &format!("m{place}"));
    }
    let log = world.log(ann, ben, None);
    assert_eq!(log.iter().map(|entry| entry.seq.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    let minutes: Vec<u64> = log.iter().map(|entry| entry.at.since(START).0 / minute).collect();
    assert_eq!(minutes, [5, 5, 9, 9, 9, 10]);
    world.prove();
}

#[test]
fn a_clock_at_either_end_of_time_is_only_a_number() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    world.now = Timestamp::from_millis(u64::MAX);
    world.send(ann, ben, "late");
    world.now = Timestamp::from_millis(0);
    world.send(ben, ann, "early");
    assert_eq!(world.log(ann, ben, None)[1].at.millis(), u64::MAX);
    world.prove();
}

#[test]
fn a_page_holds_so_many_entries_and_so_many_bytes_and_never_none() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    for n in 0..70 {
        world.send(ann, ben, &format!("m{n}"));
    }
    let large = Content::shared(1, vec![b'x'; limits::CONTENT_BYTES]).unwrap();
    let conversation = talk(ann.user, ben.user);
    for n in 0..2 {
        world.run(Command::Send { from: ann, conversation, id: id_of(&format!("large{n}")), content: large.clone(), roster: 0 }).unwrap();
    }
    let mut page = |after: u64| match world.run(Command::ReadLog { device: ben, conversation, after: Some(Seq(after)) }) {
        Ok(Reply::Page { entries, head: Seq(72), .. }) => entries.iter().map(|entry| entry.seq.0).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(page(0), (1..=64).collect::<Vec<_>>());
    assert_eq!(page(64), (65..=70).collect::<Vec<_>>(), "what is over the bytes of a page comes with the next");
    assert_eq!(page(70), [71]);
    assert_eq!(page(71), [72]);
    assert!(page(72).is_empty());
}

#[test]
fn each_device_gets_its_own_body_and_a_blank_position_where_there_is_none_for_it() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    let tablet = world.link(2);
    let body = |text: &str| Body { kind: 7, bytes: text.as_bytes().into() };
    let content = Content::new(Parts::PerDevice(vec![(ben, body("for the phone"))])).unwrap();
    let conversation = talk(ann.user, ben.user);
    world.run(Command::Send { from: ann, conversation, id: id_of("m"), content, roster: 0 }).unwrap();
    assert_eq!(world.texts(ben, ann, None), ["for the phone"]);
    assert_eq!(world.texts(tablet, ann, None), ["-"]);
    world.prove();
}

#[test]
fn a_position_beyond_the_head_is_answered_at_once_with_the_head() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    let conversation = talk(ann.user, ben.user);
    let beyond = |head: u64| Err(Reject::BeyondHead { head: Seq(head) });
    let read = |after: u64| Command::ReadLog { device: ben, conversation, after: Some(Seq(after)) };
    assert_eq!(world.run(read(1)), beyond(0));
    world.send(ann, ben, "hello");
    let before = world.rows.clone();
    assert_eq!(world.run(read(2)), beyond(1));
    assert_eq!(world.run(read(u64::MAX)), beyond(1));
    assert_eq!(world.acknowledge(ben, ann, 2, 0), beyond(1));
    assert_eq!(world.acknowledge(ben, ann, u64::MAX, u64::MAX), beyond(1));
    assert_eq!(world.rows, before);
    assert_eq!(
        world.run(Command::ReadLog { device: DeviceId { user: UserId(9), serial: 1 }, conversation, after: None }),
        Err(Reject::NotMember)
    );
}

#[test]
fn a_cursor_that_a_restored_store_does_not_reach_is_answered_with_its_head() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    let conversation = talk(ann.user, ben.user);
    world.send(ann, ben, "hello");
    world.set(&rows::cursor(ben, conversation), &rows::Cursor { upto: Seq(9) });
    let read = Command::ReadLog { device: ben, conversation, after: None };
    assert_eq!(world.run(read), Err(Reject::BeyondHead { head: Seq(1) }));
}

#[test]
fn what_is_not_acknowledged_stays_marked_and_one_mark_serves_a_thousand_messages() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    let conversation = talk(ann.user, ben.user);
    for n in 1..=20 {
        world.send(ann, ben, &format!("m{n}"));
    }
    assert_eq!(world.dirty(ben), [(conversation, Seq(20))]);
    world.acknowledge(ben, ann, 19, 0).unwrap();
    assert_eq!(world.dirty(ben), [(conversation, Seq(20))]);
    assert_eq!(world.texts(ben, ann, None), ["m20"]);
    world.acknowledge(ben, ann, 20, 0).unwrap();
    assert_eq!(world.dirty(ben), []);
    assert_eq!(world.dirty(ann), [], "nobody is owed their own messages");
    world.prove();
}
