//! Core writes and reads the changes of a group by itself; the bytes must be those that the schema gives to everybody else.

use doubletick_core::change::{Change, KIND, Settings};
use doubletick_core::content::{Body, Parts};
use doubletick_core::id::UserId;
use pb::group_change::Change as Pb;
use prost::Message;

#[path = "../../src/generated.rs"]
#[allow(dead_code, unreachable_pub, clippy::all, reason = "written by prost-build")]
#[rustfmt::skip]
mod pb;

fn bytes(change: &Change) -> Vec<u8> {
    match change.content().parts() {
        Parts::Shared(body) => body.bytes.to_vec(),
        Parts::PerDevice(_) => unreachable!("a change has one body"),
    }
}

fn settings(settings: Settings) -> pb::GroupSettings {
    let Settings { admins_add, admins_edit, admins_post, limit } = settings;
    pb::GroupSettings { admins_add, admins_edit, admins_post, limit }
}

/// The same change by the schema's own types.
fn by_schema(change: &Change) -> Pb {
    let ids = |users: &[UserId]| users.iter().map(|user| user.0).collect();
    match change {
        Change::Created { name, members, settings: set } => {
            Pb::Created(pb::GroupCreated { name: name.clone(), members: ids(members), settings: Some(settings(*set)) })
        }
        Change::Added { users } => Pb::Added(pb::GroupAdded { users: ids(users) }),
        Change::Removed { user } => Pb::Removed(user.0),
        Change::Left => Pb::Left(true),
        Change::RoleSet { user, admin } => Pb::RoleSet(pb::GroupRoleSet { user: user.0, admin: *admin }),
        Change::Renamed { name } => Pb::Renamed(name.clone()),
        Change::AvatarSet { avatar } => Pb::AvatarSet(avatar.clone()),
        Change::SettingsSet { settings: set } => Pb::SettingsSet(settings(*set)),
    }
}

#[test]
fn a_change_has_the_bytes_of_the_schema() {
    let all = Settings { admins_add: true, admins_edit: true, admins_post: true, limit: 300 };
    for change in [
        crate::frames::created(),
        Change::Created { name: "alone".into(), members: vec![], settings: Settings::default() },
        Change::Added { users: (1..200).map(UserId).collect() },
        Change::Removed { user: UserId(u64::MAX) },
        Change::Left,
        Change::RoleSet { user: UserId(1), admin: true },
        Change::RoleSet { user: UserId(1), admin: false },
        Change::Renamed { name: "é".into() },
        Change::AvatarSet { avatar: vec![0, 255] },
        Change::AvatarSet { avatar: vec![] },
        Change::SettingsSet { settings: all },
    ] {
        let schema = pb::GroupChange { change: Some(by_schema(&change)) }.encode_to_vec();
        assert_eq!(bytes(&change), schema, "{change:?}");
        let body = Body { kind: KIND, bytes: schema.into() };
        assert_eq!(Change::of_body(&body), Ok(Some(change)));
    }
    assert_eq!(KIND, pb::BodyKind::GroupChange as u32);
    assert_eq!(doubletick_core::content::TRIMMED, pb::BodyKind::Trimmed as u32);
}
