//! One of three servers is gone without a word, with all of its connections.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use doubletick_core::limits;
use doubletick_server::Stop;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::houses::{Cluster, House};
use crate::plain_device::{Orders, Plain, Seen, register};

/// Every device is back by then, and has everything.
const BACK: Duration = Duration::from_secs(15);
/// Devices that are lost together with their server.
const LOST: usize = 30;

/// Waits until something is so, and says how long after a moment it was.
async fn until(since: Instant, so: impl Fn() -> bool) -> Duration {
    while !so() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    since.elapsed()
}

/// At which server a device is in the beginning.
fn at(user: u32) -> usize {
    user as usize % 3
}

/// Pairs whose two devices are at different servers, and one more device that watches those who will be lost.
async fn connect(
    count: u32,
    listen: &[SocketAddr],
    lost: &[u32],
    orders: &watch::Receiver<Orders>,
) -> (Vec<Arc<Mutex<Seen>>>, Vec<JoinHandle<()>>) {
    let (mut all_seen, mut tasks) = (vec![], vec![]);
    for user in 1..=count + 1 {
        let is_watcher = user == count + 1;
        let home = if is_watcher { 1 } else { at(user) };
        let seen: Arc<Mutex<Seen>> = Arc::default();
        all_seen.push(seen.clone());
        let device = Plain {
            user,
            peer: if user % 2 == 1 { user + 1 } else { user - 1 },
            servers: (0..3).map(|step| listen[(home + step) % 3]).collect(),
            // Who writes stays connected.
            writes: !is_watcher && home != 0,
            stays_away: lost.contains(&user),
            watches: if is_watcher { lost.to_vec() } else { vec![] },
            seen,
            orders: orders.clone(),
        };
        tasks.push(tokio::spawn(device.run()));
        if user % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
    (all_seen, tasks)
}

/// `count` devices, an even number, at three servers.
pub(crate) async fn story(count: u32) {
    let cluster = Cluster::with("seed=9 latency_us=500");
    let mut houses = vec![];
    for _ in 0..3 {
        houses.push(House::open(&cluster, Stop::ALONE).await);
    }
    register(&houses[0].store, count + 1).await;
    let listen: Vec<SocketAddr> = houses.iter().map(House::listen).collect();
    let (orders, receiver) = watch::channel(Orders::default());

    let lost: Vec<u32> = (1..=count).filter(|user| at(*user) == 0).step_by(3).take(LOST).collect();
    let (seen, tasks) = connect(count, &listen, &lost, &receiver).await;
    let devices = &seen[..count as usize];
    let watcher = &seen[count as usize];
    until(Instant::now(), || seen.iter().all(|seen| seen.lock().unwrap().online.is_some())).await;
    // Presence is known by then.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(watcher.lock().unwrap().offline.is_empty());

    // Half of what is written is for devices of the server that is gone a moment later.
    orders.send_modify(|orders| orders.write = true);
    let crash = Instant::now();
    houses[0].running.take().unwrap().kill().await;
    let living = || (1..=count).zip(devices).filter(|(user, _)| !lost.contains(user));
    let back =
        until(crash, || living().all(|(user, seen)| seen.lock().unwrap().online.is_some_and(|since| at(user) != 0 || since > crash))).await;
    let writes = |user: u32| u64::from(at(user) != 0);
    let complete = until(crash, || {
        living().all(|(user, seen)| {
            let peer = if user % 2 == 1 { user + 1 } else { user - 1 };
            let seen = seen.lock().unwrap();
            seen.accepted == writes(user) && seen.received == writes(peer)
        })
    })
    .await;
    let shown = until(crash, || watcher.lock().unwrap().offline.len() == lost.len()).await;
    println!("{count} devices: all back after {back:?}, with everything after {complete:?}; the lost were shown as gone after {shown:?}");
    assert!(back.max(complete) < BACK, "all were back after {back:?}, with everything after {complete:?}");
    assert!(shown < Duration::from_millis(limits::DEAD_AFTER.0), "the lost were shown as gone after {shown:?}");

    orders.send_modify(|orders| orders.over = true);
    for task in tasks {
        task.await.unwrap();
    }
    for house in &mut houses[1..] {
        house.running.take().unwrap().kill().await;
    }
}
