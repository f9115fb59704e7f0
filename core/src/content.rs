//! What a message carries: bytes that the server never looks into.

use crate::id::MessageId;
use crate::id::{DeviceId, Digest, Seq, UserId};
use crate::limits;
use crate::time::Timestamp;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The kind of what stands in the place of a body that is not kept any more, with no bytes. No message may carry it.
pub const TRIMMED: u32 = 101;

/// Opaque bytes with a type that only clients give a meaning to (text, ciphertext, …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// What the bytes are, by the clients' convention; see `proto/`.
    pub kind: u32,
    /// The bytes. Shared, because a message is on its way to several places at a time.
    pub bytes: Arc<[u8]>,
}

/// What a message carries, for whom. It cannot be larger than the limits allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    parts: Parts,
    /// Made once, with the content: a message is decided on as often as its transaction runs.
    digest: Digest,
}

/// A [`Content`] taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parts {
    /// One body for every device.
    Shared(Body),
    /// A body of its own for each device, as pairwise encryption needs. A device without one gets the position and no body.
    PerDevice(Vec<(DeviceId, Body)>),
}

/// Why parts are no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentError {
    /// More than [`limits::CONTENT_BYTES`] bytes.
    TooLarge,
    /// More than [`limits::BODIES_PER_MESSAGE`] bodies, or none.
    Bodies,
    /// Two bodies for one device.
    Repeated,
    /// A body that says of itself that it is not kept any more, which is the server's to say.
    Trimmed,
}

impl Content {
    /// One body for every device.
    ///
    /// # Errors
    /// If it is too large.
    pub fn shared(kind: u32, bytes: impl Into<Arc<[u8]>>) -> Result<Self, ContentError> {
        Self::new(Parts::Shared(Body { kind, bytes: bytes.into() }))
    }

    /// Checks the parts against the limits.
    ///
    /// # Errors
    /// The first limit that they pass.
    pub fn new(parts: Parts) -> Result<Self, ContentError> {
        if let Parts::PerDevice(bodies) = &parts {
            if bodies.is_empty() || bodies.len() > limits::BODIES_PER_MESSAGE {
                return Err(ContentError::Bodies);
            }
            let devices: BTreeSet<_> = bodies.iter().map(|(device, _)| device).collect();
            if devices.len() < bodies.len() {
                return Err(ContentError::Repeated);
            }
        }
        if parts.is_kind(TRIMMED) {
            return Err(ContentError::Trimmed);
        }
        if parts.size() > limits::CONTENT_BYTES {
            return Err(ContentError::TooLarge);
        }
        let digest = parts.digest();
        Ok(Self { parts, digest })
    }

    /// The parts.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Bytes of all bodies together.
    pub fn size(&self) -> usize {
        self.parts.size()
    }

    /// The body that is for this device.
    pub fn body_for(&self, device: DeviceId) -> Option<&Body> {
        match &self.parts {
            Parts::Shared(body) => Some(body),
            Parts::PerDevice(bodies) => bodies.iter().find(|(to, _)| *to == device).map(|(_, body)| body),
        }
    }

    /// What tells this content from every other: a retry with the same digest is the same message.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl Parts {
    /// Whether any body is of a kind.
    fn is_kind(&self, kind: u32) -> bool {
        match self {
            Self::Shared(body) => body.kind == kind,
            Self::PerDevice(bodies) => bodies.iter().any(|(_, body)| body.kind == kind),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Shared(body) => body.bytes.len(),
            Self::PerDevice(bodies) => bodies.iter().map(|(_, body)| body.bytes.len()).sum(),
        }
    }

    fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        let mut body = |to: DeviceId, body: &Body| {
            hasher.update(&to.user.0.to_le_bytes()).update(&to.serial.to_le_bytes());
            hasher.update(&body.kind.to_le_bytes()).update(&(body.bytes.len() as u64).to_le_bytes()).update(&body.bytes);
        };
        match self {
            // Serial 0 is no device's, so a shared body never looks like one device's body.
            Self::Shared(shared) => body(DeviceId { user: UserId(0), serial: 0 }, shared),
            Self::PerDevice(bodies) => bodies.iter().for_each(|(to, own)| body(*to, own)),
        }
        Digest(*hasher.finalize().as_bytes())
    }
}

/// A position of a conversation as one device gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub seq: Seq,
    /// The device that sent it.
    pub sender: DeviceId,
    /// The name that the sender gave it.
    pub id: MessageId,
    /// When the server accepted it. Never goes back within a conversation; says nothing about order.
    pub at: Timestamp,
    /// What it carries for this device. `None` where it carries nothing for it, or where the stored value was damaged.
    pub body: Option<Body>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(serial: u16) -> DeviceId {
        DeviceId { user: UserId(1), serial }
    }

    fn body(bytes: &[u8]) -> Body {
        Body { kind: 1, bytes: bytes.into() }
    }

    #[test]
    fn limits_are_checked_when_a_content_is_made() {
        assert!(Content::shared(0, vec![0; limits::CONTENT_BYTES]).is_ok());
        assert_eq!(Content::shared(0, vec![0; limits::CONTENT_BYTES + 1]), Err(ContentError::TooLarge));
        assert_eq!(Content::new(Parts::PerDevice(vec![])), Err(ContentError::Bodies));
        let twice = vec![(device(1), body(b"a")), (device(1), body(b"b"))];
        assert_eq!(Content::new(Parts::PerDevice(twice)), Err(ContentError::Repeated));
    }

    #[test]
    fn every_difference_shows_in_the_digest() {
        let contents = [
            Content::shared(1, *b"ab"),
            Content::shared(2, *b"ab"),
            Content::shared(1, *b"abc"),
            Content::new(Parts::PerDevice(vec![(device(1), body(b"ab"))])),
            Content::new(Parts::PerDevice(vec![(device(2), body(b"ab"))])),
            Content::new(Parts::PerDevice(vec![(device(1), body(b"a")), (device(2), body(b"b"))])),
        ];
        let digests: BTreeSet<_> = contents.iter().map(|content| content.as_ref().unwrap().digest()).collect();
        assert_eq!(digests.len(), contents.len());
    }
}
