//! The rules of changes: who may do what to a group, and what becomes of it.

use super::{Entry, Told, Wish, append, devices_of_users, members_of, members_of_page, reached, tell};
use crate::change::{Change, Settings};
use crate::event::Event;
use crate::id::{ConversationId, MessageId, Seq, Side, UserId};
use crate::limits;
use crate::reject::Reject;
use crate::rows::{self, Group, Head, Member, Span};
use crate::store::Key;
use crate::transact::Decision;
use crate::view::{Stop, View};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

pub(super) fn create(view: &mut View, wish: &Wish, name: String, members: &[UserId], settings: Settings) -> Result<Decision, Stop> {
    let creator = wish.from.user;
    if members.contains(&creator) {
        return Err(Reject::AlreadyMember.into());
    }
    let count = members.len() as u32 + 1;
    if count > settings.limit {
        return Err(Reject::GroupFull { limit: settings.limit }.into());
    }
    may_be_added(view, creator, members)?;
    has_room_for_a_group(view, &[creator])?;
    let group = Group { name, avatar: vec![], settings, members: count, admins: 1, epoch: 1 };
    let mut events = vec![Event::GroupChanged { conversation: wish.conversation, group }];
    events.push(joins(wish, creator, Seq::START.next(), true));
    events.extend(members.iter().map(|user| joins(wish, *user, Seq::START.next(), false)));
    let everyone: Vec<UserId> = members.iter().copied().chain([creator]).collect();
    let told = if count > limits::SYNCHRONOUS_FAN_OUT { Told::Some(vec![]) } else { Told::All(devices_of_users(view, &everyone)?) };
    let sent = append(view, wish, asked_for(wish), &told, &mut events)?;
    Ok(Decision::of(events, sent))
}

pub(super) fn carry_out(view: &mut View, wish: &Wish, group: Group, member: Member, change: &Change) -> Result<Decision, Stop> {
    let admins_only = match change {
        Change::Added { .. } => group.settings.admins_add,
        Change::Renamed { .. } | Change::AvatarSet { .. } => group.settings.admins_edit,
        Change::Removed { .. } | Change::RoleSet { .. } | Change::SettingsSet { .. } => true,
        Change::Created { .. } | Change::Left => false,
    };
    let admins_only = admins_only && !planted!(AnybodyRemoves if matches!(change, Change::Removed { .. }) && !member.admin);
    if admins_only && !member.admin {
        return Err(Reject::NotAdmin.into());
    }
    match change {
        Change::Created { .. } => Err(Reject::GroupExists.into()),
        Change::Added { users } => add(view, wish, group, users),
        Change::Removed { user } => remove(view, wish, group, *user),
        Change::Left => leave(view, wish, group, member),
        Change::RoleSet { user, admin } => set_role(view, wish, group, *user, *admin),
        Change::Renamed { name } => edit(view, wish, Group { name: name.clone(), ..group }),
        Change::AvatarSet { avatar } => edit(view, wish, Group { avatar: avatar.clone(), ..group }),
        Change::SettingsSet { settings } => edit(view, wish, Group { settings: *settings, ..group }),
    }
}

/// The change as it was asked for, on its way into the log.
fn asked_for(wish: &Wish) -> Entry {
    Entry { kind: Side::High, id: wish.id, content: wish.content.clone() }
}

fn next_position(view: &mut View, conversation: ConversationId) -> Result<Seq, Stop> {
    Ok(view.get(&rows::head(conversation))?.unwrap_or(Head::EMPTY).seq.next())
}

fn joins(wish: &Wish, user: UserId, joined: Seq, admin: bool) -> Event {
    let member = Member { admin, joined, since: wish.now };
    Event::MemberJoined { conversation: wish.conversation, user, member }
}

/// All of them, or none.
fn add(view: &mut View, wish: &Wish, group: Group, users: &[UserId]) -> Result<Decision, Stop> {
    let conversation = wish.conversation;
    let places: Vec<_> = users.iter().map(|user| (rows::member(conversation, *user), rows::past_member(conversation, *user))).collect();
    view.need(&places.iter().flat_map(|(member, past)| [member.key, past.key]).collect::<Vec<Key>>())?;
    for (member, _) in &places {
        if view.exists(member)? && !planted!(AddedAsFarAsPossible) {
            return Err(Reject::AlreadyMember.into());
        }
    }
    let members = group.members + users.len() as u32;
    if members > group.settings.limit && !planted!(LimitBeforeAdding if group.members < group.settings.limit) {
        return Err(Reject::GroupFull { limit: group.settings.limit }.into());
    }
    may_be_added(view, wish.from.user, users)?;
    let mut events = vec![];
    for (_, past) in &places {
        mark!(MemberComesBack if view.exists(past)?);
    }
    for user in users {
        events.extend(past_with_room(view, conversation, *user)?);
    }
    let joined = next_position(view, conversation)?;
    events.extend(users.iter().map(|user| joins(wish, *user, joined, false)));
    let told = tell(view, conversation, members, if members > limits::SYNCHRONOUS_FAN_OUT { &[] } else { users })?;
    let epoch = group.epoch + 1;
    events.push(Event::GroupChanged { conversation, group: Group { members, epoch, ..group } });
    let sent = append(view, wish, asked_for(wish), &told, &mut events)?;
    Ok(Decision::of(events, sent))
}

/// Whether these users may be made members by somebody: each has an account, room for another group, and has not blocked that person.
fn may_be_added(view: &mut View, by: UserId, users: &[UserId]) -> Result<(), Stop> {
    let keys = users.iter().flat_map(|user| [rows::account(*user).key, rows::block(*user, by).key, rows::group_count(*user).key]);
    view.need(&keys.collect::<Vec<Key>>())?;
    for user in users {
        view.get(&rows::account(*user))?.ok_or(Reject::UnknownUser)?;
        if view.exists(&rows::block(*user, by))? && !planted!(AdderIsNotAskedAbout) {
            return Err(Reject::NotAllowed.into());
        }
    }
    has_room_for_a_group(view, users)
}

fn has_room_for_a_group(view: &mut View, users: &[UserId]) -> Result<(), Stop> {
    for user in users {
        if view.counter(&rows::group_count(*user))?.unwrap_or_default() >= limits::GROUPS_PER_USER.into() {
            return Err(Reject::TooManyGroups.into());
        }
    }
    Ok(())
}

/// Somebody who comes back and whose past is full: what all their devices have of it is forgotten.
fn past_with_room(view: &mut View, conversation: ConversationId, user: UserId) -> Result<Option<Event>, Stop> {
    let Some(mut past) = view.find(&rows::past_member(conversation, user))? else { return Ok(None) };
    if past.spans.len() < limits::SPANS_PER_MEMBER {
        return Ok(None);
    }
    let devices = devices_of_users(view, &[user])?;
    view.need(&devices.iter().map(|device| rows::cursor(*device, conversation).key).collect::<Vec<Key>>())?;
    let mut all_have = Seq(u64::MAX);
    for device in devices {
        all_have = all_have.min(view.find(&rows::cursor(device, conversation))?.map_or(Seq::START, |cursor| cursor.upto));
    }
    past.spans.retain(|span| span.left > all_have);
    if past.spans.len() >= limits::SPANS_PER_MEMBER {
        return Err(Reject::TooManyGroups.into());
    }
    Ok(Some(Event::PastMemberChanged { conversation, user, past }))
}

fn remove(view: &mut View, wish: &Wish, group: Group, user: UserId) -> Result<Decision, Stop> {
    if user == wish.from.user {
        return Err(Reject::Nonsense.into());
    }
    let conversation = wish.conversation;
    let Some(member) = view.get(&rows::member(conversation, user))? else { return Err(Reject::NoSuchMember.into()) };
    let mut events = ends(view, wish, user, member)?;
    let group = without(group, member);
    let told = tell_rest(view, conversation, &group, user)?;
    events.push(Event::GroupChanged { conversation, group });
    let sent = append(view, wish, asked_for(wish), &told, &mut events)?;
    Ok(Decision::of(events, sent))
}

/// Whoever leaves can do so. If the group is left without an admin by it, the longest-standing member becomes one.
fn leave(view: &mut View, wish: &Wish, group: Group, member: Member) -> Result<Decision, Stop> {
    let (conversation, user) = (wish.conversation, wish.from.user);
    let mut events = ends(view, wish, user, member)?;
    let mut group = without(group, member);
    let headless = group.admins == 0 && group.members > 0 && !planted!(NobodySucceeds);
    mark!(HeirIsNamed if headless);
    let heir = if headless { longest_standing(view, conversation, user)? } else { None };
    let told = tell_rest(view, conversation, &group, user)?;
    if heir.is_some() {
        group.admins = 1;
    }
    events.push(Event::GroupChanged { conversation, group: group.clone() });
    let sent = append(view, wish, asked_for(wish), &told, &mut events)?;
    if let Some((heir, member)) = heir {
        // Whoever has used that name before wanted to be refused.
        if view.exists(&rows::index(conversation, user, following(wish.id)))? {
            return Err(Reject::MessageIdReused.into());
        }
        events.push(Event::RoleChanged { conversation, user: heir, member: Member { admin: true, ..member } });
        let content = Change::RoleSet { user: heir, admin: true }.content();
        let told = match told {
            Told::All(devices) => Told::All(devices.into_iter().filter(|device| device.user != user).collect()),
            Told::Some(_) => Told::Some(vec![]),
        };
        append(view, wish, Entry { kind: Side::High, id: following(wish.id), content }, &told, &mut events)?;
    }
    Ok(Decision::of(events, sent))
}

/// The name of the entry that a leaving brings about besides its own.
///
/// It is the leaving message's with its last bit turned over, so no client gives it to another message but on purpose; who does so does
/// not leave.
fn following(id: MessageId) -> MessageId {
    let mut bytes = id.0;
    bytes[15] ^= 1;
    MessageId(bytes)
}

fn without(group: Group, member: Member) -> Group {
    Group { members: group.members - 1, admins: group.admins - u32::from(member.admin), epoch: group.epoch + 1, ..group }
}

/// Whom the end of somebody's membership is told, besides those who stay: it is the last that they see.
fn tell_rest(view: &mut View, conversation: ConversationId, group: &Group, gone: UserId) -> Result<Told, Stop> {
    // Those who stay stand in the view together with whoever goes.
    if group.members > limits::SYNCHRONOUS_FAN_OUT {
        return Ok(Told::Some(devices_of_users(view, &[gone])?));
    }
    let mut users = members_of(view, conversation, limits::SYNCHRONOUS_FAN_OUT + 1)?;
    users.retain(|user| !planted!(LeaverIsNotTold if *user == gone));
    Ok(Told::All(devices_of_users(view, &users)?))
}

/// The end of a membership.
fn ends(view: &mut View, wish: &Wish, user: UserId, member: Member) -> Result<Vec<Event>, Stop> {
    let conversation = wish.conversation;
    let (account, past) = (rows::account(user), rows::past_member(conversation, user));
    view.need(&[account.key, past.key, rows::sum_due(conversation).key])?;
    let device_epoch = view.find(&account)?.map_or(u32::MAX, |account| account.device_epoch);
    let left = next_position(view, conversation)?;
    let mut past = view.find(&past)?.unwrap_or_default();
    past.spans.push(Span { joined: member.joined, left, device_epoch });
    // Whoever has held the others up does so no more.
    let (marked, _) = reached::due(view, conversation)?;
    let gone = [Event::PastMemberChanged { conversation, user, past }, Event::MemberGone { conversation, user }];
    Ok(gone.into_iter().chain(marked).collect())
}

fn longest_standing(view: &mut View, conversation: ConversationId, but: UserId) -> Result<Option<(UserId, Member)>, Stop> {
    let members = members_of_page(view, conversation, None, limits::GROUP_MEMBERS)?;
    let members = members.into_iter().filter_map(|(user, member)| Some((user, member?)));
    let members = members.filter(|(user, _)| *user != but);
    Ok(members.min_by_key(|(user, member)| (if planted!(HeirById) { Seq::START } else { member.joined }, *user)))
}

fn set_role(view: &mut View, wish: &Wish, mut group: Group, user: UserId, admin: bool) -> Result<Decision, Stop> {
    let conversation = wish.conversation;
    let Some(member) = view.get(&rows::member(conversation, user))? else { return Err(Reject::NoSuchMember.into()) };
    group.admins = group.admins + u32::from(admin) - u32::from(member.admin);
    if group.admins == 0 && !planted!(LastAdminStepsDown) {
        return Err(Reject::LastAdmin.into());
    }
    let told = tell(view, conversation, group.members, &[])?;
    let mut events =
        vec![Event::RoleChanged { conversation, user, member: Member { admin, ..member } }, Event::GroupChanged { conversation, group }];
    let sent = append(view, wish, asked_for(wish), &told, &mut events)?;
    Ok(Decision::of(events, sent))
}

fn edit(view: &mut View, wish: &Wish, group: Group) -> Result<Decision, Stop> {
    let conversation = wish.conversation;
    let told = tell(view, conversation, group.members, &[])?;
    let mut events = vec![Event::GroupChanged { conversation, group }];
    let sent = append(view, wish, asked_for(wish), &told, &mut events)?;
    Ok(Decision::of(events, sent))
}
