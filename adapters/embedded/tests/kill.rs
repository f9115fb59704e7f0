//! What was answered before kill -9 is there afterwards, and no transaction is half there.
//!
//! This program starts itself, as the process that is killed; so it has a `main` of its own. `DOUBLETICK_KILLS=100` kills a hundred times.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use doubletick_core::store::{Commit, Key, Scan, Write};
use doubletick_embedded::{Embedded, Options};
use doubletick_store::Store;
use doubletick_store::conformance::{Random, Reads, block_on, durable, quick};

#[path = "embedded/temporary.rs"]
mod temporary;
use temporary::Temporary;

const DIRECTORY: &str = "DOUBLETICK_KILL_DIRECTORY";
const WRITERS: u64 = 8;

fn options() -> Options {
    let mut options = Options::default();
    // So that it is often killed while a log is put into the tree.
    options.log_bytes = 100_000;
    options
}

fn rows(writer: u64) -> [Key; 2] {
    ["a", "b"].map(|row| Key::new(format!("{row}/{writer}").as_bytes()))
}

fn main() {
    match std::env::var(DIRECTORY) {
        Ok(directory) => write_until_killed(Path::new(&directory)),
        Err(_) => kill_and_check(),
    }
}

fn write_until_killed(directory: &Path) {
    let store = Embedded::open(directory, options()).expect("it opens");
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            std::thread::spawn(move || {
                loop {
                    let number =
                        block_on(store.execute(durable(move |reads: &mut Reads<'_>| next(reads, writer)))).expect("the disk is well");
                    // In one write, so that lines stay whole.
                    std::io::stdout().lock().write_all(format!("\nanswered {writer} {number}\n").as_bytes()).expect("the pipe is open");
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().expect("it is killed first"));
}

fn next(reads: &mut Reads<'_>, writer: u64) -> Result<Commit<u64>, doubletick_core::store::NotFetched> {
    let next = reads.number(&rows(writer)[0])? + 1;
    let mut writes = rows(writer).map(|row| Write::Set(row, next.to_le_bytes().to_vec())).to_vec();
    writes.push(Write::Set(Key::new(format!("log/{writer}/{next}").as_bytes()), vec![0; 200]));
    Ok(Commit { writes, answer: next })
}

fn start(directory: &Path) -> Child {
    Command::new(std::env::current_exe().expect("it runs"))
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("it can be started again")
}

fn kill_and_check() {
    let kills = std::env::var("DOUBLETICK_KILLS").map_or(5, |kills| kills.parse().expect("DOUBLETICK_KILLS is a number"));
    let temporary = Temporary::new();
    let mut random = Random::new(3);
    let mut answered = [0; WRITERS as usize];
    for kill in 0..kills {
        let mut child = start(temporary.path());
        let mut left = 1 + random.below(600);
        for line in BufReader::new(child.stdout.take().expect("it is piped")).lines() {
            let line = line.expect("it is text");
            let mut words = line.split(' ');
            if let (Some("answered"), Some(writer), Some(number)) = (words.next(), words.next(), words.next()) {
                // What was in the pipe when it was killed counts as well.
                answered[writer.parse::<usize>().expect("a number")] = number.parse().expect("a number");
                left = left.saturating_sub(1);
                if left == 0 {
                    child.kill().expect("it runs");
                }
            }
        }
        assert!(child.wait().expect("it is ours").code().is_none(), "it was killed, and did not end by itself");
        check(temporary.path(), &answered, kill);
    }
    println!("killed {kills} times, {} answers kept", answered.iter().sum::<u64>());
}

fn check(directory: &Path, answered: &[u64], kill: u64) {
    let store = Embedded::open(directory, options()).expect("it opens after a kill");
    for (writer, answered) in (0..WRITERS).zip(answered) {
        let read = move |reads: &mut Reads<'_>| {
            let [a, b] = rows(writer).map(|row| reads.number(&row));
            let bound = |digit: char| Key::new(format!("log/{writer}{digit}").as_bytes());
            let log = reads.scan(&Scan { from: bound('/'), to: bound('0'), limit: u32::MAX, reverse: false });
            Ok(Commit { writes: Vec::new(), answer: (a?, b?, log?.len() as u64) })
        };
        let (a, b, log) = block_on(store.execute(quick(read))).expect("the disk is well");
        assert!(a == *answered || a == answered + 1, "kill {kill}: {answered} answered, {a} there");
        assert_eq!((b, log), (a, a), "kill {kill}: half of a transaction");
    }
}
