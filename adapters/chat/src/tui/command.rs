//! What a user may type after a slash.

use doubletick_client::{Phone, Privacy};

use crate::group::{self, Wish};

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    To(Phone),
    /// The group of this name.
    ToGroup(String),
    Group(Wish),
    Name(String),
    Block(bool),
    Contact(bool),
    Privacy(Privacy),
    Devices,
    RemoveDevice(u16),
    Help,
    Quit,
}

/// Every command and what it does.
pub(super) const HELP: [(&str, &str); 19] = [
    ("/to PHONE", "opens the conversation with somebody"),
    ("/to NAME", "opens the group of that name"),
    ("/create NAME PHONE …", "makes a group"),
    ("/add PHONE …, /remove PHONE", "who is in the group"),
    ("/promote PHONE, /demote PHONE", "who is an admin of it"),
    ("/rename NAME, /leave", "what it is called; you are in it no more"),
    ("/members", "who is in it"),
    ("/receipts", "who has your last message, and who has read it"),
    ("/name NAME", "what you call them; without a name, their number again"),
    ("/block, /unblock", "whether they may write to you"),
    ("/contact, /uncontact", "whether they may see when you are online"),
    ("/privacy WHO", "everyone, contacts or nobody may see when you are online"),
    ("/devices", "your devices; /devices remove N ends one"),
    ("/quit, Ctrl-C", "leaves"),
    ("Tab, Shift-Tab, ↑, ↓", "the next and the previous conversation"),
    ("Page Up, Page Down", "older and newer messages"),
    ("Enter", "sends; Alt-Enter breaks the line"),
    ("//", "begins a message that begins with a slash"),
    ("· ✓ ✓✓ ✗", "waiting, sent, delivered (blue: read), refused"),
];

/// Reads what stands after the slash.
///
/// # Errors
/// A sentence for the user.
pub(super) fn parse(text: &str) -> Result<Command, String> {
    if let Some(wish) = group::parse(text) {
        return wish.map(Command::Group).map_err(|sentence| format!("Not done: {sentence}."));
    }
    let (word, rest) = text.split_once(' ').map_or((text, ""), |(word, rest)| (word, rest.trim()));
    match (word, rest) {
        ("to", name) if !name.is_empty() && !name.starts_with('+') => Ok(Command::ToGroup(name.to_owned())),
        ("to", phone) => {
            Phone::parse(phone).map(Command::To).ok_or_else(|| "Say a number in international form: /to +4915100000001".into())
        }
        ("name", name) => Ok(Command::Name(name.to_owned())),
        ("block", "") => Ok(Command::Block(true)),
        ("unblock", "") => Ok(Command::Block(false)),
        ("contact", "") => Ok(Command::Contact(true)),
        ("uncontact", "") => Ok(Command::Contact(false)),
        ("privacy", "everyone") => Ok(Command::Privacy(Privacy::Everyone)),
        ("privacy", "contacts") => Ok(Command::Privacy(Privacy::Contacts)),
        ("privacy", "nobody") => Ok(Command::Privacy(Privacy::Nobody)),
        ("privacy", _) => Err("Say who may see when you are online: /privacy everyone, contacts or nobody".into()),
        ("devices", "") => Ok(Command::Devices),
        ("devices", rest) => {
            let serial = rest.strip_prefix("remove ").and_then(|serial| serial.trim().parse().ok());
            serial.map(Command::RemoveDevice).ok_or_else(|| "Say which device: /devices remove 2".into())
        }
        ("help" | "?", _) => Ok(Command::Help),
        ("quit" | "q" | "exit", "") => Ok(Command::Quit),
        _ => Err(format!("There is no command /{word}. /help lists them all.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_and_mistakes_are_explained() {
        assert_eq!(parse("to +49 151 00000001"), Ok(Command::To(Phone::parse("+4915100000001").unwrap())));
        assert_eq!(parse("to Book club"), Ok(Command::ToGroup("Book club".into())));
        assert_eq!(parse("members"), Ok(Command::Group(Wish::Members)));
        assert_eq!(parse("name Ada Lovelace"), Ok(Command::Name("Ada Lovelace".into())));
        assert_eq!(parse("devices remove 2"), Ok(Command::RemoveDevice(2)));
        assert_eq!(parse("privacy nobody"), Ok(Command::Privacy(Privacy::Nobody)));
        assert_eq!(parse("help"), Ok(Command::Help));
        for mistake in ["to", "to +me", "add", "privacy", "devices remove", "devices remove x", "dance"] {
            assert!(parse(mistake).is_err(), "{mistake}");
        }
    }
}
