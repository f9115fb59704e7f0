//! Logs of real stores, told and proved by the program as a process.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

use doubletick_core::command::{Command, Reply, code_digest};
use doubletick_core::content::Content;
use doubletick_core::id::{ConversationId, DeviceId, Digest, MessageId, Phone, Seq, UserId};
use doubletick_core::rows::{self, LogEntry, Row};
use doubletick_core::store::{Commit, Missing, Snapshot, Transaction, Write};
use doubletick_core::time::Timestamp;
use doubletick_core::transact::Batch;
use doubletick_embedded::{Embedded, Options};
use doubletick_store::Store;
use doubletick_store::waiting::block_on;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use tempfile::TempDir;

const TALK: &str = "0000000000000abc-0000000000000def";

fn replay(arguments: &[&str]) -> Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_doubletick-replay")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refused(output: &Output, says: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{error}");
    assert!(error.starts_with("doubletick-replay: ") && error.contains(says) && error.lines().count() == 1, "{error}");
}

/// A data directory in which two people have talked.
struct Dir(TempDir);

impl Dir {
    fn new() -> Self {
        let dir = Self(TempDir::new().unwrap());
        let store = dir.open();
        let mut now = 1_800_000_000_000;
        let mut run = |command| {
            now += 1000;
            let batch = Batch { now: Timestamp::from_millis(now), commands: vec![command] };
            block_on(store.execute(Arc::new(batch))).unwrap().replies.pop().unwrap().unwrap()
        };
        let [ann, ben] = [0xabc, 0xdef].map(|user: u64| {
            let phone = Phone::parse(&format!("+49151{user:08}")).unwrap();
            let code = code_digest(&phone, "123456");
            run(Command::RequestCode { phone: phone.clone(), code });
            let secret = Digest([user as u8; 32]);
            let registered = run(Command::Register { phone, code, secret, new_user: UserId(user), name: "telephone".into() });
            let Reply::Registered { device, .. } = registered else { panic!("{registered:?}") };
            device
        });
        for (number, (from, text)) in (1..).zip([(ann, "are you there?"), (ben, "I am"), (ann, "good to know")]) {
            let content = Content::shared(1, text.as_bytes()).unwrap();
            run(Command::Send { from, conversation: talk(), id: MessageId([number; 16]), content, roster: 0 });
        }
        run(Command::Acknowledge { device: ben, conversation: talk(), delivered: Seq(3), read: Seq(1) });
        drop(store);
        dir
    }

    fn open(&self) -> Embedded {
        Embedded::open(self.data(), Options::default()).unwrap()
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn look(&self, arguments: &[&str]) -> Output {
        replay(&[arguments, &["--data", self.data().to_str().unwrap()]].concat())
    }

    /// Changes what was said second.
    fn damage(&self) {
        block_on(self.open().execute(Damage)).unwrap();
    }
}

fn talk() -> ConversationId {
    ConversationId::direct(UserId(0xabc), UserId(0xdef)).unwrap()
}

struct Damage;

impl Transaction for Damage {
    type Answer = ();

    fn run(&self, snapshot: &mut dyn Snapshot) -> Result<Commit<()>, Missing> {
        let key = rows::log(talk(), Seq(2)).key;
        let value = snapshot.get(&key).unwrap().unwrap();
        let entry = LogEntry::decode(&value).unwrap();
        let sender = DeviceId { serial: 2, ..entry.sender };
        Ok(Commit { writes: vec![Write::Set(key, LogEntry { sender, ..entry }.encode())], answer: () })
    }
}

#[test]
fn a_conversation_is_told_one_line_an_event_and_proved() {
    let dir = Dir::new();
    let told = dir.look(&["--conversation", TALK]);
    let lines: Vec<_> = said(&told).lines().map(str::to_owned).collect();
    assert_eq!(told.status.code(), Some(0));
    assert_eq!(lines[1], format!("conversation {TALK}"));
    assert!(lines[2].starts_with("       1  2027-01-15 08:00:05.000  0000000000000abc.1  kind 1, 14 bytes "), "{}", lines[2]);
    assert!(lines[4].starts_with("       3  2027-01-15 08:00:07.000  0000000000000abc.1  kind 1, 12 bytes "), "{}", lines[4]);
    assert!(lines.contains(&"    user  0000000000000abc  delivered 0, read 0, unread 1".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"    user  0000000000000def  delivered 3, read 1, unread 1".to_owned()), "{lines:#?}");
    assert_eq!(lines.last().unwrap(), "whole: 3 messages, chain and rows verified");
    let json = said(&dir.look(&["--conversation", TALK, "--json"]));
    let json: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json.iter().filter_map(|line| line["seq"].as_u64()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((&json[3]["people"][1]["unread"], &json[3]["wrong"], &json[4]["messages"]), (&1.into(), &serde_json::json!([]), &3.into()));
    let all = said(&dir.look(&["--all"]));
    assert!(all.starts_with(&format!("{TALK}         3 messages  whole\n")), "{all}");
}

#[test]
fn the_first_thing_that_is_wrong_is_told_with_its_key_here_and_where_the_export_is_read() {
    let dir = Dir::new();
    dir.damage();
    let (original, anonymous) = (dir.file("original"), dir.file("anonymous"));
    let told = dir.look(&["--conversation", TALK, "--export", &original]);
    let wrong = format!("wrong: position 2 of {TALK}: its link does not follow from what it says and from the link before it (key 1001");
    assert!(said(&told).contains(&wrong), "{}", said(&told));
    assert_eq!(told.status.code(), Some(10));
    assert_eq!(dir.look(&["--all", "--export", &anonymous, "--anonymise"]).status.code(), Some(10));

    let elsewhere = replay(&[&original]);
    assert!(elsewhere.status.code() == Some(10) && said(&elsewhere).contains(&wrong), "{}", said(&elsewhere));
    let elsewhere = replay(&[&anonymous]);
    let told = said(&elsewhere);
    assert!(told.lines().next().unwrap().ends_with("; anonymised: names and words are replaced, and the chain is made anew"), "{told}");
    assert!(elsewhere.status.code() == Some(10) && told.contains("wrong: position 2 of ") && !told.contains(TALK), "{told}");
    assert!(!String::from_utf8_lossy(&std::fs::read(&anonymous).unwrap()).contains("good to know"));
    assert!(String::from_utf8_lossy(&std::fs::read(&original).unwrap()).contains("good to know"));
}

#[test]
fn what_was_exported_whole_is_told_in_the_same_words_elsewhere() {
    let dir = Dir::new();
    let file = dir.file("export");
    let here = said(&dir.look(&["--conversation", TALK, "--export", &file]));
    let (story, exported) = here.trim_end().rsplit_once('\n').unwrap();
    assert!(exported.contains("with all that people wrote to each other"), "{exported}");
    let there = replay(&[&file]);
    assert!(there.status.success() && said(&there).contains(story.trim()), "{}", said(&there));
    let torn = std::fs::read(&file).unwrap();
    std::fs::write(Path::new(&file), &torn[..torn.len() / 2]).unwrap();
    refused(&replay(&[&file]), "torn: it ends at byte");
    std::fs::write(Path::new(&file), "doubletick-export 9 7.8.9 original\n").unwrap();
    refused(&replay(&[&file]), "made by version 7.8.9");
}

#[test]
fn what_cannot_be_told_is_refused_in_one_line() {
    let dir = Dir::new();
    let file = dir.file("export");
    refused(
        &dir.look(&["--conversation", "0000000000000abc-0000000000000abd", "--export", &file]),
        "there is no such conversation; the store has 1",
    );
    assert!(!Path::new(&file).exists());
    refused(&dir.look(&["--conversation", "ann-ben"]), "it must be the ids of two users");
    refused(&replay(&["--conversation", TALK]), "must say which store");
    refused(&replay(&["--all", "--store", "fdb:"]), "it must be fdb: and the path of a cluster file");
    refused(&replay(&["--all", "--data", dir.0.path().to_str().unwrap()]), "this is no data directory of Doubletick");
    refused(&dir.look(&["--all", "--anonymise"]), "--export");
    let server = dir.open();
    refused(&dir.look(&["--all"]), "is in use by process");
    drop(server);
}
