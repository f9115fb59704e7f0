//! The table of keys that a scenario file may have.

use crate::fault::FaultKind;
use crate::scenario::{Bounds, Scenario};
use core::ops::RangeInclusive;
use doubletick_core::limits;

/// Something that a scenario file may say.
pub(crate) struct Key {
    /// Its name in the file.
    pub(crate) name: &'static str,
    /// What it means, with its unit.
    pub(crate) help: &'static str,
    /// Where it belongs, and what it may be.
    pub(crate) field: Field,
}

/// Where a value belongs, and what it may be.
pub(crate) enum Field {
    /// A sentence.
    Text(fn(&mut Scenario) -> &mut String),
    /// A whole number within a range.
    Number(RangeInclusive<u64>, fn(&Scenario) -> u64, fn(&mut Scenario, u64)),
    /// The least and the most, both within a range. A single number is both.
    Bounds(RangeInclusive<u64>, fn(&mut Scenario) -> &mut Bounds),
}

/// A day, the longest that anything lasts in a world.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Certainty.
pub(crate) const MILLION: u64 = 1_000_000;
/// How long a fault may last, or how large it may be.
pub(crate) const LENGTH: RangeInclusive<u64> = 0..=365 * DAY_MS;
/// What an operation's weight may be.
pub(crate) const WEIGHT: RangeInclusive<u64> = 0..=1_000_000;
/// Two pages of the log in bytes: a session that may hold less could never be sent a backlog.
const LEAST_UNFLUSHED: u64 = 163_840;

const fn number(range: RangeInclusive<u64>, get: fn(&Scenario) -> u64, set: fn(&mut Scenario, u64)) -> Field {
    Field::Number(range, get, set)
}

const fn key(name: &'static str, help: &'static str, field: Field) -> Key {
    Key { name, help, field }
}

/// All of them, but those of the tables `faults` and `operations`.
pub(crate) const KEYS: &[Key] = &[
    key("description", "What it is for, in one sentence", Field::Text(|it| &mut it.description)),
    key("users", "People", Field::Bounds(2..=64, |it| &mut it.users)),
    key("devices", "Devices of each", Field::Bounds(1..=limits::DEVICES_PER_USER as u64, |it| &mut it.devices)),
    key(
        "crowd",
        "People who have an account and a device that is never there: members for large groups",
        Field::Bounds(0..=limits::GROUP_MEMBERS as u64, |it| &mut it.crowd),
    ),
    key("groups", "Groups that people make, at most", Field::Bounds(1..=64, |it| &mut it.groups)),
    key(
        "group_members",
        "Members besides its creator with which a group is made; as many as there are people, if those are fewer",
        Field::Bounds(0..=limits::GROUP_MEMBERS as u64 - 1, |it| &mut it.group_members),
    ),
    key("gateways", "Places at which gateways run", Field::Bounds(1..=32, |it| &mut it.gateways)),
    key("trouble_ms", "How long things go wrong, in virtual milliseconds", Field::Bounds(1_000..=30 * DAY_MS, |it| &mut it.trouble_ms)),
    key(
        "settle_ms",
        "Within this time after everything was healed all must have converged, in virtual milliseconds",
        number(1..=DAY_MS, |it| it.settle_ms, |it, value| it.settle_ms = value),
    ),
    key(
        "max_steps",
        "Steps after which a run is stopped and counts as a failure of liveness",
        number(1_000..=1_000_000_000, |it| it.max_steps, |it, value| it.max_steps = value),
    ),
    key("pace_ms", "Between two things that somebody does, in milliseconds", Field::Bounds(1..=DAY_MS, |it| &mut it.pace_ms)),
    key(
        "unsent",
        "Messages that wait to be sent, beyond which the user of a device writes no more until some are",
        Field::Bounds(1..=100_000, |it| &mut it.unsent),
    ),
    key("latency_ms", "Of a frame on its way, in milliseconds", Field::Bounds(0..=60_000, |it| &mut it.latency_ms)),
    key("store_ms", "Of each step of a transaction, in milliseconds", Field::Bounds(0..=5_000, |it| &mut it.store_ms)),
    key("sync_ms", "Of a device's sync, in milliseconds", Field::Bounds(0..=60_000, |it| &mut it.sync_ms)),
    key("body_bytes", "Bytes of a message's body", Field::Bounds(1..=limits::CONTENT_BYTES as u64, |it| &mut it.body_bytes)),
    key("window", "Messages that a session may have under way", Field::Bounds(1..=4_096, |it| &mut it.window)),
    key("deliveries", "Entries that a session may leave unacknowledged", Field::Bounds(1..=65_536, |it| &mut it.deliveries)),
    key("unflushed", "Bytes that a session may leave unflushed", Field::Bounds(LEAST_UNFLUSHED..=64 * 1024 * 1024, |it| &mut it.unflushed)),
    key("batch", "Commands in a transaction", Field::Bounds(1..=limits::COMMANDS_PER_TRANSACTION as u64, |it| &mut it.batch)),
    key("in_flight", "Transactions that a gateway has under way", Field::Bounds(1..=1_024, |it| &mut it.in_flight)),
    key(
        "skew_ms",
        "How far clocks are off at the beginning, at most, in milliseconds, in either direction",
        number(0..=365 * DAY_MS, |it| it.skew_ms, |it, value| it.skew_ms = value),
    ),
    key(
        "drift_per_million",
        "How much too fast or slow clocks run at most, in parts of a million",
        number(0..=100_000, |it| it.drift_per_million.into(), |it, value| it.drift_per_million = value as u32),
    ),
    key(
        "rounds_per_million",
        "Share of transactions that fetch what they read in rounds; the others have everything at hand",
        number(0..=MILLION, |it| it.rounds.into(), |it, value| it.rounds = value as u32),
    ),
    key(
        "swarm_per_million",
        "Share of the faults, and of the operations, that are on in a seed; a million is all of them, at the rates given",
        number(1..=MILLION, |it| it.swarm.into(), |it, value| it.swarm = value as u32),
    ),
    key(
        "dead_per_million",
        "Share of devices and of gateways' places that stay away for good when everything is healed; at least one gateway comes back",
        number(0..=MILLION, |it| it.dead.into(), |it, value| it.dead = value as u32),
    ),
    key(
        "unhealed_per_million",
        "Share of seeds in which nothing is ever healed: of those only what must hold at every moment is judged",
        number(0..=MILLION, |it| it.unhealed.into(), |it, value| it.unhealed = value as u32),
    ),
    key(
        "trimmed_per_million",
        "Share of seeds in which contents are kept until all devices have them, and no longer; in the others for ever",
        number(0..=MILLION, |it| it.trimmed.into(), |it, value| it.trimmed = value as u32),
    ),
    key(
        "every",
        "Of so many turns of all scenarios this one takes one, in a run that is limited by faults or by time",
        number(1..=1_000, |it| it.every, |it, value| it.every = value),
    ),
    key(
        "sample_every",
        "Steps between two looks at everything (the machines' own checks, the proof of the log)",
        number(1..=1_000_000, |it| it.sample_every, |it, value| it.sample_every = value),
    ),
    key(
        "checkpoint_every",
        "Steps between two checkpoints of the hash chain",
        number(1..=1_000_000, |it| it.checkpoint_every, |it, value| it.checkpoint_every = value),
    ),
];

/// Whether a kind of fault has a length or a size. A file that gives one to a kind without is refused, for it would say nothing.
pub(crate) fn has_length(kind: FaultKind) -> bool {
    use FaultKind as F;
    !matches!(
        kind,
        F::Refused
            | F::DialLost
            | F::Reset
            | F::HalfOpen
            | F::OneWay
            | F::Garbage
            | F::GoodbyeLost
            | F::ReconnectStorm
            | F::Conflict
            | F::TooOld
            | F::BellLost
            | F::SentAgain
            | F::Hostile
            | F::BellSpurious
    )
}
