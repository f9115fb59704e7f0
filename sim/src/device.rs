//! Apps and their disks.

use crate::clock::Clock;
use crate::draw::{What, Who};
use crate::fault::FaultKind;
use crate::flight::Origin;
use crate::slab::Name;
use crate::traffic::Journey;
use crate::watch::{Entry, brief};
use crate::world::{Event, WEATHER_MS, World};
use doubletick_core::client::{self, Answer, Client, Notice, Outgoing, Output, Record, SaveId, Stored, StoredChat};
use doubletick_core::command::{Command, Reply, code_digest};
use doubletick_core::frame::{CloseReason, Delivery, Sender, ServerFrame};
use doubletick_core::id::{ConversationId, DeviceId, Digest, MessageId, Phone, Secret, UserId};
use doubletick_core::reject::Reject;
use doubletick_core::store::Failure;
use doubletick_core::time::Timestamp;
use doubletick_core::transact::{Batch, Outcome};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// A device: an app on it, and what it has stored.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) user: u32,
    /// Once it is registered.
    pub(crate) id: Option<DeviceId>,
    /// The app, while it runs.
    pub(crate) machine: Option<Client>,
    /// The how-manieth run of the app it is.
    pub(crate) run: u32,
    pub(crate) disk: Disk,
    unsaved: VecDeque<(SaveId, Record)>,
    /// Records of the sync under way.
    syncing: usize,
    syncs: u64,
    /// When the sync under way was to end.
    sync_due: u64,
    /// When it last met anything.
    pub(crate) touched: u64,
    timers: u64,
    armed: Option<u64>,
    pub(crate) clock: Clock,
    pub(crate) link: Option<Name>,
    pub(crate) offline_until: u64,
    /// It never comes back, or nothing reaches it any more.
    pub(crate) dead: bool,
    /// It breaks the protocol: there is no app on it.
    pub(crate) hostile: bool,
    /// It has greeted with another device's name and token.
    pub(crate) thief: bool,
    /// How long ago its token was made when it came into this world, in milliseconds.
    pub(crate) age_ms: u64,
    /// Why the machine has stopped for good.
    pub(crate) stopped: Option<CloseReason>,
    felt: u64,
    // What was done so far, for draws.
    pub(crate) dials: u64,
    pub(crate) frames: u64,
    pub(crate) acts: u64,
    pub(crate) weather: u64,
    pub(crate) boots: u64,
    registrations: u64,
    asked_code: bool,
    /// What its user does with it.
    pub(crate) typing: bool,
    pub(crate) watches: BTreeSet<UserId>,
    pub(crate) last_chat: Option<ConversationId>,
    pub(crate) tags: u64,
    /// The question who is in a group, while it is asked: the last one's number, and which group.
    pub(crate) asks_roster: Option<(u64, ConversationId)>,
}

/// What survives a crash.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    token: Secret,
    starts: u32,
    pub(crate) chats: BTreeMap<ConversationId, StoredChat>,
    pub(crate) outbox: Vec<Outgoing>,
    /// What is shown: whether it is an own message, and which.
    shown: BTreeSet<(ConversationId, bool, MessageId)>,
}

impl Device {
    pub(crate) fn new(user: u32, clock: Clock, token: Secret) -> Self {
        Self {
            user,
            id: None,
            machine: None,
            run: 0,
            disk: Disk { token, starts: 0, chats: BTreeMap::new(), outbox: Vec::new(), shown: BTreeSet::new() },
            unsaved: VecDeque::new(),
            syncing: 0,
            syncs: 0,
            sync_due: 0,
            touched: 0,
            timers: 0,
            armed: None,
            clock,
            link: None,
            offline_until: 0,
            dead: false,
            hostile: false,
            thief: false,
            age_ms: 0,
            stopped: None,
            felt: 0,
            dials: 0,
            frames: 0,
            acts: 0,
            weather: 0,
            boots: 0,
            registrations: 0,
            asked_code: false,
            typing: false,
            watches: BTreeSet::new(),
            last_chat: None,
            tags: 0,
            asks_roster: None,
        }
    }

    /// Records that wait to be stored.
    pub(crate) fn unsaved_len(&self) -> usize {
        self.unsaved.len()
    }

    /// The records of the sync under way.
    pub(crate) fn syncing(&self) -> impl Iterator<Item = &Record> {
        self.unsaved.iter().take(self.syncing).map(|(_, record)| record)
    }

    /// The device as it is, for whoever looks at the app and the disk by themselves.
    pub(crate) fn without_app_and_disk(&self) -> Self {
        let disk =
            Disk { token: self.disk.token, starts: self.disk.starts, chats: BTreeMap::new(), outbox: Vec::new(), shown: BTreeSet::new() };
        Self { machine: None, disk, ..self.clone() }
    }

    /// Nothing waits to be stored.
    pub(crate) fn is_saved(&self) -> bool {
        self.unsaved.is_empty()
    }
}

impl Disk {
    /// The proof of who the device is.
    pub(crate) fn token(&self) -> Secret {
        self.token
    }

    pub(crate) fn chat(&mut self, conversation: ConversationId) -> &mut StoredChat {
        self.chats.entry(conversation).or_insert_with(|| StoredChat::new(conversation))
    }

    /// Shows a message; says whether it was not shown before.
    fn show(&mut self, conversation: ConversationId, own: bool, id: MessageId) -> bool {
        self.shown.insert((conversation, own, id))
    }
}

impl World<'_> {
    /// A secret of somebody's.
    pub(crate) fn secret(&self, who: Who, counter: u64) -> Secret {
        let mut bytes = [0; 32];
        for (part, chunk) in bytes.chunks_exact_mut(8).enumerate() {
            chunk.copy_from_slice(&self.draws.number(who, What::Id(8 + part as u32), counter).to_le_bytes());
        }
        Secret(bytes)
    }

    fn phone(&self, user: u32) -> Phone {
        Phone::parse(&format!("+4915{user:08}")).expect("the number is well formed")
    }

    /// The registration of a device goes on: a code first, then the device.
    pub(crate) fn register(&mut self, device: u32) {
        let it = &mut self.devices[device as usize];
        it.registrations += 1;
        let (number, user, token) = (it.registrations, it.user, it.disk.token);
        let phone = self.phone(user);
        let code: Digest = code_digest(&phone, &format!("{device:06}"));
        let command = if self.devices[device as usize].asked_code {
            let new_user = UserId(self.draws.number(Who::Device(device), What::Id(2), 0));
            Command::Register { phone, code, secret: token.digest(), new_user, name: format!("device {device}") }
        } else {
            Command::RequestCode { phone, code }
        };
        let now =
            Timestamp::from_millis((crate::clock::BEGINNING + self.now + self.leapt).saturating_sub(self.devices[device as usize].age_ms));
        self.submit(Origin::Device(device), number, Arc::new(Batch { now, commands: vec![command] }));
    }

    pub(crate) fn registered(&mut self, device: u32, result: Result<Outcome, Failure>) {
        let reply = result.map(|outcome| outcome.replies.into_iter().next());
        match reply {
            Ok(Some(Ok(Reply::Registered { device: id, .. }))) => {
                self.devices[device as usize].id = Some(id);
                self.oracles.linked(device, id, self.now, self.devices[device as usize].hostile);
                self.boot(device);
                let pause = self.pause_of(device);
                self.after(pause, Event::Act(device));
                self.after(WEATHER_MS, Event::DeviceWeather(device));
            }
            Ok(Some(Ok(_))) => {
                self.devices[device as usize].asked_code = true;
                self.register(device);
            }
            Ok(Some(Err(_)) | None) => {
                // Another device of the same person has asked for a code since, or too many were asked for.
                self.devices[device as usize].asked_code = false;
                self.after(30_000, Event::Register(device));
            }
            Err(_) => self.after(300, Event::Register(device)),
        }
    }

    /// The app starts, from what is on the disk.
    pub(crate) fn boot(&mut self, device: u32) {
        let it = &mut self.devices[device as usize];
        let Some(id) = it.id.filter(|_| it.machine.is_none() && !it.dead && !it.hostile) else { return };
        it.boots += 1;
        self.forgets_acceptance(device);
        let it = &mut self.devices[device as usize];
        it.clock.restart();
        it.armed = None;
        it.stopped = None;
        it.typing = false;
        it.watches.clear();
        it.asks_roster = None;
        let stored = Stored {
            device: id,
            secret: it.disk.token,
            starts: it.disk.starts,
            outbox: it.disk.outbox.clone(),
            chats: it.disk.chats.values().copied().collect(),
        };
        let (boots, now) = (it.boots, it.clock.read(self.now));
        let random = self.draws.number(Who::Device(device), What::Id(3), boots);
        self.devices[device as usize].machine = Some(Client::new(stored, random, now));
        self.oracles.booted(device);
        self.drive_device(device);
    }

    /// The user opens an app again that has stopped.
    pub(crate) fn reopen(&mut self, device: u32) {
        if self.devices[device as usize].stopped.is_some() {
            self.kill_device(device, true);
            self.boot(device);
        }
    }

    /// The app is killed: what is not on the disk is gone. The machine's network says so to the gateway, or has no occasion to.
    pub(crate) fn kill_device(&mut self, device: u32, word: bool) {
        let it = &mut self.devices[device as usize];
        it.machine = None;
        it.run += 1;
        it.unsaved.clear();
        it.syncing = 0;
        if let Some(link) = it.link.take() {
            self.client_vanishes(link, word);
        }
    }

    /// Something happens to an app, if it still is in that run.
    pub(crate) fn tell_device(&mut self, device: u32, run: u32, input: client::Input) {
        let it = &mut self.devices[device as usize];
        if it.run != run {
            return;
        }
        let now = it.clock.read(self.now);
        if it.machine.is_none() {
            return;
        }
        it.touched = self.now;
        self.note_words(|| Entry::In(Who::Device(device), brief(&input)));
        if let Some(machine) = &mut self.devices[device as usize].machine {
            machine.handle_input(now, input);
            self.drive_device(device);
        }
    }

    /// The user does something with the app.
    pub(crate) fn tell_app(&mut self, device: u32, input: client::Input) {
        let run = self.devices[device as usize].run;
        self.tell_device(device, run, input);
    }

    pub(crate) fn frame_comes(&mut self, device: u32, run: u32, frame: ServerFrame) {
        if matches!(frame, ServerFrame::Welcome { .. }) {
            self.work.sessions += 1;
        }
        if self.devices[device as usize].hostile {
            return self.hostile_hears(device, &frame);
        }
        if self.devices[device as usize].run == run {
            self.oracles.heard_from_gateway(device, &frame);
        }
        self.tell_device(device, run, client::Input::Frame(frame));
    }

    /// Whether a timer that was set belongs to an earlier run of the app, or has been set anew since, to an earlier time.
    pub(crate) fn device_timer_is_stale(&self, device: u32, run: u32, due: u64) -> bool {
        let it = &self.devices[device as usize];
        it.machine.is_none() || it.run != run || it.armed != Some(due)
    }

    pub(crate) fn device_due(&mut self, device: u32, due: u64) {
        self.moved(FaultKind::TimerLate, due, self.devices[device as usize].touched);
        let it = &mut self.devices[device as usize];
        it.armed = None;
        let now = it.clock.read(self.now);
        let Some(machine) = &mut it.machine else { return };
        machine.handle_timeout(now);
        self.drive_device(device);
    }

    fn drive_device(&mut self, device: u32) {
        while let Some(output) = self.devices[device as usize].machine.as_mut().and_then(Client::poll_output) {
            self.device_output(device, output);
        }
        self.arm_device(device);
    }

    pub(crate) fn arm_device(&mut self, device: u32) {
        let it = &mut self.devices[device as usize];
        let Some(due) = it.machine.as_ref().and_then(Client::poll_timeout) else { return };
        let due = self.now + it.clock.until(self.now, due);
        if it.armed.is_none_or(|armed| due < armed) {
            it.armed = Some(due);
            it.timers += 1;
            let (run, timers) = (it.run, it.timers);
            let late = self.timer_late(Who::Device(device), timers);
            self.at(due + late, Event::DeviceDue(device, run, due));
        }
    }

    fn device_output(&mut self, device: u32, output: Output) {
        self.note_words(|| Entry::Out(Who::Device(device), brief(&output)));
        match output {
            Output::Connect => {
                self.trace.number(0x11);
                self.dial(device);
            }
            Output::Disconnect => {
                self.trace.number(0x12);
                if let Some(link) = self.devices[device as usize].link.take() {
                    self.client_vanishes(link, true);
                }
            }
            Output::Frame(frame) => {
                self.trace.number(0x13);
                self.oracles.said(device, &frame);
                if let Some(link) = self.devices[device as usize].link {
                    self.send_up(link, frame);
                }
            }
            Output::Save(save, record) => {
                self.trace.number(0x14 | save.0 << 8);
                self.devices[device as usize].unsaved.push_back((save, record));
                self.sync(device);
            }
            Output::Notice(notice) => self.notice(device, notice),
        }
    }

    fn notice(&mut self, device: u32, notice: Notice) {
        match notice {
            Notice::Presence { user, presence } => {
                self.trace.number(0x15);
                self.oracles.presence(device, user, presence);
            }
            Notice::Stopped(reason) => {
                self.trace.number(0x16 | u64::from(reason.code()) << 8);
                self.devices[device as usize].stopped = Some(reason);
                self.app_stopped(device, reason);
            }
            Notice::Online(online) => {
                if !online {
                    self.oracles.unseen(device);
                }
            }
            Notice::Typing { conversation, .. } => self.oracles.told_of(device, conversation),
            Notice::Answered(_, Answer::Chats(chats, _)) => {
                for chat in chats {
                    self.oracles.told_of(device, chat.conversation);
                }
            }
            Notice::HeldUp(Reject::StaleRoster { .. }) => self.asks_who_is_there(device),
            Notice::Answered(tag, answer @ Answer::Roster { .. }) => self.hears_who_is_there(device, tag, &answer),
            Notice::Answered(..) | Notice::Waiting(_) | Notice::HeldUp(_) | Notice::Refused(_) => {}
        }
    }

    /// Begins a sync, if none is under way.
    fn sync(&mut self, device: u32) {
        let it = &mut self.devices[device as usize];
        if it.syncing > 0 || it.unsaved.is_empty() {
            return;
        }
        it.syncing = it.unsaved.len();
        it.syncs += 1;
        let (syncs, run, who) = (it.syncs, it.run, Who::Device(device));
        let mut wait = self.draws.within(who, What::Sync, syncs, self.options.sync_ms);
        self.devices[device as usize].sync_due = self.now + wait;
        if self.fault(FaultKind::SlowSync, who, syncs) {
            wait += self.size(FaultKind::SlowSync, who, syncs);
        }
        self.after(wait, Event::Saved(device, run));
        self.sync_leaves(device, run, syncs);
    }

    /// A sync has ended: what was to be stored when it began is stored.
    pub(crate) fn saved(&mut self, device: u32, run: u32) {
        let it = &mut self.devices[device as usize];
        if it.run != run || it.machine.is_none() {
            return;
        }
        let (due, touched) = (it.sync_due, it.touched);
        self.moved(FaultKind::SlowSync, due, touched);
        let it = &mut self.devices[device as usize];
        // What came while the sync had not begun in earnest goes with it.
        let count = core::mem::take(&mut it.syncing);
        let (syncs, who) = (it.syncs, Who::Device(device));
        if self.fault(FaultKind::KilledBeforeSync, who, syncs) {
            self.lost(Journey::Sync(device, run, syncs));
            self.fired(FaultKind::KilledBeforeSync);
            return self.kill_for(device, FaultKind::KilledBeforeSync, syncs);
        }
        self.arrives(Journey::Sync(device, run, syncs));
        let mut new_after_all = vec![];
        let mut upto = SaveId::default();
        for _ in 0..count {
            let Some((save, record)) = self.devices[device as usize].unsaved.pop_front() else { break };
            if self.store_record(device, record) {
                new_after_all.push(save);
            }
            upto = save;
        }
        if self.fault(FaultKind::KilledAfterSync, who, syncs) {
            self.fired(FaultKind::KilledAfterSync);
            return self.kill_for(device, FaultKind::KilledAfterSync, syncs);
        }
        self.tell_device(device, run, client::Input::Saved { upto, new_after_all });
        if self.devices[device as usize].run == run {
            self.sync(device);
        }
    }

    fn kill_for(&mut self, device: u32, kind: FaultKind, counter: u64) {
        let who = Who::Device(device);
        self.kill_device(device, self.draws.chance(who, What::Detail(3), counter, 500_000));
        let wait = self.size(kind, who, counter);
        self.after(wait, Event::Boot(device));
    }

    /// One record is on the disk from now on. Says whether an entry that came again was new after all.
    fn store_record(&mut self, device: u32, record: Record) -> bool {
        let disk = &mut self.devices[device as usize].disk;
        match record {
            Record::Written(outgoing) => {
                self.oracles.durable(outgoing.id);
                disk.outbox.push(outgoing);
            }
            Record::Accepted { conversation, id, seq, next, .. } => {
                disk.outbox.retain(|outgoing| outgoing.id != id);
                disk.show(conversation, true, id);
                let chat = disk.chat(conversation);
                chat.own_last = chat.own_last.max(seq);
                if next {
                    chat.cursor = chat.cursor.max(Some(seq));
                }
                let cursor = chat.cursor;
                self.work.accepted += 1;
                self.oracles.accepted(device, conversation, id, seq);
                self.oracles.has(device, conversation, cursor);
            }
            Record::Failed { id, reject, .. } => {
                disk.outbox.retain(|outgoing| outgoing.id != id);
                self.oracles.refused(id, reject);
            }
            Record::Received { conversation, delivery, again } => return self.store_entry(device, conversation, &delivery, again),
            Record::Read { conversation, upto } => disk.chat(conversation).read = upto,
            Record::ReadTold { conversation, upto } => disk.chat(conversation).read_told = upto,
            Record::Receipt { conversation, delivered, read } => {
                let chat = disk.chat(conversation);
                let before = (chat.peer_delivered, chat.peer_read);
                (chat.peer_delivered, chat.peer_read) = (delivered, read);
                self.oracles.ticks(device, conversation, before, (delivered, read));
            }
            Record::Token(secret) => {
                disk.token = secret;
                if self.devices[device as usize].age_ms > 0 {
                    self.device_feels(device, FaultKind::OldToken);
                }
            }
            Record::Started(starts) => disk.starts = starts,
        }
        false
    }

    fn store_entry(&mut self, device: u32, conversation: ConversationId, delivery: &Delivery, again: bool) -> bool {
        let own = matches!(delivery.from, Sender::Own(_));
        let it = &mut self.devices[device as usize];
        let before = it.disk.chat(conversation).cursor;
        let new = it.disk.show(conversation, own, delivery.id);
        let chat = it.disk.chat(conversation);
        chat.cursor = chat.cursor.max(Some(delivery.seq));
        if again && new {
            chat.cursor = Some(delivery.seq);
        }
        if own {
            chat.own_last = chat.own_last.max(delivery.seq);
        }
        let cursor = chat.cursor;
        it.last_chat = Some(conversation);
        self.work.stored += 1;
        self.oracles.entry(device, conversation, delivery, before, again, new);
        self.oracles.has(device, conversation, cursor);
        again && new
    }

    pub(crate) fn heal_device(&mut self, device: u32) {
        let who = Who::Device(device);
        let it = &mut self.devices[device as usize];
        it.offline_until = 0;
        if it.hostile || it.dead {
            it.dead = true;
            return self.kill_device(device, true);
        }
        if it.id.is_some() && self.draws.chance(who, What::Constant(6), 0, self.scenario.dead) {
            it.dead = true;
            // Half of them are switched off, the others on and out of reach.
            if self.draws.chance(who, What::Constant(7), 0, 500_000) {
                return self.kill_device(device, false);
            }
            self.devices[device as usize].offline_until = u64::MAX;
            if let Some(link) = self.devices[device as usize].link {
                self.mute(link);
            }
            return;
        }
        self.boot(device);
        self.tell_app(device, client::Input::Hurry);
    }

    pub(crate) fn device_befalls(&mut self, device: u32, kind: FaultKind) {
        self.devices[device as usize].felt &= !(1 << kind as u64);
    }

    pub(crate) fn device_feels(&mut self, device: u32, kind: FaultKind) {
        let felt = &mut self.devices[device as usize].felt;
        if *felt & (1 << kind as u64) == 0 {
            *felt |= 1 << kind as u64;
            self.fired(kind);
        }
    }
}
