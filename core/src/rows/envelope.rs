//! `[schema u16 LE][kind u8][archive]`: what stands around every stored value, so that last year's bytes still open.

use alloc::vec::Vec;
use core::fmt;

/// A value that can be stored.
pub trait Row: Sized {
    /// The value's bytes.
    fn encode(&self) -> Vec<u8>;

    /// Reads a value back.
    ///
    /// # Errors
    /// If the bytes are not such a value: the row is to be set aside and reported, and the rest goes on.
    fn decode(bytes: &[u8]) -> Result<Self, Damage>;
}

/// Why stored bytes are not the value that their key promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Too short for an envelope.
    Truncated,
    /// Written by a schema that this version does not know.
    Schema(u16),
    /// Another row's value.
    Kind(u8),
    /// The archive does not validate.
    Archive,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("too short for an envelope"),
            Self::Schema(schema) => write!(f, "written by schema {schema}, which this version does not know"),
            Self::Kind(kind) => write!(f, "holds a value of kind {kind}"),
            Self::Archive => f.write_str("the archive does not validate"),
        }
    }
}

/// Bytes before the archive.
const HEADER: usize = 3;

pub(super) fn header(schema: u16, kind: u8, capacity: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + capacity);
    bytes.extend_from_slice(&schema.to_le_bytes());
    bytes.push(kind);
    bytes
}

pub(super) fn open(kind: u8, bytes: &[u8]) -> Result<(u16, &[u8]), Damage> {
    let [low, high, found, archive @ ..] = bytes else { return Err(Damage::Truncated) };
    if *found != kind {
        return Err(Damage::Kind(*found));
    }
    Ok((u16::from_le_bytes([*low, *high]), archive))
}
