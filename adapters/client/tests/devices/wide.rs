//! Over TLS, with many messages.

use std::path::PathBuf;

use doubletick_client::{Phone, Profile, Server as Address, State, Status};
use doubletick_core::rate::Rate;
use doubletick_server::{Config, Tls};

use crate::disk::Disk;
use crate::world::{CODE, Device, House, run};

/// A certificate for 127.0.0.1 in files, and the directory that holds them.
fn certificate() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (directory, certificate, key)
}

#[test]
fn a_device_registers_and_connects_over_tls_and_believes_only_whom_it_was_told_to() {
    run(async {
        let (_directory, certificate, key) = certificate();
        let tls = Some(Tls { certificate: certificate.clone(), key });
        let house = House::open_with(Config { tls, ..Config::default() }).await;
        let url = house.address().to_string().replace("http://", "https://");

        let trusting = Address::parse_with_ca(&url, &certificate).unwrap();
        let profile = Profile::open_on(Disk::default(), trusting).unwrap();
        profile.register(&Phone::parse("+4915100000001").unwrap()).await.unwrap();
        profile.verify(CODE, "test").await.unwrap();
        let client = profile.start().unwrap();
        client.online().await.unwrap();
        assert_eq!(client.status(), Status::Online);

        let stranger = Profile::open_on(Disk::default(), Address::parse(&url).unwrap()).unwrap();
        let error = stranger.register(&Phone::parse("+4915100000002").unwrap()).await.unwrap_err();
        assert!(error.to_string().starts_with("no secure connection to 127.0.0.1:"), "{error}");
    });
}

/// Hands over messages all at once, waits until they have arrived, and compares what both sides show.
async fn pour(house: &House, count: usize) {
    let (mut ada, mut ben) = (house.device("+4915100000001").await, house.device("+4915100000002").await);
    let chat = ada.chat(&ben);
    let mut sending = tokio::task::JoinSet::new();
    for n in 0..count {
        let client = ada.client.clone();
        sending.spawn(async move { client.send(chat, &n.to_string()).await.unwrap() });
    }
    sending.join_all().await;
    ben.shows_all(chat, count).await;
    let last = ada.client.history(chat, None, 1).unwrap().pop().unwrap();
    ada.ticks(chat, last.id, State::Delivered).await;
    let texts = |device: &Device| -> Vec<String> {
        device.client.history(chat, None, count + 1).unwrap().iter().map(|message| message.body.display().into_owned()).collect()
    };
    let mut heard = texts(&ben);
    assert_eq!(heard, texts(&ada), "both see one order");
    heard.sort_by_key(|text| text.parse::<usize>().unwrap());
    assert_eq!(heard, (0..count).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_thousand_messages_written_at_once_arrive_once_each_in_one_order() {
    run(async {
        let mut config = Config::default();
        config.gateway.send_rate = Rate { per_second: 1_000_000, burst: 1_000_000 };
        pour(&House::open_with(config).await, 1000).await;
    });
}

#[test]
fn more_than_the_server_takes_at_once_is_slowed_down_and_arrives_all_the_same() {
    run(async {
        let mut config = Config::default();
        config.gateway.send_rate = Rate { per_second: 1_000, burst: 10 };
        pour(&House::open_with(config).await, 60).await;
    });
}
