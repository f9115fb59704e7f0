//! What a gateway that stops in order owes to those whom it sends away: to each its turn, and a session that stands until it is opened
//! elsewhere, or until its client was long enough in coming. The former is BOUNDED, the latter PRESENCE: nobody goes offline for it.

use super::{Oracle, Oracles};
use crate::store::Store;
use doubletick_core::command::Command;
use doubletick_core::gateway::{ConnId, Drain};
use doubletick_core::id::{GatewayId, SessionEpoch};
use doubletick_core::limits;
use doubletick_core::rows::{self, Row, Session};
use doubletick_core::time::{Millis, Timestamp};
use doubletick_core::transact::Batch;

/// A gateway that stops, by its own clock.
#[derive(Clone)]
pub(crate) struct Stop {
    plan: Drain,
    since: Timestamp,
    /// Connections when it was told.
    total: u64,
    /// How many of those with a session it has sent away.
    sent: u64,
}

impl Oracles {
    /// A gateway is told to stop.
    pub(crate) fn stopping(&mut self, host: u32, plan: Drain, total: u64, since: Timestamp) {
        self.stops.insert(host, Stop { plan, since, total, sent: 0 });
    }

    /// A gateway closes a connection because it is to be made elsewhere. Where the client is there already, nothing is judged.
    pub(crate) fn sent_away(
        &mut self,
        place: (u32, ConnId),
        gateway: GatewayId,
        device: u32,
        retry_after: Millis,
        now: Timestamp,
        store: &Store,
    ) {
        let watched = &self.devices[device as usize];
        let Some(id) = watched.poses_as.or(watched.id) else { return };
        let Some(stop) = self.stops.get_mut(&place.0) else { return };
        // Also where an opening that was run again has taken the session back since: its gateway may close it for either reason.
        if self.replaced.contains(&(gateway, SessionEpoch(place.1.0))) {
            return;
        }
        let session = store.latest(&rows::session(id).key).and_then(|value| Session::decode(value).ok());
        if session.is_none_or(|session| session.gateway != gateway || session.epoch.0 != place.1.0) {
            return;
        }
        if stop.plan.handover > Millis(0) {
            self.parted.insert(place, now + retry_after + stop.plan.handover);
        }
        stop.sent += 1;
        let (sent, total, over, passed) = (stop.sent, stop.total, stop.plan.over, now.since(stop.since));
        // The first goes at once, the others at even distances.
        let in_turn = over == Millis(0) || (sent - 1) * over.0 <= total * passed.0;
        self.compare(Oracle::Bounded, in_turn, || {
            let (over, passed) = (over.0, passed.0);
            format!("gateway {} was to send {total} away over {over} ms, and after {passed} ms it has sent {sent}", place.0)
        });
    }

    /// A gateway asks for something; it may not be the end of a session that is to be opened elsewhere.
    pub(crate) fn ending(&mut self, host: u32, batch: &Batch, now: Timestamp) {
        if !self.stops.contains_key(&host) {
            return;
        }
        for command in &batch.commands {
            if let Command::EndSession { device, epoch, heard, .. } = command
                && let Some(until) = self.parted.remove(&(host, ConnId(epoch.0)))
            {
                let late = now >= until.min(*heard + limits::DEAD_AFTER);
                self.compare(Oracle::Presence, late, || {
                    format!("gateway {host} has sent {device} elsewhere, and ends its session at {now}, before {until}")
                });
            }
        }
    }
}
