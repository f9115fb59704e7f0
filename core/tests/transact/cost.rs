//! What each kind of command costs the store. The table is a part of `docs/capacity.md`, and this keeps it true.

use crate::world::group::{GROUP, change, removed, say};
use crate::world::*;
use core::fmt::Write as _;
use doubletick_core::command::Command;
use doubletick_core::frame::{Privacy, UserList};
use doubletick_core::id::{DeviceId, Seq, SessionEpoch, UserId};
use doubletick_core::limits;
use doubletick_core::rows::{Lowest, Reached};
use doubletick_core::store::{Read, Write};
use doubletick_core::transact::Batch;

const PAGE: &str = include_str!("../../../docs/capacity.md");
const BEGIN: &str = "<!-- costs: begin -->\n";
const END: &str = "<!-- costs: end -->";

/// What one transaction of one command asks of the store.
struct Cost {
    rounds: u32,
    /// Durable, then ephemeral.
    read: [usize; 2],
    written: [usize; 2],
    /// Keys and values of the durable rows written.
    bytes: usize,
}

fn cost(world: &World, command: &Command) -> Cost {
    let (commit, rounds, fetched) = in_rounds(&world.rows, &Batch { now: world.now, commands: vec![command.clone()] });
    assert!(commit.answer.replies.iter().all(Result::is_ok), "{command:?}: {:?}", commit.answer.replies);
    let [mut read, mut written, mut bytes] = [[0; 2], [0; 2], [0; 2]];
    for read_of in &fetched {
        let key = match read_of {
            Read::Row(key) => key,
            Read::Rows(scan) => &scan.from,
        };
        read[usize::from(key.is_ephemeral())] += 1;
    }
    for write in &commit.writes {
        let value = match write {
            Write::Set(_, value) => value.len(),
            Write::Clear(_) => 0,
            Write::Max(..) | Write::Add(..) => 8,
        };
        let of = usize::from(write.key().is_ephemeral());
        written[of] += 1;
        bytes[of] += write.key().as_bytes().len() + value;
    }
    Cost { rounds, read, written, bytes: bytes[0] }
}

/// Two people who have talked: each has one device, connected and caught up.
fn talked() -> (World, DeviceId, DeviceId) {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    world.open(ann, WEST, 1);
    world.open(ben, EAST, 1);
    for (from, to, seq) in [(ann, ben, 1), (ben, ann, 2)] {
        world.send(from, to, &format!("{seq}"));
        world.acknowledge(to, from, seq, seq).unwrap();
    }
    (world, ann, ben)
}

/// A text of 32 bytes, as that of the load generator.
fn text(of: &str) -> String {
    format!("{of:-<32}")
}

fn name(command: &Command) -> String {
    let wanted = if let Command::InSession { command, .. } = command { command } else { command };
    format!("{wanted:?}").split([' ', '{']).next().unwrap().to_owned()
}

fn table() -> String {
    let mut table = String::from(
        "| command | when | rounds of reads | durable rows read | ephemeral rows read | durable rows written | ephemeral rows written | durable bytes written |\n|---|---|---|---|---|---|---|---|\n",
    );
    let mut line = |world: &World, command: &Command, when: &str| {
        let Cost { rounds, read, written, bytes } = cost(world, command);
        let name = name(command);
        writeln!(table, "| {name} | {when} | {rounds} | {} | {} | {} | {} | {bytes} |", read[0], read[1], written[0], written[1]).unwrap();
    };
    let (mut world, ann, ben) = talked();
    let conversation = talk(ann.user, ben.user);
    let third = in_session(ann, 1, send(ann, ben.user, &text("third")));

    line(&world, &third, "the receiver is connected");
    let mut away = world.clone();
    away.end(ben, EAST, 1);
    line(&away, &third, "the receiver is away");
    let mut tablet = world.clone();
    let second = tablet.link(2);
    tablet.open(second, EAST, 7);
    line(&tablet, &third, "the receiver has two devices, connected");
    let cid = world.link(3);
    line(&world, &in_session(ann, 1, send(ann, cid.user, &text("first"))), "the first of a conversation");
    world.run(third.clone()).unwrap();
    line(&world, &third, "a retry");

    let acknowledged = acknowledge(ben, ann.user, 3, 2);
    line(&world, &acknowledged, "the sender is connected");
    let mut away = world.clone();
    away.end(ann, WEST, 1);
    line(&away, &acknowledged, "the sender is away");
    world.run(acknowledged.clone()).unwrap();
    line(&world, &acknowledge(ben, ann.user, 3, 3), "it was read as well");
    line(&world, &acknowledged, "a retry");

    in_groups(&mut line);

    let (_, seen) = world.peek(EAST);
    line(&world, &Command::TakeWakes { gateway: EAST, seen: vec![] }, "one message has come");
    line(&world, &Command::TakeWakes { gateway: EAST, seen }, "and is handed on");
    line(&world, &Command::ReadLog { device: ben, conversation, after: None }, "a page");
    line(&world, &Command::ReadDirty { device: ben, after: None }, "a page");
    line(&world, &Command::AskReceipts { user: ann.user, conversations: vec![conversation] }, "of one conversation");
    line(&world, &Command::ListChats { user: ben.user, after: None }, "one conversation");
    line(&world, &Command::Typing { from: ann, conversation, active: true }, "the other side is connected");

    line(&world, &open(cid, token(3, 1), WEST, 2), "nobody watches");
    line(&world, &Command::EndSession { device: ben, gateway: EAST, epoch: SessionEpoch(1), heard: world.now }, "nobody watches");
    line(&world, &Command::Heard { users: vec![(ann.user, world.now + doubletick_core::time::Millis(1))] }, "one user");
    line(&world, &Command::Watch { device: ann, gateway: WEST, user: ben.user }, "always");
    line(&world, &Command::Unwatch { device: ann, gateway: WEST, user: ben.user }, "always");
    let listed = Command::SetListed { owner: ann.user, list: UserList::Contacts, user: ben.user, listed: true };
    line(&world, &in_session(ann, 1, listed), "nobody watches");
    line(&world, &in_session(ann, 1, Command::SetPrivacy { user: ann.user, privacy: Privacy::Everyone }), "nobody watches");
    line(&world, &Command::AskUser { user: ben.user }, "always");
    line(&world, &Command::FindUsers { phones: vec![phone(1), phone(2)] }, "two numbers");

    let mut fresh = world.clone();
    fresh.wait(doubletick_core::time::Millis::seconds(3600));
    let asked = Command::RequestCode { phone: phone(4), code: code(4, "123456") };
    line(&fresh, &asked, "a new number");
    fresh.run(asked).unwrap();
    line(&fresh, &register(4, "123456", token(4, 1)), "a new account");
    line(&world, &renew(ann, 1, token(1, 9)), "always");
    line(&world, &in_session(ann, 1, Command::RemoveDevice { device: ben }), "it is connected");

    of_gateways(&mut line, &world);
    table
}

fn of_gateways(line: &mut dyn FnMut(&World, &Command, &str), world: &World) {
    line(world, &Command::Begin { gateway: doubletick_core::id::GatewayId(0xc) }, "always");
    line(world, &Command::RenewLease { gateway: WEST }, "always");
    line(world, &Command::ReadLeases, "two gateways");
    let conversation = talk(UserId(1), UserId(2));
    line(world, &Command::FindUntrimmed { after: None }, "two conversations");
    line(world, &Command::AskDelivered { conversation, after: None }, "of two people with a device each");
    let trim = Command::Trim { conversation, upto: Seq(2), before: world.now + doubletick_core::time::Millis(1) };
    line(world, &trim, "two messages");
    line(world, &Command::Reap { gateway: WEST, renewals: 0 }, "it had one session");
}

fn in_groups(line: &mut dyn FnMut(&World, &Command, &str)) {
    let (small, of_three) = group_of(3);
    line(&small, &of_three, "into a group of three, all connected");
    let (large, of_many) = group_of(limits::SYNCHRONOUS_FAN_OUT + 1);
    line(&large, &of_many, "into a group of more than are told at once");
    let mut sent = large.clone();
    sent.run(of_many).unwrap();
    line(&sent, &Command::FanOut { conversation: GROUP }, "for 17 members, all connected");
    let ben = DeviceId { user: UserId(2), serial: 1 };
    let acknowledged = Command::Acknowledge { device: ben, conversation: GROUP, delivered: Seq(1), read: Seq(0) };
    line(&small, &acknowledged, "in a group");
    let mut heard = small.clone();
    heard.run(acknowledged).unwrap();
    line(&heard, &Command::BeginSum { conversation: GROUP }, "receipts of a group");
    line(&heard, &Command::Sum { conversation: GROUP }, "of a group of three");
    let mut all = large.clone();
    for user in 1..=u64::from(limits::SYNCHRONOUS_FAN_OUT) + 1 {
        all.has(DeviceId { user: UserId(user), serial: 1 }, 1).unwrap();
    }
    line(&all, &Command::Sum { conversation: GROUP }, "of a group of 17");
    let ann = UserId(1);
    let lowest = Lowest { all: Seq(1), behind: ann, others: Seq(1) };
    let reached = Reached { delivered: lowest, read: Lowest::default() };
    line(&all, &Command::EndSum { conversation: GROUP, reached, tell: vec![ann], last: Some(1) }, "one sender is told, connected");
    let removed = change(DeviceId { user: UserId(1), serial: 1 }, "out", &removed(ben));
    line(&small, &removed, "a member is removed from a group of three, all connected");
}

/// A group of so many, one device each and connected, which has heard of its making; and a message into it.
fn group_of(size: u32) -> (World, Command) {
    let mut world = World::new();
    let people: Vec<DeviceId> = (1..=u64::from(size)).map(|user| world.link(user)).collect();
    for (device, epoch) in people.iter().zip(1..) {
        world.open(*device, EAST, epoch);
    }
    world.group(&people);
    world.fan_out();
    (world, say(people[0], &text("hello"), 1))
}

#[test]
fn a_message_into_a_large_group_costs_the_same_however_large_it_is() {
    let costs = [limits::SYNCHRONOUS_FAN_OUT + 1, 100, limits::GROUP_MEMBERS].map(|size| {
        let (world, message) = group_of(size);
        let Cost { rounds, read, written, bytes } = cost(&world, &message);
        (rounds, read, written, bytes)
    });
    assert_eq!(costs[0], (1, [6, 0], [5, 0], costs[0].3), "rounds, rows read, rows written");
    assert_eq!(costs[1].0, costs[0].0);
    assert_eq!((costs[1].1, costs[1].2), (costs[0].1, costs[0].2));
    assert_eq!(costs[2], costs[1]);
}

#[test]
fn the_page_about_capacity_says_what_every_command_costs() {
    let table = table();
    let written = PAGE.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(table, _)| table.trim());
    assert!(written == Some(table.trim()), "docs/capacity.md must have this between its two marks:\n{table}");
}
