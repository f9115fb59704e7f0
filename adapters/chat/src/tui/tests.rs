use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use doubletick_client::{
    Body, Change, Chat, Contact, ConversationId, Event, Group, Message, MessageId, Millis, Party, Person, Phone, Place, Presence, Seq,
    State, Status, Timestamp, UserId,
};
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;

use super::app::{Action, App};
use super::view;

/// 2026-11-25T12:00:00Z.
const NOON: u64 = 1_795_608_000_000;
const ME: UserId = UserId(1);

fn minutes(n: u64) -> Timestamp {
    Timestamp::from_millis(NOON + n * 60_000)
}

fn chat(peer: u64) -> ConversationId {
    ConversationId::direct(ME, UserId(peer)).unwrap()
}

fn message(seq: u64, own: bool, text: &str, state: State) -> Message {
    let place = if state == State::Waiting { Place::waiting(seq) } else { Place::at(Seq(seq)) };
    Message { place, id: MessageId([seq as u8; 16]), own, from: None, device: 1, at: minutes(seq), body: Body::Text(text.into()), state }
}

fn entry(peer: u64, name: Option<&str>, last: Option<Message>, unread: u64) -> Chat {
    let peer = Person {
        user: UserId(peer),
        phone: Phone::parse(&format!("+491510000000{peer}")),
        name: name.map(Into::into),
        contact: Contact::Listed,
        blocked: false,
    };
    Chat { conversation: chat(peer.user.0), with: Party::Person(peer), last, unread }
}

/// A conversation with Ben that is open, and one with somebody whose number alone is known.
fn talk() -> App {
    let mut app = App::new(Phone::parse("+4915100000001").unwrap(), ME, TimeZone::UTC, minutes(9));
    let messages = vec![
        message(1, false, "Are you there?", State::Received),
        message(2, true, "Yes. This is a text that is too long for one line of the window that it stands in.", State::Read),
        message(3, true, "delivered", State::Delivered),
        message(4, true, "sent", State::Sent),
        message(5, true, "refused", State::Failed { code: 20 }),
        message(6, true, "waiting", State::Waiting),
    ];
    let ben = entry(2, Some("Ben"), messages.last().cloned(), 0);
    let other = entry(3, None, Some(message(1, false, "Hello!\nIt is me.", State::Received)), 2);
    app.loaded_chats(vec![ben, other], None);
    app.open(chat(2));
    app.loaded_messages(messages, false);
    app.event(Event::Status(Status::Online));
    app.event(Event::Presence { user: UserId(2), presence: Presence::Online });
    app
}

fn drawn(app: &mut App, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, app)).unwrap();
    terminal.backend().buffer().clone()
}

/// The lines of a screen as they are read: behind a wide character comes no cell of its own.
fn lines(buffer: &Buffer) -> Vec<String> {
    (0..buffer.area.height)
        .map(|y| {
            let (mut line, mut x) = (String::new(), 0);
            while x < buffer.area.width {
                let symbol = buffer[(x, y)].symbol();
                line.push_str(symbol);
                x += u16::try_from(super::text::width(symbol)).unwrap().max(1);
            }
            line.trim_end().to_owned()
        })
        .collect()
}

fn check(app: &mut App, width: u16, height: u16, expected: &str) {
    let shown = lines(&drawn(app, width, height)).join("\n");
    let expected = expected.strip_prefix('\n').unwrap_or(expected);
    assert_eq!(shown, expected, "\n{shown}\n");
}

fn press(app: &mut App, code: KeyCode) -> Vec<Action> {
    app.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn write(app: &mut App, text: &str) -> Vec<Action> {
    text.chars().flat_map(|c| press(app, KeyCode::Char(c))).collect()
}

#[test]
fn a_conversation_shows_its_messages_with_time_and_ticks_beside_the_list() {
    check(
        &mut talk(),
        70,
        16,
        "
 Ben           12:06│ Ben  +4915100000002  online
 · waiting          │─────────────────────────────────────────────────
 +49151000000… 12:01│              ── Wed 25 Nov 2026 ──
 Hello! It is m… (2)│ Are you there?  12:01
                    │                 Yes. This is a text that is too
                    │                 long for one line of the window
                    │                 that it stands in.  12:02 ✓✓
                    │                             delivered  12:03 ✓✓
                    │                                   sent  12:04 ✓
                    │                                refused  12:05 ✗
                    │                not sent: one of you has blocked
                    │                                       the other
                    │                                waiting  12:06 ·
                    │─────────────────────────────────────────────────
                    │ ›
 connected                                      +4915100000001  /help",
    );
}

#[test]
fn a_group_shows_who_has_written_and_what_has_become_of_it() {
    let mut app = talk();
    let group: ConversationId = "group-0190f5fe7c007000800000000000000a".parse().unwrap();
    let of = |seq, from: u64, body| Message { from: Some(UserId(from)), body, ..message(seq, false, "", State::Received) };
    let text = |text: &str| Body::Text(text.into());
    let messages = vec![
        of(1, 2, Body::Change(Change::Created { name: "Book club".into(), members: vec![ME, UserId(3)], settings: Default::default() })),
        of(2, 2, text("Welcome!")),
        of(3, 2, text("What shall we read?")),
        of(4, 3, text("Something short.")),
        message(5, true, "Yes.", State::Read),
        of(6, 3, Body::Change(Change::Left)),
    ];
    let with = Party::Group(Group { name: Some("Book club".into()), member: true });
    app.names = [(UserId(2), "Ben".to_owned()), (UserId(3), "Cy".to_owned())].into();
    app.loaded_chats(vec![Chat { conversation: group, with, last: messages.last().cloned(), unread: 1 }], None);
    app.open(group);
    app.loaded_messages(messages, false);
    check(
        &mut app,
        60,
        14,
        "
 Book club    12:06│ Book club
 Cy left        (1)│────────────────────────────────────────
                   │          ── Wed 25 Nov 2026 ──
                   │     Ben created the group Book club
                   │ Ben
                   │ Welcome!  12:02
                   │ What shall we read?  12:03
                   │ Cy
                   │ Something short.  12:04
                   │                         Yes.  12:05 ✓✓
                   │                 Cy left
                   │────────────────────────────────────────
                   │ ›
 connected                            +4915100000001  /help",
    );
    app.list = Some(("Book club: 2 members".into(), vec!["Ben  admin".into(), "you".into()]));
    let shown = lines(&drawn(&mut app, 60, 14)).join("\n");
    assert!(shown.contains("┌ Book club: 2 members ─") && shown.contains("│ Ben  admin"), "{shown}");
    assert_eq!(press(&mut app, KeyCode::Char('x')), [Action::MarkRead(group, Seq(6))]);
    assert!(app.list.is_none() && app.input.is_empty(), "the key that closes it is not written");
}

#[test]
fn a_narrow_screen_shows_the_conversation_alone() {
    check(
        &mut talk(),
        40,
        10,
        "
 Ben  +4915100000002  online
────────────────────────────────────────
                          sent  12:04 ✓
                       refused  12:05 ✗
               not sent: one of you has
                      blocked the other
                       waiting  12:06 ·
────────────────────────────────────────
 ›
 connected        +4915100000001  /help",
    );
}

#[test]
fn wide_characters_and_joined_ones_keep_their_columns() {
    let mut app = talk();
    app.loaded_messages(vec![message(1, false, "日本語のテキストは幅が広い 👩\u{200d}🚀", State::Received)], false);
    check(
        &mut app,
        30,
        8,
        "
 Ben  +4915100000002  online
──────────────────────────────
     ── Wed 25 Nov 2026 ──
 日本語のテキストは幅が
 広い 👩\u{200d}🚀  12:01
──────────────────────────────
 ›
 connected              /help",
    );
}

#[test]
fn without_a_connection_the_bottom_line_says_why_and_counts_down() {
    let mut app = talk();
    app.event(Event::Status(Status::Waiting { retry: Millis::seconds(4), why: "nobody is there".into() }));
    let bottom = |app: &mut App| lines(&drawn(app, 70, 10)).pop().unwrap();
    assert_eq!(bottom(&mut app), " offline, next try in 4 s: nobody is there      +4915100000001  /help");
    app.tick(minutes(9) + Millis::seconds(3));
    assert_eq!(bottom(&mut app), " offline, next try in 1 s: nobody is there      +4915100000001  /help");
    assert!(!lines(&drawn(&mut app, 70, 10))[0].contains("online"), "nobody is known to be online then");
}

#[test]
fn only_ticks_of_what_was_read_are_blue() {
    let buffer = drawn(&mut talk(), 70, 16);
    let colours: Vec<Color> =
        (0..16).filter_map(|y| (20..70).map(|x| &buffer[(x, y)]).find(|cell| cell.symbol() == "✓")).map(|cell| cell.fg).collect();
    assert_eq!(colours, [Color::Blue, Color::DarkGray, Color::DarkGray]);
}

#[test]
fn typing_is_shown_in_both_places_until_it_is_over_or_too_old() {
    let mut app = talk();
    app.event(Event::Typing { conversation: chat(2), by: None, active: true });
    let shown = lines(&drawn(&mut app, 70, 16));
    assert!(shown[0].ends_with("typing …") && shown[1].starts_with(" typing …"), "{shown:?}");
    app.tick(minutes(10));
    assert!(lines(&drawn(&mut app, 70, 16))[0].ends_with("online"));
    app.event(Event::Typing { conversation: chat(2), by: None, active: true });
    app.event(Event::Typing { conversation: chat(2), by: None, active: false });
    assert!(lines(&drawn(&mut app, 70, 16))[0].ends_with("online"));
}

#[test]
fn the_help_stands_over_everything_until_a_key() {
    let mut app = talk();
    write(&mut app, "/help");
    press(&mut app, KeyCode::Enter);
    assert!(lines(&drawn(&mut app, 100, 24)).iter().any(|line| line.contains("/privacy WHO")));
    assert_eq!(press(&mut app, KeyCode::Char('x')), []);
    assert!(app.input.is_empty(), "the key that closes it is not written");
    assert!(!lines(&drawn(&mut app, 100, 24)).iter().any(|line| line.contains("/privacy WHO")));
}

#[test]
fn no_size_is_too_small() {
    for (width, height) in [(1, 1), (2, 3), (5, 2), (19, 4), (60, 1), (61, 3), (300, 100)] {
        let mut app = talk();
        write(&mut app, "a text that is written over more than one line of a small window");
        drawn(&mut app, width, height);
        app.help = true;
        drawn(&mut app, width, height);
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view::draw_question(frame, "What is your number?", "+49151", Some("That is none."))).unwrap();
    }
}

#[test]
fn scrolling_stops_at_the_first_message_and_returns_to_the_last() {
    let mut app = talk();
    let mut many: Vec<Message> = (1..60).map(|n| message(n, false, &format!("message {n}"), State::Received)).collect();
    app.loaded_messages(many.clone(), true);
    assert!(lines(&drawn(&mut app, 70, 12)).iter().any(|line| line.contains("message 59")));
    assert_eq!(press(&mut app, KeyCode::PageUp), [Action::LoadOlder]);
    app.loaded_messages(many.clone(), false);
    for _ in 0..20 {
        press(&mut app, KeyCode::PageUp);
    }
    assert!(lines(&drawn(&mut app, 70, 12)).iter().any(|line| line.contains("message 1 ")));
    assert_eq!(app.scroll, 60 - 7, "sixty lines with that of the day, and seven fit");
    // What is read stays where it is when something comes.
    let before = lines(&drawn(&mut app, 70, 12));
    many.push(message(60, false, "message 60\nwith a second line", State::Received));
    app.event(Event::Message(chat(2), many[59].clone()));
    app.loaded_messages(many, false);
    assert_eq!(lines(&drawn(&mut app, 70, 12)), before);
    press(&mut app, KeyCode::Esc);
    assert!(lines(&drawn(&mut app, 70, 12)).iter().any(|line| line.contains("message 60")));
}

#[test]
fn a_message_is_read_when_it_is_shown_to_somebody_who_looks() {
    let mut app = talk();
    let messages = vec![message(7, false, "new", State::Received)];
    let unread = |app: &mut App| app.loaded_chats(vec![entry(2, None, messages.last().cloned(), 1)], None);
    unread(&mut app);
    let shown = Some(Action::MarkRead(chat(2), Seq(7)));
    assert_eq!(app.loaded_messages(messages.clone(), false), shown);
    app.focus(false);
    assert_eq!(app.loaded_messages(messages.clone(), false), None);
    assert_eq!(app.focus(true), Vec::from_iter(shown.clone()));
    press(&mut app, KeyCode::PageUp);
    assert_eq!(app.loaded_messages(messages.clone(), false), None);
    assert_eq!(press(&mut app, KeyCode::PageDown), Vec::from_iter(shown));
}

#[test]
fn typing_is_said_now_and_then_and_taken_back() {
    let mut app = talk();
    assert_eq!(write(&mut app, "hel"), [Action::Typing(chat(2), true)]);
    app.tick(minutes(10));
    assert_eq!(write(&mut app, "lo"), [Action::Typing(chat(2), true)]);
    assert_eq!(press(&mut app, KeyCode::Enter), [Action::Typing(chat(2), false), Action::Send(chat(2), "hello".into())]);
    assert_eq!(write(&mut app, "/to"), [], "a command is no message");
}

#[test]
fn every_conversation_keeps_its_draft() {
    let mut app = talk();
    write(&mut app, "for Ben");
    let opened = press(&mut app, KeyCode::Tab);
    assert_eq!(opened.last(), Some(&Action::Reload));
    assert!(opened.contains(&Action::Watch(UserId(2), false)) && opened.contains(&Action::Watch(UserId(3), true)));
    assert!(app.input.is_empty());
    press(&mut app, KeyCode::BackTab);
    assert_eq!(app.input.text(), "for Ben");
}

#[test]
fn what_is_written_is_sent_as_it_is_or_understood_as_a_command() {
    let sent = |text: &str| {
        let mut app = talk();
        write(&mut app, text);
        let actions = press(&mut app, KeyCode::Enter);
        actions.into_iter().filter(|action| !matches!(action, Action::Typing(..))).collect::<Vec<_>>()
    };
    assert_eq!(sent("a /b"), [Action::Send(chat(2), "a /b".into())]);
    assert_eq!(sent("//b"), [Action::Send(chat(2), "/b".into())]);
    assert_eq!(sent("   "), []);
    assert_eq!(sent("/block"), [Action::Block(UserId(2), true)]);
    assert_eq!(sent("/name Benjamin"), [Action::Name(UserId(2), "Benjamin".into())]);
    assert_eq!(sent("/to +4915100000003"), [Action::Open(Phone::parse("+4915100000003").unwrap())]);
    assert_eq!(sent("/to Book club"), [Action::OpenGroup("Book club".into())]);
    assert_eq!(
        sent("/create Book club +4915100000003"),
        [Action::Create("Book club".into(), vec![Phone::parse("+4915100000003").unwrap()])]
    );
    assert_eq!(sent("/leave"), [], "that is no group");
    assert_eq!(sent("/dance"), []);
}

#[test]
fn a_pasted_text_keeps_its_lines_and_waits_for_enter() {
    let mut app = talk();
    app.paste("one\r\ntwo");
    assert_eq!(app.input.text(), "one\ntwo");
    let shown = lines(&drawn(&mut app, 70, 12));
    assert!(shown[9].ends_with("› one") && shown[10].ends_with("  two"), "{shown:?}");
    let actions = press(&mut app, KeyCode::Enter);
    assert!(actions.contains(&Action::Send(chat(2), "one\ntwo".into())), "{actions:?}");
}

#[test]
fn a_message_cannot_draw_beside_its_place() {
    let mut app = talk();
    app.loaded_messages(vec![message(1, false, "a\x1b[2J\u{202e}b\tc", State::Received)], false);
    assert!(lines(&drawn(&mut app, 70, 12)).iter().any(|line| line.contains("│ a[2Jbc  12:01")));
}

#[test]
fn the_first_start_asks_for_the_code_in_place() {
    let mut terminal = Terminal::new(TestBackend::new(50, 9)).unwrap();
    let trouble = Some("The verification code is wrong.");
    terminal.draw(|frame| view::draw_question(frame, "What is the code?", "123", trouble)).unwrap();
    let shown = lines(terminal.backend().buffer()).join("\n");
    let expected = "
┌ Doubletick ────────────────────────────────────┐
│ What is the code?                              │
│                                                │
│ › 123                                          │
│                                                │
│ The verification code is wrong.                │
└────────────────────────────────────────────────┘
";
    assert_eq!(shown, expected, "\n{shown}\n");
}
