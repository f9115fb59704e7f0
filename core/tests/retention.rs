//! A gateway that looks for what need not be kept, with a store in memory and nobody connected.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one variant among many")]

#[path = "pair/rows.rs"]
mod memory;

use doubletick_core::command::{Command, code_digest};
use doubletick_core::content::Content;
use doubletick_core::gateway::{Config, Gateway, Input, Output, Retention};
use doubletick_core::id::{ConversationId, DeviceId, Digest, GatewayId, MessageId, Phone, Seq, UserId};
use doubletick_core::rows::{self, LogEntry, Row};
use doubletick_core::time::{Millis, Timestamp};
use doubletick_core::transact::Batch;
use memory::Rows;
use std::sync::Arc;

const BEGINNING: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Two people whose devices have all that was said.
fn talked() -> (Rows, ConversationId) {
    let talk = ConversationId::direct(UserId(1), UserId(2)).unwrap();
    let device = |user| DeviceId { user: UserId(user), serial: 1 };
    let mut commands = vec![];
    for user in [1, 2] {
        let phone = Phone::parse(&format!("+49151{user:07}")).unwrap();
        let code = code_digest(&phone, "1");
        commands.push(Command::RequestCode { phone: phone.clone(), code });
        commands.push(Command::Register { phone, code, secret: Digest([user as u8; 32]), new_user: UserId(user), name: String::new() });
    }
    commands.extend((1..=3).map(|nth| {
        let content = Content::shared(0, *b"hello").unwrap();
        Command::Send { from: device(1), conversation: talk, id: MessageId([nth; 16]), content, roster: 0 }
    }));
    commands.extend([1, 2].map(|user| Command::Acknowledge { device: device(user), conversation: talk, delivered: Seq(3), read: Seq(0) }));
    let mut rows = Rows::default();
    let outcome = rows.execute(&Arc::new(Batch { now: BEGINNING, commands }));
    assert!(outcome.replies.iter().all(Result::is_ok), "{:?}", outcome.replies);
    (rows, talk)
}

/// Lets a gateway live for a while, each of whose transactions is done at once; how often it looks for something to trim.
fn live(
    gateway: &mut Gateway,
    rows: &mut Rows,
    now: &mut Timestamp,
    length: Millis,
    mut meanwhile: impl FnMut(&mut Rows, Timestamp),
) -> usize {
    let end = *now + length;
    let mut looks = 0;
    loop {
        while let Some(output) = gateway.poll_output() {
            if let Output::Transact(ticket, batch) = output {
                looks += batch.commands.iter().filter(|command| matches!(command, Command::FindUntrimmed { .. })).count();
                let outcome = rows.execute(&batch);
                gateway.handle_input(*now, Input::Transacted(ticket, Ok(outcome)));
            }
        }
        gateway.check();
        match gateway.poll_timeout().filter(|due| *due <= end) {
            Some(due) => *now = due.max(*now),
            None => break,
        }
        meanwhile(rows, *now);
        gateway.handle_timeout(*now);
    }
    *now = end;
    looks
}

/// Which of the three messages are kept after some time.
fn kept(retention: Retention, length: Millis) -> Vec<bool> {
    let (mut rows, talk) = talked();
    let mut now = BEGINNING;
    let mut gateway = Gateway::new(GatewayId(1), Config { retention, ..Config::default() }, now);
    live(&mut gateway, &mut rows, &mut now, length, |_, _| {});
    let is_kept = |seq| !LogEntry::decode(&rows.0[&rows::log(talk, Seq(seq)).key]).unwrap().content.is_trimmed();
    (1..=3).map(is_kept).collect()
}

#[test]
fn what_need_not_be_kept_is_trimmed_by_and_by() {
    let (minute, hour) = (Millis::seconds(60), Millis::seconds(3600));
    assert_eq!(kept(Retention::Forever, hour), [true; 3]);
    assert_eq!(kept(Retention::UntilDelivered, minute), [false; 3]);
    assert_eq!(kept(Retention::For(hour), minute), [true; 3]);
    assert_eq!(kept(Retention::For(hour), Millis(hour.0 + 20 * minute.0)), [false; 3]);
}

#[test]
fn of_several_gateways_one_looks_for_what_need_not_be_kept() {
    let gateways = 1..=4;
    let looks = |gateway: u64| {
        let (mut rows, _) = talked();
        let others: Vec<GatewayId> = gateways.clone().filter(|other| *other != gateway).map(GatewayId).collect();
        let commands = others.iter().map(|other| Command::Begin { gateway: *other }).collect();
        rows.execute(&Arc::new(Batch { now: BEGINNING, commands }));
        let mut now = BEGINNING;
        let mut gateway = Gateway::new(GatewayId(gateway), Config { retention: Retention::UntilDelivered, ..Config::default() }, now);
        let they_live = |rows: &mut Rows, now| {
            let commands = others.iter().map(|other| Command::RenewLease { gateway: *other }).collect();
            rows.execute(&Arc::new(Batch { now, commands }));
        };
        live(&mut gateway, &mut rows, &mut now, Millis::seconds(60), they_live)
    };
    assert_eq!(gateways.clone().filter(|gateway| looks(*gateway) > 0).count(), 1);
}
