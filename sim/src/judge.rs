//! The judge: what happens when the time of trouble is over, and whether a run that has not come to rest has had its chance.
//!
//! Most worlds are healed: whatever was wrong is right again, but for the machines that stay away for good. From then on everything must
//! converge, by the deadline of the scenario, or later for as long as something still arrives: a great backlog over a slow store is no
//! failure. Devices that nothing can reach, or that were removed, are not judged, and nobody is blamed for what only they know.
//! Some worlds never heal: of those only what must hold at every moment is judged.

use crate::draw::{What, Who};
use crate::oracle::Oracle;
use crate::run::FailureKind;
use crate::world::{Event, World};

/// How often it is looked whether everything has converged.
const LOOK_MS: u64 = 2_000;
/// Nothing has arrived for this long: nothing will.
const STALLED_MS: u64 = 60_000;

/// When something last arrived.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    arrived: u64,
    at: u64,
}

impl World<'_> {
    /// The time of trouble is over.
    pub(crate) fn heal(&mut self) {
        if self.draws.chance(Who::World, What::Constant(65), 0, self.scenario.unhealed) {
            return self.rest();
        }
        self.healed = true;
        self.overloaded_until = 0;
        let count = self.slots.len() as u64;
        let survivor = self.draws.below(Who::World, What::Constant(66), 0, count) as u32;
        for slot in 0..self.slots.len() as u32 {
            if slot != survivor && self.draws.chance(Who::Slot(slot), What::Constant(6), 0, self.scenario.dead) {
                self.slot_dies(slot);
            }
        }
        for host in &mut self.hosts {
            host.heal();
        }
        for slot in 0..self.slots.len() as u32 {
            self.at(self.now, Event::Start(slot));
        }
        for device in 0..self.devices.len() as u32 {
            self.heal_device(device);
        }
        self.after(LOOK_MS, Event::Look);
    }

    /// Every gateway of a slot is gone, and none will follow.
    fn slot_dies(&mut self, slot: u32) {
        self.slots[slot as usize].dead = true;
        for host in 0..self.hosts.len() as u32 {
            if self.hosts[host as usize].slot == slot {
                let word = self.draws.chance(Who::Host(host), What::Detail(8), 0, 500_000);
                self.kill_host(host, word);
            }
        }
    }

    /// Has everything converged?
    pub(crate) fn look(&mut self) {
        let arrived = self.work.stored + self.work.accepted;
        if arrived > self.progress.arrived {
            self.progress = Progress { arrived, at: self.now };
        }
        match self.unsettled() {
            None => self.rest(),
            Some((oracle, detail))
                if self.now >= self.deadline && self.now >= self.progress.at + STALLED_MS.min(self.scenario.settle_ms) =>
            {
                self.fail(FailureKind::Liveness, oracle, detail);
            }
            Some(_) => self.after(LOOK_MS, Event::Look),
        }
    }

    /// The run has come to its end.
    fn rest(&mut self) {
        self.done = true;
        self.last_look();
        if let Some((oracle, detail)) = self.oracles.broken() {
            self.fail(FailureKind::Safety, oracle, detail);
        }
    }

    /// Too many steps: everything goes round in circles.
    pub(crate) fn exhausted(&mut self) {
        self.fail(FailureKind::Liveness, Oracle::Convergence, "too many steps: something goes round in circles".into());
    }
}
