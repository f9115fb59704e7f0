//! The simulator: the real core, many gateways and devices of it, one store, on one thread, in virtual time, from one seed.
//!
//! [`run`] takes a [`Scenario`] and a seed and says what came of it: a [`Verdict`], what the faults did, how much the oracles compared,
//! and a hash of everything that happened. Nothing here reads a clock, draws a random number or starts a thread, so the same seed gives
//! the same run on every machine; [`cli`], the command line around it, is the one part that may.
//!
//! Reading order: [`scenario`] and [`fault`] (what a world is made of), [`draw`] (keyed randomness), `world` (time and events),
//! [`store`] (FoundationDB's semantics), [`attempt`] (a transaction), `flight` (what goes wrong with it), `host` (gateways), `network` (links),
//! `device` (apps and their disks), `people` and `groups` (what is done), `weather` (what goes wrong by itself), [`oracle`] (what always holds), [`watch`] (a run tells its
//! story; [`traffic`] and [`standing`] are what a close look adds), [`plan`] (what is left of a seed when it is told again with less),
//! [`player`] (any step of a run, forwards and backwards), [`inspect`] (what is to be seen there).

pub mod attempt;
pub mod cli;
mod clock;
mod device;
pub mod draw;
pub mod fault;
mod flight;
mod groups;
mod host;
mod hostile;
pub mod inspect;
mod judge;
mod mishaps;
mod network;
mod options;
pub mod oracle;
mod people;
pub mod plan;
pub mod player;
mod run;
pub mod scenario;
mod slab;
pub mod standing;
pub mod store;
mod trace;
pub mod traffic;
pub mod watch;
mod weather;
mod world;

pub use run::{Failure, FailureKind, Run, Verdict, Work, run};
pub use scenario::Scenario;
