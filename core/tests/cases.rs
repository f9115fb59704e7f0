//! Failures that messengers have had, where a whole world is needed to tell them; `docs/failures.md` lists them all.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]
#![allow(dead_code, reason = "the world is shared with other programs of tests")]

mod pair;

use doubletick_core::client::Notice;
use doubletick_core::gateway::ConnId;
use doubletick_core::id::{MessageId, Seq};
use doubletick_core::time::Millis;
use pair::World;
use std::collections::BTreeMap;

const ALICE: &str = "+4915100000001";
const BOB: &str = "+4915100000002";

#[test]
fn what_a_dead_connection_swallowed_comes_at_the_next_one_in_order() {
    let mut world = World::new(2);
    let (alice, bob) = (world.phone(ALICE, 0), world.phone(BOB, 1));
    world.settle();
    let chat = world.chat(alice, bob);
    // The network between Bob and his gateway is gone, and neither hears of it.
    world.phones[bob].conn = Some((1, ConnId(u64::MAX)));
    let texts: Vec<String> = (0..10).map(|n| format!("m{n}")).collect();
    for text in &texts {
        world.write(alice, bob, text);
        world.pass(Millis::seconds(2));
    }
    assert!(world.texts(bob, chat).is_empty());
    assert_eq!(world.texts(alice, chat), texts, "the sender has every first tick");
    assert_eq!(world.phones[alice].stored.chats[&chat].peer_delivered, Seq(0), "and no second one");
    world.pass(Millis::seconds(120));
    assert_eq!(world.texts(bob, chat), texts);
    assert_eq!(world.phones[alice].stored.chats[&chat].peer_delivered, Seq(10));
    let errors = world.phones[alice]
        .notices
        .iter()
        .filter(|notice| matches!(notice, Notice::HeldUp(_) | Notice::Refused(_) | Notice::Online(false)));
    assert_eq!(errors.count(), 0, "the sender never saw an error");
}

#[test]
fn eight_devices_write_into_one_conversation_and_all_see_the_same() {
    let mut world = World::new(3);
    let devices: Vec<usize> = (0..8).map(|n| world.phone(if n % 2 == 0 { ALICE } else { BOB }, n % 3)).collect();
    world.settle();
    for round in 0..25 {
        for device in &devices {
            world.write(*device, if device % 2 == 0 { 1 } else { 0 }, &format!("{round} of {device}"));
        }
        if round % 3 == 0 {
            world.pass(Millis(1));
        }
    }
    world.pass(Millis::seconds(120));
    let seen: Vec<BTreeMap<Seq, MessageId>> =
        devices.iter().map(|device| world.phones[*device].stored.shown.iter().map(|shown| (shown.seq, shown.id)).collect()).collect();
    for (device, own) in devices.iter().zip(&seen) {
        assert_eq!(
            own.keys().map(|seq| seq.0).collect::<Vec<_>>(),
            (1..=200).collect::<Vec<u64>>(),
            "device {device} sees every position once"
        );
        assert_eq!(own, &seen[0], "device {device} sees the order that all see");
        assert_eq!(world.phones[*device].stored.shown.len(), 200, "and nothing twice");
    }
}
