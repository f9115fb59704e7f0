//! Planted bugs and coverage marks: each is declared once, stands in core, is described, and is in no build of the program.

use super::{files, none, root};
use std::fs;

/// The names that a table of `core/src/probe` declares: whatever follows the indented documentation of an entry.
fn declared(table: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("core/src/probe").join(table)).unwrap();
    let entries =
        text.lines().skip_while(|line| !line.ends_with("s! {")).filter(|line| line.starts_with("    ") && !line.starts_with("     "));
    let names = entries.filter(|line| !line.trim_start().starts_with("//"));
    names.filter_map(|line| line.trim().split([' ', ';']).next()).map(str::to_owned).collect()
}

/// How often each name stands in a macro at a site in core.
fn sites(of: &str, name: &str) -> usize {
    let site = |text: &str| text.split(&format!("{of}!({name}")).skip(1).filter(|rest| rest.starts_with([')', ' '])).count();
    files("core/src", ".rs").iter().map(|(_, text)| site(text)).sum()
}

#[test]
fn every_planted_bug_and_every_mark_stands_in_core() {
    let (bugs, marks) = (declared("bugs.rs"), declared("marks.rs"));
    assert!(bugs.len() >= 50 && marks.len() >= 30, "{} bugs and {} marks", bugs.len(), marks.len());
    let mut wrong = vec![];
    wrong.extend(bugs.iter().filter(|bug| sites("planted", bug) == 0).map(|bug| format!("{bug} is planted nowhere")));
    wrong.extend(marks.iter().filter(|mark| sites("mark", mark) == 0).map(|mark| format!("{mark} stands nowhere")));
    none("declared, and not in core as it should be", &wrong);
}

#[test]
fn the_program_has_no_planted_bug_in_it() {
    let program = fs::read(env!("CARGO_BIN_EXE_doubletick")).unwrap();
    // Names are ASCII, so what becomes of the other bytes does not matter; and a text is searched fast.
    let program = String::from_utf8_lossy(&program);
    // As symbols have modules: a length stands before each name.
    assert!(program.contains("doubletick_core7gateway"), "symbols are searched");
    assert!(!program.contains("doubletick_core5probe"), "what plants bugs is in the program");
}
