//! How devices, gateways and the store stand after a step, for those who look closely at a run.

use crate::draw::Who;
use crate::inspect::Fact;
use crate::traffic::End;
use crate::watch::{Entry, Step};
use crate::world::World;
use doubletick_core::id::{ConversationId, DeviceId, Seq};
use doubletick_core::rows;
use std::collections::BTreeSet;

/// How somebody stands after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Who.
    pub of: End,
    /// In a word.
    pub mode: Mode,
    /// A device's name, once it has one, and the number of its user; a gateway's slot.
    pub belongs: Belongs,
    /// In detail.
    pub facts: Vec<Fact>,
}

/// Where somebody belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belongs {
    /// A device, to the user with this number; once it is registered, it has a name.
    User(u32, Option<DeviceId>),
    /// A gateway, to this slot.
    Slot(u32),
    /// The store, to nobody.
    Nobody,
}

/// How somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// A device that is not registered yet, or never comes back; a gateway whose process is gone.
    Gone,
    /// A device whose app does not run.
    Off,
    /// An app without a connection.
    Offline,
    /// An app that waits for a connection.
    Connecting,
    /// An app with a connection, and no session as far as it knows.
    Connected,
    /// An app with a session.
    Online,
    /// A gateway or the store, with nothing wrong.
    Running,
    /// A gateway that is to end.
    Draining,
    /// A gateway whose process stands still.
    Paused,
    /// A gateway that cannot reach the store.
    Cut,
    /// A gateway that its devices cannot reach.
    Dark,
    /// A store that takes no transactions.
    Overloaded,
}

impl Mode {
    /// The name by which pictures and reports know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Off => "off",
            Self::Offline => "offline",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Online => "online",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Paused => "paused",
            Self::Cut => "cut off from the store",
            Self::Dark => "cut off from devices",
            Self::Overloaded => "overloaded",
        }
    }
}

fn fact(name: impl Into<String>, value: impl ToString) -> Fact {
    Fact { name: name.into(), text: value.to_string() }
}

impl World<'_> {
    /// Everybody whom a step has met, or who is another way since, with how they stand.
    pub(crate) fn stand(&mut self) {
        let Some(step) = self.recorder.as_ref().and_then(|recorder| recorder.under_way()) else { return };
        let mut met: BTreeSet<End> = whom(step).into_iter().filter(|end| *end != End::Store).collect();
        if step.entries.iter().any(|entry| matches!(entry, Entry::Row(..))) {
            met.insert(End::Store);
        }
        let written = step.entries.iter().filter_map(|entry| if let Entry::Row(of, _) = entry { *of } else { None }).collect();
        let hosts = (0..self.hosts.len() as u32).map(End::Gateway);
        let everybody = (0..self.devices.len() as u32).map(End::Device).chain(hosts).chain([End::Store]);
        let modes: Vec<(End, Mode)> = everybody.map(|end| (end, self.mode(end))).collect();
        for (end, mode) in modes {
            let moved = self.recorder.as_mut().is_some_and(|recorder| recorder.moved(end, mode));
            if moved || met.contains(&end) {
                let standing = Standing { of: end, mode, belongs: self.belongs(end), facts: self.facts(end, &written) };
                if let Some(recorder) = &mut self.recorder {
                    recorder.stands(standing);
                }
            }
        }
    }

    fn mode(&self, end: End) -> Mode {
        match end {
            End::Device(device) => self.device_mode(device),
            End::Gateway(host) => {
                let it = &self.hosts[host as usize];
                if it.gateway.is_none() {
                    Mode::Gone
                } else if it.paused_until > self.now {
                    Mode::Paused
                } else if it.dark_until > self.now {
                    Mode::Dark
                } else if it.cut_until > self.now {
                    Mode::Cut
                } else if it.draining {
                    Mode::Draining
                } else {
                    Mode::Running
                }
            }
            End::Store if self.overloaded_until > self.now => Mode::Overloaded,
            End::Store => Mode::Running,
        }
    }

    fn device_mode(&self, device: u32) -> Mode {
        let it = &self.devices[device as usize];
        if it.dead || it.id.is_none() {
            return Mode::Gone;
        }
        let link = it.link;
        let open = link.is_some_and(|link| self.is_connected_link(link));
        match &it.machine {
            None if !it.hostile => Mode::Off,
            Some(machine) if open && machine.is_online() => Mode::Online,
            _ if open => Mode::Connected,
            _ if link.is_some() => Mode::Connecting,
            _ => Mode::Offline,
        }
    }

    fn belongs(&self, end: End) -> Belongs {
        match end {
            End::Device(device) => Belongs::User(self.devices[device as usize].user, self.devices[device as usize].id),
            End::Gateway(host) => Belongs::Slot(self.hosts[host as usize].slot),
            End::Store => Belongs::Nobody,
        }
    }

    fn facts(&self, end: End, written: &BTreeSet<ConversationId>) -> Vec<Fact> {
        match end {
            End::Device(device) => self.device_facts(device),
            End::Gateway(host) => self.host_facts(host),
            End::Store => self.store_facts(written),
        }
    }

    fn device_facts(&self, device: u32) -> Vec<Fact> {
        let it = &self.devices[device as usize];
        let mut facts = Vec::new();
        facts.extend(it.id.map(|id| fact("name", id)));
        if it.hostile {
            facts.push(fact("hostile", "it breaks the protocol"));
        }
        let place = it.link.and_then(|link| self.links.get(link)).map(|link| link.gateway().to_string());
        facts.push(fact("connected to", place.unwrap_or_else(|| "nobody".into())));
        if it.offline_until > self.now {
            facts.push(fact("without a network until", format!("{} ms", it.offline_until)));
        }
        facts.extend(it.stopped.map(|reason| fact("stopped", format!("{reason:?}"))));
        if let Some(machine) = &it.machine {
            facts.push(fact("outbox", machine.outbox_len()));
            facts.push(fact("requests under way", machine.requests_under_way()));
        }
        facts.push(fact("outbox on disk", it.disk.outbox.len()));
        facts.push(fact("records not on disk yet", it.unsaved_len()));
        for (conversation, chat) in &it.disk.chats {
            let cursor = chat.cursor.map_or_else(|| "nothing".into(), |cursor| format!("up to {cursor}"));
            let (told, ticks, blue) = (chat.read_told, chat.peer_delivered, chat.peer_read);
            let text = format!("has {cursor}, shown up to {} (told: {told}), second ticks up to {ticks}, blue up to {blue}", chat.read);
            facts.push(fact(conversation.to_string(), text));
        }
        facts
    }

    fn host_facts(&self, host: u32) -> Vec<Fact> {
        let it = &self.hosts[host as usize];
        let mut facts = Vec::new();
        for (name, until) in [("stands still", it.paused_until), ("no store", it.cut_until), ("no devices", it.dark_until)] {
            if until > self.now {
                facts.push(fact(format!("{name} until"), format!("{until} ms")));
            }
        }
        let Some(gateway) = &it.gateway else { return facts };
        facts.insert(0, fact("name", format!("{:016x}", gateway.id().0)));
        facts.push(fact("connections", gateway.connections()));
        facts.push(fact("sessions", gateway.sessions()));
        let devices: Vec<String> =
            it.conns.iter().filter_map(|(conn, link)| Some(format!("{} ({})", self.links.get(*link)?.app(), conn.0))).collect();
        facts.push(fact("devices (connection)", devices.join(", ")));
        gateway.queues(&mut |name, len, limit| {
            if len > 0 {
                facts.push(fact(name, format!("{len} of at most {limit}")));
            }
        });
        facts
    }

    fn store_facts(&self, written: &BTreeSet<ConversationId>) -> Vec<Fact> {
        let mut facts = vec![fact("version", self.store.version().0)];
        for conversation in written {
            let rows = self.store.rows_in(&rows::log_page(*conversation, Seq::START, u32::MAX)).count();
            facts.push(fact(conversation.to_string(), format!("{rows} in the log")));
        }
        facts
    }
}

/// Whom a step has met.
fn whom(step: &Step) -> BTreeSet<End> {
    let entries = step.entries.iter().filter_map(|entry| match entry {
        Entry::In(who, _) | Entry::Out(who, _) => Some(End::from(*who)),
        Entry::Fault(id) if matches!(id.who, Who::Device(_) | Who::Host(_)) => Some(End::from(id.who)),
        Entry::Fault(_) | Entry::Row(..) | Entry::Act(_) | Entry::Fired(_) => None,
    });
    entries.chain([End::from(step.who)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use crate::traffic::{Journey, Traffic};
    use crate::watch::{watch, watch_closely};
    use std::collections::BTreeMap;

    /// How much left, arrived and was lost.
    #[derive(Default)]
    struct Tally {
        under_way: BTreeMap<Journey, u64>,
        left: u64,
        arrived: u64,
        lost: u64,
        stands: usize,
    }

    impl Tally {
        fn count(&mut self, step: &Step) {
            self.stands += step.standings.len();
            for traffic in &step.traffic {
                match traffic {
                    Traffic::Leaves(journey, _) => {
                        self.left += 1;
                        assert_eq!(self.under_way.insert(*journey, step.number), None, "{journey:?} leaves once");
                    }
                    Traffic::Arrives(journey) => {
                        self.arrived += 1;
                        assert!(self.under_way.remove(journey).is_some(), "{journey:?} arrives and has not left");
                    }
                    Traffic::Lost(journey) => {
                        self.lost += 1;
                        assert!(self.under_way.remove(journey).is_some(), "{journey:?} is lost and has not left");
                    }
                    Traffic::Vanishes(_) | Traffic::Composed(..) => {}
                }
            }
        }
    }

    #[test]
    fn a_close_look_changes_nothing_and_everything_that_arrives_has_left_once() {
        let scenario = Scenario { trouble_ms: (60_000, 60_000), ..Scenario::storm() };
        let (mut left, mut arrived, mut lost) = (0, 0, 0);
        for seed in 1..=6 {
            let mut plain = Vec::new();
            let run = watch(&scenario, seed, None, &mut |step| plain.push(step));
            let (mut tally, mut plain) = (Tally::default(), plain.into_iter());
            let close = watch_closely(&scenario, seed, &mut |step| {
                tally.count(&step);
                assert!(step.cause < step.number.max(1), "{step:?}");
                assert_eq!(Some(Step { traffic: Vec::new(), standings: Vec::new(), cause: 0, ..step }), plain.next());
            });
            assert_eq!(close, run);
            assert!(tally.stands as u64 > run.steps / 2, "{} {}", tally.stands, run.steps);
            (left, arrived, lost) = (left + tally.left, arrived + tally.arrived, lost + tally.lost);
        }
        // What never gets anywhere and is not known to be lost is a small part of it.
        assert!(arrived > 5_000 && lost > 20 && left - arrived - lost < left / 20, "{left} {arrived} {lost}");
    }
}
