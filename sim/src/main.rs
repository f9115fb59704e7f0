//! `doubletick-sim`: runs seeds of a scenario and says what came of them.

/// Worlds allocate small things all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use doubletick_sim::fault::{FaultKind, Ledger};
use doubletick_sim::oracle::Oracle;
use doubletick_sim::{Run, Scenario, Verdict, run};
use std::process::ExitCode;
use std::time::Instant;

const USAGE: &str = "usage: doubletick-sim run [--seeds N] [--from N] [--scenario calm|storm] [--verbose]";

fn main() -> ExitCode {
    let mut seeds = 100;
    let mut from = 0;
    let mut scenario = Scenario::default();
    let mut verbose = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|value| value.parse::<u64>().ok());
        let right = match argument.as_str() {
            "run" => true,
            "--seeds" => number().map(|number| seeds = number).is_some(),
            "--from" => number().map(|number| from = number).is_some(),
            "--verbose" => {
                verbose = true;
                true
            }
            "--scenario" => match arguments.next().as_deref() {
                Some("calm") => true,
                Some("storm") => {
                    scenario = Scenario::storm();
                    true
                }
                _ => false,
            },
            _ => false,
        };
        if !right {
            eprintln!("{USAGE}");
            return ExitCode::from(64);
        }
    }
    // A panic of the core is a verdict; its message comes with it.
    std::panic::set_hook(Box::new(|_| {}));
    let begun = Instant::now();
    let mut total = Total::default();
    for seed in from..from + seeds {
        let run = run(&scenario, seed);
        total.add(&run, verbose);
    }
    total.print(begun.elapsed().as_millis().max(1));
    if total.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[derive(Default)]
struct Total {
    runs: u64,
    failed: u64,
    steps: u64,
    commits: u64,
    conflicts: u64,
    written: u64,
    stored: u64,
    ledger: Ledger,
    oracles: [u64; Oracle::ALL.len()],
}

impl Total {
    fn add(&mut self, run: &Run, verbose: bool) {
        self.runs += 1;
        self.steps += run.steps;
        self.commits += run.work.commits;
        self.conflicts += run.work.conflicts;
        self.written += run.work.written;
        self.stored += run.work.stored;
        self.ledger.add(&run.ledger);
        for (sum, count) in self.oracles.iter_mut().zip(run.oracles) {
            *sum += count;
        }
        if let Verdict::Failed(failure) = &run.verdict {
            self.failed += 1;
            println!("seed {}: {:?} {} at step {}: {}", run.seed, failure.kind, failure.oracle, failure.step, failure.detail);
            if verbose {
                failure.last_steps.iter().for_each(|step| println!("    {step}"));
            }
        }
    }

    fn print(&self, millis: u128) {
        let rate = |count: u64| u128::from(count) * 1000 / millis;
        println!("{} runs, {} failed, in {millis} ms", self.runs, self.failed);
        println!(
            "{} steps, {} a second; {} faults fired, {} a second",
            self.steps,
            rate(self.steps),
            self.ledger.fired(),
            rate(self.ledger.fired())
        );
        println!(
            "{} messages written, {} entries stored, {} commits, {} conflicts",
            self.written, self.stored, self.commits, self.conflicts
        );
        for kind in FaultKind::ALL {
            let count = self.ledger.of(kind);
            if count.configured > 0 {
                println!("  {:18} on in {} runs, offered {}, fired {}", kind.name(), count.configured, count.offered, count.fired);
            }
        }
        for oracle in Oracle::ALL {
            println!("  {:15} {}", oracle.name(), self.oracles[oracle as usize]);
        }
    }
}
