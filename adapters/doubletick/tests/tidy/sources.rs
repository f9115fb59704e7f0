//! What the sources never do.

use super::{files, none};

/// Functions of more than seventy lines. The number may only go down.
const LONG_FUNCTIONS: usize = 2;
/// The most lines of one file.
const LINES: usize = 800;

#[test]
fn core_reads_no_clock_draws_no_number_and_computes_with_integers() {
    none("impure in core", &impure("core/src", &["std::", "f32", "f64", "HashMap", "HashSet", "SystemTime", "Instant"]));
}

#[test]
fn a_simulated_world_has_no_clock_no_thread_no_file_and_no_random_order() {
    let outside = ["std::env", "std::fs", "std::io", "std::net", "std::process", "std::thread", "Mutex", "RwLock", "mpsc", "std::time"];
    let forbidden = [&outside[..], &["f32", "f64", "HashMap", "HashSet", "SystemTime", "Instant"]].concat();
    let found = impure("sim/src", &forbidden);
    let (around, within): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|place| place.starts_with("sim/src/cli/") || place.starts_with("sim/src/main.rs"));
    assert!(!around.is_empty(), "the command line around the worlds was read too");
    none("impure in a simulated world", &within);
}

/// Places in the sources below a folder that name what is forbidden.
fn impure(below: &str, forbidden: &[&str]) -> Vec<String> {
    let mut found = vec![];
    for (path, text) in files(below, ".rs") {
        // Tests may use the standard library; they come last in a file.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for (number, line) in (1..).zip(code.lines()).filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != ':').collect::<Vec<_>>();
            let bad = |word: &str, bad: &str| {
                word == bad || word.starts_with(bad) && (bad.ends_with("::") || word[bad.len()..].starts_with("::"))
            };
            if let Some(name) = forbidden.iter().find(|name| words.iter().any(|word| bad(word, name))) {
                found.push(format!("{path}:{number}: {name}"));
            }
        }
    }
    found
}

#[test]
fn every_select_takes_its_branches_in_order() {
    let mut found = vec![];
    for (path, text) in files("adapters", ".rs") {
        let lines: Vec<&str> = text.lines().collect();
        for (number, pair) in (1..).zip(lines.windows(2)) {
            let begins = pair[0].trim_end().ends_with("select! {") && !pair[0].trim_start().starts_with("//");
            if begins && pair[1].trim() != "biased;" {
                found.push(format!("{path}:{number}"));
            }
        }
    }
    none("a `select!` without `biased;`, whose order differs from run to run", &found);
}

#[test]
fn no_file_is_too_long_and_long_functions_grow_fewer() {
    let mut files_too_long = vec![];
    let mut long_functions = vec![];
    for (path, text) in [files("core", ".rs"), files("sim", ".rs"), files("adapters", ".rs"), files("fdb", ".rs")].concat() {
        if path.ends_with("generated.rs") {
            continue;
        }
        let count = text.lines().count();
        if count > LINES {
            files_too_long.push(format!("{path}: {count} lines"));
        }
        long_functions
            .extend(functions(&text).into_iter().filter(|(_, lines)| *lines > 70).map(|(name, lines)| format!("{path}: {name}: {lines}")));
    }
    none("files that want splitting", &files_too_long);
    assert!(
        long_functions.len() <= LONG_FUNCTIONS,
        "{} functions of more than 70 lines, and {LONG_FUNCTIONS} are allowed:\n{}",
        long_functions.len(),
        long_functions.join("\n")
    );
}

/// The functions of a formatted source, each with its lines: from the line that says `fn` to the brace at the same depth.
fn functions(text: &str) -> Vec<(String, usize)> {
    let mut found = vec![];
    let mut open: Option<(String, usize, usize)> = None;
    for (number, line) in text.lines().enumerate() {
        let depth = line.len() - line.trim_start().len();
        let begins = line.trim_start().starts_with("fn ") || line.contains(" fn ");
        if open.is_none() && begins && !line.trim_start().starts_with("//") && !line.trim_end().ends_with(';') {
            let name = line.split("fn ").nth(1).unwrap_or_default().split(['(', '<']).next().unwrap_or_default();
            open = Some((name.to_owned(), depth, number));
        }
        if let Some((name, at, from)) = &open
            && depth == *at
            && line.trim_start().starts_with('}')
            && !line.trim_end().ends_with('{')
        {
            found.push((name.clone(), number - from + 1));
            open = None;
        }
    }
    found
}

#[test]
fn every_source_file_is_part_of_its_crate() {
    let mut lost = vec![];
    for (path, _) in [files("core/src", ".rs"), files("sim", ".rs"), files("adapters", ".rs"), files("fdb", ".rs")].concat() {
        let Some((folder, name)) = path.rsplit_once('/') else { continue };
        let stem = name.trim_end_matches(".rs");
        let is_root = matches!(stem, "lib" | "main" | "mod")
            || folder.ends_with("/tests")
            || folder.ends_with("/benches")
            || folder.ends_with("/examples")
            || name == "build.rs";
        if is_root {
            continue;
        }
        let parents = ["lib.rs", "main.rs", "mod.rs"].map(|parent| format!("{folder}/{parent}"));
        let named = parents.iter().chain([&format!("{folder}.rs")]).any(|parent| {
            std::fs::read_to_string(super::root().join(parent))
                .is_ok_and(|text| text.lines().any(|line| line.trim().ends_with(&format!("mod {stem};"))))
        });
        if !named {
            lost.push(path);
        }
    }
    none("files that no module names", &lost);
}

#[test]
fn no_test_is_switched_off() {
    let mut found = vec![];
    let (ignore, nothing) = (["#[", "ignore"].concat(), ["assert!(", "true)"].concat());
    for (path, text) in [files("core", ".rs"), files("sim", ".rs"), files("adapters", ".rs"), files("fdb", ".rs")].concat() {
        for (number, line) in (1..).zip(text.lines()) {
            if line.contains(&ignore) || line.contains(&nothing) {
                found.push(format!("{path}:{number}"));
            }
        }
    }
    none("tests that do not test", &found);
}

#[test]
fn unsafe_code_is_only_where_a_c_interface_needs_it() {
    let attribute = ["allow(unsafe", "_code"].concat();
    let allowed = ["fdb/loader/", "fdb/sandbox/c/src/", "fdb/store/src/network.rs"];
    let all = files("", ".rs").into_iter().filter(|(path, _)| !path.starts_with("fuzz/"));
    let found: Vec<String> = all.filter(|(_, text)| text.contains(&attribute)).map(|(path, _)| path).collect();
    assert!(found.iter().any(|path| path.starts_with(allowed[0])), "the sources were read: {found:?}");
    let elsewhere: Vec<String> = found.into_iter().filter(|path| !allowed.iter().any(|allowed| path.starts_with(allowed))).collect();
    none("files that allow unsafe code", &elsewhere);
}
