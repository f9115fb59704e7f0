//! The line mode: lines in, one line out for each event. `docs/chat.md` is its manual.
//!
//! `line` says what a line means, here it is carried out, and `printer` prints what comes of it and what happens besides.

mod line;
mod printer;

use std::time::Duration;

use doubletick_client::{Client, ConversationId, Event, Member, MessageId, State, Status};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, BufReader};
use tokio::sync::mpsc;

use crate::group::{self, Wish};
use crate::start::Start;
use crate::{ChatArgs, Failure, Wait};
use line::{Address, Line, understand};
use printer::Printer;

/// Lines that wait to be carried out. While there are as many, nothing is read.
const LINES: usize = 16;

/// What has become of a line.
#[derive(Debug)]
enum Outcome {
    Queued {
        conversation: ConversationId,
        id: MessageId,
    },
    /// What it asked for, each line as its fields.
    Answered(Vec<Vec<String>>),
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
    let mut to = None;
    let mut number = 0;
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

async fn done(client: &Client, line: Line, to: &mut Option<Address>) -> Result<Option<Outcome>, Failure> {
    match line {
        Line::Nothing | Line::Quit => {}
        Line::To(Address::Name(name)) => *to = Some(Address::Group(group_called(client, &name)?)),
        Line::To(address) => *to = Some(address),
        Line::Text(phone, text) => {
            let conversation = match phone.map(Address::Phone).as_ref().or(to.as_ref()) {
                Some(Address::Phone(phone)) => client.conversation(phone).await?,
                Some(Address::Group(group)) => *group,
                Some(Address::Name(_)) | None => return Err(Failure::Usage("it does not say to whom".into())),
            };
            let id = client.send(conversation, &text).await?;
            return Ok(Some(Outcome::Queued { conversation, id }));
        }
        Line::Typing(phone, active) => {
            let conversation = client.conversation(&phone).await?;
            client.typing(conversation, active).await?;
        }
        Line::Watch(phone, active) => client.watch(group::user(client, &phone).await?, active).await?,
        Line::Block(phone, true) => client.block(group::user(client, &phone).await?).await?,
        Line::Block(phone, false) => client.unblock(group::user(client, &phone).await?).await?,
        Line::Group(Wish::Create(name, people)) => {
            let people = client.users(&people).await?;
            let (conversation, id) = client.create_group(&name, &people).await?;
            *to = Some(Address::Group(conversation));
            return Ok(Some(Outcome::Queued { conversation, id }));
        }
        Line::Group(wish @ (Wish::Change(_) | Wish::Members | Wish::Receipts | Wish::Typing(_))) => {
            let Some(Address::Group(group)) = *to else {
                return Err(Failure::Usage("it does not say of which group: /to GROUP comes before it".into()));
            };
            return match wish {
                Wish::Change(wanted) => {
                    let change = group::change(client, wanted).await?;
                    let id = client.change_group(group, change).await?;
                    Ok(Some(Outcome::Queued { conversation: group, id }))
                }
                Wish::Typing(active) => {
                    client.typing(group, active).await?;
                    Ok(None)
                }
                Wish::Receipts => Ok(Some(Outcome::Answered(receipts(client, group).await?))),
                Wish::Create(..) | Wish::Members => Ok(Some(Outcome::Answered(members(client, group).await?))),
            };
        }
    }
    Ok(None)
}

async fn members(client: &Client, group: ConversationId) -> Result<Vec<Vec<String>>, Failure> {
    let members = client.members(group).await?;
    let mut lines = vec![];
    for member in &members {
        lines.push(vec!["member".into(), group.to_string(), number_of(member), if member.admin { "admin" } else { "member" }.into()]);
    }
    lines.push(vec!["members".into(), group.to_string(), members.len().to_string()]);
    Ok(lines)
}

async fn receipts(client: &Client, group: ConversationId) -> Result<Vec<Vec<String>>, Failure> {
    let (id, others) = group::receipts(client, group).await?;
    let mut lines = vec![];
    for (member, state) in &others {
        let word = match state {
            State::Read => "read",
            State::Delivered => "delivered",
            State::Sent | State::Received | State::Waiting | State::Failed { .. } => "sent",
        };
        lines.push(vec!["receipt".into(), group.to_string(), id.to_string(), number_of(member), word.into()]);
    }
    lines.push(vec!["receipts".into(), group.to_string(), id.to_string(), others.len().to_string()]);
    Ok(lines)
}

/// A member's number; where the server cannot say it, their id.
fn number_of(member: &Member) -> String {
    member.person.phone.as_ref().map_or_else(|| member.person.user.to_string(), ToString::to_string)
}

/// The group of this name that the user is a member of.
fn group_called(client: &Client, name: &str) -> Result<ConversationId, Failure> {
    match group::called(client, name)?.as_slice() {
        [] => Err(Failure::Usage(format!("you are in no group that is called {name:?}"))),
        [group] => Ok(*group),
        several => {
            let ids: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(Failure::Usage(format!("several of your groups are called {name:?}; say which one: {}", ids.join(", "))))
        }
    }
}
