//! Messages from socket to socket.

use doubletick_core::frame::{ClientFrame, RequestId, ServerFrame, Target};
use doubletick_core::id::Seq;

use crate::world::{self, between, message_id, open, register, start, text};

#[test]
fn a_message_is_accepted_delivered_and_acknowledged_and_its_sender_hears_of_it() {
    world::run(async {
        let server = start(world::config()).await;
        let (anna, ben) = (register(server.addr(), "+4915100000001").await, register(server.addr(), "+4915100000002").await);
        let conversation = between(anna.device, ben.device);
        let (mut anna, mut ben) = (open(server.addr(), anna).await, open(server.addr(), ben).await);

        let (request, to, id) = (RequestId(1), Target::Id(conversation), message_id(1));
        anna.say(ClientFrame::Send { request, attempt: 0, to, id, content: text("Hello, Ben!"), roster: 0 }).await;
        let seq = anna
            .expect(|frame| match frame {
                ServerFrame::Accepted { request: RequestId(1), seq, .. } => Some(*seq),
                _ => None,
            })
            .await;
        assert_eq!(seq, Seq(1));

        let delivered = ben
            .expect(|frame| match frame {
                ServerFrame::Deliver { entries, .. } => Some(entries.clone()),
                _ => None,
            })
            .await;
        assert_eq!(delivered.len(), 1);
        assert_eq!((delivered[0].seq, delivered[0].id), (seq, id));
        assert_eq!(&*delivered[0].body.as_ref().unwrap().bytes, b"Hello, Ben!");

        ben.say(ClientFrame::Ack { request: None, of: to, delivered: seq, read: Seq::START }).await;
        anna.expect(|frame| matches!(frame, ServerFrame::Receipt { delivered: Seq(1), read: Seq(0), .. }).then_some(())).await;
        ben.say(ClientFrame::Ack { request: None, of: to, delivered: seq, read: seq }).await;
        anna.expect(|frame| matches!(frame, ServerFrame::Receipt { delivered: Seq(1), read: Seq(1), .. }).then_some(())).await;
        server.stop().await;
    });
}

#[test]
fn what_was_sent_to_an_absent_device_is_there_when_it_connects_in_order() {
    world::run(async {
        let server = start(world::config()).await;
        let (anna, ben) = (register(server.addr(), "+4915100000001").await, register(server.addr(), "+4915100000002").await);
        let to = Target::Id(between(anna.device, ben.device));
        let mut anna = open(server.addr(), anna).await;
        for n in 1..=30 {
            anna.say(ClientFrame::Send { request: RequestId(n.into()), attempt: 0, to, id: message_id(n), content: text("hi"), roster: 0 })
                .await;
        }
        for n in 1..=30 {
            anna.expect(|frame| matches!(frame, ServerFrame::Accepted { request: RequestId(at), .. } if *at == n).then_some(())).await;
        }

        let mut ben = open(server.addr(), ben).await;
        let mut seen = Vec::new();
        while seen.len() < 30 {
            let deliver = |frame: &ServerFrame| match frame {
                ServerFrame::Deliver { entries, .. } => Some(entries.clone()),
                _ => None,
            };
            seen.extend(ben.expect(deliver).await.into_iter().map(|entry| (entry.seq.0, entry.id)));
        }
        let expected: Vec<_> = (1..=30).map(|n| (u64::from(n), message_id(n))).collect();
        assert_eq!(seen, expected);
    });
}
