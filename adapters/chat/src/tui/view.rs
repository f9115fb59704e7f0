//! What the screen looks like.

use doubletick_client::{Body, Change, Chat, Message, Party, State, Status};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph};

use super::app::App;
use super::command::HELP;
use super::text::{fit, width, wrap};
use crate::words;

/// A screen narrower than this shows only the open conversation.
const WIDE: u16 = 60;

/// Lines that the text being written takes at the most.
const INPUT_LINES: usize = 5;

const DIM: Style = Style::new().fg(Color::DarkGray);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const OWN: Style = Style::new().fg(Color::Cyan);
const READ: Style = Style::new().fg(Color::Blue);
const WRONG: Style = Style::new().fg(Color::Red);
const LIVELY: Style = Style::new().fg(Color::Green);

/// Draws everything. Corrects the scrolling where it goes beyond the first message.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App) {
    let [main, bottom] = Layout::vertical([Constraint::Min(1), Constraint::Length(1)]).areas(frame.area());
    let chat = if main.width < WIDE {
        main
    } else {
        let [list, chat] = Layout::horizontal([Constraint::Length((main.width * 3 / 10).clamp(20, 36)), Constraint::Min(1)]).areas(main);
        draw_list(frame, list, app);
        chat
    };
    draw_chat(frame, chat, app);
    draw_bottom(frame, bottom, app);
    if app.help {
        draw_help(frame, main);
    } else if let Some((title, lines)) = &app.list {
        draw_list_over(frame, main, title, lines);
    }
}

fn draw_list(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let block = Block::new().borders(Borders::RIGHT).border_style(DIM);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    // Two lines each; the open one is kept in sight.
    let fits = usize::from(inner.height / 2).max(1);
    let open = app.chats.iter().position(|chat| Some(chat.conversation) == app.open).unwrap_or(0);
    let first = open.saturating_sub(fits - 1);
    let columns = usize::from(inner.width).saturating_sub(1);
    let mut lines = vec![];
    for chat in app.chats.iter().skip(first).take(fits) {
        lines.extend(list_entry(chat, columns, app));
    }
    if app.chats.is_empty() {
        lines.push(Line::styled(" No conversations yet.", DIM));
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

fn list_entry(chat: &Chat, columns: usize, app: &App) -> [Line<'static>; 2] {
    let is_open = Some(chat.conversation) == app.open;
    let base = if is_open { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
    let when = chat.last.as_ref().map(|last| words::when(last.at, app.now, &app.zone)).unwrap_or_default();
    let name = words::harmless(&chat.with.display());
    let top = spread(&name, &when, columns);
    let unread = if chat.unread > 0 { format!("({})", chat.unread) } else { String::new() };
    let (preview, style) = if app.typing.contains_key(&chat.conversation) {
        ("typing …".to_owned(), LIVELY)
    } else {
        let text = chat.last.as_ref().map(|last| preview(last, app)).unwrap_or_default();
        (words::harmless(text.trim_start()).replace('\n', " "), DIM)
    };
    let room = columns.saturating_sub(width(&unread) + usize::from(!unread.is_empty()));
    let preview = fit(&preview, room);
    let gap = columns.saturating_sub(width(&preview) + width(&unread));
    [
        Line::from(vec![Span::styled(format!(" {top}"), base.patch(if chat.unread > 0 { BOLD } else { Style::new() }))]),
        Line::from(vec![
            Span::raw(" "),
            Span::styled(preview, style),
            Span::raw(" ".repeat(gap)),
            Span::styled(unread, LIVELY.patch(BOLD)),
        ]),
    ]
}

/// A message in one line; in a group, with the name of whoever has written it.
fn preview(message: &Message, app: &App) -> String {
    if let Body::Change(change) = &message.body {
        return said(change, message, app);
    }
    let from = message.from.map(|from| format!("{}: ", app.name(from))).unwrap_or_default();
    format!("{} {from}{}", words::tick(message.state), message.body.display())
}

/// A change of a group as a sentence.
fn said(change: &Change, message: &Message, app: &App) -> String {
    let who = message.from.map_or_else(|| "you".into(), |from| app.name(from));
    words::change(change, &who, &|user| app.name(user))
}

/// Two texts at the two ends of a line; the first gives way.
fn spread(left: &str, right: &str, columns: usize) -> String {
    let left = fit(left, columns.saturating_sub(width(right) + 1));
    let gap = columns.saturating_sub(width(&left) + width(right));
    format!("{left}{}{right}", " ".repeat(gap))
}

fn draw_chat(frame: &mut Frame<'_>, area: Rect, app: &mut App) {
    let columns = usize::from(area.width).saturating_sub(2).max(1);
    let written = wrap(&shown_input(app.input.text()), columns.saturating_sub(2).max(1));
    let height = u16::try_from(written.len().clamp(1, INPUT_LINES)).unwrap_or(1) + 1;
    let [title, history, input] = Layout::vertical([Constraint::Length(2), Constraint::Min(1), Constraint::Length(height)]).areas(area);
    draw_title(frame, title, app);
    draw_history(frame, history, app);
    draw_input(frame, input, app, written);
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let block = Block::new().borders(Borders::BOTTOM).border_style(DIM);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let Some(chat) = app.open_chat() else {
        let hint = if app.chats.is_empty() { " Write /to and a phone number to begin." } else { " Tab opens a conversation." };
        return frame.render_widget(Line::styled(hint, DIM), inner);
    };
    let mut spans = vec![Span::styled(format!(" {}", words::harmless(&chat.with.display())), BOLD)];
    let mut presence = String::new();
    let barred = match &chat.with {
        Party::Person(peer) => {
            if let (Some(_), Some(phone)) = (&peer.name, &peer.phone) {
                spans.push(Span::styled(format!("  {phone}"), DIM));
            }
            presence = app.presence.get(&peer.user).map(|seen| words::presence(*seen, app.now, &app.zone)).unwrap_or_default();
            Some("  blocked").filter(|_| peer.blocked)
        }
        Party::Group(group) => Some("  you are no member").filter(|_| !group.member),
    };
    if let Some(barred) = barred {
        spans.push(Span::styled(barred, WRONG));
    } else if app.typing.contains_key(&chat.conversation) {
        spans.push(Span::styled("  typing …", LIVELY));
    } else {
        spans.push(Span::styled(format!("  {presence}"), if presence == "online" { LIVELY } else { DIM }));
    }
    frame.render_widget(Line::from(spans), inner);
}

fn draw_history(frame: &mut Frame<'_>, area: Rect, app: &mut App) {
    let (lines, newer) = history_lines(app, usize::from(area.width));
    let height = usize::from(area.height);
    if app.scroll > 0 {
        app.scroll += newer;
    }
    app.bottom = app.messages.last().map(|last| last.place);
    app.scroll = app.scroll.min(lines.len().saturating_sub(height));
    let end = lines.len() - app.scroll;
    let start = end.saturating_sub(height);
    // A short conversation stands at the bottom.
    let above = u16::try_from(height - (end - start)).unwrap_or(0);
    let below = Rect { y: area.y + above, height: area.height - above, ..area };
    frame.render_widget(Paragraph::new(lines[start..end].to_vec()), below);
}

/// All lines, and how many of them were not there when they were last drawn.
fn history_lines(app: &App, columns: usize) -> (Vec<Line<'static>>, usize) {
    let (mut lines, mut before) = (vec![], None);
    let (mut day, mut speaker) = (String::new(), None);
    for message in &app.messages {
        if app.bottom.is_some_and(|bottom| message.place > bottom) {
            before.get_or_insert(lines.len());
        }
        let its_day = words::day(message.at, &app.zone);
        if its_day != day {
            lines.push(Line::styled(format!("── {its_day} ──"), DIM).centered());
            (day, speaker) = (its_day, None);
        }
        if let (Body::Change(change), State::Received | State::Sent | State::Delivered | State::Read) = (&message.body, message.state) {
            let sentence = wrap(&words::harmless(&said(change, message, app)), columns.saturating_sub(2).max(1));
            lines.extend(sentence.into_iter().map(|line| Line::styled(line, DIM).centered()));
            speaker = None;
            continue;
        }
        if let Some(from) = message.from.filter(|from| speaker != Some(*from)) {
            lines.push(Line::styled(format!(" {}", fit(&words::harmless(&app.name(from)), columns.saturating_sub(2))), BOLD));
        }
        speaker = message.from;
        lines.extend(message_lines(message, columns, app));
    }
    let newer = before.map_or(0, |before| lines.len() - before);
    (lines, newer)
}

/// A message with its time and tick behind its last line: own ones at the right, others at the left.
fn message_lines(message: &Message, columns: usize, app: &App) -> Vec<Line<'static>> {
    let time = words::time_of_day(message.at, &app.zone);
    let tick = words::tick(message.state);
    let tail = width(&time) + 2 + if tick.is_empty() { 0 } else { width(tick) + 1 };
    let room = (columns * 3 / 4).max(columns.min(24)).saturating_sub(2).max(1);
    let style = match (&message.body, message.own) {
        (Body::Text(_), true) => OWN,
        (Body::Text(_), false) => Style::new(),
        (Body::Change(_) | Body::Unknown { .. } | Body::Nothing | Body::Trimmed | Body::Damaged, _) => DIM,
    };
    let mut texts = wrap(&words::harmless(&message.body.display()), room);
    if texts.last().is_some_and(|last| width(last) + tail > room) {
        texts.push(String::new());
    }
    let widest = texts.iter().map(|text| width(text)).max().unwrap_or(0);
    let last_width = texts.last().map_or(0, |last| width(last)) + tail;
    let indent = if message.own { columns.saturating_sub(widest.max(last_width) + 1) } else { 1 };
    let last = texts.len() - 1;
    let mut lines = vec![];
    for (place, text) in texts.into_iter().enumerate() {
        let mut spans = vec![Span::raw(" ".repeat(indent)), Span::styled(text, style)];
        if place == last {
            spans.push(Span::styled(format!("  {time}"), DIM));
            let tick_style = match message.state {
                State::Read => READ.patch(BOLD),
                State::Failed { .. } => WRONG.patch(BOLD),
                State::Received | State::Waiting | State::Sent | State::Delivered => DIM,
            };
            if !tick.is_empty() {
                spans.push(Span::styled(format!(" {tick}"), tick_style));
            }
        }
        lines.push(Line::from(spans));
    }
    if let State::Failed { code } = message.state {
        let why = wrap(&format!("not sent: {}", words::failure(code)), room);
        lines.extend(why.into_iter().map(|line| Line::styled(line + " ", WRONG).right_aligned()));
    }
    lines
}

/// Line breaks in the text that is being written show as such; nothing else that steers does.
fn shown_input(text: &str) -> String {
    words::harmless(&text.replace('\t', " "))
}

fn draw_input(frame: &mut Frame<'_>, area: Rect, app: &App, written: Vec<String>) {
    let block = Block::new().borders(Borders::TOP).border_style(DIM);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    // The cursor stands where the text before it ends when it is wrapped alike.
    let columns = usize::from(area.width).saturating_sub(4).max(1);
    let before = shown_input(app.input.before_cursor());
    let mut lines_before = wrap(&format!("{before}\u{2060}"), columns);
    let at = lines_before.pop().unwrap_or_default();
    let (row, column) = (lines_before.len(), width(&at));
    let first = (row + 1).saturating_sub(usize::from(inner.height).max(1));
    let lines = written.into_iter().skip(first).take(INPUT_LINES).enumerate().map(|(place, text)| {
        let prompt = if place == 0 && first == 0 { " › " } else { "   " };
        Line::from(vec![Span::styled(prompt, DIM), Span::raw(text)])
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), inner);
    let column = u16::try_from(column).unwrap_or(u16::MAX).saturating_add(3).min(inner.width.saturating_sub(1));
    let row = u16::try_from(row - first).unwrap_or(0);
    frame.set_cursor_position(Position::new(inner.x + column, (inner.y + row).min(inner.bottom().saturating_sub(1))));
}

fn draw_bottom(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let columns = usize::from(area.width).saturating_sub(2);
    let status = words::status(&app.status, app.retry.since(app.now));
    let style = match app.status {
        Status::Online => LIVELY,
        Status::Stopped(_) => WRONG,
        Status::Connecting | Status::Waiting { .. } => Style::new().fg(Color::Yellow),
    };
    let line = match app.noted() {
        Some(note) => Line::styled(format!(" {}", fit(&words::harmless(note), columns)), Style::new().fg(Color::Yellow)),
        None => {
            let whole = format!("{}  /help", app.me);
            let right = if width(&status) + width(&whole) < columns { whole } else { "/help".into() };
            let left = fit(&status, columns.saturating_sub(width(&right) + 1));
            let gap = columns.saturating_sub(width(&left) + width(&right));
            Line::from(vec![Span::styled(format!(" {left}"), style), Span::raw(" ".repeat(gap)), Span::styled(right, DIM)])
        }
    };
    frame.render_widget(line, area);
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let keys = HELP.iter().map(|(key, _)| width(key)).max().unwrap_or(0);
    let lines: Vec<Line<'_>> = HELP
        .iter()
        .map(|(key, what)| {
            let gap = " ".repeat(keys - width(key) + 2);
            Line::from(vec![Span::styled(format!(" {key}"), BOLD), Span::raw(gap), Span::raw(*what)])
        })
        .collect();
    let wide = HELP.iter().map(|(_, what)| width(what)).max().unwrap_or(0) + keys + 6;
    let popup = area.centered(
        Constraint::Length(u16::try_from(wide).unwrap_or(u16::MAX).min(area.width)),
        Constraint::Length(u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height)),
    );
    frame.render_widget(Clear, popup);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" Any key closes this ").border_style(DIM)), popup);
}

/// Lines over the conversation, as many as there is room for.
fn draw_list_over(frame: &mut Frame<'_>, area: Rect, title: &str, items: &[String]) {
    let title = format!(" {} ", words::harmless(title));
    let room = usize::from(area.height.saturating_sub(2)).max(1);
    let (shown, more) = if items.len() > room { (room - 1, items.len() - (room - 1)) } else { (items.len(), 0) };
    let mut lines: Vec<String> = items.iter().take(shown).map(|item| format!(" {}", words::harmless(item))).collect();
    if more > 0 {
        lines.push(format!(" … and {more} more"));
    }
    let wide = lines.iter().map(|line| width(line)).chain([width(&title)]).max().unwrap_or(0) + 3;
    let popup = area.centered(
        Constraint::Length(u16::try_from(wide).unwrap_or(u16::MAX).min(area.width)),
        Constraint::Length(u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height)),
    );
    frame.render_widget(Clear, popup);
    let lines: Vec<Line<'_>> = lines.into_iter().map(Line::raw).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(title).border_style(DIM)), popup);
}

/// The screen before the device is registered: what is asked, the answer so far, and what went wrong with the last one.
pub(super) fn draw_question(frame: &mut Frame<'_>, question: &str, answer: &str, trouble: Option<&str>) {
    let area = frame.area();
    let columns = usize::from(area.width.min(64)).saturating_sub(4).max(1);
    let mut lines: Vec<Line<'_>> = wrap(question, columns).into_iter().map(Line::raw).collect();
    lines.push(Line::raw(""));
    lines.push(Line::from(vec![Span::styled("› ", DIM), Span::styled(answer.to_owned(), BOLD)]));
    let row = lines.len() - 1;
    if let Some(trouble) = trouble {
        lines.push(Line::raw(""));
        lines.extend(wrap(trouble, columns).into_iter().map(|line| Line::styled(line, WRONG)));
    }
    let popup = area.centered(
        Constraint::Length(area.width.min(64)),
        Constraint::Length(u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height)),
    );
    let block = Block::bordered().title(" Doubletick ").border_style(DIM).padding(ratatui::widgets::Padding::horizontal(1));
    let inner = block.inner(popup);
    frame.render_widget(Paragraph::new(lines).block(block), popup);
    let column = u16::try_from(width(answer) + 2).unwrap_or(u16::MAX).min(inner.width.saturating_sub(1));
    let row = u16::try_from(row).unwrap_or(0).min(inner.height.saturating_sub(1));
    frame.set_cursor_position(Position::new(inner.x + column, inner.y + row));
}
