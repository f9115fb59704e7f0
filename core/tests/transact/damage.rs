//! Stored values that do not decode: each is reported, and everything that can go on without it goes on.

use crate::world::*;
use doubletick_core::command::{Command, Reply};
use doubletick_core::frame::{Presence, UserList};
use doubletick_core::id::{DeviceId, Seq};
use doubletick_core::reject::Reject;
use doubletick_core::rows;
use std::collections::BTreeSet;

/// Ann and Ben have exchanged three messages; Ben has acknowledged the first, and Cid talks with both.
fn story() -> (World, [DeviceId; 3]) {
    let (mut world, [ann, ben, cid]) = World::of([1, 2, 3]);
    for text in ["one", "two", "three"] {
        world.send(ann, ben, text);
    }
    world.acknowledge(ben, ann, 1, 1).unwrap();
    world.send(cid, ben, "hi");
    (world, [ann, ben, cid])
}

#[test]
fn a_damaged_entry_is_delivered_as_a_blank_position_and_the_rest_flows() {
    let (mut world, [ann, ben, _]) = story();
    let conversation = talk(ann.user, ben.user);
    world.open(ben, WEST, 1);
    let broken = [2, 3].map(|seq| rows::log(conversation, Seq(seq)).key);
    broken.iter().for_each(|key| world.damage(*key));
    world.send(ann, ben, "four");
    let log = world.log(ben, ann, None);
    assert_eq!(log.iter().map(text).collect::<Vec<_>>(), ["-", "-", "four"]);
    assert_eq!(log.iter().map(|entry| entry.id).collect::<BTreeSet<_>>().len(), 3, "no blank is taken for another");
    assert!(log.is_sorted_by_key(|entry| entry.at));
    assert_eq!(world.damaged, broken);
    world.acknowledge(ben, ann, 4, 4).unwrap();
    assert_eq!(world.dirty(ben).len(), 1, "only the other conversation is left");
}

#[test]
fn a_lost_entry_is_delivered_as_a_blank_position_wherever_it_stood() {
    for lost in 1..=3 {
        let (mut world, [ann, ben, _]) = story();
        let key = rows::log(talk(ann.user, ben.user), Seq(lost)).key;
        world.rows.remove(&key);
        let mut expected = ["one", "two", "three"];
        expected[lost as usize - 1] = "-";
        assert_eq!(world.texts(ben, ann, Some(0)), expected);
        assert_eq!(world.damaged, [key]);
    }
}

#[test]
fn a_damaged_head_affects_its_conversation_only() {
    let (mut world, [ann, ben, cid]) = story();
    let conversation = talk(ann.user, ben.user);
    let key = rows::head(conversation).key;
    world.damage(key);
    let answers = world.batch([
        send(ann, ben.user, "x"),
        Command::ReadLog { device: ben, conversation, after: None },
        acknowledge(ben, ann.user, 2, 2),
        send(ann, cid.user, "y"),
        send(cid, ben.user, "z"),
    ]);
    assert_eq!(answers[..3], [Err(Reject::Damaged), Err(Reject::Damaged), Err(Reject::Damaged)]);
    assert!(answers[3..].iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(world.damaged, [key]);
    assert_eq!(world.chats(ben).len(), 2);
    assert_eq!(world.texts(ben, cid, None), ["hi", "z"]);
}

#[test]
fn a_damaged_cursor_or_mark_is_written_anew_by_the_next_acknowledgement() {
    let at = |conversation, ben| [rows::cursor(ben, conversation).key, rows::dirty(ben, conversation).key];
    for place in 0..2 {
        let (mut world, [ann, ben, _]) = story();
        let conversation = talk(ann.user, ben.user);
        let key = at(conversation, ben)[place];
        world.damage(key);
        assert_eq!(world.send(ben, ann, "an answer"), Seq(4));
        assert_eq!(world.log(ben, ann, None).last().map(text).as_deref(), Some("an answer"));
        assert!(world.dirty(ben).iter().any(|(of, _)| *of == conversation), "it is still owed");
        world.acknowledge(ben, ann, 4, 4).unwrap();
        assert_eq!(world.dirty(ben).len(), 1);
        assert_eq!(world.receipt(ben, ann), (4, 4));
        assert!(world.damaged.contains(&key));
        world.prove();
    }
}

#[test]
fn a_damaged_receipt_stays_as_it_is_and_holds_nothing_up() {
    let (mut world, [ann, ben, _]) = story();
    let key = rows::receipt(talk(ann.user, ben.user), ben.user).key;
    world.damage(key);
    let damaged = world.rows[&key].clone();
    world.acknowledge(ben, ann, 3, 3).unwrap();
    assert_eq!(world.dirty(ben).len(), 1);
    assert_eq!(world.rows[&key], damaged);
    assert_eq!(world.damaged, [key]);
}

#[test]
fn a_damaged_index_row_refuses_its_own_message_only() {
    let (mut world, [ann, ben, _]) = story();
    world.damage(rows::index(talk(ann.user, ben.user), ann.user, id_of("two")).key);
    let answers = world.batch([send(ann, ben.user, "two"), send(ann, ben.user, "three"), send(ann, ben.user, "four")]);
    assert_eq!(answers[0], Err(Reject::Damaged));
    assert!(answers[1..].iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(world.texts(ben, ann, Some(0)).len(), 4);
}

#[test]
fn a_damaged_block_still_blocks_and_can_be_lifted() {
    let (mut world, [ann, ben, _]) = story();
    world.list(ben, UserList::Blocked, ann, true);
    let key = rows::block(ben.user, ann.user).key;
    world.damage(key);
    assert_eq!(world.run(send(ann, ben.user, "x")), Err(Reject::NotAllowed));
    assert_eq!(world.watch(ann, WEST, ben), Presence::Hidden);
    world.list(ben, UserList::Blocked, ann, false);
    assert!(world.run(send(ann, ben.user, "x")).is_ok());
    assert!(world.damaged.contains(&key));
}

#[test]
fn damage_around_a_watcher_does_not_keep_the_watched_user_out() {
    let (mut world, [ann, ben, cid]) = story();
    for watcher in [ann, cid] {
        world.open(watcher, EAST, 1);
        world.watch(watcher, EAST, ben);
    }
    for key in [rows::block(ben.user, ann.user).key, rows::watcher(ben.user, cid).key, rows::last_seen(ben.user).key] {
        world.rows.insert(key, b"garbage".to_vec());
    }
    world.open(ben, WEST, 1);
    world.end(ben, WEST, 1);
    assert_eq!(world.row(&rows::session(ben)), None);
    assert_eq!(world.told(EAST), [], "neither a damaged block nor a damaged watch lets anything through");
}

#[test]
fn a_damaged_account_is_passed_over_by_those_who_look_for_it() {
    let (mut world, [ann, ben, _]) = story();
    let place = rows::account(ben.user);
    let account = rows::Account { phone: "no number".into(), ..world.row(&place).unwrap() };
    world.set(&place, &account);
    assert_eq!(world.run(Command::FindUsers { phones: vec![phone(2)] }), Ok(Reply::Users(vec![])));
    world.damage(place.key);
    assert_eq!(world.run(Command::AskUser { user: ben.user }), Ok(Reply::Users(vec![])));
    assert_eq!(world.run(send(ann, ben.user, "x")), Err(Reject::Damaged));
    assert!(world.damaged.iter().all(|key| *key == place.key) && !world.damaged.is_empty());
}

#[test]
fn a_damaged_wake_up_is_reported_and_leaves_the_others() {
    let (mut world, [ann, ben, cid]) = story();
    world.open(ben, WEST, 1);
    world.send(ann, ben, "four");
    world.send(cid, ben, "hello");
    let key = rows::wake(WEST, ben, rows::Topic::Dirty(talk(ann.user, ben.user))).key;
    world.damage(key);
    assert_eq!(world.wakes(WEST).len(), 1);
    assert_eq!(world.damaged, [key]);
    assert_eq!(world.rows.get(&key), None, "what cannot be read is seen to all the same");
}

/// Every row in turn is damaged, and everything is tried: no panic, and one damaged row never stops all of it.
#[test]
fn no_damaged_row_stops_everything() {
    let (mut world, [ann, ben, cid]) = story();
    world.open(ben, WEST, 1);
    world.open(ann, EAST, 1);
    world.watch(ann, EAST, ben);
    world.list(ben, UserList::Contacts, ann, true);
    world.send(cid, ben, "more");
    let keys: Vec<_> = world.rows.keys().copied().collect();
    for key in keys {
        let mut world = world.clone();
        world.damage(key);
        let conversation = talk(ann.user, ben.user);
        let answers = world.batch([
            send(ann, ben.user, "x"),
            send(cid, ben.user, "y"),
            send(ann, cid.user, "z"),
            Command::ReadDirty { device: ben, after: None },
            Command::ReadLog { device: ben, conversation, after: None },
            acknowledge(ben, ann.user, 4, 4),
            Command::ListChats { user: ben.user, after: None },
            Command::EndSession { device: ben, gateway: WEST, epoch: doubletick_core::id::SessionEpoch(1), heard: world.now },
            open(ben, token(2, 1), EAST, 2),
            Command::TakeWakes { gateway: EAST, seen: vec![] },
            Command::ReadLeases,
            Command::Reap { gateway: EAST, renewals: 0 },
        ]);
        let refused = answers.iter().filter(|answer| answer.is_err()).count();
        assert!(refused <= 6, "{:?}: {answers:?}", rows::Place::of(&key));
    }
}
