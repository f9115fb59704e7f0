//! What is said where there is no client library, or a wrong one.

use std::path::Path;
use std::process::Command;

use doubletick_fdb_loader::{Error, load};

#[test]
fn a_program_with_foundationdb_in_it_starts_without_its_library() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    assert!(maps.contains("libc.so") && !maps.contains("libfdb"), "{maps}");
}

#[test]
fn a_library_that_is_not_there_is_named_with_what_to_do() {
    let error = load(Some(Path::new("/nonexistent/libfdb_c.so"))).unwrap_err();
    assert!(matches!(error, Error::NotLoaded { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("/nonexistent/libfdb_c.so") && text.contains("foundationdb-clients") && !text.contains('\n'), "{text}");
}

#[test]
fn another_library_is_told_apart_by_the_function_that_it_lacks() {
    let error = load(Some(Path::new("libc.so.6"))).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("libc.so.6 lacks the function fdb_add_network_thread_completion_hook of FoundationDB's client library"),
        "{text}"
    );
}

#[test]
fn a_function_that_is_called_too_early_ends_the_process_and_names_itself() {
    const CHILD: &str = "DOUBLETICK_CALLS_TOO_EARLY";
    if std::env::var_os(CHILD).is_some() {
        foundationdb::api::get_max_api_version();
    }
    let this = std::env::current_exe().unwrap();
    let test = "a_function_that_is_called_too_early_ends_the_process_and_names_itself";
    let output = Command::new(this).args(["--exact", test, "--nocapture"]).env(CHILD, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains("fdb_get_max_api_version was called before"), "{said}");
}
