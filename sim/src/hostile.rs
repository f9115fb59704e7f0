//! Devices that break the protocol, in every way that a gateway can see: a program that somebody wrote against it, with an account of its
//! own, and at times with the token of somebody else's device.
//!
//! Their word about themselves is not judged. What they do must harm nobody else, and be refused or end their connection where it is wrong.

use crate::draw::{What, Who};
use crate::fault::FaultKind;
use crate::world::World;
use doubletick_core::content::Content;
use doubletick_core::frame::{ClientFrame, Handle, Privacy, RequestId, ServerFrame, Target, UserList};
use doubletick_core::id::{ConversationId, DeviceId, MessageId, Phone, Secret, Seq, UserId};
use doubletick_core::limits;

/// Connections of a hostile device in a hundred that begin as they must.
const GREETS_RIGHT: u64 = 70;

impl World<'_> {
    /// Another frame, or another connection.
    pub(crate) fn hostile_acts(&mut self, device: u32) {
        let Some(link) = self.devices[device as usize].link else { return self.dial(device) };
        if !self.is_connected_link(link) {
            return;
        }
        if self.devices[device as usize].thief {
            // With somebody else's name it only listens.
            return self.send_up(link, ClientFrame::Ping);
        }
        let rate = self.options.setting(FaultKind::Hostile).per_million;
        let acts = self.devices[device as usize].acts;
        self.ledger.0[FaultKind::Hostile as usize].offered += 1;
        let frames = if self.draws.chance(Who::Device(device), What::Fault(FaultKind::Hostile), acts, rate) {
            self.hostile_frames(device)
        } else {
            self.proper_frame(device).into_iter().collect()
        };
        for frame in frames {
            self.oracles.said(device, &frame);
            self.send_up(link, frame);
        }
    }

    /// It is connected: mostly it greets as it must.
    pub(crate) fn hostile_greets(&mut self, device: u32) {
        let Some(link) = self.devices[device as usize].link else { return };
        let Some((own, secret)) = self.devices[device as usize].credentials() else { return };
        let dials = self.devices[device as usize].dials;
        let draw = |number: u32, below: u64| self.draws.below(Who::Device(device), What::Detail(40 + number), dials, below);
        let run = (dials << 32) | 1;
        self.devices[device as usize].thief = false;
        self.oracles.poses_as(device, None);
        if draw(0, 100) < GREETS_RIGHT {
            return self.send_up(link, ClientFrame::Hello { device: own, secret, run });
        }
        let victim =
            self.devices.get(draw(1, self.devices.len() as u64) as usize).and_then(|victim| Some((victim.credentials()?, victim.hostile)));
        let frame = match draw(2, 5) {
            0 => ClientFrame::Hello { device: own, secret: Secret([7; 32]), run },
            1 => ClientFrame::Ping,
            // Nothing at all, until the gateway loses its patience.
            2 => return,
            number => {
                let Some(((victim, stolen), hostile)) = victim else { return };
                if hostile {
                    return;
                }
                // Somebody else's name, with a secret of one's own, or with theirs and the number of an earlier or a later run.
                if number == 3 {
                    ClientFrame::Hello { device: victim, secret, run }
                } else {
                    self.oracles.poses_as(device, Some(victim));
                    self.devices[device as usize].thief = true;
                    let run = if draw(3, 2) == 0 { 1 } else { (1_u64 << 40) | dials };
                    ClientFrame::Hello { device: victim, secret: stolen, run }
                }
            }
        };
        self.send_up(link, frame);
    }

    /// What comes to a hostile device is looked at, and not answered.
    pub(crate) fn hostile_hears(&mut self, device: u32, frame: &ServerFrame) {
        if matches!(frame, ServerFrame::Refused { .. } | ServerFrame::Goodbye { .. }) {
            self.fired(FaultKind::Hostile);
        }
        self.oracles.heard_from_gateway(device, frame);
    }

    fn hostile_draw(&self, device: u32, number: u32, below: u64) -> u64 {
        self.draws.below(Who::Device(device), What::Detail(50 + number), self.devices[device as usize].acts, below)
    }

    fn request_of(&mut self, device: u32) -> RequestId {
        self.devices[device as usize].tags += 1;
        RequestId(self.devices[device as usize].tags as u32)
    }

    /// A conversation with somebody.
    fn hostile_talk(&self, device: u32) -> Option<(UserId, ConversationId)> {
        let own = self.devices[device as usize].id?.user;
        let users: Vec<UserId> = self.oracles.users().iter().flatten().copied().filter(|user| *user != own).collect();
        let other = *users.get(self.hostile_draw(device, 0, users.len() as u64) as usize)?;
        Some((other, ConversationId::direct(own, other)?))
    }

    fn hostile_message(&mut self, device: u32, conversation: ConversationId, nth: u64) -> (MessageId, Content) {
        let who = Who::Device(device);
        let counter = self.devices[device as usize].acts << 8 | nth;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.draws.number(who, What::Id(6), counter).to_be_bytes());
        id[8..].copy_from_slice(&self.draws.number(who, What::Id(7), counter).to_be_bytes());
        let content = Content::shared(1, counter.to_le_bytes().to_vec()).expect("it is within the limits");
        self.oracles.written(device, conversation, MessageId(id), &content);
        (MessageId(id), content)
    }

    fn proper_frame(&mut self, device: u32) -> Option<ClientFrame> {
        let (user, conversation) = self.hostile_talk(device)?;
        let request = self.request_of(device);
        Some(match self.hostile_draw(device, 1, 6) {
            0 => ClientFrame::Ping,
            1 => ClientFrame::Watch { user },
            2 => ClientFrame::Fetch { request, of: Target::Id(conversation), after: Seq::START },
            3 => ClientFrame::AskReceipts { of: vec![conversation] },
            _ => {
                let (id, content) = self.hostile_message(device, conversation, 0);
                ClientFrame::Send { request, attempt: 1 << 20, to: Target::Id(conversation), id, content, roster: 0 }
            }
        })
    }

    /// One way of breaking the protocol.
    fn hostile_frames(&mut self, device: u32) -> Vec<ClientFrame> {
        let Some((user, conversation)) = self.hostile_talk(device) else { return vec![] };
        let Some((own, secret)) = self.devices[device as usize].credentials() else { return vec![] };
        let request = self.request_of(device);
        let (to, of) = (Target::Id(conversation), Target::Id(conversation));
        let strangers = self.strangers(own.user).map(Target::Id);
        let far = Seq(u64::MAX - self.hostile_draw(device, 2, 3));
        let frame = match self.hostile_draw(device, 3, 24) {
            0 => ClientFrame::Hello { device: own, secret, run: 1 << 60 },
            1 => ClientFrame::Ack { request: Some(request), of, delivered: far, read: far },
            2 => ClientFrame::Ack { request: None, of: Target::Handle(Handle(u32::MAX)), delivered: Seq(1), read: Seq(1) },
            3 => ClientFrame::Ack { request: None, of, delivered: Seq(1), read: far },
            4 => ClientFrame::Fetch { request, of: strangers.unwrap_or(of), after: Seq::START },
            5 => ClientFrame::Fetch { request, of, after: far },
            6 => ClientFrame::AskReceipts { of: self.strangers(own.user).into_iter().collect() },
            7 => ClientFrame::Typing { to: strangers.unwrap_or(to), active: true },
            8 => ClientFrame::Typing { to: Target::Bind(Handle(3), conversation), active: true },
            9 => ClientFrame::Watch { user: UserId(1) },
            10 => ClientFrame::SetListed { request, list: UserList::Blocked, user: own.user, listed: true },
            11 => ClientFrame::SetListed { request, list: UserList::Contacts, user: UserId(1), listed: true },
            12 => ClientFrame::RemoveDevice { request, serial: u16::MAX },
            13 => ClientFrame::AskUser { request, user: UserId(1) },
            14 => ClientFrame::SetPrivacy { request, privacy: Privacy::Everyone },
            15 => {
                let to = Target::Handle(Handle(u32::MAX - 1));
                ClientFrame::Send { request, attempt: 0, to, id: MessageId([0; 16]), content: self.plain(), roster: 0 }
            }
            16 => return self.flood(device, conversation),
            17 => return (0..64).map(|_| ClientFrame::Ping).collect(),
            18 => {
                let phone = Phone::parse("+4915000000").expect("it is well formed");
                let phones = vec![phone; limits::BATCH_ITEMS];
                return (0..40).map(|n| ClientFrame::FindUsers { request: RequestId(request.0 + n), phones: phones.clone() }).collect();
            }
            19 => return (0..100).map(|n| ClientFrame::Watch { user: UserId(user.0 ^ n) }).collect(),
            20 => return (0..100).map(|_| ClientFrame::Typing { to, active: true }).collect(),
            21 => return self.one_name_for_two(device, conversation),
            22 => {
                let (id, content) = self.hostile_message(device, conversation, 0);
                ClientFrame::Send { request, attempt: u32::MAX, to, id, content, roster: 0 }
            }
            _ => {
                let id = MessageId([9; 16]);
                ClientFrame::Send {
                    request,
                    attempt: 1 << 20,
                    to: strangers.unwrap_or(Target::Handle(Handle(99))),
                    id,
                    content: self.plain(),
                    roster: 0,
                }
            }
        };
        vec![frame]
    }

    fn plain(&self) -> Content {
        Content::shared(1, *b"hello").expect("it is short")
    }

    /// A conversation of two others.
    fn strangers(&self, own: UserId) -> Option<ConversationId> {
        let mut others = self.oracles.users().iter().flatten().copied().filter(|user| *user != own);
        ConversationId::direct(others.next()?, others.next()?)
    }

    /// More messages than the window allows.
    fn flood(&mut self, device: u32, conversation: ConversationId) -> Vec<ClientFrame> {
        let mut frames = vec![];
        for nth in 0..80 {
            let (id, content) = self.hostile_message(device, conversation, nth);
            let request = self.request_of(device);
            frames.push(ClientFrame::Send { request, attempt: 1 << 20, to: Target::Id(conversation), id, content, roster: 0 });
        }
        frames
    }

    /// Two messages under one name.
    fn one_name_for_two(&mut self, device: u32, conversation: ConversationId) -> Vec<ClientFrame> {
        let (id, first) = self.hostile_message(device, conversation, 0);
        let contents = [first, self.plain()];
        let mut frames = vec![];
        for content in contents {
            let request = self.request_of(device);
            frames.push(ClientFrame::Send { request, attempt: 1 << 20, to: Target::Id(conversation), id, content, roster: 0 });
        }
        frames
    }
}

impl crate::device::Device {
    /// Who it is, and how it proves that.
    fn credentials(&self) -> Option<(DeviceId, Secret)> {
        Some((self.id?, self.disk.token()))
    }
}
