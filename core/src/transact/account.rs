//! Accounts, devices, tokens, and the lists and settings of a user.

use super::{Decision, devices_of, group};
use crate::command::Reply;
use crate::event::Event;
use crate::frame::{Privacy, UserList};
use crate::id::{DeviceId, Digest, Phone, UserId};
use crate::limits;
use crate::reject::Reject;
use crate::rows::{self, Account, Device, LinkedDevice, Listed, Verification};
use crate::time::Timestamp;
use crate::view::{Stop, View};
use alloc::borrow::ToOwned;
use alloc::vec;
use alloc::vec::Vec;

pub(super) fn request_code(view: &mut View, now: Timestamp, phone: &Phone, code: Digest) -> Result<Decision, Stop> {
    let before = view.find(&rows::verification(phone))?;
    if before.and_then(|before| good_code(&before, now)) == Some(code) {
        return Ok(Decision::reply(Reply::Done));
    }
    let (window, asked) = match before {
        Some(before) if now < before.window + limits::CODE_WINDOW => (before.window, before.asked),
        _ => (now, 0),
    };
    if asked >= limits::CODES_PER_WINDOW {
        return Err(Reject::TooMany { retry_after: (window + limits::CODE_WINDOW).since(now) }.into());
    }
    let state = Verification { code: Some(code), expires: now + limits::CODE_LIFE, wrong: 0, window, asked: asked + 1 };
    Ok(Decision::of(vec![Event::VerificationMoved { phone: phone.clone(), state }], Reply::Done))
}

pub(super) fn register(
    view: &mut View,
    now: Timestamp,
    phone: &Phone,
    code: Digest,
    secret: Digest,
    new_user: UserId,
    name: &str,
) -> Result<Decision, Stop> {
    let (owner, verification) = (rows::phone(phone), rows::verification(phone));
    view.need(&[owner.key, verification.key])?;
    let known = view.get(&owner)?.map(|row| row.user);
    let user = known.unwrap_or(new_user);
    let account = view.get(&rows::account(user))?;
    // A retry goes before every rule: the code is used up, and the device must hear its name all the same.
    if let (Some(user), Some(account)) = (known, &account)
        && let Some(registered) = linked_before(view, user, account, secret)?
    {
        return Ok(registered);
    }

    let state = view.find(&verification)?.ok_or(Reject::CodeVoid)?;
    let expected = good_code(&state, now).ok_or(Reject::CodeVoid)?;
    if code != expected {
        let state = Verification { wrong: state.wrong + 1, ..state };
        let events = vec![Event::VerificationMoved { phone: phone.clone(), state }];
        return Ok(Decision { events, answer: Err(Reject::WrongCode) });
    }
    if name.len() > limits::NAME_BYTES {
        return Err(Reject::Nonsense.into());
    }
    let mut events = vec![];
    let mut account = match (known, account) {
        (Some(_), Some(account)) => account,
        (Some(_), None) => return Err(Reject::Damaged.into()),
        // The random id is taken: the next try brings another.
        (None, Some(_)) => return Err(Reject::Unavailable.into()),
        (None, None) => {
            events.push(Event::AccountCreated { user, phone: phone.clone() });
            let phone = phone.as_str().to_owned();
            Account { phone, devices: vec![], next_serial: 1, device_epoch: 0, privacy: Privacy::default() }
        }
    };
    if account.devices.len() >= limits::DEVICES_PER_USER || account.next_serial == u16::MAX {
        return Err(Reject::TooManyDevices.into());
    }
    let device = DeviceId { user, serial: account.next_serial };
    account.next_serial += 1;
    account.device_epoch += 1;
    account.devices.push(LinkedDevice { serial: device.serial, epoch: account.device_epoch, name: name.to_owned() });
    let expires = now + limits::TOKEN_LIFE;
    events.extend([
        Event::VerificationMoved { phone: phone.clone(), state: Verification { code: None, ..state } },
        Event::AccountChanged { user, account },
        Event::DeviceChanged { device, state: Device { secret, expires, previous: None } },
    ]);
    // A new account is in no group.
    if known.is_some() {
        events.extend(group::linked(view, device)?);
    }
    Ok(Decision::of(events, Reply::Registered { device, expires }))
}

/// The code that links a device, while there is one.
fn good_code(state: &Verification, now: Timestamp) -> Option<Digest> {
    state.code.filter(|_| now < state.expires && state.wrong < limits::CODE_ATTEMPTS)
}

fn linked_before(view: &mut View, user: UserId, account: &Account, secret: Digest) -> Result<Option<Decision>, Stop> {
    let devices: Vec<DeviceId> = devices_of(user, account).collect();
    let keys: Vec<_> = devices.iter().map(|device| rows::device(*device).key).collect();
    view.need(&keys)?;
    for device in devices {
        if let Some(state) = view.find(&rows::device(device))?.filter(|state| state.secret == secret) {
            return Ok(Some(Decision::reply(Reply::Registered { device, expires: state.expires })));
        }
    }
    Ok(None)
}

/// Any answer may be lost, so the device may hold the old token however often it was exchanged: that one stays until a new one was used.
pub(super) fn renew(view: &mut View, now: Timestamp, device: DeviceId, secret: Digest) -> Result<Decision, Stop> {
    let state = view.get(&rows::device(device))?.ok_or(Reject::DeviceRemoved)?;
    if state.secret == secret {
        return Ok(Decision::reply(Reply::Renewed { expires: state.expires }));
    }
    let expires = now + limits::TOKEN_LIFE;
    let state = Device { secret, expires, previous: state.previous.or(Some((state.secret, state.expires))) };
    Ok(Decision::of(vec![Event::DeviceChanged { device, state }], Reply::Renewed { expires }))
}

pub(super) fn remove_device(view: &mut View, device: DeviceId) -> Result<Decision, Stop> {
    // Both are asked for before either is judged, so that one round fetches both.
    let groups = group::unlinked(view, device.user);
    let mut account = view.get(&rows::account(device.user))?.ok_or(Reject::UnknownUser)?;
    let before = account.devices.len();
    account.devices.retain(|linked| linked.serial != device.serial);
    if account.devices.len() == before {
        return Ok(Decision::reply(Reply::Done));
    }
    let mut events = vec![Event::AccountChanged { user: device.user, account }, Event::DeviceRemoved { device }];
    events.extend(groups?);
    Ok(Decision::of(events, Reply::Done))
}

pub(super) fn set_privacy(view: &mut View, user: UserId, privacy: Privacy) -> Result<Decision, Stop> {
    let mut account = view.get(&rows::account(user))?.ok_or(Reject::UnknownUser)?;
    if account.privacy == privacy {
        return Ok(Decision::reply(Reply::Done));
    }
    account.privacy = privacy;
    Ok(Decision::of(vec![Event::AccountChanged { user, account }, Event::PrivacyChanged { user }], Reply::Done))
}

pub(super) fn set_listed(
    view: &mut View,
    now: Timestamp,
    owner: UserId,
    list: UserList,
    user: UserId,
    listed: bool,
) -> Result<Decision, Stop> {
    if owner == user {
        return Err(Reject::Nonsense.into());
    }
    let place = match list {
        UserList::Contacts => rows::contact(owner, user),
        UserList::Blocked => rows::block(owner, user),
    };
    let account = rows::account(user);
    view.need(&[place.key, account.key])?;
    if view.exists(&place)? == listed {
        return Ok(Decision::reply(Reply::Done));
    }
    if listed {
        view.get(&account)?.ok_or(Reject::UnknownUser)?;
        let held = view.scan::<Listed>(&rows::listed(owner, list))?;
        if held.len() as u32 >= limits::CONTACTS_PER_USER {
            return Err(Reject::ListFull.into());
        }
    }
    let event = Event::ListChanged { owner, list, user, since: listed.then_some(now) };
    Ok(Decision::of(vec![event], Reply::Done))
}
