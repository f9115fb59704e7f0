//! A server that can be killed and started again, and devices on disks that can lose their power.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use doubletick_client::{Client, ConversationId, Event, Events, Message, MessageId, Phone, Profile, Server as Address, State, Status};
use doubletick_core::gateway::Drain;
use doubletick_core::time::Millis;
use doubletick_server::{Config, PerMinute, Registration, Running, Server, Stop};
use doubletick_store::memory::Memory;

use crate::disk::{Disk, Unsynced};

/// The code of every verification.
pub(crate) const CODE: &str = "123456";

/// Runs a test; one that hangs fails.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs") });
}

/// A server with its store.
pub(crate) struct House {
    store: Memory,
    config: Config,
    server: Option<Running>,
    /// The address of a server that is gone.
    reserved: Option<tokio::net::TcpSocket>,
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::open_with(Config::default()).await
    }

    pub(crate) async fn open_with(config: Config) -> Self {
        let often = PerMinute { per_minute: 360_000, burst: 1_000 };
        let config = Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            shards: 2,
            stop: Stop { drain: Drain { spread: Millis(100), ..Drain::default() }, ..Stop::ALONE },
            registration: Registration { per_address: often, overall: often, insecure_fixed_code: Some(CODE.into()) },
            ..config
        };
        let mut house = Self { store: Memory::new(), config, server: None, reserved: None };
        house.start().await;
        // It comes back at the same address.
        house.config.listen = house.server.as_ref().unwrap().addr();
        house
    }

    pub(crate) async fn start(&mut self) {
        self.reserved = None;
        self.server = Some(Server::start(self.config.clone(), self.store.clone()).await.unwrap());
    }

    /// As a crash would: what needs no durability is gone with the process.
    pub(crate) async fn kill(&mut self) {
        self.server.take().unwrap().kill().await;
        self.gone();
    }

    pub(crate) async fn stop(&mut self) {
        self.server.take().unwrap().stop().await;
        self.gone();
    }

    /// Nobody listens at the address, and no other test's server may take it meanwhile.
    fn gone(&mut self) {
        self.store.forget_ephemeral();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.config.listen).unwrap();
        self.reserved = Some(socket);
    }

    pub(crate) fn address(&self) -> Address {
        Address::parse(&format!("http://{}", self.config.listen)).unwrap()
    }

    /// Registers a device and starts it. Devices with one number belong to one user.
    pub(crate) async fn device(&self, number: &str) -> Device {
        let disk = Disk::default();
        let profile = Profile::open_on(disk.clone(), self.address()).unwrap();
        let phone = Phone::parse(number).unwrap();
        profile.register(&phone).await.unwrap();
        profile.verify(CODE, "test").await.unwrap();
        let device = Device::of(disk, self.address(), profile.start().unwrap());
        device.client.online().await.unwrap();
        device
    }
}

/// A device.
pub(crate) struct Device {
    pub(crate) disk: Disk,
    address: Address,
    pub(crate) client: Client,
    pub(crate) events: Events,
}

impl Device {
    fn of(disk: Disk, address: Address, client: Client) -> Self {
        let events = client.events();
        Self { disk, address, client, events }
    }

    pub(crate) fn phone(&self) -> Phone {
        self.client.account().phone.clone()
    }

    /// Starts again from what is on the disk, after the program has ended in one way or the other.
    pub(crate) fn again(disk: &Disk, unsynced: Unsynced, address: Address) -> Self {
        let disk = disk.after_crash(unsynced);
        let client = Profile::open_on(disk.clone(), address.clone()).unwrap().start().unwrap();
        Self::of(disk, address, client)
    }

    /// The program is closed and started again.
    pub(crate) async fn restart(self) -> Self {
        let Self { disk, address, client, events } = self;
        client.close().await;
        drop(events);
        Self::again(&disk, Unsynced::Lost, address)
    }

    pub(crate) fn chat(&self, other: &Self) -> ConversationId {
        self.client.conversation_with(other.client.account().device.user).unwrap()
    }

    /// Waits for an event.
    pub(crate) async fn expect<T>(&mut self, wanted: impl Fn(&Event) -> Option<T>) -> T {
        loop {
            let event = self.events.next().await.expect("the client goes on");
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    }

    /// Waits for a text of somebody else's.
    pub(crate) async fn hears(&mut self, text: &str) -> Message {
        self.expect(|event| match event {
            Event::Message(_, message) if !message.own && message.body.display() == text => Some(message.clone()),
            _ => None,
        })
        .await
    }

    /// Waits until a message of this device's has got so far.
    pub(crate) async fn ticks(&mut self, chat: ConversationId, id: MessageId, state: State) {
        while self.client.own_message(chat, id).unwrap().unwrap().state != state {
            self.events.next().await.expect("the client goes on");
        }
    }

    /// Waits until the status is of a kind.
    pub(crate) async fn status(&mut self, wanted: impl Fn(&Status) -> bool) -> Status {
        while !wanted(&self.client.status()) {
            self.events.next().await.expect("the client goes on");
        }
        self.client.status()
    }

    /// A conversation as it is shown, own messages with a tick for each step.
    pub(crate) fn shown(&self, chat: ConversationId) -> Vec<String> {
        let line = |message: &Message| {
            let state = match message.state {
                State::Received => "",
                State::Waiting => " ·",
                State::Sent => " ✓",
                State::Delivered => " ✓✓",
                State::Read => " ✓✓✓",
                State::Failed { .. } => " !",
            };
            format!("{}{state}", message.body.display())
        };
        self.client.history(chat, None, 100_000).unwrap().iter().map(line).collect()
    }

    /// Waits until a conversation shows exactly this.
    pub(crate) async fn shows(&mut self, chat: ConversationId, lines: &[&str]) {
        while self.shown(chat) != lines {
            let next = tokio::time::timeout(Duration::from_secs(20), self.events.next()).await;
            assert!(next.is_ok(), "it shows {:?} and not {lines:?}", self.shown(chat));
        }
    }
}

impl Device {
    /// Waits until a conversation shows this many messages.
    pub(crate) async fn shows_all(&mut self, chat: ConversationId, count: usize) {
        while self.client.history(chat, None, count + 1).unwrap().len() < count {
            self.events.next().await.expect("the client goes on");
        }
    }
}
