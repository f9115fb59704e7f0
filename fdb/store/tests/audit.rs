//! A store on a cluster is proved while it is in use, on the sandbox, with FoundationDB's faults.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use doubletick_audit::check::check;
use doubletick_audit::stats::count;
use doubletick_core::command::{Command, Reply, code_digest};
use doubletick_core::content::Content;
use doubletick_core::id::{ConversationId, DeviceId, Digest, MessageId, Phone, Seq, UserId};
use doubletick_core::rows;
use doubletick_core::store::{Commit, Failure, Missing, Snapshot, Transaction, Write};
use doubletick_core::time::Timestamp;
use doubletick_core::transact::Batch;
use doubletick_fdb::{Fdb, Network, Options};
use doubletick_fdb_sandbox::library;
use doubletick_store::Store;
use doubletick_store::waiting::block_on;

const FAULTS: &str = "seed=11 conflict=0.02 too_old=0.02 future_version=0.01 behind=0.01 stall_answer=0.01 stall_ms=2";

fn run(store: &Fdb, command: Command) -> Reply {
    let batch = Arc::new(Batch { now: Timestamp::from_millis(1_800_000_000_000), commands: vec![command] });
    loop {
        match block_on(store.execute(Arc::clone(&batch))) {
            Ok(mut outcome) => return outcome.replies.pop().unwrap().unwrap(),
            Err(Failure::Retry | Failure::Unknown | Failure::Unavailable) => {}
        }
    }
}

fn link(store: &Fdb, user: u64) -> DeviceId {
    let phone = Phone::parse(&format!("+4915100000{user:03}")).unwrap();
    let code = code_digest(&phone, "123456");
    run(store, Command::RequestCode { phone: phone.clone(), code });
    let register = Command::Register { phone, code, secret: Digest([user as u8; 32]), new_user: UserId(user), name: "phone".into() };
    let Reply::Registered { device, .. } = run(store, register) else { panic!("it is registered") };
    device
}

fn talk(one: DeviceId, other: DeviceId) -> ConversationId {
    ConversationId::direct(one.user, other.user).unwrap()
}

/// A message, and that the other side has seen it.
fn exchange(store: &Fdb, from: DeviceId, to: DeviceId, number: u64) {
    let conversation = talk(from, to);
    let id = MessageId(u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes());
    let content = Content::shared(1, number.to_le_bytes()).unwrap();
    let Reply::Sent { seq, .. } = run(store, Command::Send { from, conversation, id, content, roster: 0 }) else { panic!("it is sent") };
    run(store, Command::Acknowledge { device: to, conversation, delivered: seq, read: seq });
}

struct Plant(Write);

impl Transaction for Plant {
    type Answer = ();

    fn run(&self, _: &mut dyn Snapshot) -> Result<Commit<()>, Missing> {
        Ok(Commit { writes: vec![self.0.clone()], answer: () })
    }
}

#[test]
fn a_store_in_use_is_whole_at_every_look_and_what_is_wrong_is_found() {
    let network = Network::start(Some(&library())).unwrap();
    let file = std::env::temp_dir().join(format!("doubletick-fdb-audit-{}.cluster", std::process::id()));
    std::fs::write(&file, format!("# sandbox: {FAULTS}\naudit:sandbox@127.0.0.1:4500\n")).unwrap();
    let store = block_on(Fdb::open(&network, Options::new(&file))).unwrap();
    let people: Vec<_> = (1..=6).map(|user| link(&store, user)).collect();
    // Several pages.
    (0..300).for_each(|number| exchange(&store, people[0], people[1], number));

    let readable = block_on(Fdb::open_read_only(&network, Options::new(&file))).unwrap();
    std::fs::remove_file(&file).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut number = 1000;
            while !done.load(Ordering::Acquire) {
                let (from, to) = (people[number as usize % 6], people[(number as usize / 6 + number as usize + 1) % 6]);
                if from != to {
                    exchange(&store, from, to, number);
                }
                number += 1;
            }
            number
        });
        for _ in 0..8 {
            let checked = check(&readable, 4, &|_| ()).unwrap();
            let first: Vec<_> = checked.findings.first().map(ToString::to_string).collect();
            assert!(first.is_empty() && checked.entries >= 300, "{first:#?}");
        }
        done.store(true, Ordering::Release);
        assert!(writer.join().unwrap() > 1050, "it was in use");
    });
    assert_eq!(count(&readable, &|_| ()).unwrap().damaged, 0);

    let lost = rows::log(talk(people[0], people[1]), Seq(200)).key;
    block_on(store.execute(Plant(Write::Clear(lost)))).unwrap();
    let checked = check(&readable, 4, &|_| ()).unwrap();
    let first = checked.findings.first().next().unwrap();
    assert_eq!((checked.findings.count(), first.key), (1, rows::log(talk(people[0], people[1]), Seq(201)).key));
    drop((store, readable));
    drop(network);
}
