//! What many runs came to, in memory that does not grow with their number.

use super::exit::Outcome;
use super::marks;
use super::saved::Drift;
use crate::fault::{FaultKind, Ledger};
use crate::oracle::Oracle;
use crate::run::{Failure, FailureKind, Run, Verdict, Work};
use std::collections::BTreeMap;

/// Clusters that are told apart for one scenario; what comes after is counted in the last.
const CLUSTERS: usize = 100;
/// Seeds of a cluster that are named.
pub const SEEDS_NAMED: usize = 5;
/// After so many seeds in which it was on, a fault that never fired is red, and so is an oracle that compared nothing.
pub const INERT_SEEDS: u64 = 100;
/// What the failures are called that came after [`CLUSTERS`] others.
const OTHERS: &str = "(others)";

/// What the runs of one scenario came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs.
    pub seeds: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those in which nothing was delivered.
    pub empty: u64,
    /// Events that were handled.
    pub steps: u64,
    /// How long it took in the worlds' own time.
    pub virtual_ms: u64,
    /// What became of the faults.
    pub ledger: Ledger,
    /// How often each coverage mark was passed, if this build knows any.
    pub marks: Vec<u64>,
    /// Comparisons, by [`Oracle`].
    pub oracles: [u64; Oracle::ALL.len()],
    /// What was done.
    pub work: Work,
    /// The failures by their signatures.
    pub clusters: BTreeMap<String, Cluster>,
    /// How often a seed was run again without a fault, by its kind.
    pub mattered: BTreeMap<FaultKind, Mattered>,
    /// Seeds that were run again in a fresh process.
    pub twice: u64,
    /// How many of those came out different.
    pub unlike: u64,
    /// The first of them, with what differs.
    pub differences: Vec<(u64, String)>,
    /// If it is a saved failure: where its run is another than the one that was saved.
    pub drift: Option<Drift>,
}

/// How often a seed was run again without a fault that had fired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mattered {
    /// How often.
    pub tried: u64,
    /// How often it ended differently: another verdict, or other counts of what was done.
    pub mattered: u64,
}

/// What came of running a seed once more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repeated {
    /// If it was run in a fresh process: what differs, if anything does.
    pub twice: Option<Result<(), String>>,
    /// If it was run without a fault that had fired: which, and whether it ended differently.
    pub without: Option<(FaultKind, bool)>,
    /// If it is a saved failure: where its run is another than the one that was saved.
    pub drift: Option<Drift>,
}

/// Failures that are probably the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Of which kind.
    pub kind: FailureKind,
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Failure,
    /// The seeds of the first of them.
    pub seeds: Vec<u64>,
}

impl Tally {
    /// Adds a run, and what came of running it once more.
    pub fn add(&mut self, run: &Run, repeated: Repeated) {
        let Repeated { twice, without, drift } = repeated;
        self.twice += u64::from(twice.is_some());
        if let Some(Err(difference)) = twice {
            self.unlike += 1;
            if self.differences.len() < SEEDS_NAMED {
                self.differences.push((run.seed, difference));
            }
        }
        if let Some((kind, mattered)) = without {
            let count = self.mattered.entry(kind).or_default();
            count.tried += 1;
            count.mattered += u64::from(mattered);
        }
        self.drift = drift.or(self.drift);
        self.seeds += 1;
        self.steps += run.steps;
        self.virtual_ms += run.virtual_ms;
        self.ledger.add(&run.ledger);
        for (sum, count) in self.oracles.iter_mut().zip(run.oracles) {
            *sum += count;
        }
        add_work(&mut self.work, &run.work);
        match &run.verdict {
            Verdict::Clean => {}
            // Two people who happen to write nothing within their few seconds are nobody's fault.
            Verdict::Failed(failure) if failure.kind == FailureKind::Inert => self.empty += 1,
            Verdict::Failed(failure) => self.fail(run.seed, failure),
        }
    }

    fn fail(&mut self, seed: u64, failure: &Failure) {
        self.failed += 1;
        let mut signature = signature(failure);
        if self.clusters.len() >= CLUSTERS && !self.clusters.contains_key(&signature) {
            signature = OTHERS.into();
        }
        let new = || Cluster { kind: failure.kind, count: 0, first: failure.clone(), seeds: Vec::new() };
        let cluster = self.clusters.entry(signature).or_insert_with(new);
        cluster.count += 1;
        cluster.kind = if Outcome::from(failure.kind) > cluster.kind.into() { failure.kind } else { cluster.kind };
        if cluster.seeds.len() < SEEDS_NAMED {
            cluster.seeds.push(seed);
        }
    }

    /// Adds what the runs of another scenario came to, but for their failures.
    pub fn add_counts(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.failed += other.failed;
        self.empty += other.empty;
        self.steps += other.steps;
        self.virtual_ms += other.virtual_ms;
        self.ledger.add(&other.ledger);
        for (sum, count) in self.oracles.iter_mut().zip(other.oracles) {
            *sum += count;
        }
        add_work(&mut self.work, &other.work);
        marks::add(&mut self.marks, &other.marks);
        self.twice += other.twice;
        self.unlike += other.unlike;
        for (kind, count) in &other.mattered {
            let sum = self.mattered.entry(*kind).or_default();
            sum.tried += count.tried;
            sum.mattered += count.mattered;
        }
    }

    /// Faults that never fired although they were on in many runs, oracles that compared nothing in as many, and runs that delivered nothing
    /// if those are more than a quarter.
    pub fn inert(&self) -> Vec<String> {
        let faults = FaultKind::ALL.into_iter().filter_map(|kind| {
            let count = self.ledger.of(kind);
            let inert = count.configured >= INERT_SEEDS && count.fired == 0;
            inert.then(|| format!("{kind} was on in {} runs, offered {} times, and never fired", count.configured, count.offered))
        });
        let oracles = Oracle::ALL.into_iter().filter_map(|oracle| {
            // Where nobody makes a group there is nothing to be said of one.
            let asked = oracle != Oracle::GroupRules || self.work.groups > 0;
            let inert = asked && self.seeds >= INERT_SEEDS && self.oracles[oracle as usize] == 0;
            inert.then(|| format!("{} compared nothing in {} runs", oracle.name(), self.seeds))
        });
        let empty = (self.empty * 4 > self.seeds).then(|| format!("nothing was delivered in {} of {} runs", self.empty, self.seeds));
        faults.chain(oracles).chain(empty).collect()
    }

    /// The worst of it.
    pub fn outcome(&self) -> Outcome {
        let failures = self.clusters.values().map(|cluster| cluster.kind.into());
        let inert = if self.inert().is_empty() { Outcome::Clean } else { Outcome::Inert };
        let unlike = if self.unlike == 0 { Outcome::Clean } else { Outcome::Nondeterminism };
        failures.chain([inert, unlike]).max().expect("there is at least one")
    }
}

fn add_work(sum: &mut Work, work: &Work) {
    let Work { written, accepted, stored, commits, conflicts, sessions, groups } = work;
    sum.written += written;
    sum.accepted += accepted;
    sum.stored += stored;
    sum.commits += commits;
    sum.conflicts += conflicts;
    sum.sessions += sessions;
    sum.groups += groups;
}

/// What failures have in common that are probably the same: the oracle, and what it says without numbers and names.
pub fn signature(failure: &Failure) -> String {
    let mut words = String::new();
    let mut word = String::new();
    for letter in failure.detail.chars().chain([' ']) {
        if letter.is_alphanumeric() {
            word.push(letter);
            continue;
        }
        let counted = word.chars().any(|letter| letter.is_ascii_digit());
        words.push_str(if counted { "#" } else { &word });
        word.clear();
        words.push(letter);
    }
    format!("{}: {}", failure.oracle, words.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: FailureKind, detail: &str) -> Failure {
        Failure { kind, oracle: "DEDUP", step: 7, detail: detail.into(), last_steps: vec![] }
    }

    #[test]
    fn a_signature_has_no_numbers_and_no_names() {
        for (detail, signature_of) in [
            ("seen twice", "DEDUP: seen twice"),
            ("Seq(12) after Seq(3)", "DEDUP: Seq(#) after Seq(#)"),
            ("user 00ff3a.2 has 17 entries, not 18", "DEDUP: user #.# has # entries, not #"),
        ] {
            assert_eq!(signature(&failure(FailureKind::Safety, detail)), signature_of);
        }
    }

    #[test]
    fn failures_are_gathered_by_signature_and_memory_is_bounded() {
        let mut tally = Tally::default();
        for seed in 0..1000 {
            tally.fail(seed, &failure(FailureKind::Safety, &format!("{} twice", seed)));
        }
        let cluster = &tally.clusters["DEDUP: # twice"];
        assert_eq!((cluster.count, cluster.seeds.len(), tally.clusters.len()), (1000, SEEDS_NAMED, 1));
        for number in 0..1000_u32 {
            let word: String = number.to_string().chars().map(|digit| (digit as u8 - b'0' + b'a') as char).collect();
            tally.fail(number.into(), &failure(FailureKind::Liveness, &word));
        }
        assert!(tally.clusters.len() <= CLUSTERS + 1);
        assert_eq!(tally.clusters.values().map(|cluster| cluster.count).sum::<u64>(), 2000);
        assert_eq!(tally.outcome(), Outcome::Safety);
    }

    /// Everything that a tally keeps and that is not a number.
    fn kept(tally: &Tally) -> [usize; 6] {
        let clusters = tally.clusters.values();
        let text = |cluster: &Cluster| cluster.first.last_steps.iter().map(String::len).sum::<usize>();
        [
            tally.clusters.len(),
            clusters.clone().map(|cluster| cluster.seeds.len()).sum(),
            clusters.map(text).sum(),
            tally.differences.len(),
            tally.mattered.len(),
            tally.marks.len(),
        ]
    }

    #[test]
    fn what_is_kept_of_ten_times_as_many_runs_is_no_more() {
        let scenario = crate::Scenario::default();
        let clean = crate::run(&scenario, 1);
        let failing = |seed: u64| {
            let signature: String = (seed % 150).to_string().chars().map(|digit| char::from(digit as u8 - b'0' + b'a')).collect();
            let last_steps = vec!["a step".into(); 10];
            let failure = Failure { last_steps, ..failure(FailureKind::Safety, &signature) };
            Run { seed, verdict: Verdict::Failed(failure), ..clean.clone() }
        };
        let mut tally = Tally::default();
        let mut after = Vec::new();
        for seed in 0..20_000 {
            let kind = FaultKind::ALL[seed as usize % FaultKind::ALL.len()];
            let again = Repeated { twice: Some(Err("they differ".into())), without: Some((kind, true)), drift: None };
            tally.add(&failing(seed), again);
            tally.add(&clean, Repeated::default());
            if seed + 1 == 2_000 {
                after.push(kept(&tally));
            }
        }
        assert_eq!(kept(&tally), after[0]);
        assert_eq!((tally.seeds, tally.failed, tally.unlike), (40_000, 20_000, 20_000));
        assert_eq!(after[0], [CLUSTERS + 1, (CLUSTERS + 1) * SEEDS_NAMED, (CLUSTERS + 1) * 60, SEEDS_NAMED, FaultKind::ALL.len(), 0]);
    }

    #[test]
    fn a_fault_that_never_fires_and_an_oracle_that_compares_nothing_are_red_once_there_were_enough_runs() {
        let mut tally = Tally { seeds: INERT_SEEDS, oracles: [1; Oracle::ALL.len()], ..Tally::default() };
        assert_eq!(tally.outcome(), Outcome::Clean);
        tally.ledger.0[FaultKind::Reset as usize].configured = INERT_SEEDS;
        assert_eq!(tally.inert(), ["reset was on in 100 runs, offered 0 times, and never fired"]);
        tally.ledger.0[FaultKind::Reset as usize].fired = 1;
        tally.oracles[Oracle::Unread as usize] = 0;
        assert_eq!(tally.inert(), ["UNREAD compared nothing in 100 runs"]);
        assert_eq!(tally.outcome(), Outcome::Inert);
        tally.seeds -= 1;
        assert_eq!(tally.outcome(), Outcome::Clean);
    }
}
