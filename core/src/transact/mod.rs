//! The store's machine: from the rows it reads and a batch of commands to events, row writes and replies.
//!
//! Three steps, each a function of its own:
//!
//! - **decide** (the modules by command family): the rules. Reads rows, and returns events and a reply, or a [`Reject`]. A retry is
//!   recognised before any rule is applied;
//! - **project**: from an event to row writes. Total: an event has happened and cannot be refused;
//! - **react**: from an event to the wake-ups that it calls for, as rows of the same transaction, so that a crash loses none.
//!
//! Commands of a batch see each other's writes, and one command's rejection does not abort the others.

mod account;
mod group;
mod lease;
mod lookup;
mod message;
mod presence;
mod project;
mod react;
mod receipt;
mod retention;
mod session;

use crate::command::{Command, Reply};
use crate::event::Event;
use crate::id::{ConversationId, DeviceId, UserId};
use crate::reject::Reject;
use crate::rows::{self, Account};
use crate::store::{Commit, Key, Lane, LentRows, Missing, NotFetched, Scan, Snapshot, Transaction, Write};
use crate::time::Timestamp;
use crate::view::{Stop, View};
use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

/// Commands that are carried out in one transaction, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The clock of whoever asks. The same for every run of the batch.
    pub now: Timestamp,
    /// At most [`crate::limits::COMMANDS_PER_TRANSACTION`].
    pub commands: Vec<Command>,
}

/// What came of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// One for each command, in their order.
    pub replies: Vec<Result<Reply, Reject>>,
    /// What has happened.
    pub events: Vec<Event>,
    /// Rows that did not decode, to be reported. What could go on without them went on.
    pub damaged: Vec<Key>,
}

impl Transaction for Arc<Batch> {
    type Answer = Outcome;

    fn run(&self, snapshot: &mut dyn Snapshot) -> Result<Commit<Outcome>, Missing> {
        transact(snapshot, self)
    }

    fn lane(&self) -> Lane {
        let quick = self.commands.iter().all(|command| command.lane() == Lane::Quick);
        if quick { Lane::Quick } else { Lane::Durable }
    }
}

/// Carries out a batch against a snapshot. Pure: the same snapshot and batch give the same result, however often it is called.
pub fn transact(snapshot: &mut dyn Snapshot, batch: &Batch) -> Result<Commit<Outcome>, Missing> {
    let mut view = View::new(snapshot);
    let mut events = Vec::new();
    let mut replies = Vec::with_capacity(batch.commands.len());
    let mut held = Vec::new();
    for (nth, command) in batch.commands.iter().enumerate() {
        view.turn(nth);
        let sender = command.sender();
        if sender.is_some_and(|sender| held.contains(&sender)) {
            mark!(BatchIsHeldBack);
            replies.push(Err(Reject::Superseded));
            continue;
        }
        // After a missing row the rest goes on all the same: it finds out what else is missing, so that one round fetches it all.
        let reply = match carry_out(&mut view, batch.now, command, &mut events) {
            Ok(reply) => reply,
            Err(Stop::Reject(reject)) => Err(reject),
            Err(Stop::Missing) => continue,
        };
        // What a device has sent after a message that is refused for the moment must not overtake it.
        if reply.as_ref().is_err_and(|reject| reject.is_for_now()) && !planted!(BatchOvertakesRefused) {
            held.extend(sender);
        }
        replies.push(reply);
    }
    let (writes, damaged) = view.finish()?;
    assert_eq!(replies.len(), batch.commands.len(), "every command has its reply once nothing is missing");
    Ok(Commit { writes, answer: Outcome { replies, events, damaged } })
}

/// The writes by which rows come to say what has happened: what replaying events into an empty store amounts to. Durable rows come out
/// the same as by the transactions that the events are of; wake-ups and what else belongs to a running process do not come back.
pub fn replay(events: &[Event]) -> Vec<Write> {
    let mut nothing = Nothing;
    let mut view = View::new(&mut nothing);
    for event in events {
        project::project(&mut view, event);
    }
    let (writes, _) = view.finish().expect("a projection reads nothing");
    writes
}

/// A snapshot that has nothing at hand.
struct Nothing;

impl Snapshot for Nothing {
    fn has(&self, _: &Key) -> bool {
        false
    }

    fn get(&mut self, _: &Key) -> Result<Option<Cow<'_, [u8]>>, NotFetched> {
        Err(NotFetched)
    }

    fn scan(&mut self, _: &Scan) -> Result<LentRows<'_>, NotFetched> {
        Err(NotFetched)
    }
}

fn carry_out(view: &mut View, now: Timestamp, command: &Command, events: &mut Vec<Event>) -> Result<Result<Reply, Reject>, Stop> {
    let decision = decide(view, now, command)?;
    for event in &decision.events {
        project::project(view, event);
    }
    let mut complete = Ok(());
    for event in &decision.events {
        // It stops for missing rows only: the writes are in the view already, so nothing may be refused any more. All events are asked
        // what they miss, so that one round fetches it.
        complete = complete.and(react::react(view, event));
    }
    complete?;
    events.extend(decision.events);
    Ok(decision.answer)
}

/// What a command leads to.
#[derive(Debug)]
struct Decision {
    events: Vec<Event>,
    /// A command that is refused may have had consequences all the same, such as a counted wrong guess.
    answer: Result<Reply, Reject>,
}

impl Decision {
    fn reply(reply: Reply) -> Self {
        Self { events: vec![], answer: Ok(reply) }
    }

    fn of(events: Vec<Event>, reply: Reply) -> Self {
        Self { events, answer: Ok(reply) }
    }
}

fn decide(view: &mut View, now: Timestamp, command: &Command) -> Result<Decision, Stop> {
    match command {
        Command::RequestCode { phone, code } => account::request_code(view, now, phone, *code),
        Command::Register { phone, code, secret, new_user, name } => account::register(view, now, phone, *code, *secret, *new_user, name),
        Command::Renew { device, secret } => account::renew(view, now, *device, *secret),
        Command::RemoveDevice { device } => account::remove_device(view, *device),
        Command::SetListed { owner, list, user, listed } => account::set_listed(view, now, *owner, *list, *user, *listed),
        Command::SetPrivacy { user, privacy } => account::set_privacy(view, *user, *privacy),
        Command::FindUsers { phones } => lookup::find_users(view, phones),
        Command::AskUser { user } => lookup::ask_user(view, *user),
        Command::ListChats { user, after } => lookup::list_chats(view, *user, *after),
        Command::OpenSession { device, secret, gateway, epoch, run } => {
            let session = rows::Session { gateway: *gateway, epoch: *epoch, run: *run };
            session::open(view, now, *device, *secret, session)
        }
        Command::InSession { device, gateway, epoch, command } => {
            // Both are asked for before either is judged, so that one round fetches both.
            let present = session::is_present(view, *device, *gateway, *epoch);
            let decision = decide(view, now, command);
            if present? { decision } else { Err(Reject::Unavailable.into()) }
        }
        Command::EndSession { device, gateway, epoch, heard } => session::end(view, *device, *gateway, *epoch, *heard),
        Command::Heard { users } => session::heard(users),
        Command::TakeWakes { gateway, seen } => session::take_wakes(view, *gateway, seen),
        Command::Begin { gateway } => lease::begin(view, *gateway),
        Command::RenewLease { gateway } => lease::renew(view, *gateway),
        Command::ReadLeases => lease::read(view),
        Command::Reap { gateway, renewals } => lease::reap(view, *gateway, *renewals),
        Command::Send { from, conversation: ConversationId::Direct(pair), id, content, .. } => {
            message::send(view, now, *from, *pair, *id, content)
        }
        Command::Send { from, conversation, id, content, roster } => group::send(view, now, *from, *conversation, *id, content, *roster),
        Command::AskRoster { user, conversation, after } => group::ask_roster(view, *user, *conversation, *after),
        Command::FanOut { conversation } => group::run_fan_out(view, *conversation),
        Command::ReadFanOuts => group::waiting_fan_outs(view),
        Command::BeginSum { conversation } => group::reached::begin(view, *conversation),
        Command::Sum { conversation } => group::reached::sum(view, *conversation),
        Command::EndSum { conversation, reached, tell, last } => group::reached::end(view, *conversation, *reached, tell, *last),
        Command::ReadSums => group::reached::waiting(view),
        Command::FindUntrimmed { after } => retention::find(view, *after),
        Command::AskDelivered { conversation, after } => retention::ask_delivered(view, *conversation, *after),
        Command::Trim { conversation, upto, before } => retention::trim(view, *conversation, *upto, *before),
        Command::ReadLog { device, conversation, after } => message::read_log(view, *device, *conversation, *after),
        Command::ReadDirty { device, after } => message::read_dirty(view, *device, *after),
        Command::Acknowledge { device, conversation, delivered, read } => {
            receipt::acknowledge(view, *device, *conversation, *delivered, *read)
        }
        Command::AskReceipts { user, conversations } => receipt::ask(view, *user, conversations),
        Command::Typing { from, conversation, active } => presence::typing(view, *from, *conversation, *active),
        Command::Watch { device, gateway, user } => presence::watch(view, *device, *gateway, *user),
        Command::Unwatch { device, gateway, user } => presence::unwatch(view, *device, *gateway, *user),
    }
}

/// The devices of an account, as addresses.
fn devices_of(user: UserId, account: &Account) -> impl Iterator<Item = DeviceId> + '_ {
    account.devices.iter().map(move |device| DeviceId { user, serial: device.serial })
}

/// Where the devices of an account are connected.
fn sessions_of(view: &mut View, user: UserId, account: &Account) -> Result<Vec<(DeviceId, rows::Session)>, Stop> {
    let keys: Vec<Key> = devices_of(user, account).map(|device| rows::session(device).key).collect();
    view.need(&keys)?;
    let mut sessions = Vec::new();
    for device in devices_of(user, account) {
        if let Some(session) = view.find(&rows::session(device))? {
            sessions.push((device, session));
        }
    }
    Ok(sessions)
}

/// The person with whom a user talks in a direct conversation.
fn peer_in(conversation: ConversationId, user: UserId) -> Result<UserId, Reject> {
    conversation.peer(user).ok_or(Reject::NotMember)
}

/// The account of a device. Refuses one that belongs to no account any more.
fn linked(view: &mut View, device: DeviceId) -> Result<Account, Stop> {
    let account = view.get(&rows::account(device.user))?.ok_or(Reject::DeviceRemoved)?;
    if devices_of(device.user, &account).any(|linked| linked == device) { Ok(account) } else { Err(Reject::DeviceRemoved.into()) }
}

/// Whether either of two users has blocked the other. A damaged row of the block list blocks.
fn blocked(view: &mut View, one: UserId, other: UserId) -> Result<bool, Stop> {
    let (ours, theirs) = (rows::block(one, other), rows::block(other, one));
    view.need(&[ours.key, theirs.key])?;
    Ok(view.exists(&ours)? || view.exists(&theirs)?)
}
