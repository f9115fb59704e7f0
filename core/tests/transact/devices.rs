//! Devices that come and go.

use crate::world::*;
use doubletick_core::command::{Command, Reply, Wake};
use doubletick_core::id::{DeviceId, Seq};
use doubletick_core::limits;
use doubletick_core::reject::Reject;
use doubletick_core::rows;
use doubletick_core::time::Millis;

/// What a device gets: its dirty conversations read from its cursor, acknowledged at the end.
fn catch_up(world: &mut World, device: DeviceId, with: DeviceId) -> Vec<String> {
    if world.dirty(device).is_empty() {
        return vec![];
    }
    let log = world.log(device, with, None);
    let upto = log.last().map_or(0, |entry| entry.seq.0);
    world.acknowledge(device, with, upto, 0).unwrap();
    log.iter().map(text).collect()
}

#[test]
fn a_new_device_gets_exactly_what_is_sent_after_it_was_linked() {
    let (mut world, [ann, phone]) = World::of([1, 2]);
    world.send(ann, phone, "one");
    world.send(phone, ann, "two");
    catch_up(&mut world, phone, ann);
    let tablet = world.link(2);
    assert_eq!(catch_up(&mut world, tablet, ann), [""; 0]);
    world.send(ann, phone, "three");
    world.send(phone, ann, "four");
    assert_eq!(catch_up(&mut world, tablet, ann), ["three", "four"]);
    assert_eq!(catch_up(&mut world, phone, ann), ["three", "four"]);
    world.send(ann, phone, "five");
    assert_eq!(catch_up(&mut world, tablet, ann), ["five"]);
    world.prove();
}

#[test]
fn a_new_device_of_either_side_gets_what_is_sent_after_though_clocks_are_minutes_apart() {
    for minutes in [-5_i64, 0, 5] {
        for user in [1, 2] {
            let (mut world, [ann, ben]) = World::of([1, 2]);
            world.send(ann, ben, "before");
            world.acknowledge(ben, ann, 1, 0).unwrap();
            world.now = START + Millis((600 + minutes * 60) as u64 * 1000);
            let new = world.link(user);
            let with = if user == 1 { ben } else { ann };
            world.now = START + Millis((600 - minutes * 60) as u64 * 1000);
            world.send(ann, ben, "after");
            assert_eq!(catch_up(&mut world, new, with), ["after"], "user {user}, clocks {minutes} minutes off");
            world.prove();
        }
    }
}

#[test]
fn a_new_device_that_sends_first_hears_where_its_part_of_the_log_begins() {
    let (mut world, [ann, phone]) = World::of([1, 2]);
    world.send(ann, phone, "one");
    world.acknowledge(phone, ann, 1, 1).unwrap();
    let tablet = world.link(2);
    let first = world.run(send(tablet, ann.user, "two"));
    assert!(matches!(first, Ok(Reply::Sent { seq: Seq(2), cursor: Seq(1), .. })), "{first:?}");
    assert_eq!(world.run(send(tablet, ann.user, "two")), first);
    world.send(ann, phone, "three");
    assert_eq!(catch_up(&mut world, tablet, ann), ["two", "three"]);
}

#[test]
fn a_device_linked_before_the_first_message_gets_it() {
    let (mut world, [ann, phone]) = World::of([1, 2]);
    let tablet = world.link(2);
    world.send(ann, phone, "one");
    assert_eq!(catch_up(&mut world, tablet, ann), ["one"]);
}

#[test]
fn a_new_device_gets_what_no_device_of_its_user_has_so_that_its_ticks_are_true() {
    let (mut world, [ann, phone]) = World::of([1, 2]);
    for text in ["one", "two", "three"] {
        world.send(ann, phone, text);
    }
    world.acknowledge(phone, ann, 1, 0).unwrap();
    let tablet = world.link(2);
    world.send(ann, phone, "four");
    assert_eq!(catch_up(&mut world, tablet, ann), ["two", "three", "four"]);
    assert_eq!(world.receipt(phone, ann), (4, 0));
    world.prove();
}

#[test]
fn a_new_device_that_sends_first_is_marked_for_what_it_lacks() {
    let (mut world, [ann, phone]) = World::of([1, 2]);
    world.send(ann, phone, "one");
    let tablet = world.link(2);
    world.send(tablet, ann, "two");
    assert_eq!(catch_up(&mut world, tablet, ann), ["one", "two"]);
    assert_eq!(world.receipt(phone, ann), (2, 0));
    world.prove();
}

#[test]
fn a_removed_device_can_do_nothing_more_and_its_gateway_is_told() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    let tablet = world.link(1);
    world.open(tablet, WEST, 1);
    world.send(ben, ann, "before");
    world.wakes(WEST);
    assert_eq!(world.run(Command::RemoveDevice { device: tablet }), Ok(Reply::Done));
    assert_eq!(world.run(Command::RemoveDevice { device: tablet }), Ok(Reply::Done), "a retry");
    assert_eq!(world.wakes(WEST), [(tablet, Wake::Removed)]);
    world.send(ben, ann, "after");
    assert_eq!(world.wakes(WEST), []);

    let conversation = talk(ann.user, ben.user);
    let token = token(1, 2);
    for (command, reject) in [
        (send(tablet, ben.user, "x"), Reject::DeviceRemoved),
        (Command::ReadLog { device: tablet, conversation, after: Some(Seq(0)) }, Reject::DeviceRemoved),
        (Command::ReadDirty { device: tablet, after: None }, Reject::DeviceRemoved),
        (Command::Renew { device: tablet, secret: token }, Reject::DeviceRemoved),
        (open(tablet, token, WEST, 2), Reject::BadToken),
    ] {
        assert_eq!(world.run(command.clone()), Err(reject), "{command:?}");
    }
    assert_eq!(world.texts(ann, ben, None), ["before", "after"]);
    world.prove();
}

#[test]
fn a_removed_devices_number_is_never_given_to_another() {
    let (mut world, [phone]) = World::of([1]);
    let tablet = world.link(1);
    world.run(Command::RemoveDevice { device: tablet }).unwrap();
    assert_eq!([phone.serial, tablet.serial, world.link(1).serial], [1, 2, 3]);
}

#[test]
fn an_account_has_so_many_devices_and_room_again_when_one_is_removed() {
    let (mut world, [first]) = World::of([1]);
    for _ in 1..limits::DEVICES_PER_USER {
        world.link(1);
    }
    world.rows.remove(&rows::verification(&phone(1)).key);
    world.run(Command::RequestCode { phone: phone(1), code: code(1, "111111") }).unwrap();
    assert_eq!(world.run(register(1, "111111", token(1, 15))), Err(Reject::TooManyDevices));
    world.run(Command::RemoveDevice { device: first }).unwrap();
    let linked = world.run(register(1, "111111", token(1, 15)));
    assert!(matches!(linked, Ok(Reply::Registered { device: DeviceId { serial: 9, .. }, .. })), "the code is still good: {linked:?}");
}
