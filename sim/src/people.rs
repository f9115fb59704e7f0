//! What people do.

use crate::draw::{What, Who};
use crate::plan::ActId;
use crate::scenario::Operation;
use crate::watch::Entry;
use crate::world::{Event, World};
use doubletick_core::client::{Ask, Input, Outgoing, Tag};
use doubletick_core::content::{Body, Content, Parts};
use doubletick_core::frame::{Privacy, UserList};
use doubletick_core::id::{ConversationId, MessageId, Seq, UserId};
use std::sync::Arc;

impl World<'_> {
    /// How long until somebody does something again.
    pub(crate) fn pause_of(&self, device: u32) -> u64 {
        let acts = self.devices[device as usize].acts;
        self.draws.within(Who::Device(device), What::Pace, acts, self.options.pace_ms)
    }

    /// Somebody does something, and will again.
    pub(crate) fn act(&mut self, device: u32) {
        if self.healed {
            return;
        }
        self.devices[device as usize].acts += 1;
        let pause = self.pause_of(device).max(1);
        // Whoever sees nothing get through looks at it less often.
        let stuck = !self.devices[device as usize].hostile && self.is_stuck(device);
        self.after(if stuck { 8 * pause } else { pause }, Event::Act(device));
        let id = ActId { device, nth: self.devices[device as usize].acts };
        if self.scenario.plan.acts.as_ref().is_some_and(|left| !left.contains(&id)) {
            return;
        }
        self.note(|| Entry::Act(id));
        if self.devices[device as usize].hostile {
            return self.hostile_acts(device);
        }
        if self.devices[device as usize].machine.is_none() {
            return;
        }
        let acts = self.devices[device as usize].acts;
        let total: u32 = self.options.weights.iter().sum();
        let mut drawn = self.draws.below(Who::Device(device), What::Operation, acts, u64::from(total)) as u32;
        for operation in Operation::ALL {
            let weight = self.options.weights[operation as usize];
            if drawn < weight {
                return self.operate(device, operation);
            }
            drawn -= weight;
        }
    }

    /// A number for the details of what somebody does.
    pub(crate) fn detail(&self, device: u32, number: u32, below: u64) -> u64 {
        self.draws.below(Who::Device(device), What::Detail(16 + number), self.devices[device as usize].acts, below)
    }

    /// Somebody else who has an account.
    fn other(&self, device: u32) -> Option<UserId> {
        let own = self.devices[device as usize].user as usize;
        let users = self.oracles.users();
        let others = || users.iter().enumerate().filter(|(user, _)| *user != own).filter_map(|(_, id)| *id);
        let nth = self.detail(device, 0, others().count() as u64) as usize;
        others().nth(nth)
    }

    fn talk_with(&self, device: u32, other: UserId) -> Option<ConversationId> {
        let own = self.devices[device as usize].id?.user;
        ConversationId::direct(own, other)
    }

    fn operate(&mut self, device: u32, operation: Operation) {
        match operation {
            Operation::Write => self.write_to_somebody(device, 1),
            Operation::Burst => self.write_to_somebody(device, 2 + self.detail(device, 1, 12)),
            Operation::Reply => {
                if let Some(conversation) = self.devices[device as usize].last_chat {
                    self.write(device, conversation, 0);
                }
            }
            Operation::Show => self.show(device),
            Operation::Typing => {
                let it = &mut self.devices[device as usize];
                it.typing = !it.typing;
                let active = it.typing;
                if let Some(conversation) = self.other(device).and_then(|other| self.talk_with(device, other)) {
                    self.tell_app(device, Input::Typing { conversation, active });
                }
            }
            Operation::Watch => {
                let Some(user) = self.other(device) else { return };
                let watches = &mut self.devices[device as usize].watches;
                let active = watches.insert(user);
                if !active {
                    watches.remove(&user);
                    self.oracles.unwatched(device, user);
                }
                self.tell_app(device, Input::Watch { user, active });
            }
            Operation::Chats => self.ask(device, Ask::Chats(None)),
            Operation::Block => self.list(device, UserList::Blocked, 1),
            Operation::Contact => self.list(device, UserList::Contacts, 2),
            Operation::Privacy => {
                let privacy = [Privacy::Everyone, Privacy::Contacts, Privacy::Nobody][self.detail(device, 2, 3) as usize];
                self.ask(device, Ask::SetPrivacy(privacy));
            }
            Operation::History => {
                let chats = &self.devices[device as usize].disk.chats;
                let nth = self.detail(device, 3, chats.len() as u64) as usize;
                let Some(chat) = chats.values().nth(nth).copied() else { return };
                let after = self.detail(device, 4, chat.cursor.unwrap_or_default().0 + 1);
                self.ask(device, Ask::History(chat.conversation, Seq(after)));
            }
            Operation::Hurry => self.tell_app(device, Input::Hurry),
            Operation::Unlink => self.unlink(device),
            Operation::GroupCreate
            | Operation::GroupAdd
            | Operation::GroupRemove
            | Operation::GroupLeave
            | Operation::GroupRole
            | Operation::GroupEdit
            | Operation::GroupSettings
            | Operation::GroupPost => self.gather(device, operation),
        }
    }

    /// One of the devices of somebody's account is removed: mostly another one than that on which it is done.
    fn unlink(&mut self, device: u32) {
        let Some(own) = self.devices[device as usize].id else { return };
        let itself = self.detail(device, 7, 4) == 0;
        let linked: Vec<_> =
            self.devices.iter().filter_map(|other| other.id).filter(|id| id.user == own.user && (*id == own) == itself).collect();
        let Some(gone) = linked.get(self.detail(device, 8, linked.len() as u64) as usize).copied() else { return };
        self.oracles.removing(gone);
        self.ask(device, Ask::RemoveDevice(gone.serial));
    }

    pub(crate) fn ask(&mut self, device: u32, ask: Ask) {
        self.devices[device as usize].tags += 1;
        let tag = Tag(self.devices[device as usize].tags);
        self.tell_app(device, Input::Ask(tag, ask));
    }

    /// Puts somebody on a list in so many of three cases, and takes them off in the others.
    fn list(&mut self, device: u32, list: UserList, of_three: u64) {
        let Some(user) = self.other(device) else { return };
        let listed = self.detail(device, 5, 3) < of_three;
        if let Some(id) = self.devices[device as usize].id
            && list == UserList::Blocked
            && listed
        {
            self.oracles.blocks(id.user, user);
        }
        self.ask(device, Ask::SetListed(list, user, listed));
    }

    /// What is there is read: all of it, or a part.
    fn show(&mut self, device: u32) {
        let all = self.detail(device, 6, 4) > 0;
        let chats: Vec<_> = self.devices[device as usize].disk.chats.values().copied().collect();
        for (nth, chat) in chats.into_iter().enumerate() {
            let Some(cursor) = chat.cursor.filter(|cursor| *cursor > chat.read) else { continue };
            let upto = if all { cursor } else { Seq(cursor.0 - self.detail(device, 32 + nth as u32, cursor.0 - chat.read.0)) };
            self.oracles.shown(device, chat.conversation, upto);
            self.tell_app(device, Input::Show { conversation: chat.conversation, upto });
        }
    }

    /// Whether somebody writes no more, because too much waits to be sent.
    pub(crate) fn is_stuck(&self, device: u32) -> bool {
        let machine = self.devices[device as usize].machine.as_ref();
        machine.is_none_or(|machine| machine.outbox_len() as u64 >= self.options.unsent)
    }

    fn write_to_somebody(&mut self, device: u32, count: u64) {
        if self.is_stuck(device) {
            return;
        }
        let Some(conversation) = self.other(device).and_then(|other| self.talk_with(device, other)) else { return };
        for nth in 0..count {
            self.write(device, conversation, nth);
        }
    }

    pub(crate) fn write(&mut self, device: u32, conversation: ConversationId, nth: u64) {
        if self.is_stuck(device) {
            return;
        }
        let who = Who::Device(device);
        let counter = self.devices[device as usize].acts << 8 | nth;
        let len = self.draws.within(who, What::Detail(4), counter, self.options.body_bytes) as usize;
        let body = |salt: u64| {
            let mut bytes: Arc<[u8]> = (0..len.max(16)).map(|_| (counter ^ salt) as u8).collect();
            let own = Arc::get_mut(&mut bytes).expect("nobody else has it yet");
            own[..8].copy_from_slice(&counter.to_le_bytes());
            own[8..16].copy_from_slice(&(u64::from(device) << 32 | salt).to_le_bytes());
            Body { kind: 1, bytes }
        };
        let apart = self.now_and_then(who, 5, counter, 5);
        let devices = if apart { self.oracles.devices_of(conversation) } else { vec![] };
        let parts = if !devices.is_empty() {
            Parts::PerDevice(devices.into_iter().take(16).map(|to| (to, body(u64::from(to.serial)))).collect())
        } else {
            Parts::Shared(body(0))
        };
        let content = Content::new(parts).expect("it is within the limits");
        self.compose(device, conversation, nth, content);
    }

    /// A name for the `nth` thing that somebody makes at once.
    pub(crate) fn fresh_id(&mut self, device: u32, nth: u64) -> MessageId {
        let it = &mut self.devices[device as usize];
        let (at, who, counter) = (it.clock.read(self.now), Who::Device(device), it.acts << 8 | nth);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.draws.number(who, What::Id(4), counter).to_le_bytes());
        random[8..].copy_from_slice(&self.draws.number(who, What::Id(5), counter).to_le_bytes()[..2]);
        MessageId::new(at, random)
    }

    /// The app is given a message to send.
    pub(crate) fn compose(&mut self, device: u32, conversation: ConversationId, nth: u64, content: Content) {
        let id = self.fresh_id(device, nth);
        self.work.written += 1;
        self.oracles.written(device, conversation, id, &content);
        self.composed(device, conversation, id);
        self.tell_app(device, Input::Compose(Outgoing { conversation, id, content }));
    }
}
