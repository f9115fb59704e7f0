//! The checked-in types are those that `proto/` gives. To change the schema: edit it, regenerate with the command that the test names,
//! and only then use what is new, because this test is compiled with the crate.

use std::path::Path;
use std::{env, fs};

#[test]
fn the_generated_types_are_those_of_the_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = root.join("../../proto");
    let files = protox::compile(["doubletick/v1/client.proto", "doubletick/v1/server.proto"], [&schema]).expect("the schema compiles");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("generated");
    fs::create_dir_all(&out).unwrap();
    let mut config = prost_build::Config::new();
    config.out_dir(&out).disable_comments(["."]);
    config.compile_fds(files).expect("prost writes the types");
    let fresh = fs::read_to_string(out.join("doubletick.v1.rs")).unwrap();

    let kept = root.join("src/generated.rs");
    if env::var_os("REGENERATE").is_some() {
        fs::write(&kept, &fresh).unwrap();
    }
    let kept = fs::read_to_string(kept).unwrap_or_default();
    assert!(kept == fresh, "src/generated.rs is not what proto/ gives: run `REGENERATE=1 cargo test -p doubletick-wire generated`");
}
