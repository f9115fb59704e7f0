//! The bytes of a change: those of the Protobuf message `GroupChange` in `proto/`, so that clients in any language read and write them with
//! the library that they have. Only the few forms that it needs are known here: variants, 64-bit numbers and runs of bytes.

use super::{Change, Settings};
use crate::id::UserId;
use alloc::string::String;
use alloc::vec::Vec;

// The numbers of the fields. They never change.
const CREATED: u32 = 1;
const ADDED: u32 = 2;
const REMOVED: u32 = 3;
const LEFT: u32 = 4;
const ROLE_SET: u32 = 5;
const RENAMED: u32 = 6;
const AVATAR_SET: u32 = 7;
const SETTINGS_SET: u32 = 8;

pub(super) fn write(change: &Change) -> Vec<u8> {
    let mut out = Writer(Vec::new());
    match change {
        Change::Created { name, members, settings } => {
            let mut inner = Writer(Vec::new());
            inner.bytes(1, name.as_bytes());
            inner.users(2, members);
            inner.bytes(3, &settings_bytes(settings));
            out.bytes(CREATED, &inner.0);
        }
        Change::Added { users } => {
            let mut inner = Writer(Vec::new());
            inner.users(1, users);
            out.bytes(ADDED, &inner.0);
        }
        Change::Removed { user } => out.fixed(REMOVED, user.0),
        Change::Left => out.varint(LEFT, 1),
        Change::RoleSet { user, admin } => {
            let mut inner = Writer(Vec::new());
            inner.fixed(1, user.0);
            inner.flag(2, *admin);
            out.bytes(ROLE_SET, &inner.0);
        }
        Change::Renamed { name } => out.bytes(RENAMED, name.as_bytes()),
        Change::AvatarSet { avatar } => out.bytes(AVATAR_SET, avatar),
        Change::SettingsSet { settings } => out.bytes(SETTINGS_SET, &settings_bytes(settings)),
    }
    out.0
}

fn settings_bytes(settings: &Settings) -> Vec<u8> {
    let mut out = Writer(Vec::new());
    out.flag(1, settings.admins_add);
    out.flag(2, settings.admins_edit);
    out.flag(3, settings.admins_post);
    out.varint(4, settings.limit.into());
    out.0
}

/// Reads a change. `None` for bytes that are none, also for those of a change that this version does not know.
pub(super) fn read(bytes: &[u8]) -> Option<Change> {
    let mut fields = Reader(bytes);
    let change = match fields.field()? {
        (CREATED, Value::Bytes(bytes)) => created(bytes)?,
        (ADDED, Value::Bytes(bytes)) => {
            let mut users = Vec::new();
            let mut inner = Reader(bytes);
            while let Some(field) = inner.next()? {
                match field {
                    (1, value) => read_users(value, &mut users)?,
                    _ => return None,
                }
            }
            Change::Added { users }
        }
        (REMOVED, Value::Fixed(user)) => Change::Removed { user: UserId(user) },
        (LEFT, Value::Varint(1)) => Change::Left,
        (ROLE_SET, Value::Bytes(bytes)) => role_set(bytes)?,
        (RENAMED, Value::Bytes(bytes)) => Change::Renamed { name: text(bytes)? },
        (AVATAR_SET, Value::Bytes(bytes)) => Change::AvatarSet { avatar: bytes.to_vec() },
        (SETTINGS_SET, Value::Bytes(bytes)) => Change::SettingsSet { settings: settings(bytes)? },
        _ => return None,
    };
    fields.0.is_empty().then_some(change)
}

fn created(bytes: &[u8]) -> Option<Change> {
    let (mut name, mut members, mut set) = (String::new(), Vec::new(), None);
    let mut fields = Reader(bytes);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(bytes)) => name = text(bytes)?,
            (2, value) => read_users(value, &mut members)?,
            (3, Value::Bytes(bytes)) => set = Some(settings(bytes)?),
            _ => return None,
        }
    }
    Some(Change::Created { name, members, settings: set.unwrap_or_default() })
}

fn role_set(bytes: &[u8]) -> Option<Change> {
    let (mut user, mut admin) = (None, false);
    let mut fields = Reader(bytes);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Fixed(id)) => user = Some(UserId(id)),
            (2, Value::Varint(flag @ 0..=1)) => admin = flag == 1,
            _ => return None,
        }
    }
    Some(Change::RoleSet { user: user?, admin })
}

/// Settings in which the limit was left out have the usual one.
fn settings(bytes: &[u8]) -> Option<Settings> {
    let mut settings = Settings::default();
    let mut fields = Reader(bytes);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Varint(flag @ 0..=1)) => settings.admins_add = flag == 1,
            (2, Value::Varint(flag @ 0..=1)) => settings.admins_edit = flag == 1,
            (3, Value::Varint(flag @ 0..=1)) => settings.admins_post = flag == 1,
            (4, Value::Varint(limit)) => settings.limit = u32::try_from(limit).ok()?,
            _ => return None,
        }
    }
    Some(settings)
}

/// Users are packed into one field, as Protobuf writes them; read are also those that stand one by one.
fn read_users(value: Value<'_>, users: &mut Vec<UserId>) -> Option<()> {
    match value {
        Value::Fixed(user) => users.push(UserId(user)),
        Value::Bytes(bytes) => {
            let (ids, rest) = bytes.as_chunks::<8>();
            if !rest.is_empty() {
                return None;
            }
            users.extend(ids.iter().map(|id| UserId(u64::from_le_bytes(*id))));
        }
        Value::Varint(_) => return None,
    }
    Some(())
}

fn text(bytes: &[u8]) -> Option<String> {
    core::str::from_utf8(bytes).ok().map(String::from)
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn tag(&mut self, field: u32, form: u64) {
        self.number(u64::from(field) << 3 | form);
    }

    fn varint(&mut self, field: u32, number: u64) {
        self.tag(field, 0);
        self.number(number);
    }

    /// As Protobuf has it, a field that holds nothing but its default is left out.
    fn flag(&mut self, field: u32, flag: bool) {
        if flag {
            self.varint(field, 1);
        }
    }

    fn fixed(&mut self, field: u32, number: u64) {
        self.tag(field, 1);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, 2);
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn users(&mut self, field: u32, users: &[UserId]) {
        if users.is_empty() {
            return;
        }
        self.tag(field, 2);
        self.number(8 * users.len() as u64);
        users.iter().for_each(|user| self.0.extend_from_slice(&user.0.to_le_bytes()));
    }
}

/// The value of a field.
#[derive(Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next field; `Some(None)` after the last one, `None` where the bytes are no fields.
    #[expect(clippy::option_option, reason = "the end is no error")]
    fn next(&mut self) -> Option<Option<(u32, Value<'a>)>> {
        if self.0.is_empty() { Some(None) } else { self.field().map(Some) }
    }

    fn field(&mut self) -> Option<(u32, Value<'a>)> {
        let tag = self.number()?;
        let field = u32::try_from(tag >> 3).ok()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.number()?),
            1 => {
                let (number, rest) = self.0.split_first_chunk()?;
                self.0 = rest;
                Value::Fixed(u64::from_le_bytes(*number))
            }
            2 => {
                let len = usize::try_from(self.number()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(len)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            _ => return None,
        };
        Some((field, value))
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let part = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit only.
            if shift == 63 && part > 1 {
                return None;
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn users() -> impl Strategy<Value = Vec<UserId>> {
        proptest::collection::btree_set(any::<u64>(), 1..6).prop_map(|ids| ids.into_iter().map(UserId).collect())
    }

    fn settings() -> impl Strategy<Value = Settings> {
        (any::<[bool; 3]>(), 1..=crate::limits::GROUP_MEMBERS).prop_map(|([admins_add, admins_edit, admins_post], limit)| Settings {
            admins_add,
            admins_edit,
            admins_post,
            limit,
        })
    }

    fn changes() -> impl Strategy<Value = Change> {
        prop_oneof![
            ("[a-zé]{1,9}", users(), settings()).prop_map(|(name, members, settings)| Change::Created { name, members, settings }),
            users().prop_map(|users| Change::Added { users }),
            any::<u64>().prop_map(|user| Change::Removed { user: UserId(user) }),
            Just(Change::Left),
            any::<(u64, bool)>().prop_map(|(user, admin)| Change::RoleSet { user: UserId(user), admin }),
            "[a-z]{1,9}".prop_map(|name| Change::Renamed { name }),
            proptest::collection::vec(any::<u8>(), 0..9).prop_map(|avatar| Change::AvatarSet { avatar }),
            settings().prop_map(|settings| Change::SettingsSet { settings }),
        ]
    }

    proptest! {
        #[test]
        fn a_change_is_read_back_as_it_was_written(change in changes()) {
            let content = change.content();
            prop_assert_eq!(Change::of(&content), Ok(Some(change)));
        }

        #[test]
        fn no_bytes_at_all_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = read(&bytes);
        }

        #[test]
        fn what_is_cut_short_or_has_more_behind_it_is_no_change(change in changes(), cut in any::<proptest::sample::Index>()) {
            let mut bytes = write(&change);
            let cut = cut.index(bytes.len());
            prop_assert_ne!(read(&bytes[..cut]), Some(change.clone()));
            bytes.push(0);
            prop_assert_eq!(read(&bytes), None);
        }
    }
}
