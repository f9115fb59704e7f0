//! What a line of the input means.

use doubletick_client::{ConversationId, Phone};

use crate::group::{self, Wish};
use crate::start::parse_phone;

/// A line of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Where lines without a number go from here on.
    To(Address),
    /// A message; without a number, to the last `To`.
    Text(Option<Phone>, String),
    Typing(Phone, bool),
    Watch(Phone, bool),
    Block(Phone, bool),
    /// Something about groups; of which one, the last `To` has said.
    Group(Wish),
    Nothing,
    Quit,
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Phone(Phone),
    Group(ConversationId),
    /// The group of this name.
    Name(String),
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it: a sentence without its full stop.
pub(super) fn understand(bytes: &[u8]) -> Result<Line, String> {
    let line = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?.trim_end_matches(['\n', '\r']);
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
    if let Some(wish) = group::parse(command) {
        return wish.map(Line::Group);
    }
    let words: Vec<&str> = command.split_whitespace().collect();
    match words.as_slice() {
        ["to", number] if number.starts_with('+') => Ok(Line::To(Address::Phone(phone(number)?))),
        ["to", id] if id.parse::<ConversationId>().is_ok_and(|id| id.pair().is_none()) => {
            Ok(Line::To(Address::Group(id.parse().expect("it was parsed just before"))))
        }
        ["to", name @ ..] if !name.is_empty() => Ok(Line::To(Address::Name(name.join(" ")))),
        ["typing", active @ ("on" | "off")] => Ok(Line::Group(Wish::Typing(on(active)?))),
        ["typing", number, active] => Ok(Line::Typing(phone(number)?, on(active)?)),
        ["watch", number] => Ok(Line::Watch(phone(number)?, true)),
        ["unwatch", number] => Ok(Line::Watch(phone(number)?, false)),
        ["block", number] => Ok(Line::Block(phone(number)?, true)),
        ["unblock", number] => Ok(Line::Block(phone(number)?, false)),
        ["quit"] => Ok(Line::Quit),
        _ => Err(format!("{line:?} is no command; a message that begins with a slash is written with two")),
    }
}

fn phone(text: &str) -> Result<Phone, String> {
    parse_phone(text).map_err(|failure| failure.to_string())
}

fn on(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("{text:?} is neither on nor off")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Wanted;

    #[test]
    fn lines_mean_what_the_manual_says() {
        let ben = Phone::parse("+4915100000002").unwrap();
        let group = "group-0190f5fe7c007000800000000000000a";
        let text = |to: Option<&Phone>, text: &str| Ok(Line::Text(to.cloned(), text.to_owned()));
        for (line, meaning) in [
            ("+4915100000002 hello  there", text(Some(&ben), "hello  there")),
            ("hello", text(None, "hello")),
            ("//quit is a word", text(None, "/quit is a word")),
            ("/to +4915100000002", Ok(Line::To(Address::Phone(ben.clone())))),
            (&format!("/to {group}"), Ok(Line::To(Address::Group(group.parse().unwrap())))),
            ("/to Book club", Ok(Line::To(Address::Name("Book club".into())))),
            ("/typing +4915100000002 on", Ok(Line::Typing(ben.clone(), true))),
            ("/typing off", Ok(Line::Group(Wish::Typing(false)))),
            ("/watch +4915100000002", Ok(Line::Watch(ben.clone(), true))),
            ("/block +4915100000002", Ok(Line::Block(ben.clone(), true))),
            ("/unblock +4915100000002", Ok(Line::Block(ben, false))),
            ("/rename The book club", Ok(Line::Group(Wish::Change(Wanted::Rename("The book club".into()))))),
            ("/members", Ok(Line::Group(Wish::Members))),
            ("/quit", Ok(Line::Quit)),
            ("", Ok(Line::Nothing)),
        ] {
            assert_eq!(understand(format!("{line}\r\n").as_bytes()), meaning, "{line}");
        }
        let mistakes = ["+4915100000002", "+49x hello", "/dance", "/to", "/to +49x", "/typing +4915100000002 maybe", "/create"];
        for line in mistakes {
            assert!(understand(line.as_bytes()).is_err(), "{line}");
        }
        assert!(understand(b"\xff\n").is_err());
    }
}
