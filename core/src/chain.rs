//! The hash chain over a conversation's log: each link covers its predecessor, so that a log can be proved whole.

use crate::id::{DeviceId, Digest, MessageId, Seq};
use crate::time::Timestamp;

/// The link of an entry: over the link before it and everything that the entry says.
pub fn link(previous: &Digest, seq: Seq, sender: DeviceId, id: MessageId, at: Timestamp, content: &Digest) -> Digest {
    let mut bytes = [0; 32 + 8 + 8 + 2 + 16 + 8 + 32];
    let mut rest = &mut bytes[..];
    for part in [
        &previous.0[..],
        &seq.0.to_le_bytes(),
        &sender.user.0.to_le_bytes(),
        &sender.serial.to_le_bytes(),
        &id.0,
        &at.millis().to_le_bytes(),
        &content.0,
    ] {
        let (place, after) = rest.split_at_mut(part.len());
        place.copy_from_slice(part);
        rest = after;
    }
    Digest(*blake3::hash(&bytes).as_bytes())
}
