//! Online, last seen, typing, and who may know.

use crate::world::*;
use doubletick_core::command::{Command, Reply, Wake};
use doubletick_core::frame::{Presence, Privacy, UserList};
use doubletick_core::id::{DeviceId, GatewayId, UserId};
use doubletick_core::limits;
use doubletick_core::reject::Reject;
use doubletick_core::rows;
use doubletick_core::time::Millis;

/// Ann is at the eastern gateway, and may see when Ben, whom everyone may see, comes and goes at the western one.
fn story() -> (World, DeviceId, DeviceId) {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    world.open(ann, EAST, 1);
    world.privacy(ben, Privacy::Everyone);
    (world, ann, ben)
}

#[test]
fn a_watcher_hears_of_coming_and_going_with_the_time_last_heard() {
    let (mut world, ann, ben) = story();
    assert_eq!(world.watch(ann, EAST, ben), Presence::Offline { last_seen: None });
    world.open(ben, WEST, 1);
    assert_eq!(world.told(EAST), [(ann, ben.user, Presence::Online)]);
    world.wait(Millis::seconds(50));
    let heard = world.now;
    world.run(Command::Heard { users: vec![(ben.user, heard), (ben.user, START)] }).unwrap();
    world.wait(Millis::seconds(90));
    let end = Command::EndSession { device: ben, gateway: WEST, epoch: doubletick_core::id::SessionEpoch(1), heard };
    world.run(end.clone()).unwrap();
    let offline = Presence::Offline { last_seen: Some(heard) };
    assert_eq!(world.told(EAST), [(ann, ben.user, offline)]);
    world.run(end).unwrap();
    assert_eq!(world.told(EAST), [], "a retry tells nobody again");
    assert_eq!(world.watch(ann, EAST, ben), offline);
}

#[test]
fn a_user_is_online_while_any_device_is_and_watchers_hear_of_the_first_and_the_last() {
    let (mut world, ann, phone) = story();
    let tablet = world.link(2);
    world.watch(ann, EAST, phone);
    world.open(phone, WEST, 1);
    world.open(tablet, EAST, 2);
    world.open(phone, EAST, 3);
    world.wakes(WEST);
    assert_eq!(world.told(EAST), [(ann, phone.user, Presence::Online)]);
    world.end(phone, EAST, 3);
    world.end(phone, WEST, 1);
    assert_eq!(world.told(EAST), []);
    assert_eq!(world.watch(ann, EAST, phone), Presence::Online);
    world.end(tablet, EAST, 2);
    assert_eq!(world.told(EAST), [(ann, phone.user, Presence::Offline { last_seen: Some(START) })]);
}

#[test]
fn connections_that_overlap_and_close_in_any_order_leave_a_user_online_exactly_while_one_is_open() {
    let (world, ann, ben) = story();
    // A page that is loaded three times; the older connections' ends arrive whenever they do.
    let opened = [(WEST, 1), (EAST, 7), (WEST, 2)];
    for late in [[0, 1, 2], [1, 0, 2], [0, 2, 1], [2, 0, 1], [1, 2, 0], [2, 1, 0]] {
        let mut world = world.clone();
        for (gateway, epoch) in opened {
            world.open(ben, gateway, epoch);
        }
        let mut open = true;
        for at in late {
            let (gateway, epoch) = opened[at];
            world.end(ben, gateway, epoch);
            open &= at != 2;
            assert_eq!(world.watch(ann, EAST, ben) == Presence::Online, open, "{late:?}");
        }
    }
}

#[test]
fn last_seen_never_goes_back() {
    let (mut world, ann, ben) = story();
    world.wait(Millis::seconds(100));
    let latest = world.now;
    for heard in [latest, START] {
        world.run(Command::Heard { users: vec![(ben.user, heard)] }).unwrap();
        world.run(Command::EndSession { device: ben, gateway: WEST, epoch: doubletick_core::id::SessionEpoch(1), heard }).unwrap();
    }
    assert_eq!(world.watch(ann, EAST, ben), Presence::Offline { last_seen: Some(latest) });
}

#[test]
fn presence_is_shown_to_whom_its_owner_allows() {
    type Setting = fn(&mut World, DeviceId, DeviceId);
    let table: [(&str, Privacy, Setting, bool); 8] = [
        ("everyone", Privacy::Everyone, |_, _, _| {}, true),
        ("nobody", Privacy::Nobody, |_, _, _| {}, false),
        ("nobody, not even contacts", Privacy::Nobody, |world, ann, ben| world.list(ben, UserList::Contacts, ann, true), false),
        ("contacts, and the watcher is none", Privacy::Contacts, |_, _, _| {}, false),
        ("contacts, but of the watcher", Privacy::Contacts, |world, ann, ben| world.list(ann, UserList::Contacts, ben, true), false),
        ("contacts", Privacy::Contacts, |world, ann, ben| world.list(ben, UserList::Contacts, ann, true), true),
        ("blocked by the watched", Privacy::Everyone, |world, ann, ben| world.list(ben, UserList::Blocked, ann, true), false),
        ("blocked by the watcher", Privacy::Everyone, |world, ann, ben| world.list(ann, UserList::Blocked, ben, true), false),
    ];
    for (case, privacy, setting, shown) in table {
        let (mut world, ann, ben) = story();
        world.privacy(ben, privacy);
        setting(&mut world, ann, ben);
        let at_first = world.watch(ann, EAST, ben);
        assert_eq!(at_first != Presence::Hidden, shown, "{case}");
        world.open(ben, WEST, 1);
        let told = if shown { vec![(ann, ben.user, Presence::Online)] } else { vec![] };
        assert_eq!(world.told(EAST), told, "{case}");
        assert_eq!(world.watch(ben, WEST, ben), Presence::Online, "everybody may see their own: {case}");
    }
}

#[test]
fn whoever_is_blocked_while_watching_hears_nothing_more() {
    let (mut world, ann, ben) = story();
    world.watch(ann, EAST, ben);
    world.list(ben, UserList::Blocked, ann, true);
    assert_eq!(world.told(EAST), [(ann, ben.user, Presence::Hidden)]);
    world.open(ben, WEST, 1);
    assert_eq!(world.told(EAST), []);
    world.list(ben, UserList::Blocked, ann, false);
    assert_eq!(world.told(EAST), [(ann, ben.user, Presence::Online)]);
}

#[test]
fn whoever_blocks_does_not_see_the_blocked_either() {
    let (mut world, ann, ben) = story();
    world.watch(ann, EAST, ben);
    world.list(ann, UserList::Blocked, ben, true);
    assert_eq!(world.told(EAST), [(ann, ben.user, Presence::Hidden)]);
}

#[test]
fn a_watcher_sees_at_once_what_its_owner_begins_to_show_and_no_more_what_is_hidden() {
    let (mut world, ann, ben) = story();
    world.open(ben, WEST, 1);
    world.privacy(ben, Privacy::Contacts);
    assert_eq!(world.watch(ann, EAST, ben), Presence::Hidden);
    world.list(ben, UserList::Contacts, ann, true);
    assert_eq!(world.told(EAST), [(ann, ben.user, Presence::Online)]);
    world.list(ben, UserList::Contacts, ann, false);
    assert_eq!(world.told(EAST), [(ann, ben.user, Presence::Hidden)]);
    world.privacy(ben, Privacy::Everyone);
    assert_eq!(world.told(EAST), [(ann, ben.user, Presence::Online)]);
    world.privacy(ben, Privacy::Nobody);
    assert_eq!(world.told(EAST), [(ann, ben.user, Presence::Hidden)]);
}

#[test]
fn a_watch_ends_with_the_session_that_asked_for_it() {
    let (mut world, ann, ben) = story();
    world.watch(ann, EAST, ben);
    world.end(ann, EAST, 1);
    world.open(ann, WEST, 5);
    world.open(ben, WEST, 1);
    assert_eq!(world.told(WEST), []);
    assert_eq!(world.row(&rows::watcher(ben.user, ann)), None, "and is taken off the list");
    world.watch(ann, WEST, ben);
    world.run(Command::Unwatch { device: ann, gateway: WEST, user: ben.user }).unwrap();
    world.end(ben, WEST, 1);
    assert_eq!(world.told(WEST), []);
}

#[test]
fn a_session_that_was_replaced_elsewhere_neither_ends_a_watch_of_its_successor_nor_takes_it_over() {
    let (mut world, ann, ben) = story();
    world.watch(ann, EAST, ben);
    world.open(ann, WEST, 5);
    world.watch(ann, WEST, ben);
    world.run(Command::Unwatch { device: ann, gateway: EAST, user: ben.user }).unwrap();
    world.watch(ann, EAST, ben);
    world.open(ben, WEST, 1);
    assert_eq!(world.told(WEST), [(ann, ben.user, Presence::Online)]);
}

#[test]
fn what_was_told_to_an_earlier_watch_does_not_come_after_the_answer_to_a_later_one() {
    let (mut world, ann, ben) = story();
    world.watch(ann, EAST, ben);
    world.wakes(EAST);
    world.open(ben, WEST, 7);
    world.end(ben, WEST, 7);
    world.run(Command::Unwatch { device: ann, gateway: EAST, user: ben.user }).unwrap();
    world.open(ben, WEST, 8);
    assert_eq!(world.watch(ann, EAST, ben), Presence::Online);
    assert_eq!(world.told(EAST), [], "that he was offline");
}

#[test]
fn a_sign_of_typing_that_is_repeated_is_told_again() {
    let (mut world, ann, ben) = story();
    let conversation = talk(ann.user, ben.user);
    let mut seen = vec![];
    for _ in 0..3 {
        world.run(Command::Typing { from: ben, conversation, active: true }).unwrap();
        let (wakes, next) = world.take(EAST, seen);
        assert_eq!(wakes, [(ann, Wake::Typing { conversation, by: None, active: true })]);
        seen = next;
    }
}

#[test]
fn a_full_list_of_watchers_drops_those_who_are_gone_before_it_refuses_anybody() {
    let (mut world, ann, ben) = story();
    world.open(ben, WEST, 1);
    world.watch(ann, EAST, ben);
    let strangers = |n: u64| DeviceId { user: UserId(1000 + n), serial: 1 };
    let watching = rows::Watcher { gateway: WEST };
    for n in 1..u64::from(limits::WATCHERS_PER_USER) {
        world.set(&rows::watcher(ben.user, strangers(n)), &watching);
    }
    let mut crowded = world.clone();
    assert_eq!(crowded.watch(ben, WEST, ben), Presence::Online);
    assert_eq!(crowded.row(&rows::watcher(ben.user, strangers(1))), None);
    assert_eq!(crowded.row(&rows::watcher(ben.user, ann)), Some(rows::Watcher { gateway: EAST }));

    for n in 1..u64::from(limits::WATCHERS_PER_USER) {
        let session = rows::Session { gateway: WEST, epoch: doubletick_core::id::SessionEpoch(n), run: n };
        world.set(&rows::session(strangers(n)), &session);
    }
    let watch = |device, gateway: GatewayId| Command::Watch { device, gateway, user: ben.user };
    assert_eq!(world.run(watch(ben, WEST)), Err(Reject::ListFull));
    world.open(ann, WEST, 2);
    assert!(world.run(watch(ann, WEST)).is_ok(), "who has a place keeps it at another gateway");
}

#[test]
fn typing_is_told_to_the_other_sides_sessions_and_leaves_no_durable_trace() {
    let (mut world, ann, ben) = story();
    let conversation = talk(ann.user, ben.user);
    let typing = |active| Command::Typing { from: ben, conversation, active };
    let durable = |world: &World| world.rows.clone().into_iter().filter(|(key, _)| !key.is_ephemeral()).collect::<Rows>();
    let before = durable(&world);
    world.run(typing(true)).unwrap();
    assert_eq!(world.wakes(EAST), [(ann, Wake::Typing { conversation, by: None, active: true })]);
    assert_eq!(durable(&world), before);
    for (owner, other) in [(ann, ben), (ben, ann)] {
        let mut world = world.clone();
        world.list(owner, UserList::Blocked, other, true);
        assert_eq!(world.run(typing(true)), Ok(Reply::Done), "the blocked do not learn of it");
        assert_eq!(world.wakes(EAST), []);
    }
    let stranger = Command::Typing { from: DeviceId { user: UserId(9), serial: 1 }, conversation, active: true };
    assert_eq!(world.run(stranger), Err(Reject::NotMember));
}
