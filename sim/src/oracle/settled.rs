//! CONVERGENCE: has everything reached its final state? And the looks at everything: BOUNDED and LOG_PROOF.

use super::{Message, Oracle};
use crate::device::Device;
use crate::world::World;
use doubletick_core::client::Client;
use doubletick_core::frame::Presence;
use doubletick_core::id::{DeviceId, Seq, UserId};
use doubletick_core::limits;
use doubletick_core::rows;
use doubletick_core::verify::verify;

/// Looks at everything between two proofs of all logs.
const LOOKS_PER_PROOF: u64 = 16;
/// What latencies and periods of heartbeats may add before a presence is wrong.
const PRESENCE_SLACK_MS: u64 = 40_000;

/// What is not yet as it must be.
type Unsettled = Option<(Oracle, String)>;

impl World<'_> {
    /// The machines look at themselves; now and then the logs are proved.
    pub(crate) fn sample(&mut self) {
        for gateway in self.hosts.iter().filter_map(|host| host.gateway.as_ref()) {
            gateway.check();
            self.oracles.counts[Oracle::Bounded as usize] += 1;
        }
        for machine in self.devices.iter().filter_map(|device| device.machine.as_ref()) {
            machine.check();
            self.oracles.counts[Oracle::Bounded as usize] += 1;
        }
        if self.trace.steps.is_multiple_of(self.scenario.sample_every * LOOKS_PER_PROOF) {
            self.prove();
        }
    }

    /// Proves every log in the store.
    pub(crate) fn prove(&mut self) {
        let report = verify(self.store.rows().map(|(key, value)| (key, value.to_vec())));
        self.oracles.counts[Oracle::LogProof as usize] += report.entries;
        self.oracles.compare(Oracle::LogProof, report.problems.is_empty(), || {
            report.problems.iter().map(|problem| problem.to_string()).collect::<Vec<_>>().join("; ")
        });
    }

    /// The first thing that is not as it must be in the end.
    pub(crate) fn unsettled(&mut self) -> Unsettled {
        let unsettled = self.restless().or_else(|| self.undelivered()).or_else(|| self.unticked()).or_else(|| self.misshown());
        if unsettled.is_none() {
            self.oracles.counts[Oracle::Convergence as usize] += 1;
        }
        unsettled
    }

    /// Devices that are there for good, with their names.
    fn living(&self) -> impl Iterator<Item = (u32, DeviceId, &Device)> {
        (0..).zip(&self.devices).filter_map(|(nth, device)| Some((nth, device.id.filter(|_| !device.dead)?, device)))
    }

    /// Every device is online, has nothing left to send or to store, and nothing waits for it.
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
        self.oracles.counts[Oracle::Convergence as usize] += compared;
        restless.map(|detail| (Oracle::Convergence, detail))
    }

    /// Every message that was stored in an outbox was accepted or refused, and every one that was accepted is where it belongs.
    fn undelivered(&mut self) -> Unsettled {
        let mut compared = 0;
        let mut missing = None;
        'messages: for message in self.oracles.messages() {
            if !message.told && message.refused.is_none() && message.durable && !self.devices[message.device as usize].dead {
                missing = Some(format!("{} was stored in the outbox of device {}, and nobody knows of it", message.id, message.device));
                break;
            }
            if !message.told {
                continue;
            }
            for (nth, id, device) in self.living() {
                if message.conversation.pair().side(id.user).is_none() || !self.oracles.is_entitled(nth, message) {
                    continue;
                }
                compared += 1;
                let own = id.user == message.sender_user();
                if !device.disk.shows(message.conversation, own, message.id) {
                    missing = Some(format!("device {nth} does not have {} of {}", message.id, message.conversation));
                    break 'messages;
                }
            }
        }
        self.oracles.counts[Oracle::NoLoss as usize] += compared;
        missing.map(|detail| (Oracle::NoLoss, detail))
    }

    /// Every sender has the ticks that the store holds, and the second tick of what a living device of the other side has.
    fn unticked(&mut self) -> Unsettled {
        let mut compared = 0;
        let mut wrong = None;
        'devices: for (nth, id, device) in self.living() {
            for chat in device.disk.chats.values().filter(|chat| chat.own_last > Seq::START) {
                let Some(peer) = chat.conversation.pair().peer(id.user) else { continue };
                let (delivered, read) = self.oracles.stored_receipt(chat.conversation, peer);
                let has = self.has_living(peer, chat.conversation);
                compared += 1;
                let ticks = (chat.peer_delivered >= delivered.min(chat.own_last)) && (chat.peer_read >= read.min(chat.own_last));
                let second = delivered >= has.min(chat.own_last);
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
    fn has_living(&self, user: UserId, conversation: doubletick_core::id::ConversationId) -> Seq {
        let living = self.living().filter(|(_, id, _)| id.user == user);
        living.filter_map(|(_, _, device)| device.disk.chats.get(&conversation)?.cursor).max().unwrap_or_default()
    }

    /// Nobody is shown as online who has not been heard for long, and nobody as offline who is there.
    fn misshown(&mut self) -> Unsettled {
        let mut compared = 0;
        let mut wrong = None;
        'devices: for (nth, _, device) in self.living() {
            for user in &device.watches {
                let Some(shown) = self.oracles.shows(nth, *user) else { continue };
                compared += 1;
                let heard = self.oracles.last_heard(*user);
                let silent = self.now.saturating_sub(heard) > limits::DEAD_AFTER.0 + PRESENCE_SLACK_MS;
                let there = self.living().any(|(_, id, _)| id.user == *user);
                let lie = match shown {
                    Presence::Online => silent,
                    Presence::Offline { .. } => there,
                    Presence::Hidden => false,
                };
                // Until somebody who is gone for good is known to be gone, it is too early to judge.
                let early = !there && !silent;
                if lie || early {
                    wrong = Some(format!("device {nth} is shown {shown:?} for {user}, last heard at {heard} ms, there: {there}"));
                    break 'devices;
                }
            }
        }
        self.oracles.counts[Oracle::Presence as usize] += compared;
        wrong.map(|detail| (Oracle::Presence, detail))
    }
}

impl super::Oracles {
    pub(crate) fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Whether a device was linked before a message was written, so that it must get it.
    fn is_entitled(&self, device: u32, message: &Message) -> bool {
        self.devices[device as usize].linked_at < message.written_at
    }
}

impl Message {
    fn sender_user(&self) -> UserId {
        self.sender.user
    }
}
