//! Several servers on one cluster: devices are spread over them and move, servers are killed and stopped under load, and no promise breaks.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use doubletick_client::{Client, ConversationId, Phone, Profile, Server as Address, State};
use doubletick_core::gateway::Drain;
use doubletick_core::time::Millis;
use doubletick_fdb::{Fdb, Network, Options};
use doubletick_fdb_sandbox::library;
use doubletick_server::{Config, PerMinute, Registration, Running, Server, Stop};

const CODE: &str = "123456";
const SERVERS: usize = 3;
/// What each device writes to each other one in a round.
const EACH: usize = 8;

/// One of the servers, with a handle of its own to the cluster, as if it were a process of its own.
struct House {
    store: Fdb,
    config: Config,
    running: Option<Running>,
}

impl House {
    async fn open(network: &Network, cluster: &PathBuf) -> Self {
        let often = PerMinute { per_minute: 360_000, burst: 1_000 };
        let config = Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            shards: 2,
            stop: Stop { drain: Drain { spread: Millis(100), ..Drain::default() }, ..Stop::ALONE },
            registration: Registration { per_address: often, overall: often, insecure_fixed_code: Some(CODE.into()) },
            ..Config::default()
        };
        let store = Fdb::open(network, Options::new(cluster)).await.unwrap();
        let mut house = Self { store, config, running: None };
        house.start().await;
        house.config.listen = house.running.as_ref().unwrap().addr();
        house
    }

    async fn start(&mut self) {
        self.running = Some(Server::start(self.config.clone(), self.store.clone()).await.unwrap());
    }

    fn address(&self) -> Address {
        Address::parse(&format!("http://{}", self.config.listen)).unwrap()
    }
}

/// A device, and where its profile is.
struct Device {
    directory: tempfile::TempDir,
    client: Client,
    /// At which of the servers it is.
    at: usize,
}

impl Device {
    async fn register(number: usize, houses: &[House]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = number % houses.len();
        let profile = Profile::open(directory.path(), houses[at].address()).unwrap();
        profile.register(&Phone::parse(&format!("+4915100000{number:03}")).unwrap()).await.unwrap();
        profile.verify(CODE, "test").await.unwrap();
        let client = profile.start().unwrap();
        client.online().await.unwrap();
        Self { directory, client, at }
    }

    /// The app is closed, and started again with another server.
    async fn move_to(self, at: usize, houses: &[House]) -> Self {
        let Self { directory, client, .. } = self;
        client.close().await;
        // The profile is free once the last of the client's tasks is gone.
        let profile = loop {
            match Profile::open(directory.path(), houses[at].address()) {
                Ok(profile) => break profile.with_server(houses[at].address()),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        Self { directory, client: profile.start().unwrap(), at }
    }

    fn chat(&self, other: &Self) -> ConversationId {
        self.client.conversation_with(other.client.account().device.user).unwrap()
    }

    /// What it shows of the other's texts, in order; and whether all of its own have a second tick.
    fn heard(&self, other: &Self) -> (Vec<String>, bool) {
        let history = self.client.history(self.chat(other), None, 10_000).unwrap();
        let heard = history.iter().filter(|message| !message.own).map(|message| message.body.display().to_string());
        let ticked = history.iter().filter(|message| message.own).all(|message| message.state == State::Delivered);
        (heard.collect(), ticked)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn servers_that_come_and_go_on_one_cluster_lose_double_and_reorder_nothing() {
    tokio::time::timeout(Duration::from_secs(120), story()).await.expect("it comes to its end");
}

async fn story() {
    let network = Network::start(Some(&library())).unwrap();
    let cluster = std::env::temp_dir().join(format!("doubletick-gateways-{}.cluster", std::process::id()));
    // What a cluster does all the time, and now and then.
    let faults =
        "seed=11 conflict=0.03 too_old=0.005 unknown_committed=0.03 unknown_lost=0.03 watch_late=0.1 watch_late_ms=50 watch_failed=0.02";
    std::fs::write(&cluster, format!("# sandbox: {faults}\ngateways:sandbox@127.0.0.1:4500\n")).unwrap();
    let mut houses = vec![];
    for _ in 0..SERVERS {
        houses.push(House::open(&network, &cluster).await);
    }
    let mut devices = vec![];
    for number in 0..4 {
        devices.push(Device::register(number, &houses).await);
    }

    for round in 0..2 * SERVERS {
        let victim = round % SERVERS;
        for n in 0..EACH {
            if n == EACH / 2 {
                // In the middle of it one server is gone, without a word or with one.
                let running = houses[victim].running.take().unwrap();
                if round < SERVERS { running.kill().await } else { running.stop().await }
            }
            for from in &devices {
                for to in devices.iter().filter(|to| to.client.account().device != from.client.account().device) {
                    from.client.send(from.chat(to), &format!("{round}.{n}")).await.unwrap();
                }
            }
        }
        // Those who were there move on, one of them before the server is back, and all others stay.
        let mut moved = vec![];
        for device in devices {
            moved.push(if device.at == victim { device.move_to((victim + 1) % SERVERS, &houses).await } else { device });
        }
        devices = moved;
        houses[victim].start().await;
        let mover = devices.remove(0).move_to(victim, &houses).await;
        devices.push(mover);
    }

    let expected: Vec<String> = (0..2 * SERVERS).flat_map(|round| (0..EACH).map(move |n| format!("{round}.{n}"))).collect();
    for to in &devices {
        for from in devices.iter().filter(|from| from.client.account().device != to.client.account().device) {
            loop {
                let (heard, ticked) = to.heard(from);
                assert!(expected.starts_with(&heard), "in order and once: {heard:?}");
                if heard == expected && ticked {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    let counts: Vec<_> = houses.iter().map(|house| house.store.counts()).collect();
    let repeated = counts.iter().any(|counts| counts.attempts > counts.answered);
    assert!(counts.iter().any(|counts| counts.unknown > 0) && repeated, "the cluster's faults have come through to the stores: {counts:?}");
    for device in devices {
        device.client.close().await;
    }
    for house in &mut houses {
        house.running.take().unwrap().stop().await;
    }
    drop(houses);
    drop(network);
    std::fs::remove_file(cluster).unwrap();
}
