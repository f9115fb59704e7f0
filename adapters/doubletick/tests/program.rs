//! The program as people run it.

#![allow(clippy::unwrap_used, reason = "a panic in what tests share is the report too")]

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use doubletick_core::store::{self, Commit, Key, Missing, Snapshot, Transaction};
use doubletick_embedded::{Embedded, Options};
use doubletick_store::Store;
use doubletick_store::waiting::block_on;

/// A directory that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("doubletick-program-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // A directory that stays behind harms nobody.
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn doubletick(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doubletick"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DOUBLETICK_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

fn fails_with(output: &Output, code: i32, says: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    let last = error.lines().last().unwrap_or_default();
    assert!(last.starts_with("doubletick: ") && last.contains(says), "{error}");
    assert!(!error.contains("panicked"), "{error}");
}

const ADA: &str = "+4915100000001";
const BEN: &str = "+4915100000002";
/// The code of every verification.
const CODE: &str = "123456";

/// A server as a process of its own. Killed when the test is over.
struct Served {
    child: Child,
    addr: SocketAddr,
    banner: String,
}

impl Served {
    fn start(data: &Path) -> Self {
        Self::start_at("127.0.0.1:0", data)
    }

    fn start_at(listen: &str, data: &Path) -> Self {
        let mut command = doubletick(&["serve", "--registration-insecure-fixed-code", CODE, "--drain-spread", "0s"]);
        command.args(["--listen", listen, "--data"]);
        let mut child = command.arg(data).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut banner = String::new();
        while !banner.ends_with("stops the server.\n") {
            assert_ne!(stdout.read_line(&mut banner).unwrap(), 0, "it has started: {banner}");
        }
        let addr = banner.split(' ').find_map(|word| word.parse().ok()).expect("the banner says where it listens");
        Self { child, addr, banner }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Somebody at a terminal client in its line mode, as a process of its own. Killed when the test is over.
struct Person {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Person {
    fn start(number: &str, server: SocketAddr, dir: &Dir) -> Self {
        let mut command = doubletick(&["chat", "--plain", "--phone", number, "--code", CODE, "--server", &format!("http://{server}")]);
        command.arg("--profile").arg(dir.0.join(number)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut person = Self { child, lines };
        person.hears("online");
        person
    }

    fn says(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next line that begins so.
    fn hears(&mut self, start: &str) -> String {
        let line = self.lines.by_ref().map_while(Result::ok).find(|line| line.starts_with(start));
        line.unwrap_or_else(|| panic!("no line {start:?} comes"))
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

#[test]
fn whoever_does_not_come_back_after_a_kill_of_the_server_is_offline_and_whoever_does_is_online() {
    let dir = Dir::new("presence");
    let data = dir.0.join("data");
    let served = Served::start(&data);
    let addr = served.addr;
    let (mut ada, mut ben) = (Person::start(ADA, addr, &dir), Person::start(BEN, addr, &dir));
    // Each becomes the other's contact by being written to.
    ada.says(&format!("{BEN} hello"));
    ben.hears("message");
    ben.says(&format!("{ADA} hello"));
    ada.hears("message");
    ben.says(&format!("/watch {ADA}"));
    ben.hears(&format!("presence\t{ADA}\tonline"));

    // Both die at once, so nobody can say goodbye. Dropping a process kills it.
    drop((served, ada));
    ben.hears("offline");
    let served = Served::start_at(&addr.to_string(), &data);
    let seen = ben.hears(&format!("presence\t{ADA}"));
    assert!(seen.starts_with(&format!("presence\t{ADA}\toffline")), "{seen}");

    // And only the server dies.
    let _ada = Person::start(ADA, addr, &dir);
    ben.hears(&format!("presence\t{ADA}\tonline"));
    drop(served);
    ben.hears("offline");
    let _served = Served::start_at(&addr.to_string(), &data);
    ben.hears(&format!("presence\t{ADA}\tonline"));
}

#[test]
fn flags_go_before_the_environment_and_the_environment_before_the_file() {
    let dir = Dir::new("precedence");
    let file = dir.file("doubletick.toml", "shards = 3\nconnections = 3\nlinger = \"3s\"\n[gateway]\nwindow = 3\n");
    let output = doubletick(&["config", "--check", "--shards", "5", "--config", file.to_str().unwrap()])
        .envs([("DOUBLETICK_SHARDS", "4"), ("DOUBLETICK_CONNECTIONS", "4"), ("DOUBLETICK_GATEWAY_WINDOW", "4")])
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    for line in ["shards = 5", "connections = 4", "linger = \"3s\"", "window = 4", "drain_spread = \"10s\""] {
        assert!(printed.lines().any(|printed| printed == line), "{line} is not in:\n{printed}");
    }
}

#[test]
fn what_is_wrong_with_the_configuration_is_one_line_and_exit_code_2() {
    let dir = Dir::new("wrong");
    let unknown = dir.file("unknown.toml", "[gateway]\nwindows = 3\n");
    let missing = dir.0.join("missing.toml");
    for (arguments, says) in [
        (vec!["config", "--check", "--shards", "0"], "shards = \"0\" (--shards): must be a whole number from 1 to 256"),
        (
            vec!["serve", "--store", "redis"],
            "store = \"redis\" (--store): must be embedded, memory, or fdb: and the path of a cluster file",
        ),
        (vec!["serve", "--listen", "here"], "listen = \"here\" (--listen): must be an address and port"),
        (vec!["--config", unknown.to_str().unwrap()], "there is no key gateway.windows; did you mean gateway.window?"),
        (vec!["--config", missing.to_str().unwrap()], "missing.toml: No such file"),
    ] {
        fails_with(&doubletick(&arguments).output().unwrap(), 2, says);
    }
    let output = doubletick(&["config", "--check"]).env("DOUBLETICK_HANDSHAKE", "soon").output().unwrap();
    fails_with(&output, 2, "handshake = \"soon\" (DOUBLETICK_HANDSHAKE): must be a length of time");
}

#[test]
fn what_keeps_the_server_from_starting_is_one_line_and_exit_code_1() {
    let dir = Dir::new("trouble");
    let data = dir.0.join("data");
    let served = Served::start(&data);
    let (data, other, listen) = (data.to_str().unwrap(), dir.0.join("other"), served.addr.to_string());
    let file = dir.file("file", "");
    for (arguments, says) in [
        (["--listen", "127.0.0.1:0", "--data", data], "is in use by process"),
        (["--listen", &listen, "--data", other.to_str().unwrap()], "is in use by another program"),
        (["--listen", "127.0.0.1:0", "--data", file.to_str().unwrap()], "the data directory"),
    ] {
        fails_with(&doubletick(&arguments).output().unwrap(), 1, says);
    }
}

#[test]
fn the_banner_says_what_to_do_next_and_a_signal_ends_the_server_well() {
    let dir = Dir::new("signal");
    for signal in ["TERM", "INT"] {
        let mut served = Served::start(&dir.0.join("data"));
        assert!(served.banner.contains("chat --phone +4915100000001") && served.banner.contains("data"), "{}", served.banner);
        let mut stream = TcpStream::connect(served.addr).unwrap();
        stream.write_all(b"GET /ready HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let sent = Command::new("kill").args(["-s", signal, &served.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(served.child.wait().unwrap().code(), Some(0), "{signal}");
    }
}

/// A row of somebody's store, changed behind the server's back.
#[derive(Clone, Copy)]
struct Plant(Key, &'static [u8]);

impl Transaction for Plant {
    type Answer = ();

    fn run(&self, _: &mut dyn Snapshot) -> Result<Commit<()>, Missing> {
        Ok(Commit { writes: vec![store::Write::Set(self.0, self.1.to_vec())], answer: () })
    }
}

#[test]
fn a_store_that_a_server_has_left_is_whole_and_damage_in_it_is_named() {
    let dir = Dir::new("store");
    let data = dir.0.join("data");
    let look = |what: &[&str]| doubletick(&[&["store"], what, &["--data"]].concat()).arg(&data).output().unwrap();
    fails_with(&look(&["check"]), 1, "cannot be read");
    let served = Served::start(&data);
    let (mut ada, mut ben) = (Person::start(ADA, served.addr, &dir), Person::start(BEN, served.addr, &dir));
    ada.says(&format!("{BEN} hello"));
    ben.hears("message");
    ben.says(&format!("{ADA} hello yourself"));
    ada.hears("message");
    fails_with(&look(&["check"]), 1, "is in use by process");
    drop((ada, ben, served));

    let checked = look(&["check"]);
    let told = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success() && told.starts_with("1 conversations, 2 messages, ") && told.contains("\nwhole: "), "{told}");
    let stats: serde_json::Value = serde_json::from_slice(&look(&["stats", "--json"]).stdout).unwrap();
    assert_eq!((&stats["users"], &stats["messages"], &stats["kinds"]["log"]["rows"]), (&2.into(), &2.into(), &2.into()));
    let stats = String::from_utf8(look(&["stats"]).stdout).unwrap();
    assert!(stats.contains("\nconversations  1, of which 0 are groups\n") && stats.contains("\nlongest log    2 in "), "{stats}");

    // Key of nothing, among the conversations.
    let embedded = Embedded::open(&data, Options::default()).unwrap();
    block_on(embedded.execute(Plant(Key::new(&[0x10, 7]), b"what is this?"))).unwrap();
    drop(embedded);
    let checked = look(&["check"]);
    let told = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(3), "{told}");
    assert!(told.starts_with("wrong: key 1007: not a key of the row table") && told.contains("NOT WHOLE: 1 problems"), "{told}");
    let json: serde_json::Value = serde_json::from_slice(&look(&["check", "--json"]).stdout).unwrap();
    assert_eq!((&json["whole"], &json["first"][0]["key"], &json["kinds"]["unknown key"]), (&false.into(), &"1007".into(), &1.into()));
}

#[test]
fn what_is_no_store_is_told_in_one_line() {
    let dir = Dir::new("no-store");
    let check = |arguments: &[&str]| doubletick(&[&["store", "check"], arguments].concat()).output().unwrap();
    fails_with(&check(&["--data", dir.0.to_str().unwrap()]), 1, "this is no data directory of Doubletick");
    fails_with(&check(&["--store", "memory"]), 2, "nothing to look at");
    fails_with(&check(&["--store", "somewhere"]), 2, "must be embedded, memory, or fdb:");
}
