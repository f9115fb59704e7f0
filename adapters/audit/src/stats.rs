//! How much there is of what in a store.

use std::collections::BTreeMap;

use doubletick_core::id::{ConversationId, DeviceId, Seq};
use doubletick_core::rows::{Account, Counter, Cursor, Head, Place, Row as _};
use doubletick_core::store::{Key, Missing, Scan, Snapshot};
use doubletick_store::readable::{ReadError, Readable, Reading, Stage};

use crate::conversation::Row;

/// Rows that are read at a time.
const PAGE: u32 = 256;

/// What was counted. In a store that is in use not all of it is of the same moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Rows and bytes of each kind.
    pub kinds: BTreeMap<&'static str, Size>,
    /// Accounts.
    pub users: u64,
    /// Devices that are linked to them.
    pub devices: u64,
    /// Conversations in which something was said.
    pub conversations: u64,
    /// Those of them that are groups.
    pub groups: u64,
    /// Entries of all logs.
    pub entries: u64,
    /// The conversation with the longest log, and its last position.
    pub longest: Option<(ConversationId, Seq)>,
    /// Devices with something waiting for them.
    pub waiting_devices: u64,
    /// Dirty marks: conversations that are ahead of a device, for each device.
    pub dirty: u64,
    /// Positions between what those devices have acknowledged and what is waiting for them, own messages included.
    pub backlog: u64,
    /// The longest of these backlogs.
    pub longest_backlog: Option<(DeviceId, ConversationId, u64)>,
    /// Rows whose key or value is damaged, which are counted as rows only; `store check` names them.
    pub damaged: u64,
    /// The marks of the device whose rows are coming in; its cursors come after all of them.
    marks: BTreeMap<ConversationId, u64>,
    device: Option<DeviceId>,
}

/// How much there is of a kind of row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// Counts all rows. `progress` is told from time to time how far it is.
///
/// # Errors
/// Those of the store.
pub fn count(store: &impl Readable, progress: &dyn Fn(&Stats)) -> Result<Stats, ReadError> {
    let mut stats = Stats::default();
    let ephemeral = Key::new(&[Key::EPHEMERAL]);
    for (from, to) in [(Key::new(b""), ephemeral), (ephemeral, Key::new(&[u8::MAX]))] {
        let mut from = from;
        loop {
            let rows = store.read(Rows(Scan { from, to, limit: PAGE, reverse: false }))?;
            rows.iter().for_each(|(key, value)| stats.row(key, value));
            progress(&stats);
            match rows.last() {
                Some((key, _)) if rows.len() == PAGE as usize => from = key.after(),
                _ => break,
            }
        }
    }
    stats.close_device();
    Ok(stats)
}

#[derive(Clone)]
struct Rows(Scan);

impl Reading for Rows {
    type Answer = Vec<Row>;

    fn run(&self, snapshot: &mut dyn Snapshot) -> Result<Vec<Row>, Missing> {
        let mut stage = Stage::new(snapshot);
        let rows = stage.rows(&self.0);
        stage.end().map(|()| rows)
    }
}

impl Stats {
    /// All rows.
    pub fn total(&self) -> Size {
        let add = |sum: Size, size: &Size| Size { rows: sum.rows + size.rows, bytes: sum.bytes + size.bytes };
        self.kinds.values().fold(Size::default(), add)
    }

    fn row(&mut self, key: &Key, value: &[u8]) {
        let place = Place::of(key);
        let size = self.kinds.entry(place.as_ref().map_or("unknown", Place::kind)).or_default();
        size.rows += 1;
        size.bytes += (key.as_bytes().len() + value.len()) as u64;
        if place.is_none_or(|place| self.place(&place, value).is_none()) {
            self.damaged += 1;
        }
    }

    /// `None` for a value that is none.
    fn place(&mut self, place: &Place, value: &[u8]) -> Option<()> {
        match place {
            Place::Account(_) => {
                self.users += 1;
                self.devices += Account::decode(value).ok()?.devices.len() as u64;
            }
            Place::Head(conversation) => {
                self.conversations += 1;
                let seq = Head::decode(value).ok()?.seq;
                if self.longest.is_none_or(|(_, longest)| seq > longest) {
                    self.longest = Some((*conversation, seq));
                }
            }
            Place::Group(_) => self.groups += 1,
            Place::Log(..) => self.entries += 1,
            Place::Dirty(device, conversation) => {
                if self.open_device(*device) {
                    self.waiting_devices += 1;
                }
                self.dirty += 1;
                self.marks.insert(*conversation, Counter::decode(value).ok()?.0);
            }
            Place::Cursor(device, conversation) => {
                self.open_device(*device);
                let upto = Cursor::decode(value).ok()?.upto;
                if let Some(mark) = self.marks.remove(conversation) {
                    self.waits(*device, *conversation, mark.saturating_sub(upto.0));
                }
            }
            Place::Receipt(..)
            | Place::Index(..)
            | Place::Member(..)
            | Place::PastMember(..)
            | Place::Sent(..)
            | Place::Trimmed(_)
            | Place::FanOutDue(_)
            | Place::FanOut(_)
            | Place::Reached(_)
            | Place::SumDue(_)
            | Place::GroupCount(_)
            | Place::Chat(..)
            | Place::Contact(..)
            | Place::Block(..)
            | Place::LastSeen(_)
            | Place::Device(_)
            | Place::Phone(_)
            | Place::Verification(_)
            | Place::Session(_)
            | Place::Bell(_)
            | Place::SessionOf(..)
            | Place::Wake(..)
            | Place::Lease(_)
            | Place::Watcher(..) => {}
        }
        Some(())
    }

    /// Whether it is another device than that of the row before.
    fn open_device(&mut self, device: DeviceId) -> bool {
        let other = self.device != Some(device);
        if other {
            self.close_device();
            self.device = Some(device);
        }
        other
    }

    /// Where there is no cursor, the device has acknowledged nothing.
    fn close_device(&mut self) {
        if let Some(device) = self.device {
            for (conversation, mark) in std::mem::take(&mut self.marks) {
                self.waits(device, conversation, mark);
            }
        }
    }

    fn waits(&mut self, device: DeviceId, conversation: ConversationId, positions: u64) {
        self.backlog += positions;
        if self.longest_backlog.is_none_or(|(.., longest)| positions > longest) {
            self.longest_backlog = Some((device, conversation, positions));
        }
    }
}
