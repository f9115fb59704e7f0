//! One device of a pair, and the books of what was sent and what came.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use doubletick_core::client::{Input, Notice, Outgoing, Record};
use doubletick_core::content::Content;
use doubletick_core::frame::{Delivery, Sender};
use doubletick_core::id::{ConversationId, MessageId, UserId};
use doubletick_wire::Token;
use hdrhistogram::Histogram;

use crate::line::{Keeper, Line, now};

/// Bytes of a body that say when it was meant to be sent, and the how-manieth of its sender it is.
pub(crate) const STAMP: usize = 16;

/// What all devices of a run share.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) server: SocketAddr,
    pub(crate) started: Instant,
    pub(crate) body: usize,
    /// The time between two messages of one device; `None` sends as answers come back.
    pub(crate) interval: Option<Duration>,
    pub(crate) in_flight: u32,
    /// Whether devices connect again at once, so that a server that was killed is under load again.
    pub(crate) hurry: bool,
    /// Whether messages are written.
    pub(crate) sending: AtomicBool,
    /// Whether what arrives counts.
    pub(crate) measuring: AtomicBool,
    /// Whether devices go home.
    pub(crate) over: AtomicBool,
    pub(crate) bytes: Arc<AtomicU64>,
    pub(crate) online: AtomicU64,
    /// Totals of all devices, for progress and for the end.
    pub(crate) sent: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) ticked: AtomicU64,
    /// Up to which position each device has stored its conversation.
    pub(crate) stored: Vec<AtomicU64>,
}

/// A device's books.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) user: UserId,
    pub(crate) sent: u64,
    pub(crate) accepted: u64,
    /// Messages of the other side, each exactly once and in order.
    pub(crate) received: u64,
    /// Messages that came again, and were recognised.
    pub(crate) again: u64,
    /// What was wrong.
    pub(crate) wrong: Vec<String>,
    /// Connections lost.
    pub(crate) lost_connections: u64,
    /// From when a message was meant to be sent to the receiver's frame, and to the sender's answer; in microseconds.
    pub(crate) delivery: Histogram<u64>,
    pub(crate) answer: Histogram<u64>,
}

pub(crate) struct Device {
    line: Line,
    pair: Pair,
}

/// What a device writes and has written, and what it knows of the other one.
struct Pair {
    run: Arc<Run>,
    index: u32,
    conversation: ConversationId,
    /// When each message that is not accepted was meant to be sent.
    unanswered: VecDeque<(MessageId, Instant)>,
    /// The other side's watermark, and the positions of own messages beyond it.
    delivered: u64,
    unticked: VecDeque<u64>,
    /// Whether it has begun to write.
    begun: bool,
    next_send: Instant,
    books: Books,
}

pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are sound")
}

impl Device {
    pub(crate) fn new(run: Arc<Run>, index: u32, token: &Token, peer: UserId) -> Result<Self> {
        let conversation = ConversationId::direct(token.device.user, peer).context("two different users")?;
        let line = Line::new(run.server, index, Arc::clone(&run.bytes), token);
        let books = Books {
            user: token.device.user,
            sent: 0,
            accepted: 0,
            received: 0,
            again: 0,
            wrong: vec![],
            lost_connections: 0,
            delivery: histogram(),
            answer: histogram(),
        };
        let next_send = Instant::now();
        let (unanswered, unticked) = (VecDeque::new(), VecDeque::new());
        let pair = Pair { run, index, conversation, unanswered, delivered: 0, unticked, begun: false, next_send, books };
        Ok(Self { line, pair })
    }

    /// Lives until the run is over.
    pub(crate) async fn live(mut self) -> Result<Books> {
        let run = Arc::clone(&self.pair.run);
        let mut tick = tokio::time::interval(Duration::from_millis(if run.hurry { 50 } else { 250 }));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !run.over.load(Ordering::Relaxed) {
            self.pair.write_messages(&mut self.line);
            self.line.drain(&mut self.pair).await?;
            let writing = self.line.is_online() && run.sending.load(Ordering::Relaxed);
            let due = run.interval.filter(|_| writing).map(|_| self.pair.next_send);
            let sleep = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                came = self.line.came() => came?,
                () = sleep => {}
                _ = tick.tick() => self.line.tick(run.hurry),
            }
        }
        self.pair.books.lost_connections = self.line.lost;
        Ok(self.pair.books)
    }
}

impl Pair {
    /// Writes what is due.
    fn write_messages(&mut self, line: &mut Line) {
        if !self.run.sending.load(Ordering::Relaxed) || !line.is_online() {
            return;
        }
        match self.run.interval {
            Some(interval) => {
                let now = Instant::now();
                if !std::mem::replace(&mut self.begun, true) {
                    // Devices do not write in step: each begins somewhere within the first interval.
                    self.next_send = now + interval.mul_f64(f64::from(self.index.wrapping_mul(2_654_435_769) >> 8) / f64::from(1 << 24));
                }
                while self.next_send <= now {
                    self.write(line, self.next_send);
                    self.next_send += interval;
                }
            }
            None => {
                while self.unanswered.len() < self.run.in_flight as usize {
                    self.write(line, Instant::now());
                }
            }
        }
    }

    fn write(&mut self, line: &mut Line, meant: Instant) {
        self.books.sent += 1;
        self.run.sent.fetch_add(1, Ordering::Relaxed);
        let since = u64::try_from(meant.saturating_duration_since(self.run.started).as_nanos()).expect("a run is shorter than centuries");
        let mut body = vec![b'.'; self.run.body];
        body[..8].copy_from_slice(&since.to_le_bytes());
        body[8..STAMP].copy_from_slice(&self.books.sent.to_le_bytes());
        let mut random = [0; 10];
        random[..4].copy_from_slice(&self.index.to_le_bytes());
        random[4..].copy_from_slice(&self.books.sent.to_le_bytes()[..6]);
        let id = MessageId::new(now(), random);
        self.unanswered.push_back((id, meant));
        let content = Content::shared(0, body).expect("the size was checked");
        line.input(Input::Compose(Outgoing { conversation: self.conversation, id, content }));
    }

    fn stored(&self, seq: u64) {
        self.run.stored[self.index as usize].fetch_max(seq, Ordering::Relaxed);
    }

    fn accepted(&mut self, id: MessageId, seq: u64) {
        self.books.accepted += 1;
        self.run.accepted.fetch_add(1, Ordering::Relaxed);
        if seq <= self.delivered {
            // The receiver was faster than the answer.
            self.run.ticked.fetch_add(1, Ordering::Relaxed);
        } else {
            self.unticked.push_back(seq);
        }
        match self.unanswered.pop_front() {
            Some((expected, meant)) if expected == id => {
                if self.run.measuring.load(Ordering::Relaxed) {
                    self.books.answer.saturating_record(micros(meant.elapsed()));
                }
            }
            _ => self.wrong("an answer came out of order".to_owned()),
        }
    }

    /// A message of the other side is here. It is new if it is the next; if it is not one that was here before, something is wrong.
    fn received(&mut self, delivery: &Delivery) -> bool {
        let body = delivery.body.as_ref().map(|body| &*body.bytes).unwrap_or_default();
        let (Some(since), Some(count)) = (number(body, 0), number(body, 8)) else {
            self.wrong(format!("position {} came without its content", delivery.seq));
            return false;
        };
        if count <= self.books.received {
            self.books.again += 1;
            return false;
        }
        if count > self.books.received + 1 {
            self.wrong(format!("message {count} came after message {}", self.books.received));
        }
        self.books.received = count;
        self.run.received.fetch_add(1, Ordering::Relaxed);
        if self.run.measuring.load(Ordering::Relaxed) {
            let elapsed = self.run.started.elapsed().saturating_sub(Duration::from_nanos(since));
            self.books.delivery.saturating_record(micros(elapsed));
        }
        true
    }

    /// The second tick, which must be true.
    fn ticked(&mut self, delivered: u64) {
        let stored = self.run.stored[(self.index ^ 1) as usize].load(Ordering::Relaxed);
        if delivered > stored {
            self.wrong(format!("a tick says that {delivered} is delivered, and the other device has stored up to {stored}"));
        }
        if delivered < self.delivered {
            self.wrong(format!("a tick went back from {} to {delivered}", self.delivered));
        }
        self.delivered = delivered;
        while self.unticked.pop_front_if(|seq| *seq <= delivered).is_some() {
            self.run.ticked.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn wrong(&mut self, what: String) {
        self.books.wrong.push(format!("device {}: {what}", self.index));
    }
}

impl Keeper for Pair {
    fn noticed(&mut self, notice: &Notice) -> Result<()> {
        match notice {
            Notice::Online(true) => {
                self.run.online.fetch_add(1, Ordering::Relaxed);
                self.next_send = self.next_send.max(Instant::now());
            }
            Notice::Online(false) => {
                self.run.online.fetch_sub(1, Ordering::Relaxed);
            }
            Notice::Stopped(reason) => bail!("the server has closed device {} for good: {reason:?}", self.index),
            Notice::HeldUp(reject) => self.wrong(format!("sending was held up: {reject:?}")),
            Notice::Refused(reject) => self.wrong(format!("a request was refused: {reject:?}")),
            Notice::Waiting(_) | Notice::Typing { .. } | Notice::Presence { .. } | Notice::Answered(..) => {}
        }
        Ok(())
    }

    /// Keeps the books of what is stored. Says whether a message is new.
    fn record(&mut self, record: Record) -> bool {
        match record {
            Record::Accepted { id, seq, next, .. } => {
                if next {
                    self.stored(seq.0);
                }
                self.accepted(id, seq.0);
            }
            Record::Received { delivery, .. } => {
                self.stored(delivery.seq.0);
                return matches!(delivery.from, Sender::Peer(_)) && self.received(&delivery);
            }
            Record::Receipt { delivered, .. } => self.ticked(delivered.0),
            Record::Failed { reject, .. } => self.wrong(format!("a message was refused for good: {reject:?}")),
            Record::Written(_) | Record::Read { .. } | Record::ReadTold { .. } | Record::Token(_) | Record::Started(_) => {}
        }
        false
    }
}

pub(crate) fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) fn number(body: &[u8], at: usize) -> Option<u64> {
    body.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}
