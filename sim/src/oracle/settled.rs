//! CONVERGENCE: has everything reached its final state? And the looks at everything: BOUNDED and LOG_PROOF.

use super::{Message, Oracle};
use crate::device::Device;
use crate::world::World;
use doubletick_core::client::Client;
use doubletick_core::command::Command;
use doubletick_core::frame::Presence;
use doubletick_core::id::{ConversationId, DeviceId, Seq, UserId};
use doubletick_core::limits;
use doubletick_core::rows::{self, Place};
use doubletick_core::store::Transaction;
use doubletick_core::transact::Batch;
use doubletick_core::verify::{Report, verify, verify_again};
use std::sync::Arc;

/// Looks at everything between two proofs of all logs.
const LOOKS_PER_PROOF: u64 = 16;
/// What latencies and periods of heartbeats may add before a presence is wrong.
const PRESENCE_SLACK_MS: u64 = 40_000;

/// What is not yet as it must be.
type Unsettled = Option<(Oracle, String)>;

impl World<'_> {
    /// The machines look at themselves; now and then the logs are proved.
    pub(crate) fn sample(&mut self) {
        let oracles = &mut self.oracles;
        let mut queue = |name: &'static str, len: usize, limit: usize| {
            oracles.compare(Oracle::Bounded, len <= limit, || format!("{name}: {len}, and the limit is {limit}"));
        };
        for gateway in self.hosts.iter().filter_map(|host| host.gateway.as_ref()) {
            gateway.queues(&mut queue);
        }
        for machine in self.devices.iter().filter_map(|device| device.machine.as_ref()) {
            machine.queues(&mut queue);
        }
        self.hosts.iter().filter_map(|host| host.gateway.as_ref()).for_each(|gateway| gateway.check());
        self.devices.iter().filter_map(|device| device.machine.as_ref()).for_each(Client::check);
        if self.trace.steps.is_multiple_of(self.scenario.sample_every * LOOKS_PER_PROOF) {
            // Of logs, what was added since the last time.
            let report = verify_again(&mut self.oracles.proved, self.store.rows());
            self.proved(&report);
        }
    }

    fn proved(&mut self, report: &Report) {
        self.oracles.counts[Oracle::LogProof as usize] += report.entries;
        self.oracles.compare(Oracle::LogProof, report.problems.is_empty(), || {
            report.problems.iter().map(|problem| problem.to_string()).collect::<Vec<_>>().join("; ")
        });
    }

    /// The last look of a run: everything that is compared only once.
    pub(crate) fn last_look(&mut self) {
        self.sample();
        let report = verify(self.store.rows());
        self.proved(&report);
        self.oracles.compare_rebuilt(&self.store);
        for user in self.oracles.users().to_vec().into_iter().flatten() {
            let batch = Arc::new(Batch { now: Default::default(), commands: vec![Command::ListChats { user, after: None }] });
            let (version, mut reads) = (self.store.version(), Default::default());
            let commit = batch.run(&mut self.store.at(version, &mut reads, None)).expect("everything is at hand");
            self.oracles.answered(&self.store, version, &batch, &commit.answer);
        }
    }

    /// The first thing that is not as it must be in the end.
    pub(crate) fn unsettled(&mut self) -> Unsettled {
        let unsettled = self
            .restless()
            .or_else(|| self.undelivered())
            .or_else(|| self.untold())
            .or_else(|| self.unticked())
            .or_else(|| self.misshown())
            .or_else(|| self.left_behind())
            .or_else(|| self.unmarked());
        if unsettled.is_none() {
            self.oracles.counts[Oracle::Convergence as usize] += 1;
        }
        unsettled
    }

    /// Devices that are there for good, with their names.
    fn living(&self) -> impl Iterator<Item = (u32, DeviceId, &Device)> {
        (0..).zip(&self.devices).filter_map(|(nth, device)| Some((nth, device.id.filter(|_| self.lives(nth))?, device)))
    }

    /// Whether something can still reach a device, and is meant to.
    fn lives(&self, device: u32) -> bool {
        !self.devices[device as usize].dead && !self.oracles.is_removed(device)
    }

    /// Every device is online, has nothing left to send or to store, and nothing waits for it; every gateway knows what it was woken for.
    fn restless(&mut self) -> Unsettled {
        let mut compared = 0;
        let mut restless = None;
        for (nth, id, device) in self.living() {
            compared += 1;
            let online = device.machine.as_ref().is_some_and(Client::is_online);
            let left = device.machine.as_ref().map_or(0, Client::outbox_len) + device.disk.outbox.len();
            let waits = self.store.rows_in(&rows::dirty_set(id, None, 1)).next().map(|(key, _)| rows::dirty_of(&key));
            if !online || left > 0 || !device.is_saved() || waits.is_some() {
                let stopped = device.stopped;
                restless = Some(format!("device {nth}: online {online} (stopped: {stopped:?}), {left} to send, waiting for it: {waits:?}"));
                break;
            }
        }
        for gateway in self.hosts.iter().filter_map(|host| host.gateway.as_ref()) {
            compared += 1;
            if let Some(wake) = self.oracles.untold_wake(gateway.id(), &self.store) {
                let place = Place::of(&wake);
                restless.get_or_insert_with(|| format!("gateway {} has not been told of {place:?}", gateway.id()));
            }
        }
        self.oracles.counts[Oracle::Convergence as usize] += compared;
        restless.map(|detail| (Oracle::Convergence, detail))
    }

    /// Every message that was stored in an outbox was accepted or refused, and every one that was accepted is where it belongs.
    fn undelivered(&mut self) -> Unsettled {
        let lost = self.oracles.messages().iter().find(|message| {
            let known = message.told || message.refused.is_some();
            !known && message.durable && self.lives(message.device)
        });
        if let Some(Message { id, device, .. }) = lost {
            return Some((Oracle::NoLoss, format!("{id} was stored in the outbox of device {device}, and nobody knows of it")));
        }
        let conversations: Vec<ConversationId> = self.oracles.model.conversations().collect();
        let living: Vec<u32> = self.living().map(|(nth, ..)| nth).collect();
        for device in living {
            for conversation in &conversations {
                if let Some(missing) = self.oracles.lacks(device, *conversation) {
                    return Some((Oracle::NoLoss, missing));
                }
            }
        }
        None
    }

    /// What was read on a device, the store knows.
    fn untold(&mut self) -> Unsettled {
        let mut compared = 0;
        let mut untold = None;
        'devices: for (nth, id, device) in self.living() {
            for chat in device.disk.chats.values() {
                let (_, told) = self.oracles.stored_receipt(chat.conversation, id.user);
                compared += 1;
                if told < chat.read {
                    let (read, conversation) = (chat.read, chat.conversation);
                    untold = Some(format!("device {nth} was shown {conversation} up to {read}, and the store knows of {told}"));
                    break 'devices;
                }
            }
        }
        self.oracles.counts[Oracle::Convergence as usize] += compared;
        untold.map(|detail| (Oracle::Convergence, detail))
    }

    /// Every sender has the ticks that the store holds, and the second tick of what a living device of the other side has.
    fn unticked(&mut self) -> Unsettled {
        let mut compared = 0;
        let mut wrong = None;
        'devices: for (nth, id, device) in self.living() {
            for chat in device.disk.chats.values() {
                let Some(peer) = chat.conversation.peer(id.user) else { continue };
                let (delivered, read) = self.oracles.stored_receipt(chat.conversation, peer);
                let has = self.has_living(peer, chat.conversation);
                // Ticks stand at messages: of a watermark, the last own message below it is all that is shown.
                let own = |upto: Seq| self.oracles.last_own_shown(nth, chat.conversation, upto);
                compared += 1;
                let ticks = chat.peer_delivered >= own(delivered) && chat.peer_read >= own(read);
                let second = delivered >= own(has);
                if !ticks || !second {
                    wrong = Some(format!(
                        "device {nth} of {}: last own {}, told {} and {}, stored {delivered} and {read}, on a living device {has}",
                        chat.conversation, chat.own_last, chat.peer_delivered, chat.peer_read
                    ));
                    break 'devices;
                }
            }
        }
        self.oracles.counts[Oracle::Convergence as usize] += compared;
        wrong.map(|detail| (Oracle::Convergence, detail))
    }

    /// What the living devices of a user have of a conversation.
    fn has_living(&self, user: UserId, conversation: ConversationId) -> Seq {
        let living = self.living().filter(|(_, id, _)| id.user == user);
        living.filter_map(|(_, _, device)| device.disk.chats.get(&conversation)?.cursor).max().unwrap_or_default()
    }

    /// Nobody is shown as online who has not been heard for long, and nobody as offline who is there.
    fn misshown(&mut self) -> Unsettled {
        let mut compared = 0;
        let mut wrong = None;
        let silent = |user: UserId| self.now.saturating_sub(self.oracles.last_heard(user)) > limits::DEAD_AFTER.0 + PRESENCE_SLACK_MS;
        let there = |user: UserId| self.living().any(|(_, id, _)| id.user == user);
        // Whether somebody's device was removed in time is not known from outside.
        let unsure = |user: UserId| {
            let mut devices = (0..).zip(&self.devices).filter(|(_, device)| device.id.is_some_and(|id| id.user == user));
            devices.any(|(nth, device)| !device.dead && self.oracles.is_removed(nth))
        };
        for user in self.oracles.users().iter().flatten().copied().filter(|user| !unsure(*user)) {
            compared += 1;
            let (connected, silent, there) = (self.oracles.is_connected(user, &self.store), silent(user), there(user));
            if there != connected {
                wrong = Some(format!("{user} has a session: {connected}, is silent: {silent}, has a living device: {there}"));
                break;
            }
        }
        'devices: for (nth, id, device) in self.living().filter(|_| wrong.is_none()) {
            for user in device.watches.iter().filter(|user| !unsure(**user)) {
                let Some(shown) = self.oracles.shows(nth, *user) else { continue };
                compared += 1;
                let (silent, there) = (silent(*user), there(*user));
                let lie = match shown {
                    Presence::Online => silent,
                    Presence::Offline { .. } => there,
                    Presence::Hidden => false,
                };
                let lie = lie || self.oracles.may_see(*user, id.user) == (shown == Presence::Hidden);
                let lie = lie || !self.oracles.watches(id, *user);
                // Until somebody who is gone for good is known to be gone, it is too early to judge.
                let early = !there && !silent;
                if lie || early {
                    let heard = self.oracles.last_heard(*user);
                    wrong = Some(format!("device {nth} is shown {shown:?} for {user}, last heard at {heard} ms, there: {there}"));
                    break 'devices;
                }
            }
        }
        self.oracles.counts[Oracle::Presence as usize] += compared;
        wrong.map(|detail| (Oracle::Presence, detail))
    }

    /// No job waits that is to mark the devices of a group.
    fn unmarked(&mut self) -> Unsettled {
        self.oracles.counts[Oracle::Convergence as usize] += 1;
        let waits = self.oracles.jobs().next()?;
        Some((Oracle::Convergence, format!("the devices of {waits} are still to be marked, and no gateway does it")))
    }

    /// What lives and dies with a gateway is gone with it, and every session in the store is one that a living gateway holds.
    fn left_behind(&mut self) -> Unsettled {
        let living = |gateway| self.hosts.iter().filter_map(|host| host.gateway.as_ref()).any(|host| host.id() == gateway);
        let mut compared = 0;
        let mut sessions = 0;
        let mut wrong = (0..).zip(&self.hosts).find_map(|(nth, host)| {
            let runs_on = host.draining && host.gateway.is_some();
            runs_on.then(|| format!("gateway {nth} was told to stop, and runs on"))
        });
        for (key, _) in self.store.rows().filter(|(key, _)| key.is_ephemeral()) {
            compared += 1;
            let place = Place::of(&key);
            let of = match &place {
                Some(Place::Session(_)) => {
                    sessions += 1;
                    continue;
                }
                Some(Place::SessionOf(gateway, _) | Place::Wake(gateway, ..) | Place::Bell(gateway) | Place::Lease(gateway)) => *gateway,
                _ => continue,
            };
            if !living(of) && wrong.is_none() {
                wrong = Some(format!("{} is left of a gateway that is gone", place.expect("it is one of these")));
                break;
            }
        }
        let held: usize = self.hosts.iter().filter_map(|host| host.gateway.as_ref()).map(|gateway| gateway.sessions()).sum();
        if held != sessions && wrong.is_none() {
            wrong = Some(format!("the store has {sessions} sessions, the gateways hold {held}"));
        }
        self.oracles.counts[Oracle::Convergence as usize] += compared;
        wrong.map(|detail| (Oracle::Convergence, detail))
    }
}

impl super::Oracles {
    pub(crate) fn messages(&self) -> &[Message] {
        &self.messages
    }
}
