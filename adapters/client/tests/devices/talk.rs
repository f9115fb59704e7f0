use doubletick_client::{Event, Presence, Privacy, Reject, RequestError, State};

use crate::world::{House, run};

const ADA: &str = "+4915100000001";
const BEN: &str = "+4915100000002";

#[test]
fn two_people_talk_and_see_each_others_ticks() {
    run(async {
        let house = House::open().await;
        let (mut ada, mut ben) = (house.device(ADA).await, house.device(BEN).await);
        let chat = ada.chat(&ben);

        let hello = ada.client.send(ben.phone(), "hello Ben").await.unwrap();
        let heard = ben.hears("hello Ben").await;
        assert_eq!((heard.id, heard.state), (hello, State::Received));
        ada.ticks(chat, hello, State::Delivered).await;
        assert_eq!(ben.client.chats().unwrap()[0].unread, 1);

        ben.client.mark_read(chat, heard.place.seq().unwrap()).await.unwrap();
        ada.ticks(chat, hello, State::Read).await;
        // The server hears of it before it is stored: whatever is lost here is told again.
        ben.expect(|event| (*event == Event::Shown(chat)).then_some(())).await;
        assert_eq!(ben.client.chats().unwrap()[0].unread, 0);

        ben.client.send(chat, "hello Ada").await.unwrap();
        ada.hears("hello Ada").await;
        assert_eq!(ada.shown(chat), ["hello Ben ✓✓✓", "hello Ada"]);
    });
}

#[test]
fn whoever_writes_is_known_by_their_number() {
    run(async {
        let house = House::open().await;
        let (ada, mut ben) = (house.device(ADA).await, house.device(BEN).await);
        ada.client.send(ben.phone(), "it is me").await.unwrap();
        let user = ada.client.account().device.user;
        ben.expect(|event| (*event == Event::Person(user)).then_some(())).await;
        assert_eq!(ben.client.person(user).unwrap().phone, Some(ada.phone()));
        assert_eq!(ben.client.chats().unwrap()[0].with.display(), ADA);
        ben.client.set_name(user, "Ada").await.unwrap();
        assert_eq!(ben.client.chats().unwrap()[0].with.display(), "Ada");
    });
}

#[test]
fn a_number_that_nobody_has_is_named() {
    run(async {
        let house = House::open().await;
        let ada = house.device(ADA).await;
        let nobody = doubletick_client::Phone::parse("+4915199999999").unwrap();
        let error = ada.client.send(nobody, "hello?").await.unwrap_err();
        assert_eq!(error.to_string(), "nobody with the number +4915199999999 is registered");
        let error = ada.client.send(ada.phone(), "me?").await.unwrap_err();
        assert!(matches!(error, RequestError::Refused(Reject::Nonsense)), "{error:?}");
        let error = ada.client.send(ada.phone(), "").await.unwrap_err();
        assert!(matches!(error, RequestError::Text), "{error:?}");
    });
}

#[test]
fn typing_is_seen_and_never_stored() {
    run(async {
        let house = House::open().await;
        let (ada, mut ben) = (house.device(ADA).await, house.device(BEN).await);
        let chat = ada.chat(&ben);
        for wanted in [true, false] {
            ada.client.typing(chat, wanted).await.unwrap();
            let typing =
                |event: &Event| matches!(event, Event::Typing { conversation, active, .. } if *conversation == chat && *active == wanted);
            ben.expect(|event| typing(event).then_some(())).await;
        }
        assert!(ben.shown(chat).is_empty());
    });
}

#[test]
fn whoever_is_written_to_may_see_the_writer_come_and_go() {
    run(async {
        let house = House::open().await;
        let (ada, mut ben) = (house.device(ADA).await, house.device(BEN).await);
        let of_ada = ada.client.account().device.user;
        let seen = |event: &Event| match event {
            Event::Presence { user, presence } if *user == of_ada => Some(*presence),
            _ => None,
        };
        ben.client.watch(of_ada, true).await.unwrap();
        assert_eq!(ben.expect(seen).await, Presence::Hidden);

        // The first message may overtake what it causes; by the second at the latest Ben is a contact.
        let chat = ada.chat(&ben);
        ada.client.send(chat, "one").await.unwrap();
        while ada.client.person(ben.client.account().device.user).unwrap().contact != doubletick_client::Contact::Listed {
            tokio::task::yield_now().await;
        }
        ada.client.send(chat, "two").await.unwrap();
        ben.expect(|event| seen(event).filter(|presence| *presence == Presence::Online)).await;
        ada.client.close().await;
        ben.expect(|event| seen(event).filter(|presence| matches!(presence, Presence::Offline { last_seen: Some(_) }))).await;
    });
}

#[test]
fn who_may_see_presence_is_the_owners_to_say() {
    run(async {
        let house = House::open().await;
        let (ada, mut ben) = (house.device(ADA).await, house.device(BEN).await);
        let of_ada = ada.client.account().device.user;
        for (privacy, expected) in [(Privacy::Everyone, Presence::Online), (Privacy::Nobody, Presence::Hidden)] {
            ada.client.set_privacy(privacy).await.unwrap();
            ben.client.watch(of_ada, true).await.unwrap();
            let seen = |event: &Event| matches!(event, Event::Presence { user, presence } if *user == of_ada && *presence == expected);
            ben.expect(|event| seen(event).then_some(())).await;
            ben.client.watch(of_ada, false).await.unwrap();
        }
    });
}

#[test]
fn whoever_is_blocked_is_told_and_nothing_arrives_until_they_are_not() {
    run(async {
        let house = House::open().await;
        let (mut ada, mut ben) = (house.device(ADA).await, house.device(BEN).await);
        let chat = ada.chat(&ben);
        let of_ada = ada.client.account().device.user;
        ben.client.block(of_ada).await.unwrap();
        assert!(ben.client.person(of_ada).unwrap().blocked);
        let refused = ada.client.send(chat, "let me in").await.unwrap();
        ada.ticks(chat, refused, State::Failed { code: Reject::NotAllowed.code() }).await;

        ben.client.unblock(of_ada).await.unwrap();
        ada.client.send(chat, "thank you").await.unwrap();
        ben.hears("thank you").await;
        assert_eq!(ben.shown(chat), ["thank you"]);
        ada.shows(chat, &["let me in !", "thank you ✓✓"]).await;
    });
}

#[test]
fn two_devices_of_one_user_both_get_everything_and_what_the_other_writes() {
    run(async {
        let house = House::open().await;
        let (mut ada, mut laptop, mut ben) = (house.device(ADA).await, house.device(ADA).await, house.device(BEN).await);
        let chat = ada.chat(&ben);
        ada.client.send(chat, "from the phone").await.unwrap();
        ben.hears("from the phone").await;
        ben.client.send(chat, "to both").await.unwrap();
        laptop.hears("to both").await;
        laptop.client.send(chat, "from the laptop").await.unwrap();
        ben.hears("from the laptop").await;
        ben.shows(chat, &["from the phone", "to both ✓✓", "from the laptop"]).await;
        for device in [&mut ada, &mut laptop] {
            device.shows(chat, &["from the phone ✓✓", "to both", "from the laptop ✓✓"]).await;
        }
        let mut devices = ben.client.find(vec![ada.phone()]).await.unwrap()[0].devices.clone();
        devices.sort_unstable();
        assert_eq!(devices, [1, 2]);
        assert_eq!(ada.client.devices().await.unwrap().len(), 2);
    });
}

#[test]
fn a_removed_device_is_told_and_stops() {
    run(async {
        let house = House::open().await;
        let (ada, mut laptop) = (house.device(ADA).await, house.device(ADA).await);
        let serial = laptop.client.account().device.serial;
        ada.client.remove_device(serial).await.unwrap();
        let stopped = laptop.status(|status| matches!(status, doubletick_client::Status::Stopped(_))).await;
        let doubletick_client::Status::Stopped(stop) = stopped else { panic!("{stopped:?}") };
        assert_eq!(stop.to_string(), "this device was removed from its account; register it again");
        assert_eq!(ada.client.devices().await.unwrap(), [ada.client.account().device.serial]);
    });
}
