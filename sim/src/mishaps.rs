//! What befalls devices rarely: storage that is lost, weeks of absence, tokens that grow old, messages that were forgotten.

use crate::device::Device;
use crate::draw::{What, Who};
use crate::fault::FaultKind;
use crate::oracle::Oracle;
use crate::world::{Event, World};
use doubletick_core::client::Outgoing;
use doubletick_core::frame::CloseReason;
use doubletick_core::limits;

/// How long people look at an app that says that another has taken its place.
const REOPEN_MS: u64 = 20_000;
/// What clocks that are set may add to the age of a token, in milliseconds.
const CLOCKS_MS: u64 = 86_400_000;

impl World<'_> {
    /// There is another device of somebody's, which is registered at some time.
    pub(crate) fn add_device(&mut self, user: u32, at: u64, hostile: bool) {
        let device = self.devices.len() as u32;
        let who = Who::Device(device);
        let clock = self.clock(who);
        let mut it = Device::new(user, clock, self.secret(who, 0));
        it.hostile = hostile;
        self.oracles.device_of(user);
        self.devices.push(it);
        if self.leapt > 0 {
            self.devices[device as usize].clock.step(self.leapt as i64);
        }
        if !hostile && self.fault(FaultKind::OldToken, who, 0) {
            self.devices[device as usize].age_ms = self.size(FaultKind::OldToken, who, 0);
        }
        if self.scenario.plan.devices.as_ref().is_none_or(|left| left.contains(&device)) {
            self.at(at, Event::Register(device));
        }
    }

    /// Something that happens to a device once in a long while. Says whether it did.
    pub(crate) fn mishap(&mut self, device: u32, who: Who, counter: u64) -> bool {
        if self.fault(FaultKind::Reinstalled, who, counter) {
            self.fired(FaultKind::Reinstalled);
            let wait = self.size(FaultKind::Reinstalled, who, counter);
            self.reinstall(device, wait);
            return true;
        }
        if self.leapt == 0 && self.fault(FaultKind::Away, who, counter) {
            self.fired(FaultKind::Away);
            self.kill_device(device, self.draws.chance(who, What::Detail(9), counter, 500_000));
            self.leap(self.size(FaultKind::Away, who, counter));
            self.after(1, Event::Boot(device));
            return true;
        }
        false
    }

    /// Everything on a device is gone; its user registers it again, and it is another device.
    pub(crate) fn reinstall(&mut self, device: u32, wait: u64) {
        self.kill_device(device, true);
        self.devices[device as usize].dead = true;
        let user = self.devices[device as usize].user;
        self.add_device(user, self.now + wait, false);
    }

    /// A long time passes, in which nobody does anything: all clocks say so.
    fn leap(&mut self, millis: u64) {
        self.leapt += millis;
        self.slots.iter_mut().for_each(|slot| slot.clock.step(millis as i64));
        self.hosts.iter_mut().for_each(|host| host.clock.step(millis as i64));
        self.devices.iter_mut().for_each(|device| device.clock.step(millis as i64));
        (0..self.hosts.len() as u32).for_each(|host| self.arm_host(host));
        (0..self.devices.len() as u32).for_each(|device| self.arm_device(device));
    }

    /// Before an app starts: now and then its disk does not know any more that a message was accepted.
    pub(crate) fn forgets_acceptance(&mut self, device: u32) {
        let (who, boots) = (Who::Device(device), self.devices[device as usize].boots);
        if !self.fault(FaultKind::SentAgain, who, boots) {
            return;
        }
        let drawn = self.draws.number(who, What::Detail(10), boots);
        let Some((conversation, id, content)) = self.oracles.told_message(device, drawn) else { return };
        let outbox = &mut self.devices[device as usize].disk.outbox;
        if outbox.iter().all(|waiting| waiting.id != id) {
            outbox.insert(0, Outgoing { conversation, id, content });
            self.fired(FaultKind::SentAgain);
        }
    }

    /// An app has stopped for good, as it was told to: that must have a reason.
    pub(crate) fn app_stopped(&mut self, device: u32, reason: CloseReason) {
        let it = &self.devices[device as usize];
        let aged = it.age_ms + self.leapt + self.now + CLOCKS_MS >= limits::TOKEN_LIFE.0 + limits::TOKEN_GRACE.0;
        let removed = self.oracles.is_removed(device);
        let robbed = self.oracles.is_robbed(device);
        let right = if reason == CloseReason::Replaced {
            robbed
        } else if reason == CloseReason::DeviceRemoved {
            removed
        } else {
            // A thief may have used a new token before its owner did.
            reason == CloseReason::BadToken && (aged || removed || robbed)
        };
        self.oracles.compare(Oracle::Convergence, right, || format!("device {device} was sent away for good: {reason:?}"));
        if reason == CloseReason::Replaced {
            self.after(REOPEN_MS, Event::Reopen(device));
        } else if !self.oracles.is_removed(device) {
            self.device_feels(device, FaultKind::OldToken);
            self.reinstall(device, 1_000);
        }
    }
}
