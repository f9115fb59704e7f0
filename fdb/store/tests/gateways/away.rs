//! The cluster is away for a while: the servers stay up, refuse with a code that says to try again, and go on by themselves.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use doubletick_client::{Event, Reject};
use doubletick_server::Stop;
use foundationdb::Database;
use foundationdb::options::TransactionOption;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::houses::{Cluster, Device, House, alone};

/// How long it is away: longer than a transaction waits, and shorter than a lease.
const AWAY: Duration = Duration::from_secs(12);

/// Sets the faults of a database, whatever they are.
async fn befall(database: &Database, faults: &str) {
    let transaction = database.create_trx().unwrap();
    transaction.set_option(TransactionOption::SpecialKeySpaceEnableWrites).unwrap();
    transaction.set(b"\xff\xff/sandbox/faults", faults.as_bytes());
    transaction.commit().await.unwrap();
}

async fn http(to: SocketAddr, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(to).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn is_ready(house: &House) -> bool {
    let answer = http(house.listen(), "GET /ready HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 503"), "{answer}");
    answer.starts_with("HTTP/1.1 200")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_the_cluster_is_away_servers_say_so_and_afterwards_all_goes_on_by_itself() {
    let _alone = alone().await;
    tokio::time::timeout(Duration::from_secs(90), story()).await.expect("it comes to its end");
}

async fn story() {
    let cluster = Cluster::with("seed=3");
    let mut houses = [House::open(&cluster, Stop::ALONE).await, House::open(&cluster, Stop::ALONE).await];
    let database = Database::from_path(cluster.0.to_str().unwrap()).unwrap();
    let (ann, ben) = (Device::register(1, houses[0].address()).await, Device::register(2, houses[1].address()).await);
    let mut texts = vec!["before".to_owned()];
    ann.client.send(ann.chat(&ben), &texts[0]).await.unwrap();
    ben.has_heard(&ann, &texts).await;
    assert!(is_ready(&houses[0]).await);

    befall(&database, "unreachable=1").await;
    let gone = Instant::now();
    let mut events = ann.client.events();
    for n in 0..5 {
        texts.push(format!("meanwhile {n}"));
        ann.client.send(ann.chat(&ben), &texts[n + 1]).await.unwrap();
    }
    assert!(!is_ready(&houses[0]).await && !is_ready(&houses[1]).await);
    let body = r#"{"phone":"+4915100000009"}"#;
    let request = format!("POST /v1/register HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let refused = http(houses[0].listen(), &request).await.to_ascii_lowercase();
    let code = format!("\"code\":{}", Reject::Unavailable.code());
    assert!(refused.starts_with("http/1.1 503") && refused.contains("retry-after: ") && refused.contains(&code), "{refused}");
    loop {
        if let Some(Event::HeldUp(reject)) = events.next().await {
            assert_eq!(reject, Reject::Unavailable, "a message that cannot be stored is refused for the moment");
            break;
        }
    }
    tokio::time::sleep(AWAY.saturating_sub(gone.elapsed())).await;
    assert_eq!(ben.heard(&ann).0, ["before"]);

    befall(&database, "unreachable=0").await;
    let back = Instant::now();
    ben.has_heard(&ann, &texts).await;
    while !is_ready(&houses[0]).await || !is_ready(&houses[1]).await {}
    println!("{} ms after the cluster was back everything had arrived", back.elapsed().as_millis());
    assert!(back.elapsed() < Duration::from_secs(15));
    for device in [ann, ben] {
        device.client.close().await;
    }
    for house in &mut houses {
        house.running.take().unwrap().stop().await;
    }
}
