//! The memory of the gateway machine alone: sessions without sockets.

use std::time::Instant;

use anyhow::{Context, Result};
use doubletick_core::command::{Command, DirtyPage, Reply};
use doubletick_core::frame::ClientFrame;
use doubletick_core::gateway::{Config, ConnId, Gateway, Input, Output, frame_cost};
use doubletick_core::id::{DeviceId, GatewayId, Secret, UserId};
use doubletick_core::time::{Millis, Timestamp};
use doubletick_core::transact::Outcome;

use crate::report::Report;
use crate::server::resident_of;

pub(crate) fn measure(count: u64) -> Result<Report> {
    let now = Timestamp::from_millis(1_700_000_000_000);
    let connections = usize::try_from(count).context("so many sessions")?;
    let before = resident_of("self").context("this process's memory")?;
    let begun = Instant::now();
    let mut gateway = Gateway::new(GatewayId(1), Config { connections, ..Config::default() }, now);
    for n in 0..count {
        let conn = ConnId(n);
        gateway.handle_input(now, Input::Connected(conn));
        let device = DeviceId { user: UserId(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)), serial: 1 };
        gateway.handle_input(now, Input::Frame(conn, ClientFrame::Hello { device, secret: Secret([1; 32]), run: n + 1 }));
        answer_all(&mut gateway, now);
    }
    let elapsed = begun.elapsed();
    let after = resident_of("self").context("this process's memory")?;
    let mut report = Report::default();
    report.count("sessions", "open sessions", gateway.sessions() as u64);
    report.amount("bytes_per_session", "memory per session", after.saturating_sub(before) as f64 / count as f64, "bytes");
    report.amount("open_per_second", "opened", count as f64 / elapsed.as_secs_f64(), "/s");
    if gateway.sessions() != connections {
        report.wrong(format!("{count} sessions were to be opened"));
    }
    Ok(report)
}

/// Plays the store, and the sockets.
fn answer_all(gateway: &mut Gateway, now: Timestamp) {
    while let Some(output) = gateway.poll_output() {
        match output {
            Output::Frame(conn, frame) => gateway.handle_input(now, Input::Flushed(conn, frame_cost(&frame))),
            Output::Transact(ticket, batch) => {
                let replies = batch.commands.iter().map(|command| Ok(answer(command, now))).collect();
                let outcome = Outcome { replies, events: vec![], damaged: vec![] };
                gateway.handle_input(now, Input::Transacted(ticket, Ok(outcome)));
            }
            Output::Close { .. } | Output::Ended => {}
        }
    }
}

fn answer(command: &Command, now: Timestamp) -> Reply {
    if let Command::OpenSession { epoch, .. } = command {
        return Reply::Opened { epoch: *epoch, expires: now + Millis::days(30), dirty: DirtyPage::default() };
    }
    Reply::Done
}
