//! `--memory-limit` in an address space that the system bounds: the limit and a constant beside it are enough, and where there
//! is less, the command says so and is not ended by the system.

#![cfg(target_os = "linux")]

mod common;

use std::process::{Command, Output};

use common::Workplace;

/// Address space that no limit counts, in kilobytes: the program itself, the stacks of its threads, and what the C library
/// reserves for each thread and never touches.
const BESIDE: u64 = 400 << 10;
/// With less than this, in kilobytes, not even the program and its threads find room.
const LEAST: u64 = 64 << 10;
const SYNTHESIZE: &str = "synthesize scan.nii.gz --prepared -o out.nii.gz --to t1w --threads 2 --force -q";
const OUT_OF_MEMORY: i32 = 16;

fn run_within(workplace: &Workplace, arguments: &str, kilobytes: u64) -> Output {
    let script = format!("ulimit -v {kilobytes}; exec \"$0\" {arguments}");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_mrisynth")]).current_dir(workplace.path(""));
    command.output().unwrap()
}

/// The smallest limit that the command accepts, as it tells it.
fn smallest_limit(workplace: &Workplace) -> u64 {
    let mut limit = 1;
    loop {
        let outcome = workplace.run(format!("{SYNTHESIZE} --memory-limit {limit}").split_whitespace());
        if outcome.code() == 0 {
            return limit;
        }
        assert_eq!(outcome.code(), OUT_OF_MEMORY, "{}", outcome.stderr());
        let words = outcome.stderr().split_whitespace();
        let needed = words.filter_map(|word| word.parse().ok()).find(|needed| *needed > limit);
        limit = needed.unwrap_or(4 * limit);
    }
}

#[test]
fn the_limit_and_a_constant_are_enough_address_space() {
    let workplace = Workplace::with_scan();
    let limit = smallest_limit(&workplace);
    let output =
        run_within(&workplace, &format!("{SYNTHESIZE} --memory-limit {limit}"), (limit >> 10) + BESIDE);
    let stderr = String::from_utf8_lossy(&output.stderr);
    eprintln!("limit {} MiB, in an address space of {} MiB more", limit >> 20, BESIDE >> 10);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    // A limit that lies is told by the system before the work.
    let generous = format!("{SYNTHESIZE} --memory-limit 64GiB");
    let mut refused = 0;
    for kilobytes in (LEAST..(limit >> 10) + BESIDE).step_by(16 << 10) {
        let output = run_within(&workplace, &generous, kilobytes);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        eprintln!("{} MiB: {code:?} {}", kilobytes >> 10, stderr.lines().last().unwrap_or_default());
        assert!(
            [Some(0), Some(OUT_OF_MEMORY)].contains(&code),
            "{kilobytes} kB: {:?} {stderr}",
            output.status
        );
        refused += usize::from(code == Some(OUT_OF_MEMORY));
    }
    assert!(refused > 0, "no address space was too small");
}
