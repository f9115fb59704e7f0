//! From which commit on a saved failure is one: `git bisect` over a range, in a work tree of its own, with the program of each commit.
//!
//! Reading order: this file (the search), [`judge`] (what is told of a commit), `scratch` (where it is built), `child` (programs that end
//! with this one).

mod child;
pub mod judge;
mod scratch;

use crate::arguments::Arguments;
use crate::bisect::judge::{Judge, Saved, Told};
use crate::bisect::scratch::{Git, Scratch};
use doubletick_sim::cli::exit::Outcome;
use doubletick_sim::cli::signals;
use doubletick_sim::cli::targets::{self, Target};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

/// Looks for the first commit at which a saved failure fails, and says which that is, or among which it is.
///
/// # Errors
/// A line that says what is wrong: with the range, with the failure, with git or with the disk.
pub fn tell(arguments: &Arguments, range: &str, out: &mut dyn Write) -> Result<Outcome, String> {
    signals::watch().map_err(|error| format!("signals cannot be watched: {error}"))?;
    let told = search(arguments, range, out);
    if signals::stopped() {
        // What was told of a build or a run that a signal has ended says nothing.
        eprintln!("doubletick-replay: ended by a signal; the scratch work tree is removed");
        return Ok(Outcome::Interrupted);
    }
    told.map(|()| Outcome::Clean)
}

fn search(arguments: &Arguments, range: &str, out: &mut dyn Write) -> Result<(), String> {
    let saved = saved(&arguments.what)?;
    let git = Git::here()?;
    let (good, bad) = ends(&git, range)?;
    let scratch = Scratch::new(&git, &bad)?;
    let judge = Judge::new(&scratch, saved, arguments.build.as_deref());
    let mut search = Search { git: &git, scratch: &scratch, judge, out };
    let wrong = |commit: &str, says: String| git.name(commit).and_then(|name| Err(format!("{name}: {says}")));
    match search.look(&bad)? {
        Told::Bad => {}
        Told::Good => return wrong(&bad, format!("it does not fail at the bad end of {range}, so there is nothing to look for")),
        Told::Drifted(why) => return wrong(&bad, format!("drifted at the bad end of {range}, so there is nothing to compare with: {why}")),
        Told::DoesNotBuild(why) => return wrong(&bad, format!("it does not build at the bad end of {range}: {why}")),
    }
    match search.look(&good)? {
        Told::Good => {}
        Told::Bad => return wrong(&good, format!("it fails at the good end of {range} too: begin further back")),
        Told::Drifted(why) => return wrong(&good, format!("drifted at the good end of {range}, which tells nothing: begin later: {why}")),
        Told::DoesNotBuild(why) => return wrong(&good, format!("it does not build at the good end of {range}: begin later: {why}")),
    }
    scratch.begin(&good, &bad)?;
    search.between()
}

/// The commits between the two ends, one after the other.
struct Search<'a> {
    git: &'a Git,
    scratch: &'a Scratch<'a>,
    judge: Judge<'a>,
    out: &'a mut dyn Write,
}

impl Search<'_> {
    fn say(&mut self, line: &str) -> Result<(), String> {
        writeln!(self.out, "{line}").map_err(|error| format!("what was found cannot be told: {error}"))
    }

    /// Looks at a commit, and says what it saw.
    fn look(&mut self, commit: &str) -> Result<Told, String> {
        let name = self.git.name(commit)?;
        eprintln!("building {name}");
        self.scratch.check_out(commit)?;
        let told = self.judge.told()?;
        let why = told.why().map(|why| format!(": {why}")).unwrap_or_default();
        self.say(&format!("{:<14} {name}{why}", told.name()))?;
        Ok(told)
    }

    /// Halves what is left until nothing more can be told.
    fn between(&mut self) -> Result<(), String> {
        let mut skipped = BTreeSet::new();
        loop {
            let suspects = self.scratch.suspects()?;
            if suspects.iter().skip(1).all(|commit| skipped.contains(commit)) {
                let answer = answer(self.git, &suspects, skipped.len())?;
                return self.say(&answer);
            }
            let next = self.scratch.next()?;
            let told = self.look(&next)?;
            self.scratch.mark(told.mark(), &next)?;
            if told.mark() == SKIP {
                skipped.insert(next);
            }
        }
    }
}

/// What git calls a commit that cannot be told to be good or bad.
const SKIP: &str = "skip";

fn saved(what: &[String]) -> Result<Saved, String> {
    let only = "--bisect is for a saved failure: save one with --shrink --output FILE";
    let [path] = what else { return Err(only.into()) };
    let path = PathBuf::from(path);
    let target = targets::find(std::slice::from_ref(&path))?.into_iter().next();
    let failure = target.as_ref().and_then(Target::failure).ok_or(only)?;
    let file = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Saved { file, failure, planted: target.is_some_and(|target| target.mutant().is_some()) })
}

/// The commits of a range, of which the first is an ancestor of the second.
fn ends(git: &Git, range: &str) -> Result<(String, String), String> {
    let shape = || format!("--bisect {range}: it must be GOOD..BAD, two commits, of which the first does not fail and the second does");
    let (good, bad) = range.split_once("..").ok_or_else(shape)?;
    if good.is_empty() || bad.starts_with('.') {
        return Err(shape());
    }
    let (good, bad) = (git.commit(good)?, git.commit(if bad.is_empty() { "HEAD" } else { bad })?);
    if good == bad {
        return Err(format!("--bisect {range}: both are {}", git.name(&good)?));
    }
    if !git.is_ancestor(&good, &bad)? {
        return Err(format!("--bisect {range}: {} is no ancestor of {}", git.name(&good)?, git.name(&bad)?));
    }
    Ok((good, bad))
}

/// What is left when nothing more can be told; of the suspects the first is known to be bad.
fn answer(git: &Git, suspects: &[String], skipped: usize) -> Result<String, String> {
    let skips = match skipped {
        0 => String::new(),
        1 => "; 1 commit was skipped".into(),
        many => format!("; {many} commits were skipped"),
    };
    let names = suspects.iter().map(|commit| git.name(commit)).collect::<Result<Vec<_>, _>>()?;
    Ok(match &names[..] {
        [first] => format!("the first bad commit is {first}{skips}"),
        names => format!("the first bad commit is one of these {}{skips}:\n  {}", names.len(), names.join("\n  ")),
    })
}
