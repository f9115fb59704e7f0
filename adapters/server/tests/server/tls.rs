//! The same over TLS.

use std::path::PathBuf;
use std::sync::Arc;

use doubletick_core::frame::{ClientFrame, CloseReason, ServerFrame};
use doubletick_server::{Config, Server, StartError, Tls, seam};
use doubletick_store::memory::Memory;
use doubletick_wire::Token;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::world::{self, CODE, http, start};

/// A directory that goes with the test.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("doubletick-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // A directory that stays behind harms nobody.
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn certificate(files: &Files) -> (Tls, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let tls = Tls { certificate: files.0.join("cert.pem"), key: files.0.join("key.pem") };
    std::fs::write(&tls.certificate, made.cert.pem()).unwrap();
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
    (tls, made.cert.der().clone())
}

async fn connect(addr: std::net::SocketAddr, root: &CertificateDer<'static>) -> TlsStream<seam::TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = seam::connect(addr).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
}

#[test]
fn devices_register_and_connect_over_tls() {
    world::run(async {
        let files = Files::new("tls");
        let (tls, root) = certificate(&files);
        let server = start(Config { tls: Some(tls), ..world::config() }).await;
        let post =
            |path: &str, body: String| format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let register = post("/v1/register", r#"{"phone":"+4915100000001"}"#.into());
        assert_eq!(http(connect(server.addr(), &root).await, &register).await.status, 202);
        let verify = post("/v1/verify", format!(r#"{{"phone":"+4915100000001","code":"{CODE}"}}"#));
        let verified = http(connect(server.addr(), &root).await, &verify).await;
        let token = Token::parse(verified.json()["token"].as_str().unwrap()).unwrap();

        let mut device = world::upgrade(connect(server.addr(), &root).await).await;
        device.greet(token).await;
        device.say(ClientFrame::Ping).await;
        device.expect(|frame| matches!(frame, ServerFrame::Pong).then_some(())).await;
        let stopping = tokio::spawn(server.stop());
        assert_eq!(device.closed().await, CloseReason::Restarting);
        drop(device);
        stopping.await.unwrap();
    });
}

#[test]
fn whoever_speaks_plainly_to_a_tls_server_gets_nothing() {
    world::run(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let files = Files::new("tls-plain");
        let (tls, _) = certificate(&files);
        let server = start(Config { tls: Some(tls), ..world::config() }).await;
        let mut stream = seam::connect(server.addr()).await.unwrap();
        stream.write_all(b"GET /live HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ended = stream.read_to_end(&mut answer).await;
        assert!(!String::from_utf8_lossy(&answer).contains("HTTP"));
    });
}

#[test]
fn files_that_are_no_good_are_named() {
    world::run(async {
        let files = Files::new("tls-bad");
        let (good, _) = certificate(&files);
        let (empty, missing) = (files.0.join("empty.pem"), files.0.join("missing.pem"));
        std::fs::write(&empty, "").unwrap();
        for (tls, named) in [
            (Tls { certificate: missing.clone(), ..good.clone() }, &missing),
            (Tls { certificate: empty.clone(), ..good.clone() }, &empty),
            (Tls { key: missing.clone(), ..good.clone() }, &missing),
            (Tls { key: empty.clone(), ..good.clone() }, &empty),
        ] {
            let config = Config { tls: Some(tls), ..world::config() };
            match Server::start(config, Memory::new()).await {
                Err(StartError::Tls(sentence)) => assert!(sentence.contains(&named.display().to_string()), "{sentence}"),
                other => panic!("{other:?}"),
            }
        }
    });
}
