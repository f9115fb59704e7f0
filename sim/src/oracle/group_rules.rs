//! GROUP_RULES: what a group's log and its rows say, and whom an entry is for; and what is refused.

use super::{Oracle, Oracles};
use crate::store::{Store, Version};
use doubletick_core::change::Change;
use doubletick_core::command::{Command, Reply};
use doubletick_core::content::Content;
use doubletick_core::frame::RosterEntry;
use doubletick_core::id::{ConversationId, DeviceId, MessageId, Seq, UserId};
use doubletick_core::limits;
use doubletick_core::reject::Reject;
use doubletick_core::rows::{self, Cursor, Group, Member, Row};
use doubletick_core::store::counter;
use doubletick_core::transact::{Batch, Outcome};
use std::collections::BTreeSet;

/// What one commit has done to groups, gathered while its rows are gone through.
#[derive(Clone, Default)]
pub(super) struct Changes {
    entries: Vec<Entry>,
    /// Those whose membership or role has changed.
    moved: BTreeSet<(ConversationId, UserId)>,
    /// Groups of which anything was written.
    groups: BTreeSet<ConversationId>,
    /// Users of whom a device was linked or removed, each as often as that.
    devices: Vec<UserId>,
}

/// An entry of a group's log.
#[derive(Clone)]
struct Entry {
    conversation: ConversationId,
    seq: Seq,
    sender: DeviceId,
    /// The roster epoch for which a message was made, and that of the group before it.
    epochs: Option<(u64, u64)>,
    /// Those who are told in the same transaction.
    told: Vec<UserId>,
    /// A job is to tell the others.
    by_job: bool,
}

/// What one batch has done so far.
#[derive(Default)]
struct Done {
    /// Groups that are not as they were.
    changed: BTreeSet<ConversationId>,
    /// Somebody's devices are not.
    devices: bool,
    /// Devices of whose messages one was refused for the moment.
    held: Vec<DeviceId>,
}

impl Oracles {
    /// An entry of a group was committed.
    pub(super) fn group_entry(
        &mut self,
        conversation: ConversationId,
        seq: Seq,
        sender: DeviceId,
        id: MessageId,
        content: &Content,
        now: u64,
    ) {
        let Ok(change) = Change::of(content) else {
            return self.compare(Oracle::GroupRules, false, || format!("{seq} of {conversation} says that it is a change, and is none"));
        };
        let folded = self.fold(conversation, seq, sender, change.as_ref(), now);
        self.compare(Oracle::GroupRules, folded.is_ok(), || {
            format!("{seq} of {conversation}: {}", folded.as_ref().err().map_or("", String::as_str))
        });
        let (Ok(folded), Some(group)) = (folded, self.groups.get(&conversation)) else { return };
        let by_job = group.members().len() > limits::SYNCHRONOUS_FAN_OUT as usize;
        let gone = folded.moved.iter().copied().filter(|user| !group.is_member(*user));
        let told = if by_job { gone.collect() } else { group.members().chain(gone).collect() };
        let roster = self.rosters.remove(&(conversation, id));
        let epochs = roster.filter(|_| change.is_none()).map(|roster| (roster, folded.epoch));
        self.changes.groups.insert(conversation);
        self.changes.moved.extend(folded.moved.into_iter().map(|user| (conversation, user)));
        self.changes.entries.push(Entry { conversation, seq, sender, epochs, told, by_job });
    }

    /// A row of a group was written: who is a member, or what the group is.
    pub(super) fn group_row(&mut self, conversation: ConversationId, user: Option<UserId>) {
        self.changes.groups.insert(conversation);
        self.changes.moved.extend(user.map(|user| (conversation, user)));
    }

    /// A device was linked, or is linked no more.
    pub(super) fn device_row(&mut self, device: DeviceId, there: bool, now: u64) {
        let known = self.linked.contains_key(&device);
        self.linked.entry(device).or_insert(now);
        if !(there && known) {
            self.changes.devices.push(device.user);
        }
    }

    /// Everything that a commit has written about groups is known.
    pub(super) fn judge_groups(&mut self, store: &Store) {
        self.rosters.clear();
        if self.changes.groups.is_empty() && self.changes.devices.is_empty() {
            return;
        }
        let changes = core::mem::take(&mut self.changes);
        let mut groups = changes.groups;
        let users: BTreeSet<UserId> = changes.devices.iter().copied().collect();
        if !users.is_empty() {
            groups.extend(self.groups.iter().filter(|(_, group)| users.iter().any(|user| group.is_member(*user))).map(|(id, _)| *id));
        }
        for conversation in groups {
            // Of somebody who has come or gone in the same transaction it is not known from outside whether that was before or after.
            let of = |user: &UserId| self.groups.get(&conversation).is_some_and(|group| group.is_member(*user));
            let moved = |user: &UserId| changes.moved.contains(&(conversation, *user));
            let sure = changes.devices.iter().filter(|user| of(user) && !moved(user)).count() as u64;
            let unsure = changes.devices.iter().filter(|user| moved(user)).count() as u64;
            for entry in changes.entries.iter().filter(|entry| entry.conversation == conversation) {
                if let Some((made_for, epoch)) = entry.epochs {
                    let seq = entry.seq;
                    self.compare(Oracle::GroupRules, (epoch..=epoch + sure + unsure).contains(&made_for), || {
                        format!("{seq} of {conversation} was made for roster {made_for}, and accepted into {epoch}")
                    });
                }
            }
            self.true_group(store, conversation, sure, unsure);
        }
        for (conversation, user) in changes.moved {
            self.true_member(store, conversation, user);
        }
        for entry in changes.entries {
            self.told_at_once(store, &entry);
        }
    }

    /// The row of a group says what its log does, and no log ends without an admin.
    fn true_group(&mut self, store: &Store, conversation: ConversationId, sure: u64, unsure: u64) {
        let row = store.latest(&rows::group(conversation).key).and_then(|value| Group::decode(value).ok());
        let Some(group) = self.groups.get_mut(&conversation) else {
            return self.compare(Oracle::GroupRules, row.is_none(), || format!("{conversation} is a group, and nobody made it"));
        };
        let least = group.epoch + sure;
        let right = row.as_ref().is_some_and(|row| {
            let says = (&row.name, &row.avatar, row.settings) == (&group.name, &group.avatar, group.settings);
            let counts = (row.members as usize, row.admins as usize) == (group.members().len(), group.admins());
            says && counts && (least..=least + unsure).contains(&row.epoch)
        });
        group.epoch = row.as_ref().map_or(least, |row| row.epoch);
        group.changed = store.version();
        let (headless, members, admins) = (group.headless.is_some(), group.members().len(), group.admins());
        self.compare(Oracle::GroupRules, right, || {
            format!("the row of {conversation} is {row:?}: by its log it has {members} members, {admins} admins and epoch {least} or up to {unsure} more")
        });
        self.compare(Oracle::GroupRules, !headless, || format!("{conversation} is left without an admin"));
    }

    /// A user is in the group's rows and has it in their list, or neither.
    fn true_member(&mut self, store: &Store, conversation: ConversationId, user: UserId) {
        let row = store.latest(&rows::member(conversation, user).key).and_then(|value| Member::decode(value).ok());
        let listed = store.latest(&rows::chat(user, conversation).key).is_some();
        let standing = self.groups.get(&conversation).and_then(|group| group.standing(user));
        let stored = row.map(|row| (row.admin, row.joined));
        let right = stored == standing.map(|standing| (standing.admin, standing.joined)) && listed == standing.is_some();
        self.compare(Oracle::GroupRules, right, || {
            format!("{user} is stored as {row:?} of {conversation}, which is in their list: {listed}; by its log as {standing:?}")
        });
    }

    /// An entry has marked every device of those whom it is for in its own transaction, or a job will.
    fn told_at_once(&mut self, store: &Store, entry: &Entry) {
        let Entry { conversation, seq, sender, .. } = *entry;
        let mark = |device: DeviceId| store.latest(&rows::dirty(device, conversation).key).and_then(counter).unwrap_or_default();
        // What it sent itself a device has; but who leaves must get what no job has marked it for yet.
        let told = |device: &DeviceId| (*device == sender && !entry.by_job) || mark(*device) >= seq.0;
        let missed = entry.told.iter().flat_map(|user| self.linked_to(*user)).find(|device| !told(device));
        self.compare(Oracle::GroupRules, missed.is_none(), || {
            format!("{seq} of {conversation} is for {missed:?}, which is not marked for it")
        });
        if entry.by_job {
            let due = store.latest(&rows::fan_out_due(conversation).key).and_then(counter).unwrap_or_default();
            self.compare(Oracle::GroupRules, due >= seq.0, || format!("no job tells of {seq} of {conversation}"));
        }
    }

    /// A device is marked for something of a group: that must be for it.
    pub(super) fn marked(&mut self, device: DeviceId, conversation: ConversationId, value: &[u8]) {
        let upto = Seq(counter(value).unwrap_or(u64::MAX));
        let right = self.is_within(conversation, device, upto);
        self.compare(Oracle::Visibility, right, || format!("{device} is marked for {upto} of {conversation}, which is not for it"));
    }

    /// A job is to mark devices up to a position, or is done.
    pub(super) fn job_moved(&mut self, store: &Store, conversation: ConversationId, value: Option<&[u8]>) {
        if let Some(upto) = value.and_then(counter) {
            self.due.insert(conversation, Seq(upto));
            return;
        }
        let Some(upto) = self.due.remove(&conversation) else { return };
        let Some(group) = self.groups.get(&conversation) else { return };
        let users = group.members_after(None).filter(|(_, standing)| standing.joined <= upto);
        let devices = users.flat_map(|(user, _)| self.linked_to(user));
        let mut compared = 0;
        let mut missed = None;
        for device in devices {
            compared += 1;
            let mark = store.latest(&rows::dirty(device, conversation).key).and_then(counter).unwrap_or_default();
            let cursor = || store.latest(&rows::cursor(device, conversation).key).and_then(|value| Cursor::decode(value).ok());
            if mark < upto.0 && cursor().is_none_or(|cursor| cursor.upto < upto) {
                missed = Some(device);
                break;
            }
        }
        self.counts[Oracle::AtLeastOnce as usize] += compared;
        self.compare(Oracle::AtLeastOnce, missed.is_none(), || {
            format!("the job of {conversation} is done up to {upto}, and {missed:?} neither has it nor is marked for it")
        });
    }

    /// Groups whose job waits.
    pub(super) fn jobs(&self) -> impl Iterator<Item = ConversationId> + '_ {
        self.due.keys().copied()
    }

    /// A transaction has its answer, from the state at a version; its writes follow. Where that is the state in which the groups are known, and
    /// nothing before it in the same transaction has changed it, what is refused is held against the rules.
    pub(super) fn group_answered(&mut self, store: &Store, version: Version, batch: &Batch, outcome: &Outcome) {
        let latest = version == store.version();
        let mut done = Done::default();
        for (command, reply) in batch.commands.iter().zip(&outcome.replies) {
            let command = if let Command::InSession { command, .. } = command { command } else { command };
            match (command, reply) {
                (Command::RemoveDevice { .. } | Command::Register { .. }, Ok(_)) => done.devices = true,
                (Command::Send { conversation, id, roster, .. }, Ok(Reply::Sent { seq, .. }))
                    if conversation.pair().is_none() && *seq > self.model.head(*conversation) =>
                {
                    done.changed.insert(*conversation);
                    self.rosters.insert((*conversation, *id), *roster);
                }
                (Command::Send { from, conversation, id, content, roster }, Err(reject)) if conversation.pair().is_none() => {
                    if let Some(nth) = self.by_id.get(id).filter(|_| !reject.is_for_now()) {
                        self.messages[*nth as usize].turned_away.push(*reject);
                    }
                    if *reject == Reject::Superseded {
                        let right = done.held.contains(from);
                        self.compare(Oracle::SenderOrder, right, || format!("{id} of {from} was to wait, and nothing before it does"));
                    } else if self.is_known(*conversation, version, latest, &done) {
                        self.refused_rightly(*from, *conversation, content, *roster, *reject);
                    }
                    done.held.extend(reject.is_for_now().then_some(*from));
                }
                (Command::AskRoster { user, conversation, after }, reply) if self.is_known(*conversation, version, latest, &done) => {
                    self.true_roster(*user, *conversation, *after, reply);
                }
                (Command::Send { from, .. }, Err(reject)) => done.held.extend(reject.is_for_now().then_some(*from)),
                _ => {}
            }
        }
    }

    /// Whether a group was what it is, at a version and after what one batch has done.
    fn is_known(&self, conversation: ConversationId, version: Version, latest: bool, done: &Done) -> bool {
        let same = self.groups.get(&conversation).map_or(latest, |group| group.changed <= version);
        same && !done.devices && !done.changed.contains(&conversation)
    }

    fn refused_rightly(&mut self, from: DeviceId, conversation: ConversationId, content: &Content, roster: u64, reject: Reject) {
        let change = Change::of(content).ok().flatten();
        let added = change.as_ref().map_or(&[][..], Change::added);
        let right = match (reject, self.groups.get(&conversation)) {
            // Another session of the device has taken this one's place.
            (Reject::Unavailable, _) => true,
            (Reject::DeviceRemoved, _) => self.nth_of(from).is_none_or(|nth| self.devices[nth as usize].removed),
            (Reject::NotAllowed, _) => added.iter().any(|user| self.blocks.contains(&(*user, from.user))),
            (Reject::GroupFull { limit }, None) => added.len() + 1 > limit as usize,
            (Reject::NotMember, None) => !matches!(change, Some(Change::Created { .. })),
            (_, None) => false,
            (_, Some(group)) => group.refuses(from.user, change.as_ref(), roster, reject),
        };
        self.compare(Oracle::GroupRules, right, || format!("{from} wanted {change:?} of {conversation}, and was refused: {reject:?}"));
    }

    /// What somebody is told of a group's members is so.
    fn true_roster(&mut self, user: UserId, conversation: ConversationId, after: Option<UserId>, reply: &Result<Reply, Reject>) {
        let group = self.groups.get(&conversation);
        let right = match (reply, group) {
            (Err(Reject::NotMember), group) => group.is_none_or(|group| !group.is_member(user)),
            (Ok(Reply::Roster { name, epoch, members, more }), Some(group)) => {
                let told = members.iter().map(|RosterEntry { user, admin, devices, .. }| (*user, *admin, devices.as_slice()));
                let rest = group.members_after(after).skip(members.len()).count();
                let same = told.zip(group.members_after(after)).all(|((user, admin, devices), (other, standing))| {
                    let linked = self.linked_to(user).map(|device| device.serial);
                    user == other && admin == standing.admin && linked.eq(devices.iter().copied())
                });
                same && group.is_member(user) && (name, *epoch) == (&group.name, group.epoch) && (*more || rest == 0)
            }
            (Err(reject), _) => reject.is_for_now(),
            (Ok(_), _) => false,
        };
        self.compare(Oracle::GroupRules, right, || {
            format!("{user} asked who is in {conversation} after {after:?}, and was told {reply:?}")
        });
    }
}
