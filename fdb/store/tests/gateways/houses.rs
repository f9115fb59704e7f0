//! Servers on one cluster, and devices that use them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doubletick_client::{Client, ConversationId, Phone, Profile, Server as Address, State};
use doubletick_fdb::{Fdb, Network, Options};
use doubletick_fdb_sandbox::library;
use doubletick_server::{Config, PerMinute, Registration, Running, Server, Stop};
use tokio::sync::{Mutex, MutexGuard};

pub(crate) const CODE: &str = "123456";

/// One story at a time: some of them measure.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    static STAGE: Mutex<()> = Mutex::const_new(());
    STAGE.lock().await
}

/// The client library's thread, for all stories, and as long as the process lives.
fn network() -> &'static Network {
    static NETWORK: OnceLock<Network> = OnceLock::new();
    NETWORK.get_or_init(|| Network::start(Some(&library())).unwrap())
}

/// A database that nobody else has, with faults.
pub(crate) struct Cluster(pub(crate) PathBuf);

impl Cluster {
    pub(crate) fn with(faults: &str) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("gateways{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let file = std::env::temp_dir().join(format!("doubletick-{name}-{}.cluster", std::process::id()));
        std::fs::write(&file, format!("# sandbox: {faults}\n{name}:sandbox@127.0.0.1:4500\n")).unwrap();
        Self(file)
    }

    pub(crate) async fn open(&self) -> Fdb {
        Fdb::open(network(), Options::new(&self.0)).await.unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It lies in the directory for temporary files.
        let _left = std::fs::remove_file(&self.0);
    }
}

/// One of the servers, with a handle of its own to the cluster, as if it were a process of its own.
pub(crate) struct House {
    pub(crate) store: Fdb,
    config: Config,
    pub(crate) running: Option<Running>,
}

impl House {
    pub(crate) async fn open(cluster: &Cluster, stop: Stop) -> Self {
        Self::open_as(cluster, stop, false).await
    }

    /// One that is reached through a load balancer only, if it is proxied.
    pub(crate) async fn open_as(cluster: &Cluster, stop: Stop, proxied: bool) -> Self {
        let often = PerMinute { per_minute: 360_000, burst: 1_000 };
        let config = Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            proxied,
            shards: 2,
            stop,
            registration: Registration { per_address: often, overall: often, insecure_fixed_code: Some(CODE.into()) },
            ..Config::default()
        };
        let mut house = Self { store: cluster.open().await, config, running: None };
        house.start().await;
        house.config.listen = house.running.as_ref().unwrap().addr();
        house
    }

    pub(crate) async fn start(&mut self) {
        self.running = Some(Server::start(self.config.clone(), self.store.clone()).await.unwrap());
    }

    pub(crate) fn listen(&self) -> SocketAddr {
        self.config.listen
    }

    pub(crate) fn address(&self) -> Address {
        address(self.config.listen)
    }
}

pub(crate) fn address(of: SocketAddr) -> Address {
    Address::parse(&format!("http://{of}")).unwrap()
}

/// A device, and where its profile is.
pub(crate) struct Device {
    directory: tempfile::TempDir,
    pub(crate) client: Client,
}

impl Device {
    pub(crate) async fn register(number: usize, server: Address) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let profile = Profile::open(directory.path(), server).unwrap();
        profile.register(&Phone::parse(&format!("+4915100000{number:03}")).unwrap()).await.unwrap();
        profile.verify(CODE, "test").await.unwrap();
        let client = profile.start().unwrap();
        client.online().await.unwrap();
        Self { directory, client }
    }

    /// The app is closed, and started again with another server.
    pub(crate) async fn move_to(self, server: Address) -> Self {
        let Self { directory, client } = self;
        client.close().await;
        // The profile is free once the last of the client's tasks is gone.
        let profile = loop {
            match Profile::open(directory.path(), server.clone()) {
                Ok(profile) => break profile.with_server(server),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        Self { directory, client: profile.start().unwrap() }
    }

    pub(crate) fn chat(&self, other: &Self) -> ConversationId {
        self.client.conversation_with(other.client.account().device.user).unwrap()
    }

    /// What it shows of the other's texts, in order; and whether all of its own have a second tick.
    pub(crate) fn heard(&self, other: &Self) -> (Vec<String>, bool) {
        let history = self.client.history(self.chat(other), None, 10_000).unwrap();
        let heard = history.iter().filter(|message| !message.own).map(|message| message.body.display().to_string());
        let ticked = history.iter().filter(|message| message.own).all(|message| message.state == State::Delivered);
        (heard.collect(), ticked)
    }

    /// Waits until it has heard exactly this of the other, and the other of it what it has written.
    pub(crate) async fn has_heard(&self, other: &Self, expected: &[String]) {
        loop {
            let (heard, ticked) = self.heard(other);
            assert!(expected.starts_with(&heard), "in order and once: {heard:?}");
            if heard == expected && ticked {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
