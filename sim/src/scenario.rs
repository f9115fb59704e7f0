//! What a run is made of: how many of everything, how often what goes wrong, what people do.

use crate::draw::PerMillion;
use crate::fault::{FaultKind, KINDS};
use crate::plan::Plan;

/// The least and the most of something; each seed draws its own.
pub type Bounds = (u64, u64);

/// A day, in milliseconds.
const DAY_MS: u64 = 86_400_000;

/// How often a fault happens, and how long it lasts or how large it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// How often in a million occasions; zero is never.
    pub per_million: PerMillion,
    /// How long it lasts, or how large it is, in milliseconds. Kinds without a length pass over it.
    pub length: Bounds,
}

/// What people do, by the number of their weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// One message to somebody.
    Write,
    /// Several messages in a row.
    Burst,
    /// An answer in the conversation in which something last came.
    Reply,
    /// Everything that is there is read.
    Show,
    /// Typing begins or ends.
    Typing,
    /// Somebody's presence is watched, or is not any more.
    Watch,
    /// The chat list is asked for.
    Chats,
    /// Somebody is blocked, or is not any more.
    Block,
    /// Somebody becomes a contact, or is none any more.
    Contact,
    /// Who may see the presence is changed.
    Privacy,
    /// An old page of a conversation is asked for.
    History,
    /// The impatient user taps "connect".
    Hurry,
    /// A device is removed from its user's account.
    Unlink,
    /// A group is made.
    GroupCreate,
    /// People are made members of a group, one or several at once.
    GroupAdd,
    /// Somebody is removed from a group.
    GroupRemove,
    /// Somebody leaves a group.
    GroupLeave,
    /// A member becomes an admin, or is none any more.
    GroupRole,
    /// A group gets another name or picture.
    GroupEdit,
    /// Who may do what in a group is changed, or how many members it may have.
    GroupSettings,
    /// One or several messages into a group.
    GroupPost,
}

impl Operation {
    /// Every operation, in the order of their numbers.
    pub const ALL: [Self; 21] = [
        Self::Write,
        Self::Burst,
        Self::Reply,
        Self::Show,
        Self::Typing,
        Self::Watch,
        Self::Chats,
        Self::Block,
        Self::Contact,
        Self::Privacy,
        Self::History,
        Self::Hurry,
        Self::Unlink,
        Self::GroupCreate,
        Self::GroupAdd,
        Self::GroupRemove,
        Self::GroupLeave,
        Self::GroupRole,
        Self::GroupEdit,
        Self::GroupSettings,
        Self::GroupPost,
    ];

    /// The name by which scenarios know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Burst => "burst",
            Self::Reply => "reply",
            Self::Show => "show",
            Self::Typing => "typing",
            Self::Watch => "watch",
            Self::Chats => "chats",
            Self::Block => "block",
            Self::Contact => "contact",
            Self::Privacy => "privacy",
            Self::History => "history",
            Self::Hurry => "hurry",
            Self::Unlink => "unlink",
            Self::GroupCreate => "group-create",
            Self::GroupAdd => "group-add",
            Self::GroupRemove => "group-remove",
            Self::GroupLeave => "group-leave",
            Self::GroupRole => "group-role",
            Self::GroupEdit => "group-edit",
            Self::GroupSettings => "group-settings",
            Self::GroupPost => "group-post",
        }
    }
}

/// A kind of world. [`Scenario::default`] is calm: everything works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// By which people call it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// People.
    pub users: Bounds,
    /// Devices of each.
    pub devices: Bounds,
    /// People who have an account and a device that is never there: members for large groups.
    pub crowd: Bounds,
    /// Groups that people make, at most.
    pub groups: Bounds,
    /// Members besides its creator with which a group is made; as many as there are people, if those are fewer.
    pub group_members: Bounds,
    /// Places at which gateways run.
    pub gateways: Bounds,
    /// How long things go wrong, in virtual milliseconds.
    pub trouble_ms: Bounds,
    /// Within this time after everything was healed all must have converged, in virtual milliseconds.
    pub settle_ms: u64,
    /// Steps after which a run is stopped and counts as a failure of liveness.
    pub max_steps: u64,
    /// Between two things that somebody does, in milliseconds.
    pub pace_ms: Bounds,
    /// Messages that wait to be sent, beyond which the user of a device writes no more until some are.
    pub unsent: Bounds,
    /// Of a frame on its way, in milliseconds.
    pub latency_ms: Bounds,
    /// Of each step of a transaction, in milliseconds.
    pub store_ms: Bounds,
    /// Of a device's sync, in milliseconds.
    pub sync_ms: Bounds,
    /// Bytes of a message's body.
    pub body_bytes: Bounds,
    /// Messages that a session may have under way; see [`doubletick_core::gateway::Config::window`].
    pub window: Bounds,
    /// Unacknowledged entries; see [`doubletick_core::gateway::Config::deliveries`].
    pub deliveries: Bounds,
    /// Unflushed bytes; see [`doubletick_core::gateway::Config::unflushed`]. Twice what the pages read at a time for a session may hold:
    /// with less, a backlog could never be delivered.
    pub unflushed: Bounds,
    /// Commands in a batch; see [`doubletick_core::gateway::Config::batch`].
    pub batch: Bounds,
    /// Transactions under way; see [`doubletick_core::gateway::Config::in_flight`].
    pub in_flight: Bounds,
    /// How far clocks are off at the beginning, at most, in milliseconds, in either direction.
    pub skew_ms: u64,
    /// How much too fast or slow clocks run at most, in parts of a million.
    pub drift_per_million: u32,
    /// Share of transactions that fetch what they read in rounds; the others have everything at hand.
    pub rounds: PerMillion,
    /// Share of the faults, and of the operations, that are on in a seed. A million is: all, at the rates given.
    pub swarm: PerMillion,
    /// Share of devices and of gateways' places that stay away for good when everything is healed. At least one gateway comes back.
    pub dead: PerMillion,
    /// Share of seeds in which nothing is ever healed: of those only what must hold at every moment is judged.
    pub unhealed: PerMillion,
    /// Share of seeds in which contents are kept until all devices have them, and no longer; in the others for ever.
    pub trimmed: PerMillion,
    /// By [`FaultKind`].
    pub faults: [Setting; KINDS],
    /// Faults that are off although a seed would have them on: to find out which mattered.
    pub without: Vec<FaultKind>,
    /// What is left of a seed.
    pub plan: Plan,
    /// How much of what people do is of each [`Operation`].
    pub weights: [u32; Operation::ALL.len()],
    /// Of so many turns of all scenarios, this one takes one, where a run is limited by faults or by time.
    pub every: u64,
    /// Steps between two looks at everything (the machines' own checks, the proof of the log).
    pub sample_every: u64,
    /// Steps between two checkpoints of the hash chain.
    pub checkpoint_every: u64,
    /// What a world must not do, and from which step on. For the tests that it is noticed.
    #[doc(hidden)]
    pub sabotage: Option<(u64, Sabotage)>,
}

/// What a world must not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A number from outside gets into what happens.
    Impure(u64),
    /// It panics.
    Panic,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: "calm".into(),
            description: "Everything works: whatever fails here is no fault's doing.".into(),
            users: (2, 5),
            devices: (1, 3),
            crowd: (0, 0),
            groups: (1, 4),
            group_members: (0, 8),
            gateways: (1, 3),
            trouble_ms: (20_000, 90_000),
            settle_ms: 420_000,
            max_steps: 2_000_000,
            pace_ms: (50, 4_000),
            unsent: (4, 32),
            latency_ms: (1, 40),
            store_ms: (0, 4),
            sync_ms: (0, 20),
            body_bytes: (8, 200),
            window: (1, 64),
            deliveries: (1, 256),
            unflushed: (163_840, 524_288),
            batch: (1, 256),
            in_flight: (1, 8),
            skew_ms: 0,
            drift_per_million: 0,
            rounds: 500_000,
            swarm: 1_000_000,
            dead: 0,
            unhealed: 0,
            trimmed: 0,
            faults: [Setting::default(); KINDS],
            without: Vec::new(),
            plan: Plan::default(),
            weights: [60, 12, 28, 60, 16, 20, 8, 2, 4, 2, 6, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            every: 1,
            sample_every: 512,
            checkpoint_every: 1024,
            sabotage: None,
        }
    }
}

impl Scenario {
    /// The same with a fault that happens so often.
    #[must_use]
    pub fn with(mut self, kind: FaultKind, per_million: PerMillion, length: Bounds) -> Self {
        self.faults[kind as usize] = Setting { per_million, length };
        self
    }

    /// Everything at once, as rough as it gets: short lives of connections, apps and gateways, a store in trouble, wrong clocks.
    pub fn storm() -> Self {
        use FaultKind as F;
        let storm = Self {
            name: "storm".into(),
            description: "Everything goes wrong, in a different mixture for each seed.".into(),
            swarm: 600_000,
            dead: 50_000,
            unhealed: 50_000,
            trouble_ms: (200_000, 2_000_000),
            unsent: (2, 16),
            users: (2, 8),
            rounds: 200_000,
            pace_ms: (300, 6_000),
            skew_ms: 120_000,
            drift_per_million: 500,
            ..Self::default()
        };
        [
            (F::Refused, 100_000, (0, 0)),
            (F::DialLost, 50_000, (0, 0)),
            (F::Reset, 10_000, (0, 0)),
            (F::HalfOpen, 2_000, (0, 0)),
            (F::OneWay, 2_000, (0, 0)),
            (F::Delay, 850_000, (1, 4_000)),
            (F::Stall, 3_000, (1_000, 25_000)),
            (F::SlowReader, 100_000, (200, 2_000)),
            (F::Garbage, 2_000, (0, 0)),
            (F::GoodbyeLost, 200_000, (0, 0)),
            (F::ReconnectStorm, 30_000, (0, 0)),
            (F::Blackout, 30_000, (1_000, 40_000)),
            (F::Conflict, 300_000, (0, 0)),
            (F::UnknownCommitted, 20_000, (0, 500)),
            (F::UnknownLost, 20_000, (0, 500)),
            (F::LateCommit, 20_000, (1, 3_000)),
            (F::TooOld, 10_000, (0, 0)),
            (F::StoreStall, 5_000, (500, 8_000)),
            (F::Overload, 30_000, (100, 15_000)),
            (F::BellLost, 100_000, (0, 0)),
            (F::BellLate, 700_000, (1, 10_000)),
            (F::BellTwice, 400_000, (0, 50)),
            (F::BellSpurious, 300_000, (0, 0)),
            (F::Partition, 30_000, (500, 45_000)),
            (F::Crash, 40_000, (0, 20_000)),
            (F::Pause, 40_000, (500, 70_000)),
            (F::Drain, 30_000, (0, 20_000)),
            (F::TwoIncarnations, 30_000, (1_000, 40_000)),
            (F::KilledBeforeSync, 10_000, (10, 20_000)),
            (F::KilledAfterSync, 10_000, (10, 20_000)),
            (F::SlowSync, 750_000, (1, 6_000)),
            (F::StoreJitter, 850_000, (1, 2_000)),
            (F::TimerLate, 750_000, (1, 10_000)),
            (F::Offline, 60_000, (500, 60_000)),
            (F::Suspended, 60_000, (10, 5_000)),
            (F::GatewayClock, 30_000, (1, 300_000)),
            (F::DeviceClock, 30_000, (1, 3_600_000)),
            (F::OldToken, 200_000, (22 * DAY_MS, 125 * DAY_MS)),
            (F::Reinstalled, 1_000, (500, 20_000)),
            (F::Away, 2_000, (7 * DAY_MS, 60 * DAY_MS)),
            (F::SentAgain, 100_000, (0, 0)),
            (F::Hostile, 300_000, (0, 0)),
        ]
        .into_iter()
        .fold(storm, |storm, (kind, per_million, length)| storm.with(kind, per_million, length))
    }
}
