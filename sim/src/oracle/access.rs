//! VISIBILITY of people: who may write to whom, and who may see whose presence.
//!
//! What people asked for, and were told was done, is followed in the order of commits. From that follows what everybody may do and see; the
//! rows of lists and accounts are not looked at.

use super::{Oracle, Oracles};
use crate::store::Version;
use doubletick_core::change::Change;
use doubletick_core::command::{Command, Reply};
use doubletick_core::frame::{Presence, Privacy, UserList};
use doubletick_core::id::{ConversationId, MessageId, UserId};
use doubletick_core::transact::{Batch, Outcome};
use std::collections::{BTreeMap, BTreeSet};

/// What people have said of each other.
#[derive(Clone, Default)]
pub(super) struct Access {
    /// Who has blocked whom.
    blocks: BTreeSet<(UserId, UserId)>,
    /// Who has whom as a contact.
    contacts: BTreeSet<(UserId, UserId)>,
    /// The presence of those who have not said anything is for their contacts.
    privacy: BTreeMap<UserId, Privacy>,
    /// When each user last said something of this kind.
    changed: BTreeMap<UserId, Version>,
}

/// Whether users could see others before a transaction that may have changed that: owner, asker.
pub(super) type SawBefore = BTreeMap<(UserId, UserId), bool>;

impl Access {
    fn blocked(&self, one: UserId, other: UserId) -> bool {
        self.blocks.contains(&(one, other)) || self.blocks.contains(&(other, one))
    }

    /// Whether somebody may see a user's presence.
    pub(super) fn may_see(&self, owner: UserId, asker: UserId) -> bool {
        let shown = match self.privacy.get(&owner).copied().unwrap_or(Privacy::Contacts) {
            Privacy::Everyone => true,
            Privacy::Contacts => self.contacts.contains(&(owner, asker)),
            Privacy::Nobody => false,
        };
        owner == asker || (shown && !self.blocked(owner, asker))
    }

    /// Whether what two users may see of each other is the same as at a version.
    fn is_as_at(&self, version: Version, users: [UserId; 2]) -> bool {
        users.iter().all(|user| self.changed.get(user).is_none_or(|changed| *changed <= version))
    }

    fn list(&mut self, list: UserList, owner: UserId, user: UserId, listed: bool) {
        let list = match list {
            UserList::Contacts => &mut self.contacts,
            UserList::Blocked => &mut self.blocks,
        };
        if listed {
            list.insert((owner, user))
        } else {
            list.remove(&(owner, user))
        };
    }
}

impl Oracles {
    /// A transaction is about to be there for all to see, as the commit of this version: its commands, one after the other.
    pub(super) fn decided(&mut self, batch: &Batch, outcome: &Outcome, version: Version) -> SawBefore {
        let mut saw = SawBefore::new();
        let mut sent = BTreeSet::new();
        for (command, reply) in batch.commands.iter().zip(&outcome.replies) {
            match (inner(command), reply) {
                (Command::SetListed { owner, list, user, listed }, Ok(Reply::Done)) => {
                    for (owner, asker) in [(*owner, *user), (*user, *owner)] {
                        saw.entry((owner, asker)).or_insert_with(|| self.access.may_see(owner, asker));
                    }
                    self.access.list(*list, *owner, *user, *listed);
                    self.access.changed.insert(*owner, version);
                }
                (Command::SetPrivacy { user, privacy }, Ok(Reply::Done)) => {
                    for asker in self.watchers_of(*user) {
                        saw.entry((*user, asker)).or_insert_with(|| self.access.may_see(*user, asker));
                    }
                    self.access.privacy.insert(*user, *privacy);
                    self.access.changed.insert(*user, version);
                }
                (Command::Send { from, conversation, id, content, .. }, Ok(Reply::Sent { .. })) if sent.insert(*id) && self.is_new(*id) => {
                    if let Some(peer) = conversation.peer(from.user) {
                        let blocked = self.access.blocked(from.user, peer);
                        self.compare(Oracle::Visibility, !blocked, || {
                            format!("{id} of {from} was taken, and one of {} and {peer} has blocked the other", from.user)
                        });
                    }
                    if let (ConversationId::Group(_), Ok(Some(change))) = (conversation, Change::of(content)) {
                        let blocked = change.added().iter().find(|user| self.access.blocks.contains(&(**user, from.user)));
                        self.compare(Oracle::GroupRules, blocked.is_none(), || {
                            format!("{from} has made {blocked:?} a member of {conversation}, who has blocked them")
                        });
                    }
                }
                _ => {}
            }
        }
        saw
    }

    /// A transaction has its answer, from the state at a version: what it says of presences.
    pub(super) fn presence_answered(&mut self, version: Version, batch: &Batch, outcome: &Outcome) {
        // What a batch changes of this itself, its later commands see.
        let changes = |command| matches!(inner(command), Command::SetListed { .. } | Command::SetPrivacy { .. });
        if batch.commands.iter().any(changes) {
            return;
        }
        for (command, reply) in batch.commands.iter().zip(&outcome.replies) {
            let (Command::Watch { device, user, .. }, Ok(Reply::Presence(presence))) = (inner(command), reply) else { continue };
            if self.access.is_as_at(version, [device.user, *user]) {
                self.rightly_shown(*user, device.user, *presence, "the store answers");
            }
        }
    }

    /// A presence is shown to those who may see it, and to no others.
    pub(super) fn rightly_shown(&mut self, owner: UserId, asker: UserId, presence: Presence, where_from: &str) {
        let (hidden, may_see) = (presence == Presence::Hidden, self.access.may_see(owner, asker));
        self.compare(Oracle::Visibility, hidden != may_see, || {
            format!("{where_from} {asker} that {owner} is {presence:?}; that {asker} may see it: {may_see}")
        });
    }

    /// Whether somebody may see a user's presence, as things are.
    pub(crate) fn may_see(&self, owner: UserId, asker: UserId) -> bool {
        self.access.may_see(owner, asker)
    }

    /// Whether a message stands nowhere yet.
    fn is_new(&self, id: MessageId) -> bool {
        self.by_id.get(&id).is_some_and(|nth| self.messages[*nth as usize].seq.is_none())
    }
}

/// What is asked for, in a session or not.
pub(super) fn inner(command: &Command) -> &Command {
    if let Command::InSession { command, .. } = command { command } else { command }
}
