//! Messages per second, latencies, and bytes on the wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use crate::costs::Costs;
use crate::device::{Books, Device, Run};
use crate::report::Report;
use crate::server::Server;
use crate::{BenchArgs, accounts};

/// How long what is under way may take to arrive after the last message was written.
const STRAGGLERS: Duration = Duration::from_secs(90);
/// How long all devices may take to connect.
const CONNECTING: Duration = Duration::from_secs(60);

pub(crate) async fn measure(args: &BenchArgs) -> Result<Report> {
    let mut server = Server::find_or_start(args, args.connections)?;
    let tokens = accounts::register(server.address, &args.code, args.connections).await?;
    let run = Arc::new(Run {
        server: server.address,
        started: Instant::now(),
        body: args.body,
        interval: (args.rate > 0).then(|| Duration::from_secs_f64(f64::from(args.connections) / f64::from(args.rate))),
        in_flight: args.in_flight,
        hurry: args.kills > 0,
        sending: AtomicBool::new(false),
        measuring: AtomicBool::new(false),
        over: AtomicBool::new(false),
        bytes: Arc::new(AtomicU64::new(0)),
        online: AtomicU64::new(0),
        sent: AtomicU64::new(0),
        accepted: AtomicU64::new(0),
        received: AtomicU64::new(0),
        ticked: AtomicU64::new(0),
        stored: (0..args.connections).map(|_| AtomicU64::new(0)).collect(),
    });
    let mut devices = JoinSet::new();
    for (index, token) in (0..).zip(&tokens) {
        let peer = tokens[(index ^ 1) as usize].device.user;
        let device = Device::new(Arc::clone(&run), index, token, peer)?;
        devices.spawn(async move { (index, device.live().await) });
    }
    let begun = Instant::now();
    while run.online.load(Ordering::Relaxed) < u64::from(args.connections) {
        ensure!(begun.elapsed() < CONNECTING, "only {} of {} devices have connected", run.online.load(Ordering::Relaxed), args.connections);
        ensure!(devices.try_join_next().is_none(), "a device has failed to connect");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    run.sending.store(true, Ordering::Relaxed);
    tokio::time::sleep(args.warm_up).await;
    let costs_before = costs(&server, args.kills).await?;
    let before = Totals::of(&run, &server);
    run.measuring.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    let end = begun + args.duration;
    kill_at_random(&mut server, args.kills, begun, end).await?;
    tokio::time::sleep_until(end.into()).await;
    run.measuring.store(false, Ordering::Relaxed);
    let length = begun.elapsed();
    let after = Totals::of(&run, &server);
    let costs_after = costs(&server, args.kills).await?;
    run.sending.store(false, Ordering::Relaxed);

    let begun = Instant::now();
    loop {
        let sent = run.sent.load(Ordering::Relaxed);
        let all = [&run.accepted, &run.received, &run.ticked].iter().all(|count| count.load(Ordering::Relaxed) >= sent);
        if all || begun.elapsed() > STRAGGLERS {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run.over.store(true, Ordering::Relaxed);
    let mut books: Vec<Option<Books>> = (0..args.connections).map(|_| None).collect();
    while let Some(device) = devices.join_next().await {
        let (index, own) = device.context("a device panicked")?;
        books[index as usize] = Some(own?);
    }
    let books: Vec<Books> = books.into_iter().flatten().collect();
    let costs = costs_after.zip(costs_before).map(|(after, before)| after.since(&before));
    Ok(report(args, &run, &books, (&before, &after), length, costs.unwrap_or_default()))
}

/// What commands have cost so far, if the server tells. Killed, it forgets.
async fn costs(server: &Server, kills: u32) -> Result<Option<Costs>> {
    match server.metrics {
        Some(metrics) if kills == 0 => Ok(Some(Costs::of(metrics).await.context("asking the server for its metrics")?)),
        Some(_) | None => Ok(None),
    }
}

/// Kills the server so many times, each at a random moment of its share of the time.
async fn kill_at_random(server: &mut Server, kills: u32, begun: Instant, end: Instant) -> Result<()> {
    let share = end.saturating_duration_since(begun) / kills.max(1);
    for kill in 0..kills {
        // The moment is random because the devices' loads and the disk are; what is drawn here only spreads it over the share.
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        let at = begun + share * kill + share.mul_f64(f64::from(nanos % 1000) / 1000.0);
        tokio::time::sleep_until(at.into()).await;
        tokio::task::block_in_place(|| server.kill_and_restart()).with_context(|| format!("kill {}", kill + 1))?;
    }
    Ok(())
}

/// Counts at one moment.
struct Totals {
    sent: u64,
    accepted: u64,
    received: u64,
    ticked: u64,
    bytes: u64,
    processor: Option<Duration>,
    resident: Option<u64>,
}

impl Totals {
    fn of(run: &Run, server: &Server) -> Self {
        Self {
            sent: run.sent.load(Ordering::Relaxed),
            accepted: run.accepted.load(Ordering::Relaxed),
            received: run.received.load(Ordering::Relaxed),
            ticked: run.ticked.load(Ordering::Relaxed),
            bytes: run.bytes.load(Ordering::Relaxed),
            processor: server.processor_time(),
            resident: server.resident(),
        }
    }
}

fn report(
    args: &BenchArgs,
    run: &Run,
    books: &[Books],
    (before, after): (&Totals, &Totals),
    length: Duration,
    costs: Map<String, Value>,
) -> Report {
    let mut report = Report::default();
    let seconds = length.as_secs_f64();
    report.count("connections", "connections", u64::from(args.connections));
    report.count("body_bytes", "body, bytes", args.body as u64);
    report.amount("seconds", "measured for", seconds, "s");
    for (name, label, count) in [
        ("sent_per_second", "messages written", after.sent - before.sent),
        ("accepted_per_second", "messages accepted (✓, durable)", after.accepted - before.accepted),
        ("delivered_per_second", "messages delivered", after.received - before.received),
        ("ticked_per_second", "messages acknowledged (✓✓)", after.ticked - before.ticked),
    ] {
        report.amount(name, label, count as f64 / seconds, "/s");
    }
    let mut delivery = books[0].delivery.clone();
    let mut answer = books[0].answer.clone();
    for own in &books[1..] {
        delivery += &own.delivery;
        answer += &own.answer;
    }
    report.latency("delivery_ms", "send to receiver's frame", &delivery);
    report.latency("answer_ms", "send to sender's answer", &answer);
    let delivered = (after.received - before.received).max(1);
    report.amount(
        "wire_bytes_per_message",
        "on the wire, both sides",
        (after.bytes - before.bytes) as f64 / delivered as f64,
        "bytes per message",
    );
    if let (Some(earlier), Some(later)) = (before.processor, after.processor)
        && args.kills == 0
    {
        let used = (later - earlier).as_secs_f64();
        report.amount("server_processor_percent", "server's processor time", 100.0 * used / seconds, "% of one core");
        report.amount("server_processor_us_per_message", "", used * 1e6 / delivered as f64, "µs per message");
    }
    if let Some(resident) = after.resident {
        report.amount("server_resident_mib", "server's memory", resident as f64 / 1_048_576.0, "MiB");
    }
    report.costs(costs);
    compare(&mut report, args.kills, run, books);
    report
}

/// Every message that was written must have been accepted, received once and in order, and acknowledged.
fn compare(report: &mut Report, kills: u32, run: &Run, books: &[Books]) {
    let sent = run.sent.load(Ordering::Relaxed);
    if kills > 0 {
        report.count("kills", "kills of the server", u64::from(kills));
    }
    report.count("again", "deliveries repeated, and recognised", books.iter().map(|own| own.again).sum());
    report.count("messages", "messages in all, each checked", sent);
    for (index, own) in books.iter().enumerate() {
        let peer = &books[index ^ 1];
        own.wrong.iter().for_each(|wrong| report.wrong(wrong));
        if own.accepted != own.sent {
            report.wrong(format!("user {} wrote {} messages, of which {} were accepted", own.user, own.sent, own.accepted));
        }
        if peer.received != own.sent {
            report.wrong(format!("user {} wrote {} messages, and user {} received {}", own.user, own.sent, peer.user, peer.received));
        }
        if own.lost_connections > 0 && kills == 0 {
            report.wrong(format!("user {} lost its connection {} times", own.user, own.lost_connections));
        }
    }
    let ticked = run.ticked.load(Ordering::Relaxed);
    if ticked != sent {
        report.wrong(format!("{sent} messages were written, and {ticked} acknowledged"));
    }
}
