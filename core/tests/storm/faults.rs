//! What people do, and what goes wrong.

use super::{Down, Storm, Up};
use crate::disk::Disk;
use doubletick_core::client::{self, Ask, Outgoing, Tag};
use doubletick_core::content::Content;
use doubletick_core::frame::UserList;
use doubletick_core::gateway;
use doubletick_core::id::{ConversationId, MessageId, Seq, UserId};
use doubletick_core::time::Millis;

impl Storm {
    fn user(&self, place: usize) -> UserId {
        UserId(100 + place as u64)
    }

    fn some_chat(&mut self, phone: usize) -> ConversationId {
        let own = self.phones[phone].device.user;
        loop {
            let other = self.dice.roll(self.users);
            if let Some(chat) = ConversationId::direct(own, self.user(other)) {
                return chat;
            }
        }
    }

    /// Somebody does something.
    pub(crate) fn act(&mut self) {
        let phone = self.dice.roll(self.phones.len());
        match self.dice.roll(20) {
            0..=9 => {
                let conversation = self.some_chat(phone);
                for _ in 0..1 + self.dice.roll(4) {
                    self.write(phone, conversation);
                }
            }
            10..=13 => {
                let conversation = self.some_chat(phone);
                let upto = Seq(1 + self.dice.roll(200) as u64);
                self.say(|| format!("phone {phone} shows {conversation} up to {upto}"));
                let it = &mut self.phones[phone];
                let has = it.disk.chats.get(&conversation).and_then(|chat| chat.cursor).unwrap_or_default();
                let seen = it.seen.entry(conversation).or_default();
                *seen = upto.min(has).max(*seen);
                self.phone_input(phone, client::Input::Show { conversation, upto });
            }
            14 => {
                let conversation = self.some_chat(phone);
                let active = self.dice.chance(50);
                self.phone_input(phone, client::Input::Typing { conversation, active });
            }
            15 | 16 => self.watch(phone),
            17 => {
                let chat = self.some_chat(phone);
                let place = self.dice_user();
                let user = self.user(place);
                let ask = match self.dice.roll(4) {
                    0 => Ask::Chats(None),
                    1 => Ask::History(chat, Seq(0)),
                    2 => Ask::SetListed(UserList::Contacts, user, self.dice.chance(50)),
                    _ => Ask::User(user),
                };
                let tag = Tag(self.next());
                self.phone_input(phone, client::Input::Ask(tag, ask));
            }
            18 if self.phones.len() < 12 && self.dice.chance(30) => {
                let user = self.dice_user();
                self.link_device(user, true);
            }
            _ => self.phone_input(phone, client::Input::Hurry),
        }
    }

    fn dice_user(&mut self) -> usize {
        self.dice.roll(self.users)
    }

    pub(crate) fn write(&mut self, phone: usize, conversation: ConversationId) {
        let n = self.next();
        let mut id = [0; 16];
        id[8..].copy_from_slice(&n.to_be_bytes());
        let content = Content::shared(1, format!("m{n}").as_bytes()).unwrap();
        self.say(|| format!("phone {phone} writes m{n} into {conversation}"));
        let outgoing = Outgoing { conversation, id: MessageId(id), content };
        self.phone_input(phone, client::Input::Compose(outgoing));
    }

    fn watch(&mut self, phone: usize) {
        let place = self.dice_user();
        let user = self.user(place);
        let active = self.dice.chance(75);
        self.say(|| format!("phone {phone} watches {user}: {active}"));
        if active {
            self.phones[phone].watches.insert(user);
        } else {
            self.phones[phone].watches.remove(&user);
            self.phones[phone].presence.remove(&user);
        }
        self.phone_input(phone, client::Input::Watch { user, active });
    }

    /// Something goes wrong, or is right again.
    pub(crate) fn strike(&mut self) {
        let phone = self.dice.roll(self.phones.len());
        let server = self.dice.roll(self.servers.len());
        match self.dice.roll(16) {
            0..=2 => self.cut(phone),
            3 => self.silence(phone),
            4 | 5 => {
                self.say(|| format!("phone {phone} crashes"));
                let stored = self.dice.roll(4);
                self.crash_phone(phone, stored);
            }
            6 => self.phones[phone].holds_saves ^= true,
            7 => self.crash_server(server),
            8 | 9 => {
                self.servers[server].paused ^= true;
                let paused = self.servers[server].paused;
                self.say(|| format!("server {server} pauses: {paused}"));
            }
            10 => self.failures = [0, 10, 50, 100][self.dice.roll(4)],
            11 => self.deaf = [0, 50, 100][self.dice.roll(3)],
            12 => {
                // Set forwards by minutes now and then; it goes back by seconds.
                let it = &mut self.servers[server].ahead;
                *it = if self.dice.chance(20) { *it + 1000 * self.dice.roll(300) as u64 } else { it.saturating_sub(2000) };
            }
            13 => {
                let length = Millis::seconds(self.dice.roll(100) as u64);
                self.say(|| format!("{} ms pass", length.0));
                self.pass(length, 10);
            }
            14 => {
                self.servers[server].down = false;
            }
            _ => {
                let length = Millis(self.dice.roll(3000) as u64);
                self.pass(length, 5);
            }
        }
    }

    /// A connection breaks; one side notices, or the other, or both.
    fn cut(&mut self, phone: usize) {
        let Some(place) = self.phones[phone].link else { return };
        let seen = self.dice.roll(3);
        self.say(|| format!("the connection of phone {phone} breaks, seen by {}", ["both", "the phone", "the server"][seen]));
        let link = self.links.get_mut(&place).unwrap();
        link.silent = true;
        let (server, gateway, conn) = (link.server, link.gateway, link.conn);
        if seen != 1 && self.servers[server].machine.id() == gateway && !self.servers[server].paused && !self.servers[server].down {
            self.server_input(server, gateway::Input::Closed(conn));
        }
        if seen != 2 {
            self.phones[phone].link = None;
            self.phone_input(phone, client::Input::Disconnected { reason: None });
        }
    }

    fn silence(&mut self, phone: usize) {
        if let Some(place) = self.phones[phone].link {
            self.say(|| format!("the connection of phone {phone} goes silent"));
            self.links.get_mut(&place).unwrap().silent = true;
        }
    }

    /// The app is killed after it has stored so many more of its records, and started again.
    pub(crate) fn crash_phone(&mut self, phone: usize, stored: usize) {
        self.save(phone, stored, false);
        if let Some(link) = self.phones[phone].link.take() {
            self.links.get_mut(&link).unwrap().up.push_back(Up::Closed);
        }
        let (device, secret) = (self.phones[phone].device, self.phones[phone].secret);
        let disk: Disk = self.phones[phone].disk.clone();
        let machine = self.client(device, secret, &disk);
        let it = &mut self.phones[phone];
        it.machine = machine;
        it.unsaved.clear();
        it.wants_connection = false;
        it.presence.clear();
        it.stopped = None;
        let watches = it.watches.clone();
        self.drain_phone(phone);
        for user in watches {
            self.phone_input(phone, client::Input::Watch { user, active: true });
        }
    }

    fn crash_server(&mut self, server: usize) {
        let stays_down = self.dice.chance(50);
        self.say(|| format!("server {server} crashes, for good: {stays_down}"));
        let gateway = self.servers[server].machine.id();
        for link in self.links.values_mut().filter(|link| link.server == server && link.gateway == gateway) {
            if self.dice.chance(70) {
                link.down.push_back(Down::Closed(None));
            } else {
                link.silent = true;
            }
        }
        self.replace(server);
        self.servers[server].paused = false;
        self.servers[server].down = stays_down;
    }

    /// A device is without power from one moment to the next. Nobody is told.
    pub(crate) fn vanish(&mut self, phone: usize) {
        self.silence(phone);
        self.phones[phone].off = true;
    }

    /// Whatever was wrong is right again.
    pub(crate) fn heal(&mut self) {
        self.say(|| "everything is right again".into());
        (self.failures, self.deaf) = (0, 0);
        for server in &mut self.servers {
            (server.paused, server.down) = (false, false);
        }
        for phone in &mut self.phones {
            phone.holds_saves = false;
        }
    }
}
