//! Writes `libfdb_c.a`, which `foundationdb-sys` is linked with in place of FoundationDB's client library: for each of its functions one
//! that jumps to where a table says.

use std::fmt::Write;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=functions.txt");
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").expect("Cargo sets it"));
    let functions = std::fs::read_to_string("functions.txt").expect("it lies beside this file");
    let functions: Vec<&str> = functions.lines().collect();

    let source = folder.join("trampolines.s");
    std::fs::write(&source, assembly(&functions)).expect("the folder is Cargo's, for this");
    // The crate itself is not told to link it: foundationdb-sys asks for a library of this name, and looks where this says.
    cc::Build::new().file(&source).cargo_metadata(false).compile("fdb_c");
    println!("cargo:rustc-link-search=native={}", folder.display());

    let names = functions.iter().fold(String::new(), |mut names, name| {
        writeln!(names, "    c\"{name}\",").expect("a string can be written to");
        names
    });
    let table = format!(
        "/// The names of the functions, in the order of the table.\nstatic NAMES: [&std::ffi::CStr; {}] = [\n{names}];\n",
        functions.len()
    );
    std::fs::write(folder.join("names.rs"), table).expect("the folder is Cargo's, for this");
}

/// One trampoline for each function, and the table. Until the library is loaded each entry leads to the function that says so.
fn assembly(functions: &[&str]) -> String {
    let machine = std::env::var("CARGO_CFG_TARGET_ARCH").expect("Cargo sets it");
    let system = std::env::var("CARGO_CFG_TARGET_OS").expect("Cargo sets it");
    // Both leave the arguments as they are. The number of the function goes where `missing` finds it, in a register that the calling
    // convention leaves to such code.
    let (jump, missing): (fn(usize) -> String, &str) = match (&*machine, &*system) {
        ("x86_64", "linux") => (x86_64, "    movl %r11d, %edi\n    andq $-16, %rsp\n    callq doubletick_fdb_missing\n"),
        ("aarch64", "linux") => (aarch64, "    mov w0, w17\n    bl doubletick_fdb_missing\n"),
        _ => {
            panic!("FoundationDB's client library can be loaded at run time on Linux, on x86_64 and aarch64; this is {system} on {machine}")
        }
    };
    let mut text = String::from("    .text\n");
    for (n, name) in functions.iter().enumerate() {
        write!(text, "    .globl {name}\n    .type {name}, %function\n{name}:\n{}", jump(n)).expect("a string can be written to");
    }
    write!(text, "    .type missing, %function\nmissing:\n{missing}    .data\n    .balign 8\n").expect("a string can be written to");
    text.push_str("    .globl doubletick_fdb_table\n    .hidden doubletick_fdb_table\ndoubletick_fdb_table:\n");
    text.push_str(&"    .quad missing\n".repeat(functions.len()));
    text.push_str("    .section .note.GNU-stack,\"\",%progbits\n");
    text
}

fn x86_64(number: usize) -> String {
    format!("    movl ${number}, %r11d\n    jmpq *doubletick_fdb_table+{}(%rip)\n", 8 * number)
}

fn aarch64(number: usize) -> String {
    let table = "    adrp x16, doubletick_fdb_table\n    add x16, x16, :lo12:doubletick_fdb_table\n";
    format!("    mov w17, #{number}\n{table}    ldr x16, [x16, #{}]\n    br x16\n", 8 * number)
}
