//! Leases of gateways, and the end of those that were not renewed.

use super::{Decision, session};
use crate::command::Reply;
use crate::event::Event;
use crate::id::GatewayId;
use crate::limits;
use crate::rows::{self, Lease, SessionOf};
use crate::view::{Stop, View};
use alloc::vec;
use alloc::vec::Vec;

pub(super) fn begin(view: &mut View, gateway: GatewayId) -> Result<Decision, Stop> {
    if view.get(&rows::lease(gateway))?.is_some() {
        return Ok(Decision::reply(Reply::Done));
    }
    Ok(Decision::of(vec![Event::LeaseRenewed { gateway, renewals: 0 }], Reply::Done))
}

pub(super) fn renew(view: &mut View, gateway: GatewayId) -> Result<Decision, Stop> {
    let lease = view.get(&rows::lease(gateway))?;
    let revived = planted!(LeaseRevived if lease.is_none_or(|lease| lease.lost)).then_some(Lease { renewals: 0, lost: false });
    let Some(lease) = lease.filter(|lease| !lease.lost).or(revived) else {
        mark!(LeaseIsGone);
        return Ok(Decision::reply(Reply::Lease { held: false }));
    };
    Ok(Decision::of(vec![Event::LeaseRenewed { gateway, renewals: lease.renewals + 1 }], Reply::Lease { held: true }))
}

pub(super) fn read(view: &mut View) -> Result<Decision, Stop> {
    let leases = view
        .scan::<Lease>(&rows::leases())?
        .into_iter()
        .filter_map(|(key, lease)| Some((rows::lease_of(&key)?, lease?.renewals)))
        .collect();
    Ok(Decision::reply(Reply::Leases(leases)))
}

/// Ends some sessions at a time, and the lease with the last of them: until then another judge takes the work up where it was left.
/// With the first of them the lease is lost, so that the gateway, if it lives, ends the others too and begins anew.
pub(super) fn reap(view: &mut View, gateway: GatewayId, renewals: u64) -> Result<Decision, Stop> {
    let Some(lease) = view.get(&rows::lease(gateway))?.filter(|lease| lease.renewals == renewals) else {
        mark!(ReaperMetLiveGateway if view.find(&rows::lease(gateway))?.is_some());
        return Ok(Decision::reply(Reply::Reaped { more: false }));
    };
    let listed = view.scan::<SessionOf>(&rows::sessions_of(gateway, limits::PAGE_SESSIONS))?;
    let devices: Vec<_> = listed.iter().filter_map(|(key, _)| rows::device_of_session(key)).collect();
    let keys: Vec<_> = devices.iter().flat_map(|device| [rows::session(*device).key, rows::account(device.user).key]).collect();
    view.need(&keys)?;
    let mut events = vec![];
    let mut ending = vec![];
    for device in devices {
        if view.find(&rows::session(device))?.is_some_and(|session| session.gateway == gateway) {
            ending.push(device);
        } else {
            events.push(Event::SessionUnlisted { device, gateway });
        }
    }
    mark!(ReaperEndedSessions if !ending.is_empty());
    events.extend(session::end_sessions(view, &ending, gateway)?);
    events.retain(|event| !planted!(ReaperTellsNobody if matches!(event, Event::PresenceChanged { .. })));
    let mut more = listed.len() as u32 == limits::PAGE_SESSIONS;
    if !more {
        let keys = view.scan_stored(&rows::wakes(gateway, limits::PAGE_WAKES), |key, _| key)?;
        more = keys.len() as u32 == limits::PAGE_WAKES;
        events.push(Event::WakesTaken { keys });
    }
    if !more {
        events.push(Event::LeaseEnded { gateway });
    } else if !lease.lost {
        events.push(Event::LeaseLost { gateway, renewals });
    }
    Ok(Decision::of(events, Reply::Reaped { more }))
}
