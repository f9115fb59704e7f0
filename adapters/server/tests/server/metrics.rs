//! What operators are told.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use doubletick_core::frame::{ClientFrame, RequestId, ServerFrame, Target};
use doubletick_server::{Config, Server};
use doubletick_store::memory::{Fault, Memory};

use crate::world::{self, between, get, message_id, open, register, text};

const ALERTS: &str = include_str!("../../../../deploy/alerts.yml");
const PAGE: &str = include_str!("../../../../docs/operations.md");

/// The metrics by their names with labels. Each has its kind and its sentence before it.
async fn metrics(addr: SocketAddr) -> BTreeMap<String, f64> {
    let answer = get(addr, "/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    let mut known = Vec::new();
    let mut values = BTreeMap::new();
    for line in answer.body.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            known.push(kind.split(' ').next().unwrap());
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(known.contains(&name.split('{').next().unwrap()), "{name} has no kind");
            assert!(values.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{name} stands there twice");
        }
    }
    values
}

#[test]
fn operators_are_told_what_each_kind_of_command_costs() {
    world::run(async {
        let store = Memory::new();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = Config { metrics: Some(listen), shards: 1, ..world::config() };
        let server = Server::start(config, store.clone()).await.unwrap();
        let operator = server.metrics_addr().unwrap();
        let (anna, ben) = (register(server.addr(), "+4915100000001").await, register(server.addr(), "+4915100000002").await);
        let mut device = open(server.addr(), anna).await;
        let mut other = open(server.addr(), ben).await;
        let to = Target::Id(between(anna.device, ben.device));
        let send = |id| ClientFrame::Send {
            request: RequestId(u32::from(id)),
            attempt: 0,
            to,
            id: message_id(id),
            content: text("hello"),
            roster: 0,
        };
        for id in 1..=2 {
            device.say(send(id)).await;
            device.expect(|frame| matches!(frame, ServerFrame::Accepted { .. }).then_some(())).await;
            other.expect(|frame| matches!(frame, ServerFrame::Deliver { .. }).then_some(())).await;
        }
        let told = metrics(operator).await;
        let of = |name: &str, command: &str| told[&format!("doubletick_{name}{{command=\"{command}\"}}")];
        assert_eq!((told["doubletick_connections"], told["doubletick_sessions"], told["doubletick_ready"]), (2.0, 2.0, 1.0));
        assert_eq!((of("commands_total", "Send"), of("commands_refused_total", "Send"), of("commands_total", "Register")), (2.0, 0.0, 2.0));
        // As the table in docs/capacity.md has it: 9 rows read and 6 written, and 2 more by the first of a conversation, for the chat lists.
        assert_eq!((of("reads_total", "Send"), of("rows_written_total", "Send")), (18.0, 14.0));
        assert!(
            of("rows_read_total", "Send") < 18.0 && of("bytes_read_total", "Send") > 100.0 && of("bytes_written_total", "Send") > 800.0
        );
        // What one message after the other costs is shared with nothing; a store in memory needs no rounds.
        assert_eq!((of("commits_total", "Send"), of("rounds_total", "Send")), (2.0, 0.0));
        assert!(told["doubletick_transactions_total{end=\"answered\"}"] >= 6.0);
        assert_eq!((told["doubletick_leases_lost_total"], told["doubletick_damaged_rows_total"]), (0.0, 0.0));

        let known = |name: &str| told.keys().any(|known| known.split('{').next() == Some(name));
        let words = ALERTS.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let watched: Vec<&str> = words.filter(|word| word.starts_with("doubletick_")).collect();
        assert!(watched.len() >= 8 && watched.iter().all(|name| known(name)), "the alerts watch what there is: {watched:?}");

        for path in ["/live", "/ready"] {
            assert_eq!(get(operator, path).await.status, 200, "{path}");
        }
        assert_eq!(get(operator, "/v1/ws").await.status, 404, "nothing else is served there");
        assert_eq!(get(server.addr(), "/metrics").await.status, 404, "and devices are not told");
        assert_eq!(world::post(operator, "/metrics", "").await.status, 405);
        store.fail_next(1, Fault::Unavailable);
        assert_eq!(get(operator, "/ready").await.status, 503);
        assert!(metrics(operator).await["doubletick_transactions_total{end=\"unavailable\"}"] >= 1.0);
        drop((device, other));
        server.stop().await;
    });
}

#[test]
fn the_page_for_operators_says_what_each_alert_means() {
    let alerts: Vec<&str> = ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let missing: Vec<&&str> = alerts.iter().filter(|alert| !PAGE.contains(&format!("| `{alert}` |"))).collect();
    assert!(!alerts.is_empty() && missing.is_empty(), "docs/operations.md says nothing of {missing:?}");
}
