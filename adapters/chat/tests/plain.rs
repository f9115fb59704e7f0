//! The line mode against a server, with pipes in the place of the standard input and output.

#![allow(clippy::unwrap_used, reason = "a panic in what tests share is the report too")]

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use doubletick_chat::plain::session;
use doubletick_chat::{ChatArgs, Failure, Wait};
use doubletick_client::{Client, Phone, Profile, Server as Address};
use doubletick_server::{Config, Running, Server};
use doubletick_store::memory::Memory;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines};
use tokio::task::JoinHandle;

const ADA: &str = "+4915100000001";
const BEN: &str = "+4915100000002";
const CY: &str = "+4915100000003";
const CODE: &str = "123456";

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs") });
}

async fn server() -> Running {
    let mut config = Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), shards: 1, ..Config::default() };
    config.registration.insecure_fixed_code = Some(CODE.into());
    Server::start(config, Memory::new()).await.unwrap()
}

/// A person at a pipe.
struct Person {
    client: Client,
    input: DuplexStream,
    lines: Lines<BufReader<DuplexStream>>,
    session: JoinHandle<Result<(), Failure>>,
    _profile: tempfile::TempDir,
}

async fn client(server: &Running, number: &str, directory: &tempfile::TempDir) -> Client {
    let address = Address::parse(&format!("http://{}", server.addr())).unwrap();
    let profile = Profile::open(directory.path(), address).unwrap();
    profile.register(&Phone::parse(number).unwrap()).await.unwrap();
    profile.verify(CODE, "test").await.unwrap();
    profile.start().unwrap()
}

impl Person {
    async fn new(server: &Running, number: &str, wait: Wait) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let client = client(server, number, &directory).await;
        let mut person = Self::of(client, wait, directory);
        assert_eq!(person.hears("online").await, ["online"]);
        person
    }

    fn of(client: Client, wait: Wait, directory: tempfile::TempDir) -> Self {
        let (input, read) = tokio::io::duplex(64 * 1024);
        let (written, output) = tokio::io::duplex(64 * 1024);
        let running = client.clone();
        let session = tokio::spawn(async move { session(&running, BufReader::new(read), written, wait, None).await });
        Self { client, input, lines: BufReader::new(output).lines(), session, _profile: directory }
    }

    async fn says(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// The fields of the next line of a kind.
    async fn hears(&mut self, kind: &str) -> Vec<String> {
        while let Some(line) = self.lines.next_line().await.unwrap() {
            let fields: Vec<String> = line.split('\t').map(Into::into).collect();
            if fields[0] == kind {
                return fields;
            }
        }
        panic!("no line {kind:?} comes");
    }

    /// The input ends. What is still printed, and how it ends.
    async fn ends(mut self) -> (Vec<String>, Result<(), Failure>) {
        self.input.shutdown().await.unwrap();
        drop(self.input);
        let mut rest = vec![];
        while let Some(line) = self.lines.next_line().await.unwrap() {
            rest.push(line);
        }
        (rest, self.session.await.unwrap())
    }
}

#[test]
fn a_message_is_queued_sent_delivered_and_read_and_each_step_is_a_line() {
    run(async {
        let server = server().await;
        let (mut ada, mut ben) = (Person::new(&server, ADA, Wait::Sent).await, Person::new(&server, BEN, Wait::Sent).await);
        ada.says(&format!("{BEN} hello\\ Ben")).await;
        let queued = ada.hears("queued").await;
        let heard = ben.hears("message").await;
        assert_eq!((&heard[1], &heard[2], &heard[4]), (&ADA.to_owned(), &queued[2], &"hello\\\\ Ben".to_owned()));
        for step in ["sent", "delivered", "read"] {
            assert_eq!(ada.hears(step).await[1..], queued[1..]);
        }
        ben.says(&format!("/to {ADA}")).await;
        ben.says("and").await;
        ben.says("back").await;
        assert_eq!(ada.hears("message").await[4], "and");
        assert_eq!(ada.hears("message").await[4], "back");
        assert!(ada.ends().await.1.is_ok());
    });
}

#[test]
fn typing_and_presence_are_lines() {
    run(async {
        let server = server().await;
        let (mut ada, mut ben) = (Person::new(&server, ADA, Wait::Sent).await, Person::new(&server, BEN, Wait::Sent).await);
        ada.says(&format!("{BEN} hello")).await;
        ben.hears("message").await;
        ben.says(&format!("{ADA} hello")).await;
        ada.hears("message").await;
        ada.says(&format!("/typing {BEN} on")).await;
        assert_eq!(ben.hears("typing").await, ["typing", ADA, "on"]);
        ada.says(&format!("/watch {BEN}")).await;
        let seen = ada.hears("presence").await;
        assert_eq!(seen[..2], ["presence", BEN]);
        assert!(["online", "hidden"].contains(&seen[2].as_str()), "{seen:?}");
    });
}

#[test]
fn with_wait_delivered_the_end_of_the_input_is_not_the_end() {
    run(async {
        let server = server().await;
        let directory = tempfile::tempdir().unwrap();
        let ben = client(&server, BEN, &directory).await;
        ben.online().await.unwrap();
        ben.close().await;
        let mut ada = Person::new(&server, ADA, Wait::Delivered).await;
        ada.says(&format!("{BEN} wait for me")).await;
        ada.hears("sent").await;
        ada.input.shutdown().await.unwrap();
        // Only now is there somebody to whom it can be delivered.
        let address = Address::parse(&format!("http://{}", server.addr())).unwrap();
        let ben = Client::open(directory.path(), address).unwrap();
        let (rest, ended) = ada.ends().await;
        assert!(ended.is_ok() && rest.iter().any(|line| line.starts_with("delivered\t")), "{ended:?} {rest:?}");
        ben.close().await;
    });
}

#[test]
fn what_came_while_nobody_listened_is_printed_at_the_next_start_and_only_once() {
    run(async {
        let server = server().await;
        let directory = tempfile::tempdir().unwrap();
        let ben = client(&server, BEN, &directory).await;
        let mut ada = Person::new(&server, ADA, Wait::Delivered).await;
        for n in 0..120 {
            ada.says(&format!("{BEN} {n}")).await;
        }
        assert!(ada.ends().await.1.is_ok());
        // Received and stored, but shown to nobody.
        let mut ben = Person::of(ben, Wait::Sent, directory);
        ben.says(&format!("/watch {ADA}")).await;
        for n in 0..120 {
            assert_eq!(ben.hears("message").await[4], n.to_string());
        }
        let client = ben.client.clone();
        while client.chats().unwrap()[0].unread > 0 {
            tokio::task::yield_now().await;
        }
        let Person { _profile: directory, .. } = ben;
        let again = Person::of(client, Wait::Sent, directory);
        let (rest, ended) = again.ends().await;
        assert!(ended.is_ok() && !rest.iter().any(|line| line.starts_with("message")), "{rest:?}");
    });
}

#[test]
fn lines_that_cannot_be_carried_out_are_named_and_the_others_are_carried_out() {
    run(async {
        let server = server().await;
        let (mut ada, mut ben) = (Person::new(&server, ADA, Wait::Sent).await, Person::new(&server, BEN, Wait::Sent).await);
        ada.says("to whom?").await;
        ada.says("/dance").await;
        ada.says("+4915199999999 hello").await;
        ada.says(&format!("{BEN} hello")).await;
        assert_eq!(ada.hears("error").await, ["error", "1", "it does not say to whom"]);
        assert_eq!(ada.hears("error").await[1], "2");
        assert_eq!(ada.hears("error").await, ["error", "3", "nobody with the number +4915199999999 is registered"]);
        assert_eq!(ben.hears("message").await[4], "hello");
        let (_, ended) = ada.ends().await;
        let failure = ended.unwrap_err();
        assert_eq!((failure.code(), failure.to_string().as_str()), (7, "3 lines could not be carried out, and 0 messages were refused"));
    });
}

#[test]
fn whoever_is_blocked_is_told_why_a_message_failed() {
    run(async {
        let server = server().await;
        let (mut ada, mut ben) = (Person::new(&server, ADA, Wait::Sent).await, Person::new(&server, BEN, Wait::Sent).await);
        ben.says(&format!("/block {ADA}")).await;
        // Carried out one after the other: with the answer to this one the block is there.
        ben.says("+4915199999999 are you there?").await;
        ben.hears("error").await;
        ada.says(&format!("{BEN} hello")).await;
        let queued = ada.hears("queued").await;
        assert_eq!(ada.hears("failed").await, ["failed", BEN, &queued[2], "one of you has blocked the other"]);
        assert_eq!(ada.ends().await.1.unwrap_err().code(), 7);
    });
}

#[test]
fn three_people_make_a_group_talk_in_it_and_change_it() {
    run(async {
        let server = server().await;
        let mut people = vec![];
        for number in [ADA, BEN, CY] {
            people.push(Person::new(&server, number, Wait::Sent).await);
        }
        let [ada, ben, cy] = &mut people[..] else { unreachable!("there are three") };
        ada.says(&format!("/create Book club {BEN} {CY}")).await;
        let created = ada.hears("queued").await;
        let group = created[1].clone();
        assert_eq!(ada.hears("sent").await, ["sent", &group, &created[2]]);
        for person in [&mut *ben, &mut *cy] {
            assert_eq!(person.hears("group").await, ["group", &group, "member", "Book club"]);
            let change = person.hears("change").await;
            assert_eq!(
                (&change[..3], &change[4..7]),
                (&["change".into(), group.clone(), created[2].clone()][..], &[ADA.into(), "created".into(), "Book club".into()][..])
            );
        }
        // What is said there names the group and who has said it.
        ada.says("welcome").await;
        let queued = ada.hears("queued").await;
        for person in [&mut *ben, &mut *cy] {
            let heard = person.hears("message").await;
            assert_eq!((&heard[1], &heard[2], &heard[4], &heard[5]), (&group, &queued[2], &"welcome".into(), &ADA.into()));
        }
        ben.says("/to Book club").await;
        ben.says("hello").await;
        for person in [&mut *ada, &mut *cy] {
            let heard = person.hears("message").await;
            assert_eq!((&heard[1], &heard[4], &heard[5]), (&group, &"hello".into(), &BEN.into()));
        }
        ben.says("/typing on").await;
        for person in [&mut *ada, &mut *cy] {
            assert_eq!(person.hears("typing").await, ["typing", &group, "on", BEN]);
        }
        // Roles, names, and the list of members.
        ada.says(&format!("/promote {BEN}")).await;
        assert_eq!(ben.hears("change").await[4..], [ADA, "promoted", BEN]);
        ben.says("/rename The book club").await;
        assert_eq!(ada.hears("group").await, ["group", &group, "member", "The book club"]);
        ben.says(&format!("/remove {CY}")).await;
        assert_eq!(cy.hears("group").await, ["group", &group, "member", "The book club"]);
        assert_eq!(cy.hears("group").await, ["group", &group, "gone", "The book club"]);
        ada.says("/members").await;
        let mut members = vec![ada.hears("member").await, ada.hears("member").await];
        members.sort();
        assert_eq!(members, [["member", &group, ADA, "admin"], ["member", &group, BEN, "admin"]]);
        assert_eq!(ada.hears("members").await, ["members", &group, "2"]);
        // Who was removed may not write; whoever comes back may, and hears what the group is called by then.
        cy.says(&format!("/to {group}")).await;
        cy.says("let me in").await;
        assert_eq!(cy.hears("failed").await[3], "you take no part in that conversation");
        ada.says("/rename Readers").await;
        ada.says(&format!("/add {CY}")).await;
        assert_eq!(cy.hears("group").await, ["group", &group, "member", "Readers"]);
        cy.says("/leave").await;
        while ada.hears("change").await[4..] != [CY, "left"] {}
    });
}

#[test]
fn the_ticks_of_a_group_are_those_of_all_and_each_member_is_told_of_when_asked() {
    run(async {
        let server = server().await;
        let directory = tempfile::tempdir().unwrap();
        let cy = client(&server, CY, &directory).await;
        cy.online().await.unwrap();
        cy.close().await;
        let (mut ada, mut ben) = (Person::new(&server, ADA, Wait::Sent).await, Person::new(&server, BEN, Wait::Sent).await);
        ada.says(&format!("/create Us {BEN} {CY}")).await;
        ada.says("hello").await;
        assert_eq!(ben.hears("message").await[4], "hello");
        ada.hears("queued").await;
        let queued = ada.hears("queued").await;
        while ada.hears("sent").await[1..] != queued[1..] {}
        // Ben has read it, Cy is away.
        let seen = async |ada: &mut Person| {
            ada.says("/receipts").await;
            let mut seen = vec![ada.hears("receipt").await, ada.hears("receipt").await];
            seen.sort();
            seen.into_iter().map(|fields| (fields[3].clone(), fields[4].clone())).collect::<Vec<_>>()
        };
        while seen(&mut ada).await != [(BEN.into(), "read".into()), (CY.into(), "sent".into())] {}
        let address = Address::parse(&format!("http://{}", server.addr())).unwrap();
        let cy = Person::of(Client::open(directory.path(), address).unwrap(), Wait::Sent, directory);
        // The making of the group is delivered and read too.
        while ada.hears("delivered").await[1..] != queued[1..] {}
        while ada.hears("read").await[1..] != queued[1..] {}
        assert_eq!(seen(&mut ada).await, [(BEN.into(), "read".into()), (CY.into(), "read".into())]);
        drop(cy);
    });
}

#[test]
fn what_cannot_be_done_in_a_group_is_a_line_that_says_why() {
    run(async {
        let server = server().await;
        let mut ada = Person::new(&server, ADA, Wait::Sent).await;
        let mut ben = Person::new(&server, BEN, Wait::Sent).await;
        ada.says("/members").await;
        assert_eq!(ada.hears("error").await[2], "it does not say of which group: /to GROUP comes before it");
        ada.says("/to Nowhere").await;
        assert_eq!(ada.hears("error").await[2], "you are in no group that is called \"Nowhere\"");
        ada.says("/create Strangers +4915199999999").await;
        assert_eq!(ada.hears("error").await[2], "nobody with the number +4915199999999 is registered");
        ada.says(&format!("/create Us {ADA}")).await;
        assert_eq!(ada.hears("error").await[2], "you are a member of every group that you make");
        ada.says(&format!("/create Us {BEN} {BEN}")).await;
        assert_eq!(ada.hears("error").await[2], "somebody is named twice, or there are too many");
        ada.says(&format!("/create Us {BEN}")).await;
        ada.hears("sent").await;
        ben.hears("change").await;
        ben.says("/to Us").await;
        ben.says(&format!("/remove {ADA}")).await;
        assert_eq!(ben.hears("failed").await[3], "only an admin of the group may do that");
        ada.says(&format!("/add {BEN}")).await;
        assert_eq!(ada.hears("failed").await[3], "somebody who was to be added is a member of the group");
        ada.says(&format!("/demote {ADA}")).await;
        assert_eq!(ada.hears("failed").await[3], "the group would be left without an admin");
    });
}

#[test]
fn every_kind_of_failure_is_a_sentence_and_a_code_of_its_own() {
    run(async {
        let server = server().await;
        let directory = tempfile::tempdir().unwrap();
        let url = format!("http://{}", server.addr());
        let args = |phone: &str, server: &str, code: &str| ChatArgs {
            phone: Some(phone.into()),
            server: Some(server.into()),
            ca: None,
            profile: Some(directory.path().join("profile")),
            name: "test".into(),
            code: Some(code.into()),
            plain: true,
            wait: Wait::Sent,
            give_up: None,
        };
        let fails = async |args: ChatArgs| {
            let failure = doubletick_chat::run(args).await.unwrap_err();
            (failure.code(), failure.to_string())
        };
        assert_eq!(fails(args("0151", &url, CODE)).await.0, 2);
        assert_eq!(fails(args(ADA, "ftp://here", CODE)).await.0, 2);
        let (code, sentence) = fails(args(ADA, "http://127.0.0.1:1", CODE)).await;
        assert!(code == 5 && sentence.starts_with("the server at 127.0.0.1:1 cannot be reached"), "{sentence}");
        assert_eq!(fails(args(ADA, &url, "wrong")).await, (5, "The verification code is wrong".into()));

        let profile = Profile::open(&directory.path().join("profile"), Address::parse(&url).unwrap()).unwrap();
        let (code, sentence) = fails(args(ADA, &url, CODE)).await;
        assert!(code == 4 && sentence.ends_with("profile is in use by another process"), "{sentence}");
        profile.register(&Phone::parse(ADA).unwrap()).await.unwrap();
        profile.verify(CODE, "test").await.unwrap();
        drop(profile);
        let (code, sentence) = fails(args(BEN, &url, CODE)).await;
        assert!(code == 2 && sentence.ends_with("belongs to +4915100000001, not to +4915100000002"), "{sentence}");
    });
}
