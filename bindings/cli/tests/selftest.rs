//! `mrisynth selftest` as a clinic runs it to accept an installation.

mod common;

use std::process::Command;

use common::{Outcome, Workplace};
use serde_json::Value;

/// Runs the self-test with a tier of instructions, and perhaps where nothing can be written.
fn selftest(tier: Option<&str>, temporary: &str) -> (i32, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mrisynth"));
    command.args(["selftest", "--json"]).env("TMPDIR", temporary);
    if let Some(tier) = tier {
        command.env("MRISYNTH_KERNELS", tier);
    }
    let outcome = Outcome(command.output().unwrap());
    (outcome.code(), outcome.json())
}

#[test]
fn every_tier_of_this_processor_passes() {
    let workplace = Workplace::new();
    let temporary = workplace.path("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let cpu = workplace.run(["model", "info", "--cpu", "--json"]).succeeded().json();
    let tiers = cpu["cpu"]["available"].as_array().unwrap().iter().map(|tier| tier.as_str().unwrap());
    for tier in tiers.chain(["none"]) {
        let (code, report) = selftest(Some(tier), temporary.to_str().unwrap());
        assert_eq!((code, &report["passed"]), (0, &true.into()), "{tier}: {report:#}");
        assert_eq!(report["cpu"]["tier"], tier);
        assert_eq!(report["models"].as_array().unwrap().len(), 2);
        let steps = report["steps"].as_array().unwrap();
        assert_eq!(steps.len(), 10, "{report:#}");
        for step in steps {
            assert_eq!(step["passed"], true);
        }
        println!("{tier}: {:.1} s", report["seconds"].as_f64().unwrap());
    }
    assert!(temporary.read_dir().unwrap().next().is_none(), "something is left");
}

#[test]
fn a_fault_on_the_way_is_told_in_the_summary() {
    let (code, report) = selftest(None, "/nowhere");
    assert_eq!((code, &report["passed"]), (12, &false.into()));
    assert_eq!(report["error"]["status"], "IO");
    assert!(report["error"]["message"].as_str().unwrap().contains("/nowhere"), "{report:#}");
}

#[test]
fn the_summary_is_for_people_too() {
    let outcome = Workplace::new().run(["selftest", "--threads", "1"]).succeeded();
    let text = outcome.stdout();
    assert!(text.starts_with("mrisynth 0.1.0 on ") && text.contains("\nself-test passed in "), "{text}");
    assert!(text.contains("not a medical device"));
}
