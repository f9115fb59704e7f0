//! Devices are spread over servers and move, and servers are killed and stopped under load.

use std::time::Duration;

use doubletick_core::gateway::Drain;
use doubletick_core::time::Millis;
use doubletick_server::Stop;

use crate::houses::{Cluster, Device, House, alone};

const SERVERS: usize = 3;
/// What each device writes to each other one in a round.
const EACH: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn servers_that_come_and_go_on_one_cluster_lose_double_and_reorder_nothing() {
    let _alone = alone().await;
    tokio::time::timeout(Duration::from_secs(120), story()).await.expect("it comes to its end");
}

/// A device and the number of the server that it is at.
type At = (usize, Device);

async fn story() {
    // What a cluster does all the time, and now and then.
    let cluster = Cluster::with(
        "seed=11 conflict=0.03 too_old=0.005 unknown_committed=0.03 unknown_lost=0.03 watch_late=0.1 watch_late_ms=50 watch_failed=0.02",
    );
    let stop = Stop { drain: Drain { spread: Millis(100), ..Drain::default() }, ..Stop::ALONE };
    let mut houses = vec![];
    for _ in 0..SERVERS {
        houses.push(House::open(&cluster, stop).await);
    }
    let mut devices: Vec<At> = vec![];
    for number in 0..4 {
        let at = number % SERVERS;
        devices.push((at, Device::register(number, houses[at].address()).await));
    }

    for round in 0..2 * SERVERS {
        let victim = round % SERVERS;
        for n in 0..EACH {
            if n == EACH / 2 {
                // In the middle of it one server is gone, without a word or with one.
                let running = houses[victim].running.take().unwrap();
                if round < SERVERS { running.kill().await } else { running.stop().await }
            }
            for (_, from) in &devices {
                for (_, to) in devices.iter().filter(|(_, to)| to.client.account().device != from.client.account().device) {
                    from.client.send(from.chat(to), &format!("{round}.{n}")).await.unwrap();
                }
            }
        }
        // Those who were there move on, one of them before the server is back, and all others stay.
        let mut moved = vec![];
        for (at, device) in devices {
            let next = (victim + 1) % SERVERS;
            moved.push(if at == victim { (next, device.move_to(houses[next].address()).await) } else { (at, device) });
        }
        devices = moved;
        houses[victim].start().await;
        let (_, mover) = devices.remove(0);
        devices.push((victim, mover.move_to(houses[victim].address()).await));
    }

    let expected: Vec<String> = (0..2 * SERVERS).flat_map(|round| (0..EACH).map(move |n| format!("{round}.{n}"))).collect();
    for (_, to) in &devices {
        for (_, from) in devices.iter().filter(|(_, from)| from.client.account().device != to.client.account().device) {
            to.has_heard(from, &expected).await;
        }
    }
    let counts: Vec<_> = houses.iter().map(|house| house.store.counts()).collect();
    let repeated = counts.iter().any(|counts| counts.attempts > counts.answered);
    assert!(counts.iter().any(|counts| counts.unknown > 0) && repeated, "the cluster's faults have come through to the stores: {counts:?}");
    for (_, device) in devices {
        device.client.close().await;
    }
    for house in &mut houses {
        house.running.take().unwrap().stop().await;
    }
}
