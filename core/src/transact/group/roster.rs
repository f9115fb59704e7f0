//! Who is in a group, with which devices: what a client must know to write into it.

use super::members_of_page;
use super::reached::standing;
use crate::command::Reply;
use crate::frame::RosterEntry;
use crate::id::{ConversationId, Phone, UserId};
use crate::limits;
use crate::reject::Reject;
use crate::rows::{self, Receipt};
use crate::store::Key;
use crate::transact::Decision;
use crate::view::{Stop, View};
use alloc::vec::Vec;

/// A page of a group's members, in the order of their ids. Only members are told.
pub(crate) fn ask(view: &mut View, asker: UserId, conversation: ConversationId, after: Option<UserId>) -> Result<Decision, Stop> {
    let (group, member) = (rows::group(conversation), rows::member(conversation, asker));
    // Both are asked for before either is judged, so that one round fetches both.
    let page = members_of_page(view, conversation, after, limits::PAGE_MEMBERS);
    view.need(&[group.key, member.key])?;
    let (Some(group), Some(_)) = (view.get(&group)?, view.get(&member)?) else { return Err(Reject::NotMember.into()) };
    let page = page?;
    let keys = page.iter().flat_map(|(user, _)| [rows::account(*user).key, rows::receipt(conversation, *user).key]);
    view.need(&keys.collect::<Vec<Key>>())?;
    let more = page.len() as u32 == limits::PAGE_MEMBERS;
    let mut members = Vec::with_capacity(page.len());
    for (user, member) in page {
        let account = view.find(&rows::account(user))?;
        let phone = account.as_ref().and_then(|account| Phone::parse(&account.phone));
        let devices = account.map(|account| account.devices.iter().map(|device| device.serial).collect());
        let admin = member.is_some_and(|member| member.admin);
        let Receipt { delivered, read } = standing(view, conversation, user, member)?;
        members.push(RosterEntry { user, phone, admin, devices: devices.unwrap_or_default(), delivered, read });
    }
    Ok(Decision::reply(Reply::Roster { name: group.name, epoch: group.epoch, members, more }))
}
