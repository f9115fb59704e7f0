//! The gateway alone: devices are played frame by frame, and its transactions run when the test says so.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one variant among many")]

#[path = "gateway/groups.rs"]
mod groups;
#[path = "pair/rows.rs"]
mod memory;

use doubletick_core::change::{Change, Settings};
use doubletick_core::command::{Command, code_digest};
use doubletick_core::content::Content;
use doubletick_core::event::Event;
use doubletick_core::frame::{ClientFrame, CloseReason, Presence, Privacy, RequestId, ServerFrame, Target};
use doubletick_core::gateway::{Config, ConnId, Drain, Gateway, Input, Output, Ticket, frame_cost};
use doubletick_core::id::{ConversationId, DeviceId, GatewayId, GroupId, MessageId, Phone, Secret, Seq, SessionEpoch, UserId};
use doubletick_core::limits;
use doubletick_core::rows::{self, Account, LinkedDevice, Row, StoredWake, Topic};
use doubletick_core::store::Failure;
use doubletick_core::time::{Millis, Timestamp};
use doubletick_core::transact::{Batch, Outcome};
use memory::Rows;
use std::sync::Arc;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

struct Bench {
    now: Timestamp,
    rows: Rows,
    gateway: Gateway,
    jobs: Vec<(Ticket, Arc<Batch>)>,
    frames: Vec<(ConnId, ServerFrame)>,
    closed: Vec<(ConnId, CloseReason)>,
    /// What is sent is read at once.
    reads: bool,
}

fn secret(user: u64) -> Secret {
    Secret([user as u8; 32])
}

fn device(user: u64) -> DeviceId {
    DeviceId { user: UserId(user), serial: 1 }
}

fn talk(one: u64, other: u64) -> ConversationId {
    ConversationId::direct(UserId(one), UserId(other)).unwrap()
}

impl Bench {
    fn new(users: u64, config: Config) -> Self {
        let gateway = Gateway::new(GatewayId(1), config, NOW);
        let mut bench = Self { now: NOW, rows: Rows::default(), gateway, jobs: vec![], frames: vec![], closed: vec![], reads: true };
        for user in 1..=users {
            let phone = Phone::parse(&format!("+49151{user:07}")).unwrap();
            let code = code_digest(&phone, "1");
            bench.rows.execute(&Arc::new(Batch {
                now: NOW,
                commands: vec![
                    Command::RequestCode { phone: phone.clone(), code },
                    Command::Register { phone, code, secret: secret(user).digest(), new_user: UserId(user), name: String::new() },
                    Command::SetPrivacy { user: UserId(user), privacy: Privacy::Everyone },
                ],
            }));
        }
        bench.run();
        bench
    }

    fn input(&mut self, input: Input) {
        self.gateway.handle_input(self.now, input);
    }

    fn frame(&mut self, conn: u64, frame: ClientFrame) {
        self.input(Input::Frame(ConnId(conn), frame));
    }

    /// Takes what there is to be done, and leaves transactions for later.
    fn drain(&mut self) {
        while let Some(output) = self.gateway.poll_output() {
            match output {
                Output::Frame(conn, frame) => {
                    if self.reads {
                        self.gateway.handle_input(self.now, Input::Flushed(conn, frame_cost(&frame)));
                    }
                    self.frames.push((conn, frame));
                }
                Output::Close { conn, reason, .. } => self.closed.push((conn, reason)),
                Output::Transact(ticket, batch) => self.jobs.push((ticket, batch)),
                Output::Ended => panic!("the lease is gone"),
            }
        }
        self.gateway.check();
    }

    /// The transaction that holds such a command is taken out of those that wait for the store.
    fn take(&mut self, holds: impl Fn(&Command) -> bool) -> (Ticket, Arc<Batch>) {
        self.drain();
        let place = self.jobs.iter().position(|(_, batch)| batch.commands.iter().any(&holds)).expect("it is under way");
        self.jobs.remove(place)
    }

    fn ended(&mut self, ticket: Ticket, result: Result<Outcome, Failure>) {
        self.input(Input::Transacted(ticket, result));
        self.drain();
    }

    /// Runs transactions until there is nothing more to be done.
    fn run(&mut self) {
        self.drain();
        while !self.jobs.is_empty() {
            let (ticket, batch) = self.jobs.remove(0);
            let outcome = self.rows.execute(&batch);
            self.ended(ticket, Ok(outcome));
        }
    }

    fn pass(&mut self, length: Millis) {
        let end = self.now + length;
        while let Some(due) = self.gateway.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.gateway.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    fn greet(&mut self, conn: u64, user: u64) {
        self.input(Input::Connected(ConnId(conn)));
        self.frame(conn, ClientFrame::Hello { device: device(user), secret: secret(user), run: 1 });
    }

    fn open(&mut self, conn: u64, user: u64) {
        self.greet(conn, user);
        self.run();
    }

    fn send(&mut self, conn: u64, request: u32, to: ConversationId, bytes: usize) {
        let mut id = [conn as u8; 16];
        id[..4].copy_from_slice(&request.to_be_bytes());
        let content = Content::shared(1, vec![7; bytes]).unwrap();
        let (to, id) = (Target::Id(to), MessageId(id));
        self.frame(conn, ClientFrame::Send { request: RequestId(request), attempt: 0, to, id, content, roster: 0 });
    }

    fn told(&self, conn: u64) -> Vec<&ServerFrame> {
        self.frames.iter().filter(|(to, _)| *to == ConnId(conn)).map(|(_, frame)| frame).collect()
    }

    fn presence(&self, conn: u64) -> Vec<Presence> {
        let seen = self.told(conn).into_iter().filter_map(|frame| match frame {
            ServerFrame::Presence { presence, .. } => Some(*presence),
            _ => None,
        });
        seen.collect()
    }
}

#[test]
fn a_session_whose_waiting_messages_were_refused_does_not_hold_up_the_others() {
    let mut bench = Bench::new(2, Config { in_flight: 1, ..Config::default() });
    bench.open(1, 1);
    bench.open(2, 2);
    bench.send(1, 1, talk(1, 2), 1);
    bench.drain();
    bench.send(2, 1, talk(1, 2), 1);
    bench.drain();
    // The token of the second runs out while its message stands in line: that is refused together with the next one.
    bench.now = bench.now + limits::TOKEN_LIFE;
    bench.send(2, 2, talk(1, 2), 1);
    bench.run();
    bench.frame(1, ClientFrame::Renew { request: RequestId(9), secret: Secret([9; 32]) });
    bench.run();
    assert!(bench.told(1).iter().any(|frame| matches!(frame, ServerFrame::Done { request: RequestId(9), .. })));
}

#[test]
fn an_opening_that_may_yet_be_committed_is_not_given_up_when_the_store_refuses_work() {
    let mut bench = Bench::new(1, Config::default());
    bench.run();
    bench.greet(1, 1);
    let opens = |command: &Command| matches!(command, Command::OpenSession { .. });
    let (ticket, batch) = bench.take(opens);
    bench.ended(ticket, Err(Failure::Unknown));
    bench.pass(Millis(1));
    assert_eq!(bench.take(opens).0, ticket);
    bench.ended(ticket, Err(Failure::Unavailable));
    bench.input(Input::Closed(ConnId(1)));
    bench.drain();
    assert!(bench.jobs.is_empty(), "the end of its session waits for it");
    // The first run is committed after all.
    bench.rows.execute(&batch);
    bench.pass(Millis::seconds(2));
    bench.run();
    let held = bench.rows.0.contains_key(&rows::session(device(1)).key);
    assert!(!held, "the user is online, and there is nobody");
}

#[test]
fn a_user_was_last_seen_when_the_device_was_heard_however_long_its_session_took_to_open() {
    let mut bench = Bench::new(1, Config::default());
    bench.run();
    let heard = bench.now;
    bench.greet(1, 1);
    bench.drain();
    bench.pass(Millis::seconds(5));
    bench.run();
    bench.pass(limits::LEASE_RENEWAL);
    bench.run();
    let seen = bench.rows.0.get(&rows::last_seen(device(1).user).key).map(|row| u64::from_le_bytes(row[..].try_into().unwrap()));
    assert_eq!(seen, Some(heard.millis()));
}

#[test]
fn an_acknowledgement_of_all_that_was_delivered_leaves_nothing_owed_whatever_was_sent_meanwhile() {
    let mut bench = Bench::new(2, Config::default());
    bench.open(1, 1);
    bench.open(2, 2);
    bench.send(1, 1, talk(1, 2), 1);
    bench.run();
    bench.input(Input::Bell);
    bench.run();
    bench.send(2, 1, talk(1, 2), 1);
    bench.run();
    bench.frame(2, ClientFrame::Ack { request: None, of: Target::Id(talk(1, 2)), delivered: Seq(1), read: Seq(0) });
    bench.run();
    bench.pass(Millis::seconds(20));
    bench.frame(2, ClientFrame::Ping);
    bench.pass(Millis::seconds(20));
    assert!(!bench.closed.contains(&(ConnId(2), CloseReason::AckTimeout)));
}

#[test]
fn a_reader_that_is_slow_and_reads_is_not_cut_off() {
    let mut bench = Bench::new(6, Config { unflushed: 256 * 1024, ..Config::default() });
    // As many conversations as are read at a time, each with several full pages.
    for user in 3..=6 {
        bench.open(user, user);
        for n in 0..20 {
            bench.send(user, n, talk(user, 2), 16_000);
            bench.run();
        }
    }
    bench.reads = false;
    bench.open(2, 2);
    let mut delivered = 0;
    let mut names = vec![];
    for passed_on in 0..400 {
        // One frame after the other finds its way into the network, and is acknowledged.
        let Some(frame) = bench.told(2).get(passed_on).copied().cloned() else { break };
        bench.input(Input::Flushed(ConnId(2), frame_cost(&frame)));
        if let ServerFrame::Deliver { of, entries } = frame {
            if let Target::Bind(_, conversation) = of {
                names.push(conversation);
            }
            delivered += entries.len();
            let of = if let Target::Handle(handle) = of { Target::Id(names[handle.0 as usize]) } else { of };
            bench.frame(2, ClientFrame::Ack { request: None, of, delivered: entries.last().unwrap().seq, read: Seq(0) });
        }
        bench.run();
    }
    assert_eq!(bench.closed, []);
    assert_eq!(delivered, 80);
}

#[test]
fn what_is_shown_of_a_user_is_not_overtaken_by_an_older_answer() {
    let mut bench = Bench::new(2, Config::default());
    bench.open(1, 1);
    bench.open(2, 2);
    bench.frame(1, ClientFrame::Watch { user: UserId(2) });
    let (ticket, batch) = bench.take(|command| matches!(command, Command::Watch { .. }));
    // The answer says that the user is online; before it arrives the user has gone, and the wake-up that says so comes first.
    let online = bench.rows.execute(&batch);
    let gone = Command::EndSession { device: device(2), gateway: GatewayId(1), epoch: SessionEpoch(2), heard: NOW };
    bench.rows.execute(&Arc::new(Batch { now: NOW, commands: vec![gone] }));
    bench.input(Input::Bell);
    bench.run();
    bench.ended(ticket, Ok(online));
    bench.run();
    assert!(matches!(bench.presence(1).last(), Some(Presence::Offline { .. })), "{:?}", bench.presence(1));
}

#[test]
fn the_answer_to_a_watch_that_was_ended_is_not_taken_for_that_of_the_next_one() {
    let mut bench = Bench::new(2, Config::default());
    bench.open(1, 1);
    bench.open(2, 2);
    bench.frame(1, ClientFrame::Watch { user: UserId(2) });
    let (first, batch) = bench.take(|command| matches!(command, Command::Watch { .. }));
    let online = bench.rows.execute(&batch);
    bench.frame(1, ClientFrame::Unwatch { user: UserId(2) });
    bench.frame(1, ClientFrame::Watch { user: UserId(2) });
    bench.ended(first, Ok(online));
    let (second, batch) = bench.take(|command| matches!(command, Command::Watch { .. }));
    // The second answer is on its way when the user goes, and what says so comes first.
    let online = bench.rows.execute(&batch);
    let gone = Command::EndSession { device: device(2), gateway: GatewayId(1), epoch: SessionEpoch(2), heard: NOW };
    bench.rows.execute(&Arc::new(Batch { now: NOW, commands: vec![gone] }));
    bench.input(Input::Bell);
    bench.run();
    bench.ended(second, Ok(online));
    bench.run();
    assert!(matches!(bench.presence(1).last(), Some(Presence::Offline { .. })), "{:?}", bench.presence(1));
}

#[test]
fn an_older_connection_that_ends_late_does_not_end_the_watch_of_the_newer_one() {
    let mut bench = Bench::new(2, Config::default());
    for conn in [1, 3] {
        bench.open(conn, 1);
        bench.frame(conn, ClientFrame::Watch { user: UserId(2) });
        bench.run();
    }
    bench.input(Input::Closed(ConnId(1)));
    bench.run();
    bench.open(2, 2);
    bench.input(Input::Bell);
    bench.run();
    assert_eq!(bench.presence(3).last(), Some(&Presence::Online));
}

#[test]
fn news_of_a_user_that_were_read_before_the_answer_to_a_watch_and_come_after_it_are_not_taken_for_newer() {
    let mut bench = Bench::new(2, Config::default());
    bench.open(1, 1);
    bench.frame(1, ClientFrame::Watch { user: UserId(2) });
    bench.run();
    bench.open(2, 2);
    bench.input(Input::Closed(ConnId(2)));
    bench.run();
    // The news that she is offline are read, and their answer takes its time.
    bench.input(Input::Bell);
    let (late, batch) = bench.take(|command| matches!(command, Command::TakeWakes { .. }));
    let news = bench.rows.execute(&batch);
    bench.frame(1, ClientFrame::Unwatch { user: UserId(2) });
    bench.run();
    bench.open(3, 2);
    bench.frame(1, ClientFrame::Watch { user: UserId(2) });
    bench.run();
    bench.ended(late, Ok(news));
    bench.run();
    assert_eq!(bench.presence(1).last(), Some(&Presence::Online));
}

/// Online, offline, online: the last of these says what the first did, and the first was seen to. In between the watcher was told what a
/// question found. The wake-ups are handed in after that answer has come, around it, or before it.
#[test]
fn news_that_say_again_what_was_seen_before_an_answer_are_not_cleared_as_seen() {
    for (handed_in_before, cleared_before) in [(false, false), (true, false), (true, true)] {
        let mut bench = Bench::new(2, Config::default());
        bench.open(1, 1);
        bench.frame(1, ClientFrame::Watch { user: UserId(2) });
        bench.run();
        bench.open(2, 2);
        bench.input(Input::Bell);
        let (ticket, batch) = bench.take(|command| matches!(command, Command::TakeWakes { .. }));
        let outcome = bench.rows.execute(&batch);
        bench.ended(ticket, Ok(outcome));
        bench.frame(1, ClientFrame::Unwatch { user: UserId(2) });
        bench.run();
        let at = |gateway: &mut Bench, command| gateway.rows.execute(&Arc::new(Batch { now: NOW, commands: vec![command] }));
        at(&mut bench, Command::EndSession { device: device(2), gateway: GatewayId(1), epoch: SessionEpoch(2), heard: NOW });
        bench.frame(1, ClientFrame::Watch { user: UserId(2) });
        let (asked, question) = bench.take(|command| matches!(command, Command::Watch { .. }));
        let offline = bench.rows.execute(&question);
        let handing_in = handed_in_before.then(|| {
            bench.input(Input::Bell);
            bench.take(|command| matches!(command, Command::TakeWakes { seen, .. } if !seen.is_empty()))
        });
        if !cleared_before {
            bench.ended(asked, Ok(offline.clone()));
            assert!(matches!(bench.presence(1).last(), Some(Presence::Offline { .. })), "{:?}", bench.presence(1));
        }
        let again =
            Command::OpenSession { device: device(2), secret: secret(2).digest(), gateway: GatewayId(1), epoch: SessionEpoch(9), run: 1 };
        at(&mut bench, again);
        if let Some((ticket, batch)) = handing_in {
            let outcome = bench.rows.execute(&batch);
            bench.ended(ticket, Ok(outcome));
        }
        if cleared_before {
            bench.ended(asked, Ok(offline));
        }
        bench.input(Input::Bell);
        bench.run();
        assert_eq!(
            bench.presence(1).last(),
            Some(&Presence::Online),
            "handed in before the answer: {handed_in_before}, and cleared: {cleared_before}"
        );
    }
}

#[test]
fn ends_and_beginnings_of_sessions_keep_their_order_while_the_store_refuses_work() {
    let mut bench = Bench::new(3, Config { batch: 2, ..Config::default() });
    bench.open(1, 1);
    bench.frame(1, ClientFrame::Watch { user: UserId(2) });
    bench.run();
    // The end of a watch shares a transaction with somebody's greeting, which is not kept for later; the next watch waits behind them.
    bench.frame(1, ClientFrame::Unwatch { user: UserId(2) });
    bench.greet(3, 3);
    bench.frame(1, ClientFrame::Watch { user: UserId(2) });
    let (ticket, batch) = bench.take(|command| matches!(command, Command::Unwatch { .. }));
    assert!(matches!(batch.commands[..], [Command::Unwatch { .. }, Command::OpenSession { .. }]));
    bench.ended(ticket, Err(Failure::Unavailable));
    bench.run();
    assert_eq!(bench.closed, [(ConnId(3), CloseReason::Unavailable)]);
    bench.open(2, 2);
    bench.input(Input::Bell);
    bench.run();
    assert_eq!(bench.presence(1).last(), Some(&Presence::Online));
}

#[test]
fn a_connection_that_ends_while_its_session_is_being_opened_leaves_no_session_behind() {
    let mut bench = Bench::new(1, Config::default());
    bench.greet(1, 1);
    let (ticket, batch) = bench.take(|command| matches!(command, Command::OpenSession { .. }));
    bench.input(Input::Closed(ConnId(1)));
    let opened = bench.rows.execute(&batch);
    bench.ended(ticket, Ok(opened));
    bench.run();
    assert!(!bench.rows.0.contains_key(&rows::session(device(1)).key), "a user would be online for as long as the gateway lives");
    // One that ends before its opening has begun never becomes one.
    bench.greet(2, 1);
    bench.input(Input::Closed(ConnId(2)));
    bench.drain();
    assert!(bench.jobs.is_empty());
}

#[test]
fn a_wake_up_during_the_opening_counts_for_the_true_device_also_if_somebody_else_greets_with_its_name() {
    let mut bench = Bench::new(2, Config::default());
    bench.open(1, 1);
    bench.greet(2, 2);
    let (ticket, batch) = bench.take(|command| matches!(command, Command::OpenSession { .. }));
    let opened = bench.rows.execute(&batch);
    bench.input(Input::Connected(ConnId(3)));
    bench.frame(3, ClientFrame::Hello { device: device(2), secret: Secret([99; 32]), run: 1 });
    bench.send(1, 1, talk(1, 2), 1);
    bench.run();
    bench.input(Input::Bell);
    bench.run();
    bench.ended(ticket, Ok(opened));
    bench.run();
    assert!(bench.told(2).iter().any(|frame| matches!(frame, ServerFrame::Deliver { .. })), "without waiting for the next re-reading");
    assert_eq!(bench.closed, [(ConnId(3), CloseReason::BadToken)]);
}

#[test]
fn a_device_that_is_removed_while_it_connects_is_sent_away() {
    let mut bench = Bench::new(1, Config::default());
    bench.greet(1, 1);
    let (ticket, batch) = bench.take(|command| matches!(command, Command::OpenSession { .. }));
    let opened = bench.rows.execute(&batch);
    bench.rows.execute(&Arc::new(Batch { now: NOW, commands: vec![Command::RemoveDevice { device: device(1) }] }));
    bench.input(Input::Bell);
    bench.run();
    bench.ended(ticket, Ok(opened));
    bench.run();
    assert_eq!(bench.closed, [(ConnId(1), CloseReason::DeviceRemoved)]);
}

#[test]
fn a_removed_device_is_sent_away_also_if_the_wake_up_that_says_so_is_lost() {
    let mut bench = Bench::new(1, Config::default());
    bench.open(1, 1);
    bench.rows.execute(&Arc::new(Batch { now: NOW, commands: vec![Command::RemoveDevice { device: device(1) }] }));
    bench.rows.0.retain(|key, _| rows::wake_of(key).is_none());
    for _ in 0..4 {
        bench.pass(Millis::seconds(25));
        bench.frame(1, ClientFrame::Ping);
        bench.run();
    }
    assert_eq!(bench.closed, [(ConnId(1), CloseReason::DeviceRemoved)]);
}

#[test]
fn while_the_store_is_silent_nothing_gathers_but_what_connections_have_asked_for() {
    let mut bench = Bench::new(8, Config { connections: 8, ..Config::default() });
    for user in 1..=4 {
        bench.open(user, user);
    }
    for n in 0..1000 {
        // Some stay; others come and go, as they do when nobody lets them in.
        bench.pass(Millis::seconds(20));
        for user in 1..=4 {
            bench.frame(user, ClientFrame::Ping);
        }
        let conn = 100 + n;
        bench.greet(conn, 5 + n % 4);
        bench.drain();
        bench.input(Input::Closed(ConnId(conn)));
        bench.drain();
    }
    assert_eq!(bench.gateway.connections(), 4);
    bench.run();
    assert_eq!(bench.gateway.sessions(), 4, "and it goes on where it was");
}

#[test]
fn while_the_store_refuses_work_every_visitor_is_told_so_and_nothing_gathers() {
    let mut bench = Bench::new(2, Config { connections: 4, ..Config::default() });
    bench.open(1, 1);
    for n in 0..500 {
        bench.now = bench.now + Millis(500);
        bench.gateway.handle_timeout(bench.now);
        bench.frame(1, ClientFrame::Ping);
        bench.greet(100 + n, 2);
        bench.drain();
        for (ticket, _) in std::mem::take(&mut bench.jobs) {
            bench.ended(ticket, Err(Failure::Unavailable));
        }
    }
    bench.pass(Millis::seconds(60));
    bench.frame(1, ClientFrame::Ping);
    bench.run();
    bench.open(2, 2);
    assert!(bench.told(2).iter().any(|frame| matches!(frame, ServerFrame::Welcome { .. })));
}

#[test]
fn a_session_that_speaks_of_more_conversations_than_it_has_handles_keeps_nothing_of_the_others() {
    let mut bench = Bench::new(1, Config { requests: 4096, ..Config::default() });
    bench.open(1, 1);
    let many = limits::HANDLES_PER_SESSION as u64 * 3;
    for peer in 2..2 + many {
        let key = rows::wake(GatewayId(1), device(1), Topic::Receipt(talk(1, peer))).key;
        bench.rows.0.insert(key, StoredWake::Receipt(Seq(1), Seq(0)).encode());
    }
    bench.input(Input::Bell);
    bench.run();
    let told = bench.told(1).iter().filter(|frame| matches!(frame, ServerFrame::Receipt { .. })).count();
    assert_eq!(told as u64, many);
}

#[test]
fn a_device_that_is_written_to_in_more_conversations_than_a_session_keeps_gets_all_of_them() {
    let mut bench = Bench::new(1, Config::default());
    bench.open(1, 1);
    let many = limits::CHATS_PER_SESSION as u64 + 600;
    for peer in 2..2 + many {
        let devices = vec![LinkedDevice { serial: 1, epoch: 1, name: String::new() }];
        let phone = format!("+49151{peer:07}");
        let account = Account { phone, devices, next_serial: 2, device_epoch: 1, privacy: Privacy::Nobody };
        bench.rows.0.insert(rows::account(UserId(peer)).key, account.encode());
        let content = Content::shared(1, vec![7]).unwrap();
        let send = Command::Send { from: device(peer), conversation: talk(1, peer), id: MessageId([1; 16]), content, roster: 0 };
        bench.rows.execute(&Arc::new(Batch { now: NOW, commands: vec![send] }));
    }
    bench.input(Input::Bell);
    let mut told = 0;
    let mut names = vec![];
    loop {
        bench.run();
        let fresh: Vec<ServerFrame> = bench.told(1).into_iter().skip(told).cloned().collect();
        if fresh.is_empty() {
            break;
        }
        told += fresh.len();
        for frame in fresh {
            let ServerFrame::Deliver { of, .. } = frame else { continue };
            names.push(of);
            bench.frame(1, ClientFrame::Ack { request: None, of, delivered: Seq(1), read: Seq(0) });
        }
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len() as u64, many, "each once, by handle or by its full name");
    assert_eq!(bench.closed, []);
}

fn draining(over: u64, spread: u64, handover: u64) -> Input {
    Input::Drain(Drain { over: Millis::seconds(over), spread: Millis::seconds(spread), handover: Millis::seconds(handover) })
}

#[test]
fn a_gateway_that_stops_sends_its_clients_away_at_even_distances() {
    let mut bench = Bench::new(5, Config::default());
    (1..=5).for_each(|user| bench.open(user, user));
    let began = bench.now;
    bench.input(draining(10, 3, 0));
    let mut after = vec![];
    loop {
        bench.run();
        after.extend(bench.closed.drain(..).map(|(conn, reason)| (bench.now.since(began).0, conn.0, reason)));
        if bench.gateway.is_idle() {
            break;
        }
        bench.pass(Millis(500));
    }
    let expected = [(0, 1), (2_000, 2), (4_000, 3), (6_000, 4), (8_000, 5)];
    assert_eq!(after, expected.map(|(at, conn)| (at, conn, CloseReason::Restarting)));
    assert!((1..=5).all(|user| !bench.rows.0.contains_key(&rows::session(device(user)).key)), "with nowhere else, sessions end at once");
    bench.input(Input::Connected(ConnId(6)));
    bench.drain();
    assert_eq!(bench.closed, [(ConnId(6), CloseReason::Restarting)]);
}

#[test]
fn a_session_that_is_opened_elsewhere_in_time_is_handed_over_and_its_user_is_never_offline() {
    let mut bench = Bench::new(2, Config::default());
    bench.open(1, 1);
    bench.input(draining(0, 0, 10));
    bench.run();
    assert_eq!(bench.closed, [(ConnId(1), CloseReason::Restarting)]);
    assert!(!bench.gateway.is_idle(), "it waits for the session to be opened elsewhere");

    // Another gateway on the same store takes the client.
    let elsewhere = GatewayId(2);
    let open = Command::OpenSession { device: device(1), secret: secret(1).digest(), gateway: elsewhere, epoch: SessionEpoch(1), run: 1 };
    let batch = Arc::new(Batch { now: bench.now, commands: vec![Command::Begin { gateway: elsewhere }, open] });
    let outcome = bench.rows.execute(&batch);
    assert!(!outcome.events.iter().any(|event| matches!(event, Event::PresenceChanged { .. })), "nothing is to be seen of it");
    bench.input(Input::Bell);
    bench.run();
    assert!(bench.gateway.is_idle(), "it is done as soon as it hears of that");
    let session = &bench.rows.0[&rows::session(device(1)).key];
    assert_eq!(rows::Session::decode(session).unwrap().gateway, elsewhere);
}

#[test]
fn a_session_that_nobody_opens_elsewhere_is_ended_with_the_time_at_which_its_device_was_heard() {
    let mut bench = Bench::new(2, Config::default());
    bench.open(1, 1);
    bench.open(2, 2);
    let heard = bench.now;
    bench.frame(1, ClientFrame::Ping);
    bench.frame(2, ClientFrame::Ping);
    // The first has time, the second has not been heard for nearly as long as a dead one.
    bench.pass(Millis::seconds(85));
    bench.frame(1, ClientFrame::Ping);
    bench.input(draining(0, 0, 10));
    let there = |bench: &Bench, user| bench.rows.0.contains_key(&rows::session(device(user)).key);
    bench.run();
    assert!(there(&bench, 1) && there(&bench, 2));
    bench.pass(Millis::seconds(5));
    bench.run();
    assert!(there(&bench, 1) && !there(&bench, 2), "no presence outlives its device by more than a dead one's");
    assert!(!bench.gateway.is_idle());
    bench.pass(Millis::seconds(5));
    bench.run();
    assert!(!there(&bench, 1) && bench.gateway.is_idle());
    let seen = |user| u64::from_le_bytes(bench.rows.0[&rows::last_seen(UserId(user)).key][..].try_into().unwrap());
    assert_eq!((seen(1), seen(2)), (heard.millis() + 85_000, heard.millis()));
}

/// A group of all users, made by the first through a gateway that has died over it.
fn orphaned_group(users: u64) -> (Bench, ConversationId) {
    let mut bench = Bench::new(users, Config::default());
    for user in 1..=users {
        bench.open(user, user);
    }
    let group = ConversationId::Group(GroupId(*b"\x01\x8f\0\0\0\0\x70\0\x80\0\0\0\0\0\0\x01"));
    let members = (2..=users).map(UserId).collect();
    let change = Change::Created { name: "all".into(), members, settings: Settings::default() };
    bench.elsewhere(Command::Send { from: device(1), conversation: group, id: MessageId([1; 16]), content: change.content(), roster: 0 });
    (bench, group)
}

impl Bench {
    /// Carried out by another gateway, which does nothing more about it.
    fn elsewhere(&mut self, command: Command) {
        let outcome = self.rows.execute(&Arc::new(Batch { now: self.now, commands: vec![command] }));
        assert!(outcome.replies[0].is_ok(), "{:?}", outcome.replies);
    }

    /// Time passes, and the store does what it is asked.
    fn lives(&mut self, length: Millis) {
        let end = self.now + length;
        while let Some(due) = self.gateway.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.gateway.handle_timeout(self.now);
            self.run();
            // A bell is heard at once.
            self.input(Input::Bell);
            self.run();
        }
        self.now = end;
    }

    fn hears_of(&self, conn: u64) -> usize {
        self.told(conn).into_iter().filter(|frame| matches!(frame, ServerFrame::Deliver { .. })).count()
    }

    fn receipts(&self, conn: u64) -> Vec<(Seq, Seq)> {
        let receipt =
            |frame: &ServerFrame| if let ServerFrame::Receipt { delivered, read, .. } = frame { Some((*delivered, *read)) } else { None };
        self.told(conn).into_iter().filter_map(receipt).collect()
    }
}

#[test]
fn the_marking_of_a_large_group_that_has_lost_its_gateway_is_taken_over_by_another() {
    let members = u64::from(limits::FAN_OUT_MEMBERS) + 2;
    let (mut bench, group) = orphaned_group(members);
    // It had come half way.
    bench.elsewhere(Command::FanOut { conversation: group });
    bench.lives(limits::LEASE_RENEWAL);
    let told = (2..=members).filter(|user| bench.hears_of(*user) > 0).count() as u64;
    assert_eq!(told, u64::from(limits::FAN_OUT_MEMBERS) - 1, "those whom the first part has marked; the first user's device has it");
    bench.lives(Millis::seconds(20));
    assert!((2..=members).all(|user| bench.hears_of(user) == 1), "everybody hears of it, once");
    assert!(!bench.rows.0.contains_key(&rows::fan_out_due(group).key));
}

#[test]
fn a_sum_of_receipts_that_has_lost_its_gateway_is_taken_over_by_another() {
    let (mut bench, group) = orphaned_group(3);
    let content = Content::shared(1, *b"hello").unwrap();
    bench.elsewhere(Command::Send { from: device(1), conversation: group, id: MessageId([2; 16]), content, roster: 1 });
    for user in [2, 3] {
        bench.elsewhere(Command::Acknowledge { device: device(user), conversation: group, delivered: Seq(2), read: Seq(0) });
    }
    bench.run();
    assert_eq!(bench.receipts(1), []);
    bench.lives(Millis::seconds(30));
    assert_eq!(bench.receipts(1), [(Seq(2), Seq(0))]);
    assert!(!bench.rows.0.contains_key(&rows::sum_due(group).key));
}

#[test]
fn a_sender_hears_of_a_group_at_most_once_in_a_quarter_of_a_second_however_many_acknowledge() {
    let members = 60;
    let (mut bench, group) = orphaned_group(members);
    bench.lives(Millis::seconds(30));
    bench.frames.clear();
    let began = bench.now;
    // Every 100 ms for two seconds there is a message, and everybody acknowledges each.
    for n in 2..=21u64 {
        let content = Content::shared(1, *b"hello").unwrap();
        let send = ClientFrame::Send {
            request: RequestId(n as u32),
            attempt: 0,
            to: Target::Id(group),
            id: MessageId([n as u8; 16]),
            content,
            roster: 1,
        };
        bench.frame(1, send);
        bench.run();
        for user in 2..=members {
            bench.frame(user, ClientFrame::Ack { request: None, of: Target::Id(group), delivered: Seq(n), read: Seq(0) });
        }
        bench.run();
        bench.lives(Millis(100));
    }
    bench.lives(Millis::seconds(1));
    let receipts = bench.receipts(1);
    let most = bench.now.since(began).0.div_ceil(limits::SUM_AFTER.0) as usize;
    assert!(receipts.len() <= most && receipts.len() > 4, "{} frames of {} acknowledgements", receipts.len(), 20 * (members - 1));
    assert!(receipts.is_sorted());
    assert_eq!(receipts.last(), Some(&(Seq(21), Seq(0))));
}
