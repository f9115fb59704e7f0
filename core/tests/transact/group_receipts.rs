//! Receipts in groups: who is told, when, of what.

use crate::world::cases::cases;
use crate::world::group::*;
use crate::world::*;
use doubletick_core::command::{Command, Reply, Wake};
use doubletick_core::id::{DeviceId, Seq, UserId};
use doubletick_core::limits;
use proptest::prelude::*;

#[test]
fn a_sender_is_told_when_every_other_member_has_it_and_when_each_has_read_it() {
    let (mut world, [ann, ben, cy]) = World::of([1, 2, 3]);
    world.group(&[ann, ben, cy]);
    assert_eq!(world.say(ann, "hello"), Ok(Seq(2)));
    assert_eq!(world.has(ben, 2), Ok(Reply::SumDue));
    assert_eq!((world.sum(), world.others(ann)), (Some(vec![]), Some((0, 0))));
    assert_eq!(world.has(cy, 2), Ok(Reply::SumDue));
    assert_eq!((world.sum(), world.others(ann)), (Some(vec![ann.user]), Some((2, 0))));
    world.shown(ben, 2).unwrap();
    world.shown(cy, 2).unwrap();
    assert_eq!((world.sum(), world.others(ann)), (Some(vec![ann.user]), Some((2, 2))));
    assert_eq!(world.sum(), None, "nothing is due");
    world.prove();
}

#[test]
fn what_is_acknowledged_again_is_not_summed_up_again() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    world.group(&[ann, ben]);
    world.say(ann, "hello").unwrap();
    assert_eq!(world.has(ben, 2), Ok(Reply::SumDue));
    assert_eq!(world.has(ben, 2), Ok(Reply::Done));
    assert_eq!(world.sum(), Some(vec![ann.user]));
    assert_eq!(world.has(ben, 2), Ok(Reply::Done));
    assert_eq!(world.sum(), None);
}

#[test]
fn what_is_acknowledged_while_receipts_are_summed_up_is_in_the_next_sum() {
    let (mut world, [ann, ben, cy]) = World::of([1, 2, 3]);
    world.group(&[ann, ben, cy]);
    world.say(ann, "hello").unwrap();
    world.has(ben, 2).unwrap();
    let Ok(Reply::SumBegun { mark }) = world.run(Command::BeginSum { conversation: GROUP }) else { panic!("it is due") };
    let Ok(Reply::Summed { reached, tell }) = world.run(Command::Sum { conversation: GROUP }) else { panic!("it is a group") };
    assert_eq!(world.has(cy, 2), Ok(Reply::Done), "the gateway that is at it goes on");
    let end = Command::EndSum { conversation: GROUP, reached, tell, last: Some(mark) };
    assert_eq!(world.run(end), Ok(Reply::SumEnded { again: true }));
    assert_eq!(world.sum(), Some(vec![ann.user]));
}

#[test]
fn a_gateway_that_was_given_up_for_dead_does_not_clear_what_another_is_at() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    world.group(&[ann, ben]);
    world.say(ann, "hello").unwrap();
    let begin = |world: &mut World| match world.run(Command::BeginSum { conversation: GROUP }) {
        Ok(Reply::SumBegun { mark }) => mark,
        other => panic!("{other:?}"),
    };
    world.has(ben, 1).unwrap();
    let first = begin(&mut world);
    let Ok(Reply::Summed { reached: before, tell: none }) = world.run(Command::Sum { conversation: GROUP }) else { panic!("a group") };
    world.has(ben, 2).unwrap();
    let second = begin(&mut world);
    let end = |reached, tell, last| Command::EndSum { conversation: GROUP, reached, tell, last: Some(last) };
    world.run(end(before, none, first)).unwrap();
    // The second has died: what it was to do is due all the same.
    assert_ne!(first, second);
    assert_eq!(world.sum(), Some(vec![ann.user]));
    // And a sum that comes late takes nothing back.
    world.run(end(before, vec![ann.user], first)).unwrap();
    assert_eq!(world.others(ann), Some((2, 0)));
    world.prove();
}

#[test]
fn whoever_joins_holds_nobody_up_and_whoever_leaves_does_so_no_more() {
    let (mut world, [ann, ben, cy, dan]) = World::of([1, 2, 3, 4]);
    world.group(&[ann, ben, cy]);
    world.say(ann, "hello").unwrap();
    world.has(ben, 2).unwrap();
    world.sum();
    assert_eq!(world.others(ann), Some((0, 0)));
    world.change(ann, "dan", &added(&[dan])).unwrap();
    world.change(ann, "without cy", &removed(cy)).unwrap();
    assert_eq!((world.sum(), world.others(ann)), (Some(vec![ann.user]), Some((2, 0))), "Dan has joined at 3");
    assert_eq!(world.others(cy), None, "who is no member asks in vain");
    world.prove();
}

#[test]
fn the_roster_says_how_far_each_member_has_got() {
    let (mut world, [ann, ben, cy]) = World::of([1, 2, 3]);
    world.group(&[ann, ben]);
    world.say(ann, "hello").unwrap();
    world.has(ben, 2).unwrap();
    world.shown(ben, 1).unwrap();
    world.change(ann, "cy", &added(&[cy])).unwrap();
    let far: Vec<_> = world.roster(ann).unwrap().into_iter().map(|member| (member.user.0, member.delivered.0, member.read.0)).collect();
    assert_eq!(far, [(1, 0, 0), (2, 2, 1), (3, 2, 2)]);
}

#[test]
fn a_thousand_acknowledgements_are_one_frame_to_the_sender() {
    let mut world = World::new();
    let people: Vec<DeviceId> = (1..=u64::from(limits::GROUP_MEMBERS)).map(|user| world.link(user)).collect();
    let ann = people[0];
    world.open(ann, EAST, 1);
    world.group(&people);
    world.fan_out();
    world.say(ann, "hello").unwrap();
    world.fan_out();
    world.wakes(EAST);
    let due = people[1..].iter().filter(|device| world.has(**device, 2) == Ok(Reply::SumDue)).count();
    assert_eq!(due, 1, "one gateway is to sum up, once");
    assert_eq!(world.wakes(EAST), [], "no acknowledgement is told by itself");
    assert_eq!(world.sum(), Some(vec![ann.user]));
    let told = Wake::Receipt { conversation: GROUP, delivered: Seq(2), read: Seq(0) };
    assert_eq!(world.wakes(EAST), [(ann, told)]);
    world.prove();
}

proptest! {
    #![proptest_config(cases(64))]

    /// Whatever is acknowledged, summed up, joined and left, in whatever order: nobody is told more than is true, or less than before, and in
    /// the end all that is true.
    #[test]
    fn a_sum_says_the_truth_and_never_less_than_before(steps in prop::collection::vec((0..5u8, 0..5usize, 0..12u64), 1..40)) {
        let (mut world, people) = World::of([1, 2, 3, 4, 5]);
        world.group(&people[..4]);
        let mut told = [(0, 0); 5];
        for (n, (what, who, far)) in steps.into_iter().enumerate() {
            let device = people[who];
            match what {
                0 => drop(world.say(device, &format!("m{n}"))),
                1 => drop(world.has(device, far)),
                2 => drop(world.shown(device, far)),
                3 if far % 2 == 0 => drop(world.change(people[0], &format!("c{n}"), &removed(device))),
                3 => drop(world.change(people[0], &format!("c{n}"), &added(&[device]))),
                _ => drop(world.sum()),
            }
            for (user, told) in people.iter().zip(&mut told) {
                if let Some(now) = world.others(*user) {
                    prop_assert!(now.0 >= told.0 && now.1 >= told.1, "{user:?} was told {told:?} and then {now:?}");
                    *told = now;
                }
            }
            // What is stored of all is proved against each.
            world.prove();
        }
        world.sum();
        if let Ok(roster) = world.roster(people[0]) {
            for member in roster.iter().filter(|_| roster.len() > 1) {
                let others: Vec<_> = roster.iter().filter(|other| other.user != member.user).collect();
                let slowest = (others.iter().map(|o| o.delivered.0).min(), others.iter().map(|o| o.read.0).min());
                let device = DeviceId { user: UserId(member.user.0), serial: 1 };
                if let Some(now) = world.others(device) {
                    prop_assert_eq!((Some(now.0), Some(now.1)), slowest);
                }
            }
        }
    }
}
