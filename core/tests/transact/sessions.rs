//! Sessions, wake-ups, and gateways that die.

use crate::world::*;
use doubletick_core::command::{Command, Reply, SeenWake, Wake};
use doubletick_core::frame::{Presence, Privacy, UserList};
use doubletick_core::id::{DeviceId, GatewayId, Seq, SessionEpoch};
use doubletick_core::limits;
use doubletick_core::reject::Reject;
use doubletick_core::rows::{self, Session, SessionOf};
use doubletick_core::time::Millis;

fn session(world: &World, device: DeviceId) -> Option<(GatewayId, u64)> {
    world.row(&rows::session(device)).map(|Session { gateway, epoch, .. }| (gateway, epoch.0))
}

fn reap(world: &mut World, gateway: GatewayId, renewals: u64) -> bool {
    match world.run(Command::Reap { gateway, renewals }) {
        Ok(Reply::Reaped { more }) => more,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_begins_with_what_its_device_has_not_acknowledged() {
    let (mut world, [ann, ben, cid]) = World::of([1, 2, 3]);
    world.send(ann, ben, "one");
    world.send(cid, ben, "two");
    world.send(ben, cid, "three");
    assert_eq!(world.open(ben, WEST, 1), [(talk(ann.user, ben.user), Seq(1)), (talk(cid.user, ben.user), Seq(1))]);
    world.acknowledge(ben, ann, 1, 0).unwrap();
    assert_eq!(world.open(ben, WEST, 1), [(talk(cid.user, ben.user), Seq(1))], "a retry sees the present");
    assert_eq!(world.wakes(WEST), [], "a retry replaces nothing");
}

#[test]
fn a_newer_session_takes_the_place_of_the_older_and_its_gateway_is_told() {
    for (second, run, by_same_run) in [(WEST, 1, true), (EAST, 1, true), (EAST, 2, false)] {
        let (mut world, [ann]) = World::of([1]);
        world.open(ann, WEST, 1);
        let newer = Command::OpenSession { device: ann, secret: token(1, 1), gateway: second, epoch: SessionEpoch(2), run };
        for _ in 0..2 {
            world.run(newer.clone()).unwrap();
        }
        assert_eq!(session(&world, ann), Some((second, 2)));
        assert_eq!(world.wakes(WEST), [(ann, Wake::Replaced { epoch: SessionEpoch(1), by_same_run })]);
        assert_eq!(world.row(&rows::session_of(second, ann)), Some(SessionOf { epoch: SessionEpoch(2) }));
        if second != WEST {
            assert_eq!(world.row(&rows::session_of(WEST, ann)), None);
        }
    }
}

#[test]
fn what_an_older_session_still_wants_is_ignored() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    world.open(ann, WEST, 1);
    let by = |epoch, command: Command| in_session(ann, epoch, command);
    let block = |listed| Command::SetListed { owner: ann.user, list: UserList::Blocked, user: ben.user, listed };
    assert_eq!(world.run(by(1, block(true))), Ok(Reply::Done));
    world.open(ann, WEST, 2);
    assert_eq!(world.run(by(2, send(ann, ben.user, "one"))), Err(Reject::NotAllowed));
    assert_eq!(world.run(by(2, block(false))), Ok(Reply::Done));
    let before = world.rows.clone();
    for late in [block(true), send(ann, ben.user, "one"), Command::Renew { device: ann, secret: token(1, 9) }] {
        assert_eq!(world.run(by(1, late)), Err(Reject::Unavailable));
    }
    assert_eq!(world.rows, before);
    assert!(world.run(by(2, send(ann, ben.user, "two"))).is_ok());
}

#[test]
fn an_earlier_run_of_a_client_never_takes_the_place_of_a_later_one() {
    let (mut world, [ann]) = World::of([1]);
    let greeting =
        |gateway, epoch, run| Command::OpenSession { device: ann, secret: token(1, 1), gateway, epoch: SessionEpoch(epoch), run };
    world.run(greeting(WEST, 1, 7)).unwrap();
    for (gateway, epoch) in [(EAST, 1), (WEST, 2)] {
        assert_eq!(world.run(greeting(gateway, epoch, 6)), Ok(Reply::Outrun));
    }
    assert_eq!(session(&world, ann), Some((WEST, 1)));
    assert_eq!(world.wakes(WEST), []);
    world.end(ann, WEST, 1);
    assert!(matches!(world.run(greeting(EAST, 2, 6)), Ok(Reply::Opened { .. })), "a copy from a backup, when nobody else is there");
}

#[test]
fn of_two_sessions_that_were_replaced_before_their_gateway_looked_both_are_closed() {
    let (mut world, [ann]) = World::of([1]);
    for epoch in 1..=3 {
        world.open(ann, WEST, epoch);
    }
    let replaced = |epoch| (ann, Wake::Replaced { epoch: SessionEpoch(epoch), by_same_run: true });
    assert_eq!(world.wakes(WEST), [replaced(1), replaced(2)]);
}

#[test]
fn a_late_end_of_an_older_session_changes_nothing() {
    let (mut world, [ann]) = World::of([1]);
    world.open(ann, WEST, 1);
    world.open(ann, EAST, 2);
    let before = world.events.len();
    for (gateway, epoch) in [(WEST, 1), (WEST, 2), (EAST, 1)] {
        world.end(ann, gateway, epoch);
    }
    assert_eq!(session(&world, ann), Some((EAST, 2)));
    assert_eq!(world.events.len(), before);
    world.end(ann, EAST, 2);
    assert_eq!(session(&world, ann), None);
}

#[test]
fn the_end_of_a_connection_that_never_became_a_session_says_nothing_of_the_user() {
    let (mut world, [ann]) = World::of([1]);
    world.end(ann, WEST, 1);
    assert_eq!(world.row(&rows::last_seen(ann.user)), None, "anybody may greet with anybody's name");
}

#[test]
fn a_late_retry_of_an_older_opening_does_not_take_the_place_of_the_newer_at_its_gateway() {
    let (mut world, [ann]) = World::of([1]);
    world.open(ann, WEST, 1);
    world.open(ann, WEST, 2);
    world.wakes(WEST);
    assert_eq!(world.run(open(ann, token(1, 1), WEST, 1)), Err(Reject::OutOfTurn));
    assert_eq!(session(&world, ann), Some((WEST, 2)));
    assert_eq!(world.wakes(WEST), []);
}

#[test]
fn only_a_gateway_that_holds_its_lease_has_sessions() {
    let (mut world, [ann]) = World::of([1]);
    let unknown = GatewayId(0xdead);
    assert_eq!(world.run(open(ann, token(1, 1), unknown, 1)), Err(Reject::Unavailable));
    world.open(ann, WEST, 1);
    assert!(!reap(&mut world, WEST, 0));
    assert_eq!(world.run(open(ann, token(1, 1), WEST, 2)), Err(Reject::Unavailable));
    assert_eq!(session(&world, ann), None, "or nobody would ever end it");
}

#[test]
fn reaping_ends_the_sessions_of_a_gateway_that_has_not_renewed_since() {
    let (mut world, [ann, ben, cid]) = World::of([1, 2, 3]);
    world.open(ann, WEST, 1);
    world.open(ben, WEST, 2);
    world.open(cid, EAST, 1);
    for watched in [ann, ben] {
        world.privacy(watched, Privacy::Everyone);
        world.watch(cid, EAST, watched);
    }
    world.run(Command::Heard { users: vec![(ann.user, START)] }).unwrap();
    world.wait(Millis::seconds(60));
    world.open(ben, EAST, 2);

    assert_eq!(world.run(Command::RenewLease { gateway: WEST }), Ok(Reply::Lease { held: true }));
    assert!(!reap(&mut world, WEST, 0));
    assert_eq!(session(&world, ann), Some((WEST, 1)), "it has renewed since");

    assert_eq!(world.run(Command::ReadLeases), Ok(Reply::Leases(vec![(WEST, 1), (EAST, 0)])));
    assert!(!reap(&mut world, WEST, 1));
    assert_eq!(session(&world, ann), None);
    assert_eq!(session(&world, ben), Some((EAST, 2)), "it had moved elsewhere");
    let offline = Presence::Offline { last_seen: Some(START) };
    assert_eq!(world.told(EAST), [(cid, ann.user, offline)]);
    assert_eq!(world.run(Command::ReadLeases), Ok(Reply::Leases(vec![(EAST, 0)])));
    assert_eq!(world.run(Command::RenewLease { gateway: WEST }), Ok(Reply::Lease { held: false }));
    assert!(!world.rows.keys().any(|key| matches!(
        rows::Place::of(key),
        Some(rows::Place::SessionOf(WEST, _) | rows::Place::Wake(WEST, ..) | rows::Place::Bell(WEST))
    )));
}

#[test]
fn a_user_with_two_devices_on_a_dead_gateway_goes_offline_once() {
    let (mut world, [phone, ann]) = World::of([2, 1]);
    let tablet = world.link(2);
    for (device, epoch) in [(phone, 1), (tablet, 2)] {
        world.open(device, WEST, epoch);
    }
    world.open(ann, EAST, 1);
    world.privacy(phone, Privacy::Everyone);
    assert_eq!(world.watch(ann, EAST, phone), Presence::Online);
    assert!(!reap(&mut world, WEST, 0));
    assert_eq!(world.told(EAST), [(ann, phone.user, Presence::Offline { last_seen: None })]);
    let offline = world.events.iter().filter(|event| matches!(event, doubletick_core::event::Event::PresenceChanged { online: false, .. }));
    assert_eq!(offline.count(), 1);
}

#[test]
fn a_gateway_that_is_being_reaped_cannot_renew_its_lease_any_more_and_another_judge_goes_on() {
    let (mut world, _) = World::of([1]);
    for user in 100..100 + u64::from(limits::PAGE_SESSIONS) + 5 {
        let device = world.link(user);
        world.open(device, WEST, user);
    }
    assert!(reap(&mut world, WEST, 0), "there are more");
    assert_eq!(world.run(Command::RenewLease { gateway: WEST }), Ok(Reply::Lease { held: false }), "some of its sessions are gone");
    assert_eq!(world.run(Command::Begin { gateway: WEST }), Ok(Reply::Done), "a late retry of its beginning");
    assert_eq!(world.run(Command::RenewLease { gateway: WEST }), Ok(Reply::Lease { held: false }));
    assert_eq!(world.run(Command::ReadLeases), Ok(Reply::Leases(vec![(WEST, 0), (EAST, 0)])), "for a judge who takes it up");
    assert!(!reap(&mut world, WEST, 0));
    assert!(!world.rows.keys().any(|key| matches!(rows::Place::of(key), Some(rows::Place::Session(_) | rows::Place::SessionOf(..)))));
}

#[test]
fn a_wake_up_is_not_lost_with_its_answer() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    world.open(ben, WEST, 1);
    world.send(ann, ben, "one");
    let (first, seen) = world.peek(WEST);
    assert_eq!(world.peek(WEST).0, first, "the answer was lost");
    assert!(matches!(&first[..], [(_, Wake::Dirty { upto: Seq(1), entry: Some(entry), .. })] if text(entry) == "one"));
    assert_eq!(world.take(WEST, seen.clone()).0, []);
    assert_eq!(world.take(WEST, seen).0, [], "a retry of the taking");
}

#[test]
fn a_wake_up_that_has_changed_since_it_was_seen_is_answered_again() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    world.open(ben, WEST, 1);
    world.send(ann, ben, "one");
    let (_, seen) = world.peek(WEST);
    world.send(ann, ben, "two");
    let (again, seen) = world.take(WEST, seen);
    assert!(matches!(&again[..], [(_, Wake::Dirty { upto: Seq(2), .. })]), "{again:?}");
    assert_eq!(world.take(WEST, seen).0, []);
}

#[test]
fn wake_ups_that_were_seen_may_be_handed_in_in_any_order() {
    let (mut world, [ann, ben, cid]) = World::of([1, 2, 3]);
    world.open(ben, WEST, 1);
    world.send(ann, ben, "one");
    let mut seen: Vec<SeenWake> = world.peek(WEST).1;
    world.send(cid, ben, "two");
    world.send(ann, ben, "three");
    let (_, fresh) = world.peek(WEST);
    seen.splice(0..0, fresh.into_iter().rev());
    assert_eq!(world.take(WEST, seen).0, []);
}

#[test]
fn wake_ups_are_coalesced_by_topic_and_the_bell_rings_for_each_transaction() {
    let (mut world, [ann, ben, cid]) = World::of([1, 2, 3]);
    world.open(ben, WEST, 1);
    world.batch((1..=3).map(|n| send(ann, ben.user, &format!("m{n}"))));
    for n in 4..=6 {
        world.send(ann, ben, &format!("m{n}"));
    }
    world.send(cid, ben, "hello");
    for active in [true, false] {
        world.run(Command::Typing { from: ann, conversation: talk(ann.user, ben.user), active }).unwrap();
    }
    assert_eq!(world.row(&rows::bell(WEST)), Some(rows::Counter(7)));
    let wakes = world.wakes(WEST);
    assert_eq!(wakes.len(), 3, "{wakes:?}");
    assert!(wakes.iter().any(|(_, wake)| matches!(wake, Wake::Dirty { upto: Seq(6), .. })));
    assert!(wakes.iter().any(|(_, wake)| matches!(wake, Wake::Typing { active: false, .. })));
}

#[test]
fn a_large_entry_does_not_ride_along_with_its_wake_up() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    world.open(ben, WEST, 1);
    for (len, rides) in [(limits::WAKE_ENTRY_BYTES, true), (limits::WAKE_ENTRY_BYTES + 1, false)] {
        let text = format!("{len}-{}", "x".repeat(len - 5));
        world.send(ann, ben, &text);
        assert!(matches!(&world.wakes(WEST)[..], [(_, Wake::Dirty { entry, .. })] if entry.is_some() == rides));
    }
}

#[test]
fn a_device_that_is_not_connected_wakes_nobody() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    world.open(ben, WEST, 1);
    world.end(ben, WEST, 1);
    world.send(ann, ben, "one");
    assert_eq!((world.wakes(WEST), world.wakes(EAST)), (vec![], vec![]));
    assert_eq!(world.open(ben, EAST, 1).len(), 1);
}
