//! What a transaction costs and that it is a function: rounds of fetching, rows read and written, replay.

use crate::world::*;
use doubletick_core::command::Command;
use doubletick_core::id::{DeviceId, SessionEpoch};
use doubletick_core::rows;
use doubletick_core::store::{Read, Write};
use doubletick_core::transact::{Batch, replay};

/// Two people who have talked, each with one device that is connected and caught up.
fn story() -> (World, DeviceId, DeviceId) {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    world.open(ann, WEST, 1);
    world.open(ben, EAST, 1);
    world.send(ann, ben, "one");
    world.acknowledge(ben, ann, 1, 1).unwrap();
    world.send(ben, ann, "two");
    world.acknowledge(ann, ben, 2, 2).unwrap();
    (world, ann, ben)
}

/// Rounds of fetching, then rows: read durable, read ephemeral, written durable, written ephemeral.
fn cost(world: &World, commands: Vec<Command>) -> [usize; 5] {
    let (commit, rounds, fetched) = in_rounds(&world.rows, &Batch { now: world.now, commands });
    assert!(commit.answer.replies.iter().all(Result::is_ok), "{:?}", commit.answer.replies);
    let read = |ephemeral| {
        let of = |read: &&Read| match read {
            Read::Row(key) => key.is_ephemeral() == ephemeral,
            Read::Rows(scan) => scan.from.is_ephemeral() == ephemeral,
        };
        fetched.iter().filter(of).count()
    };
    let written = |ephemeral| commit.writes.iter().filter(|write| write.key().is_ephemeral() == ephemeral).count();
    [rounds as usize, read(false), read(true), written(false), written(true)]
}

/// | command, one device each | rounds | durable rows read | ephemeral read | durable written | ephemeral written |
/// |---|---|---|---|---|---|
/// | send, receiver connected | 2 | 7: index, 2 accounts, head, cursor, 2 blocks | 1: session | 4: log, head, index, dirty | 2: wake, bell |
/// | send, receiver away | 2 | 7 | 1 | 4 | 0 |
/// | send, a retry | 1 | 7 | 0 | 0 | 0 |
/// | send, the first of a conversation | 2 | 7 | 1 | 6: and 2 chats | 2 |
/// | acknowledge, sender connected | 2 | 5: head, cursor, receipt, dirty, account | 1: session | 3: cursor, dirty, receipt | 2: wake, bell |
/// | acknowledge, sender away | 2 | 5 | 1 | 3 | 0 |
/// | acknowledge, a retry | 1 | 5 | 0 | 0 | 0 |
#[test]
fn one_message_reads_and_writes_this_many_rows() {
    let (mut world, ann, ben) = story();
    let acknowledged = acknowledge(ben, ann.user, 3, 3);
    assert_eq!(cost(&world, vec![send(ann, ben.user, "three")]), [2, 7, 1, 4, 2]);
    world.send(ann, ben, "three");
    assert_eq!(cost(&world, vec![send(ann, ben.user, "three")]), [1, 7, 0, 0, 0]);
    assert_eq!(cost(&world, vec![acknowledged.clone()]), [2, 5, 1, 3, 2]);
    world.end(ann, WEST, 1);
    assert_eq!(cost(&world, vec![acknowledged.clone()]), [2, 5, 1, 3, 0]);
    world.run(acknowledged.clone()).unwrap();
    assert_eq!(cost(&world, vec![acknowledged]), [1, 5, 0, 0, 0]);
    assert_eq!(cost(&world, vec![send(ben, ann.user, "four")]), [2, 7, 1, 4, 0]);
    let cid = world.link(3);
    assert_eq!(cost(&world, vec![send(cid, ben.user, "one")]), [2, 7, 1, 6, 2]);
}

#[test]
fn a_batch_is_fetched_in_as_few_rounds_as_its_slowest_command() {
    let (mut world, ann, ben) = story();
    let cid = world.link(3);
    let conversation = talk(ann.user, ben.user);
    let commands = vec![
        send(ann, ben.user, "three"),
        send(cid, ben.user, "one"),
        acknowledge(ben, ann.user, 2, 2),
        Command::ReadDirty { device: cid, after: None },
        Command::Typing { from: ann, conversation, active: true },
    ];
    assert!(cost(&world, commands)[0] <= 3);
}

/// Rounds of fetching of every kind of command at its worst in a small world: a round is a journey to the store.
#[test]
fn every_command_is_fetched_in_a_few_rounds_that_do_not_grow_with_what_it_touches() {
    let (mut world, ann, ben) = story();
    let watchers: Vec<DeviceId> = (10..30).map(|user| world.link(user)).collect();
    for watcher in watchers {
        let user = watcher.user.0;
        world.open(watcher, WEST, user);
        world.send(watcher, ben, &format!("from {user}"));
        world.acknowledge(ben, watcher, 1, 1).unwrap();
        for watched in [10, 11, 12, 2] {
            world.watch(watcher, WEST, DeviceId { user: doubletick_core::id::UserId(watched), serial: 1 });
        }
    }
    let tablet = world.link(2);
    let conversation = talk(ann.user, ben.user);
    for (command, most) in [
        (send(ann, ben.user, "to a new device"), 2),
        (send(ben, ann.user, "beside a new device"), 2),
        (acknowledge(ben, ann.user, 2, 2), 2),
        (open(ben, token(2, 1), EAST, 9), 4),
        (open(tablet, token(2, 2), EAST, 10), 4),
        (Command::EndSession { device: ben, gateway: EAST, epoch: SessionEpoch(1), heard: world.now }, 5),
        (Command::ReadLog { device: ben, conversation, after: None }, 2),
        (Command::ReadDirty { device: ben, after: None }, 1),
        (Command::ListChats { user: ben.user, after: None }, 3),
        (Command::TakeWakes { gateway: WEST, seen: vec![] }, 1),
        (Command::RemoveDevice { device: ben }, 2),
        (Command::Reap { gateway: WEST, renewals: 0 }, 7),
    ] {
        let rounds = cost(&world, vec![command.clone()])[0];
        assert!(rounds <= most, "{rounds} rounds: {command:?}");
    }
}

#[test]
fn replaying_what_has_happened_gives_the_same_durable_rows() {
    let (mut world, ann, ben) = story();
    world.link(2);
    world.send(ann, ben, "three");
    world.run(renew(ann, 1, token(1, 9))).unwrap();
    world.end(ben, EAST, 1);
    let durable = |rows: &Rows| rows.clone().into_iter().filter(|(key, _)| !key.is_ephemeral()).collect::<Rows>();
    for step in [1, 3, usize::MAX] {
        let mut rebuilt = Rows::new();
        for events in world.events.chunks(step.min(world.events.len())) {
            write(&mut rebuilt, &replay(events));
        }
        assert_eq!(durable(&rebuilt), durable(&world.rows), "{step} events at a time");
    }
}

#[test]
fn a_mark_that_many_commands_of_a_batch_raise_is_written_once() {
    let (world, ann, ben) = story();
    let commands = (0..50).map(|n| send(ann, ben.user, &format!("m{n}"))).collect();
    let commit = at_once(&world.rows, &Batch { now: world.now, commands });
    let mark = rows::dirty(ben, talk(ann.user, ben.user)).key;
    let marks: Vec<&Write> = commit.writes.iter().filter(|write| *write.key() == mark).collect();
    assert_eq!(marks, [&Write::Max(mark, 52)]);
}
