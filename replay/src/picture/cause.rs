//! What led to a broken promise: the journey of the message that it is about, what set each part of it going, and the faults in its way.
//!
//! What a failure is about is what its last line names. Where that is a conversation and a device, it is about the first message of the
//! conversation that has not reached the device. Where no message is known, the last that happened to those who are named is told.

use super::{Fate, Message, Passage, Picture};
use crate::case::failure;
use doubletick_core::id::{ConversationId, UserId};
use doubletick_sim::FailureKind;
use doubletick_sim::draw::Who;
use doubletick_sim::fault::FaultKind;
use doubletick_sim::standing::Belongs;
use doubletick_sim::traffic::{End, Subject};
use doubletick_sim::watch::{Entry, Step};
use std::collections::{BTreeMap, BTreeSet};

/// How many steps back from one that matters to what set it going.
const HOPS: usize = 8;
/// How much of the last that happened is told where no message is known.
const LAST: usize = 16;

/// Something that led to the failure, or is it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lead {
    /// In which step.
    pub step: u64,
    /// Who is to be looked at.
    pub who: End,
    /// What it is.
    pub kind: LeadKind,
    /// In words.
    pub text: String,
    /// What went from one to another, by its number in [`Picture::passages`].
    pub passage: Option<usize>,
}

/// Kinds of leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeadKind {
    /// Somebody has done something.
    Act,
    /// A fault happened.
    Fault,
    /// Something left and arrived.
    Sent,
    /// Something left and did not arrive.
    Lost,
    /// Rows were committed.
    Commit,
    /// The promise was seen to be broken.
    Broken,
}

impl LeadKind {
    /// The name by which the page knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::Fault => "fault",
            Self::Sent => "sent",
            Self::Lost => "lost",
            Self::Commit => "commit",
            Self::Broken => "broken",
        }
    }
}

/// Whom and what a failure names.
#[derive(Debug, Default)]
struct Named {
    devices: BTreeSet<u32>,
    gateways: BTreeSet<u32>,
    conversations: BTreeSet<ConversationId>,
    users: BTreeSet<UserId>,
    messages: BTreeSet<usize>,
}

/// What led to the failure of a picture, in the order in which it happened; empty if nothing failed.
pub fn leads(picture: &Picture) -> Vec<Lead> {
    let Some(failure) = failure(&picture.run) else { return Vec::new() };
    let mut named = Named::of(picture, &failure.detail);
    if named.messages.is_empty() {
        named.messages = missing(picture, &named).into_iter().collect();
    }
    let mut chosen = if named.messages.is_empty() { last_of(picture, &named) } else { travels(picture, &named) };
    let mut steps: BTreeSet<u64> = chosen.iter().flat_map(|place| both(&picture.passages[*place])).collect();
    steps.extend(named.messages.iter().filter_map(|place| Some(picture.messages[*place].written?.1)));
    if failure.kind != FailureKind::Liveness {
        steps.insert(failure.step);
    }
    steps = picture.set_going(&steps);
    chosen.extend((0..picture.passages.len()).filter(|place| {
        let passage = &picture.passages[*place];
        passage.arrived() && steps.contains(&passage.left) && steps.contains(&passage.end())
    }));
    steps.extend(chosen.iter().filter_map(|place| picture.what_lost(&picture.passages[*place])));
    let mut leads = picture.told(&steps, &chosen, &named);
    let who = named.first().unwrap_or_else(|| End::from(picture.step(failure.step).who));
    let text = format!("{} is broken: {}", failure.oracle, picture.plain(&failure.detail));
    leads.push(Lead { step: failure.step, who, kind: LeadKind::Broken, text, passage: None });
    leads.sort_by_key(|lead| (lead.step, lead.kind));
    leads
}

impl Named {
    fn of(picture: &Picture, detail: &str) -> Self {
        let mut named = Self::default();
        let conversations: BTreeSet<ConversationId> = picture
            .passages
            .iter()
            .flat_map(|passage| &passage.cargo.about)
            .filter_map(Subject::conversation)
            .chain(picture.messages.iter().map(|message| message.conversation))
            .collect();
        named.conversations =
            conversations.into_iter().filter(|id| detail.contains(&id.to_string()) || detail.contains(&format!("{id:?}"))).collect();
        named.messages = (0..picture.messages.len()).filter(|place| detail.contains(&picture.messages[*place].id.to_string())).collect();
        for step in &picture.steps {
            for standing in &step.standings {
                if let End::Gateway(gateway) = standing.of
                    && names(detail, "gateway", gateway)
                {
                    named.gateways.insert(gateway);
                }
                if let (End::Device(device), Belongs::User(_, id)) = (standing.of, standing.belongs)
                    && (names(detail, "device", device) || id.is_some_and(|id| detail.contains(&id.to_string())))
                {
                    named.devices.insert(device);
                }
            }
        }
        if named.conversations.is_empty() {
            named.users = picture.users.keys().copied().filter(|user| detail.contains(&user.to_string())).collect();
        }
        named
    }

    /// The first device, or else the first gateway.
    fn first(&self) -> Option<End> {
        let gateway = self.gateways.first().map(|gateway| End::Gateway(*gateway));
        self.devices.first().map(|device| End::Device(*device)).or(gateway)
    }
}

/// Whether a text names a device or a gateway by its number.
fn names(text: &str, what: &str, number: u32) -> bool {
    let name = format!("{what} {number}");
    text.match_indices(&name).any(|(place, _)| !text[place + name.len()..].starts_with(|next: char| next.is_ascii_digit()))
}

fn both(passage: &Passage) -> [u64; 2] {
    [passage.left, passage.end()]
}

/// The message that a failure is about which names none.
fn missing(picture: &Picture, named: &Named) -> Option<usize> {
    let reached = |device: u32, place: usize| {
        picture
            .passages
            .iter()
            .any(|passage| passage.cargo.to == End::Device(device) && passage.arrived() && mentions(passage, &picture.messages[place]))
    };
    let of_it = |message: &Message| named.conversations.contains(&message.conversation);
    let device = named.devices.first().copied();
    let places = || 0..picture.messages.len();
    if let (Some(device), false) = (device, named.conversations.is_empty()) {
        let had = places().filter(|place| of_it(&picture.messages[*place]) && reached(device, *place));
        let had = had.filter_map(|place| picture.messages[place].seq).max();
        let lacks = places().filter(|place| {
            let message = &picture.messages[*place];
            of_it(message) && message.seq > had && message.seq.is_some() && message.written.is_none_or(|(by, _)| by != device)
        });
        let first = lacks.min_by_key(|place| picture.messages[*place].seq);
        return first
            .or_else(|| places().filter(|place| of_it(&picture.messages[*place])).max_by_key(|place| picture.messages[*place].seq));
    }
    if let Some(device) = device {
        return places().find(|place| picture.messages[*place].written.is_some_and(|(by, _)| by == device) && !reached(device, *place));
    }
    places().filter(|place| of_it(&picture.messages[*place])).max_by_key(|place| picture.messages[*place].seq)
}

fn mentions(passage: &Passage, message: &Message) -> bool {
    passage.cargo.about.iter().any(|about| matches!(about, Subject::Message(of, id, _) if (*of, *id) == (message.conversation, message.id)))
}

/// The passages that a message makes, and the first of each kind that says that it has got somewhere.
fn travels(picture: &Picture, named: &Named) -> BTreeSet<usize> {
    let mut chosen = BTreeSet::new();
    for message in named.messages.iter().map(|place| &picture.messages[*place]) {
        let mut told: BTreeMap<(End, End, &str), usize> = BTreeMap::new();
        for (place, passage) in picture.passages.iter().enumerate() {
            if mentions(passage, message) {
                chosen.insert(place);
            }
            let upto =
                |about: &Subject| matches!(about, Subject::Upto(of, seq) if *of == message.conversation && Some(*seq) >= message.seq);
            if message.seq.is_some() && passage.cargo.about.iter().any(upto) {
                let key = (passage.cargo.from, passage.cargo.to, passage.cargo.what.as_str());
                chosen.insert(*told.entry(key).or_insert(place));
            }
        }
    }
    chosen
}

/// The last passages from and to those who are named.
fn last_of(picture: &Picture, named: &Named) -> BTreeSet<usize> {
    let own = |user: &UserId| picture.users.get(user).copied();
    let users: BTreeSet<u32> = named.users.iter().filter_map(own).collect();
    let mut devices = named.devices.clone();
    for standing in picture.steps.iter().flat_map(|step| &step.standings) {
        if let (End::Device(device), Belongs::User(user, _)) = (standing.of, standing.belongs)
            && users.contains(&user)
        {
            devices.insert(device);
        }
    }
    let theirs = |end: End| match end {
        End::Device(device) => devices.contains(&device),
        End::Gateway(gateway) => named.gateways.contains(&gateway),
        End::Store => false,
    };
    let of_them = picture.passages.iter().enumerate().rev().filter(|(_, passage)| theirs(passage.cargo.from) || theirs(passage.cargo.to));
    of_them.take(LAST).map(|(place, _)| place).collect()
}

impl Picture {
    /// Steps, and what set them going: back to something that somebody did, a timer or the weather.
    fn set_going(&self, steps: &BTreeSet<u64>) -> BTreeSet<u64> {
        let mut all = steps.clone();
        for step in steps {
            let mut number = *step;
            for _ in 0..HOPS {
                let step = self.step(number);
                if begins_anew(step) || step.cause == 0 {
                    break;
                }
                number = step.cause;
                all.insert(number);
            }
        }
        all
    }

    /// The step of the fault that was in the way of something that is lost.
    fn what_lost(&self, passage: &Passage) -> Option<u64> {
        let Fate::Lost(lost) = passage.fate else { return None };
        let befalls = |kind: FaultKind| {
            matches!(kind, FaultKind::HalfOpen | FaultKind::OneWay | FaultKind::Reset | FaultKind::Partition | FaultKind::Blackout)
        };
        let ends = [passage.cargo.from, passage.cargo.to];
        let guilty = |step: &&Step| {
            step.entries.iter().any(|entry| matches!(entry, Entry::Fault(id) if befalls(id.kind) && ends.contains(&End::from(id.who))))
        };
        self.steps[..=lost as usize].iter().rev().find(guilty).map(|step| step.number)
    }

    /// The steps in words.
    fn told(&self, steps: &BTreeSet<u64>, chosen: &BTreeSet<usize>, named: &Named) -> Vec<Lead> {
        let mut leads = Vec::new();
        for (place, message) in named.messages.iter().map(|place| (*place, &self.messages[*place])) {
            if let Some((device, step)) = message.written {
                let text = format!("writes message {} ({})", place + 1, self.conversation(message.conversation));
                leads.push(Lead { step, who: End::Device(device), kind: LeadKind::Act, text, passage: None });
            }
        }
        for number in steps {
            let step = self.step(*number);
            for entry in &step.entries {
                if let Entry::Fault(id) = entry {
                    let who = match (id.who, step.who) {
                        (Who::Device(_) | Who::Host(_), _) => End::from(id.who),
                        // What befalls a slot befalls the gateway that runs there.
                        (Who::Slot(_), Who::Slot(_)) => named.first().unwrap_or(End::Store),
                        (Who::World | Who::Slot(_) | Who::User(_), whom) => End::from(whom),
                    };
                    leads.push(Lead { step: *number, who, kind: LeadKind::Fault, text: format!("fault {id}"), passage: None });
                }
            }
            let rows: Vec<&str> =
                step.entries.iter().filter_map(|entry| if let Entry::Row(_, text) = entry { Some(place_of(text)) } else { None }).collect();
            if !rows.is_empty() {
                let kinds: BTreeSet<&str> = rows.iter().copied().collect();
                let text = format!("commits {} rows: {}", rows.len(), kinds.into_iter().collect::<Vec<_>>().join(", "));
                leads.push(Lead { step: *number, who: End::Store, kind: LeadKind::Commit, text, passage: None });
            }
        }
        for place in chosen {
            let passage = &self.passages[*place];
            let about = self.about(passage);
            let (kind, fate) = match passage.fate {
                Fate::Arrived(_) => (LeadKind::Sent, ""),
                Fate::Lost(_) => (LeadKind::Lost, ": it is lost"),
                Fate::UnderWay => (LeadKind::Lost, ": it never arrives"),
            };
            let way = if passage.cargo.from == passage.cargo.to { "its disk".into() } else { passage.cargo.to.to_string() };
            let text = format!("→ {way}: {}{about}{fate}", passage.cargo.what);
            leads.push(Lead { step: passage.left, who: passage.cargo.from, kind, text, passage: Some(*place) });
        }
        leads
    }

    /// What a passage is about, as far as there is room.
    pub fn about(&self, passage: &Passage) -> String {
        let mut told = passage.cargo.about.iter().map(|about| match about {
            Subject::User(user) => self.user(*user),
            Subject::Conversation(_) => String::new(),
            Subject::Upto(_, seq) => format!("≤ {seq}"),
            Subject::Message(of, id, seq) => {
                let number = self.message(*of, *id).unwrap_or_default();
                seq.map_or_else(|| format!("m{number}"), |seq| format!("m{number} at {seq}"))
            }
        });
        let first: Vec<String> = told.by_ref().take(3).filter(|text| !text.is_empty()).collect();
        let rest = told.count();
        let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        if first.is_empty() { String::new() } else { format!(" {}{more}", first.join(", ")) }
    }

    /// A text with names for people in place of ids.
    pub fn plain(&self, text: &str) -> String {
        let mut plain = text.to_owned();
        let conversations: BTreeSet<ConversationId> = self.messages.iter().map(|message| message.conversation).collect();
        for id in conversations {
            let name = self.conversation(id);
            plain = plain.replace(&format!("{id:?}"), &name).replace(&id.to_string(), &name);
        }
        for (place, message) in self.messages.iter().enumerate() {
            plain = plain.replace(&message.id.to_string(), &format!("message {}", place + 1));
        }
        for user in self.users.keys() {
            plain = plain.replace(&user.to_string(), &self.user(*user));
        }
        plain
    }
}

/// Whether a step has no cause that is worth telling: somebody's decision, a timer, the weather, a look.
fn begins_anew(step: &Step) -> bool {
    let kinds = ["Act", "HostDue", "DeviceDue", "SlotWeather", "DeviceWeather", "Register", "Boot", "Start", "Heal", "Look"];
    kinds.iter().any(|kind| step.event.starts_with(kind))
}

/// The kind of row that a text is about.
fn place_of(text: &str) -> &str {
    text.split_once('(').map_or(text, |(kind, _)| kind)
}
