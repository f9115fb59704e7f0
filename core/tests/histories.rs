//! Random histories of everything that users, devices and gateways can do, with retries, clocks that differ, and batches of any size.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one layout among many")]

mod world;

use doubletick_core::command::{Command, Reply, SeenWake};
use doubletick_core::content::{Body, Content, Parts};
use doubletick_core::event::Event;
use doubletick_core::frame::{Privacy, UserList};
use doubletick_core::id::{DeviceId, GatewayId, Seq, SessionEpoch, UserId};
use doubletick_core::rows;
use doubletick_core::time::Millis;
use doubletick_core::transact::replay;
use proptest::prelude::*;
use std::collections::BTreeMap;
use world::cases::cases;
use world::*;

fn user() -> impl Strategy<Value = UserId> {
    // The last one never registers.
    prop_oneof![8 => (1_u64..=3).prop_map(UserId), 1 => Just(UserId(4))]
}

fn device() -> impl Strategy<Value = DeviceId> {
    (user(), prop_oneof![6 => 1_u16..=2, 1 => 3_u16..=4]).prop_map(|(user, serial)| DeviceId { user, serial })
}

fn gateway() -> impl Strategy<Value = GatewayId> {
    prop_oneof![Just(WEST), Just(EAST), Just(GatewayId(0xc))]
}

fn position() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0_u64..12, 1 => Just(u64::MAX)]
}

fn content() -> impl Strategy<Value = Content> {
    let shared = (0_u8..3).prop_map(|text| Content::shared(1, vec![text; usize::from(text)]).unwrap());
    let each = proptest::collection::btree_map(device(), 0_u8..3, 1..4).prop_map(|bodies| {
        let bodies = bodies.into_iter().map(|(to, text)| (to, Body { kind: 2, bytes: vec![text].into() }));
        Content::new(Parts::PerDevice(bodies.collect())).unwrap()
    });
    prop_oneof![4 => shared, 1 => each]
}

/// A device and somebody else.
fn pair() -> impl Strategy<Value = (DeviceId, UserId)> {
    (device(), user()).prop_filter("two people", |(device, user)| device.user != *user)
}

fn account() -> impl Strategy<Value = Command> {
    let digits = (0_u8..2).prop_map(|digit| format!("00000{digit}"));
    let phone_of = 1_u64..=3;
    prop_oneof![
        (phone_of.clone(), digits.clone())
            .prop_map(|(user, digits)| Command::RequestCode { phone: phone(user), code: code(user, &digits) }),
        (phone_of, digits, 1_u64..5).prop_map(|(user, digits, secret)| register(user, &digits, token(user, secret))),
        (device(), 1_u64..4, 1_u64..5).prop_map(|(device, epoch, secret)| renew(device, epoch, token(device.user.0, secret))),
        device().prop_map(|device| Command::RemoveDevice { device }),
        (user(), any::<bool>(), user(), any::<bool>()).prop_map(|(owner, blocked, user, listed)| {
            let list = if blocked { UserList::Blocked } else { UserList::Contacts };
            Command::SetListed { owner, list, user, listed: listed && !blocked }
        }),
        (user(), user(), any::<bool>()).prop_map(|(owner, user, listed)| Command::SetListed {
            owner,
            list: UserList::Blocked,
            user,
            listed
        }),
        (user(), 0_usize..3).prop_map(|(user, privacy)| {
            Command::SetPrivacy { user, privacy: [Privacy::Everyone, Privacy::Contacts, Privacy::Nobody][privacy] }
        }),
        user().prop_map(|user| Command::AskUser { user }),
        Just(Command::FindUsers { phones: (1..=4).map(phone).collect() }),
    ]
}

fn message() -> impl Strategy<Value = Command> {
    prop_oneof![
        8 => (pair(), 0_u8..30, content()).prop_map(|((from, to), id, content)| {
            Command::Send { from, conversation: talk(from.user, to), id: id_of(&format!("m{id}")), content, roster: 0 }
        }),
        6 => (pair(), position(), position()).prop_map(|((device, with), delivered, read)| acknowledge(device, with, delivered, read)),
        2 => (pair(), proptest::option::of(position())).prop_map(|((device, with), after)| {
            Command::ReadLog { device, conversation: talk(device.user, with), after: after.map(Seq) }
        }),
        1 => device().prop_map(|device| Command::ReadDirty { device, after: None }),
        1 => user().prop_map(|user| Command::ListChats { user, after: None }),
        1 => pair().prop_map(|(device, with)| {
            Command::AskReceipts { user: device.user, conversations: vec![talk(device.user, with)] }
        }),
    ]
}

fn session() -> impl Strategy<Value = Command> {
    prop_oneof![
        4 => (device(), 1_u64..5, gateway(), 1_u64..4, 0_u64..2).prop_map(|(device, secret, gateway, epoch, run)| {
            Command::OpenSession { device, secret: token(device.user.0, secret), gateway, epoch: SessionEpoch(epoch), run }
        }),
        2 => (device(), gateway(), 1_u64..4, 0_u64..100).prop_map(|(device, gateway, epoch, heard)| {
            Command::EndSession { device, gateway, epoch: SessionEpoch(epoch), heard: START + Millis(heard) }
        }),
        1 => (user(), 0_u64..100).prop_map(|(user, at)| Command::Heard { users: vec![(user, START + Millis(at))] }),
        1 => (pair(), any::<bool>()).prop_map(|((from, with), active)| {
            Command::Typing { from, conversation: talk(from.user, with), active }
        }),
        1 => (device(), gateway(), user()).prop_map(|(device, gateway, user)| Command::Watch { device, gateway, user }),
        1 => (device(), gateway(), user()).prop_map(|(device, gateway, user)| Command::Unwatch { device, gateway, user }),
        2 => gateway().prop_map(|gateway| Command::TakeWakes { gateway, seen: vec![] }),
        1 => gateway().prop_map(|gateway| Command::Begin { gateway }),
        1 => gateway().prop_map(|gateway| Command::RenewLease { gateway }),
        1 => Just(Command::ReadLeases),
        1 => (gateway(), 0_u64..3).prop_map(|(gateway, renewals)| Command::Reap { gateway, renewals }),
    ]
}

/// A step: the clock that it happens by, its commands, and whether its answer is lost and it is run again.
fn step() -> impl Strategy<Value = (u64, Vec<Command>, bool)> {
    let command = prop_oneof![1 => account(), 5 => message(), 3 => session()];
    (0_u64..100_000, proptest::collection::vec(command, 1..6), any::<bool>())
}

/// What must hold of the rows of running processes whenever nobody is in the middle of anything.
fn check_sessions(world: &World) {
    for (key, value) in &world.rows {
        if let Some(rows::Place::Session(device)) = rows::Place::of(key) {
            let session = <rows::Session as rows::Row>::decode(value).unwrap();
            let listed = world.row(&rows::session_of(session.gateway, device));
            assert_eq!(listed, Some(rows::SessionOf { epoch: session.epoch }), "a session that no reaper would find");
            assert!(world.row(&rows::lease(session.gateway)).is_some(), "a session that nobody would reap");
        }
    }
}

/// Receipts, cursors and last-seen times only ever go forwards.
#[derive(Default)]
struct Watermarks(BTreeMap<doubletick_core::store::Key, (u64, u64)>);

impl Watermarks {
    fn rise(&mut self, world: &World) {
        for (key, value) in &world.rows {
            let mark = match rows::Place::of(key) {
                Some(rows::Place::Receipt(..)) => {
                    let rows::Receipt { delivered, read } = rows::Row::decode(value).unwrap();
                    (delivered.0, read.0)
                }
                Some(rows::Place::Cursor(..)) => (<rows::Cursor as rows::Row>::decode(value).unwrap().upto.0, 0),
                Some(rows::Place::LastSeen(_)) => (<rows::Counter as rows::Row>::decode(value).unwrap().0, 0),
                _ => continue,
            };
            let before = self.0.insert(*key, mark).unwrap_or_default();
            assert!(before.0 <= mark.0 && before.1 <= mark.1, "{}: {before:?}, then {mark:?}", rows::Place::of(key).unwrap());
        }
    }
}

fn durable(rows: &Rows) -> Rows {
    rows.iter().filter(|(key, _)| !key.is_ephemeral()).map(|(key, value)| (*key, value.clone())).collect()
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn whatever_happens_the_store_proves_whole_and_replays_to_the_same_rows(steps in proptest::collection::vec(step(), 1..60)) {
        let (mut world, _) = World::of([1, 2, 3]);
        world.link(1);
        world.link(2);
        // The rows that `link` forgets, so that nobody waits for a code, are no part of the history.
        let begin = durable(&world.rows);
        world.events.clear();
        let mut marks = Watermarks::default();
        for (clock, commands, again) in steps {
            world.now = START + Millis(clock);
            let first = world.batch(commands.clone());
            if again {
                let retried = world.batch(commands.clone());
                for ((command, first), retried) in commands.iter().zip(&first).zip(&retried) {
                    if let (Command::Send { .. }, Ok(Reply::Sent { seq, at, .. })) = (command, first) {
                        let same = matches!(retried, Ok(Reply::Sent { seq: s, at: a, .. }) if (s, a) == (seq, at));
                        prop_assert!(same, "DEDUP: {:?} {:?}", first, retried);
                    }
                }
            }
            world.prove();
            marks.rise(&world);
            check_sessions(&world);
        }
        prop_assert_eq!(&world.damaged, &vec![]);
        let mut rebuilt = begin;
        write(&mut rebuilt, &replay(&world.events));
        prop_assert_eq!(durable(&rebuilt), durable(&world.rows));
        check_presence(&world);
    }
}

/// The last word on each user's presence is whether a session of a linked device of theirs is open.
fn check_presence(world: &World) {
    let mut said = BTreeMap::new();
    for event in &world.events {
        if let Event::PresenceChanged { user, online } = event {
            said.insert(*user, *online);
        }
    }
    for (user, online) in said {
        let account = world.row(&rows::account(user)).unwrap();
        let open = |serial| world.row(&rows::session(DeviceId { user, serial })).is_some();
        let linked = account.devices.iter().any(|device| open(device.serial));
        let removed = (1..account.next_serial).any(|serial| open(serial) && !account.devices.iter().any(|device| device.serial == serial));
        // A removed device's session is open until its gateway has heard of it.
        assert!(online == linked || removed, "{user} was said to be online: {online}, has a session: {linked}");
    }
}

#[test]
fn wake_ups_of_any_gateway_come_to_an_end() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    world.open(ben, WEST, 1);
    for n in 0..1200 {
        let topic = rows::Topic::Presence(UserId(5000 + n));
        world.set(&rows::wake(WEST, ben, topic), &rows::StoredWake::Typing(true));
    }
    world.send(ann, ben, "hello");
    let mut seen: Vec<SeenWake> = vec![];
    for _ in 0..8 {
        match world.batch_once([Command::TakeWakes { gateway: WEST, seen: seen.clone() }]).pop() {
            Some(Ok(Reply::Wakes { seen: fresh, more, .. })) => {
                if fresh.is_empty() && !more {
                    return;
                }
                seen = fresh;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("{} wake-ups are left", seen.len());
}
