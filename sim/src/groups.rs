//! What people do in groups, and the crowd that large groups are made of.

use crate::draw::{What, Who};
use crate::scenario::Operation;
use crate::world::World;
use doubletick_core::change::{Change, Settings};
use doubletick_core::client::{Answer, Ask, Tag};
use doubletick_core::event::Event;
use doubletick_core::frame::Privacy;
use doubletick_core::id::{ConversationId, DeviceId, GroupId, Phone, UserId};
use doubletick_core::limits;
use doubletick_core::rows::{Account, Device, LinkedDevice};
use doubletick_core::time::Timestamp;
use doubletick_core::transact::{Batch, Outcome, replay};

/// Names of draws: those for the crowd count from here.
const CROWD: u32 = 1 << 20;
/// The most that are added at once.
const ADDED: u64 = 3;
/// The most messages that somebody writes into a group in a row.
const POSTED: u64 = 3;

impl World<'_> {
    /// The crowd: people with an account each, and one device that is never there.
    pub(crate) fn populate_crowd(&mut self) {
        let mut events = Vec::new();
        for nth in 0..self.options.crowd as u32 {
            let who = Who::User(CROWD | nth);
            let user = UserId(self.draws.number(who, What::Id(2), 0));
            let phone = Phone::parse(&format!("+4916{nth:08}")).expect("the number is well formed");
            let linked = LinkedDevice { serial: 1, epoch: 1, name: "away".into() };
            let privacy = Privacy::default();
            let account = Account { phone: phone.as_str().into(), devices: vec![linked], next_serial: 2, device_epoch: 1, privacy };
            let state = Device { secret: self.secret(who, 0).digest(), expires: Timestamp::from_millis(u64::MAX >> 1), previous: None };
            events.push(Event::AccountCreated { user, phone });
            events.push(Event::AccountChanged { user, account });
            events.push(Event::DeviceChanged { device: DeviceId { user, serial: 1 }, state });
            self.crowd.push(user);
        }
        if !events.is_empty() {
            self.store.commit(self.now, replay(&events));
            let batch = Batch { now: Timestamp::default(), commands: Vec::new() };
            let outcome = Outcome { replies: Vec::new(), events, damaged: Vec::new() };
            self.oracles.committed(&batch, &outcome, &self.store, self.now);
            self.oracles.happened(&outcome.events);
        }
    }

    /// Somebody does something in a group, or makes one.
    pub(crate) fn gather(&mut self, device: u32, operation: Operation) {
        if self.is_stuck(device) {
            return;
        }
        if operation == Operation::GroupCreate {
            return self.make_group(device);
        }
        let Some(conversation) = self.group_of(device) else { return };
        if operation == Operation::GroupPost {
            for nth in 0..1 + self.detail(device, 70, POSTED) {
                self.write(device, conversation, nth);
            }
            return;
        }
        if let Some(change) = self.change(device, conversation, operation) {
            self.compose(device, conversation, 0, change.content());
        }
    }

    fn make_group(&mut self, device: u32) {
        if self.oracles.group_count() as u64 >= self.options.groups {
            return;
        }
        let (least, most) = self.options.group_members;
        let count = least + self.detail(device, 71, most - least + 1);
        let members = self.some_of(device, 72, self.strangers_to(device, None), count);
        let settings = self.settings(device, members.len() as u64 + 1);
        let conversation = ConversationId::Group(GroupId(self.fresh_id(device, 1).0));
        self.work.groups += 1;
        let name = format!("group of device {device}");
        self.compose(device, conversation, 0, Change::Created { name, members, settings }.content());
    }

    /// A group that a device knows: mostly one in which its user is. Whoever was removed and has not heard of it yet still thinks so.
    fn group_of(&self, device: u32) -> Option<ConversationId> {
        let it = &self.devices[device as usize];
        let user = it.id?.user;
        let first = ConversationId::Group(GroupId([0; 16]));
        let known: Vec<ConversationId> = it.disk.chats.range(first..).map(|(conversation, _)| *conversation).collect();
        let is_in = |conversation: &ConversationId| self.oracles.group(*conversation).is_some_and(|group| group.is_member(user));
        let within: Vec<ConversationId> = known.iter().copied().filter(is_in).collect();
        let known = if within.is_empty() || self.detail(device, 73, 8) == 0 { known } else { within };
        known.get(self.detail(device, 74, known.len() as u64) as usize).copied()
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the caller names the operations that come here")]
    fn change(&self, device: u32, conversation: ConversationId, operation: Operation) -> Option<Change> {
        let group = self.oracles.group(conversation)?;
        let nth = self.detail(device, 75, group.members().len() as u64) as usize;
        let member = group.members().nth(nth);
        Some(match operation {
            Operation::GroupAdd => {
                // Now and then it is somebody who is there already.
                let strangers = if self.detail(device, 76, 8) == 0 { None } else { Some(conversation) };
                let count = 1 + self.detail(device, 77, ADDED);
                let users = self.some_of(device, 72, self.strangers_to(device, strangers), count);
                Change::Added { users: Some(users).filter(|users| !users.is_empty())? }
            }
            Operation::GroupRemove => Change::Removed { user: member? },
            Operation::GroupLeave => Change::Left,
            Operation::GroupRole => Change::RoleSet { user: member?, admin: self.detail(device, 78, 2) == 0 },
            Operation::GroupEdit if self.detail(device, 79, 2) == 0 => {
                Change::AvatarSet { avatar: self.detail(device, 80, u64::MAX).to_le_bytes().into() }
            }
            Operation::GroupEdit => Change::Renamed { name: format!("{:x}", self.detail(device, 80, u64::MAX)) },
            Operation::GroupSettings => Change::SettingsSet { settings: self.settings(device, group.members().len() as u64) },
            other => unreachable!("no change of a group: {other:?}"),
        })
    }

    /// Who may do what: mostly everybody everything. The limit is the usual one, or close to how many there are.
    fn settings(&self, device: u32, members: u64) -> Settings {
        let restricted = |number| self.detail(device, number, 4) == 0;
        let close = (members + self.detail(device, 85, 4)).clamp(1, limits::GROUP_MEMBERS.into()) as u32;
        let limit = if self.detail(device, 84, 3) == 0 { close } else { limits::GROUP_MEMBERS };
        Settings { admins_add: restricted(81), admins_edit: restricted(82), admins_post: restricted(83), limit }
    }

    /// People who could be added: first those who do something themselves, then the crowd; without those who are in a group already.
    fn strangers_to(&self, device: u32, conversation: Option<ConversationId>) -> [Vec<UserId>; 2] {
        let own = self.devices[device as usize].id.map(|id| id.user);
        let group = conversation.and_then(|conversation| self.oracles.group(conversation));
        let is_strange = |user: &UserId| Some(*user) != own && group.is_none_or(|group| !group.is_member(*user));
        let people = self.oracles.users().iter().flatten().copied().filter(is_strange).collect();
        [people, self.crowd.iter().copied().filter(is_strange).collect()]
    }

    /// So many of these people, all of the first before any of the others.
    fn some_of(&self, device: u32, number: u32, people: [Vec<UserId>; 2], count: u64) -> Vec<UserId> {
        let turned = people.into_iter().map(|mut people| {
            let first = self.detail(device, number, people.len() as u64) as usize;
            people.rotate_left(first);
            people
        });
        turned.flatten().take(count as usize).collect()
    }

    /// A message was made for another roster than the group has: the app asks who is there. Which message that was, it is not told; the first
    /// of those that wait is good enough.
    pub(crate) fn asks_who_is_there(&mut self, device: u32) {
        let waiting = self.devices[device as usize].disk.outbox.iter().find(|waiting| waiting.conversation.pair().is_none());
        if let Some(conversation) = waiting.map(|waiting| waiting.conversation) {
            self.ask_roster(device, conversation, None);
        }
    }

    fn ask_roster(&mut self, device: u32, conversation: ConversationId, after: Option<UserId>) {
        let it = &mut self.devices[device as usize];
        it.asks_roster = Some((it.tags + 1, conversation));
        self.ask(device, Ask::Roster(conversation, after));
    }

    /// A page of the members of a group came: the next one is asked for.
    pub(crate) fn hears_who_is_there(&mut self, device: u32, tag: Tag, answer: &Answer) {
        let Answer::Roster { members, more, .. } = answer else { return };
        let asked = self.devices[device as usize].asks_roster.filter(|(asked, _)| *asked == tag.0);
        if let (Some((_, conversation)), true, Some(last)) = (asked, *more, members.last()) {
            self.ask_roster(device, conversation, Some(last.user));
        }
    }
}
