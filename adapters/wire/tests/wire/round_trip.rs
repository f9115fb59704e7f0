//! Whatever is written is read back; whatever else comes, nothing panics.

use doubletick_core::content::{Body, Content, Parts};
use doubletick_core::frame::*;
use doubletick_core::id::*;
use doubletick_core::limits;
use doubletick_core::reject::Reject;
use doubletick_core::time::{Millis, Timestamp};
use doubletick_wire::{decode_client, decode_server, encode_client, encode_server};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

fn request() -> impl Strategy<Value = RequestId> {
    any::<u32>().prop_map(RequestId)
}

fn seq() -> impl Strategy<Value = Seq> {
    prop_oneof![0..2000u64, any::<u64>()].prop_map(Seq)
}

fn moment() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp::from_millis)
}

fn user() -> impl Strategy<Value = UserId> {
    prop_oneof![0..3u64, any::<u64>()].prop_map(UserId)
}

fn serial() -> impl Strategy<Value = u16> {
    1u16..
}

fn device() -> impl Strategy<Value = DeviceId> {
    (user(), serial()).prop_map(|(user, serial)| DeviceId { user, serial })
}

fn conversation() -> impl Strategy<Value = ConversationId> {
    let direct = (user(), user()).prop_filter_map("two users", |(one, other)| ConversationId::direct(one, other));
    prop_oneof![direct, any::<[u8; 16]>().prop_map(|id| ConversationId::Group(GroupId(id)))]
}

fn handle() -> impl Strategy<Value = Handle> {
    any::<u32>().prop_map(Handle)
}

/// As a device says it.
fn named() -> impl Strategy<Value = Target> {
    prop_oneof![handle().prop_map(Target::Handle), conversation().prop_map(Target::Id)]
}

/// As a gateway says it.
fn target() -> impl Strategy<Value = Target> {
    prop_oneof![named(), (handle(), conversation()).prop_map(|(handle, id)| Target::Bind(handle, id))]
}

fn phone() -> impl Strategy<Value = Phone> {
    "\\+[1-9][0-9]{6,14}".prop_map(|text| crate::frames::phone(&text))
}

fn message() -> impl Strategy<Value = MessageId> {
    any::<[u8; 16]>().prop_map(MessageId)
}

fn secret() -> impl Strategy<Value = Secret> {
    any::<[u8; 32]>().prop_map(Secret)
}

fn body() -> impl Strategy<Value = Body> {
    (any::<u32>(), vec(any::<u8>(), 0..200)).prop_map(|(kind, bytes)| Body { kind, bytes: bytes.into() })
}

fn content() -> impl Strategy<Value = Content> {
    let shared = body().prop_map(Parts::Shared);
    let each =
        btree_map(device(), body(), 1..=limits::BODIES_PER_MESSAGE).prop_map(|bodies| Parts::PerDevice(bodies.into_iter().collect()));
    prop_oneof![shared, each].prop_map(|parts| Content::new(parts).unwrap())
}

fn client_frame() -> impl Strategy<Value = ClientFrame> {
    let list = prop_oneof![Just(UserList::Contacts), Just(UserList::Blocked)];
    let privacy = prop_oneof![Just(Privacy::Everyone), Just(Privacy::Contacts), Just(Privacy::Nobody)];
    let often = prop_oneof![
        (device(), secret(), 1_u64..).prop_map(|(device, secret, run)| ClientFrame::Hello { device, secret, run }),
        (request(), any::<u32>(), named(), message(), content(), any::<u64>())
            .prop_map(|(request, attempt, to, id, content, roster)| { ClientFrame::Send { request, attempt, to, id, content, roster } }),
        (proptest::option::of(request()), named(), seq(), seq()).prop_map(|(request, of, delivered, read)| ClientFrame::Ack {
            request,
            of,
            delivered,
            read
        }),
        (request(), named(), seq()).prop_map(|(request, of, after)| ClientFrame::Fetch { request, of, after }),
        vec(conversation(), 0..=limits::BATCH_ITEMS).prop_map(|of| ClientFrame::AskReceipts { of }),
        (named(), any::<bool>()).prop_map(|(to, active)| ClientFrame::Typing { to, active }),
        user().prop_map(|user| ClientFrame::Watch { user }),
        user().prop_map(|user| ClientFrame::Unwatch { user }),
        Just(ClientFrame::Ping),
    ];
    let seldom = prop_oneof![
        (request(), vec(phone(), 0..=limits::BATCH_ITEMS)).prop_map(|(request, phones)| ClientFrame::FindUsers { request, phones }),
        (request(), user()).prop_map(|(request, user)| ClientFrame::AskUser { request, user }),
        (request(), named(), option::of(user())).prop_map(|(request, of, after)| ClientFrame::AskRoster { request, of, after }),
        (request(), option::of(conversation())).prop_map(|(request, after)| ClientFrame::ListChats { request, after }),
        (request(), list, user(), any::<bool>()).prop_map(|(request, list, user, listed)| ClientFrame::SetListed {
            request,
            list,
            user,
            listed
        }),
        (request(), privacy).prop_map(|(request, privacy)| ClientFrame::SetPrivacy { request, privacy }),
        (request(), secret()).prop_map(|(request, secret)| ClientFrame::Renew { request, secret }),
        (request(), serial()).prop_map(|(request, serial)| ClientFrame::RemoveDevice { request, serial }),
    ];
    prop_oneof![often, seldom]
}

/// An unbroken run of deliveries.
fn run(least: usize) -> impl Strategy<Value = Vec<Delivery>> {
    let from = prop_oneof![any::<u16>().prop_map(Sender::Own), any::<u16>().prop_map(Sender::Peer), device().prop_map(Sender::Member)];
    let rest = vec((from, message(), moment(), option::of(body())), least..=limits::PAGE_ENTRIES as usize);
    (prop_oneof![1..2000u64, 1..u64::MAX - 64], rest).prop_map(|(first, rest)| {
        let place = |(seq, (from, id, at, body))| Delivery { seq: Seq(seq), from, id, at, body };
        (first..).zip(rest).map(place).collect()
    })
}

fn presence() -> impl Strategy<Value = Presence> {
    let offline = option::of(moment()).prop_map(|last_seen| Presence::Offline { last_seen });
    prop_oneof![Just(Presence::Hidden), Just(Presence::Online), offline]
}

fn server_frame() -> impl Strategy<Value = ServerFrame> {
    let reject = (1..=28u32, any::<u32>()).prop_map(|(code, detail)| Reject::from_code(code, detail.into()).unwrap());
    let member = (user(), option::of(phone()), any::<bool>(), vec(serial(), 0..=limits::DEVICES_PER_USER), (seq(), seq()));
    let member =
        member.prop_map(|(user, phone, admin, devices, (delivered, read))| RosterEntry { user, phone, admin, devices, delivered, read });
    let members = vec(member, 0..=limits::PAGE_MEMBERS as usize);
    let card = (user(), phone(), vec(serial(), 0..=limits::DEVICES_PER_USER));
    let card = card.prop_map(|(user, phone, devices)| UserCard { user, phone, devices });
    let chat = (conversation(), seq(), moment(), any::<u64>());
    let chat = chat.prop_map(|(conversation, head, at, unread)| Chat { conversation, head, at, unread });
    let chats = vec(chat, 0..=limits::PAGE_CONVERSATIONS as usize);
    let often = prop_oneof![
        (moment(), moment(), any::<u32>()).prop_map(|(now, token_expires, window)| ServerFrame::Welcome { now, token_expires, window }),
        (request(), option::of(target()), 1u64.., moment()).prop_map(|(request, of, seq, at)| ServerFrame::Accepted {
            request,
            of,
            seq: Seq(seq),
            at
        }),
        (option::of(request()), reject).prop_map(|(request, reject)| ServerFrame::Refused { request, reject }),
        (target(), run(1)).prop_map(|(of, entries)| ServerFrame::Deliver { of, entries }),
        (request(), run(0), seq()).prop_map(|(request, entries, head)| ServerFrame::Page { request, entries, head }),
        (target(), seq(), seq()).prop_map(|(of, delivered, read)| ServerFrame::Receipt { of, delivered, read }),
        (target(), option::of(user()), any::<bool>()).prop_map(|(of, by, active)| ServerFrame::Typing { of, by, active }),
        (user(), presence()).prop_map(|(user, presence)| ServerFrame::Presence { user, presence }),
        Just(ServerFrame::Pong),
    ];
    let seldom = prop_oneof![
        (request(), vec(card, 0..=limits::BATCH_ITEMS)).prop_map(|(request, users)| ServerFrame::Users { request, users }),
        (request(), chats, any::<bool>()).prop_map(|(request, chats, more)| ServerFrame::Chats { request, chats, more }),
        (request(), "[a-zé]{0,9}", any::<u64>(), members, any::<bool>())
            .prop_map(|(request, name, epoch, members, more)| { ServerFrame::Roster { request, name, epoch, members, more } }),
        (request(), moment()).prop_map(|(request, expires)| ServerFrame::Done { request, expires }),
        (prop::sample::select(CloseReason::ALL.to_vec()), any::<u64>())
            .prop_map(|(reason, wait)| ServerFrame::Goodbye { reason, retry_after: Millis(wait) }),
    ];
    prop_oneof![often, seldom]
}

/// What a line or an attacker makes of a frame: one byte is another, or the frame ends early.
fn damage(bytes: &mut Vec<u8>, place: prop::sample::Index, xor: u8, cut: bool) {
    if !bytes.is_empty() {
        let place = place.index(bytes.len());
        bytes[place] ^= xor;
        if cut {
            bytes.truncate(place);
        }
    }
}

proptest! {
    #[test]
    fn every_client_frame_is_read_back(frame in client_frame(), before in vec(any::<u8>(), 0..4)) {
        let mut bytes = before.clone();
        encode_client(&frame, &mut bytes);
        prop_assert_eq!(&bytes[..before.len()], &before[..]);
        prop_assert_eq!(decode_client(&bytes[before.len()..]), Ok(frame));
    }

    #[test]
    fn every_server_frame_is_read_back(frame in server_frame()) {
        let mut bytes = vec![];
        encode_server(&frame, &mut bytes);
        prop_assert_eq!(decode_server(&bytes), Ok(frame));
    }

    #[test]
    fn what_is_read_from_a_damaged_client_frame_is_a_frame(
        frame in client_frame(), place: prop::sample::Index, xor: u8, cut: bool,
    ) {
        let mut bytes = vec![];
        encode_client(&frame, &mut bytes);
        damage(&mut bytes, place, xor, cut);
        if let Ok(read) = decode_client(&bytes) {
            let mut again = vec![];
            encode_client(&read, &mut again);
            prop_assert_eq!(decode_client(&again), Ok(read));
        }
    }

    #[test]
    fn what_is_read_from_a_damaged_server_frame_is_a_frame(
        frame in server_frame(), place: prop::sample::Index, xor: u8, cut: bool,
    ) {
        let mut bytes = vec![];
        encode_server(&frame, &mut bytes);
        damage(&mut bytes, place, xor, cut);
        if let Ok(read) = decode_server(&bytes) {
            let mut again = vec![];
            encode_server(&read, &mut again);
            prop_assert_eq!(decode_server(&again), Ok(read));
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = decode_client(&bytes);
        let _ = decode_server(&bytes);
    }
}
