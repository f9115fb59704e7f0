//! Groups: who may do what to them, who sees which part of them, and who is told.

use crate::world::group::*;
use crate::world::*;
use doubletick_core::change::{Change, Settings};
use doubletick_core::command::{Command, Reply, Wake};
use doubletick_core::content::{Body, Content, Parts};
use doubletick_core::frame::UserList;
use doubletick_core::id::{ConversationId, DeviceId, GroupId, MessageId, Seq, UserId};
use doubletick_core::limits;
use doubletick_core::reject::Reject;
use doubletick_core::rows;
use doubletick_core::time::Millis;

/// Ann has made a group of three.
fn three() -> (World, [DeviceId; 3]) {
    let (mut world, people) = World::of([1, 2, 3]);
    world.group(&people);
    (world, people)
}

fn role(user: DeviceId, admin: bool) -> Change {
    Change::RoleSet { user: user.user, admin }
}

/// Users, and whether they are admins.
fn people(world: &mut World, asker: DeviceId) -> Vec<(u64, bool)> {
    world.roster(asker).unwrap().into_iter().map(|member| (member.user.0, member.admin)).collect()
}

#[test]
fn nothing_overtakes_a_message_of_the_same_device_that_is_refused_for_the_moment_in_the_same_transaction() {
    let (mut world, [ann, ben, _]) = three();
    let rename = |name: &str| change(ann, name, &Change::Renamed { name: name.into() });
    let answers = world.batch([say(ann, "stale", 7), rename("overtakes"), change(ben, "ben's", &Change::Renamed { name: "ben's".into() })]);
    assert_eq!(answers[..2], [Err(Reject::StaleRoster { epoch: 1 }), Err(Reject::Superseded)]);
    assert!(matches!(answers[2], Ok(Reply::Sent { seq: Seq(2), .. })), "another device's is none of its business: {answers:?}");
    let answers = world.batch([say(ann, "stale", 1), rename("overtakes")]);
    assert!(matches!(answers[..], [Ok(Reply::Sent { seq: Seq(3), .. }), Ok(Reply::Sent { seq: Seq(4), .. })]), "{answers:?}");
    world.prove();
}

#[test]
fn its_creator_is_the_first_admin_and_everybody_is_told() {
    let (mut world, [ann, ben, cid]) = three();
    assert_eq!(people(&mut world, ben), [(1, true), (2, false), (3, false)]);
    assert_eq!(world.behind(ann), None, "its own device has it");
    for device in [ben, cid] {
        assert_eq!(world.behind(device), Some(1));
        assert_eq!(world.read(device, None), Ok(vec![1]));
        assert_eq!(world.chats(device).len(), 1);
    }
    world.prove();
}

#[test]
fn a_message_reaches_every_device_of_every_member_but_the_one_that_sent_it() {
    let (mut world, [ann, ben, cid]) = three();
    let tablet = world.link(2);
    world.open(cid, EAST, 1);
    assert_eq!(world.say(ann, "hello"), Ok(Seq(2)));
    assert_eq!([ann, ben, cid, tablet].map(|device| world.behind(device)), [None, Some(2), Some(2), Some(2)]);
    let told = world.wakes(EAST);
    assert!(matches!(&told[..], [(to, Wake::Dirty { conversation: GROUP, upto: Seq(2), entry: Some(_) })] if *to == cid), "{told:?}");
    world.has(ben, 2).unwrap();
    assert_eq!(world.behind(ben), None);
    assert_eq!(world.chats(cid)[0].unread, 1);
    world.prove();
}

#[test]
fn a_retry_of_a_message_or_a_change_is_answered_again_but_written_once() {
    let (mut world, [ann, ben, _]) = three();
    world.change(ann, "made admin", &role(ben, true)).unwrap();
    let epoch = world.group_row().unwrap().epoch;
    let commands = [
        change(ann, "created", &created(&[ben, DeviceId { user: UserId(3), serial: 1 }])),
        change(ann, "made admin", &role(ben, true)),
        say(ann, "hello", epoch),
        change(ann, "left", &Change::Left),
    ];
    let first: Vec<_> = commands.iter().map(|command| world.run(command.clone())).collect();
    let before = world.rows.clone();
    world.wait(Millis::days(8));
    for (command, first) in commands.iter().zip(&first) {
        assert!(
            matches!((first, &world.run(command.clone())), (Ok(Reply::Sent { seq: a, .. }), Ok(Reply::Sent { seq: b, .. })) if a == b),
            "{command:?}"
        );
    }
    assert_eq!(world.rows, before);
    assert_eq!(world.run(change(ann, "left", &removed(ben))), Err(Reject::MessageIdReused));
    world.prove();
}

#[test]
fn whoever_may_not_do_something_is_told_why_and_nothing_changes() {
    let (mut world, [ann, ben, cid]) = three();
    let [dan, eve] = [4, 5].map(|user| world.link(user));
    world.list(eve, UserList::Blocked, ann, true);
    let stale = world.group_row().unwrap().epoch;
    world.change(ann, "limited", &Change::SettingsSet { settings: Settings { limit: 4, ..Settings::default() } }).unwrap();
    let nobody = DeviceId { user: UserId(9), serial: 1 };
    for (from, wanted, reject) in [
        (dan, Change::Left, Reject::NotMember),
        (dan, Change::Renamed { name: "mine".into() }, Reject::NotMember),
        (ann, created(&[ben]), Reject::GroupExists),
        (ben, removed(cid), Reject::NotAdmin),
        (ben, role(ben, true), Reject::NotAdmin),
        (ben, Change::SettingsSet { settings: Settings::default() }, Reject::NotAdmin),
        (ann, removed(dan), Reject::NoSuchMember),
        (ann, role(dan, true), Reject::NoSuchMember),
        (ann, role(ann, false), Reject::LastAdmin),
        (ann, removed(ann), Reject::Nonsense),
        (ann, added(&[ben]), Reject::AlreadyMember),
        (ann, added(&[dan, ben]), Reject::AlreadyMember),
        (ann, added(&[nobody]), Reject::UnknownUser),
        (ann, added(&[dan, eve]), Reject::GroupFull { limit: 4 }),
        (ann, added(&[eve]), Reject::NotAllowed),
    ] {
        let before = world.rows.clone();
        assert_eq!(world.change(from, "x", &wanted), Err(reject), "{wanted:?}");
        assert_eq!(world.rows, before, "{wanted:?}");
    }
    assert_eq!(world.run(say(dan, "x", stale)), Err(Reject::NotMember));
    let unnamed = ConversationId::Group(GroupId([0xff; 16]));
    let misnamed = Command::Send { from: ann, conversation: unnamed, id: id_of("x"), content: created(&[ben]).content(), roster: 0 };
    assert_eq!(world.run(misnamed), Err(Reject::Nonsense));
    let broken = |parts| Command::Send { from: ann, conversation: GROUP, id: id_of("x"), content: Content::new(parts).unwrap(), roster: 0 };
    let body = Body { kind: doubletick_core::change::KIND, bytes: (*b"no change").into() };
    assert_eq!(world.run(broken(Parts::Shared(body.clone()))), Err(Reject::BadContent));
    assert_eq!(world.run(broken(Parts::PerDevice(vec![(ben, body)]))), Err(Reject::BadContent));
    assert_eq!(world.roster(dan), Err(Reject::NotMember));
    assert_eq!(world.read(dan, None), Err(Reject::NotMember));
    assert_eq!(world.has(dan, 1), Err(Reject::NotMember));
    world.prove();
}

#[test]
fn what_only_admins_may_is_a_setting() {
    let (mut world, [ann, ben, cid, dan]) = {
        let (mut world, people) = World::of([1, 2, 3, 4]);
        let settings = Settings { admins_add: true, admins_edit: true, admins_post: true, limit: 8 };
        world.change(people[0], "created", &created_with(&people[1..3], settings)).unwrap();
        (world, people)
    };
    let renamed = Change::Renamed { name: "club".into() };
    for (wanted, name) in [(added(&[dan]), "add"), (renamed.clone(), "rename"), (Change::AvatarSet { avatar: vec![1] }, "avatar")] {
        assert_eq!(world.change(ben, name, &wanted), Err(Reject::NotAdmin));
        assert!(world.change(ann, name, &wanted).is_ok());
    }
    assert_eq!(world.say(ben, "hi"), Err(Reject::NotAdmin));
    world.say(ann, "hi").unwrap();
    world.change(ann, "open", &Change::SettingsSet { settings: Settings::default() }).unwrap();
    world.say(cid, "hi").unwrap();
    world.change(cid, "rename", &Change::Renamed { name: "friends".into() }).unwrap();
    let group = world.group_row().unwrap();
    assert_eq!((group.name.as_str(), group.avatar, group.members), ("friends", vec![1], 4));
    world.prove();
}

#[test]
fn a_member_sees_exactly_what_stands_between_joining_and_leaving_also_the_second_time() {
    let (mut world, [ann, ben, cid]) = World::of([1, 2, 3]);
    world.group(&[ann, ben]);
    world.say(ann, "two").unwrap();
    world.change(ann, "three", &added(&[cid])).unwrap();
    world.say(ann, "four").unwrap();
    assert_eq!(world.read(cid, None), Ok(vec![3, 4]));
    world.change(ann, "five", &removed(cid)).unwrap();
    world.say(ann, "six").unwrap();
    // Cid has fetched nothing yet: it is all still there, up to the removal.
    assert_eq!(world.behind(cid), Some(5));
    assert_eq!(world.read(cid, None), Ok(vec![3, 4, 5]));
    assert_eq!(world.read(cid, Some(0)), Ok(vec![3, 4, 5]), "however far back is asked");
    assert_eq!(world.has(cid, 6), Err(Reject::BeyondHead { head: Seq(5) }));
    assert_eq!(world.chats(cid), [], "it is on the list no more");
    // A device that is linked meanwhile has nothing to do with that time.
    let late = world.link(3);
    assert_eq!(world.read(late, None), Err(Reject::NotMember));

    world.change(ann, "seven", &added(&[cid])).unwrap();
    world.say(ann, "eight").unwrap();
    assert_eq!(world.read(cid, None), Ok(vec![3, 4, 5, 7, 8]));
    assert_eq!(world.read(cid, Some(4)), Ok(vec![5, 7, 8]));
    assert_eq!(world.read(late, None), Ok(vec![7, 8]));
    world.has(cid, 8).unwrap();
    world.change(cid, "nine", &Change::Left).unwrap();
    world.say(ann, "ten").unwrap();
    assert_eq!(world.read(late, None), Ok(vec![7, 8, 9]));
    assert_eq!(world.read(cid, None), Ok(vec![9]));
    world.prove();
}

#[test]
fn the_longest_standing_member_is_admin_when_the_last_one_leaves() {
    let (mut world, [ann, ben, cid, dan]) = World::of([1, 2, 3, 4]);
    world.group(&[ann, cid]);
    world.change(ann, "two", &added(&[ben, dan])).unwrap();
    assert_eq!(world.change(ann, "three", &Change::Left), Ok(Seq(3)));
    assert_eq!(people(&mut world, cid), [(2, false), (3, true), (4, false)], "cid was there before the others");
    assert_eq!(world.read(cid, Some(2)), Ok(vec![3, 4]), "the leaving, and who follows");
    assert_eq!(world.read(ann, Some(2)), Ok(vec![3]));
    for (device, nth) in [(cid, 5), (ben, 7)] {
        assert_eq!(world.change(device, "leaves", &Change::Left), Ok(Seq(nth)));
    }
    assert_eq!(people(&mut world, dan), [(4, true)]);
    world.change(dan, "leaves", &Change::Left).unwrap();
    assert_eq!(world.group_row().unwrap().members, 0);
    world.prove();
}

#[test]
fn an_admin_who_goes_while_another_stays_leaves_the_roles_as_they_are() {
    let (mut world, [ann, ben, cid]) = three();
    world.change(ann, "two", &role(cid, true)).unwrap();
    world.change(cid, "three", &removed(ann)).unwrap();
    assert_eq!(people(&mut world, ben), [(2, false), (3, true)]);
    assert_eq!(world.change(ann, "four", &Change::Left), Err(Reject::NotMember));
    world.prove();
}

#[test]
fn whoever_has_used_the_name_of_the_entry_that_follows_their_leaving_does_not_leave() {
    let (mut world, [ann, ..]) = three();
    let leave = MessageId([8; 16]);
    let mut follows = leave.0;
    follows[15] ^= 1;
    let epoch = world.group_row().unwrap().epoch;
    let content = Content::shared(1, *b"taken").unwrap();
    world.run(Command::Send { from: ann, conversation: GROUP, id: MessageId(follows), content, roster: epoch }).unwrap();
    let left = Command::Send { from: ann, conversation: GROUP, id: leave, content: Change::Left.content(), roster: 0 };
    assert_eq!(world.run(left), Err(Reject::MessageIdReused));
    world.prove();
}

#[test]
fn a_message_for_another_roster_is_refused_and_the_epoch_is_told() {
    let (mut world, [ann, ben, cid]) = three();
    let mut epochs = vec![world.group_row().unwrap().epoch];
    let mut moved = |world: &World, why: &str| {
        let epoch = world.group_row().unwrap().epoch;
        assert!(epoch > *epochs.last().unwrap(), "{why}");
        epochs.push(epoch);
    };
    let tablet = world.link(2);
    moved(&world, "a device was linked");
    world.run(Command::RemoveDevice { device: tablet }).unwrap();
    moved(&world, "a device was removed");
    world.change(ann, "removed", &removed(cid)).unwrap();
    moved(&world, "a member was removed");
    world.change(ann, "added", &added(&[cid])).unwrap();
    moved(&world, "a member was added");
    world.change(cid, "left", &Change::Left).unwrap();
    moved(&world, "a member has left");
    let (now, before) = epochs.split_last().unwrap();
    for stale in before.iter().chain([&0, &(now + 1)]) {
        assert_eq!(world.run(say(ben, "hi", *stale)), Err(Reject::StaleRoster { epoch: *now }));
    }
    let first = world.run(say(ben, "hi", *now));
    assert!(matches!(first, Ok(Reply::Sent { seq: Seq(5), .. })), "{first:?}");
    // A retry is known whatever it says of the roster.
    assert!(matches!(world.run(say(ben, "hi", 1)), Ok(Reply::Sent { seq: Seq(5), .. })));
    assert_eq!(world.roster(ben).unwrap().iter().map(|member| member.devices.clone()).collect::<Vec<_>>(), [vec![1], vec![1]]);
}

#[test]
fn a_device_that_is_linked_gets_what_is_sent_from_then_on_and_what_no_other_of_its_user_has() {
    let (mut world, [ann, ben, cid]) = three();
    world.say(ann, "two").unwrap();
    world.has(ben, 2).unwrap();
    let (new, other) = (world.link(2), world.link(3));
    assert_eq!(world.behind(new), None);
    assert_eq!(world.behind(other), Some(2), "cid has nothing yet");
    world.say(ann, "three").unwrap();
    assert_eq!(world.read(new, None), Ok(vec![3]));
    assert_eq!(world.read(other, None), Ok(vec![1, 2, 3]));
    assert_eq!(world.read(cid, None), Ok(vec![1, 2, 3]));
    world.prove();
}

#[test]
fn unread_counts_the_messages_of_others_since_the_user_has_joined_read_or_written() {
    let (mut world, [ann, ben, cid]) = World::of([1, 2, 3]);
    world.group(&[ann, ben]);
    world.say(ann, "two").unwrap();
    world.change(ann, "three", &added(&[cid])).unwrap();
    let unread = |world: &mut World| [ann, ben, cid].map(|device| world.chats(device)[0].unread);
    assert_eq!(unread(&mut world), [0, 1, 0]);
    world.say(ann, "four").unwrap();
    world.say(ben, "five").unwrap();
    world.change(ann, "six", &Change::Renamed { name: "others".into() }).unwrap();
    assert_eq!(unread(&mut world), [1, 0, 2]);
    world.run(Command::Acknowledge { device: cid, conversation: GROUP, delivered: Seq(6), read: Seq(4) }).unwrap();
    world.say(ann, "seven").unwrap();
    assert_eq!(unread(&mut world), [0, 1, 2]);
}

/// A group with more members than are told at once: the first of them, and all of them.
fn crowd(size: u64) -> (World, DeviceId, Vec<DeviceId>) {
    let mut world = World::new();
    let people: Vec<DeviceId> = (1..=size).map(|user| world.link(user)).collect();
    world.group(&people);
    (world, people[0], people)
}

#[test]
fn a_large_group_is_told_by_a_job_one_pass_for_all_that_was_sent() {
    let size = u64::from(limits::FAN_OUT_MEMBERS) + 40;
    let (mut world, ann, people) = crowd(size);
    assert_eq!(world.behind(people[1]), None, "nobody is told yet");
    world.prove();
    assert_eq!(world.fan_out(), 2);
    assert_eq!(world.fan_out(), 1, "there is nothing left to do");
    assert!(people[1..].iter().all(|device| world.behind(*device) == Some(1)));

    world.say(ann, "two").unwrap();
    world.run(Command::FanOut { conversation: GROUP }).unwrap();
    world.say(ann, "three").unwrap();
    // What is under way goes on with the position that it began with, and begins again for the later one.
    assert_eq!(world.fan_out(), 3);
    for device in &people[1..] {
        assert_eq!(world.behind(*device), Some(3));
        assert_eq!(world.read(*device, None), Ok(vec![1, 2, 3]));
    }
    world.prove();
}

#[test]
fn in_a_large_group_who_is_removed_is_told_at_once_and_who_joins_later_is_not_told_of_what_was_before() {
    let (mut world, ann, people) = crowd(20);
    world.fan_out();
    let (last, new) = (people[19], world.link(21));
    world.change(ann, "two", &removed(last)).unwrap();
    assert_eq!(world.behind(last), Some(2));
    world.change(ann, "three", &added(&[new])).unwrap();
    world.say(ann, "four").unwrap();
    world.fan_out();
    assert_eq!(world.read(last, None), Ok(vec![1, 2]));
    assert_eq!(world.behind(last), Some(2));
    assert_eq!(world.read(new, None), Ok(vec![3, 4]));
    world.prove();
}

#[test]
fn who_leaves_a_large_group_is_marked_for_what_no_job_had_marked_them_for_yet() {
    let (mut world, ann, people) = crowd(20);
    world.fan_out();
    let leaver = people[19];
    world.has(leaver, 1).unwrap();
    world.say(ann, "two").unwrap();
    world.change(leaver, "three", &Change::Left).unwrap();
    world.fan_out();
    assert_eq!(world.behind(leaver), Some(3));
    assert_eq!(world.read(leaver, None), Ok(vec![2, 3]));
    world.has(leaver, 3).unwrap();
    assert_eq!(world.behind(leaver), None);
    world.prove();
}

#[test]
fn jobs_are_shown_with_a_stamp_that_moves_with_them() {
    let (mut world, ..) = crowd(u64::from(limits::FAN_OUT_MEMBERS) + 1);
    let jobs = |world: &mut World| match world.run(Command::ReadFanOuts) {
        Ok(Reply::FanOuts(jobs)) => jobs,
        other => panic!("{other:?}"),
    };
    let before = jobs(&mut world);
    assert_eq!((before.len(), before[0].0), (1, GROUP));
    assert_eq!(jobs(&mut world), before);
    world.run(Command::FanOut { conversation: GROUP }).unwrap();
    assert_ne!(jobs(&mut world), before);
    world.fan_out();
    assert_eq!(jobs(&mut world), []);
}

#[test]
fn a_group_may_be_full_and_not_fuller() {
    let size = u64::from(limits::GROUP_MEMBERS);
    let (mut world, ann, _) = crowd(size);
    let more = world.link(size + 1);
    assert_eq!(world.change(ann, "more", &added(&[more])), Err(Reject::GroupFull { limit: limits::GROUP_MEMBERS }));
    assert_eq!(world.group_row().unwrap().members, limits::GROUP_MEMBERS);
    assert_eq!(world.roster(ann).unwrap().len(), limits::GROUP_MEMBERS as usize);
    world.prove();
}

#[test]
fn nobody_is_in_more_groups_than_one_may_be() {
    let (mut world, [ann, ben, cid]) = three();
    let dan = world.link(4);
    world.set(&rows::group_count(dan.user), &rows::Counter(limits::GROUPS_PER_USER.into()));
    assert_eq!(world.change(ann, "more", &added(&[dan])), Err(Reject::TooManyGroups));
    assert_eq!([ann, ben, cid].map(|it| world.row(&rows::group_count(it.user))), [Some(rows::Counter(1)); 3]);
}

#[test]
fn who_leaves_and_comes_back_again_and_again_has_what_was_not_fetched_up_to_a_limit() {
    let (mut world, [ann, ben, _]) = three();
    let comes_and_goes = |world: &mut World, nth: usize| -> Result<(), Reject> {
        world.change(ann, &format!("goes {nth}"), &removed(ben)).unwrap();
        world.change(ann, &format!("comes {nth}"), &added(&[ben])).map(drop)
    };
    let times = (1..100).find(|nth| comes_and_goes(&mut world, *nth) == Err(Reject::TooManyGroups)).unwrap();
    assert_eq!(times, limits::SPANS_PER_MEMBER);
    let all = world.read(ben, None).unwrap();
    assert_eq!(all.len() as u64, world.group_row().unwrap().epoch, "every change was one of the members, and ben saw each");
    world.has(ben, *all.last().unwrap()).unwrap();
    assert!(world.change(ann, "comes after all", &added(&[ben])).is_ok());
    assert_eq!(world.read(ben, None).map(|seqs| seqs.len()), Ok(1));
    world.prove();
}

#[test]
fn who_is_typing_is_told_to_the_others_of_a_small_group_who_are_connected_and_to_nobody_else() {
    let (mut world, [ann, ben, cy, dan]) = World::of([1, 2, 3, 4]);
    for (device, epoch) in [ann, ben, cy, dan].into_iter().zip(1..) {
        world.open(device, EAST, epoch);
    }
    world.group(&[ann, ben, cy]);
    world.wakes(EAST);
    let typing = |from| Command::Typing { from, conversation: GROUP, active: true };
    assert_eq!(world.run(typing(ann)), Ok(Reply::Done));
    let told = Wake::Typing { conversation: GROUP, by: Some(ann.user), active: true };
    assert_eq!(world.wakes(EAST), [(ben, told.clone()), (cy, told.clone())]);
    assert_eq!(world.run(typing(dan)), Err(Reject::NotMember));
    world.run(Command::SetListed { owner: cy.user, list: UserList::Blocked, user: ann.user, listed: true }).unwrap();
    assert_eq!(world.run(typing(ann)), Ok(Reply::Done));
    assert_eq!(world.wakes(EAST), [(ben, told)], "whoever has blocked somebody does not hear of them");
}

#[test]
fn in_a_large_group_nobody_is_woken_by_every_key() {
    let mut world = World::new();
    let people: Vec<DeviceId> = (1..=u64::from(limits::SYNCHRONOUS_FAN_OUT) + 1).map(|user| world.link(user)).collect();
    for (device, epoch) in people.iter().zip(1..) {
        world.open(*device, EAST, epoch);
    }
    world.group(&people);
    world.fan_out();
    world.wakes(EAST);
    assert_eq!(world.run(Command::Typing { from: people[0], conversation: GROUP, active: true }), Ok(Reply::Done));
    assert_eq!(world.wakes(EAST), []);
}
