//! The table of each major version whose headers are there, driven through every call, what is refused among it. The same program runs
//! for aarch64 in scripts/test-tensorrt-arm.sh.

use super::compile::{MAJORS, headers, program, stand_in};
use std::process::Command;

#[test]
fn a_table_builds_loads_and_runs_and_says_what_was_refused() {
    for major in MAJORS {
        let Some(headers) = headers(major) else { continue };
        let libraries = stand_in(major, &headers);
        let drive = program(major, &headers, "arm_run.cpp").join("drive");
        let out = Command::new(drive).env("LD_LIBRARY_PATH", libraries).output().expect("it starts");
        let (said, complained) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success(), "TensorRT {major}: {}\n{said}{complained}", out.status);
        assert_eq!(complained, "", "TensorRT {major} has something against how it is used");
    }
}
