//! How long it takes to prove a million messages, and how much memory: `cargo bench -p doubletick-audit`.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]
#![allow(missing_docs, reason = "it is a program")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use doubletick_audit::check::check;
use doubletick_audit::stats::count;
use doubletick_core::command::{Command, Reply, code_digest};
use doubletick_core::content::Content;
use doubletick_core::id::{ConversationId, DeviceId, Digest, MessageId, Phone, UserId};
use doubletick_core::limits::COMMANDS_PER_TRANSACTION;
use doubletick_core::time::Timestamp;
use doubletick_core::transact::Batch;
use doubletick_embedded::{Embedded, Options, Reader};
use doubletick_store::Store;
use doubletick_store::waiting::block_on;
use tempfile::TempDir;

const MESSAGES: u64 = 1_000_000;
const BYTES: usize = 200;

fn run(store: &Embedded, now: u64, commands: Vec<Command>) -> Vec<Reply> {
    let batch = Batch { now: Timestamp::from_millis(now), commands };
    let replies = block_on(store.execute(Arc::new(batch))).unwrap().replies;
    replies.into_iter().map(Result::unwrap).collect()
}

fn link(store: &Embedded, number: u64) -> DeviceId {
    let phone = Phone::parse(&format!("+4915{number:09}")).unwrap();
    let code = code_digest(&phone, "123456");
    let secret = Digest([1; 32]);
    let register = Command::Register { phone: phone.clone(), code, secret, new_user: UserId(number << 32), name: "phone".into() };
    let registered = run(store, 1, vec![Command::RequestCode { phone, code }, register]).pop();
    let Some(Reply::Registered { device, .. }) = registered else { panic!("{registered:?}") };
    device
}

/// So many people who talk in pairs, until there are a million messages.
fn fill(data: &Path, people: u64) {
    let store = Embedded::open(data, Options::default()).unwrap();
    let devices: Vec<_> = (1..=people).map(|number| link(&store, number)).collect();
    let pairs: Vec<_> = devices.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    let mut send = (0..MESSAGES).map(|number| {
        let (low, high) = pairs[(number / 16) as usize % pairs.len()];
        let (from, to) = if number % 3 == 0 { (low, high) } else { (high, low) };
        let conversation = ConversationId::direct(from.user, to.user).unwrap();
        let id = MessageId(u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes());
        Command::Send { from, conversation, id, content: Content::shared(1, vec![number as u8; BYTES]).unwrap(), roster: 0 }
    });
    loop {
        let batch: Vec<_> = send.by_ref().take(COMMANDS_PER_TRANSACTION).collect();
        if batch.is_empty() {
            break;
        }
        run(&store, 2, batch);
    }
}

/// Bytes of memory: present, and the most so far.
fn memory() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    };
    (field("VmRSS:"), field("VmHWM:"))
}

fn main() {
    for people in [20_000, 2] {
        let temporary = TempDir::new().unwrap();
        let data = temporary.path().join("data");
        fill(&data, people);
        for readers in [1, 2] {
            // The most so far begins anew.
            fs::write("/proc/self/clear_refs", "5").unwrap();
            let (before, _) = memory();
            let begun = Instant::now();
            let reader = Reader::open(&data).unwrap();
            let opened = begun.elapsed();
            let begun = Instant::now();
            let checked = check(&reader, readers, &|_| ()).unwrap();
            let took = begun.elapsed();
            assert!(checked.findings.is_empty() && checked.entries == MESSAGES);
            let most = memory().1.saturating_sub(before) >> 20;
            println!(
                "{} conversations, {readers} readers: opened in {opened:?}, proved in {took:.2?}, {:.0} messages/s, {most} MiB more",
                checked.conversations,
                MESSAGES as f64 / took.as_secs_f64()
            );
        }
        let begun = Instant::now();
        let stats = count(&Reader::open(&data).unwrap(), &|_| ()).unwrap();
        println!("{} rows, {} bytes, counted in {:.2?}", stats.total().rows, stats.total().bytes, begun.elapsed());
    }
}
