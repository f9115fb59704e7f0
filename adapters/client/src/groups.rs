//! Groups: made, changed and asked about.

use doubletick_core::change::{Change, Settings};
use doubletick_core::client::{Answer, Ask};
use doubletick_core::id::{ConversationId, GroupId, MessageId, Phone, UserId};
use doubletick_core::limits;

use crate::client::{Client, RequestError};
use crate::model::Member;

impl Client {
    /// Makes a group of this user, who is its admin, and these others. As with [`Self::send`], it is stored when this returns and goes its way
    /// by itself; what becomes of it is told of the message that is returned.
    ///
    /// # Errors
    /// If the name is empty or too long, somebody is named twice or is this user, or the client has stopped.
    pub async fn create_group(&self, name: &str, others: &[UserId]) -> Result<(ConversationId, MessageId), RequestError> {
        if others.contains(&self.account().device.user) {
            return Err(RequestError::Senseless("you are a member of every group that you make"));
        }
        let group = ConversationId::Group(GroupId(self.new_id().0));
        let change = Change::Created { name: name.into(), members: others.to_vec(), settings: Settings::default() };
        Ok((group, self.change_group(group, change).await?))
    }

    /// Asks for a change of a group: it stands in the group's history as a message of this user's, if the server accepts it.
    ///
    /// # Errors
    /// If what it says is beyond the limits, the conversation is no group, or the client has stopped.
    pub async fn change_group(&self, group: ConversationId, change: Change) -> Result<MessageId, RequestError> {
        if group.pair().is_some() {
            return Err(RequestError::Senseless("that is no group"));
        }
        if !change.is_within_limits() {
            return Err(match change {
                Change::Created { name, .. } | Change::Renamed { name } if name.is_empty() || name.len() > limits::GROUP_NAME_BYTES => {
                    RequestError::GroupName
                }
                Change::Added { users } if users.is_empty() => RequestError::Senseless("it does not say whom"),
                Change::Created { .. } | Change::Added { .. } => RequestError::Senseless("somebody is named twice, or there are too many"),
                Change::Removed { .. }
                | Change::Left
                | Change::RoleSet { .. }
                | Change::Renamed { .. }
                | Change::AvatarSet { .. }
                | Change::SettingsSet { .. } => RequestError::Senseless("it is beyond the limits"),
            });
        }
        self.compose(group, change.content()).await
    }

    /// The members of a group, in the order of their ids. Asks the server.
    ///
    /// # Errors
    /// If the server refuses it, or the client stops.
    pub async fn members(&self, group: ConversationId) -> Result<Vec<Member>, RequestError> {
        let (mut found, mut after, mut begun) = (vec![], None, None);
        loop {
            let Answer::Roster { epoch, members, more, .. } = self.ask(Ask::Roster(group, after)).await? else { return Ok(vec![]) };
            if begun.replace(epoch).is_some_and(|begun| begun != epoch) {
                // Somebody has come or gone meanwhile: the pages before are of another roster.
                (found, after, begun) = (vec![], None, None);
                continue;
            }
            after = members.last().map(|last| last.user);
            for member in members {
                let mut person = self.person(member.user)?;
                person.phone = member.phone.or(person.phone);
                found.push(Member { person, admin: member.admin, delivered: member.delivered, read: member.read });
            }
            if !more {
                return Ok(found);
            }
        }
    }

    /// Who has these numbers, in their order. Where this device does not know them yet, the server is asked, which takes a connection.
    ///
    /// # Errors
    /// If nobody has one of them, the server refuses it, or the client stops.
    pub async fn users(&self, phones: &[Phone]) -> Result<Vec<UserId>, RequestError> {
        let mut unknown = vec![];
        for phone in phones {
            if self.user_of(phone)?.is_none() {
                unknown.push(phone.clone());
            }
        }
        let found = if unknown.is_empty() { vec![] } else { self.find(unknown).await? };
        let mut users = vec![];
        for phone in phones {
            let found = || found.iter().find(|card| card.phone == *phone).map(|card| card.user);
            users.push(self.user_of(phone)?.or_else(found).ok_or_else(|| RequestError::UnknownPhone(phone.clone()))?);
        }
        Ok(users)
    }
}
