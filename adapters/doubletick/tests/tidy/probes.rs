//! Planted bugs and coverage marks: each is declared once, stands in core, is described, and is in no build of the program.

use super::{files, none, root};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The names that a table of `core/src/probe` declares: whatever follows the indented documentation of an entry.
fn declared(table: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("core/src/probe").join(table)).unwrap();
    let table = text.lines().skip_while(|line| !line.ends_with("s! {")).take_while(|line| *line != "}");
    let entries = table.filter(|line| line.starts_with("    ") && !line.starts_with("     "));
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
fn the_kill_table_in_the_documents_has_every_planted_bug_and_no_other() {
    let text = fs::read_to_string(root().join("docs/mutants.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).map(str::to_owned);
    assert_eq!(rows.collect::<Vec<_>>(), declared("bugs.rs"), "write docs/mutants.md again: doubletick-sim mutants --markdown");
    assert!(!text.contains("**red**"), "a planted bug that is not found");
}

/// Whether what plants bugs is in a file of machine code: as its symbols have modules, with a length before each name.
fn plants(code: &[u8]) -> bool {
    // Names are ASCII, so what becomes of the other bytes does not matter; and a text is searched fast.
    let code = String::from_utf8_lossy(code);
    assert!(code.contains("doubletick_core7gateway"), "symbols are searched");
    code.contains("doubletick_core5probe")
}

#[test]
fn the_program_has_no_planted_bug_in_it() {
    assert!(!plants(&fs::read(env!("CARGO_BIN_EXE_doubletick")).unwrap()));
}

#[test]
fn a_build_that_has_planted_bugs_would_be_noticed() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let build = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--offline", "-p", "doubletick-core", "--features", "probes", "--target-dir"])
        .arg(folder)
        .current_dir(root())
        .status();
    assert!(build.unwrap().success());
    assert!(plants(&fs::read(folder.join("debug/libdoubletick_core.rlib")).unwrap()));
}
