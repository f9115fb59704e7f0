//! Over TLS, with many messages.

use std::path::PathBuf;

use doubletick_client::{Phone, Profile, Server as Address, Status};
use doubletick_server::{Config, Tls};

use crate::disk::Disk;
use crate::world::{CODE, House, run};

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

#[test]
fn a_thousand_messages_written_at_once_arrive_in_order() {
    run(async {
        let house = House::open().await;
        let (ada, mut ben) = (house.device("+4915100000001").await, house.device("+4915100000002").await);
        let chat = ada.chat(&ben);
        let texts: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let mut sending = tokio::task::JoinSet::new();
        // Handed over in order, stored and sent in batches.
        for text in texts.clone() {
            let client = ada.client.clone();
            sending.spawn(async move { client.send(chat, &text).await.unwrap() });
        }
        sending.join_all().await;
        ben.shows_all(chat, texts.len()).await;
        let mut heard = ben.shown(chat);
        let sent: Vec<String> = ada.client.history(chat, None, 2000).unwrap().iter().map(|message| message.body.display().into_owned()).collect();
        assert_eq!(heard, sent, "both see one order");
        heard.sort_by_key(|text| text.parse::<u32>().unwrap());
        assert_eq!(heard, texts);
    });
}
