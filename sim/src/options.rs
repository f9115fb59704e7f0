//! What a seed makes of a scenario: a random subset of faults and operations, and every constant drawn, extremes included.

use crate::draw::{Draws, MILLION, PerMillion, What, Who};
use crate::fault::{FaultKind, KINDS};
use crate::scenario::{Bounds, Operation, Scenario, Setting};
use doubletick_core::gateway::{Config, Retention};
use doubletick_core::time::Millis;

/// The world of one seed.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) users: u64,
    pub(crate) devices: Bounds,
    pub(crate) crowd: u64,
    pub(crate) groups: u64,
    pub(crate) group_members: Bounds,
    pub(crate) gateways: u64,
    pub(crate) trouble_ms: u64,
    pub(crate) pace_ms: Bounds,
    pub(crate) unsent: u64,
    pub(crate) latency_ms: Bounds,
    pub(crate) store_ms: Bounds,
    pub(crate) sync_ms: Bounds,
    pub(crate) body_bytes: Bounds,
    pub(crate) config: Config,
    pub(crate) rounds: PerMillion,
    pub(crate) faults: [Setting; KINDS],
    pub(crate) weights: [u32; Operation::ALL.len()],
}

impl Options {
    pub(crate) fn draw(scenario: &Scenario, seed: u64) -> Self {
        let drawer = Drawer(Draws::new(seed));
        let config = Config {
            window: drawer.constant(1, scenario.window) as u32,
            deliveries: drawer.constant(2, scenario.deliveries) as u32,
            unflushed: drawer.constant(3, scenario.unflushed) as u32,
            batch: drawer.constant(4, scenario.batch) as usize,
            in_flight: drawer.constant(5, scenario.in_flight) as usize,
            retention: if drawer.0.chance(Who::World, What::Constant(70), 0, scenario.trimmed) {
                Retention::UntilDelivered
            } else {
                Retention::Forever
            },
            retention_walk: Millis(drawer.constant(71, (1, 60_000))),
            ..Config::default()
        };
        Self {
            users: drawer.constant(6, scenario.users),
            devices: drawer.bounds(7, scenario.devices),
            crowd: drawer.constant(22, scenario.crowd),
            groups: drawer.constant(23, scenario.groups),
            group_members: drawer.bounds(24, scenario.group_members),
            gateways: drawer.constant(8, scenario.gateways),
            trouble_ms: drawer.constant(9, scenario.trouble_ms),
            pace_ms: drawer.bounds(10, scenario.pace_ms),
            unsent: drawer.constant(21, scenario.unsent),
            latency_ms: drawer.bounds(12, scenario.latency_ms),
            store_ms: drawer.bounds(14, scenario.store_ms),
            sync_ms: drawer.bounds(16, scenario.sync_ms),
            body_bytes: drawer.bounds(18, scenario.body_bytes),
            config,
            rounds: drawer.constant(20, (0, 2 * u64::from(scenario.rounds))).min(u64::from(MILLION)) as PerMillion,
            faults: drawer.faults(scenario),
            weights: drawer.weights(scenario),
        }
    }

    pub(crate) fn setting(&self, kind: FaultKind) -> Setting {
        self.faults[kind as usize]
    }
}

struct Drawer(Draws);

impl Drawer {
    /// One of the extremes in half of all seeds, anything between in the others.
    fn constant(&self, number: u32, (least, most): Bounds) -> u64 {
        match self.0.below(Who::World, What::Constant(number), 1, 4) {
            0 => least,
            1 => most,
            _ => self.0.within(Who::World, What::Constant(number), 2, (least, most)),
        }
    }

    /// Bounds within bounds.
    fn bounds(&self, number: u32, bounds: Bounds) -> Bounds {
        let (one, other) = (self.constant(number, bounds), self.constant(number + 1, bounds));
        (one.min(other), one.max(other))
    }

    fn faults(&self, scenario: &Scenario) -> [Setting; KINDS] {
        let mut faults = scenario.faults;
        for kind in FaultKind::ALL {
            let setting = &mut faults[kind as usize];
            // Delays are what makes orders differ, so few seeds do without; how often they happen differs all the more.
            let share = if kind.only_delays() { scenario.swarm + (MILLION - scenario.swarm) * 3 / 4 } else { scenario.swarm };
            if scenario.without.contains(&kind) || !self.0.chance(Who::World, What::FaultOn(kind), 0, share) {
                setting.per_million = 0;
            } else if scenario.swarm < MILLION {
                // Eight times rarer to eight times as often, by powers of two.
                let scale = self.0.below(Who::World, What::FaultScale(kind), 0, 7);
                let scaled = (u64::from(setting.per_million) << scale) / 8;
                let most = if kind.only_delays() { MILLION } else { MILLION / 2 };
                setting.per_million = scaled.clamp(u64::from(setting.per_million > 0), most.into()) as PerMillion;
            }
        }
        faults
    }

    fn weights(&self, scenario: &Scenario) -> [u32; Operation::ALL.len()] {
        let mut weights = scenario.weights;
        for operation in Operation::ALL {
            // Without these there would be nothing to be seen.
            let on = matches!(operation, Operation::Write | Operation::GroupCreate | Operation::GroupPost)
                || self.0.chance(Who::World, What::OperationOn(operation as u32), 0, scenario.swarm.max(MILLION / 2));
            weights[operation as usize] *= u32::from(on);
        }
        weights
    }
}
