//! Changes of rows, and what each kind makes of what a row held before.

use bytes::Bytes;

use super::Version;
use crate::limits::VALUE;

/// A change that a transaction commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// The row has this value from now on.
    Set(Bytes, Bytes),
    /// There are no rows from the first key to just before the second from now on.
    Clear(Bytes, Bytes),
    /// The row has what the operation makes of its value and the operand.
    Atomic(Atomic, Bytes, Bytes),
    /// A row whose key has the commit's versionstamp written into it. The last four bytes of the key here say where, and are dropped.
    StampedKey(Bytes, Bytes),
    /// A row whose value has the commit's versionstamp written into it. The last four bytes of the value here say where, and are dropped.
    StampedValue(Bytes, Bytes),
}

/// The atomic operations that depend on what the row held.
///
/// Those that compare or compute take bytes as little-endian integers, and give a value as long as the operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atomic {
    /// Sum, wrapping. A row that is not there counts as zero.
    Add,
    /// Bitwise and. A row that is not there becomes the operand.
    And,
    /// Bitwise or.
    Or,
    /// Bitwise exclusive or.
    Xor,
    /// The operand behind the value, if the value stays within the limit; else nothing changes.
    AppendIfFits,
    /// The greater integer.
    Max,
    /// The lesser integer. A row that is not there becomes the operand.
    Min,
    /// The value that comes later in the order of bytes. A row that is not there becomes the operand.
    ByteMax,
    /// The value that comes earlier in the order of bytes. A row that is not there becomes the operand.
    ByteMin,
    /// No row if the value is the operand; else nothing changes.
    CompareAndClear,
}

impl Atomic {
    /// What a row holds after the operation; `None` where there is no row.
    pub fn apply(self, before: Option<&Bytes>, operand: &Bytes) -> Option<Bytes> {
        let byte = |n: usize| before.and_then(|value| value.get(n)).copied().unwrap_or(0);
        let bytewise = |f: fn(u8, u8) -> u8| operand.iter().enumerate().map(|(n, with)| f(byte(n), *with)).collect::<Vec<u8>>().into();
        // The value as an integer as long as the operand.
        let resized = || (0..operand.len()).map(byte).collect::<Vec<u8>>().into();
        let greater = || (0..operand.len()).rev().map(byte).gt(operand.iter().rev().copied());
        Some(match (self, before) {
            (Self::Add, _) => add(byte, operand),
            (Self::And | Self::Min | Self::ByteMin | Self::ByteMax, None) => operand.clone(),
            (Self::And, Some(_)) => bytewise(|a, b| a & b),
            (Self::Or, _) => bytewise(|a, b| a | b),
            (Self::Xor, _) => bytewise(|a, b| a ^ b),
            (Self::AppendIfFits, None) => operand.clone(),
            (Self::AppendIfFits, Some(value)) if value.len() + operand.len() <= VALUE => [&value[..], &operand[..]].concat().into(),
            (Self::AppendIfFits, Some(value)) => value.clone(),
            (Self::Max, _) => {
                if greater() {
                    resized()
                } else {
                    operand.clone()
                }
            }
            (Self::Min, Some(_)) => {
                if greater() {
                    operand.clone()
                } else {
                    resized()
                }
            }
            (Self::ByteMax, Some(value)) => value.max(operand).clone(),
            (Self::ByteMin, Some(value)) => value.min(operand).clone(),
            (Self::CompareAndClear, None) => return None,
            (Self::CompareAndClear, Some(value)) => return (value != operand).then(|| value.clone()),
        })
    }
}

fn add(byte: impl Fn(usize) -> u8, operand: &Bytes) -> Bytes {
    let mut carry = 0;
    let sum = |(n, with): (usize, &u8)| {
        let sum = u16::from(byte(n)) + u16::from(*with) + carry;
        carry = sum >> 8;
        sum as u8
    };
    operand.iter().enumerate().map(sum).collect::<Vec<u8>>().into()
}

/// The ten bytes that stand for a commit in keys and values: its version, then its place among the commits of that version, which here is
/// always the first.
pub fn versionstamp(version: Version) -> [u8; 10] {
    let mut stamp = [0; 10];
    stamp[..8].copy_from_slice(&version.0.to_be_bytes());
    stamp
}

/// Where a template wants its versionstamp: what its last four bytes say, little-endian. `None` if it would not fit.
pub fn stamp_position(template: &[u8]) -> Option<usize> {
    let (body, position) = template.split_last_chunk::<4>()?;
    let position = usize::try_from(i32::from_le_bytes(*position)).ok()?;
    (position + 10 <= body.len()).then_some(position)
}

/// A template with a versionstamp where it wants it.
///
/// # Panics
/// If the stamp does not fit: [`stamp_position`] is asked before a template becomes a mutation.
pub fn stamp(template: &[u8], stamp: [u8; 10]) -> Bytes {
    let position = stamp_position(template).expect("checked when the mutation was made");
    let mut stamped = template[..template.len() - 4].to_vec();
    stamped[position..position + 10].copy_from_slice(&stamp);
    stamped.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(bytes: &[u8]) -> Bytes {
        Bytes::copy_from_slice(bytes)
    }

    #[test]
    fn atomic_operations_follow_the_documentation() {
        type Case = (Atomic, Option<&'static [u8]>, &'static [u8], Option<&'static [u8]>);
        let cases: [Case; 31] = [
            (Atomic::Add, None, &[1, 0], Some(&[1, 0])),
            (Atomic::Add, Some(&[255]), &[1, 0], Some(&[0, 1])),
            (Atomic::Add, Some(&[255, 255]), &[1, 0], Some(&[0, 0])),
            (Atomic::Add, Some(&[1, 2, 3]), &[1], Some(&[2])),
            (Atomic::And, None, &[7], Some(&[7])),
            (Atomic::And, Some(&[0b101]), &[0b110, 0b1], Some(&[0b100, 0])),
            (Atomic::And, Some(b""), &[7], Some(&[0])),
            (Atomic::Or, None, &[7], Some(&[7])),
            (Atomic::Or, Some(&[0b101]), &[0b110, 0b1], Some(&[0b111, 1])),
            (Atomic::Xor, None, &[7], Some(&[7])),
            (Atomic::Xor, Some(&[0b101, 9]), &[0b110], Some(&[0b011])),
            (Atomic::AppendIfFits, None, b"x", Some(b"x")),
            (Atomic::AppendIfFits, Some(b"ab"), b"c", Some(b"abc")),
            (Atomic::Max, None, &[3], Some(&[3])),
            (Atomic::Max, Some(&[0, 1]), &[9, 0], Some(&[0, 1])),
            (Atomic::Max, Some(&[0, 1]), &[9], Some(&[9])),
            (Atomic::Max, Some(&[5]), &[4, 0], Some(&[5, 0])),
            (Atomic::Max, Some(&[5]), &[0, 1], Some(&[0, 1])),
            (Atomic::Min, None, &[3], Some(&[3])),
            (Atomic::Min, Some(&[0, 1]), &[9, 0], Some(&[9, 0])),
            (Atomic::Min, Some(&[5]), &[0, 1], Some(&[5, 0])),
            (Atomic::Min, Some(b""), &[3], Some(&[0])),
            (Atomic::ByteMax, None, b"a", Some(b"a")),
            (Atomic::ByteMax, Some(b"b"), b"ab", Some(b"b")),
            (Atomic::ByteMax, Some(b"a"), b"ab", Some(b"ab")),
            (Atomic::ByteMin, None, b"a", Some(b"a")),
            (Atomic::ByteMin, Some(b"b"), b"ab", Some(b"ab")),
            (Atomic::ByteMin, Some(b""), b"ab", Some(b"")),
            (Atomic::CompareAndClear, Some(b"x"), b"x", None),
            (Atomic::CompareAndClear, Some(b"x"), b"y", Some(b"x")),
            (Atomic::CompareAndClear, None, b"y", None),
        ];
        for (op, before, operand, after) in cases {
            let result = op.apply(before.map(bytes).as_ref(), &bytes(operand));
            assert_eq!(result.as_deref(), after, "{op:?} {before:?} {operand:?}");
        }
    }

    #[test]
    fn appending_beyond_the_limit_changes_nothing() {
        let full = Bytes::from(vec![1; VALUE - 1]);
        assert_eq!(Atomic::AppendIfFits.apply(Some(&full), &bytes(b"x")).map(|value| value.len()), Some(VALUE));
        assert_eq!(Atomic::AppendIfFits.apply(Some(&full), &bytes(b"xy")), Some(full));
    }

    #[test]
    fn a_template_is_stamped_where_it_says_or_not_at_all() {
        let template = [b"k".as_slice(), &[0; 10], b"z", &1_i32.to_le_bytes()].concat();
        let stamped = stamp(&template, versionstamp(Version(0x0102)));
        assert_eq!(&*stamped, b"k\0\0\0\0\0\0\x01\x02\0\0z");
        for bad in [-1, 3, i32::MAX] {
            assert_eq!(stamp_position(&[b"k".as_slice(), &[0; 11], &i32::to_le_bytes(bad)].concat()), None, "{bad}");
        }
        assert_eq!(stamp_position(b"abc"), None);
    }
}
