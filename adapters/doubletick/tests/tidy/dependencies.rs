//! Who may depend on whom.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// For each crate of the workspace, the crates of the workspace that it may depend on.
const MAY: [(&str, &[&str]); 16] = [
    ("doubletick-core", &[]),
    ("doubletick-sim", &["doubletick-core"]),
    ("doubletick-replay", &["doubletick-audit", "doubletick-core", "doubletick-sim", "doubletick-store"]),
    ("doubletick-audit", &["doubletick-core", "doubletick-embedded", "doubletick-fdb", "doubletick-store"]),
    ("doubletick-wire", &["doubletick-core"]),
    ("doubletick-fdb", &["doubletick-core", "doubletick-fdb-loader", "doubletick-store"]),
    ("doubletick-fdb-loader", &[]),
    ("doubletick-fdb-sandbox", &[]),
    ("doubletick-fdb-sandbox-c", &["doubletick-fdb-sandbox"]),
    ("doubletick-store", &["doubletick-core"]),
    ("doubletick-embedded", &["doubletick-core", "doubletick-store"]),
    ("doubletick-server", &["doubletick-core", "doubletick-store", "doubletick-wire"]),
    ("doubletick-client", &["doubletick-core", "doubletick-wire"]),
    ("doubletick-chat", &["doubletick-core", "doubletick-client"]),
    ("doubletick-bench", &["doubletick-core", "doubletick-wire", "doubletick-client"]),
    (
        "doubletick",
        &[
            "doubletick-audit",
            "doubletick-bench",
            "doubletick-chat",
            "doubletick-client",
            "doubletick-core",
            "doubletick-embedded",
            "doubletick-fdb",
            "doubletick-server",
            "doubletick-store",
            "doubletick-wire",
        ],
    ),
];

/// What core may be built of: nothing that could do I/O, read a clock or draw a number.
const CORE: [&str; 2] = ["blake3", "rkyv"];

fn packages() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"])
        .current_dir(super::root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let normal = dependencies
                .filter(|dependency| dependency["kind"].is_null())
                .map(|dependency| dependency["name"].as_str().unwrap().to_owned());
            (package["name"].as_str().unwrap().to_owned(), normal.collect())
        })
        .collect()
}

#[test]
fn every_crate_depends_only_on_those_that_it_may() {
    let may: BTreeMap<&str, &[&str]> = MAY.into_iter().collect();
    let mut wrong = vec![];
    for (package, dependencies) in packages() {
        let Some(allowed) = may.get(package.as_str()) else {
            wrong.push(format!("{package} is not in the table"));
            continue;
        };
        for dependency in dependencies.iter().filter(|dependency| dependency.starts_with("doubletick")) {
            if !allowed.contains(&dependency.as_str()) {
                wrong.push(format!("{package} depends on {dependency}"));
            }
        }
    }
    super::none("edges that must not be", &wrong);
}

#[test]
fn core_is_built_of_nothing_that_could_touch_the_world() {
    let core = &packages()["doubletick-core"];
    assert_eq!(core.iter().map(String::as_str).collect::<Vec<_>>(), CORE);
}
