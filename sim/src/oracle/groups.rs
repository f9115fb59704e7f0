//! Groups as their logs add up to them: who is a member from where to where, who is an admin, who may do what. As naive as can be.
//!
//! A log is folded as its rows are committed. What stands in it must have been allowed where it stands, and whatever else is said of a group
//! is held against what it has come to.

use super::Oracles;
use crate::store::Version;
use doubletick_core::change::{Change, Settings};
use doubletick_core::id::{ConversationId, DeviceId, Seq, UserId};
use doubletick_core::limits;
use doubletick_core::reject::Reject;
use std::collections::BTreeMap;

/// One group, up to the end of its log.
#[derive(Clone)]
pub(crate) struct Group {
    pub(super) name: String,
    pub(super) avatar: Vec<u8>,
    pub(super) settings: Settings,
    members: BTreeMap<UserId, Standing>,
    /// How often somebody has become a member or has ceased to be one, and how often a member's devices have changed.
    pub(super) epoch: u64,
    /// Everybody's times as a member, in their order.
    times: BTreeMap<UserId, Vec<Time>>,
    /// The last admin has left by this device: the next entry must name an heir.
    pub(super) headless: Option<DeviceId>,
    /// When the store was last told anything about it.
    pub(super) changed: Version,
}

/// A member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(super) admin: bool,
    /// The position at which they became one.
    pub(super) joined: Seq,
}

/// A time as a member.
#[derive(Clone, Copy)]
struct Time {
    joined: Seq,
    /// Where it ended, and when, in the world's time.
    left: Option<(Seq, u64)>,
}

impl Time {
    fn holds(&self, seq: Seq) -> bool {
        self.joined <= seq && self.left.is_none_or(|(left, _)| seq <= left)
    }
}

impl Group {
    fn begun(sender: UserId, name: String, members: &[UserId], settings: Settings) -> Self {
        let joined = Seq::START.next();
        let time = Time { joined, left: None };
        let everyone = members.iter().copied().chain([sender]);
        Self {
            name,
            avatar: vec![],
            settings,
            members: everyone.clone().map(|user| (user, Standing { admin: user == sender, joined })).collect(),
            epoch: 1,
            times: everyone.map(|user| (user, vec![time])).collect(),
            headless: None,
            changed: Version::default(),
        }
    }

    pub(crate) fn members(&self) -> impl ExactSizeIterator<Item = UserId> + '_ {
        self.members.keys().copied()
    }

    pub(crate) fn is_member(&self, user: UserId) -> bool {
        self.members.contains_key(&user)
    }

    /// Members after one, in the order of their ids.
    pub(super) fn members_after(&self, after: Option<UserId>) -> impl Iterator<Item = (UserId, Standing)> + '_ {
        let from = after.map_or(core::ops::Bound::Unbounded, core::ops::Bound::Excluded);
        self.members.range((from, core::ops::Bound::Unbounded)).map(|(user, standing)| (*user, *standing))
    }

    pub(super) fn standing(&self, user: UserId) -> Option<Standing> {
        self.members.get(&user).copied()
    }

    pub(super) fn admins(&self) -> usize {
        self.members.values().filter(|member| member.admin).count()
    }

    fn is_admin(&self, user: UserId) -> bool {
        self.members.get(&user).is_some_and(|member| member.admin)
    }

    /// Whether a user may do something that is restricted to admins, or not.
    fn may(&self, user: UserId, restricted: bool) -> bool {
        self.members.get(&user).is_some_and(|member| member.admin || !restricted)
    }

    /// Whether a change is for admins only.
    fn is_restricted(&self, change: Option<&Change>) -> bool {
        match change {
            None => self.settings.admins_post,
            Some(Change::Added { .. }) => self.settings.admins_add,
            Some(Change::Renamed { .. } | Change::AvatarSet { .. }) => self.settings.admins_edit,
            Some(Change::Removed { .. } | Change::RoleSet { .. } | Change::SettingsSet { .. }) => true,
            Some(Change::Created { .. } | Change::Left) => false,
        }
    }

    /// The next position after one at which a user sees something, or will.
    fn next_for(&self, user: UserId, after: Seq) -> Option<Seq> {
        let times = self.times.get(&user)?;
        let time = times.iter().find(|time| time.left.is_none_or(|(left, _)| left > after))?;
        Some(after.next().max(time.joined))
    }

    /// A message by somebody: says whom it is for, or what is wrong.
    fn message(&self, sender: UserId) -> Result<(), String> {
        if self.may(sender, self.settings.admins_post) { Ok(()) } else { Err(format!("{sender} may not write there")) }
    }

    /// A change by somebody is carried out at a position. Says whose membership or role it has changed.
    fn change(&mut self, seq: Seq, sender: DeviceId, change: &Change, now: u64) -> Result<Vec<UserId>, String> {
        let by = sender.user;
        if let Some(leaver) = self.headless.take() {
            return self.inherit(leaver, sender, change);
        }
        if !self.may(by, self.is_restricted(Some(change))) {
            return Err(format!("{by} may not do that: {change:?}"));
        }
        match change {
            Change::Created { .. } => Err("it is created twice".into()),
            Change::Added { users } => {
                if let Some(known) = users.iter().find(|user| self.is_member(**user)) {
                    return Err(format!("{known} is added, and is a member"));
                }
                let count = self.members.len() + users.len();
                if count > self.settings.limit.min(limits::GROUP_MEMBERS) as usize {
                    return Err(format!("it has {count} members, and its limit is {}", self.settings.limit));
                }
                for user in users {
                    self.members.insert(*user, Standing { admin: false, joined: seq });
                    self.times.entry(*user).or_default().push(Time { joined: seq, left: None });
                }
                self.epoch += 1;
                Ok(users.clone())
            }
            Change::Removed { user } if *user == by => Err(format!("{by} has removed themselves")),
            Change::Removed { user } => self.ends(*user, seq, now),
            Change::Left => {
                let moved = self.ends(by, seq, now)?;
                self.headless = Some(sender).filter(|_| self.admins() == 0 && !self.members.is_empty());
                Ok(moved)
            }
            Change::RoleSet { user, admin } => {
                let member = self.members.get_mut(user).ok_or_else(|| format!("{user} is given a role, and is no member"))?;
                member.admin = *admin;
                if self.admins() == 0 { Err("it is left without an admin".into()) } else { Ok(vec![*user]) }
            }
            Change::Renamed { name } => {
                self.name.clone_from(name);
                Ok(vec![])
            }
            Change::AvatarSet { avatar } => {
                self.avatar.clone_from(avatar);
                Ok(vec![])
            }
            Change::SettingsSet { settings } => {
                self.settings = *settings;
                Ok(vec![])
            }
        }
    }

    /// The entry that follows the leaving of the last admin: one of those who have been members for longest becomes one.
    fn inherit(&mut self, leaver: DeviceId, sender: DeviceId, change: &Change) -> Result<Vec<UserId>, String> {
        let longest = self.members.values().map(|member| member.joined).min();
        let Change::RoleSet { user, admin: true } = change else { return Err("it is left without an admin".into()) };
        let heir = self.members.get_mut(user).filter(|heir| Some(heir.joined) == longest && sender == leaver);
        heir.ok_or_else(|| format!("{user} is not the longest-standing member, and becomes its admin"))?.admin = true;
        Ok(vec![*user])
    }

    fn ends(&mut self, user: UserId, seq: Seq, now: u64) -> Result<Vec<UserId>, String> {
        self.members.remove(&user).ok_or_else(|| format!("{user} ceases to be a member, and was none"))?;
        if let Some(time) = self.times.get_mut(&user).and_then(|times| times.last_mut()) {
            time.left = Some((seq, now));
        }
        self.epoch += 1;
        Ok(vec![user])
    }

    /// Whether a refusal of what somebody wants of the group, as it is, is right.
    pub(super) fn refuses(&self, by: UserId, change: Option<&Change>, roster: u64, reject: Reject) -> bool {
        let added = change.map_or(&[][..], Change::added);
        let about = match change {
            Some(Change::Removed { user } | Change::RoleSet { user, .. }) => Some(*user),
            _ => None,
        };
        match reject {
            Reject::NotMember => !self.is_member(by),
            Reject::NotAdmin => self.is_member(by) && !self.may(by, self.is_restricted(change)),
            Reject::StaleRoster { epoch } => change.is_none() && epoch == self.epoch && roster != epoch,
            Reject::GroupFull { limit } => limit == self.settings.limit && self.members.len() + added.len() > limit as usize,
            Reject::AlreadyMember => added.iter().any(|user| self.is_member(*user)),
            Reject::NoSuchMember => about.is_some_and(|user| !self.is_member(user)),
            Reject::LastAdmin => about.is_some_and(|user| self.is_admin(user)) && self.admins() == 1,
            Reject::Nonsense => about == Some(by),
            Reject::GroupExists => matches!(change, Some(Change::Created { .. })),
            Reject::TooManyGroups => added.iter().any(|user| {
                self.times
                    .get(user)
                    .is_some_and(|times| times.iter().filter(|time| time.left.is_some()).count() >= limits::SPANS_PER_MEMBER)
            }),
            Reject::OutOfTurn
            | Reject::BadToken
            | Reject::TokenExpired
            | Reject::DeviceRemoved
            | Reject::UnknownUser
            | Reject::UnknownHandle
            | Reject::MessageIdReused
            | Reject::BadContent
            | Reject::BeyondHead { .. }
            | Reject::TooMany { .. }
            | Reject::TooManyDevices
            | Reject::ListFull
            | Reject::WrongCode
            | Reject::CodeVoid
            | Reject::Unavailable
            | Reject::Superseded
            | Reject::Damaged
            | Reject::NotAllowed => false,
        }
    }
}

/// What an entry has done to a group.
pub(super) struct Folded {
    /// The roster epoch before it.
    pub(super) epoch: u64,
    /// Whose membership or role it has changed.
    pub(super) moved: Vec<UserId>,
}

impl Oracles {
    pub(crate) fn group(&self, conversation: ConversationId) -> Option<&Group> {
        self.groups.get(&conversation)
    }

    pub(crate) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// An entry of a group's log, as it is committed.
    pub(super) fn fold(
        &mut self,
        conversation: ConversationId,
        seq: Seq,
        sender: DeviceId,
        change: Option<&Change>,
        now: u64,
    ) -> Result<Folded, String> {
        let Some(group) = self.groups.get_mut(&conversation) else {
            let Some(Change::Created { name, members, settings }) = change else {
                return Err("it does not begin with its creation".into());
            };
            let group = Group::begun(sender.user, name.clone(), members, *settings);
            let (moved, count) = (group.members().collect(), group.members.len());
            self.groups.insert(conversation, group);
            let right = seq == Seq::START.next() && count == members.len() + 1 && count <= settings.limit as usize;
            return if right { Ok(Folded { epoch: 0, moved }) } else { Err(format!("it is created with {count} members")) };
        };
        let epoch = group.epoch;
        let moved = match change {
            None if group.headless.is_some() => return Err("it is left without an admin".into()),
            None => group.message(sender.user).map(|()| vec![]),
            Some(change) => group.change(seq, sender, change, now),
        };
        moved.map(|moved| Folded { epoch, moved })
    }

    /// The next position after one at which a user sees something, or will, if there is one.
    pub(super) fn next_for(&self, conversation: ConversationId, user: UserId, after: Seq) -> Option<Seq> {
        match conversation {
            ConversationId::Direct(_) => Some(after.next()),
            ConversationId::Group(_) => self.groups.get(&conversation)?.next_for(user, after),
        }
    }

    /// The last position up to which there is nothing for a user after one.
    pub(super) fn reach(&self, conversation: ConversationId, user: UserId, from: Seq) -> Seq {
        self.next_for(conversation, user, from).map_or(Seq(u64::MAX), |next| Seq(next.0 - 1))
    }

    /// Whether a device may have what stands at a position. It has nothing to do with times that had ended when it was linked.
    pub(super) fn is_within(&self, conversation: ConversationId, device: DeviceId, seq: Seq) -> bool {
        if conversation.pair().is_some() {
            return conversation.may_include(device.user);
        }
        let times = self.groups.get(&conversation).and_then(|group| group.times.get(&device.user));
        let time = times.and_then(|times| times.iter().find(|time| time.holds(seq)));
        let linked = self.linked.get(&device).copied().unwrap_or(u64::MAX);
        time.is_some_and(|time| time.left.is_none_or(|(_, at)| linked <= at))
    }

    /// Whether somebody takes part in a conversation, or did.
    pub(super) fn took_part(&self, conversation: ConversationId, user: UserId) -> bool {
        match conversation {
            ConversationId::Direct(_) => conversation.may_include(user),
            ConversationId::Group(_) => self.groups.get(&conversation).is_some_and(|group| group.times.contains_key(&user)),
        }
    }

    /// The runs of positions that are for a user, up to the end of the log: first and last.
    pub(super) fn times_of(&self, conversation: ConversationId, user: UserId) -> Vec<(Seq, Seq)> {
        let head = self.model.head(conversation);
        match conversation {
            ConversationId::Direct(_) if conversation.may_include(user) => vec![(Seq::START.next(), head)],
            ConversationId::Direct(_) => vec![],
            ConversationId::Group(_) => {
                let times = self.groups.get(&conversation).and_then(|group| group.times.get(&user));
                times.into_iter().flatten().map(|time| (time.joined, time.left.map_or(head, |(left, _)| left))).collect()
            }
        }
    }

    /// The position at which a user's membership began that held at a position.
    pub(super) fn joined_at(&self, conversation: ConversationId, user: UserId, seq: Seq) -> Option<Seq> {
        let times = self.groups.get(&conversation)?.times.get(&user)?;
        // Who leaves at a position sees it, and is no member from there on.
        let time = times.iter().rev().find(|time| time.joined <= seq)?;
        time.left.is_none_or(|(left, _)| seq < left).then_some(time.joined)
    }
}
