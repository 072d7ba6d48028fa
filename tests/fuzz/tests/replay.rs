//! Every input of the corpus, some that chance makes of them, and a target that misbehaves.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use fuzz::{Report, Settings, Target, corpus, run};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn feed(target: Target, inputs: &[Vec<u8>], runs: u64, timed: bool) -> Report {
    run(&Settings { target, seed: 1, runs, seconds: None, timed }, inputs).unwrap()
}

/// One test: memory is measured for the whole program, so nothing else may run beside it.
#[test]
fn g14_bytes_that_nobody_meant_do_no_harm() {
    for (target, runs) in Target::ALL.into_iter().zip([3_000, 3_000, 120, 400]) {
        let inputs: Vec<Vec<u8>> = corpus(target).unwrap().into_iter().map(|(_, input)| input).collect();
        assert!(inputs.len() >= 4, "{target:?}");
        let report = feed(target, &inputs, runs, false);
        assert!(report.violations.is_empty(), "{target:?}: {report:?}");
        assert_eq!((report.runs.0, report.runs.1), (runs, inputs.len() as u64), "{target:?}");
    }
    for bad in ["panic", "memory", "slow"] {
        let report = feed(Target::Bad, &[bad.as_bytes().to_vec()], 1, true);
        assert_eq!(report.violations.len(), 1, "{bad}: {report:?}");
    }
}
