//! Two people talk through gateways that fail them: stories of one conversation each, in virtual time.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one variant among many")]

mod pair;

use doubletick_core::client::{Ask, Input, Notice, Tag};
use doubletick_core::frame::{CloseReason, Presence, Privacy, ServerFrame};
use doubletick_core::gateway;
use doubletick_core::id::Seq;
use doubletick_core::reject::Reject;
use doubletick_core::store::Failure;
use doubletick_core::time::Millis;
use pair::World;

const ALICE: &str = "+4915100000001";
const BOB: &str = "+4915100000002";

fn two() -> (World, usize, usize) {
    let mut world = World::new(2);
    let alice = world.phone(ALICE, 0);
    let bob = world.phone(BOB, 1);
    world.settle();
    (world, alice, bob)
}

#[test]
fn a_message_reaches_the_other_side_and_both_ticks_come_back() {
    let (mut world, alice, bob) = two();
    let chat = world.chat(alice, bob);
    world.write(alice, bob, "hello");
    world.settle();
    assert_eq!(world.texts(bob, chat), ["hello"]);
    assert_eq!(world.texts(alice, chat), ["hello"]);
    let ticks = world.phones[alice].stored.chats[&chat];
    assert_eq!((ticks.peer_delivered, ticks.peer_read), (Seq(1), Seq(0)));
    world.phones[bob].machine.handle_input(world.now, Input::Show { conversation: chat, upto: Seq(1) });
    world.settle();
    assert_eq!(world.phones[alice].stored.chats[&chat].peer_read, Seq(1));
    assert_eq!(world.phones[bob].stored.chats[&chat].read_told, Seq(1));
}

#[test]
fn two_first_messages_at_the_same_moment_reach_each_other() {
    let (mut world, alice, bob) = two();
    let chat = world.chat(alice, bob);
    world.write(alice, bob, "a1");
    world.write(bob, alice, "b1");
    world.write(bob, alice, "b2");
    world.write(alice, bob, "a2");
    world.settle();
    for phone in [alice, bob] {
        let mut texts = world.texts(phone, chat);
        texts.sort_unstable();
        assert_eq!(texts, ["a1", "a2", "b1", "b2"]);
        assert_eq!(world.phones[phone].stored.chats[&chat].cursor, Some(Seq(4)));
    }
}

#[test]
fn what_was_sent_while_the_receiver_was_away_comes_in_order_at_its_return() {
    let (mut world, alice, bob) = two();
    let chat = world.chat(alice, bob);
    world.dead[1] = true;
    world.cut(bob);
    let texts: Vec<String> = (0..200).map(|n| format!("m{n}")).collect();
    for text in &texts {
        world.write(alice, bob, text);
    }
    world.pass(Millis::seconds(60));
    assert!(world.texts(bob, chat).is_empty());
    assert_eq!(world.phones[alice].stored.chats[&chat].peer_delivered, Seq(0), "no second tick for what did not arrive");
    world.dead[1] = false;
    world.pass(Millis::seconds(60));
    assert_eq!(world.texts(bob, chat), texts);
    assert_eq!(world.phones[alice].stored.chats[&chat].peer_delivered, Seq(200));
}

#[test]
fn with_every_bell_lost_everything_still_arrives() {
    let (mut world, alice, bob) = two();
    let chat = world.chat(alice, bob);
    world.deaf = true;
    world.write(alice, bob, "one");
    world.write(alice, bob, "two");
    world.pass(Millis::seconds(90));
    assert_eq!(world.texts(bob, chat), ["one", "two"]);
    assert_eq!(world.phones[alice].stored.chats[&chat].peer_delivered, Seq(2));
}

#[test]
fn an_unknown_result_leads_to_one_entry_whether_it_was_committed_or_not() {
    for failures in [
        vec![(Failure::Unknown, true)],
        vec![(Failure::Unknown, false)],
        vec![(Failure::Retry, false), (Failure::Unknown, true), (Failure::Unknown, true)],
    ] {
        let (mut world, alice, bob) = two();
        let chat = world.chat(alice, bob);
        world.failures.extend(failures);
        world.write(alice, bob, "once");
        world.pass(Millis::seconds(2));
        assert_eq!(world.texts(bob, chat), ["once"]);
        assert_eq!(world.phones[bob].stored.shown[0].seq, Seq(1));
    }
}

#[test]
fn a_client_killed_between_receiving_and_storing_loses_nothing_and_shows_nothing_twice() {
    let (mut world, alice, bob) = two();
    let chat = world.chat(alice, bob);
    world.phones[bob].holds_saves = true;
    for round in 0..100 {
        world.write(alice, bob, &format!("m{round}"));
        world.pass(Millis::seconds(2));
        world.crash_phone(bob);
        world.settle();
    }
    world.phones[bob].holds_saves = false;
    // No other traffic is needed to get going again.
    world.pass(Millis::seconds(5));
    let texts: Vec<String> = (0..100).map(|n| format!("m{n}")).collect();
    assert_eq!(world.texts(bob, chat), texts);
}

#[test]
fn a_sender_killed_at_any_moment_sends_each_message_once() {
    let (mut world, alice, bob) = two();
    let chat = world.chat(alice, bob);
    for round in 0..50 {
        world.write(alice, bob, &format!("m{round}"));
        world.store_records(alice);
        if round % 3 == 0 {
            world.pass(Millis(1));
        }
        world.crash_phone(alice);
        world.pass(Millis::seconds(3));
    }
    let texts: Vec<String> = (0..50).map(|n| format!("m{n}")).collect();
    assert_eq!(world.texts(bob, chat), texts);
    assert_eq!(world.texts(alice, chat), texts);
}

#[test]
fn of_two_clients_of_one_device_the_newer_wins_and_the_older_stays_closed() {
    let (mut world, alice, bob) = two();
    let (device, secret) = (world.phones[bob].device, world.phones[bob].secret);
    let twin = world.phone("+4915100000003", 0);
    world.phones[twin].device = device;
    world.phones[twin].secret = secret;
    world.crash_phone(twin);
    world.pass(Millis::seconds(30));
    assert_eq!(world.stopped(bob), Some(CloseReason::Replaced));
    assert_eq!(world.stopped(twin), None);
    world.write(alice, bob, "to the newer");
    world.pass(Millis::seconds(30));
    let chat = world.chat(alice, bob);
    assert_eq!(world.texts(twin, chat), ["to the newer"]);
    assert!(world.texts(bob, chat).is_empty());
}

#[test]
fn a_late_connection_of_a_client_does_not_throw_the_client_out() {
    let (mut world, _, bob) = two();
    // The client gives a connection up and makes another; the gateway of the old one has not noticed.
    world.phones[bob].conn = None;
    world.phones[bob].gateway = 0;
    world.phones[bob].machine.handle_input(world.now, Input::Disconnected { reason: None });
    world.pass(Millis::seconds(30));
    assert_eq!(world.stopped(bob), None);
    assert!(world.phones[bob].machine.is_online());
}

#[test]
fn a_gateway_that_crashes_loses_nothing_and_its_devices_go_offline_in_time() {
    let (mut world, alice, bob) = two();
    let chat = world.chat(alice, bob);
    let user = world.phones[bob].device.user;
    world.phones[bob].machine.handle_input(world.now, Input::Ask(Tag(1), Ask::SetPrivacy(Privacy::Everyone)));
    world.settle();
    world.phones[alice].machine.handle_input(world.now, Input::Watch { user, active: true });
    world.settle();
    assert_eq!(last_presence(&world, alice), Some(Presence::Online));
    world.pass(Millis::seconds(45));
    let heard = world.now;
    world.crash_gateway(1);
    world.dead[1] = true;
    world.write(alice, bob, "into the void");
    world.pass(Millis::seconds(90));
    let Some(Presence::Offline { last_seen: Some(seen) }) = last_presence(&world, alice) else {
        panic!("still {:?}", last_presence(&world, alice))
    };
    assert!(seen <= heard, "last seen is never later than when it was heard");
    let told = world.phones[alice]
        .notices
        .iter()
        .filter(|notice| matches!(notice, Notice::Presence { presence: Presence::Offline { .. }, .. }))
        .count();
    assert_eq!(told, 1, "told once");
    world.phones[bob].gateway = 0;
    world.pass(Millis::seconds(60));
    assert_eq!(world.texts(bob, chat), ["into the void"]);
    assert_eq!(last_presence(&world, alice), Some(Presence::Online));
}

fn last_presence(world: &World, phone: usize) -> Option<Presence> {
    world.phones[phone].notices.iter().rev().find_map(|notice| match notice {
        Notice::Presence { presence, .. } => Some(*presence),
        _ => None,
    })
}

#[test]
fn a_store_that_refuses_work_delays_messages_and_reorders_none() {
    let (mut world, alice, bob) = two();
    let chat = world.chat(alice, bob);
    for n in 0..5 {
        world.failures.push_back((Failure::Unavailable, false));
        world.write(alice, bob, &format!("m{n}"));
        world.pass(Millis(700));
    }
    world.pass(Millis::seconds(60));
    assert_eq!(world.texts(bob, chat), ["m0", "m1", "m2", "m3", "m4"]);
    assert!(world.phones[alice].notices.iter().any(|notice| matches!(notice, Notice::HeldUp(_))));
}

#[test]
fn a_token_that_runs_out_on_an_open_connection_is_renewed_and_the_refused_message_goes_through_once() {
    let (mut world, alice, bob) = two();
    let chat = world.chat(alice, bob);
    for text in ["late", "much later"] {
        // As when the whole machine sleeps for a month: no timer has run in between.
        world.now = world.now + Millis::days(31);
        world.write(alice, bob, text);
        world.settle();
        world.pass(Millis::seconds(120));
    }
    assert_eq!(world.texts(bob, chat), ["late", "much later"]);
    assert!(world.phones[alice].notices.contains(&Notice::HeldUp(Reject::TokenExpired)));
    assert!(world.phones[alice].machine.is_online());
}

#[test]
fn live_messages_never_overtake_a_backlog() {
    let (mut world, alice, bob) = two();
    let chat = world.chat(alice, bob);
    world.dead[1] = true;
    world.cut(bob);
    for n in 0..500 {
        world.write(alice, bob, &format!("m{n}"));
    }
    world.pass(Millis::seconds(120));
    world.dead[1] = false;
    for n in 500..600 {
        world.write(alice, bob, &format!("m{n}"));
        world.pass(Millis(20));
    }
    world.pass(Millis::seconds(120));
    let texts: Vec<String> = (0..600).map(|n| format!("m{n}")).collect();
    assert_eq!(world.texts(bob, chat), texts);
    let mut last = Seq(0);
    for frame in &world.phones[bob].frames {
        if let ServerFrame::Deliver { entries, .. } = frame {
            for entry in entries {
                assert_eq!(entry.seq, last.next(), "positions follow one another on the wire");
                last = entry.seq;
            }
        }
    }
}

#[test]
fn a_device_that_does_not_acknowledge_is_cut_off_and_gets_everything_at_its_return() {
    let (mut world, alice, bob) = two();
    let chat = world.chat(alice, bob);
    world.phones[bob].holds_saves = true;
    for n in 0..20 {
        world.write(alice, bob, &format!("m{n}"));
    }
    world.pass(Millis::seconds(70));
    let cut = world.phones[bob].frames.len();
    assert!(cut > 0);
    assert!(world.phones[bob].notices.contains(&Notice::Online(false)), "cut off");
    world.phones[bob].holds_saves = false;
    world.crash_phone(bob);
    world.pass(Millis::seconds(60));
    assert_eq!(world.texts(bob, chat).len(), 20);
}

#[test]
fn own_messages_do_not_come_back_once_the_server_knows_that_the_device_has_them() {
    let (mut world, alice, bob) = two();
    let chat = world.chat(alice, bob);
    for n in 0..30 {
        world.write(alice, bob, &format!("m{n}"));
        world.settle();
    }
    world.pass(Millis::seconds(65));
    world.cut(alice);
    world.pass(Millis::seconds(5));
    world.phones[alice].frames.clear();
    world.write(bob, alice, "answer");
    world.pass(Millis::seconds(5));
    let delivered: usize = world.phones[alice]
        .frames
        .iter()
        .map(|frame| if let ServerFrame::Deliver { entries, .. } = frame { entries.len() } else { 0 })
        .sum();
    assert_eq!(delivered, 1, "only the answer");
    assert_eq!(world.texts(alice, chat).len(), 31);
}

#[test]
fn after_a_restore_from_an_older_backup_new_messages_arrive_and_are_acknowledged() {
    let (mut world, alice, bob) = two();
    let chat = world.chat(alice, bob);
    for n in 0..3 {
        world.write(alice, bob, &format!("m{n}"));
        world.settle();
    }
    let backup = world.rows.clone();
    for n in 3..8 {
        world.write(alice, bob, &format!("m{n}"));
        world.settle();
    }
    world.rows = backup;
    world.crash_gateway(0);
    world.crash_gateway(1);
    world.pass(Millis::seconds(60));
    world.write(alice, bob, "after the restore");
    world.pass(Millis::seconds(60));
    assert_eq!(world.texts(bob, chat).last(), Some(&"after the restore"));
    assert_eq!(world.phones[bob].stored.chats[&chat].cursor, Some(Seq(4)));
    let Some(last) = world.phones[alice].stored.shown.last() else { panic!() };
    assert_eq!(last.seq, Seq(4));
}

#[test]
fn draining_closes_every_connection_and_its_clients_go_elsewhere() {
    let (mut world, alice, bob) = two();
    let chat = world.chat(alice, bob);
    world.gateways[1].handle_input(world.now, gateway::Input::Drain(gateway::Drain { spread: Millis::seconds(5), ..Default::default() }));
    world.settle();
    assert!(world.gateways[1].is_idle());
    assert_eq!(world.stopped(bob), None);
    world.phones[bob].gateway = 0;
    world.write(alice, bob, "still there");
    world.pass(Millis::seconds(15));
    assert_eq!(world.texts(bob, chat), ["still there"]);
}
