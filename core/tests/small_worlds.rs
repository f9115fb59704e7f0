//! Small worlds, enumerated: every interleaving of a sender, a receiver and the end of a session, each transaction run once or twice.
//!
//! A commit of unknown outcome is run again by its caller. So every step is one of: run once; run, committed, and run again after
//! its answer was lost. Both are tried for every step, in every order.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

mod world;

use doubletick_core::command::{Command, Reply};
use doubletick_core::content::Entry;
use doubletick_core::id::{DeviceId, Seq, SessionEpoch};
use doubletick_core::reject::Reject;
use doubletick_core::rows::{self, Topic};
use std::collections::BTreeMap;
use world::*;

/// What a receiving device knows: as any client does, it stores what it reads, and acknowledges what it has stored.
#[derive(Clone, Default)]
struct Receiver {
    stored: BTreeMap<Seq, Entry>,
    /// The session's epoch, while one is open.
    session: Option<u64>,
    /// Whether the receiver was told of something that it has not read yet: by an opening or reading of the dirty set.
    told: Seq,
}

/// A state of the world with its people.
#[derive(Clone)]
struct State {
    world: World,
    sender: DeviceId,
    receivers: Vec<DeviceId>,
    known: Vec<Receiver>,
    /// What the sender was told: text and position.
    accepted: BTreeMap<&'static str, Seq>,
    /// Interleavings that have come to an end.
    ends: u64,
}

/// A step of one of the scripts.
#[derive(Clone, Copy, Debug)]
enum Step {
    Send(&'static str),
    Open(usize, u64),
    ReadDirty(usize),
    ReadLog(usize),
    Acknowledge(usize),
    End(usize, u64),
}

impl State {
    fn new(receivers: usize) -> Self {
        let (mut world, [sender]) = World::of([1]);
        let receivers: Vec<_> = (0..receivers).map(|_| world.link(2)).collect();
        let known = vec![Receiver::default(); receivers.len()];
        Self { world, sender, receivers, known, accepted: BTreeMap::new(), ends: 0 }
    }

    /// Takes a step; `lost` answers were lost before the one that arrives.
    fn take(&mut self, step: Step, lost: u32) {
        let Some(command) = self.command(step) else { return };
        let mut answers: Vec<Answer> = (0..=lost).map(|_| self.world.batch_once([command.clone()]).pop().unwrap()).collect();
        let answer = answers.pop().unwrap();
        if matches!(step, Step::Send(_)) {
            assert!(answers.iter().all(|earlier| *earlier == answer), "DEDUP: {answers:?} {answer:?}");
        }
        self.learn(step, answer);
        self.check();
    }

    /// What a step asks of the store; nothing where its device has no session.
    fn command(&self, step: Step) -> Option<Command> {
        let talk = |device: DeviceId| talk(self.sender.user, device.user);
        let session = |at: usize| self.known[at].session;
        Some(match step {
            Step::Send(text) => send(self.sender, self.receivers[0].user, text),
            Step::Open(at, epoch) => {
                let device = self.receivers[at];
                open(device, token(device.user.0, device.serial.into()), WEST, epoch)
            }
            Step::ReadDirty(at) => session(at).map(|_| Command::ReadDirty { device: self.receivers[at], after: None })?,
            Step::ReadLog(at) => {
                session(at).map(|_| Command::ReadLog { device: self.receivers[at], conversation: talk(self.receivers[at]), after: None })?
            }
            Step::Acknowledge(at) => {
                session(at)?;
                let upto = self.known[at].stored.keys().last().map_or(0, |seq| seq.0);
                acknowledge(self.receivers[at], self.sender.user, upto, upto)
            }
            Step::End(at, epoch) => {
                let heard = self.world.now;
                Command::EndSession { device: self.receivers[at], gateway: WEST, epoch: SessionEpoch(epoch), heard }
            }
        })
    }

    fn learn(&mut self, step: Step, answer: Answer) {
        match (step, answer) {
            (Step::Send(text), Ok(Reply::Sent { seq, .. })) => {
                let first = *self.accepted.entry(text).or_insert(seq);
                assert_eq!(first, seq, "DEDUP: {text}");
            }
            (Step::Open(at, epoch), Ok(Reply::Opened { dirty, .. })) => {
                self.known[at].session = Some(epoch);
                self.known[at].told = dirty.conversations.first().map_or(Seq::START, |(_, upto)| *upto);
            }
            (Step::ReadDirty(at), Ok(Reply::Dirty(dirty))) => {
                self.known[at].told = dirty.conversations.first().map_or(Seq::START, |(_, upto)| *upto);
            }
            (Step::ReadLog(at), Ok(Reply::Page { after, entries, .. })) => {
                for (place, entry) in entries.into_iter().enumerate() {
                    assert_eq!(entry.seq.0, after.0 + 1 + place as u64, "TOTAL_ORDER: a page without gaps");
                    if let Some(earlier) = self.known[at].stored.insert(entry.seq, entry.clone()) {
                        assert_eq!(earlier, entry, "TOTAL_ORDER: a position never changes");
                    }
                }
            }
            (Step::End(at, epoch), Ok(Reply::Done)) => {
                if self.known[at].session == Some(epoch) {
                    self.known[at].session = None;
                }
            }
            (Step::Acknowledge(_), Ok(Reply::Done)) => {}
            (Step::Open(..), Err(Reject::OutOfTurn)) => {}
            (step, answer) => panic!("{step:?}: {answer:?}"),
        }
    }

    fn check(&self) {
        let conversation = talk(self.sender.user, self.receivers[0].user);
        let head = self.world.row(&rows::head(conversation)).map_or(Seq::START, |head| head.seq);
        assert_eq!(head.0, self.accepted.len() as u64, "DEDUP: as many positions as messages");
        let receipt = self.world.row(&rows::receipt(conversation, self.receivers[0].user)).unwrap_or_default();
        let stored = |at: usize| self.known[at].stored.keys().last().copied().unwrap_or_default();
        let most = (0..self.receivers.len()).map(stored).max().unwrap_or_default();
        assert!(receipt.read <= receipt.delivered && receipt.delivered <= most, "RECEIPT_TRUTH: {receipt:?}, stored up to {most}");
        for (at, device) in self.receivers.iter().enumerate() {
            let cursor = self.world.row(&rows::cursor(*device, conversation)).map_or(Seq::START, |cursor| cursor.upto);
            assert!(cursor <= stored(at), "RECEIPT_TRUTH: {device} has not stored what its cursor says");
            let mark = self.world.row(&rows::dirty(*device, conversation)).map_or(Seq::START, |rows::Counter(upto)| Seq(upto));
            assert_eq!(mark, if cursor < head { head } else { Seq::START }, "NO_LOSS: {device} is marked while it lacks something");
            if self.known[at].session.is_some() && cursor < head {
                let woken = self.world.rows.contains_key(&rows::wake(WEST, *device, Topic::Dirty(conversation)).key);
                assert!(woken || self.known[at].told >= head, "a lost wake-up: {device} has a session and hears of nothing");
            }
        }
    }

    /// Whatever has happened: the devices connect once more, and catch up.
    fn end(&mut self) {
        self.ends += 1;
        for at in 0..self.receivers.len() {
            for step in [Step::Open(at, 99), Step::ReadLog(at), Step::Acknowledge(at)] {
                self.take(step, 0);
            }
            let stored: BTreeMap<_, _> = self.known[at].stored.iter().map(|(seq, entry)| (text(entry), *seq)).collect();
            let accepted: BTreeMap<_, _> = self.accepted.iter().map(|(text, seq)| ((*text).to_owned(), *seq)).collect();
            assert_eq!(stored, accepted, "NO_LOSS: everything that was accepted, where it was accepted");
            let texts: Vec<_> = self.known[at].stored.values().map(text).collect();
            assert!(texts.is_sorted(), "SENDER_ORDER: {texts:?}");
            assert_eq!(self.world.dirty(self.receivers[at]), [], "CONVERGENCE: nothing is left");
        }
    }
}

/// Every interleaving of the scripts, with every step run as often as `lost` allows; how many there were.
fn explore(state: &State, scripts: &[&[Step]], lost: &[u32], prove: bool) -> u64 {
    if scripts.iter().all(|script| script.is_empty()) {
        let mut state = state.clone();
        state.end();
        if prove {
            state.world.prove();
        }
        return state.ends;
    }
    let mut ends = 0;
    for at in 0..scripts.len() {
        let Some((step, rest)) = scripts[at].split_first() else { continue };
        let mut after = scripts.to_vec();
        after[at] = rest;
        for lost_answers in lost {
            let mut state = state.clone();
            state.take(*step, *lost_answers);
            ends += explore(&state, &after, lost, prove);
        }
    }
    ends
}

use Step::{Acknowledge, End, Open, ReadDirty, ReadLog, Send};

#[test]
fn a_message_sent_at_the_very_moment_of_login_arrives_in_that_session_in_every_interleaving() {
    let state = State::new(1);
    let login = [Open(0, 1), ReadDirty(0), ReadLog(0), Acknowledge(0)];
    assert_eq!(explore(&state, &[&[Send("m1")], &login], &[0, 1], true), 5 * 32);
    assert_eq!(explore(&state, &[&[Send("m1"), Send("m2")], &login], &[0, 1], true), 15 * 64);
}

#[test]
fn three_messages_with_a_retry_against_a_session_that_begins_reads_acknowledges_and_ends() {
    let state = State::new(1);
    let sender = [Send("m1"), Send("m2"), Send("m1"), Send("m3")];
    let receiver = [Open(0, 1), ReadDirty(0), ReadLog(0), Acknowledge(0), End(0, 1)];
    assert_eq!(explore(&state, &[&sender, &receiver], &[0], true), 126);
    assert_eq!(explore(&state, &[&sender, &receiver], &[1], true), 126);
}

#[test]
fn any_one_answer_is_lost_in_any_interleaving() {
    let sender = [Send("m1"), Send("m2"), Send("m3")];
    let receiver = [Open(0, 1), ReadLog(0), Acknowledge(0), End(0, 1)];
    assert_eq!(explore(&State::new(1), &[&sender, &receiver], &[0, 1], false), 35 * 128);
}

#[test]
fn a_session_that_is_replaced_while_messages_come_in() {
    let sender = [Send("m1"), Send("m2")];
    let older = [Open(0, 1), ReadLog(0), End(0, 1)];
    let newer = [Open(0, 2), ReadLog(0), Acknowledge(0)];
    assert_eq!(explore(&State::new(1), &[&sender, &older, &newer], &[0], true), 560);
    assert_eq!(explore(&State::new(1), &[&sender, &older, &newer], &[1], false), 560);
}

#[test]
fn two_devices_of_the_receiver_one_of_which_may_never_acknowledge() {
    let sender = [Send("m1"), Send("m2"), Send("m1")];
    let phone = [Open(0, 1), ReadLog(0), Acknowledge(0), End(0, 1)];
    let tablet = [Open(1, 2), ReadLog(1)];
    assert_eq!(explore(&State::new(2), &[&sender, &phone, &tablet], &[0], false), 1260);
    assert_eq!(explore(&State::new(2), &[&sender, &phone, &tablet], &[1], false), 1260);
}
