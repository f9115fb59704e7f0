//! What may be wanted of a group, in either mode.

use doubletick_client::{
    Body, Change, Client, ConversationId, Member, Message, MessageId, Party, Phone, RequestError, Seq, State, StorageError, UserId,
};

use crate::start::parse_phone;

/// A command about groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A group of this name, with these people.
    Create(String, Vec<Phone>),
    /// A change of a group.
    Change(Wanted),
    /// Who its members are.
    Members,
    /// Who has the user's last message, and to whom it was shown.
    Receipts,
    /// The user is typing there, or has stopped.
    Typing(bool),
}

/// A change of a group, whose people have numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Add(Vec<Phone>),
    Remove(Phone),
    /// Makes somebody an admin, or takes that from them.
    SetAdmin(Phone, bool),
    Rename(String),
    Leave,
}

/// Reads a command without its slash; `None` if it is none about groups.
///
/// # Errors
/// What is wrong with it: a sentence without its full stop.
pub(crate) fn parse(command: &str) -> Option<Result<Wish, String>> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let rest = command.split_once(' ').map_or("", |(_, rest)| rest.trim());
    let one = |word: &str, wish: fn(Phone) -> Wanted| match &words[1..] {
        [number] => phone(number).map(|phone| Wish::Change(wish(phone))),
        _ => Err(format!("say whom: /{word} +4915100000001")),
    };
    Some(match *words.first()? {
        "create" => {
            let (people, name): (Vec<&str>, Vec<&str>) = words[1..].iter().partition(|word| word.starts_with('+'));
            if name.is_empty() {
                Err("say what the group is called and who is in it: /create NAME +4915100000001".into())
            } else {
                phones(&people).map(|people| Wish::Create(name.join(" "), people))
            }
        }
        "add" if words.len() > 1 => phones(&words[1..]).map(|people| Wish::Change(Wanted::Add(people))),
        "add" => Err("say whom: /add +4915100000001".into()),
        "remove" => one("remove", Wanted::Remove),
        "promote" => one("promote", |phone| Wanted::SetAdmin(phone, true)),
        "demote" => one("demote", |phone| Wanted::SetAdmin(phone, false)),
        "rename" if rest.is_empty() => Err("say what the group is to be called: /rename NAME".into()),
        "rename" => Ok(Wish::Change(Wanted::Rename(rest.to_owned()))),
        "leave" if rest.is_empty() => Ok(Wish::Change(Wanted::Leave)),
        "members" if rest.is_empty() => Ok(Wish::Members),
        "receipts" if rest.is_empty() => Ok(Wish::Receipts),
        "leave" | "members" | "receipts" => Err("nothing is to follow that".into()),
        _ => return None,
    })
}

fn phone(text: &str) -> Result<Phone, String> {
    parse_phone(text).map_err(|failure| failure.to_string())
}

fn phones(texts: &[&str]) -> Result<Vec<Phone>, String> {
    texts.iter().map(|text| phone(text)).collect()
}

/// The change, once it is known who has those numbers.
pub(crate) async fn change(client: &Client, wanted: Wanted) -> Result<Change, RequestError> {
    Ok(match wanted {
        Wanted::Add(people) => Change::Added { users: client.users(&people).await? },
        Wanted::Remove(phone) => Change::Removed { user: user(client, &phone).await? },
        Wanted::SetAdmin(phone, admin) => Change::RoleSet { user: user(client, &phone).await?, admin },
        Wanted::Rename(name) => Change::Renamed { name },
        Wanted::Leave => Change::Left,
    })
}

/// Who has a number.
pub(crate) async fn user(client: &Client, phone: &Phone) -> Result<UserId, RequestError> {
    let users = client.users(std::slice::from_ref(phone)).await?;
    Ok(*users.first().expect("one number is one user"))
}

/// The user's last message in a group that has a position, and how far each of the others has got with it.
pub(crate) async fn receipts(client: &Client, group: ConversationId) -> Result<(MessageId, Vec<(Member, State)>), RequestError> {
    let last = last_own(client, group)?.ok_or(RequestError::Senseless("you have written nothing there that the server has"))?;
    let (id, seq) = last;
    let others = client.members(group).await?.into_iter().filter(|member| member.person.user != client.account().device.user);
    let state = |member: &Member| match seq {
        seq if seq <= member.read => State::Read,
        seq if seq <= member.delivered => State::Delivered,
        _ => State::Sent,
    };
    Ok((id, others.map(|member| (member.clone(), state(&member))).collect()))
}

/// Among the messages that are kept here.
fn last_own(client: &Client, group: ConversationId) -> Result<Option<(MessageId, Seq)>, StorageError> {
    let mut before = None;
    loop {
        let page = client.history(group, before, 100)?;
        let is_it = |message: &&Message| message.own && message.place.seq().is_some() && !matches!(message.body, Body::Change(_));
        if let Some(found) = page.iter().rev().find(is_it) {
            return Ok(found.place.seq().map(|seq| (found.id, seq)));
        }
        match page.first() {
            Some(first) => before = Some(first.place),
            None => return Ok(None),
        }
    }
}

/// The groups of this name that the user is a member of.
pub(crate) fn called(client: &Client, name: &str) -> Result<Vec<ConversationId>, StorageError> {
    let is_it = |with: &Party| matches!(with, Party::Group(group) if group.member && group.name.as_deref() == Some(name));
    Ok(client.chats()?.into_iter().filter(|chat| is_it(&chat.with)).map(|chat| chat.conversation).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_about_groups_are_read_and_mistakes_are_explained() {
        let ben = Phone::parse("+4915100000002").unwrap();
        let cy = Phone::parse("+4915100000003").unwrap();
        for (command, wish) in [
            ("create Book club +4915100000002 +4915100000003", Wish::Create("Book club".into(), vec![ben.clone(), cy.clone()])),
            ("create alone", Wish::Create("alone".into(), vec![])),
            ("add +4915100000002 +4915100000003", Wish::Change(Wanted::Add(vec![ben.clone(), cy]))),
            ("remove +4915100000002", Wish::Change(Wanted::Remove(ben.clone()))),
            ("promote +4915100000002", Wish::Change(Wanted::SetAdmin(ben.clone(), true))),
            ("demote +4915100000002", Wish::Change(Wanted::SetAdmin(ben, false))),
            ("rename The book club", Wish::Change(Wanted::Rename("The book club".into()))),
            ("leave", Wish::Change(Wanted::Leave)),
            ("members", Wish::Members),
            ("receipts", Wish::Receipts),
        ] {
            assert_eq!(parse(command), Some(Ok(wish)), "{command}");
        }
        for mistake in ["create", "create +4915100000002", "create x +49x", "add", "add Ben", "remove", "promote", "rename", "leave now"] {
            assert!(matches!(parse(mistake), Some(Err(_))), "{mistake}");
        }
        assert_eq!((parse("dance"), parse("")), (None, None));
    }
}
