//! Kill -9 of the server at random moments under load: nothing that was accepted is lost, nothing is shown twice, order is kept, and no
//! tick is a lie. `DOUBLETICK_KILLS=100 cargo test -p doubletick --test kill` does it a hundred times.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

use std::process::Command;

#[test]
fn a_server_that_is_killed_again_and_again_loses_doubles_and_reorders_nothing() {
    let kills: u32 = std::env::var("DOUBLETICK_KILLS").map_or(3, |text| text.parse().expect("DOUBLETICK_KILLS is a number"));
    let seconds = kills * 2;
    let output = Command::new(env!("CARGO_BIN_EXE_doubletick"))
        .args(["bench", "--connections", "20", "--rate", "1000", "--warm-up", "0", "--json", "-"])
        .args(["--duration", &seconds.to_string(), "--kills", &kills.to_string()])
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["kills"], kills, "{report}");
    assert!(report["messages"].as_u64().unwrap() > u64::from(seconds) * 100, "a run under load: {report}");
    assert_eq!(report["wrong"], serde_json::json!([]));
}
