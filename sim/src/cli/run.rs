//! `doubletick-sim run`: many seeds of many scenarios.

use super::again;
use super::arguments::{LAST_SEED, RunArguments, SAMPLE};
use super::exit::{Outcome, UNWRITTEN, USAGE};
use super::output::Output;
use super::panics::run_seed;
use super::pool::{self, Work};
use super::progress::{Progress, State};
use super::report::{self, End, Report, ScenarioReport, quoted};
use super::saved::{self, Origin};
use super::tally::{Repeated, Tally};
use super::targets::{self, Target};
use super::{marks, signals};
use crate::fault::FaultKind;
use crate::run::{FailureKind, Run, Verdict};
use core::ops::ControlFlow;
use core::time::Duration;
use std::fmt::Write as _;
use std::path::Path;
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
    print!("{}{}", report::text::write(&report), report::annotations::write(&report));
    match plan.write(&report) {
        Ok(()) => report.outcome().into(),
        Err(line) => {
            eprintln!("doubletick-sim: {line}");
            if report.outcome() > Outcome::Interrupted { report.outcome().into() } else { UNWRITTEN.into() }
        }
    }
}

/// Makes a report.
type Write = fn(&Report) -> String;

/// What is run, checked.
struct Plan<'a> {
    arguments: &'a RunArguments,
    targets: Vec<Target>,
    from: u64,
    seeds: Option<u64>,
    jobs: usize,
    cores: usize,
    origin: Origin,
    outputs: Vec<(Output, Write)>,
}

impl<'a> Plan<'a> {
    fn new(arguments: &'a RunArguments) -> Result<Self, String> {
        let mut targets = targets::find(&arguments.paths)?;
        targets.iter_mut().for_each(|target| again::perhaps_sabotage(&mut target.scenario));
        if let Some((target, mutant)) = targets.iter().find_map(|target| Some((target, target.mutant()?))) {
            let path = target.path.display();
            return Err(format!(
                "{path}: it is a failure of the mutant {mutant}, and says nothing of this core: doubletick-replay runs it"
            ));
        }
        // Saved failures come first.
        targets.sort_by_key(|target| target.saved.is_none());
        if targets.iter().all(|target| target.saved.is_some())
            && (arguments.seeds.is_some() || arguments.faults.is_some() || arguments.from.or(arguments.commit).is_some())
        {
            return Err("saved failures have their own seeds: --seeds, --faults, --from and --commit say nothing about them".into());
        }
        let from = arguments.from.or(arguments.commit).unwrap_or_default();
        let limited = arguments.faults.is_some() || arguments.time.is_some();
        let seeds = arguments.seeds.or_else(|| (!limited).then_some(SEEDS));
        if let Some(seeds) = seeds
            && from.checked_add(seeds).is_none_or(|end| end > LAST_SEED)
        {
            return Err(format!("--seeds {seeds} from {from} on: there are not so many"));
        }
        if arguments.marks && marks::known().is_empty() {
            return Err("--marks: this build knows no marks: cargo run --release -p doubletick-sim --features probes -- run …".into());
        }
        let calm = |target: &Target| target.scenario.faults.iter().all(|setting| setting.per_million == 0);
        if let Some(faults) = arguments.faults
            && targets.iter().all(calm)
        {
            return Err(format!("--faults {faults}: no scenario that was named has any fault"));
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = arguments.jobs.map_or(cores, usize::from);
        let reports: [(_, Write); 3] =
            [(&arguments.json, report::json::write), (&arguments.junit, report::junit::write), (&arguments.html, report::html::write)];
        let mut outputs: Vec<(Output, Write)> = Vec::new();
        for (path, write) in reports.into_iter().filter_map(|(path, write)| path.as_deref().map(|path| (path, write))) {
            if outputs.iter().any(|(other, _)| other.path() == path) {
                return Err(format!("{}: two reports cannot be the same file", path.display()));
            }
            outputs.push((Output::open(path)?, write));
        }
        if let Some(folder) = &arguments.save {
            let wrong = |error: std::io::Error| format!("{}: {error}", folder.display());
            std::fs::create_dir_all(folder).map_err(wrong)?;
            tempfile_in(folder).map_err(wrong)?;
        }
        Ok(Self { arguments, targets, from, seeds, jobs, cores, origin: Origin::here(), outputs })
    }

    /// The command that runs the same again. What comes of it does not depend on the number of jobs.
    fn command(&self, with_jobs: bool) -> String {
        let mut command = String::from("doubletick-sim run");
        let mut add = |words: core::fmt::Arguments<'_>| command.write_fmt(words).expect("a string takes everything");
        if self.arguments.all {
            add(format_args!(" --all"));
        }
        self.arguments.paths.iter().for_each(|path| add(format_args!(" {}", quoted(&path.display().to_string()))));
        let only_saved = self.targets.iter().all(|target| target.saved.is_some());
        if !only_saved {
            add(format_args!(" --from {}", self.from));
        }
        if let Some(seeds) = self.seeds.filter(|_| !only_saved) {
            add(format_args!(" --seeds {seeds}"));
        }
        if let Some(faults) = self.arguments.faults {
            add(format_args!(" --faults {faults}"));
        }
        if let Some(time) = self.arguments.time {
            add(format_args!(" --time {}ms", time.as_millis()));
        }
        if self.arguments.twice != SAMPLE {
            add(format_args!(" --twice {}", self.arguments.twice));
        }
        if self.arguments.without != SAMPLE {
            add(format_args!(" --without {}", self.arguments.without));
        }
        if self.arguments.marks {
            add(format_args!(" --marks"));
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
            // What the last job ran once more is not of interest.
            let _of_the_last = marks::take();
            let began = Instant::now();
            let run = run_seed(&self.targets[job.target].scenario, job.seed);
            let (busy, marks) = (began.elapsed(), marks::take());
            let repeated = self.repeat(&job, &run);
            let save = self.to_be_saved(&job, &run);
            Done { target: job.target, run: Run { checkpoints: Vec::new(), ..run }, busy, marks, repeated, save }
        });
        turns.progress.end();
        turns.saving.iter().for_each(|line| println!("{line}"));
        turns.report()
    }

    /// Runs a seed once more, if it is one of those.
    fn repeat(&self, job: &Job, run: &Run) -> Repeated {
        let Target { scenario, saved, .. } = &self.targets[job.target];
        let sampled = |every: u64| every > 0 && job.turn.is_multiple_of(every) && saved.is_none();
        let twice = sampled(self.arguments.twice) || run.verdict != Verdict::Clean;
        let fired: Vec<FaultKind> = FaultKind::ALL.into_iter().filter(|kind| run.ledger.of(*kind).fired > 0).collect();
        let without = (sampled(self.arguments.without) && !fired.is_empty()).then(|| {
            // Seeds that follow on each other try one kind after the other.
            let kind = fired[(job.turn / self.arguments.without) as usize % fired.len()];
            let mut scenario = scenario.clone();
            scenario.without.push(kind);
            (kind, ending(&run_seed(&scenario, job.seed)) != ending(run))
        });
        Repeated { twice: twice.then(|| again::again(scenario, run)), without, drift: saved.as_ref().and_then(|saved| saved.drift(run)) }
    }

    /// The file of a failure, while its hashes are at hand.
    fn to_be_saved(&self, job: &Job, run: &Run) -> Option<String> {
        let Target { scenario, saved, .. } = &self.targets[job.target];
        match &run.verdict {
            Verdict::Failed(failure) if failure.kind != FailureKind::Inert && self.arguments.save.is_some() && saved.is_none() => {
                Some(saved::write(scenario, run, failure, &self.origin, None))
            }
            Verdict::Failed(_) | Verdict::Clean => None,
        }
    }

    fn write(&self, report: &Report) -> Result<(), String> {
        self.outputs.iter().map(|(file, write)| file.write(&write(report))).fold(Ok(()), Result::and)
    }
}

/// Whether a file can be made in a folder.
fn tempfile_in(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!(".{}", std::process::id()));
    std::fs::File::create_new(&path)?;
    std::fs::remove_file(&path)
}

/// What a run came to, for the question whether a fault mattered.
fn ending(run: &Run) -> (bool, crate::run::Work) {
    (run.verdict == Verdict::Clean, run.work)
}

/// One seed of one scenario.
struct Job {
    target: usize,
    seed: u64,
    turn: u64,
}

/// What came of it.
struct Done {
    target: usize,
    run: Run,
    busy: Duration,
    marks: Vec<u64>,
    repeated: Repeated,
    save: Option<String>,
}

/// Saved failures come first. Then the scenarios take turns, one seed each, but for those that take only some of the turns.
struct Turns<'a> {
    plan: &'a Plan<'a>,
    began: Instant,
    progress: Progress,
    /// Whose turn it is, and in which turn.
    next: (usize, u64),
    /// So many saved failures come before the scenarios.
    saved: usize,
    saving: Vec<String>,
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
        let saved = plan.targets.iter().filter(|target| target.saved.is_some()).count();
        Self { plan, began, progress, next: (0, 0), saved, saving: Vec::new(), scenarios, fired: 0, failed: 0, merged: 0, end: End::Done }
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
            is_saved: target.saved.is_some(),
            tally,
            busy,
        });
        Report {
            command: self.plan.command(false),
            commit: self.plan.origin.commit.clone(),
            from: self.plan.from,
            end: self.end,
            scenarios: scenarios.collect(),
            jobs: self.plan.jobs,
            cores: self.plan.cores,
            elapsed: self.began.elapsed(),
            marks_demanded: self.plan.arguments.marks,
        }
    }
}

impl Work for Turns<'_> {
    type Job = Job;
    type Done = Done;

    fn next(&mut self) -> Option<Job> {
        loop {
            let (target, turn) = self.next;
            if target == self.scenarios.len() {
                return None;
            }
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
            let seed = self.plan.from.checked_add(turn).filter(|seed| *seed <= LAST_SEED)?;
            self.next = if target + 1 < self.scenarios.len() { (target + 1, turn) } else { (self.saved, turn + 1) };
            let Target { saved, scenario, .. } = &self.plan.targets[target];
            if saved.is_some() || self.plan.seeds.is_some() || turn.is_multiple_of(scenario.every) {
                return Some(Job { target, seed: saved.as_ref().map_or(seed, |saved| saved.seed), turn });
            }
        }
    }

    fn merge(&mut self, Done { target, run, busy, marks, repeated, save }: Done) -> ControlFlow<()> {
        let (tally, sum) = &mut self.scenarios[target];
        let failed_before = tally.failed + tally.unlike;
        tally.add(&run, repeated);
        marks::add(&mut tally.marks, &marks);
        *sum += busy;
        self.merged += 1;
        self.fired += run.ledger.fired();
        self.failed += tally.failed + tally.unlike - failed_before;
        let named = tally.clusters.values().any(|cluster| cluster.seeds.contains(&run.seed));
        if let (Some(text), Some(folder), true) = (save, &self.plan.arguments.save, named) {
            let path = saved::path(folder, &self.plan.targets[target].scenario, run.seed);
            self.saving.push(match std::fs::write(&path, text) {
                Ok(()) => format!("saved as {}", path.display()),
                Err(error) => format!("not saved: {}: {error}", path.display()),
            });
        }
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
            Some(_) if turn_ends && self.fired == 0 && self.scenarios[target].0.seeds >= IDLE_TURNS => {
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
