//! The list of functions is that of the headers which `foundationdb-sys` is built from.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The API version of a header's conditionals that the list is for.
const API_VERSION: u32 = doubletick_fdb_loader::API_VERSION.unsigned_abs();

/// The folder of the crate `foundationdb-sys`, whose headers lie in it.
fn foundationdb_sys() -> std::path::PathBuf {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let arguments = ["metadata", "--format-version", "1", "--locked", "--filter-platform", &platform];
    let output = Command::new(env!("CARGO")).args(arguments).output().unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let manifest = packages.iter().find(|package| package["name"] == "foundationdb-sys").unwrap()["manifest_path"].as_str().unwrap();
    Path::new(manifest).parent().unwrap().to_path_buf()
}

/// Whether the lines below a conditional count; those that do not ask for the API version do.
fn holds(condition: &str) -> bool {
    let mut words = condition.split_whitespace().skip_while(|word| *word != "FDB_API_VERSION").skip(1);
    let (Some(relation), Some(version)) = (words.next(), words.next().and_then(|word| word.parse::<u32>().ok())) else { return true };
    match relation {
        ">=" => API_VERSION >= version,
        "<" => API_VERSION < version,
        _ => true,
    }
}

/// The functions that a header declares for the API version.
fn declared(header: &str) -> BTreeSet<String> {
    let (mut conditions, mut code) = (vec![], String::new());
    for line in header.lines().map(str::trim) {
        if line.starts_with("#if") {
            conditions.push(holds(line));
        } else if line.starts_with("#el") {
            let last = conditions.last_mut().unwrap();
            *last = !*last;
        } else if line.starts_with("#endif") {
            conditions.pop();
        } else if !line.starts_with('#') && conditions.iter().all(|holds| *holds) {
            code.push_str(line);
            code.push(' ');
        }
    }
    let declarations = code.split("DLLEXPORT").skip(1).filter_map(|text| text.split(';').next());
    let names = declarations.filter_map(|text| {
        let start = text.find("fdb_").filter(|start| text[..*start].chars().all(|c| c != '('))?;
        // The type of what it gives may begin alike, as `fdb_error_t` does.
        let before_arguments = &text[start..][..text[start..].find('(')?];
        before_arguments.split_whitespace().last().map(|name| name.trim_start_matches('*').to_owned())
    });
    names.collect()
}

#[test]
fn every_function_of_the_header_has_a_trampoline() {
    let listed: BTreeSet<String> = include_str!("../functions.txt").lines().map(str::to_owned).collect();
    for folder in ["730", "740"] {
        let header = std::fs::read_to_string(foundationdb_sys().join("include").join(folder).join("fdb_c.h")).unwrap();
        let declared = declared(&header);
        assert!(declared.len() > 90, "the header was read: {declared:?}");
        assert_eq!(listed, declared, "functions.txt against the header of {folder}");
    }
}
