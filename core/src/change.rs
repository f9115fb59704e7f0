//! Changes of a group. Each is asked for by a message into the group whose only body is of the kind [`KIND`], and once it was carried out
//! that message stands in the group's log: so a change has one place among the messages, and is sent, retried, delivered and kept as they are.

mod bytes;

use crate::content::{Body, Content, Parts};
use crate::id::UserId;
use crate::limits;
use alloc::string::String;
use alloc::vec::Vec;
use rkyv::{Archive, Deserialize, Serialize};

/// The kind of a body that is a change: the only one that the server reads.
pub const KIND: u32 = 100;

/// What happens to a group, once it is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The group begins. Its creator is its first member and an admin; the others are not.
    Created {
        /// What it is called.
        name: String,
        /// The members besides the creator.
        members: Vec<UserId>,
        /// Who may do what.
        settings: Settings,
    },
    /// These users are members from this position on. All of them, or none.
    Added {
        /// At least one, nobody twice.
        users: Vec<UserId>,
    },
    /// The user is no member any more; this is the last position that they see.
    Removed {
        /// Whom an admin has removed.
        user: UserId,
    },
    /// The sender is no member any more; this is the last position that they see.
    Left,
    /// The user is an admin from now on, or is none.
    RoleSet {
        /// Whose role.
        user: UserId,
        /// Whether they are one.
        admin: bool,
    },
    /// The group has another name.
    Renamed {
        /// The new one.
        name: String,
    },
    /// The group has another picture.
    AvatarSet {
        /// What the clients know the picture by, at most [`AVATAR_BYTES`]; empty for none.
        avatar: Vec<u8>,
    },
    /// Other people may do other things.
    SettingsSet {
        /// From now on.
        settings: Settings,
    },
}

/// Bytes by which clients know a picture: the reference to a blob and its key.
pub const AVATAR_BYTES: usize = 256;

/// Who may do what in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Settings {
    /// Only admins add members; else every member does.
    pub admins_add: bool,
    /// Only admins set name and avatar; else every member does.
    pub admins_edit: bool,
    /// Only admins write; else every member does.
    pub admins_post: bool,
    /// The most members that the group may have: 1 to [`limits::GROUP_MEMBERS`].
    pub limit: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { admins_add: false, admins_edit: false, admins_post: false, limit: limits::GROUP_MEMBERS }
    }
}

impl Change {
    /// The change that a content asks for, or that an entry tells of: `None` for a message of another kind.
    ///
    /// # Errors
    /// [`NotAChange`] if the body is of the kind and cannot be read, or the kind is that of a body for one device.
    pub fn of(content: &Content) -> Result<Option<Self>, NotAChange> {
        match content.parts() {
            Parts::Shared(body) => Self::of_body(body),
            Parts::PerDevice(bodies) if bodies.iter().any(|(_, body)| body.kind == KIND) => Err(NotAChange),
            Parts::PerDevice(_) => Ok(None),
        }
    }

    /// The change that a body tells of.
    ///
    /// # Errors
    /// [`NotAChange`] if the body is of the kind and cannot be read.
    pub fn of_body(body: &Body) -> Result<Option<Self>, NotAChange> {
        if body.kind != KIND {
            return Ok(None);
        }
        bytes::read(&body.bytes).filter(Self::is_within_limits).map(Some).ok_or(NotAChange)
    }

    /// The content that asks for it.
    ///
    /// # Panics
    /// If it passes a limit: names, members and avatar are to be checked where they come in.
    pub fn content(&self) -> Content {
        assert!(self.is_within_limits(), "a change within the limits: {self:?}");
        Content::shared(KIND, bytes::write(self)).expect("a change is smaller than a content may be")
    }

    /// Whether its names, numbers and lists are within the limits, and nobody is in them twice.
    pub fn is_within_limits(&self) -> bool {
        match self {
            Self::Created { name, members, settings } => {
                is_name(name) && members.len() < limits::GROUP_MEMBERS as usize && are_different(members) && settings.is_sound()
            }
            Self::Added { users } => !users.is_empty() && users.len() < limits::GROUP_MEMBERS as usize && are_different(users),
            Self::Renamed { name } => is_name(name),
            Self::AvatarSet { avatar } => avatar.len() <= AVATAR_BYTES,
            Self::SettingsSet { settings } => settings.is_sound(),
            Self::Removed { .. } | Self::Left | Self::RoleSet { .. } => true,
        }
    }

    /// Those who become members by it, but for the creator.
    pub fn added(&self) -> &[UserId] {
        match self {
            Self::Created { members: users, .. } | Self::Added { users } => users,
            Self::Removed { .. }
            | Self::Left
            | Self::RoleSet { .. }
            | Self::Renamed { .. }
            | Self::AvatarSet { .. }
            | Self::SettingsSet { .. } => &[],
        }
    }

    /// Whether somebody becomes a member by it, or ceases to be one.
    pub fn moves_members(&self) -> bool {
        matches!(self, Self::Created { .. } | Self::Added { .. } | Self::Removed { .. } | Self::Left)
    }
}

impl Settings {
    fn is_sound(&self) -> bool {
        (1..=limits::GROUP_MEMBERS).contains(&self.limit)
    }
}

fn is_name(name: &str) -> bool {
    (1..=limits::GROUP_NAME_BYTES).contains(&name.len())
}

fn are_different(users: &[UserId]) -> bool {
    let mut sorted = users.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).all(|two| two[0] != two[1])
}

/// A body that says that it is a change, and is none: it cannot be read, or passes a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAChange;
