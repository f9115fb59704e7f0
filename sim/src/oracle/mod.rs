//! The oracles: what always holds, seen from outside.
//!
//! They see what people wrote, what their devices were told, stored and showed, and what the store holds; they share no rule with the
//! code that decides. Each counts its comparisons.

/// The invariants that are watched. The names are those of `ARCHITECTURE.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oracle {
    /// A message whose acceptance was told to its sender reaches every device entitled to it.
    NoLoss,
    /// A client shows each message exactly once.
    VisibleOnce,
    /// Every device sees a conversation in the same order, without gaps.
    TotalOrder,
    /// Messages that one device sent into a conversation stand in the order sent.
    SenderOrder,
    /// A message has one position for ever.
    Dedup,
    /// Only the two users' devices ever get a message.
    Visibility,
    /// Watermarks are true, and never go back.
    ReceiptTruth,
    /// Unread equals a recount of the log.
    Unread,
    /// Never online for more than 90 s after the device was last heard; last seen is when it was heard.
    Presence,
    /// Every chain verifies.
    LogProof,
    /// No queue, buffer or session grows past its limit.
    Bounded,
    /// Once faults stop, everything reaches its final state within a bounded time.
    Convergence,
}

impl Oracle {
    /// Every oracle, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::NoLoss,
        Self::VisibleOnce,
        Self::TotalOrder,
        Self::SenderOrder,
        Self::Dedup,
        Self::Visibility,
        Self::ReceiptTruth,
        Self::Unread,
        Self::Presence,
        Self::LogProof,
        Self::Bounded,
        Self::Convergence,
    ];

    /// The name by which documents and reports know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoLoss => "NO_LOSS",
            Self::VisibleOnce => "VISIBLE_ONCE",
            Self::TotalOrder => "TOTAL_ORDER",
            Self::SenderOrder => "SENDER_ORDER",
            Self::Dedup => "DEDUP",
            Self::Visibility => "VISIBILITY",
            Self::ReceiptTruth => "RECEIPT_TRUTH",
            Self::Unread => "UNREAD",
            Self::Presence => "PRESENCE",
            Self::LogProof => "LOG_PROOF",
            Self::Bounded => "BOUNDED",
            Self::Convergence => "CONVERGENCE",
        }
    }
}
