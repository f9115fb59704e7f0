//! PRESENCE: of an answer and a piece of news about somebody's presence, a device is not told the older one after the newer one, in whatever
//! order its gateway hears of them.

use super::{Flow, Oracle, Oracles};
use crate::store::Version;
use doubletick_core::command::{Command, Reply, Wake};
use doubletick_core::frame::Presence;
use doubletick_core::id::{DeviceId, GatewayId, UserId};
use doubletick_core::transact::{Batch, Outcome};
use std::collections::BTreeMap;

/// What is known of the age of what gateways are told about presences.
#[derive(Clone, Default)]
pub(super) struct News {
    /// Which commit has last woken each watch.
    woken: BTreeMap<(GatewayId, DeviceId, UserId), Version>,
    /// What the answer says that a gateway is being told, and as of which commit.
    told: Vec<(DeviceId, UserId, Presence, Version)>,
}

impl Oracles {
    /// A commit has woken a watch.
    pub(super) fn watch_woken(&mut self, watch: (GatewayId, DeviceId, UserId), version: Version) {
        self.news.woken.insert(watch, version);
    }

    /// A gateway is about to take in what a transaction that read at a version has answered.
    pub(super) fn news_told(&mut self, version: Version, batch: &Batch, outcome: &Outcome) {
        self.news.told.clear();
        for (command, reply) in batch.commands.iter().zip(&outcome.replies) {
            if let (Command::Watch { device, user, .. }, Ok(Reply::Presence(presence))) = (command, reply) {
                self.news.told.push((*device, *user, *presence, version));
            } else if let (Command::TakeWakes { gateway, .. }, Ok(Reply::Wakes { wakes, .. })) = (command, reply) {
                for (device, wake) in wakes {
                    let Wake::Presence { user, presence } = wake else { continue };
                    // Where it was woken again since, it is not known which commit this is from.
                    let woken = self.news.woken.get(&(*gateway, *device, *user)).copied().filter(|woken| *woken <= version);
                    self.news.told.extend(woken.map(|woken| (*device, *user, *presence, woken)));
                }
            }
        }
    }

    /// A gateway tells a device of somebody's presence.
    pub(crate) fn news_passed_on(&mut self, device: u32, user: UserId, presence: Presence, flow: &mut Flow) {
        let watched = &self.devices[device as usize];
        let id = watched.poses_as.or(watched.id);
        let of = |told: &&(DeviceId, UserId, Presence, Version)| Some(told.0) == id && told.1 == user && told.2 == presence;
        let Some(at) = self.news.told.iter().filter(of).map(|told| told.3).max() else { return };
        let before = flow.shown.insert(user, (at, presence));
        let newer = before.is_none_or(|(before, shown)| before <= at || shown == presence);
        self.compare(Oracle::Presence, newer, || {
            format!("device {device} is told that {user} is {presence:?}, as of {at:?}, after {before:?}")
        });
    }
}
