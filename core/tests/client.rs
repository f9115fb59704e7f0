//! The client machine alone, against a server that is played frame by frame.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one variant among many")]

use doubletick_core::client::{Ask, Client, Input, Outgoing, Output, Record, SaveId, Stored, Tag};
use doubletick_core::content::{Body, Content};
use doubletick_core::frame::{ClientFrame, Delivery, Presence, RequestId, Sender, ServerFrame, Target};
use doubletick_core::id::{ConversationId, DeviceId, MessageId, Secret, Seq, UserId};
use doubletick_core::limits;
use doubletick_core::reject::Reject;
use doubletick_core::time::{Millis, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A machine with an open session, and what it has said and stored since it was last looked at.
struct Device {
    machine: Client,
    now: Timestamp,
    frames: Vec<ClientFrame>,
    records: Vec<Record>,
}

fn chat() -> ConversationId {
    ConversationId::direct(UserId(1), UserId(2)).unwrap()
}

impl Device {
    fn online() -> Self {
        let device = DeviceId { user: UserId(1), serial: 1 };
        let stored = Stored { device, secret: Secret([1; 32]), starts: 0, outbox: vec![], chats: vec![] };
        let mut device = Self { machine: Client::new(stored, 1, NOW), now: NOW, frames: vec![], records: vec![] };
        device.drain();
        device.connected();
        device
    }

    fn connected(&mut self) {
        self.input(Input::Connected { fresh: Secret([2; 32]) });
        self.frames.clear();
        self.frame(ServerFrame::Welcome { now: self.now, token_expires: NOW + Millis::days(30), window: 64 });
    }

    fn reconnect(&mut self) {
        self.input(Input::Disconnected { reason: None });
        self.input(Input::Hurry);
        self.connected();
    }

    fn pass(&mut self, length: Millis) {
        self.now = self.now + length;
        self.machine.handle_timeout(self.now);
        self.drain();
    }

    fn input(&mut self, input: Input) {
        self.machine.handle_input(self.now, input);
        self.drain();
    }

    fn frame(&mut self, frame: ServerFrame) {
        self.input(Input::Frame(frame));
    }

    /// Stores at once whatever is to be stored.
    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Frame(frame) => self.frames.push(frame),
                Output::Save(upto, record) => {
                    self.records.push(record);
                    self.saved(upto);
                }
                _ => {}
            }
        }
        self.machine.check();
    }

    fn saved(&mut self, upto: SaveId) {
        self.machine.handle_input(self.now, Input::Saved { upto, new_after_all: vec![] });
    }

    fn write(&mut self, n: u8) {
        let content = Content::shared(0, vec![n]).unwrap();
        self.input(Input::Compose(Outgoing { conversation: chat(), id: MessageId([n; 16]), content }));
    }

    fn delivered(&mut self, seqs: &[u64]) {
        let entries = seqs.iter().map(|seq| delivery(*seq)).collect();
        self.frame(ServerFrame::Deliver { of: Target::Id(chat()), entries });
    }

    fn last_ack(&self) -> Option<Seq> {
        self.frames.iter().rev().find_map(|frame| match frame {
            ClientFrame::Ack { delivered, .. } => Some(*delivered),
            _ => None,
        })
    }
}

fn delivery(seq: u64) -> Delivery {
    let body = Some(Body { kind: 0, bytes: vec![9].into() });
    Delivery { seq: Seq(seq), from: Sender::Peer(1), id: MessageId([100 + seq as u8; 16]), at: NOW, body }
}

#[test]
fn an_own_message_that_came_back_is_acknowledged_after_its_retry_too() {
    let mut device = Device::online();
    device.write(7);
    let own = Delivery { from: Sender::Own(1), id: MessageId([7; 16]), ..delivery(1) };
    device.frame(ServerFrame::Deliver { of: Target::Id(chat()), entries: vec![own] });
    assert_eq!(device.last_ack(), Some(Seq(1)));
    // That did not get there.
    device.reconnect();
    let Some(request) =
        device.frames.iter().find_map(|frame| if let ClientFrame::Send { request, .. } = frame { Some(*request) } else { None })
    else {
        panic!("it is sent again: {:?}", device.frames)
    };
    device.frame(ServerFrame::Accepted { request, of: None, seq: Seq(1), at: NOW });
    device.frames.clear();
    device.pass(limits::HEARTBEAT);
    assert_eq!(device.last_ack(), Some(Seq(1)));
}

#[test]
fn a_first_own_message_does_not_stand_for_what_came_before_it() {
    let mut device = Device::online();
    device.write(7);
    let Some(ClientFrame::Send { request, .. }) = device.frames.pop() else { panic!("{:?}", device.frames) };
    device.frame(ServerFrame::Accepted { request, of: None, seq: Seq(2), at: NOW });
    assert!(matches!(device.records.last(), Some(Record::Accepted { next: false, .. })), "position 1 may be on its way");
    device.records.clear();
    device.delivered(&[1]);
    assert!(matches!(device.records[..], [Record::Received { again: false, .. }]));
    assert_eq!(device.last_ack(), Some(Seq(1)));
}

#[test]
fn the_very_first_message_of_a_conversation_is_the_whole_of_it() {
    let mut device = Device::online();
    device.write(7);
    let Some(ClientFrame::Send { request, .. }) = device.frames.pop() else { panic!("{:?}", device.frames) };
    device.frame(ServerFrame::Accepted { request, of: None, seq: Seq(1), at: NOW });
    device.delivered(&[2]);
    assert_eq!(device.last_ack(), Some(Seq(2)));
}

#[test]
fn a_device_that_comes_in_late_begins_where_the_server_begins() {
    let mut device = Device::online();
    device.delivered(&[51, 52]);
    assert_eq!(device.last_ack(), Some(Seq(52)));
}

#[test]
fn a_gap_is_asked_for_and_nothing_after_it_is_acknowledged() {
    let mut device = Device::online();
    device.delivered(&[1]);
    device.records.clear();
    device.delivered(&[3]);
    device.delivered(&[4]);
    assert!(device.records.is_empty(), "what comes after a gap is not taken");
    assert_eq!(device.last_ack(), Some(Seq(1)));
    let fetches: Vec<RequestId> = device
        .frames
        .iter()
        .filter_map(|frame| match frame {
            ClientFrame::Fetch { request, after: Seq(1), .. } => Some(*request),
            _ => None,
        })
        .collect();
    assert_eq!(fetches.len(), 1, "asked once");
    device.frame(ServerFrame::Page { request: fetches[0], entries: vec![delivery(2), delivery(3), delivery(4)], head: Seq(4) });
    assert_eq!(device.last_ack(), Some(Seq(4)));
}

#[test]
fn nothing_is_sent_or_acknowledged_before_it_is_stored() {
    let mut device = Device::online();
    let content = Content::shared(0, vec![1]).unwrap();
    device.machine.handle_input(NOW, Input::Compose(Outgoing { conversation: chat(), id: MessageId([1; 16]), content }));
    let entries = vec![delivery(1)];
    device.machine.handle_input(NOW, Input::Frame(ServerFrame::Deliver { of: Target::Id(chat()), entries }));
    let mut last = None;
    while let Some(output) = device.machine.poll_output() {
        match output {
            Output::Frame(frame) => panic!("{frame:?} before anything was stored"),
            Output::Save(save, _) => last = Some(save),
            _ => {}
        }
    }
    device.saved(last.unwrap());
    device.drain();
    assert_eq!(device.last_ack(), Some(Seq(1)));
    assert!(device.frames.iter().any(|frame| matches!(frame, ClientFrame::Send { .. })));
}

#[test]
fn receipts_that_come_late_or_twice_change_nothing() {
    let mut device = Device::online();
    for (delivered, read) in [(3, 1), (2, 0), (3, 1), (3, 3), (1, 1)] {
        device.frame(ServerFrame::Receipt { of: Target::Id(chat()), delivered: Seq(delivered), read: Seq(read) });
    }
    let told: Vec<(u64, u64)> = device
        .records
        .iter()
        .filter_map(|record| match record {
            Record::Receipt { delivered, read, .. } => Some((delivered.0, read.0)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(3, 1), (3, 3)]);
}

#[test]
fn ticks_of_a_message_that_was_accepted_in_an_earlier_session_are_asked_for() {
    let mut device = Device::online();
    device.write(7);
    device.reconnect();
    let Some(ClientFrame::Send { request, .. }) = device.frames.pop() else { panic!("{:?}", device.frames) };
    // The server had accepted it before the connection broke, and while there was none, its receiver has acknowledged it.
    device.frame(ServerFrame::Accepted { request, of: None, seq: Seq(1), at: NOW });
    device.pass(Millis::seconds(1));
    assert!(device.frames.contains(&ClientFrame::AskReceipts { of: vec![chat()] }), "{:?}", device.frames);
}

#[test]
fn a_device_asks_how_far_messages_of_its_users_other_devices_have_got() {
    let mut device = Device::online();
    let own = Delivery { from: Sender::Own(2), ..delivery(1) };
    device.frame(ServerFrame::Deliver { of: Target::Id(chat()), entries: vec![own] });
    device.pass(Millis::seconds(1));
    assert!(device.frames.contains(&ClientFrame::AskReceipts { of: vec![chat()] }), "{:?}", device.frames);
    device.reconnect();
    assert!(device.frames.contains(&ClientFrame::AskReceipts { of: vec![chat()] }), "{:?}", device.frames);
}

#[test]
fn many_watches_and_questions_go_out_a_few_at_a_time_and_all_are_answered() {
    let mut device = Device::online();
    for user in 0..limits::WATCHES_PER_SESSION as u64 {
        device.input(Input::Watch { user: UserId(10 + user), active: true });
    }
    for n in 0..100 {
        device.input(Input::Ask(Tag(n), Ask::User(UserId(n))));
    }
    device.reconnect();
    for n in 0..100 {
        device.input(Input::Ask(Tag(n), Ask::User(UserId(n))));
    }
    let (mut watched, mut asked) = (0, 0);
    while !device.frames.is_empty() {
        let frames = std::mem::take(&mut device.frames);
        assert!(frames.len() <= limits::REQUESTS_AT_ONCE, "{} at once", frames.len());
        for frame in frames {
            match frame {
                ClientFrame::Watch { user } => {
                    watched += 1;
                    device.frame(ServerFrame::Presence { user, presence: Presence::Hidden });
                }
                ClientFrame::AskUser { request, .. } => {
                    asked += 1;
                    device.frame(ServerFrame::Users { request, users: vec![] });
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((watched, asked), (limits::WATCHES_PER_SESSION, 100));
}

#[test]
fn what_was_read_is_told_again_after_a_token_that_had_run_out_was_renewed() {
    let mut device = Device::online();
    device.delivered(&[1, 2]);
    device.frames.clear();
    device.input(Input::Show { conversation: chat(), upto: Seq(2) });
    let Some(ClientFrame::Ack { request, .. }) = device.frames.pop() else { panic!("{:?}", device.frames) };
    device.frame(ServerFrame::Refused { request, reject: Reject::TokenExpired });
    let Some(ClientFrame::Renew { request, .. }) = device.frames.pop() else { panic!("{:?}", device.frames) };
    device.frame(ServerFrame::Done { request, expires: NOW + Millis::days(30) });
    assert!(matches!(device.frames[..], [ClientFrame::Ack { request: Some(_), read: Seq(2), .. }]), "{:?}", device.frames);
}

#[test]
fn with_a_token_that_has_run_out_nothing_is_asked_before_it_is_renewed_and_everything_afterwards() {
    let mut device = Device::online();
    device.input(Input::Watch { user: UserId(2), active: true });
    let entries = vec![Delivery { from: Sender::Own(2), ..delivery(1) }];
    device.frame(ServerFrame::Deliver { of: Target::Id(chat()), entries });
    device.input(Input::Show { conversation: chat(), upto: Seq(1) });
    device.input(Input::Disconnected { reason: None });
    device.input(Input::Hurry);
    device.input(Input::Connected { fresh: Secret([2; 32]) });
    device.frames.clear();
    device.frame(ServerFrame::Welcome { now: device.now, token_expires: NOW, window: 64 });
    let Some(ClientFrame::Renew { request, .. }) = device.frames.pop() else { panic!("{:?}", device.frames) };
    assert!(device.frames.is_empty(), "{:?}", device.frames);
    device.frame(ServerFrame::Done { request, expires: NOW + Millis::days(30) });
    let said = |wanted: &dyn Fn(&ClientFrame) -> bool| device.frames.iter().any(wanted);
    assert!(said(&|frame| matches!(frame, ClientFrame::Watch { .. })), "{:?}", device.frames);
    assert!(said(&|frame| matches!(frame, ClientFrame::AskReceipts { .. })), "{:?}", device.frames);
    assert!(said(&|frame| matches!(frame, ClientFrame::Ack { read: Seq(1), .. })), "{:?}", device.frames);
}

#[test]
fn a_run_stores_its_number_before_it_connects_and_greets_with_it() {
    let mut runs = vec![];
    for (starts, random) in [(0, u64::MAX), (1, 0), (1, 5), (2, u64::MAX)] {
        let stored =
            Stored { device: DeviceId { user: UserId(1), serial: 1 }, secret: Secret([1; 32]), starts, outbox: vec![], chats: vec![] };
        let mut machine = Client::new(stored, random, NOW);
        let Some(Output::Save(upto, Record::Started(now))) = machine.poll_output() else { panic!("nothing is stored first") };
        assert_eq!(now, starts + 1);
        machine.handle_input(NOW, Input::Hurry);
        assert!(machine.poll_output().is_none(), "it is not stored yet");
        machine.handle_input(NOW, Input::Saved { upto, new_after_all: vec![] });
        assert!(matches!(machine.poll_output(), Some(Output::Connect)));
        machine.handle_input(NOW, Input::Connected { fresh: Secret([2; 32]) });
        let Some(Output::Frame(ClientFrame::Hello { run, .. })) = machine.poll_output() else { panic!("it greets") };
        runs.push(run);
    }
    assert!(runs.is_sorted_by(|earlier, later| earlier < later), "{runs:x?}");
}

#[test]
fn a_new_token_is_stored_before_the_next_connection_and_used_from_then_on() {
    let stored =
        Stored { device: DeviceId { user: UserId(1), serial: 1 }, secret: Secret([1; 32]), starts: 0, outbox: vec![], chats: vec![] };
    let mut machine = Client::new(stored, 1, NOW);
    let Some(Output::Save(upto, _)) = machine.poll_output() else { panic!("nothing is stored first") };
    machine.handle_input(NOW, Input::Saved { upto, new_after_all: vec![] });
    let outputs = |machine: &mut Client| core::iter::from_fn(|| machine.poll_output()).collect::<Vec<_>>();
    let greeted_with = |machine: &mut Client| {
        assert!(outputs(machine).iter().any(|output| matches!(output, Output::Connect)));
        machine.handle_input(NOW, Input::Connected { fresh: Secret([9; 32]) });
        outputs(machine).iter().find_map(|output| match output {
            Output::Frame(ClientFrame::Hello { secret, .. }) => Some(*secret),
            _ => None,
        })
    };
    assert_eq!(greeted_with(&mut machine), Some(Secret([1; 32])));
    machine.handle_input(NOW, Input::Frame(ServerFrame::Welcome { now: NOW, token_expires: NOW + Millis::days(1), window: 64 }));
    let request = outputs(&mut machine).iter().find_map(|output| match output {
        Output::Frame(ClientFrame::Renew { request, .. }) => Some(*request),
        _ => None,
    });
    machine.handle_input(NOW, Input::Frame(ServerFrame::Done { request: request.unwrap(), expires: NOW + Millis::days(30) }));
    machine.handle_input(NOW, Input::Disconnected { reason: None });
    machine.handle_input(NOW, Input::Hurry);
    machine.handle_timeout(NOW + Millis::days(1));
    let waits = outputs(&mut machine);
    assert!(!waits.iter().any(|output| matches!(output, Output::Connect)), "another exchange would make what is being stored void");
    let upto = waits.iter().find_map(|output| match output {
        Output::Save(save, Record::Token(_)) => Some(*save),
        _ => None,
    });
    machine.handle_input(NOW, Input::Saved { upto: upto.unwrap(), new_after_all: vec![] });
    assert_eq!(greeted_with(&mut machine), Some(Secret([9; 32])));
}

#[test]
fn of_several_acknowledgements_that_are_answered_as_one_none_is_waited_for_any_longer() {
    let mut device = Device::online();
    device.delivered(&[1, 2, 3]);
    device.frames.clear();
    for upto in 1..=3 {
        device.input(Input::Show { conversation: chat(), upto: Seq(upto) });
    }
    let Some(ClientFrame::Ack { request: Some(last), .. }) = device.frames.pop() else { panic!("{:?}", device.frames) };
    device.frame(ServerFrame::Done { request: last, expires: Timestamp::default() });
    assert!(matches!(device.records.last(), Some(Record::ReadTold { upto: Seq(3), .. })));
    assert_eq!(device.machine.requests_under_way(), 0);
}

#[test]
fn what_is_refused_for_the_moment_is_sent_again_in_order_with_a_higher_attempt() {
    let sends = |device: &Device| -> Vec<(RequestId, u32, MessageId)> {
        let frames = device.frames.iter();
        frames
            .filter_map(|frame| match frame {
                ClientFrame::Send { request, attempt, id, .. } => Some((*request, *attempt, *id)),
                _ => None,
            })
            .collect()
    };
    let mut device = Device::online();
    (1..=3).for_each(|n| device.write(n));
    let first = sends(&device);
    assert_eq!(first.len(), 3);
    device.frames.clear();
    for (request, ..) in first {
        device.frame(ServerFrame::Refused { request: Some(request), reject: Reject::Superseded });
    }
    let again: Vec<(u32, MessageId)> = sends(&device).iter().map(|(_, attempt, id)| (*attempt, *id)).collect();
    assert_eq!(again, [1, 2, 3].map(|n| (1, MessageId([n; 16]))));
}

#[test]
fn an_acceptance_counts_although_a_later_message_was_refused_before_it_came() {
    let mut device = Device::online();
    (1..=2).for_each(|n| device.write(n));
    let [ClientFrame::Send { request: first, .. }, ClientFrame::Send { request: second, .. }] = device.frames[..] else {
        panic!("{:?}", device.frames)
    };
    device.frame(ServerFrame::Refused { request: Some(second), reject: Reject::Superseded });
    device.frame(ServerFrame::Accepted { request: first, of: None, seq: Seq(1), at: NOW });
    assert!(matches!(device.records.last(), Some(Record::Accepted { seq: Seq(1), next: true, .. })), "{:?}", device.records.last());
    assert_eq!(device.machine.outbox_len(), 1);
    device.records.clear();
    // The server goes on after it: nothing is missing, and nothing is taken for the place at which this device came in.
    device.delivered(&[2]);
    assert!(matches!(device.records[..], [Record::Received { again: false, .. }]));
    // The first message had gone out again. The answer to that changes nothing.
    let again = RequestId(second.0 + 1);
    device.frame(ServerFrame::Accepted { request: again, of: None, seq: Seq(1), at: NOW });
    assert_eq!((device.records.len(), device.machine.outbox_len()), (1, 1));
}

#[test]
fn a_client_that_is_turned_away_comes_back_when_it_is_told_and_not_before() {
    for (told, earliest, latest) in [(1, 1_000, 61_000), (30, 30_000, 90_000), (1_000_000, 600_000, 660_000)] {
        let mut device = Device::online();
        device.input(Input::Disconnected { reason: None });
        device.input(Input::Hurry);
        device.input(Input::TurnedAway { retry_after: Millis::seconds(told) });
        let wait = device.machine.poll_timeout().unwrap().since(device.now);
        assert!((earliest..=latest).contains(&wait.0), "told {told} s, it waits {wait:?}");
    }
}
