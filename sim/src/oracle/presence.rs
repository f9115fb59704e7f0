//! PRESENCE: what watchers are shown, against when anything was heard.

use super::{Local, Oracle, Oracles};
use doubletick_core::frame::Presence;
use doubletick_core::id::UserId;
use doubletick_core::time::Timestamp;

/// When a user's devices were last heard.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heard {
    /// In the world's time.
    pub(crate) at: u64,
    /// The latest that a gateway's clock said when it heard one.
    local: Local,
}

/// What a watcher was shown last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// `None` if the watcher's connection is gone, and it knows nothing.
    pub(crate) presence: Option<Presence>,
    last_seen: Timestamp,
}

impl Oracles {
    /// A frame of a device has reached a gateway.
    pub(crate) fn heard(&mut self, device: u32, local: Timestamp, now: u64) {
        let posed = self.devices[device as usize].poses_as.map(|victim| victim.user);
        for user in [self.user_of(device), posed].into_iter().flatten() {
            let heard = self.heard.entry(user).or_default();
            *heard = Heard { at: now, local: heard.local.max(local) };
        }
    }

    /// A watcher is shown something.
    pub(crate) fn presence(&mut self, device: u32, user: UserId, presence: Presence) {
        let seen = self.seen.entry((device, user)).or_insert(Seen { presence: None, last_seen: Timestamp::default() });
        let before = seen.last_seen;
        seen.presence = Some(presence);
        if let Presence::Offline { last_seen: Some(last_seen) } = presence {
            seen.last_seen = last_seen;
            self.true_last_seen(user, last_seen, "a watcher is shown");
            self.compare(Oracle::Presence, before <= last_seen, || {
                format!("device {device} was shown that {user} was last seen at {before}, and then at {last_seen}")
            });
        }
    }

    /// Nobody was last seen at a time at which no gateway has heard anything of theirs.
    pub(super) fn true_last_seen(&mut self, user: UserId, last_seen: Timestamp, where_from: &str) {
        let heard = self.heard.get(&user).copied().unwrap_or_default().local;
        self.compare(Oracle::Presence, last_seen <= heard, || {
            format!("{where_from} that {user} was last seen at {last_seen}, and nothing was heard after {heard}")
        });
    }

    /// A watcher has lost its connection: what it was shown is void.
    pub(crate) fn unseen(&mut self, device: u32) {
        for (_, seen) in self.seen.range_mut((device, UserId(0))..=(device, UserId(u64::MAX))) {
            seen.presence = None;
        }
    }

    /// A watcher's app starts again.
    pub(crate) fn booted(&mut self, device: u32) {
        self.unseen(device);
    }

    pub(crate) fn unwatched(&mut self, device: u32, user: UserId) {
        if let Some(seen) = self.seen.get_mut(&(device, user)) {
            seen.presence = None;
        }
    }

    /// What a watcher is being shown.
    pub(crate) fn shows(&self, device: u32, user: UserId) -> Option<Presence> {
        self.seen.get(&(device, user)).and_then(|seen| seen.presence)
    }

    /// When a user's devices were last heard, in the world's time.
    pub(crate) fn last_heard(&self, user: UserId) -> u64 {
        self.heard.get(&user).map_or(0, |heard| heard.at)
    }
}
