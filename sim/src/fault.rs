//! The faults that there are, and the ledger of what they did.

use core::fmt;

macro_rules! faults {
    ($($(#[doc = $help:literal])* $kind:ident $name:literal,)*) => {
        /// Something that goes wrong in the world around the core.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FaultKind { $($(#[doc = $help])* $kind,)* }

        impl FaultKind {
            /// Every kind, in the order of their numbers.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$kind),*];

            /// The name by which scenarios and reports know it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// What it is, in the words of its documentation.
            pub fn help(self) -> &'static str {
                match self { $(Self::$kind => concat!($($help),*).trim_ascii(),)* }
            }
        }
    };
}

faults! {
    /// A connection is refused. Offered at each attempt; the length says nothing.
    Refused "refused",
    /// A connection attempt is swallowed, until the client's patience ends.
    DialLost "dial-lost",
    /// A connection breaks; what is under way is lost. Offered with each frame.
    Reset "reset",
    /// Both directions go silent and nobody is told. Offered with each frame.
    HalfOpen "half-open",
    /// One direction goes silent and nobody is told. Offered with each frame.
    OneWay "one-way",
    /// A frame takes longer, and those behind it with it. It fires if its receiver met something else that should have come later.
    Delay "delay",
    /// A direction stands still for long, then everything comes in a burst.
    Stall "stall",
    /// The client reads slowly: what it is sent counts as unflushed until it arrives. Offered once a connection.
    SlowReader "slow-reader",
    /// Bytes arrive at a gateway that are no frame.
    Garbage "garbage",
    /// A goodbye is lost: the client sees a connection that breaks without a reason.
    GoodbyeLost "goodbye-lost",
    /// Every connection of a gateway breaks at once, and all come back at once.
    ReconnectStorm "reconnect-storm",
    /// Nothing passes between a gateway and its clients for a while.
    Blackout "blackout",
    /// The store says that a transaction ran into another. Offered at each commit.
    Conflict "conflict",
    /// A transaction is committed and its caller is not told.
    UnknownCommitted "unknown-committed",
    /// A transaction is not committed and its caller is not told.
    UnknownLost "unknown-lost",
    /// A transaction is committed after its caller gave up, unless something came in between.
    LateCommit "late-commit",
    /// A transaction's snapshot has become too old.
    TooOld "too-old",
    /// A transaction stands still for long.
    StoreStall "store-stall",
    /// A step of a transaction takes longer. It fires if another was committed meanwhile, or if its answer, late by as much, comes after
    /// something else that its gateway met.
    StoreJitter "store-jitter",
    /// The store refuses work for a while.
    Overload "overload",
    /// A bell does not ring.
    BellLost "bell-lost",
    /// A bell rings late. It fires if the gateway met something else meanwhile.
    BellLate "bell-late",
    /// A bell rings twice. It fires if the gateway is there to hear the second one.
    BellTwice "bell-twice",
    /// A bell rings without any change.
    BellSpurious "bell-spurious",
    /// A gateway cannot reach the store: requests are lost, or answers are.
    Partition "partition",
    /// A gateway's process is gone without a word; another incarnation follows after a while.
    Crash "crash",
    /// A gateway's process stands still for a while, then goes on with all that has gathered.
    Pause "pause",
    /// A gateway stops in order, and another follows. Its clients are sent away over the length.
    Drain "drain",
    /// Another incarnation takes a gateway's place, and the older one goes on for a while.
    TwoIncarnations "two-incarnations",
    /// An app is killed between writing and syncing: what was not synced is gone.
    KilledBeforeSync "killed-before-sync",
    /// An app is killed after its disk has synced and before it was told.
    KilledAfterSync "killed-after-sync",
    /// A sync of a device takes long. It fires if the app met something else meanwhile.
    SlowSync "slow-sync",
    /// A process gets to its timer late. It fires if the process met something else meanwhile.
    TimerLate "timer-late",
    /// A device has no network for a while.
    Offline "offline",
    /// An app that was suspended while its connection died comes back and connects again while the server still holds the old one.
    Suspended "suspended",
    /// A gateway's clock is set forwards or back.
    GatewayClock "gateway-clock",
    /// A device's clock is set forwards or back.
    DeviceClock "device-clock",
    /// A device was linked so long ago that its token is about to run out, or has. Offered once a device; fired when the token is exchanged, or
    /// is not accepted any more.
    OldToken "old-token",
    /// A device loses its storage: its user registers it again, as another device.
    Reinstalled "reinstalled",
    /// An app is away for weeks, while nothing else happens.
    Away "away",
    /// An app has forgotten that one of its messages was accepted, and sends it again.
    SentAgain "sent-again",
    /// A program breaks the protocol. Offered with each of its frames; fired when the gateway refuses something, or sends it away.
    Hostile "hostile",
    /// A gateway's process is gone while it marks the devices of a large group, before it knows whether that was done. Offered with each part
    /// that is marked; another incarnation follows after a while.
    FanOutKilled "fan-out-killed",
}

impl FaultKind {
    /// Whether all that it does is that something comes later. A world goes on however often that happens.
    pub fn only_delays(self) -> bool {
        matches!(self, Self::Delay | Self::StoreJitter | Self::BellLate | Self::BellTwice | Self::SlowSync | Self::TimerLate)
    }
}

/// How many kinds there are.
pub const KINDS: usize = FaultKind::ALL.len();

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What became of one kind of fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Runs in which it was on.
    pub configured: u64,
    /// Occasions at which it could have happened.
    pub offered: u64,
    /// Occasions at which it happened and changed what happened next.
    pub fired: u64,
}

/// What became of every kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledger(pub [Count; KINDS]);

impl Default for Ledger {
    fn default() -> Self {
        Self([Count::default(); KINDS])
    }
}

impl Ledger {
    /// What became of one kind.
    pub fn of(&self, kind: FaultKind) -> Count {
        self.0[kind as usize]
    }

    /// Faults of all kinds that fired.
    pub fn fired(&self) -> u64 {
        self.0.iter().map(|count| count.fired).sum()
    }

    /// Adds what another run came to.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            mine.configured += theirs.configured;
            mine.offered += theirs.offered;
            mine.fired += theirs.fired;
        }
    }

    /// Kinds that were offered at least so often and never fired, although they were on.
    pub fn inert(&self, offers: u64) -> impl Iterator<Item = FaultKind> + '_ {
        FaultKind::ALL.into_iter().filter(move |kind| {
            let count = self.of(*kind);
            count.configured > 0 && count.offered >= offers && count.fired == 0
        })
    }
}
