//! A group whose members are all connected: how long until every one of them has a message.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use doubletick_core::change::{Change, Settings};
use doubletick_core::client::{Input, Notice, Outgoing, Record};
use doubletick_core::content::Content;
use doubletick_core::frame::Delivery;
use doubletick_core::id::{ConversationId, GroupId, MessageId};
use doubletick_core::limits;
use doubletick_wire::Token;
use hdrhistogram::Histogram;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::device::{STAMP, histogram, micros, number};
use crate::line::{Keeper, Line, now};
use crate::report::Report;
use crate::server::Server;
use crate::{BenchArgs, accounts};

/// How long everybody may take to connect and to hear of the group, and what is under way to arrive after the last message.
const PATIENCE: Duration = Duration::from_secs(90);

/// What all members share.
struct Run {
    server: SocketAddr,
    group: ConversationId,
    body: usize,
    bytes: Arc<AtomicU64>,
    online: AtomicU64,
    /// Members that have heard of the group.
    joined: AtomicU64,
    over: AtomicBool,
    measuring: AtomicBool,
    /// Every message of the run, in the order of their numbers.
    messages: Vec<Progress>,
    /// Up to which position each member has stored the group's log.
    stored: Vec<AtomicU64>,
    deliveries: AtomicU64,
    complete: AtomicU64,
    /// From when a message was meant to be sent until the last member had it; in microseconds.
    until_all: Mutex<Histogram<u64>>,
}

/// One message on its way.
struct Progress {
    /// When it was meant to be sent, in nanoseconds of the run, and whether it counts.
    meant: AtomicU64,
    counts: AtomicBool,
    /// Members that do not have it yet.
    left: AtomicU32,
    /// Where it stands: the same for all.
    seq: AtomicU64,
}

/// A member's books.
struct Books {
    sent: u64,
    accepted: u64,
    received: u64,
    again: u64,
    /// Frames that told how far the others have got.
    receipts: u64,
    /// Own messages that every other member has, as the server says.
    ticked: u64,
    wrong: Vec<String>,
    lost_connections: u64,
    delivery: Histogram<u64>,
    answer: Histogram<u64>,
    /// Until the sender was told that all have it.
    ticks: Histogram<u64>,
}

struct Member {
    run: Arc<Run>,
    started: Instant,
    index: u32,
    /// Which messages are here.
    has: Vec<bool>,
    last: u64,
    /// Own messages that are not accepted, and positions that not all are said to have: with their numbers.
    unanswered: Vec<(MessageId, u64)>,
    unticked: Vec<(u64, u64)>,
    delivered: u64,
    books: Books,
}

/// What a member is told to write.
enum Write {
    Create(Change),
    /// The message of this number.
    Message(usize),
}

pub(crate) async fn measure(args: &BenchArgs, members: u32) -> Result<Report> {
    ensure!((2..=limits::GROUP_MEMBERS).contains(&members), "--group {members}: a group has 2 to {} members here", limits::GROUP_MEMBERS);
    ensure!(args.rate > 0, "--rate 0: messages into a group are sent at a rate");
    let server = Server::find_or_start(args, members)?;
    let tokens = accounts::register(server.address, &args.code, members).await?;
    let interval = Duration::from_secs(1) / args.rate;
    let count = ((args.warm_up + args.duration).as_secs_f64() * f64::from(args.rate)).ceil() as usize;
    let run = Arc::new(Run::new(args, server.address, members, count));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    let mut writers = vec![];
    for (index, token) in (0..).zip(&tokens) {
        let (writer, writes) = mpsc::unbounded_channel();
        writers.push(writer);
        let line = Line::new(run.server, index, Arc::clone(&run.bytes), token);
        let member = Member::new(Arc::clone(&run), started, index);
        tasks.spawn(member.live(line, writes));
    }
    wait_for(&mut tasks, &run.online, u64::from(members), "members have connected").await?;
    let others = tokens[1..].iter().map(|token: &Token| token.device.user).collect();
    let change = Change::Created { name: "load".into(), members: others, settings: Settings::default() };
    // Every member's task lives until the run is over.
    let _ = writers[0].send(Write::Create(change));
    wait_for(&mut tasks, &run.joined, u64::from(members), "members have heard of the group").await?;

    let begun = Instant::now();
    let (mut before, mut measured_from) = (None, begun);
    for number in 0..count {
        let meant = begun + interval * u32::try_from(number).context("so many messages")?;
        if before.is_none() && meant >= begun + args.warm_up {
            run.measuring.store(true, Ordering::Relaxed);
            (before, measured_from) = (Some(Totals::of(&run, &server)), Instant::now());
        }
        tokio::time::sleep_until(meant.into()).await;
        let progress = &run.messages[number];
        progress.meant.store(nanos(meant.duration_since(started)), Ordering::Relaxed);
        progress.counts.store(run.measuring.load(Ordering::Relaxed), Ordering::Relaxed);
        // Spread over the members, and the same in every run.
        let sender = (number as u64 * 7919 % u64::from(members)) as usize;
        let _ = writers[sender].send(Write::Message(number));
    }
    tokio::time::sleep_until((begun + interval * u32::try_from(count).context("so many messages")?).into()).await;
    let (length, after) = (measured_from.elapsed(), Totals::of(&run, &server));
    let waited = Instant::now();
    while run.complete.load(Ordering::Relaxed) < count as u64 && waited.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The ticks of the last messages come a little later.
    tokio::time::sleep(Duration::from_millis(4 * limits::SUM_AFTER.0)).await;
    run.over.store(true, Ordering::Relaxed);
    let mut books = vec![];
    while let Some(member) = tasks.join_next().await {
        books.push(member.context("a member's task has panicked")??);
    }
    Ok(report(args, &run, &books, (&before.unwrap_or_else(|| after.clone()), &after), length))
}

async fn wait_for(tasks: &mut JoinSet<Result<Books>>, count: &AtomicU64, all: u64, what: &str) -> Result<()> {
    let begun = Instant::now();
    while count.load(Ordering::Relaxed) < all {
        ensure!(begun.elapsed() < PATIENCE, "only {} of {all} {what}", count.load(Ordering::Relaxed));
        if let Some(ended) = tasks.try_join_next() {
            ended.context("a member's task has panicked")??;
            bail!("a member has gone home too early");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).expect("a run is shorter than centuries")
}

impl Run {
    fn new(args: &BenchArgs, server: SocketAddr, members: u32, count: usize) -> Self {
        let group = GroupId(MessageId::new(now(), *b"group load").0);
        let message = || Progress {
            meant: AtomicU64::new(0),
            counts: AtomicBool::new(false),
            left: AtomicU32::new(members - 1),
            seq: AtomicU64::new(0),
        };
        Self {
            server,
            group: ConversationId::Group(group),
            body: args.body,
            bytes: Arc::new(AtomicU64::new(0)),
            online: AtomicU64::new(0),
            joined: AtomicU64::new(0),
            over: AtomicBool::new(false),
            measuring: AtomicBool::new(false),
            messages: (0..count).map(|_| message()).collect(),
            stored: (0..members).map(|_| AtomicU64::new(0)).collect(),
            deliveries: AtomicU64::new(0),
            complete: AtomicU64::new(0),
            until_all: Mutex::new(histogram()),
        }
    }
}

impl Member {
    fn new(run: Arc<Run>, started: Instant, index: u32) -> Self {
        let books = Books {
            sent: 0,
            accepted: 0,
            received: 0,
            again: 0,
            receipts: 0,
            ticked: 0,
            wrong: vec![],
            lost_connections: 0,
            delivery: histogram(),
            answer: histogram(),
            ticks: histogram(),
        };
        let has = vec![false; run.messages.len()];
        Self { run, started, index, has, last: 0, unanswered: vec![], unticked: vec![], delivered: 0, books }
    }

    /// Lives until the run is over.
    async fn live(mut self, mut line: Line, mut writes: mpsc::UnboundedReceiver<Write>) -> Result<Books> {
        let mut tick = tokio::time::interval(Duration::from_millis(250));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.run.over.load(Ordering::Relaxed) {
            line.drain(&mut self).await?;
            tokio::select! {
                biased;
                came = line.came() => came?,
                Some(write) = writes.recv() => self.write(&mut line, write),
                _ = tick.tick() => line.tick(false),
            }
        }
        self.books.lost_connections = line.lost;
        Ok(self.books)
    }

    fn write(&mut self, line: &mut Line, write: Write) {
        let mut random = [0; 10];
        random[..4].copy_from_slice(&self.index.to_le_bytes());
        let content = match &write {
            Write::Create(change) => change.content(),
            &Write::Message(message) => {
                self.books.sent += 1;
                self.has[message] = true;
                random[4..].copy_from_slice(&(message as u64 + 1).to_le_bytes()[..6]);
                let mut body = vec![b'.'; self.run.body];
                body[..8].copy_from_slice(&(message as u64).to_le_bytes());
                body[8..STAMP].fill(0);
                Content::shared(0, body).expect("the size was checked")
            }
        };
        let id = MessageId::new(now(), random);
        if let Write::Message(message) = write {
            self.unanswered.push((id, message as u64));
        }
        line.input(Input::Compose(Outgoing { conversation: self.run.group, id, content }));
    }

    fn since(&self, message: u64) -> Option<Duration> {
        let progress = self.run.messages.get(usize::try_from(message).ok()?)?;
        let meant = Duration::from_nanos(progress.meant.load(Ordering::Relaxed));
        progress.counts.load(Ordering::Relaxed).then(|| self.started.elapsed().saturating_sub(meant))
    }

    fn stored(&mut self, seq: u64) {
        if self.last == 0 {
            self.run.joined.fetch_add(1, Ordering::Relaxed);
        }
        self.last = self.last.max(seq);
        self.run.stored[self.index as usize].fetch_max(seq, Ordering::Relaxed);
    }

    /// A message stands where it stands for everybody.
    fn stands(&mut self, message: u64, seq: u64) {
        let Some(progress) = usize::try_from(message).ok().and_then(|message| self.run.messages.get(message)) else {
            return self.wrong(format!("there is no message {message}"));
        };
        let first = progress.seq.compare_exchange(0, seq, Ordering::Relaxed, Ordering::Relaxed);
        if let Err(other) = first
            && other != seq
        {
            self.wrong(format!("message {message} stands at {seq} for this member, and at {other} for another"));
        }
    }

    /// Says whether it is new.
    fn received(&mut self, delivery: &Delivery) -> bool {
        let Some(message) = delivery.body.as_ref().and_then(|body| number(&body.bytes, 0)) else {
            self.wrong(format!("position {} came without its content", delivery.seq));
            return false;
        };
        self.stands(message, delivery.seq.0);
        let Some(has) = usize::try_from(message).ok().and_then(|message| self.has.get_mut(message)) else { return false };
        if std::mem::replace(has, true) {
            self.books.again += 1;
            return false;
        }
        self.books.received += 1;
        self.run.deliveries.fetch_add(1, Ordering::Relaxed);
        let since = self.since(message);
        if let Some(since) = since {
            self.books.delivery.saturating_record(micros(since));
        }
        if self.run.messages[message as usize].left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.run.complete.fetch_add(1, Ordering::Relaxed);
            if let Some(since) = since {
                self.run.until_all.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros(since));
            }
        }
        true
    }

    /// The second tick of all, which must be true of each.
    fn ticked(&mut self, delivered: u64) {
        self.books.receipts += 1;
        let behind = self.run.stored.iter().enumerate().filter(|(index, _)| *index != self.index as usize);
        let behind = behind.filter(|(_, stored)| stored.load(Ordering::Relaxed) < delivered).count();
        if behind > 0 {
            self.wrong(format!("a tick says that all have {delivered}, and {behind} do not"));
        }
        if delivered < self.delivered {
            self.wrong(format!("a tick went back from {} to {delivered}", self.delivered));
        }
        self.delivered = delivered;
        for (_, message) in self.unticked.extract_if(.., |(seq, _)| *seq <= delivered).collect::<Vec<_>>() {
            self.books.ticked += 1;
            if let Some(since) = self.since(message) {
                self.books.ticks.saturating_record(micros(since));
            }
        }
    }

    fn wrong(&mut self, what: String) {
        self.books.wrong.push(format!("member {}: {what}", self.index));
    }
}

impl Keeper for Member {
    fn record(&mut self, record: Record) -> bool {
        match record {
            Record::Accepted { id, seq, next, .. } => {
                if next {
                    self.stored(seq.0);
                }
                if let Some(place) = self.unanswered.iter().position(|(waits, _)| *waits == id) {
                    let (_, message) = self.unanswered.remove(place);
                    self.books.accepted += 1;
                    self.stands(message, seq.0);
                    if let Some(since) = self.since(message) {
                        self.books.answer.saturating_record(micros(since));
                    }
                    if seq.0 <= self.delivered {
                        self.books.ticked += 1;
                    } else {
                        self.unticked.push((seq.0, message));
                    }
                }
            }
            Record::Received { delivery, .. } => {
                self.stored(delivery.seq.0);
                let is_change = delivery.body.as_ref().is_some_and(|body| body.kind == doubletick_core::change::KIND);
                let own = matches!(delivery.from, doubletick_core::frame::Sender::Own(_));
                return !is_change && !own && self.received(&delivery);
            }
            Record::Receipt { delivered, .. } => self.ticked(delivered.0),
            Record::Failed { reject, .. } => self.wrong(format!("a message was refused for good: {reject:?}")),
            Record::Written(_) | Record::Read { .. } | Record::ReadTold { .. } | Record::Token(_) | Record::Started(_) => {}
        }
        false
    }

    fn noticed(&mut self, notice: &Notice) -> Result<()> {
        match notice {
            Notice::Online(true) => drop(self.run.online.fetch_add(1, Ordering::Relaxed)),
            Notice::Online(false) => drop(self.run.online.fetch_sub(1, Ordering::Relaxed)),
            Notice::Stopped(reason) => bail!("the server has closed member {} for good: {reason:?}", self.index),
            Notice::Refused(reject) => self.wrong(format!("a request was refused: {reject:?}")),
            // The first message of each is made for a roster that it has not heard of.
            Notice::HeldUp(_) | Notice::Waiting(_) | Notice::Typing { .. } | Notice::Presence { .. } | Notice::Answered(..) => {}
        }
        Ok(())
    }
}

/// Counts at one moment.
#[derive(Clone)]
struct Totals {
    deliveries: u64,
    bytes: u64,
    processor: Option<Duration>,
    resident: Option<u64>,
}

impl Totals {
    fn of(run: &Run, server: &Server) -> Self {
        Self {
            deliveries: run.deliveries.load(Ordering::Relaxed),
            bytes: run.bytes.load(Ordering::Relaxed),
            processor: server.processor_time(),
            resident: server.resident(),
        }
    }
}

fn report(args: &BenchArgs, run: &Run, books: &[Books], (before, after): (&Totals, &Totals), length: Duration) -> Report {
    let mut report = Report::default();
    let seconds = length.as_secs_f64();
    report.count("members", "members, all connected", books.len() as u64);
    report.count("rate", "messages per second", u64::from(args.rate));
    report.count("body_bytes", "body, bytes", args.body as u64);
    report.amount("seconds", "measured for", seconds, "s");
    report.amount("delivered_per_second", "deliveries", (after.deliveries - before.deliveries) as f64 / seconds, "/s");
    let sum = |of: fn(&Books) -> &Histogram<u64>| {
        books.iter().map(of).fold(histogram(), |mut all, own| {
            all += own;
            all
        })
    };
    let until_all = run.until_all.lock().unwrap_or_else(PoisonError::into_inner).clone();
    report.latency("until_all_ms", "send until every member has it", &until_all);
    report.latency("delivery_ms", "send to a member's frame", &sum(|own| &own.delivery));
    report.latency("answer_ms", "send to sender's answer", &sum(|own| &own.answer));
    report.latency("ticks_ms", "send to sender's ✓✓ of all", &sum(|own| &own.ticks));
    let deliveries = (after.deliveries - before.deliveries).max(1) as f64;
    report.amount(
        "wire_bytes_per_delivery",
        "on the wire, both sides",
        (after.bytes - before.bytes) as f64 / deliveries,
        "bytes per delivery",
    );
    if let (Some(earlier), Some(later)) = (before.processor, after.processor) {
        let used = (later - earlier).as_secs_f64();
        report.amount("server_processor_percent", "server's processor time", 100.0 * used / seconds, "% of one core");
        report.amount("server_processor_us_per_delivery", "", used * 1e6 / deliveries, "µs per delivery");
    }
    if let Some(resident) = after.resident {
        report.amount("server_resident_mib", "server's memory", resident as f64 / 1_048_576.0, "MiB");
    }
    let total = |of: fn(&Books) -> u64| books.iter().map(of).sum::<u64>();
    report.count("messages", "messages in all, each checked", total(|own| own.sent));
    report.count("again", "deliveries repeated, and recognised", total(|own| own.again));
    report.count("receipts", "frames that told of receipts", total(|own| own.receipts));
    let sent = total(|own| own.sent);
    for own in books {
        own.wrong.iter().for_each(|wrong| report.wrong(wrong));
        if own.received + own.sent != sent {
            report.wrong(format!("of {} messages of others a member has received {}", sent - own.sent, own.received));
        }
        if own.accepted != own.sent || own.ticked != own.sent {
            report
                .wrong(format!("of {} messages of a member's {} were accepted, and {} had two ticks", own.sent, own.accepted, own.ticked));
        }
        if own.lost_connections > 0 {
            report.wrong(format!("a member lost its connection {} times", own.lost_connections));
        }
    }
    report
}
