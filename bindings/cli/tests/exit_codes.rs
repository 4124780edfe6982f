//! Every exit code of the table is one that a user can meet, and comes with the status of its row.
//!
//! Two are shown elsewhere: 17 needs a signal (tests/interrupt.rs), and 19 a defect, of which none is known (src/exit.rs shows that
//! a panic would end with it).

mod common;

use common::{Workplace, model_file};
use serde_json::Value;

/// A workplace with a scan, one of colours, a damaged one and a constant one.
fn workplace() -> Workplace {
    let workplace = Workplace::with_scan();
    common::write_volume(&workplace.path("scan.nii"), &common::phantom());
    let scan = workplace.bytes("scan.nii");
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = scan.clone();
        change(&mut bytes);
        bytes
    };
    // The datatype's code and its bits: RGB.
    let colours = changed(&|bytes| bytes[70..74].copy_from_slice(&[128, 0, 24, 0]));
    let damaged = changed(&|bytes| bytes.truncate(bytes.len() / 2));
    std::fs::write(workplace.path("colours.nii"), colours).unwrap();
    std::fs::write(workplace.path("damaged.nii"), damaged).unwrap();
    std::fs::create_dir(workplace.path("batch")).unwrap();
    std::fs::copy(workplace.path("damaged.nii"), workplace.path("batch/damaged_T2w.nii")).unwrap();
    workplace
}

#[test]
fn every_code_is_met() {
    let workplace = workplace();
    let model = model_file("README.md");
    let model = model.to_str().unwrap();
    let runs: [(i32, &str, String); 10] = [
        (0, "", "model list --json".into()),
        (2, "", "synthesize --json".into()),
        (3, "", "synthesize batch -o made --to t1w --prepared --json".into()),
        (11, "INVALID_ARGUMENT", "synthesize scan.nii -o scan.nii --to t1w --json --force".into()),
        (12, "IO", "synthesize none.nii -o out.nii --to t1w --json".into()),
        (13, "BAD_MODEL", format!("synthesize scan.nii -o out.nii --to t1w --json --model {model}")),
        (14, "BAD_IMAGE", "synthesize damaged.nii -o out.nii --to t1w --json".into()),
        (15, "UNSUPPORTED", "synthesize colours.nii -o out.nii --to t1w --json".into()),
        (
            16,
            "OUT_OF_MEMORY",
            "synthesize scan.nii -o out.nii --to t1w --prepared --json --memory-limit 1MB".into(),
        ),
        (18, "REFUSED", "synthesize scan.nii -o out.nii --to t2w --prepared --json".into()),
    ];
    for (code, status, arguments) in runs {
        let outcome = workplace.run(arguments.split(' '));
        assert_eq!(outcome.code(), code, "{arguments}: {}", outcome.stderr());
        if status.is_empty() {
            continue;
        }
        let error: Value = outcome.json()["error"].clone();
        assert_eq!((&error["status"], &error["exit_code"]), (&status.into(), &code.into()), "{arguments}");
    }
    let left = workplace.files();
    assert!(!left.iter().any(|name| name.starts_with("out")), "{left:?}");
}
