//! The table of planted bugs.

/// What there is to know of a planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// What is wrong with it planted.
    pub what: &'static str,
    /// Where such a bug has been seen.
    pub seen: &'static str,
    /// The scenario in which it has to be found.
    pub scenario: &'static str,
    /// The invariants that it breaks: it has to be found as a breach of one of these, and of no other.
    pub breaks: &'static [&'static str],
}

macro_rules! bugs {
    ($($(#[doc = $what:literal])+ $name:ident breaks [$($oracle:ident),+] in $scenario:ident, as $seen:literal;)*) => {
        /// A bug that can be planted, one at a time.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug { $($(#[doc = $what])+ $name,)* }

        impl Bug {
            /// Every bug, in the order of their numbers.
            pub const ALL: [Self; [$(stringify!($name)),*].len()] = [$(Self::$name),*];

            /// The name by which commands and reports know it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What there is to know of it.
            pub fn about(self) -> About {
                match self {
                    $(Self::$name => About {
                        what: concat!($($what),+).trim_ascii(),
                        seen: $seen,
                        scenario: stringify!($scenario),
                        breaks: &[$(stringify!($oracle)),+],
                    },)*
                }
            }
        }
    };
}

bugs! {
    /// A message is known again only for ten seconds after it was accepted.
    DedupForgets breaks [DEDUP] in storm,
        as "queues whose deduplication has a window: a phone that comes out of a tunnel later than that sends twice";
    /// Only the last message of each sender is known again.
    DedupKnowsOnlyTheLast breaks [DEDUP] in storm,
        as "servers that keep one `last message id` for each sender: a whole outbox is sent again, not just its end";
    /// Messages are known by the millisecond of their ids alone.
    DedupByTime breaks [NO_LOSS, DEDUP] in storm,
        as "ids cut down to their time to save space: two messages of one burst are taken for one";
    /// A retry is judged by the rules that hold for new messages before it is looked up.
    RulesBeforeRetry breaks [DEDUP] in storm,
        as "a sender who was blocked between message and retry is told that it failed, and the receiver has it";
    /// The time of a message is the gateway's clock, even if an earlier one in the conversation is later.
    TimeGoesBack breaks [LOG_PROOF] in storm,
        as "histories that jump after a clock was set, or when two servers' clocks differ";
    /// A message is not marked for devices that were linked since the one before it.
    StaleDeviceList breaks [NO_LOSS] in storm,
        as "a cached list of devices: the first message after a phone was linked never reaches it";
    /// The sender's own other devices are not told of a message.
    OwnDevicesForgotten breaks [NO_LOSS, CONVERGENCE] in storm,
        as "sent messages that are missing on the desktop";
    /// A message is queued only for devices that are offline; those that are online just get a wake-up.
    QueuedOnlyIfOffline breaks [NO_LOSS, TOTAL_ORDER] in storm,
        as "routers that push to the online and store for the offline: whoever loses the connection in between loses the message";
    /// Any acknowledgement clears the conversation from the device's queue.
    QueueClearedByAnyAck breaks [NO_LOSS, CONVERGENCE] in storm,
        as "offline queues that are dropped once the client says anything about the conversation";
    /// The queue is cleared when a session opens, as if sending were delivering.
    QueueClearedAtLogin breaks [NO_LOSS, CONVERGENCE] in storm,
        as "offline queues that are read and deleted at login: the connection dies while the backlog is on its way";
    /// The gateway acknowledges what it has sent, for the device.
    AcknowledgedAtSend breaks [RECEIPT_TRUTH] in storm,
        as "a cursor that moves when the bytes are handed to the socket";
    /// The delivered watermark is that of the device that spoke last.
    DeliveredGoesBack breaks [RECEIPT_TRUTH] in storm,
        as "two devices, and the slower one takes the second tick away again";
    /// The sender is told only of deliveries, and of reading when something else comes.
    ReadIsNotTold breaks [CONVERGENCE] in storm,
        as "blue ticks that appear after the app was started again";
    /// The end of a session does not compare connections: the late end of an older one ends the newer one.
    EndOfTheWrongConnection breaks [PRESENCE, CONVERGENCE] in storm,
        as "a page is loaded again, and the late close of the old socket logs the new one out";
    /// The end of a session does not compare gateways.
    EndAtTheWrongGateway breaks [PRESENCE, CONVERGENCE] in storm,
        as "connection numbers that are taken for unique across servers";
}
