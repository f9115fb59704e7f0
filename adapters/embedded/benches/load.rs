//! How many transactions of a messenger's shape the store carries, and what they cost: `cargo bench -p doubletick-embedded`.
//!
//! For each number of callers, each with one transaction at a time: half of the transactions are a send (8 reads, 4 durable rows, 2
//! ephemeral), half an acknowledgement (6 reads, 3 durable rows, 2 ephemeral), in 10,000 conversations with 20 messages each. Then
//! the quick lane, while the same load runs. Arguments: `seconds=5 conversations=10000 directory=PATH log-mb=64 batch=512`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use doubletick_core::store::{Commit, Key, NotFetched, Scan, Write};
use doubletick_embedded::{Embedded, Options};
use doubletick_store::Store;
use doubletick_store::conformance::{Random, Reads, durable, quick};
use tokio::runtime::Runtime;

const EARLIER: u64 = 20;

/// The row tables that a message touches, by the first byte of their keys.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Table {
    Account = 1,
    Head,
    Log,
    Index,
    Dirty,
    Cursor,
    Member,
    Receipt,
    Session = 0x80,
    Wake,
    Bell,
}

fn key(table: Table, conversation: u64, rest: &[u8]) -> Key {
    // As random as the hash that a conversation's name is.
    let name = Random::new(conversation).draw().to_be_bytes();
    Key::new(&[&[table as u8][..], &name, &name, rest].concat())
}

fn send(reads: &mut Reads<'_>, conversation: u64, message: u64) -> Result<Commit<u64>, NotFetched> {
    let at = |table| key(table, conversation, &[]);
    let seq = reads.number(&at(Table::Head))? + 1;
    let index = key(Table::Index, conversation, &message.to_be_bytes());
    let others =
        [at(Table::Account), index, at(Table::Dirty), at(Table::Cursor), at(Table::Member), at(Table::Receipt), at(Table::Session)];
    for other in others {
        reads.get(&other)?;
    }
    let writes = vec![
        Write::Set(at(Table::Head), seq.to_le_bytes().to_vec()),
        Write::Set(key(Table::Log, conversation, &seq.to_be_bytes()), vec![1; 180]),
        Write::Set(index, vec![2; 50]),
        Write::Max(at(Table::Dirty), seq),
        Write::Set(at(Table::Wake), seq.to_le_bytes().to_vec()),
        Write::Add(Key::new(&[Table::Bell as u8, conversation as u8 % 2]), 1),
    ];
    Ok(Commit { writes, answer: seq })
}

fn acknowledge(reads: &mut Reads<'_>, conversation: u64) -> Result<Commit<u64>, NotFetched> {
    let at = |table| key(table, conversation, &[]);
    let seq = reads.number(&at(Table::Head))?;
    for other in [Table::Account, Table::Dirty, Table::Cursor, Table::Receipt, Table::Session] {
        reads.get(&at(other))?;
    }
    let writes = vec![
        Write::Clear(at(Table::Dirty)),
        Write::Max(at(Table::Cursor), seq),
        Write::Max(at(Table::Receipt), seq),
        Write::Clear(at(Table::Wake)),
        Write::Add(Key::new(&[Table::Bell as u8, conversation as u8 % 2]), 1),
    ];
    Ok(Commit { writes, answer: seq })
}

fn fill(conversation: u64) -> Vec<Write> {
    let at = |table| key(table, conversation, &[]);
    let mut writes: Vec<_> = [Table::Account, Table::Member, Table::Session].map(|table| Write::Set(at(table), vec![3; 150])).to_vec();
    writes.push(Write::Add(at(Table::Head), EARLIER));
    for seq in 1..=EARLIER {
        writes.push(Write::Set(key(Table::Log, conversation, &seq.to_be_bytes()), vec![1; 180]));
        writes.push(Write::Set(key(Table::Index, conversation, &Random::new(seq).draw().to_be_bytes()), vec![2; 50]));
    }
    writes
}

struct Args {
    seconds: u64,
    conversations: u64,
    directory: PathBuf,
    options: Options,
}

impl Args {
    fn parse() -> Self {
        let directory = std::env::temp_dir().join(format!("doubletick-bench-{}", std::process::id()));
        let mut args = Self { seconds: 5, conversations: 10_000, directory, options: Options::default() };
        for arg in std::env::args().skip(1).filter(|arg| arg != "--bench") {
            let (name, value) = arg.split_once('=').expect("arguments are name=value");
            let number = || value.parse::<u64>().expect("a number");
            match name {
                "seconds" => args.seconds = number(),
                "conversations" => args.conversations = number(),
                "directory" => args.directory = value.into(),
                "log-mb" => args.options.log_bytes = number() << 20,
                "batch" => args.options.batch_transactions = number() as usize,
                other => panic!("there is no argument {other}"),
            }
        }
        args
    }
}

/// Latencies, and what they come to.
#[derive(Default)]
struct Times(Mutex<Vec<Duration>>);

impl Times {
    fn add(&self, times: Vec<Duration>) {
        self.0.lock().expect("nobody panics").extend(times);
    }

    fn report(&self) -> String {
        let mut times = std::mem::take(&mut *self.0.lock().expect("nobody panics"));
        times.sort_unstable();
        let at = |part: f64| times.get(((times.len() - 1) as f64 * part) as usize).map_or(0.0, Duration::as_secs_f64) * 1e3;
        format!("{:.3} / {:.3} / {:.3} / {:.3} ms", at(0.5), at(0.99), at(0.999), at(1.0))
    }
}

/// Processor time so far of the committer's thread, or of all threads, also those that have ended. Linux only.
fn processor(committer: bool) -> Duration {
    let stats: Vec<_> = match committer {
        true => std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten().map(|task| task.path().join("stat")).collect(),
        false => vec![PathBuf::from("/proc/self/stat")],
    };
    let mut ticks = 0;
    for stat in stats {
        let stat = std::fs::read_to_string(stat).unwrap_or_default();
        let Some((before, after)) = stat.rsplit_once(')') else { continue };
        if !committer || before.contains("(doubletick-comm") {
            ticks += after.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>();
        }
    }
    Duration::from_millis(ticks * 10)
}

fn main() {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("threads");
    let store = Embedded::open(&args.directory, args.options.clone()).expect("it opens");
    let filling: Vec<_> = (0..256)
        .map(|task| {
            let (store, conversations) = (store.clone(), args.conversations);
            runtime.spawn(async move {
                for conversation in (task..conversations).step_by(256) {
                    let fill = durable(move |_: &mut Reads<'_>| Ok(Commit { writes: fill(conversation), answer: () }));
                    store.execute(fill).await.expect("it works");
                }
            })
        })
        .collect();
    filling.into_iter().for_each(|task| runtime.block_on(task).expect("nobody panics"));
    println!("latencies: median / 99 % / 99.9 % / most");
    for callers in [1, 8, 64, 256, 512] {
        load(&args, &runtime, &store, callers, false);
    }
    load(&args, &runtime, &store, 256, true);
    drop(store);
    let again = Instant::now();
    drop(Embedded::open(&args.directory, args.options.clone()).expect("it opens"));
    println!("opened again with what was in the logs in {:.2} s", again.elapsed().as_secs_f64());
    std::fs::remove_dir_all(&args.directory).expect("it is ours");
}

fn load(args: &Args, runtime: &Runtime, store: &Embedded, callers: u64, with_quick: bool) {
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (slow, fast) = (Arc::new(Times::default()), Arc::new(Times::default()));
    let conversations = args.conversations;
    let before = [true, false].map(processor);
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let (store, stop, done, slow) = (store.clone(), Arc::clone(&stop), Arc::clone(&done), Arc::clone(&slow));
        tasks.push(runtime.spawn(async move {
            let (mut random, mut times) = (Random::new(begun.elapsed().as_nanos() as u64 ^ caller << 40), Vec::new());
            while !stop.load(Ordering::Relaxed) {
                let (conversation, message) = (random.below(conversations), random.draw());
                let from = Instant::now();
                if random.one_in(2) {
                    store.execute(durable(move |reads: &mut Reads<'_>| send(reads, conversation, message))).await.expect("it works");
                } else {
                    store.execute(durable(move |reads: &mut Reads<'_>| acknowledge(reads, conversation))).await.expect("it works");
                }
                times.push(from.elapsed());
                done.fetch_add(1, Ordering::Relaxed);
            }
            slow.add(times);
        }));
    }
    let quick_done = Arc::new(AtomicU64::new(0));
    if with_quick {
        let (store, stop, fast, quick_done) = (store.clone(), Arc::clone(&stop), Arc::clone(&fast), Arc::clone(&quick_done));
        tasks.push(runtime.spawn(async move {
            let (mut random, mut times) = (Random::new(9), Vec::new());
            while !stop.load(Ordering::Relaxed) {
                let conversation = random.below(conversations);
                let from = Instant::now();
                // A page of the log, as a delivery reads it, and the session's row, as a heartbeat writes it.
                let deliver = quick(move |reads: &mut Reads<'_>| {
                    let bound = |seq: u64| key(Table::Log, conversation, &seq.to_be_bytes());
                    let head = reads.number(&key(Table::Head, conversation, &[]))?;
                    let page = reads.scan(&Scan { from: bound(head), to: bound(u64::MAX), limit: 10, reverse: false })?;
                    Ok(Commit { writes: vec![Write::Set(key(Table::Session, conversation, b"heard"), vec![0; 8])], answer: page.len() })
                });
                store.execute(deliver).await.expect("it works");
                times.push(from.elapsed());
                quick_done.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
            fast.add(times);
        }));
    }
    std::thread::sleep(Duration::from_secs(args.seconds));
    stop.store(true, Ordering::Relaxed);
    tasks.into_iter().for_each(|task| runtime.block_on(task).expect("nobody panics"));
    let (took, count) = (begun.elapsed().as_secs_f64(), done.load(Ordering::Relaxed));
    let spent = [processor(true) - before[0], processor(false) - before[1]];
    println!(
        "{callers:4} callers: {:6.0} transactions/s, {}; committer {:.1} µs each ({:.0} % of a core), all threads {:.1} µs each",
        count as f64 / took,
        slow.report(),
        spent[0].as_secs_f64() * 1e6 / count as f64,
        spent[0].as_secs_f64() * 100.0 / took,
        spent[1].as_secs_f64() * 1e6 / count as f64,
    );
    if with_quick {
        println!("     quick lane meanwhile: {:6.0} transactions/s, {}", quick_done.load(Ordering::Relaxed) as f64 / took, fast.report());
    }
}
