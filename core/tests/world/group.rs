//! Groups in the stories.

use super::*;
use doubletick_core::change::{Change, Settings};
use doubletick_core::frame::RosterEntry;
use doubletick_core::id::GroupId;
use doubletick_core::rows::Group;

/// The group of the stories.
pub const GROUP: ConversationId = ConversationId::Group(GroupId(*b"\x01\x8f\0\0\0\0\x70\0\x80\0\0\0\0\0\0\x01"));

/// What is asked for by a message of this name.
pub fn change(from: DeviceId, name: &str, change: &Change) -> Command {
    Command::Send { from, conversation: GROUP, id: id_of(name), content: change.content(), roster: 0 }
}

/// A text into the group, made for its members as they were at some epoch.
pub fn say(from: DeviceId, text: &str, roster: u64) -> Command {
    let content = Content::shared(1, text.as_bytes()).unwrap();
    Command::Send { from, conversation: GROUP, id: id_of(text), content, roster }
}

pub fn created(members: &[DeviceId]) -> Change {
    created_with(members, Settings::default())
}

pub fn created_with(members: &[DeviceId], settings: Settings) -> Change {
    Change::Created { name: "friends".into(), members: members.iter().map(|device| device.user).collect(), settings }
}

pub fn added(users: &[DeviceId]) -> Change {
    Change::Added { users: users.iter().map(|device| device.user).collect() }
}

pub fn removed(user: DeviceId) -> Change {
    Change::Removed { user: user.user }
}

impl World {
    /// A group with these members is made by the first.
    pub fn group(&mut self, members: &[DeviceId]) {
        let (creator, others) = members.split_first().unwrap();
        self.change(*creator, "created", &created(others)).unwrap();
    }

    /// A change of the group; the position that it gets.
    pub fn change(&mut self, from: DeviceId, name: &str, wanted: &Change) -> Result<Seq, Reject> {
        self.position(change(from, name, wanted))
    }

    /// A text into the group as it is; the position that it gets.
    pub fn say(&mut self, from: DeviceId, text: &str) -> Result<Seq, Reject> {
        let roster = self.group_row().map_or(0, |group| group.epoch);
        self.position(say(from, text, roster))
    }

    fn position(&mut self, command: Command) -> Result<Seq, Reject> {
        match self.run(command)? {
            Reply::Sent { seq, .. } => Ok(seq),
            other => panic!("{other:?}"),
        }
    }

    pub fn group_row(&self) -> Option<Group> {
        self.row(&rows::group(GROUP))
    }

    /// What a device reads of the group from a position, or from its cursor, to the end of what it may see.
    pub fn read(&mut self, device: DeviceId, after: Option<u64>) -> Result<Vec<u64>, Reject> {
        let (mut seqs, mut after) = (vec![], after.map(Seq));
        loop {
            match self.run(Command::ReadLog { device, conversation: GROUP, after })? {
                Reply::Page { entries, head, after: from, .. } => {
                    after = Some(entries.last().map_or(from, |entry| entry.seq));
                    seqs.extend(entries.iter().map(|entry| entry.seq.0));
                    if after == Some(head) {
                        return Ok(seqs);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    pub fn has(&mut self, device: DeviceId, delivered: u64) -> Answer {
        let delivered = Seq(delivered);
        self.run(Command::Acknowledge { device, conversation: GROUP, delivered, read: Seq(0) })
    }

    pub fn shown(&mut self, device: DeviceId, read: u64) -> Answer {
        let read = Seq(read);
        self.run(Command::Acknowledge { device, conversation: GROUP, delivered: read, read })
    }

    /// Sums up the receipts of the group's members if that is due, as a gateway does; whom it tells.
    pub fn sum(&mut self) -> Option<Vec<UserId>> {
        let Ok(Reply::SumBegun { mark }) = self.run(Command::BeginSum { conversation: GROUP }) else { return None };
        let Ok(Reply::Summed { reached, tell }) = self.run(Command::Sum { conversation: GROUP }) else { panic!("it is a group") };
        let end = Command::EndSum { conversation: GROUP, reached, tell: tell.clone(), last: Some(mark) };
        assert_eq!(self.run(end), Ok(Reply::SumEnded { again: false }));
        Some(tell)
    }

    /// How far the others have got, as somebody who asks is told.
    pub fn others(&mut self, user: DeviceId) -> Option<(u64, u64)> {
        match self.run(Command::AskReceipts { user: user.user, conversations: vec![GROUP] }) {
            Ok(Reply::Receipts(told)) => told.first().map(|(_, delivered, read)| (delivered.0, read.0)),
            other => panic!("{other:?}"),
        }
    }

    /// Up to where the group is ahead of a device, if it is.
    pub fn behind(&mut self, device: DeviceId) -> Option<u64> {
        self.dirty(device).into_iter().find(|(conversation, _)| *conversation == GROUP).map(|(_, upto)| upto.0)
    }

    pub fn roster(&mut self, asker: DeviceId) -> Result<Vec<RosterEntry>, Reject> {
        let (mut all, mut after) = (vec![], None);
        loop {
            match self.run(Command::AskRoster { user: asker.user, conversation: GROUP, after })? {
                Reply::Roster { members, more, .. } => {
                    after = members.last().map(|member| member.user);
                    all.extend(members);
                    if !more {
                        return Ok(all);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Marks all devices that are to be marked; in how many transactions.
    pub fn fan_out(&mut self) -> u32 {
        for steps in 1..1000 {
            match self.run(Command::FanOut { conversation: GROUP }) {
                Ok(Reply::FannedOut { more: true }) => {}
                Ok(Reply::FannedOut { more: false }) => return steps,
                other => panic!("{other:?}"),
            }
        }
        panic!("it never ends");
    }
}
