//! Acknowledgements, ticks, and what is unread.

use crate::world::cases::cases;
use crate::world::*;
use doubletick_core::command::{Command, Reply, Wake};
use doubletick_core::id::Seq;
use proptest::prelude::*;

/// All orders of some things.
fn orders<T: Clone>(things: &[T]) -> Vec<Vec<T>> {
    if things.is_empty() {
        return vec![vec![]];
    }
    let mut all = vec![];
    for place in 0..things.len() {
        let mut rest = things.to_vec();
        let first = rest.remove(place);
        all.extend(orders(&rest).into_iter().map(|mut order| {
            order.insert(0, first.clone());
            order
        }));
    }
    all
}

#[test]
fn every_order_of_acknowledgements_leads_to_the_same_receipt_and_none_takes_it_back() {
    let (mut world, [ann, phone]) = World::of([1, 2]);
    let tablet = world.link(2);
    for n in 1..=5 {
        world.send(ann, phone, &format!("m{n}"));
    }
    // A late "delivered" after a "read" on another device, an older "read", and two that each device says for itself.
    let said = [(phone, 3, 0), (phone, 5, 5), (tablet, 2, 0), (tablet, 5, 1), (tablet, 4, 4)];
    let said: Vec<_> = said.into_iter().map(|(device, delivered, read)| (device, acknowledge(device, ann.user, delivered, read))).collect();
    for order in orders(&said) {
        let mut world = world.clone();
        let mut before = (0, 0);
        for (_, command) in &order {
            world.batch_once([command.clone()])[0].as_ref().unwrap();
            let after = world.receipt(phone, ann);
            assert!(before.0 <= after.0 && before.1 <= after.1 && after.1 <= after.0, "{before:?} {after:?} {order:?}");
            before = after;
        }
        assert_eq!(before, (5, 5), "{order:?}");
        assert_eq!(world.dirty(phone).len() + world.dirty(tablet).len(), 0);
        world.prove();
    }
}

#[test]
fn read_by_one_device_stays_read_when_another_says_delivered_later() {
    let (mut world, [ann, phone]) = World::of([1, 2]);
    let tablet = world.link(2);
    world.send(ann, phone, "hello");
    world.acknowledge(phone, ann, 1, 1).unwrap();
    world.acknowledge(tablet, ann, 1, 0).unwrap();
    assert_eq!(world.receipt(phone, ann), (1, 1));
}

#[test]
fn read_is_clamped_to_what_the_device_has() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    for n in 1..=10 {
        world.send(ann, ben, &format!("m{n}"));
    }
    for (delivered, read, receipt) in [(3, 10, (3, 3)), (0, 5, (3, 3)), (7, 5, (7, 5)), (0, u64::MAX, (7, 7)), (1, 1, (7, 7))] {
        world.acknowledge(ben, ann, delivered, read).unwrap();
        assert_eq!(world.receipt(ben, ann), receipt, "after ({delivered}, {read})");
    }
}

#[test]
fn a_device_cannot_read_what_only_another_device_has() {
    let (mut world, [ann, phone]) = World::of([1, 2]);
    let tablet = world.link(2);
    world.send(ann, phone, "one");
    world.send(ann, phone, "two");
    world.acknowledge(phone, ann, 2, 0).unwrap();
    world.acknowledge(tablet, ann, 1, 2).unwrap();
    assert_eq!(world.receipt(phone, ann), (2, 1));
}

#[test]
fn the_other_side_is_told_when_a_tick_of_theirs_changes_and_only_then() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    world.open(ann, WEST, 1);
    let conversation = talk(ann.user, ben.user);
    let told = |world: &mut World| world.wakes(WEST);
    world.send(ann, ben, "one");
    world.send(ben, ann, "two");
    assert!(matches!(told(&mut world)[..], [(_, Wake::Dirty { upto: Seq(2), .. })]));
    world.acknowledge(ben, ann, 1, 0).unwrap();
    assert_eq!(told(&mut world), [(ann, Wake::Receipt { conversation, delivered: Seq(1), read: Seq(0) })]);
    world.acknowledge(ben, ann, 2, 1).unwrap();
    assert_eq!(told(&mut world), [(ann, Wake::Receipt { conversation, delivered: Seq(2), read: Seq(1) })]);
    world.acknowledge(ben, ann, 2, 2).unwrap();
    assert_eq!(told(&mut world), [], "position 2 is the reader's own");
    world.acknowledge(ben, ann, 2, 2).unwrap();
    assert_eq!(told(&mut world), [], "nothing has changed");
}

#[test]
fn whoever_asks_hears_how_far_the_other_side_has_got() {
    let (mut world, [ann, ben, cid]) = World::of([1, 2, 3]);
    let (with_ben, with_cid) = (talk(ann.user, ben.user), talk(ann.user, cid.user));
    world.send(ann, ben, "hello");
    world.acknowledge(ben, ann, 1, 1).unwrap();
    let ask = Command::AskReceipts { user: ann.user, conversations: vec![with_ben, with_cid] };
    assert_eq!(world.run(ask), Ok(Reply::Receipts(vec![(with_ben, Seq(1), Seq(1))])));
}

#[test]
fn own_messages_are_never_unread_and_an_answer_reads_nothing() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    world.send(ann, ben, "one");
    world.send(ben, ann, "two");
    world.send(ann, ben, "three");
    assert_eq!((world.unread(ann, ben), world.unread(ben, ann)), (1, 2));
    world.acknowledge(ben, ann, 3, 1).unwrap();
    assert_eq!(world.unread(ben, ann), 1);
    world.acknowledge(ben, ann, 3, 3).unwrap();
    assert_eq!(world.unread(ben, ann), 0);
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn unread_equals_a_recount_of_the_log(steps in proptest::collection::vec((0_usize..3, any::<bool>(), 0_u64..12, 0_u64..12), 1..40)) {
        let (mut world, devices) = World::of([1, 2]);
        for (n, (kind, side, delivered, read)) in steps.into_iter().enumerate() {
            let (one, other) = if side { (devices[0], devices[1]) } else { (devices[1], devices[0]) };
            match kind {
                0 => drop(world.send(one, other, &format!("m{n}"))),
                _ => drop(world.acknowledge(one, other, delivered, read)),
            }
            for (one, other) in [(devices[0], devices[1]), (devices[1], devices[0])] {
                let (_, read) = world.receipt(one, other);
                let recount = world.log(one, other, Some(0)).iter().filter(|entry| entry.seq.0 > read && entry.sender.user != one.user).count();
                prop_assert_eq!(world.unread(one, other), recount as u64);
            }
        }
        world.prove();
    }
}
