//! A gateway and the job that marks the devices of a large group.

use super::*;

const GROUP: ConversationId = ConversationId::Group(GroupId(*b"\x01\x8f\0\0\0\0\x70\0\x80\0\0\0\0\0\0\x01"));

/// The first user has made a group that is too large to be told at once. The job that tells its members is taken away.
fn large_group(config: Config) -> (Bench, (Ticket, Arc<Batch>)) {
    let members = limits::SYNCHRONOUS_FAN_OUT + 1;
    let mut bench = Bench::new(members.into(), config);
    bench.open(1, 1);
    let members = (2..=members.into()).map(UserId).collect();
    let content = Change::Created { name: "all".into(), members, settings: Settings::default() }.content();
    let (to, id) = (Target::Id(GROUP), MessageId([1; 16]));
    bench.frame(1, ClientFrame::Send { request: RequestId(1), attempt: 0, to, id, content, roster: 0 });
    let (ticket, batch) = bench.take(|command| command.name() == "Send");
    let outcome = bench.rows.execute(&batch);
    bench.ended(ticket, Ok(outcome));
    let job = bench.take(|command| command.name() == "FanOut");
    (bench, job)
}

#[test]
fn a_device_that_a_job_marks_for_what_it_has_acknowledged_is_unmarked_at_the_next_look() {
    let (mut bench, (ticket, job)) = large_group(Config::default());
    bench.frame(1, ClientFrame::Ack { request: None, of: Target::Id(GROUP), delivered: Seq(1), read: Seq(0) });
    bench.run();
    let outcome = bench.rows.execute(&job);
    bench.ended(ticket, Ok(outcome));
    bench.run();
    let mark = rows::dirty(device(1), GROUP).key;
    assert!(bench.rows.0.contains_key(&mark), "a job marks every member");
    for _ in 0..4 {
        bench.pass(Millis::seconds(20));
        bench.frame(1, ClientFrame::Ping);
        bench.run();
    }
    assert!(!bench.rows.0.contains_key(&mark));
}

#[test]
fn a_job_has_its_place_beside_as_many_transactions_as_may_be_under_way() {
    let (mut bench, _) = large_group(Config { in_flight: 1, ..Config::default() });
    bench.send(1, 2, talk(1, 2), 8);
    bench.frame(1, ClientFrame::Fetch { request: RequestId(3), of: Target::Id(GROUP), after: Seq(0) });
    bench.greet(2, 2);
    bench.input(Input::Bell);
    // The bench lets the gateway check itself against its limits.
    bench.drain();
    assert_eq!(bench.jobs.len(), 4, "one of each other kind: {:?}", bench.jobs);
}
