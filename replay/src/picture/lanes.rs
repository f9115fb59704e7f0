//! Where everybody is drawn: devices by their users, gateways by their slots, the store.

use super::Picture;
use doubletick_sim::standing::{Belongs, Mode};
use doubletick_sim::traffic::End;
use std::collections::BTreeMap;

/// A line along which time passes for one device, for the store, or for gateways of one slot, of which there is one at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// What it is called.
    pub name: String,
    /// To what it belongs: a user or a slot.
    pub group: String,
    /// Who is drawn on it, the earliest first.
    pub ends: Vec<End>,
}

/// From when to when somebody is there, in steps, and where they belong.
struct Span {
    belongs: Belongs,
    from: u64,
    to: u64,
}

/// The lanes of a picture, from top to bottom: devices, gateways, the store. Who is never there has none.
pub fn lanes(picture: &Picture) -> Vec<Lane> {
    let mut spans: BTreeMap<End, Span> = BTreeMap::new();
    let last = picture.run.steps;
    for step in &picture.steps {
        for standing in &step.standings {
            let span = spans.entry(standing.of).or_insert(Span { belongs: standing.belongs, from: u64::MAX, to: last });
            span.belongs = standing.belongs;
            if standing.mode != Mode::Gone {
                span.from = span.from.min(step.number);
                span.to = last;
            } else if span.to == last {
                span.to = step.number;
            }
        }
    }
    // A device is there from its first step on, which may be long before it is registered.
    for passage in &picture.passages {
        for end in [passage.cargo.from, passage.cargo.to] {
            if let Some(span) = spans.get_mut(&end) {
                span.from = span.from.min(passage.left);
            }
        }
    }
    spans.retain(|_, span| span.from <= last);
    let mut lanes = device_lanes(&spans);
    lanes.extend(gateway_lanes(&spans));
    lanes.push(Lane { name: "store".into(), group: String::new(), ends: vec![End::Store] });
    lanes
}

fn device_lanes(spans: &BTreeMap<End, Span>) -> Vec<Lane> {
    let mut devices: Vec<(u32, End)> = Vec::new();
    for (end, span) in spans {
        if let Belongs::User(user, _) = span.belongs {
            devices.push((user, *end));
        }
    }
    devices.sort_unstable();
    devices.into_iter().map(|(user, end)| Lane { name: end.to_string(), group: format!("user-{user}"), ends: vec![end] }).collect()
}

/// Gateways that follow each other in a slot share a lane; two that are there at the same time do not.
fn gateway_lanes(spans: &BTreeMap<End, Span>) -> Vec<Lane> {
    let mut slots: BTreeMap<u32, Vec<(u64, Lane)>> = BTreeMap::new();
    let mut gateways: Vec<(&End, &Span)> = spans.iter().filter(|(_, span)| matches!(span.belongs, Belongs::Slot(_))).collect();
    gateways.sort_by_key(|(end, span)| (span.from, **end));
    for (end, span) in gateways {
        let Belongs::Slot(slot) = span.belongs else { continue };
        let lanes = slots.entry(slot).or_default();
        match lanes.iter_mut().find(|(free, _)| *free <= span.from) {
            Some((free, lane)) => {
                *free = span.to;
                lane.ends.push(*end);
            }
            None => lanes.push((span.to, Lane { name: format!("slot-{slot}"), group: format!("slot-{slot}"), ends: vec![*end] })),
        }
    }
    let mut lanes: Vec<Lane> = slots.into_values().flatten().map(|(_, lane)| lane).collect();
    for lane in &mut lanes {
        if let [only] = lane.ends[..] {
            lane.name = only.to_string();
        }
    }
    lanes
}
