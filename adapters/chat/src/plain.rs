//! The line mode: lines in, one line out for each event. `docs/chat.md` is its manual.

use std::collections::BTreeMap;
use std::time::Duration;

use doubletick_client::{Client, ConversationId, Event, Message, MessageId, Phone, Place, Presence, Seq, State, Status};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

use crate::start::{Start, parse_phone};
use crate::{ChatArgs, Failure, Wait, words};

/// Messages read from the history at a time.
const PAGE: usize = 100;

/// Lines that wait to be carried out. While there are as many, nothing is read.
const LINES: usize = 16;

/// A line of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    /// To whom lines without a number go from here on.
    To(Phone),
    /// A message; without a number, to the last `To`.
    Text(Option<Phone>, String),
    Typing(Phone, bool),
    Watch(Phone, bool),
    Block(Phone, bool),
    Nothing,
    Quit,
}

/// What has become of a line.
#[derive(Debug)]
enum Outcome {
    Queued {
        conversation: ConversationId,
        phone: Phone,
        id: MessageId,
    },
    /// What it asked for was not done.
    Undone {
        line: usize,
        why: String,
    },
    /// There are no more lines.
    Ended,
    Failed(Failure),
}

/// Registers the device if need be, and then reads and prints lines.
///
/// # Errors
/// See [`Failure`].
pub(crate) async fn run(start: Start, args: &ChatArgs) -> Result<(), Failure> {
    let mut input = BufReader::new(tokio::io::stdin());
    let client = registered(start, &mut input).await?;
    let give_up = args.give_up.map(Duration::from_secs);
    let ended = session(&client, input, tokio::io::stdout(), args.wait, give_up).await;
    client.close().await;
    ended
}

async fn registered(start: Start, input: &mut (impl AsyncBufRead + Unpin)) -> Result<Client, Failure> {
    if start.account.is_some() {
        return start.start();
    }
    let phone =
        start.phone.as_ref().ok_or_else(|| Failure::Usage("this profile is not registered: say your number with --phone".into()))?;
    start.profile.register(phone).await?;
    let code = match &start.code {
        Some(code) => code.clone(),
        None => {
            eprintln!("A verification code was sent to {phone}. Enter it:");
            let mut line = String::new();
            input.read_line(&mut line).await?;
            line.trim().to_owned()
        }
    };
    start.profile.verify(&code, &start.name).await?;
    start.start()
}

/// Reads and prints until the input has ended and everything in it has got as far as it must.
///
/// # Errors
/// See [`Failure`].
pub async fn session(
    client: &Client,
    input: impl AsyncBufRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Unpin,
    wait: Wait,
    give_up: Option<Duration>,
) -> Result<(), Failure> {
    let (outcomes, mut results) = mpsc::channel(LINES);
    let mut events = client.events();
    let reading = tokio::spawn(carry_out(client.clone(), input, outcomes));
    let mut printer = Printer::new(client, output)?;
    // What came while nobody listened.
    printer.everything().await?;
    printer.event(Event::Status(client.status())).await?;
    let mut deadline = None;
    let ended = loop {
        printer.flush().await?;
        if printer.ended && printer.settled(wait) {
            break printer.verdict();
        }
        tokio::select! {
            biased;
            event = events.next() => match event {
                Some(event) => printer.event(event).await?,
                None => break Err(printer.stopped()),
            },
            outcome = results.recv(), if !printer.ended => match outcome {
                Some(Outcome::Failed(failure)) => break Err(failure),
                Some(outcome) => {
                    if matches!(outcome, Outcome::Ended) {
                        deadline = give_up.map(|length| tokio::time::Instant::now() + length);
                    }
                    printer.outcome(outcome).await?;
                }
                None => printer.ended = true,
            },
            () = async { match deadline { Some(deadline) => tokio::time::sleep_until(deadline).await, None => std::future::pending().await } } => {
                let missing = printer.unsettled(wait);
                break Err(Failure::GaveUp(format!("time has run out, and {missing} messages have not got as far as they should; those that the server does not have are kept")));
            }
        }
        if let Status::Stopped(stop) = client.status() {
            printer.flush().await?;
            break Err(Failure::Stopped(stop));
        }
    };
    reading.abort();
    printer.flush().await?;
    ended
}

/// Reads lines and does what they say, one after the other.
async fn carry_out(client: Client, mut input: impl AsyncBufRead + Unpin, outcomes: mpsc::Sender<Outcome>) {
    let (mut to, mut number) = (None, 0);
    loop {
        let mut bytes = vec![];
        number += 1;
        let read = input.read_until(b'\n', &mut bytes).await;
        let outcome = match read {
            Ok(0) => Outcome::Ended,
            Err(error) => Outcome::Failed(error.into()),
            Ok(_) => match understand(&bytes) {
                Ok(Line::Quit) => Outcome::Ended,
                Ok(line) => match done(&client, line, &mut to).await {
                    Ok(Some(outcome)) => outcome,
                    Ok(None) => continue,
                    Err(failure @ (Failure::Stopped(_) | Failure::Profile(_))) => Outcome::Failed(failure),
                    Err(failure) => Outcome::Undone { line: number, why: failure.to_string() },
                },
                Err(why) => Outcome::Undone { line: number, why },
            },
        };
        let last = matches!(outcome, Outcome::Ended | Outcome::Failed(_));
        if outcomes.send(outcome).await.is_err() || last {
            return;
        }
    }
}

async fn done(client: &Client, line: Line, to: &mut Option<Phone>) -> Result<Option<Outcome>, Failure> {
    match line {
        Line::Nothing | Line::Quit => {}
        Line::To(phone) => *to = Some(phone),
        Line::Text(phone, text) => {
            let phone = phone.or_else(|| to.clone()).ok_or_else(|| Failure::Usage("it does not say to whom".into()))?;
            let conversation = client.conversation(&phone).await?;
            let id = client.send(conversation, &text).await?;
            return Ok(Some(Outcome::Queued { conversation, phone, id }));
        }
        Line::Typing(phone, active) => {
            let conversation = client.conversation(&phone).await?;
            client.typing(conversation, active).await?;
        }
        Line::Watch(phone, active) => client.watch(peer(client, &phone).await?, active).await?,
        Line::Block(phone, true) => client.block(peer(client, &phone).await?).await?,
        Line::Block(phone, false) => client.unblock(peer(client, &phone).await?).await?,
    }
    Ok(None)
}

async fn peer(client: &Client, phone: &Phone) -> Result<doubletick_client::UserId, Failure> {
    let conversation = client.conversation(phone).await?;
    Ok(conversation.peer(client.account().device.user).expect("it is one of this user's conversations"))
}

fn understand(bytes: &[u8]) -> Result<Line, String> {
    let line = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?.trim_end_matches(['\n', '\r']);
    let phone = |text: &str| parse_phone(text).map_err(|failure| failure.to_string());
    let on = |text: &str| match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("{text:?} is neither on nor off")),
    };
    if line.is_empty() {
        return Ok(Line::Nothing);
    }
    if line.starts_with('+') {
        let (number, text) = line.split_once(' ').ok_or("there is no text after the number")?;
        return Ok(Line::Text(Some(phone(number)?), text.to_owned()));
    }
    let Some(command) = line.strip_prefix('/').filter(|rest| !rest.starts_with('/')) else {
        return Ok(Line::Text(None, line.strip_prefix('/').unwrap_or(line).to_owned()));
    };
    let words: Vec<&str> = command.split_whitespace().collect();
    match words.as_slice() {
        ["to", number] => Ok(Line::To(phone(number)?)),
        ["typing", number, active] => Ok(Line::Typing(phone(number)?, on(active)?)),
        ["watch", number] => Ok(Line::Watch(phone(number)?, true)),
        ["unwatch", number] => Ok(Line::Watch(phone(number)?, false)),
        ["block", number] => Ok(Line::Block(phone(number)?, true)),
        ["unblock", number] => Ok(Line::Block(phone(number)?, false)),
        ["quit"] => Ok(Line::Quit),
        _ => Err(format!("{line:?} is no command; a message that begins with a slash is written with two")),
    }
}

/// Prints, and knows what it has printed.
struct Printer<'a, W> {
    client: &'a Client,
    output: tokio::io::BufWriter<W>,
    /// Of each conversation, the last message of somebody else's, or of another own device's, that was printed.
    printed: BTreeMap<ConversationId, Place>,
    /// Messages that were written here, as they were last printed.
    tracked: BTreeMap<MessageId, Tracked>,
    /// Of those, the ones that have a position and were not read.
    placed: BTreeMap<(ConversationId, Seq), MessageId>,
    /// As it was last printed.
    status: Option<Status>,
    undone: usize,
    ended: bool,
}

struct Tracked {
    conversation: ConversationId,
    phone: Phone,
    state: State,
}

impl<'a, W: AsyncWrite + Unpin> Printer<'a, W> {
    /// Begins with what was not shown before.
    fn new(client: &'a Client, output: W) -> Result<Self, Failure> {
        let mut printed = BTreeMap::new();
        for chat in client.chats()? {
            if let Some(place) = last_shown(client, chat.conversation, chat.unread)? {
                printed.insert(chat.conversation, place);
            }
        }
        let output = tokio::io::BufWriter::new(output);
        Ok(Self { client, output, printed, tracked: BTreeMap::new(), placed: BTreeMap::new(), status: None, undone: 0, ended: false })
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.output.flush().await?)
    }

    /// Fields with tabs between them.
    async fn line(&mut self, fields: &[&str]) -> Result<(), Failure> {
        let line = fields.iter().map(|field| escape(field)).collect::<Vec<_>>().join("\t") + "\n";
        Ok(self.output.write_all(line.as_bytes()).await?)
    }

    async fn event(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Message(conversation, message) if !message.own || message.device != 0 => self.messages(conversation).await,
            Event::Person(user) => match self.client.conversation_with(user) {
                Ok(conversation) => self.messages(conversation).await,
                // It is this user.
                Err(_) => Ok(()),
            },
            Event::Accepted { id, .. } | Event::Failed { id, .. } => self.tick(id).await,
            Event::Receipt { conversation, delivered, .. } => {
                let moved: Vec<_> = self.placed.range((conversation, Seq::START)..=(conversation, delivered)).map(|(_, id)| *id).collect();
                for id in moved {
                    self.tick(id).await?;
                }
                Ok(())
            }
            Event::Typing { conversation, active } => match self.phone(conversation)? {
                Some(phone) => self.line(&["typing", phone.as_str(), if active { "on" } else { "off" }]).await,
                None => Ok(()),
            },
            Event::Presence { user, presence } => {
                let phone = self.client.person(user)?.phone.map_or_else(|| user.to_string(), |phone| phone.to_string());
                match presence {
                    Presence::Hidden => self.line(&["presence", &phone, "hidden"]).await,
                    Presence::Online => self.line(&["presence", &phone, "online"]).await,
                    Presence::Offline { last_seen: None } => self.line(&["presence", &phone, "offline"]).await,
                    Presence::Offline { last_seen: Some(at) } => self.line(&["presence", &phone, "offline", &words::rfc3339(at)]).await,
                }
            }
            Event::Status(status) if self.status.as_ref() == Some(&status) => Ok(()),
            Event::Status(status) => {
                match &status {
                    Status::Online => self.line(&["online"]).await?,
                    Status::Waiting { retry, why } => self.line(&["offline", &retry.0.to_string(), why]).await?,
                    Status::Connecting | Status::Stopped(_) => {}
                }
                self.status = Some(status);
                Ok(())
            }
            Event::HeldUp(reject) => self.line(&["held", doubletick_client::refusal(reject)]).await,
            Event::Refused(reject) => self.line(&["refused", doubletick_client::refusal(reject)]).await,
            Event::Missed(_) => self.everything().await,
            // An own message is printed as `queued`; the rest is for those who look at a screen.
            Event::Message(..) | Event::Shown(_) => Ok(()),
        }
    }

    async fn outcome(&mut self, outcome: Outcome) -> Result<(), Failure> {
        match outcome {
            Outcome::Queued { conversation, phone, id } => {
                self.line(&["queued", phone.as_str(), &id.to_string()]).await?;
                self.tracked.insert(id, Tracked { conversation, phone, state: State::Waiting });
                // It may have got further before this was heard.
                self.tick(id).await
            }
            Outcome::Undone { line, why } => {
                self.undone += 1;
                self.line(&["error", &line.to_string(), &why]).await
            }
            Outcome::Ended => {
                self.ended = true;
                Ok(())
            }
            Outcome::Failed(failure) => Err(failure),
        }
    }

    /// Looks at everything again: events may have been missed.
    async fn everything(&mut self) -> Result<(), Failure> {
        for chat in self.client.chats()? {
            self.messages(chat.conversation).await?;
        }
        for id in self.tracked.keys().copied().collect::<Vec<_>>() {
            self.tick(id).await?;
        }
        Ok(())
    }

    /// Prints the messages of a conversation that were not printed, and says that they were shown.
    async fn messages(&mut self, conversation: ConversationId) -> Result<(), Failure> {
        // The number comes with an event of its own if it is not known.
        let Some(phone) = self.phone(conversation)? else { return Ok(()) };
        let after = self.printed.get(&conversation).copied();
        let (mut fresh, mut before): (Vec<Message>, _) = (vec![], None);
        loop {
            let page = self.client.history(conversation, before, PAGE)?;
            before = page.first().map(|message| message.place);
            let more = page.len() == PAGE && before > after;
            fresh.splice(0..0, page.into_iter().filter(|message| Some(message.place) > after));
            if !more {
                break;
            }
        }
        let mut shown = None;
        for message in fresh.into_iter().filter(|message| !message.own || message.device != 0) {
            let kind = if message.own { "own" } else { "message" };
            let (id, at) = (message.id.to_string(), words::rfc3339(message.at));
            self.line(&[kind, phone.as_str(), &id, &at, &message.body.display()]).await?;
            self.printed.insert(conversation, message.place);
            shown = shown.max(message.place.seq());
        }
        // Only what has left this program was shown to anybody.
        self.flush().await?;
        if let Some(upto) = shown {
            self.client.mark_read(conversation, upto).await?;
        }
        Ok(())
    }

    /// Prints how far a message has got, step by step.
    async fn tick(&mut self, id: MessageId) -> Result<(), Failure> {
        let Some(Tracked { conversation, phone, state: before }) = self.tracked.get_mut(&id) else { return Ok(()) };
        let Some(message) = self.client.own_message(*conversation, id)? else { return Ok(()) };
        let state = std::mem::replace(before, message.state);
        let (before, state, phone, conversation) = (state, message.state, phone.clone(), *conversation);
        if let State::Failed { code } = state {
            if before != state {
                self.line(&["failed", phone.as_str(), &id.to_string(), words::failure(code)]).await?;
            }
            return Ok(());
        }
        for (step, word) in [(State::Sent, "sent"), (State::Delivered, "delivered"), (State::Read, "read")] {
            if before < step && step <= state {
                self.line(&[word, phone.as_str(), &id.to_string()]).await?;
            }
        }
        if let Some(seq) = message.place.seq() {
            if state == State::Read {
                self.placed.remove(&(conversation, seq));
            } else {
                self.placed.insert((conversation, seq), id);
            }
        }
        Ok(())
    }

    fn phone(&self, conversation: ConversationId) -> Result<Option<Phone>, Failure> {
        let peer = conversation.peer(self.client.account().device.user).expect("it is one of this user's conversations");
        Ok(self.client.person(peer)?.phone)
    }

    fn unsettled(&self, wait: Wait) -> usize {
        let far_enough = match wait {
            Wait::Sent => State::Sent,
            Wait::Delivered => State::Delivered,
        };
        // A message that failed has got as far as it ever will.
        self.tracked.values().filter(|tracked| tracked.state < far_enough).count()
    }

    fn settled(&self, wait: Wait) -> bool {
        self.unsettled(wait) == 0
    }

    fn verdict(&self) -> Result<(), Failure> {
        let refused = self.tracked.values().filter(|tracked| matches!(tracked.state, State::Failed { .. })).count();
        match (self.undone, refused) {
            (0, 0) => Ok(()),
            (undone, refused) => {
                Err(Failure::Undone(format!("{undone} lines could not be carried out, and {refused} messages were refused")))
            }
        }
    }

    fn stopped(&self) -> Failure {
        match self.client.status() {
            Status::Stopped(stop) => Failure::Stopped(stop),
            Status::Connecting | Status::Online | Status::Waiting { .. } => Failure::Stopped(doubletick_client::Stop::Closed),
        }
    }
}

/// The place before the first message of somebody else's that was not shown.
fn last_shown(client: &Client, conversation: ConversationId, unread: u64) -> Result<Option<Place>, Failure> {
    let (mut left, mut before) = (unread, None);
    loop {
        let page = client.history(conversation, before, PAGE)?;
        for message in page.iter().rev().filter(|message| message.place.seq().is_some()) {
            if left == 0 {
                return Ok(Some(message.place));
            }
            left -= u64::from(!message.own);
        }
        match page.first() {
            Some(first) => before = Some(first.place),
            None => return Ok(None),
        }
    }
}

/// So that a field has neither tabs nor line breaks nor anything else that steers.
fn escape(field: &str) -> String {
    let mut escaped = String::with_capacity(field.len());
    for c in field.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            c if c.is_control() => escaped.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_mean_what_the_manual_says() {
        let phone = Phone::parse("+4915100000002").unwrap();
        let text = |to: Option<&Phone>, text: &str| Ok(Line::Text(to.cloned(), text.to_owned()));
        for (line, meaning) in [
            ("+4915100000002 hello  there", text(Some(&phone), "hello  there")),
            ("hello", text(None, "hello")),
            ("//quit is a word", text(None, "/quit is a word")),
            ("/to +4915100000002", Ok(Line::To(phone.clone()))),
            ("/typing +4915100000002 on", Ok(Line::Typing(phone.clone(), true))),
            ("/watch +4915100000002", Ok(Line::Watch(phone.clone(), true))),
            ("/block +4915100000002", Ok(Line::Block(phone.clone(), true))),
            ("/unblock +4915100000002", Ok(Line::Block(phone, false))),
            ("/quit", Ok(Line::Quit)),
            ("", Ok(Line::Nothing)),
        ] {
            assert_eq!(understand(format!("{line}\r\n").as_bytes()), meaning, "{line}");
        }
        for line in ["+4915100000002", "+49x hello", "/dance", "/to", "/typing +4915100000002 maybe"] {
            assert!(understand(line.as_bytes()).is_err(), "{line}");
        }
        assert!(understand(b"\xff\n").is_err());
    }

    #[test]
    fn a_field_is_one_field_whatever_is_in_it() {
        assert_eq!(escape("a\tb\\n\nc\x1b[0m"), "a\\tb\\\\n\\nc\\u{1b}[0m");
    }
}
