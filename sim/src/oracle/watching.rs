//! PRESENCE, in the order of commits: of a device's sessions the newer one stays, until its own gateway ends it or is given up; what a
//! session watches it watches until it says otherwise; and whoever watches somebody is told of their coming, going and hiding by the very transaction in which that happens.

use super::access::{SawBefore, inner};
use super::{Oracle, Oracles};
use crate::store::Store;
use doubletick_core::command::Command;
use doubletick_core::id::{DeviceId, GatewayId, SessionEpoch, UserId};
use doubletick_core::rows::{self, Account, Lease, Place, Row, Session, Topic, Watcher};
use doubletick_core::transact::Batch;
use std::collections::{BTreeMap, BTreeSet};

/// Where devices are connected, and whom they watch from there, as the rows say.
#[derive(Clone, Default)]
pub(super) struct Watching {
    sessions: BTreeMap<DeviceId, Session>,
    watchers: BTreeMap<(UserId, DeviceId), GatewayId>,
    /// The serials of the devices that belong to each user.
    linked: BTreeMap<UserId, Vec<u16>>,
    /// Gateways that were told of a session, and those of them that were given up since.
    holds: BTreeSet<GatewayId>,
    lost: BTreeSet<GatewayId>,
    /// Sessions of which their gateways were told that they have ended.
    ended: BTreeSet<(GatewayId, SessionEpoch)>,
}

/// What a transaction changes of that.
#[derive(Default)]
pub(super) struct Touched {
    sessions: BTreeSet<DeviceId>,
    watchers: BTreeSet<(UserId, DeviceId)>,
    /// Whether users were connected before.
    connected: BTreeMap<UserId, Option<bool>>,
}

impl Watching {
    /// Whether a user has a session; `None` if it is that of a device which was removed: that may be connected for a moment longer, and the
    /// moment belongs to neither.
    fn connected(&self, user: UserId) -> Option<bool> {
        let linked = self.linked.get(&user).map_or(&[][..], Vec::as_slice);
        let (first, last) = (DeviceId { user, serial: 0 }, DeviceId { user, serial: u16::MAX });
        let mut connected = Some(false);
        for (device, _) in self.sessions.range(first..=last) {
            connected = connected.and(linked.contains(&device.serial).then_some(true));
        }
        connected
    }

    fn of(&self, user: UserId) -> impl Iterator<Item = (DeviceId, GatewayId)> + '_ {
        let (first, last) = (DeviceId { user: UserId(0), serial: 0 }, DeviceId { user: UserId(u64::MAX), serial: u16::MAX });
        self.watchers.range((user, first)..=(user, last)).map(|((_, device), gateway)| (*device, *gateway))
    }
}

impl Oracles {
    /// The users whose devices watch a user.
    pub(super) fn watchers_of(&self, user: UserId) -> Vec<UserId> {
        self.watching.of(user).map(|(device, _)| device.user).collect()
    }

    /// The devices that belong to a user.
    pub(super) fn linked_to(&self, user: UserId) -> impl Iterator<Item = DeviceId> + '_ {
        let serials = self.watching.linked.get(&user).into_iter().flatten();
        serials.map(move |serial| DeviceId { user, serial: *serial })
    }

    /// A gateway was told that a session is open.
    pub(super) fn opening_told(&mut self, gateway: GatewayId) {
        self.watching.holds.insert(gateway);
    }

    /// A gateway was told that a session has ended, if there was one.
    pub(super) fn end_told(&mut self, gateway: GatewayId, epoch: SessionEpoch) {
        self.watching.ended.insert((gateway, epoch));
    }

    /// Whether a device's session has its place among a user's watchers.
    pub(crate) fn watches(&self, device: DeviceId, user: UserId) -> bool {
        let session = self.watching.sessions.get(&device).map(|session| session.gateway);
        session.is_some() && session == self.watching.watchers.get(&(user, device)).copied()
    }

    /// A row of an account, a session, a lease or a watch was committed.
    pub(super) fn place_moved(&mut self, place: &Place, value: Option<&[u8]>, batch: &Batch, touched: &mut Touched) {
        if let Place::Account(user) = *place {
            touched.connected.entry(user).or_insert_with(|| self.watching.connected(user));
            let account = value.and_then(|value| Account::decode(value).ok());
            self.watching.linked.insert(user, account.iter().flat_map(|account| &account.devices).map(|linked| linked.serial).collect());
        } else if let Place::Session(device) = *place {
            touched.connected.entry(device.user).or_insert_with(|| self.watching.connected(device.user));
            touched.sessions.insert(device);
            self.session_moved(device, value.and_then(|value| Session::decode(value).ok()), batch);
        } else if let Place::Watcher(user, device) = *place {
            touched.watchers.insert((user, device));
            match value.and_then(|value| Watcher::decode(value).ok()) {
                Some(watcher) => drop(self.watching.watchers.insert((user, device), watcher.gateway)),
                None => self.watch_ended(user, device, batch, touched),
            }
        } else if let Place::Lease(gateway) = *place {
            self.lease_moved(gateway, value.and_then(|value| Lease::decode(value).ok()));
        }
    }

    /// Whoever is given up has no sessions any more, and never goes on with those that it believes to have.
    fn lease_moved(&mut self, gateway: GatewayId, lease: Option<Lease>) {
        if lease.is_none_or(|lease| lease.lost) {
            self.watching.lost.extend(self.watching.holds.contains(&gateway).then_some(gateway));
        } else {
            let goes_on = self.watching.lost.contains(&gateway);
            self.compare(Oracle::Presence, !goes_on, || {
                format!("gateway {gateway} was given up, and goes on with the sessions that it had")
            });
        }
    }

    /// A session takes the place of an older one, or ends: by its own gateway's word, or with its gateway.
    fn session_moved(&mut self, device: DeviceId, session: Option<Session>, batch: &Batch) {
        if let Some(Session { gateway, epoch, .. }) = session {
            let open = !self.watching.ended.contains(&(gateway, epoch));
            self.compare(Oracle::Presence, open, || {
                format!("session {} of {device} at gateway {gateway} is opened after its end: nobody will end it", epoch.0)
            });
        }
        let before = match session {
            Some(session) => self.watching.sessions.insert(device, session),
            None => self.watching.sessions.remove(&device),
        };
        let Some(before) = before else { return };
        let ended = ends(batch, device, before);
        let Some(session) = session else {
            return self
                .compare(Oracle::Presence, ended, || format!("the session {before:?} of {device} is gone, and nobody has ended it"));
        };
        // A gateway numbers its connections, and an app its runs, in their order.
        let newer = before.run <= session.run && (before.gateway != session.gateway || before.epoch <= session.epoch);
        self.compare(Oracle::Presence, newer || ended, || {
            format!("the session of {device} is {session:?}, and the newer one {before:?} is gone")
        });
    }

    /// A session is woken to end because another has taken its place.
    pub(super) fn session_replaced(&mut self, gateway: GatewayId, device: DeviceId, epoch: SessionEpoch) {
        let stands = self.watching.sessions.get(&device).is_some_and(|session| (session.gateway, session.epoch) == (gateway, epoch));
        self.compare(Oracle::Presence, !stands, || {
            format!("session {} of {device} at gateway {gateway} is told that another has taken its place, and none has", epoch.0)
        });
    }

    /// A watch is gone: its own session has said so, or that session is gone.
    fn watch_ended(&mut self, user: UserId, device: DeviceId, batch: &Batch, touched: &Touched) {
        let Some(gateway) = self.watching.watchers.remove(&(user, device)) else { return };
        // Sessions stand before watches in the order of rows, so this is as it is after the transaction.
        let there = self.watching.sessions.get(&device).is_some_and(|session| session.gateway == gateway);
        let stays = there && !touched.sessions.contains(&device);
        let by_itself = Command::Unwatch { device, gateway, user };
        let right = !stays || batch.commands.iter().any(|command| *inner(command) == by_itself);
        self.compare(Oracle::Presence, right, || {
            format!("{device} watches {user} no more, and its session at gateway {gateway} has not ended that")
        });
    }

    /// All rows of a transaction are known: whoever watches somebody who has come, gone or hidden by it has a wake-up by it that says so.
    pub(super) fn watchers_told(&mut self, store: &Store, saw: &SawBefore, touched: &Touched) {
        let users: BTreeSet<UserId> = touched.connected.keys().chain(saw.keys().map(|(owner, _)| owner)).copied().collect();
        for user in users {
            let after = self.watching.connected(user);
            let before = touched.connected.get(&user).copied().unwrap_or(after);
            let moved = before.is_some() && after.is_some() && before != after;
            // Of one that begins or ceases to watch, or connects anew, in the same transaction, that moment belongs to neither.
            let watching: Vec<_> = self
                .watching
                .of(user)
                .filter(|(device, gateway)| {
                    let stays = !touched.sessions.contains(device) && !touched.watchers.contains(&(user, *device));
                    stays && self.watching.sessions.get(device).is_some_and(|session| session.gateway == *gateway)
                })
                .collect();
            for (device, gateway) in watching {
                let sees = self.access.may_see(user, device.user);
                let saw = saw.get(&(user, device.user)).copied().unwrap_or(sees);
                if saw != sees || (moved && sees) {
                    let told = store.was_set(&rows::wake(gateway, device, Topic::Presence(user)).key);
                    self.compare(Oracle::Presence, told, || {
                        format!(
                            "{device} watches {user}, whose being connected went from {before:?} to {after:?}, and their being seen from \
                             {saw} to {sees}; it is not told"
                        )
                    });
                }
            }
        }
    }
}

/// Whether a transaction ends a device's session, or one that it opens itself in its place.
fn ends(batch: &Batch, device: DeviceId, before: Session) -> bool {
    let commands = || batch.commands.iter();
    let opens = |at: (GatewayId, SessionEpoch)| {
        commands().any(|command| {
            matches!(command, Command::OpenSession { device: opened, gateway, epoch, .. } if *opened == device && (*gateway, *epoch) == at)
        })
    };
    let is = |at: (GatewayId, SessionEpoch)| at == (before.gateway, before.epoch) || opens(at);
    commands().any(|command| {
        matches!(command, Command::EndSession { device: ended, gateway, epoch, .. } if *ended == device && is((*gateway, *epoch)))
            || matches!(command, Command::Reap { gateway, .. } if *gateway == before.gateway)
    })
}
