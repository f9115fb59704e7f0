//! What both modes show, in words.

use doubletick_client::{Change, Millis, Presence, Reject, State, Status, Timestamp, UserId, refusal};
use jiff::tz::TimeZone;
use jiff::{Timestamp as Moment, Zoned};

/// A moment where the reader is.
pub(crate) fn zoned(at: Timestamp, zone: &TimeZone) -> Zoned {
    let millis = i64::try_from(at.millis()).unwrap_or(i64::MAX);
    Moment::from_millisecond(millis).unwrap_or(Moment::MAX).to_zoned(zone.clone())
}

/// The time of day, such as `14:05`.
pub(crate) fn time_of_day(at: Timestamp, zone: &TimeZone) -> String {
    zoned(at, zone).strftime("%H:%M").to_string()
}

/// The day, such as `Wed 25 Nov 2026`.
pub(crate) fn day(at: Timestamp, zone: &TimeZone) -> String {
    zoned(at, zone).strftime("%a %d %b %Y").to_string()
}

/// A moment for programs (RFC 3339, in UTC).
pub(crate) fn rfc3339(at: Timestamp) -> String {
    zoned(at, &TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// A moment as short as may be: the time of day today, else the day.
pub(crate) fn when(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (moment, today) = (zoned(at, zone), zoned(now, zone));
    let format = if moment.date() == today.date() {
        "%H:%M"
    } else if moment.year() == today.year() {
        "%d %b"
    } else {
        "%d %b %Y"
    };
    moment.strftime(format).to_string()
}

/// What is to be seen of somebody.
pub(crate) fn presence(presence: Presence, now: Timestamp, zone: &TimeZone) -> String {
    match presence {
        Presence::Hidden | Presence::Offline { last_seen: None } => String::new(),
        Presence::Online => "online".into(),
        Presence::Offline { last_seen: Some(at) } if zoned(at, zone).date() == zoned(now, zone).date() => {
            format!("last seen at {}", time_of_day(at, zone))
        }
        Presence::Offline { last_seen: Some(at) } => format!("last seen {} at {}", when(at, now, zone), time_of_day(at, zone)),
    }
}

/// Where the connection stands, and how long until the next try.
pub(crate) fn status(status: &Status, left: Millis) -> String {
    match status {
        Status::Connecting => "connecting …".into(),
        Status::Online => "connected".into(),
        Status::Waiting { why, .. } => format!("offline, next try in {} s: {why}", left.0.div_ceil(1000).max(1)),
        Status::Stopped(stop) => stop.to_string(),
    }
}

/// What somebody has done to a group.
pub(crate) fn change(change: &Change, who: &str, name: &impl Fn(UserId) -> String) -> String {
    let names = |users: &[UserId]| match users {
        [one] => name(*one),
        [one, other] => format!("{} and {}", name(*one), name(*other)),
        [one, others @ ..] => format!("{} and {} others", name(*one), others.len()),
        [] => String::new(),
    };
    match change {
        Change::Created { name, .. } => format!("{who} created the group {name}"),
        Change::Added { users } => format!("{who} added {}", names(users)),
        Change::Removed { user } => format!("{who} removed {}", name(*user)),
        Change::Left => format!("{who} left"),
        Change::RoleSet { user, admin: true } => format!("{who} made {} an admin", name(*user)),
        Change::RoleSet { user, admin: false } => format!("{who} made {} a member who is no admin", name(*user)),
        Change::Renamed { name } => format!("{who} named the group {name}"),
        Change::AvatarSet { .. } => format!("{who} changed the group's picture"),
        Change::SettingsSet { .. } => format!("{who} changed the group's settings"),
    }
}

/// The tick of an own message.
pub(crate) fn tick(state: State) -> &'static str {
    match state {
        State::Received => "",
        State::Waiting => "·",
        State::Sent => "✓",
        State::Delivered | State::Read => "✓✓",
        State::Failed { .. } => "✗",
    }
}

/// Why a message failed.
pub(crate) fn failure(code: u32) -> &'static str {
    Reject::from_code(code, 0).map_or("the server refused it", refusal)
}

/// Text that cannot play tricks on a terminal: no control characters, and none that turn the direction of what follows.
pub(crate) fn harmless(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|c| *c == '\n' || !(c.is_control() || turns(*c))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_795_608_000_000;

    #[test]
    fn moments_are_said_as_shortly_as_they_are_clear() {
        let (now, utc) = (Timestamp::from_millis(NOON), TimeZone::UTC);
        let ago = |hours: u64| Timestamp::from_millis(NOON - hours * 3_600_000);
        assert_eq!(rfc3339(now), "2026-11-25T12:00:00.000Z");
        assert_eq!(when(ago(1), now, &utc), "11:00");
        assert_eq!(when(ago(24), now, &utc), "24 Nov");
        assert_eq!(when(ago(24 * 365), now, &utc), "25 Nov 2025");
        assert_eq!(presence(Presence::Offline { last_seen: Some(ago(2)) }, now, &utc), "last seen at 10:00");
        assert_eq!(presence(Presence::Offline { last_seen: Some(ago(26)) }, now, &utc), "last seen 24 Nov at 10:00");
    }

    #[test]
    fn a_text_cannot_steer_the_terminal() {
        assert_eq!(harmless("a\x1b[2Jb\r\n\u{202e}c\t"), "a[2Jb\nc");
    }
}
