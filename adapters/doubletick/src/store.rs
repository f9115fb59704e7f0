//! `doubletick store check` and `doubletick store stats`: what is in a store, and whether it is whole. Neither changes anything in it.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use doubletick_audit::check::{Checked, check};
use doubletick_audit::source::{Place, Source};
use doubletick_audit::stats::{Stats, count};
use doubletick_core::verify::Problem;
use serde_json::json;

use crate::Failure;
use crate::settings::{Chosen, StoreKind};

/// Something in the store is wrong.
const WRONG: u8 = 3;

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Proves that all rows follow from the logs, and every log from its chain. Exit code 0: whole, 3: something is wrong, 1: it could not be read.
    Check(Report),
    /// Counts rows and bytes of each kind, users, messages, and what is waiting for whom.
    Stats(Report),
}

/// A store, and how to tell of it.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// One object of JSON in place of lines.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    chosen: Chosen,
}

/// Does it.
pub(crate) fn run(command: &StoreCommand) -> Result<ExitCode, Failure> {
    let (StoreCommand::Check(report) | StoreCommand::Stats(report)) = command;
    let source = open(&report.chosen)?;
    let clock = Clock::start();
    let mut out = io::stdout().lock();
    let (told, code) = match command {
        StoreCommand::Check(_) => {
            let tell = |checked: &Checked| clock.tick(|| format!("{} conversations, {} entries", checked.conversations, checked.entries));
            let checked = check(&source, source.readers(), &tell).map_err(|error| Failure::Trouble(error.to_string()))?;
            let code = if checked.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(WRONG) };
            let seconds = clock.seconds();
            (if report.json { checked_as_json(&checked, seconds, &mut out) } else { tell_checked(&checked, seconds, &mut out) }, code)
        }
        StoreCommand::Stats(_) => {
            let tell = |stats: &Stats| clock.tick(|| format!("{} rows", stats.total().rows));
            let stats = count(&source, &tell).map_err(|error| Failure::Trouble(error.to_string()))?;
            (if report.json { stats_as_json(&stats, &mut out) } else { tell_stats(&stats, &mut out) }, ExitCode::SUCCESS)
        }
    };
    told.and_then(|()| out.flush()).map_err(|error| Failure::Trouble(format!("cannot write the report: {error}")))?;
    Ok(code)
}

fn open(chosen: &Chosen) -> Result<Source, Failure> {
    let settings = chosen.settings().map_err(Failure::Usage)?;
    let place = match settings.store {
        StoreKind::Embedded => Place::Directory(settings.data),
        StoreKind::Fdb(file) => Place::Cluster { file, prefix: settings.cluster.prefix, library: settings.cluster.library },
        StoreKind::Memory => return Err(Failure::Usage("a store in memory is gone with its server: there is nothing to look at".into())),
    };
    Source::open(&place).map_err(Failure::Trouble)
}

fn tell_checked(checked: &Checked, seconds: f64, out: &mut impl Write) -> io::Result<()> {
    let Checked { conversations, entries, rows, findings } = checked;
    for problem in findings.first() {
        writeln!(out, "wrong: {problem} (key {:?})", problem.key)?;
    }
    let rate = *entries as f64 / seconds.max(0.001);
    writeln!(out, "{conversations} conversations, {entries} messages, {rows} rows in {seconds:.1} s ({rate:.0} messages/s)")?;
    if findings.is_empty() {
        return writeln!(out, "whole: every chain verifies, and every row is what its log adds up to");
    }
    let told = findings.first().count() as u64;
    if findings.count() > told {
        writeln!(out, "the first {told} are shown")?;
    }
    let kinds: Vec<_> = findings.kinds().map(|(kind, count)| format!("{count} {kind}")).collect();
    writeln!(out, "NOT WHOLE: {} problems, one for each conversation and each other row: {}", findings.count(), kinds.join(", "))
}

fn checked_as_json(checked: &Checked, seconds: f64, out: &mut impl Write) -> io::Result<()> {
    let Checked { conversations, entries, rows, findings } = checked;
    let problem = |problem: &Problem| {
        json!({
            "key": format!("{:?}", problem.key),
            "conversation": problem.conversation.map(|conversation| conversation.to_string()),
            "kind": problem.fault.name(),
            "what": problem.to_string(),
        })
    };
    let report = json!({
        "whole": findings.is_empty(),
        "conversations": conversations,
        "messages": entries,
        "rows": rows,
        "seconds": seconds,
        "problems": findings.count(),
        "kinds": findings.kinds().map(|(kind, count)| (kind.to_owned(), json!(count))).collect::<serde_json::Map<_, _>>(),
        "first": findings.first().map(problem).collect::<Vec<_>>(),
    });
    writeln!(out, "{report:#}")
}

fn tell_stats(stats: &Stats, out: &mut impl Write) -> io::Result<()> {
    let total = stats.total();
    writeln!(out, "users          {}", stats.users)?;
    writeln!(out, "devices        {}", stats.devices)?;
    writeln!(out, "conversations  {}, of which {} are groups", stats.conversations, stats.groups)?;
    writeln!(out, "messages       {}", stats.entries)?;
    if let Some((conversation, seq)) = stats.longest {
        writeln!(out, "longest log    {seq} in {conversation}")?;
    }
    writeln!(out, "dirty rows     {}, of {} devices", stats.dirty, stats.waiting_devices)?;
    writeln!(out, "backlog        {}", stats.backlog)?;
    if let Some((device, conversation, positions)) = stats.longest_backlog {
        writeln!(out, "longest        {positions}, of {device} in {conversation}")?;
    }
    if stats.damaged > 0 {
        writeln!(out, "damaged rows   {}: `doubletick store check` names them", stats.damaged)?;
    }
    writeln!(out, "\n{:<14} {:>12} {:>15}", "rows of", "rows", "bytes")?;
    for (kind, size) in &stats.kinds {
        writeln!(out, "{kind:<14} {:>12} {:>15}", size.rows, size.bytes)?;
    }
    writeln!(out, "{:<14} {:>12} {:>15}", "all", total.rows, total.bytes)
}

fn stats_as_json(stats: &Stats, out: &mut impl Write) -> io::Result<()> {
    let total = stats.total();
    let kinds = stats.kinds.iter().map(|(kind, size)| ((*kind).to_owned(), json!({"rows": size.rows, "bytes": size.bytes})));
    let report = json!({
        "users": stats.users,
        "devices": stats.devices,
        "conversations": stats.conversations,
        "groups": stats.groups,
        "messages": stats.entries,
        "longest_log": stats.longest.map(|(conversation, seq)| json!({"conversation": conversation.to_string(), "messages": seq.0})),
        "dirty_rows": stats.dirty,
        "waiting_devices": stats.waiting_devices,
        "backlog": stats.backlog,
        "longest_backlog": stats.longest_backlog.map(|(device, conversation, positions)| {
            json!({"device": device.to_string(), "conversation": conversation.to_string(), "messages": positions})
        }),
        "damaged_rows": stats.damaged,
        "rows": total.rows,
        "bytes": total.bytes,
        "kinds": kinds.collect::<serde_json::Map<_, _>>(),
    });
    writeln!(out, "{report:#}")
}

/// Tells how far something is, on the error output: often to a person who watches, seldom to a log.
struct Clock {
    began: Instant,
    told: Mutex<Instant>,
    every: Duration,
}

impl Clock {
    fn start() -> Self {
        let began = Instant::now();
        let every = Duration::from_secs(if io::stderr().is_terminal() { 1 } else { 10 });
        Self { began, told: Mutex::new(began), every }
    }

    fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn tick(&self, say: impl FnOnce() -> String) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= self.every {
            *told = Instant::now();
            eprintln!("{:>6.0} s  {}", self.seconds(), say());
        }
    }
}
