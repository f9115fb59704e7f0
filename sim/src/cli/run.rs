//! `doubletick-sim run`: many seeds of many scenarios.

use super::arguments::RunArguments;
use super::exit::{Outcome, UNWRITTEN, USAGE};
use super::output::Output;
use super::panics::run_seed;
use super::pool::{self, Work};
use super::progress::{Progress, State};
use super::report::{self, End, Report, ScenarioReport, quoted};
use super::tally::Tally;
use super::targets::{self, Target};
use super::{commit, signals};
use crate::run::Run;
use core::ops::ControlFlow;
use core::time::Duration;
use std::fmt::Write;
use std::process::ExitCode;
use std::time::Instant;

/// Seeds of each scenario if nothing else is said.
const SEEDS: u64 = 100;
/// Turns without any fault after which a number of faults is not waited for any longer.
const IDLE_TURNS: u64 = 1_000;

/// Runs what was asked for.
pub(crate) fn run(arguments: &RunArguments) -> ExitCode {
    let plan = match Plan::new(arguments) {
        Ok(plan) => plan,
        Err(line) => {
            eprintln!("doubletick-sim: {line}");
            return USAGE.into();
        }
    };
    println!("{}", plan.command(true));
    let report = plan.run();
    print!("{}", report::text::write(&report));
    match plan.write(&report) {
        Ok(()) => report.outcome().into(),
        Err(line) => {
            eprintln!("doubletick-sim: {line}");
            if report.outcome() > Outcome::Interrupted { report.outcome().into() } else { UNWRITTEN.into() }
        }
    }
}

/// What is run, checked.
struct Plan<'a> {
    arguments: &'a RunArguments,
    targets: Vec<Target>,
    from: u64,
    seeds: Option<u64>,
    jobs: usize,
    cores: usize,
    json: Option<Output>,
}

impl<'a> Plan<'a> {
    fn new(arguments: &'a RunArguments) -> Result<Self, String> {
        let targets = targets::find(&arguments.paths)?;
        let from = arguments.from.or(arguments.commit).unwrap_or_default();
        let limited = arguments.faults.is_some() || arguments.time.is_some();
        let seeds = arguments.seeds.or_else(|| (!limited).then_some(SEEDS));
        if let Some(seeds) = seeds
            && from.checked_add(seeds).is_none()
        {
            return Err(format!("--seeds {seeds} from {from} on: there are not so many"));
        }
        let calm = |target: &Target| target.scenario.faults.iter().all(|setting| setting.per_million == 0);
        if let Some(faults) = arguments.faults
            && targets.iter().all(calm)
        {
            return Err(format!("--faults {faults}: no scenario that was named has any fault"));
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = arguments.jobs.map_or(cores, usize::from);
        let json = arguments.json.as_deref().map(Output::open).transpose()?;
        Ok(Self { arguments, targets, from, seeds, jobs, cores, json })
    }

    /// The command that runs the same again. What comes of it does not depend on the number of jobs.
    fn command(&self, with_jobs: bool) -> String {
        let mut command = String::from("doubletick-sim run");
        let mut add = |words: core::fmt::Arguments<'_>| command.write_fmt(words).expect("a string takes everything");
        if self.arguments.all {
            add(format_args!(" --all"));
        }
        self.arguments.paths.iter().for_each(|path| add(format_args!(" {}", quoted(&path.display().to_string()))));
        add(format_args!(" --from {}", self.from));
        if let Some(seeds) = self.seeds {
            add(format_args!(" --seeds {seeds}"));
        }
        if let Some(faults) = self.arguments.faults {
            add(format_args!(" --faults {faults}"));
        }
        if let Some(time) = self.arguments.time {
            add(format_args!(" --time {}ms", time.as_millis()));
        }
        if self.arguments.fail_fast {
            add(format_args!(" --fail-fast"));
        }
        if with_jobs {
            add(format_args!(" --jobs {}", self.jobs));
        }
        command
    }

    fn run(&self) -> Report {
        let mut turns = Turns::new(self);
        pool::work(&mut turns, self.jobs, |job: Job| {
            let began = Instant::now();
            let run = run_seed(&self.targets[job.target].scenario, job.seed);
            Done { target: job.target, run, busy: began.elapsed() }
        });
        turns.progress.end();
        turns.report()
    }

    fn write(&self, report: &Report) -> Result<(), String> {
        self.json.as_ref().map_or(Ok(()), |file| file.write(&report::json::write(report)))
    }
}

/// One seed of one scenario.
struct Job {
    target: usize,
    seed: u64,
}

/// What came of it.
struct Done {
    target: usize,
    run: Run,
    busy: Duration,
}

/// The scenarios take turns, one seed each.
struct Turns<'a> {
    plan: &'a Plan<'a>,
    began: Instant,
    progress: Progress,
    /// Whose turn it is, and in which turn.
    next: (usize, u64),
    scenarios: Vec<(Tally, Duration)>,
    fired: u64,
    failed: u64,
    merged: u64,
    end: End,
}

impl<'a> Turns<'a> {
    fn new(plan: &'a Plan<'a>) -> Self {
        let scenarios = plan.targets.iter().map(|_| (Tally::default(), Duration::ZERO)).collect();
        let (began, progress) = (Instant::now(), Progress::new());
        Self { plan, began, progress, next: (0, 0), scenarios, fired: 0, failed: 0, merged: 0, end: End::Done }
    }

    /// How much is done of what is to be done, by the limit that is nearest.
    fn done_ppm(&self) -> u64 {
        let part = |done: u64, of: u64| (u128::from(done) * 1_000_000 / u128::from(of.max(1))) as u64;
        let arguments = self.plan.arguments;
        let by_seeds = self.plan.seeds.map(|seeds| part(self.merged, seeds.saturating_mul(self.scenarios.len() as u64)));
        let by_faults = arguments.faults.map(|faults| part(self.fired, faults));
        let by_time = arguments.time.map(|time| part(self.began.elapsed().as_millis() as u64, time.as_millis() as u64));
        [by_seeds, by_faults, by_time].into_iter().flatten().max().unwrap_or_default().min(1_000_000)
    }

    fn report(self) -> Report {
        let scenarios = self.plan.targets.iter().zip(self.scenarios).map(|(target, (tally, busy))| ScenarioReport {
            name: target.scenario.name.clone(),
            description: target.scenario.description.clone(),
            path: target.path.display().to_string(),
            tally,
            busy,
        });
        Report {
            command: self.plan.command(false),
            commit: commit::current(),
            from: self.plan.from,
            end: self.end,
            scenarios: scenarios.collect(),
            jobs: self.plan.jobs,
            cores: self.plan.cores,
            elapsed: self.began.elapsed(),
        }
    }
}

impl Work for Turns<'_> {
    type Job = Job;
    type Done = Done;

    fn next(&mut self) -> Option<Job> {
        let (target, turn) = self.next;
        if signals::stopped() {
            self.end = End::Interrupted;
            return None;
        }
        if self.plan.arguments.time.is_some_and(|time| self.began.elapsed() >= time) {
            self.end = End::Time;
            return None;
        }
        if self.plan.seeds.is_some_and(|seeds| turn >= seeds) {
            return None;
        }
        let seed = self.plan.from.checked_add(turn)?;
        self.next = if target + 1 < self.scenarios.len() { (target + 1, turn) } else { (0, turn + 1) };
        Some(Job { target, seed })
    }

    fn merge(&mut self, Done { target, run, busy }: Done) -> ControlFlow<()> {
        let (tally, sum) = &mut self.scenarios[target];
        let failed_before = tally.failed;
        tally.add(&run);
        *sum += busy;
        self.merged += 1;
        self.fired += run.ledger.fired();
        self.failed += tally.failed - failed_before;
        if self.failed > 0 && self.plan.arguments.fail_fast {
            self.end = End::FirstFailure;
            return ControlFlow::Break(());
        }
        let turn_ends = target + 1 == self.scenarios.len();
        match self.plan.arguments.faults {
            Some(faults) if turn_ends && self.fired >= faults => {
                self.end = End::Done;
                ControlFlow::Break(())
            }
            Some(_) if turn_ends && self.fired == 0 && self.scenarios[0].0.seeds >= IDLE_TURNS => {
                self.end = End::NothingFires;
                ControlFlow::Break(())
            }
            Some(_) | None => ControlFlow::Continue(()),
        }
    }

    fn tick(&mut self) {
        let done_ppm = self.done_ppm();
        self.progress.show(State { seeds: self.merged, failed: self.failed, fired: self.fired, done_ppm });
    }
}
