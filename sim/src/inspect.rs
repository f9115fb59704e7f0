//! What there is to be seen of a world between two of its steps.

use crate::draw::Who;
use crate::player::Player;
use crate::slab::Slab;
use crate::watch::brief;
use crate::world::World;
use core::fmt::{self, Debug};
use core::str::FromStr;
use doubletick_core::id::{ConversationId, DeviceId};
use doubletick_core::rows::{Place, told};
use doubletick_core::store::Key;

/// A part of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The world as a whole, a place of gateways, a gateway with its sessions, a device with its app, its disk and its rows, or a user.
    Of(Who),
    /// The rows of a conversation, and how far each device has it on its disk.
    Conversation(ConversationId),
    /// Connections and what is on its way in them.
    Network,
    /// Transactions under way.
    Transactions,
    /// Every row of the store.
    Store,
    /// What is due, and when.
    Due,
}

/// One thing that is so: its name, and what it says of itself; to those who inspect a part, as [`Debug`] writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is.
    pub name: String,
    /// What it says.
    pub text: String,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(who) => write!(f, "{who}"),
            Self::Conversation(conversation) => write!(f, "{conversation}"),
            Self::Network => f.write_str("network"),
            Self::Transactions => f.write_str("transactions"),
            Self::Store => f.write_str("store"),
            Self::Due => f.write_str("due"),
        }
    }
}

impl FromStr for Part {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "network" => Ok(Self::Network),
            "transactions" => Ok(Self::Transactions),
            "store" => Ok(Self::Store),
            "due" => Ok(Self::Due),
            _ => text.parse().map(Self::Of).or_else(|()| text.parse().map(Self::Conversation)),
        }
    }
}

impl Player<'_> {
    /// What there is to be seen of a part where the run stands; `None` if there is no such part.
    pub fn inspect(&self, part: Part) -> Option<Vec<Fact>> {
        let world = &self.world;
        match part {
            Part::Of(Who::World) => Some(whole(world)),
            Part::Of(Who::Slot(slot)) => Some(vec![fact("slot", world.slots.get(slot as usize)?)]),
            Part::Of(Who::Host(host)) => gateway(world, host),
            Part::Of(Who::Device(device)) => device_of(world, device),
            Part::Of(Who::User(user)) => user_of(world, user),
            Part::Conversation(conversation) => talk(world, conversation),
            Part::Network => Some(slab("link", &world.links)),
            Part::Transactions => Some(slab("transaction", &world.flights)),
            Part::Store => Some(rows(world, |_| true)),
            Part::Due => Some(due(world)),
        }
    }

    /// Every part that there is where the run stands.
    pub fn parts(&self) -> Vec<Part> {
        let world = &self.world;
        let of = |count: usize, who: fn(u32) -> Who| (0..count as u32).map(move |n| Part::Of(who(n)));
        let mut parts = vec![Part::Of(Who::World), Part::Network, Part::Transactions, Part::Due, Part::Store];
        parts.extend(of(world.slots.len(), Who::Slot));
        parts.extend(of(world.hosts.len(), Who::Host));
        parts.extend(of(world.devices.len(), Who::Device));
        parts.extend(of(world.oracles.users().len(), Who::User));
        parts.extend(world.oracles.model.conversations().map(Part::Conversation));
        parts
    }
}

fn fact(name: impl Into<String>, thing: &dyn Debug) -> Fact {
    Fact { name: name.into(), text: brief(thing) }
}

fn slab<T: Debug>(name: &str, slab: &Slab<T>) -> Vec<Fact> {
    slab.iter().map(|(place, thing)| fact(format!("{name} {place}"), thing)).collect()
}

fn whole(world: &World<'_>) -> Vec<Fact> {
    let counts = [
        ("now_ms", world.now),
        ("gateways", world.hosts.iter().filter(|host| host.gateway.is_some()).count() as u64),
        ("devices", world.devices.len() as u64),
        ("links", world.links.iter().count() as u64),
        ("transactions", world.flights.iter().count() as u64),
        ("rows", world.store.rows().count() as u64),
        ("store_version", world.store.version().0),
        ("overloaded_until", world.overloaded_until),
        ("leapt_ms", world.leapt),
        ("deadline", world.deadline),
    ];
    let mut facts: Vec<Fact> = counts.iter().map(|(name, count)| fact(*name, count)).collect();
    facts.push(fact("healed", &world.healed));
    facts.push(fact("options", &world.options));
    facts.push(fact("work", &world.work));
    facts
}

fn gateway(world: &World<'_>, nth: u32) -> Option<Vec<Fact>> {
    let host = world.hosts.get(nth as usize)?;
    let Some(gateway) = &host.gateway else { return Some(vec![fact("process", host)]) };
    let id = gateway.id();
    let mut facts = vec![fact("id", &id), fact("process", &host.without_machine()), fact("machine", gateway)];
    facts.extend(rows(
        world,
        |place| matches!(place, Place::Bell(of) | Place::SessionOf(of, _) | Place::Wake(of, ..) | Place::Lease(of) if *of == id),
    ));
    Some(facts)
}

fn device_of(world: &World<'_>, nth: u32) -> Option<Vec<Fact>> {
    let device = world.devices.get(nth as usize)?;
    let mut facts = vec![fact("id", &device.id), fact("app", &device.machine), fact("disk", &device.disk)];
    facts.push(fact("machine", &device.without_app_and_disk()));
    if let Some(link) = device.link.and_then(|link| world.links.get(link)) {
        facts.push(fact("link", link));
    }
    let Some(id) = device.id else { return Some(facts) };
    facts.extend(rows(world, |place| is_of(place, id)));
    Some(facts)
}

fn is_of(place: &Place, device: DeviceId) -> bool {
    matches!(place, Place::Device(of) | Place::Dirty(of, _) | Place::Cursor(of, _) | Place::Session(of) if *of == device)
        || matches!(place, Place::SessionOf(_, of) | Place::Wake(_, of, _) | Place::Watcher(_, of) if *of == device)
}

fn user_of(world: &World<'_>, nth: u32) -> Option<Vec<Fact>> {
    let user = world.oracles.users().get(nth as usize)?;
    let devices = world.devices.iter().enumerate().filter(|(_, device)| device.user == nth);
    let mut facts = vec![fact("id", user)];
    facts.extend(devices.map(|(nth, device)| fact(Who::Device(nth as u32).to_string(), &device.id)));
    facts.extend(user.iter().flat_map(|user| {
        rows(world, |place| {
            matches!(place, Place::Account(of) | Place::Chat(of, _) | Place::LastSeen(of) if of == user)
                || matches!(place, Place::Contact(of, _) | Place::Block(of, _) | Place::Watcher(of, _) if of == user)
        })
    }));
    Some(facts)
}

fn talk(world: &World<'_>, conversation: ConversationId) -> Option<Vec<Fact>> {
    let mut facts = rows(world, |place| place.conversation() == Some(conversation));
    if facts.is_empty() {
        return None;
    }
    for (nth, device) in world.devices.iter().enumerate() {
        if let Some(chat) = device.disk.chats.get(&conversation) {
            facts.push(fact(format!("on {}", Who::Device(nth as u32)), chat));
        }
    }
    Some(facts)
}

/// Rows by what their keys say, with what their values say.
fn rows(world: &World<'_>, wanted: impl Fn(&Place) -> bool) -> Vec<Fact> {
    let row = |(key, value): (Key, &[u8])| {
        let Some(place) = Place::of(&key) else {
            return Some(fact(format!("{key:?}"), &value));
        };
        if !wanted(&place) {
            return None;
        }
        let text = told(&place, value).unwrap_or_else(|damage| format!("\"damaged: {damage}\""));
        Some(Fact { name: format!("{place:?}"), text })
    };
    world.store.rows().filter_map(row).collect()
}

fn due(world: &World<'_>) -> Vec<Fact> {
    let mut due: Vec<_> = world.due().collect();
    due.sort_unstable_by_key(|(at, nth, _)| (*at, *nth));
    due.into_iter().map(|(at, nth, event)| fact(format!("{at} ms, {nth}"), &event)).collect()
}
