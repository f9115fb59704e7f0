use doubletick_client::{CloseReason, State, Status, Stop};

use doubletick_core::rate::Rate;

use crate::disk::Unsynced;
use crate::world::{Device, House, run};

const ADA: &str = "+4915100000001";
const BEN: &str = "+4915100000002";

#[test]
fn a_device_that_dies_between_receiving_and_storing_gets_it_again_and_shows_it_once() {
    run(async {
        let house = House::open().await;
        let (ada, mut ben) = (house.device(ADA).await, house.device(BEN).await);
        let chat = ada.chat(&ben);
        let mut expected = vec![];
        for (n, unsynced) in [Unsynced::Lost, Unsynced::Kept, Unsynced::Some(2), Unsynced::Lost].into_iter().enumerate() {
            ben.disk.fail_at(0);
            let text = format!("message {n}");
            ada.client.send(chat, &text).await.unwrap();
            expected.push(text);
            let stopped = ben.status(|status| matches!(status, Status::Stopped(_))).await;
            assert!(matches!(stopped, Status::Stopped(Stop::Storage(_))), "{stopped:?}");
            let disk = ben.disk.clone();
            drop(ben);
            ben = Device::again(&disk, unsynced, house.address());
            ben.shows(chat, &expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
        }
    });
}

#[test]
fn a_device_that_dies_with_a_message_half_written_sends_it_or_has_never_heard_of_it() {
    run(async {
        let house = House::open().await;
        let (ada, mut ben) = (house.device(ADA).await, house.device(BEN).await);
        let chat = ada.chat(&ben);
        ada.disk.fail_at(0);
        let lost = ada.client.send(chat, "lost").await;
        assert!(lost.is_err(), "a message that is not stored must not look so");
        let mut ada = Device::again(&ada.disk, Unsynced::Lost, house.address());
        let id = ada.client.send(chat, "not lost").await.unwrap();
        ben.hears("not lost").await;
        ada.ticks(chat, id, State::Delivered).await;
        assert_eq!(ada.shown(chat), ["not lost ✓✓"]);
    });
}

#[test]
fn devices_that_come_faster_than_the_server_takes_them_wait_as_they_are_told_and_all_get_in() {
    run(async {
        let arrivals = Rate { per_second: 1, burst: 1 };
        let mut house = House::open_with(doubletick_server::Config { arrivals, ..Default::default() }).await;
        let (mut ada, ben) = (house.device(ADA).await, house.device(BEN).await);
        house.kill().await;
        house.start().await;
        ada.client.hurry().await.unwrap();
        ben.client.hurry().await.unwrap();
        ada.client.online().await.unwrap();
        ben.client.online().await.unwrap();
        let chat = ada.chat(&ben);
        let id = ada.client.send(chat, "here again").await.unwrap();
        ada.ticks(chat, id, State::Delivered).await;
    });
}

#[test]
fn a_server_that_is_killed_and_started_again_on_its_store_loses_and_doubles_nothing() {
    run(async {
        let mut house = House::open().await;
        let (mut ada, mut ben) = (house.device(ADA).await, house.device(BEN).await);
        let chat = ada.chat(&ben);
        let (mut from_ada, mut from_ben) = (vec![], vec![]);
        for round in 0..4 {
            for n in 0..10 {
                let text = format!("{round}.{n}");
                ada.client.send(chat, &text).await.unwrap();
                ben.client.send(chat, &text).await.unwrap();
                from_ada.push(text.clone());
                from_ben.push(text);
            }
            // In the middle of it.
            if round % 2 == 0 {
                house.kill().await;
            } else {
                house.stop().await;
            }
            house.start().await;
            ada.client.hurry().await.unwrap();
            ben.client.hurry().await.unwrap();
        }
        let settled = |device: &Device| {
            let history = device.client.history(chat, None, 1000).unwrap();
            history.len() == 80 && history.iter().all(|message| matches!(message.state, State::Received | State::Delivered))
        };
        while !(settled(&ada) && settled(&ben)) {
            tokio::select! {
                biased;
                _ = ada.events.next() => {}
                _ = ben.events.next() => {}
            }
        }
        let side = |device: &Device, own: bool| -> Vec<String> {
            let history = device.client.history(chat, None, 1000).unwrap();
            history.iter().filter(|message| message.own == own).map(|message| message.body.display().into_owned()).collect()
        };
        assert_eq!(side(&ada, true), from_ada);
        assert_eq!(side(&ben, false), from_ada);
        assert_eq!(side(&ben, true), from_ben);
        let order = |device: &Device| device.client.history(chat, None, 1000).unwrap().iter().map(|message| message.id).collect::<Vec<_>>();
        assert_eq!(order(&ada), order(&ben));
    });
}

#[test]
fn what_is_written_without_a_connection_is_sent_with_the_next_one_even_by_a_later_run() {
    run(async {
        let mut house = House::open().await;
        let (mut ada, mut ben) = (house.device(ADA).await, house.device(BEN).await);
        let chat = ada.chat(&ben);
        house.kill().await;
        let waiting = ada.status(|status| matches!(status, Status::Waiting { .. })).await;
        assert!(matches!(waiting, Status::Waiting { .. }));
        for text in ["one", "two", "three"] {
            ada.client.send(chat, text).await.unwrap();
        }
        assert_eq!(ada.shown(chat), ["one ·", "two ·", "three ·"]);

        let mut ada = ada.restart().await;
        assert_eq!(ada.shown(chat), ["one ·", "two ·", "three ·"]);
        house.start().await;
        ada.client.hurry().await.unwrap();
        ben.client.hurry().await.unwrap();
        ben.shows(chat, &["one", "two", "three"]).await;
        ada.shows(chat, &["one ✓✓", "two ✓✓", "three ✓✓"]).await;
    });
}

#[test]
fn a_server_that_is_not_there_is_tried_again_and_the_reason_is_said() {
    run(async {
        let mut house = House::open().await;
        let mut ada = house.device(ADA).await;
        house.kill().await;
        let said = |status: &Status| match status {
            Status::Waiting { why, .. } => why.contains("cannot be reached"),
            _ => false,
        };
        ada.status(said).await;
        house.start().await;
        ada.client.online().await.unwrap();
    });
}

#[test]
fn of_two_copies_of_a_device_the_newer_wins_and_the_older_stays_closed() {
    run(async {
        let house = House::open().await;
        let mut older = house.device(ADA).await;
        // The profile was copied.
        let mut newer = Device::again(&older.disk, Unsynced::Kept, house.address());
        newer.client.online().await.unwrap();
        let stopped = older.status(|status| matches!(status, Status::Stopped(_))).await;
        assert_eq!(stopped, Status::Stopped(Stop::Server(CloseReason::Replaced)));
        // What the older one writes is kept all the same.
        let mut ben = house.device(BEN).await;
        let chat = older.chat(&ben);
        older.client.send(chat, "kept").await.unwrap();
        assert_eq!(older.shown(chat), ["kept ·"]);
        newer.client.send(chat, "sent").await.unwrap();
        ben.hears("sent").await;
        newer.shows(chat, &["sent ✓✓"]).await;
    });
}
