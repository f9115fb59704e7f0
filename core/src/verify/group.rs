//! A group as its log adds up to it: who is a member, who is an admin, what it is called. Every row about members must say the same.

use super::Fault;
use crate::change::{Change, Settings};
use crate::content::Body;
use crate::id::{Seq, UserId};
use crate::limits;
use crate::rows::{Counter, Group, Lowest, Member, PastMember, Reached, Receipt, StoredContent};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// A group up to some position of its log.
#[derive(Default)]
pub(super) struct Fold {
    /// Whether its beginning was read.
    begun: bool,
    name: String,
    avatar: Vec<u8>,
    settings: Settings,
    members: BTreeMap<UserId, Standing>,
    /// First and last position of each membership that has ended.
    past: BTreeMap<UserId, Vec<(Seq, Seq)>>,
    /// The last message of each user.
    sent: BTreeMap<UserId, Seq>,
    /// Changes of the members so far: the roster epoch is no less.
    moves: u64,
    /// The last entry has left the group without an admin: the next one must make one.
    headless: bool,
}

#[derive(Clone, Copy)]
struct Standing {
    admin: bool,
    joined: Seq,
}

impl Fold {
    /// Takes in an entry of the log; says whether it is a change.
    pub(super) fn entry(&mut self, seq: Seq, sender: UserId, content: &StoredContent) -> Result<bool, Fault> {
        let Some(change) = change(content)? else {
            let admin = self.admin(sender)?;
            if self.headless || (self.settings.admins_post && !admin) {
                return Err(Fault::NotAllowed { sender });
            }
            self.sent.insert(sender, seq);
            return Ok(false);
        };
        self.change(seq, sender, change)?;
        let admins = self.members.values().filter(|member| member.admin).count();
        if admins == 0 && !self.members.is_empty() {
            // The heir is named by the entry that follows.
            if self.headless {
                return Err(Fault::Headless);
            }
            self.headless = true;
        } else {
            self.headless = false;
        }
        if self.members.len() > limits::GROUP_MEMBERS as usize {
            return Err(Fault::TooManyMembers);
        }
        Ok(true)
    }

    fn admin(&self, user: UserId) -> Result<bool, Fault> {
        self.members.get(&user).map(|member| member.admin).ok_or(Fault::Stranger { sender: user })
    }

    fn change(&mut self, seq: Seq, sender: UserId, change: Change) -> Result<(), Fault> {
        if let Change::Created { name, members, settings } = change {
            if core::mem::replace(&mut self.begun, true) {
                return Err(Fault::NotAllowed { sender });
            }
            (self.name, self.settings, self.moves) = (name, settings, 1);
            self.members.extend(members.into_iter().map(|user| (user, Standing { admin: false, joined: seq })));
            self.members.insert(sender, Standing { admin: true, joined: seq });
            return self.within_limit();
        }
        let (Settings { admins_add, admins_edit, .. }, moves) = (self.settings, change.moves_members());
        // The entry that names an heir is written for whoever has just left.
        let names_heir = self.headless && matches!(change, Change::RoleSet { admin: true, .. });
        let allowed = names_heir || {
            let admin = self.admin(sender)?;
            match change {
                Change::Added { .. } => admin || !admins_add,
                Change::Renamed { .. } | Change::AvatarSet { .. } => admin || !admins_edit,
                Change::Removed { .. } | Change::RoleSet { .. } | Change::SettingsSet { .. } => admin,
                Change::Created { .. } | Change::Left => true,
            }
        };
        if !allowed || (self.headless && !names_heir) {
            return Err(Fault::NotAllowed { sender });
        }
        self.moves += u64::from(moves);
        match change {
            Change::Created { .. } => {}
            Change::Added { users } => {
                for user in users {
                    if self.members.insert(user, Standing { admin: false, joined: seq }).is_some() {
                        return Err(Fault::NotAllowed { sender });
                    }
                }
                self.within_limit()?;
            }
            Change::Removed { user } => self.ends(user, seq)?,
            Change::Left => self.ends(sender, seq)?,
            Change::RoleSet { user, admin } => {
                self.members.get_mut(&user).ok_or(Fault::Stranger { sender: user })?.admin = admin;
            }
            Change::Renamed { name } => self.name = name,
            Change::AvatarSet { avatar } => self.avatar = avatar,
            Change::SettingsSet { settings } => self.settings = settings,
        }
        Ok(())
    }

    fn within_limit(&self) -> Result<(), Fault> {
        if self.members.len() > self.settings.limit as usize { Err(Fault::TooManyMembers) } else { Ok(()) }
    }

    fn ends(&mut self, user: UserId, left: Seq) -> Result<(), Fault> {
        let member = self.members.remove(&user).ok_or(Fault::Stranger { sender: user })?;
        self.past.entry(user).or_default().push((member.joined, left));
        Ok(())
    }

    /// The row of the group must say what the log does.
    pub(super) fn check(&self, row: &Group) -> Result<(), Fault> {
        let Group { name, avatar, settings, members, admins, epoch } = row;
        let counted = self.members.values().filter(|member| member.admin).count();
        let same = (name, avatar, settings) == (&self.name, &self.avatar, &self.settings);
        let same = same && (*members as usize, *admins as usize) == (self.members.len(), counted) && *epoch >= self.moves;
        if same { Ok(()) } else { Err(Fault::GroupDiffers) }
    }

    pub(super) fn check_member(&self, user: UserId, row: &Member) -> Result<(), Fault> {
        let standing = self.members.get(&user).ok_or(Fault::NotMember)?;
        if (standing.admin, standing.joined) == (row.admin, row.joined) { Ok(()) } else { Err(Fault::GroupDiffers) }
    }

    /// What all devices of a user have of their past may be forgotten, so the row may lack some of it.
    pub(super) fn check_past(&self, user: UserId, row: &PastMember) -> Result<(), Fault> {
        let past = self.past.get(&user).map_or(&[][..], Vec::as_slice);
        let sorted = row.spans.is_sorted_by_key(|span| span.joined);
        let known = row.spans.iter().all(|span| past.contains(&(span.joined, span.left)));
        if sorted && known { Ok(()) } else { Err(Fault::GroupDiffers) }
    }

    pub(super) fn check_sent(&self, user: UserId, row: Counter) -> Result<(), Fault> {
        if self.sent.get(&user) == Some(&Seq(row.0)) { Ok(()) } else { Err(Fault::GroupDiffers) }
    }

    /// What is said of all members must be true of each.
    pub(super) fn check_reached(&self, row: &Reached, receipts: &BTreeMap<UserId, Receipt>) -> Result<(), Fault> {
        for (user, standing) in &self.members {
            let Receipt { delivered, read } = receipts.get(user).copied().unwrap_or_default();
            // What stands before somebody's beginning is not missing to them.
            let before = Seq(standing.joined.0.saturating_sub(1));
            let said = |lowest: &Lowest| if lowest.behind == *user { lowest.all } else { lowest.others };
            if said(&row.delivered) > delivered.max(before) || said(&row.read) > read.max(before) {
                return Err(Fault::NotReached { user: *user });
            }
        }
        Ok(())
    }

    /// Whether the log begins with the group and ends with an admin, if with any member.
    pub(super) fn is_whole(&self) -> bool {
        self.begun && !self.headless
    }

    /// Its members.
    pub(super) fn members(&self) -> impl Iterator<Item = UserId> + '_ {
        self.members.keys().copied()
    }

    /// Everybody who was ever a member.
    pub(super) fn ever(&self, user: UserId) -> bool {
        self.members.contains_key(&user) || self.past.contains_key(&user)
    }

    /// The position at which the user's present membership has begun.
    pub(super) fn joined(&self, user: UserId) -> Option<Seq> {
        self.members.get(&user).map(|member| member.joined)
    }
}

fn change(content: &StoredContent) -> Result<Option<Change>, Fault> {
    match content {
        StoredContent::Shared(body) => Change::of_body(&Body::from(body.clone())).map_err(|_| Fault::NotAChange),
        StoredContent::PerDevice(_) => Ok(None),
    }
}
