//! A rolling restart behind HAProxy, with the configuration that operators get.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use doubletick_client::{Event, Presence, Privacy, Status};
use doubletick_core::gateway::Drain;
use doubletick_core::time::Millis;
use doubletick_server::Stop;
use tokio::net::{TcpListener, TcpSocket};

use crate::houses::{Cluster, Device, House, address, alone};

const CONFIGURATION: &str = include_str!("../../../../deploy/haproxy.cfg");
const DEVICES: usize = 9;
/// How long a message may take while servers are restarted: a client that is sent away comes back within the spread and half a second, and
/// what it waits for was stored before.
const BOUND: Duration = Duration::from_secs(4);

/// HAProxy, until it is dropped.
struct Proxy {
    child: Child,
    /// Its configuration.
    _file: tempfile::NamedTempFile,
}

impl Proxy {
    /// Starts it with the configuration as it is, but for the places.
    fn start(front: SocketAddr, servers: &[SocketAddr]) -> Self {
        let mut text = CONFIGURATION.replace("bind :7400", &format!("bind {front}"));
        for (place, server) in servers.iter().enumerate() {
            let stands = format!("10.0.0.{}:7410", place + 1);
            assert!(text.contains(&stands), "the configuration has a server at {stands}");
            text = text.replace(&stands, &server.to_string());
        }
        assert!(text.contains(&format!("bind {front}")), "the configuration has a front end");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let child = Command::new("haproxy")
            .arg("-db")
            .arg("-f")
            .arg(file.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this test needs HAProxy: .ci/packages installs it (Debian package haproxy)");
        Self { child, _file: file }
    }

    fn still_runs(&mut self) {
        if self.child.try_wait().unwrap().is_some() {
            let mut says = String::new();
            self.child.stderr.take().unwrap().read_to_string(&mut says).unwrap();
            panic!("HAProxy does not run: {says}");
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The way of a device to HAProxy, from an address of its own, as if it were a machine of its own: connections are spread by the source.
async fn from(source: Ipv4Addr, to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let place = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut device, _)) = listener.accept().await {
            tokio::spawn(async move {
                let socket = TcpSocket::new_v4()?;
                socket.bind((source, 0).into())?;
                let mut proxy = socket.connect(to).await?;
                tokio::io::copy_bidirectional(&mut device, &mut proxy).await
            });
        }
    });
    place
}

/// What a device sees of a restart.
#[derive(Default)]
struct Seen {
    /// The longest that a message took, in milliseconds.
    slowest: AtomicU64,
    /// How often the device had to connect again.
    moved: AtomicU64,
    /// Somebody was shown as offline.
    flickered: AtomicBool,
}

async fn look(device: &Device, began: Instant, seen: Arc<Seen>) {
    let mut events = device.client.events();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            match event {
                Event::Message(_, message) if !message.own => {
                    let text = message.body.display().to_string();
                    let sent: u64 = text.split(' ').nth(1).and_then(|sent| sent.parse().ok()).unwrap();
                    seen.slowest.fetch_max(began.elapsed().as_millis() as u64 - sent, Ordering::Relaxed);
                }
                Event::Status(Status::Waiting { .. }) => drop(seen.moved.fetch_add(1, Ordering::Relaxed)),
                Event::Presence { presence: Presence::Offline { .. }, .. } => seen.flickered.store(true, Ordering::Relaxed),
                Event::Missed(_) => panic!("the test does not keep up"),
                _ => {}
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rolling_restart_behind_haproxy_loses_nothing_and_delays_nothing_beyond_its_bound() {
    let _alone = alone().await;
    tokio::time::timeout(Duration::from_secs(120), story()).await.expect("it comes to its end");
}

async fn story() {
    let cluster = Cluster::with("seed=5 conflict=0.01");
    let drain = Drain { over: Millis::seconds(2), spread: Millis(300), handover: Millis::seconds(15) };
    let stop = Stop { notice: Millis::seconds(4), drain, deadline: Millis::seconds(60) };
    let mut houses = vec![];
    for _ in 0..3 {
        houses.push(House::open_as(&cluster, stop, true).await);
    }
    let listen: Vec<SocketAddr> = houses.iter().map(House::listen).collect();
    // A port that was free a moment ago.
    let front = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let mut proxy = Proxy::start(front, &listen);
    while tokio::net::TcpStream::connect(front).await.is_err() {
        proxy.still_runs();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let (devices, seen, began) = devices_through(front).await;
    let restarting = Arc::new(AtomicBool::new(true));
    let writing = tokio::spawn(write(devices.clone(), restarting.clone(), began));
    for house in &mut houses {
        house.running.take().unwrap().stop().await;
        house.start().await;
        // HAProxy takes it back after two good answers.
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    restarting.store(false, Ordering::Relaxed);
    let texts = writing.await.unwrap();

    for (number, from) in devices.iter().enumerate() {
        devices[(number + 1) % DEVICES].has_heard(from, &texts).await;
    }
    let slowest = seen.iter().map(|seen| seen.slowest.load(Ordering::Relaxed)).max().unwrap();
    println!("{} messages, the slowest took {slowest} ms", texts.len() * DEVICES);
    assert!(Duration::from_millis(slowest) < BOUND, "a message took {slowest} ms");
    let moved: Vec<u64> = seen.iter().map(|seen| seen.moved.load(Ordering::Relaxed)).collect();
    assert!(moved.iter().all(|moved| *moved >= 1), "every device was sent away from a server that stopped: {moved:?}");
    assert!(seen.iter().all(|seen| !seen.flickered.load(Ordering::Relaxed)), "nobody was seen to go");
    for device in devices.iter() {
        device.client.clone().close().await;
    }
    drop(proxy);
    for house in &mut houses {
        house.running.take().unwrap().kill().await;
    }
}

/// Devices that each write to the next one and watch it, and what they see.
async fn devices_through(front: SocketAddr) -> (Arc<Vec<Device>>, Vec<Arc<Seen>>, Instant) {
    let began = Instant::now();
    let seen: Vec<Arc<Seen>> = (0..DEVICES).map(|_| Arc::default()).collect();
    let mut devices = vec![];
    for (number, seen) in seen.iter().enumerate() {
        let way = from(Ipv4Addr::new(127, 0, 1, 10 + number as u8), front).await;
        let device = Device::register(number, address(way)).await;
        device.client.set_privacy(Privacy::Everyone).await.unwrap();
        look(&device, began, seen.clone()).await;
        devices.push(device);
    }
    for (number, device) in devices.iter().enumerate() {
        let next = &devices[(number + 1) % DEVICES];
        device.client.watch(next.client.account().device.user, true).await.unwrap();
    }
    (Arc::new(devices), seen, began)
}

/// Writes until it is told to stop, and says what.
async fn write(devices: Arc<Vec<Device>>, goes_on: Arc<AtomicBool>, began: Instant) -> Vec<String> {
    let mut texts = vec![];
    while goes_on.load(Ordering::Relaxed) {
        let text = format!("{} {}", texts.len(), began.elapsed().as_millis());
        for (number, from) in devices.iter().enumerate() {
            let to = &devices[(number + 1) % DEVICES];
            from.client.send(from.chat(to), &text).await.unwrap();
        }
        texts.push(text);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    texts
}
