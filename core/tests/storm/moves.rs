//! What can move next, and what happens when it does.

use super::{Down, Link, Storm, Up};
use doubletick_core::client::{self, Record};
use doubletick_core::gateway::{self, ConnId};
use doubletick_core::id::Secret;
use doubletick_core::rows;
use doubletick_core::store::Failure;
use std::collections::VecDeque;

/// Something that can move next.
#[derive(Clone, Copy, Debug)]
enum Move {
    Up(usize),
    Down(usize),
    Run(usize, usize),
    Late(usize),
    Answer(usize, usize),
    Bell(usize),
    Save(usize),
    Connect(usize),
}

impl Storm {
    /// Lets one thing happen that can happen without time passing; false if there is none.
    pub(crate) fn step(&mut self) -> bool {
        for server in 0..self.servers.len() {
            if !self.servers[server].paused {
                self.drain_server(server);
            }
        }
        let moves = self.moves();
        if moves.is_empty() {
            return false;
        }
        let chosen = moves[self.dice.roll(moves.len())];
        self.carry_out(chosen);
        true
    }

    fn moves(&self) -> Vec<Move> {
        let mut moves = vec![];
        for (place, link) in self.links.iter().filter(|(_, link)| !link.silent) {
            let server = &self.servers[link.server];
            if !link.up.is_empty() && !server.paused && !server.down {
                moves.push(Move::Up(*place));
            }
            if !link.down.is_empty() {
                moves.push(Move::Down(*place));
            }
        }
        for (place, server) in self.servers.iter().enumerate() {
            moves.extend((0..server.jobs.len()).map(|job| Move::Run(place, job)));
            if !server.paused && !server.down {
                moves.extend((0..server.answers.len()).map(|answer| Move::Answer(place, answer)));
                if self.rows.0.contains_key(&rows::bell(server.machine.id()).key) {
                    moves.push(Move::Bell(place));
                }
            }
        }
        moves.extend((0..self.late.len()).map(Move::Late));
        for (place, phone) in self.phones.iter().enumerate() {
            if !phone.unsaved.is_empty() && !phone.holds_saves {
                moves.push(Move::Save(place));
            }
            if phone.wants_connection && !phone.off {
                moves.push(Move::Connect(place));
            }
        }
        moves
    }

    fn carry_out(&mut self, chosen: Move) {
        self.say(|| format!("{chosen:?}"));
        match chosen {
            Move::Up(link) => self.up(link),
            Move::Down(link) => self.down(link),
            Move::Run(server, job) => self.run(server, job),
            Move::Late(place) => {
                let batch = self.late.swap_remove(place);
                self.rows.execute(&batch);
                self.check_rows();
            }
            Move::Answer(server, answer) => {
                let (ticket, result) = self.servers[server].answers.swap_remove(answer);
                self.server_input(server, gateway::Input::Transacted(ticket, result));
            }
            Move::Bell(server) => {
                let id = self.servers[server].machine.id();
                self.rows.0.remove(&rows::bell(id).key);
                if !self.dice.chance(self.deaf) {
                    self.server_input(server, gateway::Input::Bell);
                }
            }
            Move::Save(phone) => {
                let count = 1 + self.dice.roll(4);
                self.save(phone, count, true);
            }
            Move::Connect(phone) => self.connect(phone),
        }
    }

    fn up(&mut self, place: usize) {
        let link = self.links.get_mut(&place).unwrap();
        let (server, conn) = (link.server, link.conn);
        let current = link.gateway == self.servers[server].machine.id();
        let item = link.up.pop_front().unwrap();
        self.say(|| format!("   {}", if let Up::Frame(frame) = &item { format!("{frame:?}") } else { "closed".into() }));
        match item {
            Up::Frame(frame) if current => self.server_input(server, gateway::Input::Frame(conn, frame)),
            Up::Frame(_) => {}
            Up::Closed => {
                self.links.remove(&place);
                if current {
                    self.server_input(server, gateway::Input::Closed(conn));
                }
            }
        }
    }

    fn down(&mut self, place: usize) {
        let link = self.links.get_mut(&place).unwrap();
        let (server, conn, phone) = (link.server, link.conn, link.phone);
        let current = link.gateway == self.servers[server].machine.id() && !self.servers[server].down;
        let listens = self.phones[phone].link == Some(place);
        match link.down.pop_front().unwrap() {
            Down::Frame(frame) => {
                self.say(|| format!("   {frame:?}"));
                if current {
                    self.server_input(server, gateway::Input::Flushed(conn, gateway::frame_cost(&frame)));
                }
                if listens {
                    self.phone_input(phone, client::Input::Frame(frame));
                }
            }
            Down::Closed(reason) => {
                self.links.remove(&place);
                if listens {
                    self.phones[phone].link = None;
                    self.phone_input(phone, client::Input::Disconnected { reason });
                }
            }
        }
    }

    fn run(&mut self, server: usize, job: usize) {
        let (ticket, batch) = self.servers[server].jobs.swap_remove(job);
        self.say(|| format!("   {ticket:?} {:?}", batch.commands));
        let result = if self.dice.chance(self.failures) {
            match self.dice.roll(4) {
                0 => Err(Failure::Retry),
                1 => Err(Failure::Unavailable),
                kind => {
                    if kind == 2 {
                        self.rows.execute(&batch);
                    }
                    Err(Failure::Unknown)
                }
            }
        } else {
            Ok(self.rows.execute(&batch))
        };
        self.say(|| format!("   {:?}", result.as_ref().map(|outcome| &outcome.replies)));
        self.servers[server].answers.push((ticket, result));
        self.check_rows();
    }

    /// The device stores some of its records; whether its machine hears of that is another matter.
    pub(crate) fn save(&mut self, phone: usize, count: usize, told: bool) {
        let it = &mut self.phones[phone];
        let mut new_after_all = vec![];
        let mut last = None;
        for _ in 0..count {
            let Some((save, record)) = it.unsaved.pop_front() else { break };
            last = Some(save);
            match &record {
                Record::Written(outgoing) => it.wrote.push((outgoing.conversation, outgoing.id)),
                Record::Accepted { id, seq, .. } => {
                    it.accepted.insert(*id, *seq);
                }
                _ => {}
            }
            if it.disk.apply(record) {
                new_after_all.push(save);
            }
        }
        assert!(new_after_all.is_empty(), "nothing was restored, and phone {phone} was told of another log");
        it.disk.check(it.came_at.is_some());
        if let (Some(upto), true) = (last, told) {
            self.phone_input(phone, client::Input::Saved { upto, new_after_all });
        }
    }

    fn connect(&mut self, phone: usize) {
        self.phones[phone].wants_connection = false;
        let server = self.dice.roll(self.servers.len());
        if self.servers[server].down || self.servers[server].paused {
            return self.phone_input(phone, client::Input::Disconnected { reason: None });
        }
        let place = self.next();
        let conn = ConnId(place);
        let gateway = self.servers[server].machine.id();
        let link = Link { server, gateway, conn, phone, up: VecDeque::new(), down: VecDeque::new(), silent: false };
        self.links.insert(place as usize, link);
        self.phones[phone].link = Some(place as usize);
        self.say(|| format!("   phone {phone} to server {server} as {conn:?}"));
        self.server_input(server, gateway::Input::Connected(conn));
        let fresh = Secret([place as u8 ^ 0x80; 32]);
        self.phone_input(phone, client::Input::Connected { fresh });
    }
}
