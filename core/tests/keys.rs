//! The keys: bytes in the order of the values, runs that hold exactly their rows, and no two rows in one place.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one layout among many")]

use doubletick_core::frame::UserList;
use doubletick_core::id::{ConversationId, DeviceId, GatewayId, GroupId, MessageId, Phone, Seq, SessionEpoch, UserId};
use doubletick_core::rows::{self, Place, Topic};
use doubletick_core::store::{Key, Scan};
use proptest::prelude::*;

/// Numbers around which encodings go wrong: the ends, a carry in the middle, neighbours.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0_u64..4,
        Just(u64::MAX),
        Just(u64::MAX - 1),
        Just(0x00ff_ffff_ffff_ffff),
        Just(0x0100_0000_0000_0000),
        Just(0xff),
        Just(0x100),
        any::<u64>()
    ]
}

fn user() -> impl Strategy<Value = UserId> {
    number().prop_map(UserId)
}

fn device() -> impl Strategy<Value = DeviceId> {
    (user(), prop_oneof![0_u16..3, Just(u16::MAX), Just(0xff), Just(0x100)]).prop_map(|(user, serial)| DeviceId { user, serial })
}

fn conversation() -> impl Strategy<Value = ConversationId> {
    prop_oneof![
        (user(), user()).prop_filter_map("two people", |(one, other)| ConversationId::direct(one, other)),
        message().prop_map(|MessageId(id)| ConversationId::Group(GroupId(id))),
    ]
}

fn message() -> impl Strategy<Value = MessageId> {
    (number(), number()).prop_map(|(high, low)| MessageId((u128::from(high) << 64 | u128::from(low)).to_be_bytes()))
}

fn gateway() -> impl Strategy<Value = GatewayId> {
    number().prop_map(GatewayId)
}

fn phone() -> impl Strategy<Value = Phone> {
    "\\+[1-3][0-2]{6,14}".prop_map(|text| Phone::parse(&text).unwrap())
}

fn topic() -> impl Strategy<Value = Topic> {
    prop_oneof![
        conversation().prop_map(Topic::Dirty),
        conversation().prop_map(Topic::Receipt),
        conversation().prop_map(Topic::Typing),
        (conversation(), user()).prop_map(|(c, u)| Topic::TypingIn(c, u)),
        user().prop_map(Topic::Presence),
        number().prop_map(|epoch| Topic::Replaced(SessionEpoch(epoch))),
        Just(Topic::Removed),
    ]
    // On the stack it would be too much together with those that hold it.
    .boxed()
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        conversation().prop_map(Place::Head),
        (conversation(), user()).prop_map(|(c, u)| Place::Receipt(c, u)),
        (conversation(), number()).prop_map(|(c, n)| Place::Log(c, Seq(n))),
        (conversation(), user(), message()).prop_map(|(c, u, m)| Place::Index(c, u, m)),
        conversation().prop_map(Place::Group),
        (conversation(), user()).prop_map(|(c, u)| Place::Member(c, u)),
        (conversation(), user()).prop_map(|(c, u)| Place::PastMember(c, u)),
        (conversation(), user()).prop_map(|(c, u)| Place::Sent(c, u)),
        conversation().prop_map(Place::Trimmed),
        conversation().prop_map(Place::FanOutDue),
        conversation().prop_map(Place::FanOut),
        conversation().prop_map(Place::Reached),
        conversation().prop_map(Place::SumDue),
        user().prop_map(Place::GroupCount),
        user().prop_map(Place::Account),
        (user(), conversation()).prop_map(|(u, c)| Place::Chat(u, c)),
        (user(), user()).prop_map(|(a, b)| Place::Contact(a, b)),
        (user(), user()).prop_map(|(a, b)| Place::Block(a, b)),
        user().prop_map(Place::LastSeen),
        device().prop_map(Place::Device),
        (device(), conversation()).prop_map(|(d, c)| Place::Dirty(d, c)),
        (device(), conversation()).prop_map(|(d, c)| Place::Cursor(d, c)),
        phone().prop_map(Place::Phone),
        phone().prop_map(Place::Verification),
        device().prop_map(Place::Session),
        gateway().prop_map(Place::Bell),
        (gateway(), device()).prop_map(|(g, d)| Place::SessionOf(g, d)),
        (gateway(), device(), topic()).prop_map(|(g, d, t)| Place::Wake(g, d, t)),
        gateway().prop_map(Place::Lease),
        (user(), device()).prop_map(|(u, d)| Place::Watcher(u, d)),
    ]
}

fn key_of(place: &Place) -> Key {
    match place {
        Place::Head(c) => rows::head(*c).key,
        Place::Receipt(c, u) => rows::receipt(*c, *u).key,
        Place::Log(c, s) => rows::log(*c, *s).key,
        Place::Index(c, u, m) => rows::index(*c, *u, *m).key,
        Place::Group(c) => rows::group(*c).key,
        Place::Member(c, u) => rows::member(*c, *u).key,
        Place::PastMember(c, u) => rows::past_member(*c, *u).key,
        Place::Sent(c, u) => rows::sent(*c, *u).key,
        Place::Trimmed(c) => rows::trimmed(*c).key,
        Place::FanOutDue(c) => rows::fan_out_due(*c).key,
        Place::FanOut(c) => rows::fan_out(*c).key,
        Place::Reached(c) => rows::reached(*c).key,
        Place::SumDue(c) => rows::sum_due(*c).key,
        Place::GroupCount(u) => rows::group_count(*u).key,
        Place::Account(u) => rows::account(*u).key,
        Place::Chat(u, c) => rows::chat(*u, *c).key,
        Place::Contact(a, b) => rows::contact(*a, *b).key,
        Place::Block(a, b) => rows::block(*a, *b).key,
        Place::LastSeen(u) => rows::last_seen(*u).key,
        Place::Device(d) => rows::device(*d).key,
        Place::Dirty(d, c) => rows::dirty(*d, *c).key,
        Place::Cursor(d, c) => rows::cursor(*d, *c).key,
        Place::Phone(p) => rows::phone(p).key,
        Place::Verification(p) => rows::verification(p).key,
        Place::Session(d) => rows::session(*d).key,
        Place::Bell(g) => rows::bell(*g).key,
        Place::SessionOf(g, d) => rows::session_of(*g, *d).key,
        Place::Wake(g, d, t) => rows::wake(*g, *d, *t).key,
        Place::Lease(g) => rows::lease(*g).key,
        Place::Watcher(u, d) => rows::watcher(*u, *d).key,
    }
}

/// A run of keys, and which places belong to it.
type Run = (Scan, fn(&Place, &Place) -> bool);

/// The runs that are read for the owner of a place: its scan, and whether another place belongs to the same run.
fn run_of(place: &Place) -> Option<Run> {
    Some(match place {
        Place::Log(c, after) => (rows::log_page(*c, *after, 9), |at, other| match (at, other) {
            (Place::Log(c, after), Place::Log(d, seq)) => c == d && seq > after,
            _ => false,
        }),
        Place::Chat(u, after) => (rows::chats(*u, Some(*after), 9), |at, other| match (at, other) {
            (Place::Chat(u, after), Place::Chat(v, c)) => u == v && c > after,
            _ => false,
        }),
        Place::Account(u) => (rows::chats(*u, None, 9), |at, other| match (at, other) {
            (Place::Account(u), Place::Chat(v, _)) => u == v,
            _ => false,
        }),
        Place::Contact(u, _) => (rows::listed(*u, UserList::Contacts), |at, other| match (at, other) {
            (Place::Contact(u, _), Place::Contact(v, _)) => u == v,
            _ => false,
        }),
        Place::Block(u, _) => (rows::listed(*u, UserList::Blocked), |at, other| match (at, other) {
            (Place::Block(u, _), Place::Block(v, _)) => u == v,
            _ => false,
        }),
        Place::Dirty(d, after) => (rows::dirty_set(*d, Some(*after), 9), |at, other| match (at, other) {
            (Place::Dirty(d, after), Place::Dirty(e, c)) => d == e && c > after,
            _ => false,
        }),
        Place::Device(d) => (rows::dirty_set(*d, None, 9), |at, other| match (at, other) {
            (Place::Device(d), Place::Dirty(e, _)) => d == e,
            _ => false,
        }),
        Place::SessionOf(g, _) => (rows::sessions_of(*g, 9), |at, other| match (at, other) {
            (Place::SessionOf(g, _), Place::SessionOf(h, _)) => g == h,
            _ => false,
        }),
        Place::Wake(g, ..) => (rows::wakes(*g, 9), |at, other| match (at, other) {
            (Place::Wake(g, ..), Place::Wake(h, ..)) => g == h,
            _ => false,
        }),
        Place::Lease(_) => (rows::leases(), |_, other| matches!(other, Place::Lease(_))),
        Place::Watcher(u, _) => (rows::watchers(*u), |at, other| match (at, other) {
            (Place::Watcher(u, _), Place::Watcher(v, _)) => u == v,
            _ => false,
        }),
        _ => return run_of_groups(place),
    })
}

fn run_of_groups(place: &Place) -> Option<Run> {
    Some(match place {
        Place::Member(c, after) => (rows::members(*c, Some(*after), 9), |at, other| match (at, other) {
            (Place::Member(c, after), Place::Member(d, user)) => c == d && user > after,
            _ => false,
        }),
        Place::Group(c) => (rows::members(*c, None, 9), |at, other| match (at, other) {
            (Place::Group(c), Place::Member(d, _)) => c == d,
            _ => false,
        }),
        Place::Trimmed(c) => (rows::all_members(*c, None, 9), |at, other| match (at, other) {
            (Place::Trimmed(c), Place::Member(d, _) | Place::PastMember(d, _)) => c == d,
            _ => false,
        }),
        Place::GroupCount(u) => (rows::groups(*u), |at, other| match (at, other) {
            (Place::GroupCount(u), Place::Chat(v, c)) => u == v && c.pair().is_none(),
            _ => false,
        }),
        Place::FanOutDue(after) => (rows::fan_outs(Some(*after), 9), |at, other| match (at, other) {
            (Place::FanOutDue(after), Place::FanOutDue(c)) => c > after,
            _ => false,
        }),
        Place::SumDue(after) => (rows::sums_due(Some(*after), 9), |at, other| match (at, other) {
            (Place::SumDue(after), Place::SumDue(c)) => c > after,
            _ => false,
        }),
        Place::Reached(_) => (rows::sums_due(None, 9), |_, other| matches!(other, Place::SumDue(_))),
        Place::FanOut(_) => (rows::fan_outs(None, 9), |_, other| matches!(other, Place::FanOutDue(_))),
        _ => return None,
    })
}

#[path = "world/cases.rs"]
mod world;

proptest! {
    #![proptest_config(world::cases(600))]

    #[test]
    fn a_key_says_which_row_it_is_so_no_two_rows_share_a_place(place in place()) {
        prop_assert_eq!(Place::of(&key_of(&place)), Some(place));
    }

    #[test]
    fn arbitrary_bytes_are_no_key_or_exactly_the_one_that_they_spell(bytes in proptest::collection::vec(any::<u8>(), 0..Key::MAX_LEN)) {
        let key = Key::new(&bytes);
        if let Some(place) = Place::of(&key) {
            prop_assert_eq!(key_of(&place), key);
        }
    }

    #[test]
    fn the_order_of_the_bytes_is_the_order_of_the_values(one in place(), other in place()) {
        let (a, b) = (key_of(&one), key_of(&other));
        prop_assert_eq!(a.cmp(&b), a.as_bytes().cmp(b.as_bytes()));
        let same_layout = std::mem::discriminant(&one) == std::mem::discriminant(&other);
        // Phone numbers of different lengths have no order that anybody reads them in.
        if same_layout && !matches!(one, Place::Phone(_) | Place::Verification(_)) {
            prop_assert_eq!(a.cmp(&b), one.cmp(&other));
        }
    }

    #[test]
    fn the_order_within_a_layout_is_that_of_its_fields(c in conversation(), d in conversation(), m in number(), n in number()) {
        for (a, b) in [
            (Place::Log(c, Seq(m)), Place::Log(c, Seq(n))),
            (Place::Chat(UserId(1), c), Place::Chat(UserId(1), d)),
            (Place::Head(c), Place::Head(d)),
        ] {
            prop_assert_eq!(key_of(&a).cmp(&key_of(&b)), a.cmp(&b));
        }
    }

    #[test]
    fn a_run_holds_its_own_rows_and_nobody_elses(at in place(), others in proptest::collection::vec(place(), 8)) {
        if let Some((run, belongs)) = run_of(&at) {
            for other in others.iter().chain([&at]) {
                let key = key_of(other);
                // Nothing stands after the last position that a number can name, and no log gets there.
                prop_assume!(!matches!(at, Place::Log(_, Seq(u64::MAX))));
                prop_assert_eq!(run.from <= key && key < run.to, belongs(&at, other), "{} {}", at, other);
            }
        }
    }

    #[test]
    fn rows_of_running_processes_are_ephemeral_and_all_others_are_not(place in place()) {
        let process = matches!(
            place,
            Place::Session(_) | Place::Bell(_) | Place::SessionOf(..) | Place::Wake(..) | Place::Lease(_) | Place::Watcher(..)
        );
        prop_assert_eq!(key_of(&place).is_ephemeral(), process);
    }
}

/// Random places seldom share an owner; here every two of a small world are put beside each other.
#[test]
fn every_run_of_a_small_world_holds_exactly_its_rows() {
    let users = [UserId(0), UserId(1), UserId(0xff), UserId(0x100), UserId(u64::MAX - 1), UserId(u64::MAX)];
    let direct = [(0, 1), (0, 4), (1, 4), (4, 5), (0, 5)].map(|(a, b)| ConversationId::direct(users[a], users[b]).unwrap());
    let groups = [[0; 16], [0xff; 16], [1; 16]].map(|id| ConversationId::Group(GroupId(id)));
    let conversations: Vec<_> = direct.into_iter().chain(groups).collect();
    let seqs = [0, 1, 2, 255, 256, u64::MAX - 1, u64::MAX].map(Seq);
    let mut places = vec![];
    for user in users {
        places.push(Place::Account(user));
        places.push(Place::LastSeen(user));
        places.push(Place::Lease(GatewayId(user.0)));
        places.push(Place::Bell(GatewayId(user.0)));
        places.extend(users.map(|other| Place::Contact(user, other)));
        places.extend(users.map(|other| Place::Block(user, other)));
        places.extend(conversations.iter().map(|c| Place::Chat(user, *c)));
        places.push(Place::GroupCount(user));
        for device in [0, 1, u16::MAX].map(|serial| DeviceId { user, serial }) {
            places.extend([Place::Device(device), Place::Session(device)]);
            places.extend(conversations.iter().map(|c| Place::Dirty(device, *c)));
            places.extend(conversations.iter().map(|c| Place::Cursor(device, *c)));
            places.extend(users.map(|watched| Place::Watcher(watched, device)));
            places.extend(users.map(|gateway| Place::SessionOf(GatewayId(gateway.0), device)));
            places.extend(users.map(|gateway| Place::Wake(GatewayId(gateway.0), device, Topic::Removed)));
        }
    }
    for c in conversations {
        places.extend([Place::Head(c), Place::Group(c), Place::FanOutDue(c), Place::FanOut(c), Place::Reached(c), Place::SumDue(c)]);
        places.extend([Place::Head(c), Place::Group(c), Place::FanOutDue(c), Place::FanOut(c), Place::Trimmed(c)]);
        places.extend(users.map(|user| Place::Member(c, user)));
        places.extend(users.map(|user| Place::PastMember(c, user)));
        places.extend(users.map(|user| Place::Sent(c, user)));
        places.extend(seqs.map(|seq| Place::Log(c, seq)));
        places.extend(users.map(|user| Place::Receipt(c, user)));
        places.extend(users.map(|user| Place::Index(c, user, MessageId([0xff; 16]))));
    }
    for at in &places {
        let Some((run, belongs)) = run_of(at) else { continue };
        for other in &places {
            let key = key_of(other);
            // Nothing stands after the last position that a number can name, and no log gets there.
            if matches!(at, Place::Log(_, after) if after.0 == u64::MAX) {
                continue;
            }
            assert_eq!(run.from <= key && key < run.to, belongs(at, other), "{at}: {other}");
        }
    }
}
