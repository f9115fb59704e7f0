//! Registration and health over HTTP.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use doubletick_core::id::Phone;
use doubletick_core::reject::Reject;
use doubletick_server::{PerMinute, Server, SmsError, SmsSender, seam};
use doubletick_store::memory::{Fault, Memory};
use doubletick_wire::{Token, secret_text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{self, CODE, connect, get, http, post, register, start};

#[test]
fn a_server_that_serves_is_live_and_ready() {
    world::run(async {
        let server = start(world::config()).await;
        for path in ["/live", "/ready"] {
            assert_eq!(get(server.addr(), path).await.status, 200, "{path}");
        }
        assert!(get(server.addr(), "/").await.body.contains("/v1/register"));
    });
}

#[test]
fn a_server_whose_store_refuses_is_live_and_not_ready() {
    world::run(async {
        let store = Memory::new();
        let server = Server::start(world::config(), store.clone()).await.unwrap();
        store.fail_next(1_000, Fault::Unavailable);
        assert_eq!(get(server.addr(), "/live").await.status, 200);
        let ready = get(server.addr(), "/ready").await;
        assert_eq!((ready.status, ready.code()), (503, Reject::Unavailable.code().into()));
        assert!(ready.head.contains("retry-after: "));
    });
}

#[test]
fn a_retry_of_a_registration_hears_the_first_answer() {
    world::run(async {
        let server = start(world::config()).await;
        post(server.addr(), "/v1/register", r#"{"phone":"+4915100000001"}"#).await;
        let secret = secret_text(&doubletick_core::id::Secret([3; 32]));
        let verify = format!(r#"{{"phone":"+4915100000001","code":"{CODE}","secret":"{secret}","name":"phone"}}"#);
        let first = post(server.addr(), "/v1/verify", &verify).await;
        let again = post(server.addr(), "/v1/verify", &verify).await;
        assert_eq!((first.status, again.status), (200, 200));
        assert_eq!(first.json()["token"], again.json()["token"]);
        let token = Token::parse(first.json()["token"].as_str().unwrap()).unwrap();
        assert_eq!(first.json()["user"], token.device.user.0.to_string());
        assert_eq!(first.json()["device"], token.device.serial);
        assert_eq!(token.secret, doubletick_core::id::Secret([3; 32]));
    });
}

#[test]
fn a_registration_outlives_conflicts_and_unknown_outcomes_of_the_store() {
    world::run(async {
        let store = Memory::new();
        let server = Server::start(world::config(), store.clone()).await.unwrap();
        for fault in [Fault::Retry, Fault::UnknownCommitted, Fault::UnknownNotCommitted] {
            store.fail_next(2, fault);
            register(server.addr(), "+4915100000001").await;
        }
    });
}

#[test]
fn what_is_wrong_with_a_request_is_told_with_its_number() {
    world::run(async {
        let mut config = world::config();
        config.registration.per_address = PerMinute { per_minute: 1000, burst: 1000 };
        let server = start(config).await;
        post(server.addr(), "/v1/register", r#"{"phone":"+4915100000001"}"#).await;
        let large = format!(r#"{{"phone":"{}"}}"#, "1".repeat(5_000));
        let name = format!(r#"{{"phone":"+4915100000001","code":"{CODE}","name":"{}"}}"#, "n".repeat(65));
        for (path, body, status, reject) in [
            ("/v1/register", "", 400, Reject::Nonsense),
            ("/v1/register", "{", 400, Reject::Nonsense),
            ("/v1/register", r#"{"phone":7}"#, 400, Reject::Nonsense),
            ("/v1/register", r#"{"phone":"12"}"#, 400, Reject::Nonsense),
            ("/v1/register", &large, 413, Reject::BadContent),
            ("/v1/verify", r#"{"phone":"+4915100000001","code":"123456"}"#, 403, Reject::WrongCode),
            ("/v1/verify", r#"{"phone":"+4915100000002","code":"000000"}"#, 403, Reject::CodeVoid),
            ("/v1/verify", r#"{"phone":"+4915100000001","code":"000000","secret":"short"}"#, 400, Reject::Nonsense),
            ("/v1/verify", &name, 400, Reject::Nonsense),
            ("/nothing", "", 404, Reject::Nonsense),
            ("/ready", "", 405, Reject::Nonsense),
        ] {
            let answer = post(server.addr(), path, body).await;
            assert_eq!((answer.status, answer.code()), (status, reject.code().into()), "{path} {body}");
            assert!(answer.json()["error"].as_str().is_some_and(|sentence| sentence.ends_with('.')), "{}", answer.body);
        }
        let wrong = get(server.addr(), "/v1/register").await;
        assert_eq!(wrong.status, 405);
        assert!(wrong.head.contains("allow: post"));
    });
}

#[test]
fn a_body_that_never_ends_is_not_read_beyond_its_limit() {
    world::run(async {
        let server = start(world::config()).await;
        let request = format!(
            "POST /v1/register HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{}",
            format!("400\r\n{}\r\n", "x".repeat(0x400)).repeat(8)
        );
        assert_eq!(http(seam::connect(server.addr()).await.unwrap(), &request).await.status, 413);
    });
}

#[test]
fn an_address_that_registers_too_often_waits() {
    world::run(async {
        let mut config = world::config();
        config.registration.per_address = PerMinute { per_minute: 1, burst: 2 };
        let server = start(config).await;
        let mut last = None;
        for n in 0..3 {
            last = Some(post(server.addr(), "/v1/register", &format!(r#"{{"phone":"+491510000000{n}"}}"#)).await);
        }
        let last = last.unwrap();
        assert_eq!((last.status, last.code()), (429, 11));
        assert!(last.head.contains("retry-after: ") && last.json()["retry_after"].as_u64().is_some_and(|wait| wait > 1_000));
    });
}

#[test]
fn a_number_gets_only_so_many_codes() {
    world::run(async {
        let mut config = world::config();
        config.registration.insecure_fixed_code = None;
        let server = start(config).await;
        let mut answers = Vec::new();
        for _ in 0..=doubletick_core::limits::CODES_PER_WINDOW {
            answers.push(post(server.addr(), "/v1/register", r#"{"phone":"+4915100000001"}"#).await.status);
        }
        assert_eq!(answers, [202, 202, 202, 202, 202, 429]);
    });
}

#[derive(Default)]
struct Phones(Mutex<Vec<(String, String)>>);

impl SmsSender for Phones {
    fn send<'a>(&'a self, phone: &'a Phone, text: &'a str) -> Pin<Box<dyn Future<Output = Result<(), SmsError>> + Send + 'a>> {
        self.0.lock().unwrap().push((phone.as_str().into(), text.into()));
        Box::pin(ready(if phone.as_str().ends_with('9') { Err(SmsError("no such phone".into())) } else { Ok(()) }))
    }
}

#[test]
fn the_code_that_reaches_the_phone_is_the_one_that_is_good() {
    world::run(async {
        let mut config = world::config();
        config.registration.insecure_fixed_code = None;
        let phones = Arc::new(Phones::default());
        let server = Server::start_with(config, Memory::new(), phones.clone()).await.unwrap();
        assert_eq!(post(server.addr(), "/v1/register", r#"{"phone":"+4915100000001"}"#).await.json()["digits"], 6);
        let (phone, text) = phones.0.lock().unwrap().pop().unwrap();
        assert_eq!(phone, "+4915100000001");
        let code = text.strip_prefix("your code is ").unwrap();
        let verified = post(server.addr(), "/v1/verify", &format!(r#"{{"phone":"{phone}","code":"{code}"}}"#)).await;
        assert_eq!(verified.status, 200);
        let failed = post(server.addr(), "/v1/register", r#"{"phone":"+4915100000009"}"#).await;
        assert_eq!((failed.status, failed.code()), (503, 16));
    });
}

#[test]
fn clients_that_come_all_at_once_are_told_different_times_to_come_back() {
    world::run(async {
        let arrivals = doubletick_core::rate::Rate { per_second: 1, burst: 2 };
        let server = start(doubletick_server::Config { arrivals, ..world::config() }).await;
        let _first = connect(server.addr()).await;
        let _second = connect(server.addr()).await;
        let upgrade = "GET /v1/ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: doubletick.v1\r\n\r\n";
        let mut told = vec![];
        for _ in 0..4 {
            let refused = world::http(doubletick_server::seam::connect(server.addr()).await.unwrap(), upgrade).await;
            assert_eq!(refused.status, 503);
            let after = refused.head.split("retry-after: ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
            told.push(after.parse::<u64>().unwrap());
        }
        assert!(told.is_sorted() && told[3] > told[1], "{told:?}");
        // What is no WebSocket is served all the same.
        assert_eq!(get(server.addr(), "/live").await.status, 200);
    });
}

#[test]
fn a_connection_beyond_the_limit_is_told_to_come_back() {
    world::run(async {
        let server = start(doubletick_server::Config { connections: 1, ..world::config() }).await;
        let device = connect(server.addr()).await;
        let refused = get(server.addr(), "/live").await;
        assert_eq!(refused.status, 503);
        assert!(refused.head.contains("retry-after: "));
        drop(device);
        // The place is free again once the server has seen the connection go.
        while get(server.addr(), "/live").await.status != 200 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_proxied_server_counts_registrations_by_the_address_that_the_header_says() {
    world::run(async {
        let mut config = world::config();
        config.proxied = true;
        config.registration.per_address = PerMinute { per_minute: 1, burst: 1 };
        let server = start(config).await;
        let ask = |from: u8, phone: &'static str| {
            let addr = server.addr();
            async move {
                let mut stream = seam::connect(addr).await.unwrap();
                let header = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &[192, 0, 2, from, 10, 0, 0, 1, 1, 2, 3, 4]].concat();
                stream.write_all(&header).await.unwrap();
                let body = format!(r#"{{"phone":"{phone}"}}"#);
                let request = format!("POST /v1/register HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                http(stream, &request).await.status
            }
        };
        assert_eq!(ask(1, "+4915100000001").await, 202);
        assert_eq!(ask(1, "+4915100000002").await, 429);
        assert_eq!(ask(2, "+4915100000003").await, 202);
        let mut bare = seam::connect(server.addr()).await.unwrap();
        bare.write_all(b"GET /ready HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        // What the peer has not read may come back as a reset.
        let _closed = bare.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "one without a header is closed");
    });
}
