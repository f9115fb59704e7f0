//! AT_LEAST_ONCE, of wake-ups: each stays where it is until the gateway that it is for has been told what it says.

use super::access::inner;
use super::{Oracle, Oracles};
use crate::store::{Store, Version};
use doubletick_core::command::{self, Command, Reply, Wake};
use doubletick_core::id::{DeviceId, GatewayId};
use doubletick_core::rows::{self, Lease, Row, Topic};
use doubletick_core::store::Key;
use doubletick_core::transact::{Batch, Outcome};
use std::collections::BTreeMap;

/// What gateways were last told: each wake-up with the stamp of what it said.
#[derive(Clone, Default)]
pub(super) struct Told(BTreeMap<Key, u64>);

impl Told {
    fn says(&self, key: &Key, value: &[u8]) -> bool {
        self.0.get(key) == Some(&command::stamp(value))
    }
}

impl Oracles {
    /// A gateway has the answer to a transaction that read at a version.
    pub(crate) fn gateway_told(&mut self, version: Version, batch: &Batch, outcome: &Outcome) {
        self.news_told(version, batch, outcome);
        for (command, reply) in batch.commands.iter().zip(&outcome.replies) {
            if let (Command::TakeWakes { gateway, .. }, Ok(Reply::Wakes { wakes, seen, .. })) = (command, reply) {
                self.told.0.extend(seen.iter().map(|wake| (wake.key, wake.stamp)));
                let replaced =
                    wakes.iter().filter_map(|(_, wake)| if let Wake::Replaced { epoch, .. } = wake { Some(*epoch) } else { None });
                self.replaced.extend(replaced.map(|epoch| (*gateway, epoch)));
            } else if let (Command::OpenSession { gateway, .. }, Ok(Reply::Opened { .. })) = (command, reply) {
                self.opening_told(*gateway);
            } else if let (Command::EndSession { gateway, epoch, .. }, Ok(_)) = (command, reply) {
                self.end_told(*gateway, *epoch);
            }
        }
    }

    /// A wake-up was cleared.
    pub(super) fn wake_cleared(&mut self, key: &Key, (gateway, device, topic): (GatewayId, DeviceId, Topic), batch: &Batch, store: &Store) {
        let Some(value) = store.before(key) else { return };
        let told = self.told.says(key, value);
        // That somebody is typing is soon wrong, and may be lost. A watch that begins anew gets an answer that is newer.
        let begins = |user| {
            let watch = Command::Watch { device, gateway, user };
            batch.commands.iter().any(|command| *inner(command) == watch)
        };
        let excused = match topic {
            Topic::Typing(_) | Topic::TypingIn(..) => true,
            Topic::Presence(user) => begins(user),
            Topic::Dirty(_) | Topic::Receipt(_) | Topic::Replaced(_) | Topic::Removed => false,
        };
        // Nobody waits for those of a gateway that is given up.
        let lease = store.latest(&rows::lease(gateway).key).and_then(|lease| Lease::decode(lease).ok());
        if excused || lease.is_none_or(|lease| lease.lost) {
            return;
        }
        self.compare(Oracle::AtLeastOnce, told, || {
            format!("the wake-up of {device} about {topic:?} was cleared, and gateway {gateway} was never told what it says")
        });
    }

    /// A wake-up of which its gateway was not told yet.
    pub(super) fn untold_wake(&self, gateway: GatewayId, store: &Store) -> Option<Key> {
        let wakes = rows::wakes(gateway, u32::MAX);
        store.rows_in(&wakes).find(|(key, value)| !self.told.says(key, value)).map(|(key, _)| key)
    }
}
