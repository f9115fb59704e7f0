//! Which commit is checked out, as far as that can be known.

use std::process::{Command, Stdio};

/// What CI services say, or else what git says about the folder in which the program runs.
pub(crate) fn current() -> Option<String> {
    let told = ["GITHUB_SHA", "CI_COMMIT_SHA"].into_iter().find_map(|name| std::env::var(name).ok());
    let ask = || {
        let output = Command::new("git").args(["rev-parse", "HEAD"]).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    told.or_else(ask).filter(|hash| hash.len() >= 7 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()))
}
