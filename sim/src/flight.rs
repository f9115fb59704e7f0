//! Transactions on their way through the store, and what goes wrong with them.
//!
//! A transaction begins, runs, at once or in rounds of fetching, is committed if nothing that it read was changed (all that is an
//! [`Attempt`]), and is answered. Between any two of these time passes, in which others go on.

use crate::attempt::{Attempt, Ran};
use crate::draw::{MILLION, What, Who};
use crate::fault::FaultKind;
use crate::slab::Name;
use crate::store::Reads;
use crate::traffic::{End, Journey};
use crate::world::{Event, World};
use doubletick_core::command::Command;
use doubletick_core::gateway::{Input, Ticket};
use doubletick_core::store::{Commit, Failure, Write};
use doubletick_core::transact::{Batch, Outcome};
use std::sync::Arc;

/// After which a client of the store gives up on one that it cannot reach.
const PATIENCE_MS: u64 = 5_000;

/// Who waits for the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    /// A gateway.
    Host(u32, Ticket),
    /// The registration of a device.
    Device(u32),
}

impl Origin {
    fn who(self) -> Who {
        match self {
            Self::Host(host, _) => Who::Host(host),
            Self::Device(device) => Who::Device(device),
        }
    }
}

/// How far a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begin,
    Run,
    Commit,
    /// Its caller has given up, and it is committed all the same.
    Land,
    Answer,
}

/// A transaction.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    origin: Origin,
    /// For draws: the how-manieth of its origin.
    number: u64,
    steps: u64,
    batch: Arc<Batch>,
    stage: Stage,
    /// When its next step would come without jitter.
    due: u64,
    /// How many of its steps were late without having changed any order yet, and by how much in all. Their answer is late by that.
    quiet: u64,
    lag: u64,
    attempt: Attempt<Outcome>,
    result: Option<Result<Outcome, Failure>>,
}

impl Flight {
    pub(crate) fn who(&self) -> Who {
        self.origin.who()
    }

    /// The answer that is on its way to its origin.
    fn answer(&self) -> Journey {
        Journey::Answer(self.who().into(), self.number, self.steps)
    }
}

impl World<'_> {
    pub(crate) fn submit_for_host(&mut self, host: u32, ticket: Ticket, batch: Arc<Batch>) {
        self.hosts[host as usize].flights += 1;
        let number = self.hosts[host as usize].flights;
        self.submit(Origin::Host(host, ticket), number, batch);
    }

    pub(crate) fn submit(&mut self, origin: Origin, number: u64, batch: Arc<Batch>) {
        let reads = self.notes.pop().unwrap_or_default();
        let in_rounds = self.draws.chance(origin.who(), What::Rounds, number, self.options.rounds);
        let flight = Flight {
            origin,
            number,
            steps: 0,
            batch,
            stage: Stage::Begin,
            due: 0,
            quiet: 0,
            lag: 0,
            attempt: Attempt::new(reads, in_rounds),
            result: None,
        };
        self.transaction_leaves(flight.who().into(), number, &flight.batch.commands);
        let name = self.flights.insert(flight);
        self.next_stage(name, Stage::Begin, 0);
    }

    /// The transaction goes on after the store's latency and what is added to it.
    fn next_stage(&mut self, name: Name, stage: Stage, more: u64) {
        let bounds = self.options.store_ms;
        let draws = self.draws;
        let Some(flight) = self.flights.get_mut(name) else { return };
        flight.stage = stage;
        flight.steps += 1;
        let (who, counter) = (flight.who(), flight.number << 8 | flight.steps);
        flight.due = self.now + more + draws.within(who, What::Store, counter, bounds);
        let due = flight.due;
        let late = if self.fault(FaultKind::StoreJitter, who, counter) { self.size(FaultKind::StoreJitter, who, counter) } else { 0 };
        if late > 0
            && let Some(flight) = self.flights.get_mut(name)
        {
            flight.quiet += 1;
            flight.lag += late;
        }
        self.at(due + late, Event::Flight(name));
    }

    fn end(&mut self, name: Name, result: Result<Outcome, Failure>, more: u64) {
        let failure = result.as_ref().err().copied();
        let heard = result.is_ok() || more != PATIENCE_MS;
        let who = self.flights.get_mut(name).map(|flight| {
            flight.result = Some(result);
            flight.who()
        });
        self.next_stage(name, Stage::Answer, more);
        if let (Some(who), Some(flight)) = (who, self.flights.get(name)) {
            // Whoever gives up tells itself.
            let from = if heard { End::Store } else { who.into() };
            let journey = flight.answer();
            self.leaves(journey, from, who.into(), || failure.map_or_else(|| "Done".into(), |failure| format!("{failure:?}")));
        }
    }

    pub(crate) fn fly(&mut self, name: Name) {
        let (now, committed) = (self.now, self.committed);
        let Some(flight) = self.flights.get_mut(name) else { return };
        let stage = flight.stage;
        if stage != Stage::Answer && flight.quiet > 0 && committed > flight.due {
            // It reads another state, or comes after a commit that it would have come before.
            flight.quiet -= 1;
            flight.lag -= now - flight.due;
            self.fired(FaultKind::StoreJitter);
        }
        match stage {
            Stage::Begin => self.begin(name),
            Stage::Run => self.run_flight(name),
            Stage::Commit => self.commit(name),
            Stage::Land => self.land(name),
            Stage::Answer => self.answer(name),
        }
    }

    /// Whether the store is out of reach for whoever asks.
    fn is_cut(&mut self, origin: Origin) -> bool {
        let Origin::Host(host, _) = origin else { return false };
        let cut = self.hosts[host as usize].cut_until > self.now;
        if cut {
            self.host_feels(host, FaultKind::Partition);
        }
        cut
    }

    fn begin(&mut self, name: Name) {
        let Some(flight) = self.flights.get(name) else { return };
        let origin = flight.origin;
        let journey = Journey::Transaction(flight.who().into(), flight.number);
        if self.is_cut(origin) {
            self.lost(journey);
            return self.end(name, Err(Failure::Retry), PATIENCE_MS);
        }
        self.arrives(journey);
        if self.overloaded_until > self.now {
            if !core::mem::replace(&mut self.overload_felt, true) {
                self.fired(FaultKind::Overload);
            }
            return self.end(name, Err(Failure::Unavailable), 0);
        }
        if let Some(flight) = self.flights.get_mut(name) {
            flight.attempt.begin(&self.store, self.now);
        }
        self.run_flight(name);
    }

    fn run_flight(&mut self, name: Name) {
        let Some(flight) = self.flights.get_mut(name) else { return };
        let (who, number) = (flight.who(), flight.number);
        match flight.attempt.run(&flight.batch, &self.store, self.now) {
            Ran::Ready => {
                let stalled = self.fault(FaultKind::StoreStall, who, number);
                let more = if stalled { self.size(FaultKind::StoreStall, who, number) } else { 0 };
                if more > 0 {
                    self.fired(FaultKind::StoreStall);
                }
                self.next_stage(name, Stage::Commit, more);
            }
            Ran::Fetches => self.next_stage(name, Stage::Run, 0),
            Ran::TooOld => self.end(name, Err(Failure::Retry), 0),
        }
    }

    fn commit(&mut self, name: Name) {
        let Some(flight) = self.flights.get(name) else { return };
        let (origin, who, number) = (flight.origin, flight.who(), flight.number);
        let writes = flight.attempt.writes();
        if flight.attempt.is_too_old(self.now) {
            return self.end(name, Err(Failure::Retry), 0);
        }
        if self.fault(FaultKind::TooOld, who, number) {
            self.fired(FaultKind::TooOld);
            return self.end(name, Err(Failure::Retry), 0);
        }
        if !writes {
            // What only reads is serialized where its snapshot was.
            return self.committed(name);
        }
        if self.is_cut(origin) {
            return self.end(name, Err(Failure::Unknown), PATIENCE_MS);
        }
        if self.flights.get(name).is_some_and(|flight| flight.attempt.conflicts(&self.store)) {
            self.work.conflicts += 1;
            return self.end(name, Err(Failure::Retry), 0);
        }
        if self.fault(FaultKind::Conflict, who, number) {
            self.fired(FaultKind::Conflict);
            return self.end(name, Err(Failure::Retry), 0);
        }
        if self.fault(FaultKind::UnknownLost, who, number) {
            self.fired(FaultKind::UnknownLost);
            let wait = self.size(FaultKind::UnknownLost, who, number);
            return self.end(name, Err(Failure::Unknown), wait);
        }
        if self.fault(FaultKind::LateCommit, who, number) {
            return self.give_up(name);
        }
        self.committed(name);
    }

    /// The caller hears that nothing is known, and the commit is still on its way.
    fn give_up(&mut self, name: Name) {
        let Some(flight) = self.flights.get_mut(name) else { return };
        let (origin, number, batch) = (flight.origin, flight.number, Arc::clone(&flight.batch));
        let attempt = core::mem::replace(&mut flight.attempt, Attempt::new(Reads::default(), false));
        let late = Flight { origin, number, steps: 128, batch, stage: Stage::Land, due: 0, quiet: 0, lag: 0, attempt, result: None };
        let wait = self.size(FaultKind::LateCommit, late.who(), number);
        let late = self.flights.insert(late);
        self.next_stage(late, Stage::Land, wait);
        self.end(name, Err(Failure::Unknown), 0);
    }

    fn land(&mut self, name: Name) {
        let Some(mut flight) = self.flights.remove(name) else { return };
        let Some(Commit { writes, answer }) = flight.attempt.take() else { return };
        if flight.attempt.is_too_old(self.now) || flight.attempt.conflicts(&self.store) {
            return;
        }
        self.fired(FaultKind::LateCommit);
        // Nobody hears this answer, and yet what it refused may be done by the next run of the same commands, after what it did.
        self.oracles.answered(&self.store, flight.attempt.version(), &flight.batch, &answer);
        self.apply(&flight.batch, writes, &answer);
    }

    fn committed(&mut self, name: Name) {
        let Some(flight) = self.flights.get_mut(name) else { return };
        let Some(Commit { writes, answer }) = flight.attempt.take() else { return };
        let (origin, who, number, version) = (flight.origin, flight.who(), flight.number, flight.attempt.version());
        let batch = Arc::clone(&flight.batch);
        self.oracles.answered(&self.store, version, &batch, &answer);
        assert!(answer.damaged.is_empty(), "nothing damages rows here: {:?}", answer.damaged);
        let wrote = !writes.is_empty();
        if wrote {
            self.apply(&batch, writes, &answer);
        }
        if wrote && self.fault(FaultKind::UnknownCommitted, who, number) {
            self.fired(FaultKind::UnknownCommitted);
            let wait = self.size(FaultKind::UnknownCommitted, who, number);
            return self.end(name, Err(Failure::Unknown), wait);
        }
        self.end(name, Ok(answer), 0);
        if let Origin::Host(host, _) = origin
            && matches!(batch.commands[..], [Command::FanOut { .. }])
            && self.hosts[host as usize].gateway.is_some()
            && self.fault(FaultKind::FanOutKilled, who, number)
        {
            self.crash(host, FaultKind::FanOutKilled, who, number);
        }
    }

    /// The writes are there from now on, and bells ring.
    fn apply(&mut self, batch: &Batch, writes: Vec<Write>, answer: &Outcome) {
        self.note_rows(&writes);
        self.work.commits += 1;
        self.committed = self.now;
        for write in &writes {
            self.trace.bytes(write.key().as_bytes());
            match write {
                Write::Set(_, value) => self.trace.value(value),
                Write::Clear(_) => self.trace.number(0),
                Write::Max(_, number) => self.trace.number(*number),
                Write::Add(key, number) => {
                    self.trace.number(*number);
                    if let Some(host) = self.bells.get(key).copied() {
                        self.ring(host);
                    }
                }
            }
        }
        self.store.commit(self.now, writes);
        self.oracles.committed(batch, answer, &self.store, self.now);
        self.oracles.happened(&answer.events);
    }

    fn ring(&mut self, host: u32) {
        self.hosts[host as usize].bells += 1;
        let (who, number) = (Who::Host(host), self.hosts[host as usize].bells);
        if self.fault(FaultKind::BellLost, who, number) {
            self.bell_vanishes(host);
            return self.fired(FaultKind::BellLost);
        }
        let due = self.now + self.draws.within(who, What::Detail(1), number, self.options.store_ms);
        let mut at = due;
        if self.fault(FaultKind::BellLate, who, number) {
            at += self.size(FaultKind::BellLate, who, number);
        }
        self.at(at, Event::Bell(host, due));
        self.bell_leaves(host, number, due);
        if self.fault(FaultKind::BellTwice, who, number) {
            let again = at + self.size(FaultKind::BellTwice, who, number);
            self.at(again, Event::Again(host));
        }
    }

    fn answer(&mut self, name: Name) {
        let Some(flight) = self.flights.get(name) else { return };
        let (origin, good, journey) = (flight.origin, flight.result.as_ref().is_some_and(Result::is_ok), flight.answer());
        if let Origin::Host(host, _) = origin {
            if self.hosts[host as usize].gateway.is_none() {
                self.lost(journey);
                self.flights.remove(name);
                return;
            }
            if self.is_paused(host, Event::Flight(name)) {
                return;
            }
        }
        if good && self.is_cut(origin) {
            self.lost(journey);
            return self.end(name, Err(Failure::Unknown), PATIENCE_MS);
        }
        self.arrives(journey);
        let Some(flight) = self.flights.remove(name) else { return };
        let version = flight.attempt.version();
        self.notes.push(flight.attempt.into_reads());
        let Some(result) = flight.result else { return };
        if let Origin::Host(host, _) = origin
            && self.hosts[host as usize].touched > self.now.saturating_sub(flight.lag)
        {
            // The answer comes after something that it would have come before.
            (0..flight.quiet).for_each(|_| self.fired(FaultKind::StoreJitter));
        }
        match origin {
            Origin::Host(host, ticket) => {
                if let Ok(outcome) = &result {
                    self.oracles.gateway_told(version, &flight.batch, outcome);
                }
                self.tell_host(host, Input::Transacted(ticket, result));
            }
            Origin::Device(device) => self.registered(device, result),
        }
    }

    /// Whether something happens to a part of a million of those that are counted.
    pub(crate) fn now_and_then(&self, who: Who, detail: u32, counter: u64, one_in: u64) -> bool {
        self.draws.chance(who, What::Detail(detail), counter, (u64::from(MILLION) / one_in.max(1)) as u32)
    }
}
