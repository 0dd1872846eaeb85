//! What the stand-in computes for a whole ONNX file is what tract computes for it, for each picture of a batch; so a test that runs
//! through it sees a wrong slot, shape or copy.

use std::path::{Path, PathBuf};
use std::process::Command;

use peregrine::config::EngineChoice;
use peregrine::infer::{Options, open};

use super::compile::{MAJORS, headers, program};
use super::server::Event;
use super::support::Stage;
use crate::support::data;

const BATCH: usize = 3;

/// tests/data's detector with an open batch in place of 1, in a folder.
pub(super) fn model(folder: &Path) -> PathBuf {
    let mut bytes = std::fs::read(data("tiny_detector.onnx")).expect("read");
    // A dimension of 1 before one of 3; the same with an empty name instead of the number.
    let at = bytes.windows(8).position(|w| w == [10, 2, 8, 1, 10, 2, 8, 3]).expect("the input's shape");
    bytes[at + 2..at + 4].copy_from_slice(&[0x12, 0]);
    let path = folder.join("open_batch.onnx");
    std::fs::write(&path, bytes).expect("written");
    path
}

#[test]
fn a_batch_through_the_stand_in_is_what_tract_gives_for_each_picture() {
    let dir = tempfile::tempdir().expect("a folder");
    let model = model(dir.path());
    let mut tract = open(EngineChoice::Tract, &model, &Options::default()).expect("opens");
    let chw = tract.shape().input_chw;
    let each: usize = chw.iter().product();
    let pictures: Vec<f32> = (0..BATCH * each).map(|i| (i * 7 % 255) as f32 / 255.0).collect();
    let mut wanted = Vec::new();
    for picture in pictures.chunks(each) {
        tract.input(0).fill(chw, |i| picture[i]);
        tract.run(1).expect("runs");
        wanted.extend_from_slice(tract.output(0, 0));
    }
    for major in MAJORS {
        let (Some(stage), Some(headers)) = (Stage::new(major), headers(major)) else { continue };
        let file = |name: &str| stage.dir().join(name);
        std::fs::write(file("in"), pictures.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>()).expect("written");
        let mut command = stage.command_of(&program(major, &headers, "run_onnx.cpp").join("drive"));
        let out =
            command.arg(&model).args([file("in"), file("out")]).arg(BATCH.to_string()).output().expect("it starts");
        assert!(out.status.success(), "TensorRT {major}: {}", String::from_utf8_lossy(&out.stderr));
        let bytes = std::fs::read(file("out")).expect("read");
        let given: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        assert!(
            given == wanted,
            "TensorRT {major}: {} numbers, not the {} that tract gives",
            given.len(),
            wanted.len()
        );
        assert_eq!(stage.complaints(), [""; 0]);
        let builds = stage.builds();
        assert_eq!(builds.len(), 1);
        assert_eq!(builds[0].profile[8], BATCH as i64, "the greatest batch: {:?}", builds[0]);
        assert!(stage.server.events().contains(&Event::Run(BATCH as u32)));
    }
}

#[test]
fn faults_happen_when_they_are_ordered_and_no_longer() {
    let faults = [
        ("operator", "ReduceMean", "No importer registered for op: ReduceMean"),
        (
            "build",
            "Error Code 10: Internal Error (Could not find any implementation)",
            "Could not find any implementation",
        ),
        ("build-out-of-memory-above", "2", "OutOfMemory"),
        ("deserialize", "the plan is foreign", "the plan is foreign"),
        ("context-out-of-memory-above", "2", "OutOfMemory"),
        ("enqueue", "an illegal memory access was encountered", "illegal memory access"),
        ("no-cuda", "1", "CUDA initialization failure"),
    ];
    for major in MAJORS {
        let (Some(stage), Some(headers)) = (Stage::new(major), headers(major)) else { continue };
        let drive = program(major, &headers, "run_onnx.cpp").join("drive");
        let run = |command: &mut Command| {
            std::fs::write(stage.dir().join("in"), vec![0; BATCH * 3 * 64 * 64 * 4]).expect("written");
            let files = [model(stage.dir()), stage.dir().join("in"), stage.dir().join("out")];
            command.args(files).arg(BATCH.to_string()).output().expect("it starts")
        };
        for (name, value, words) in faults {
            stage.server.fault(name, value, None);
            let out = run(&mut stage.command_of(&drive));
            let said = String::from_utf8_lossy(&out.stderr);
            assert!(!out.status.success() && said.contains(words), "TensorRT {major}, {name}: {}: {said}", out.status);
            stage.server.heal(name);
        }
        let out = run(&mut stage.command_of(&drive));
        assert!(out.status.success(), "TensorRT {major}: {}", String::from_utf8_lossy(&out.stderr));
    }
}

#[test]
fn a_held_build_waits_at_its_step_until_it_is_released() {
    for major in MAJORS {
        let (Some(stage), Some(headers)) = (Stage::new(major), headers(major)) else { continue };
        std::fs::write(stage.dir().join("in"), vec![0; 3 * 64 * 64 * 4]).expect("written");
        let files = [model(stage.dir()), stage.dir().join("in"), stage.dir().join("out")];
        stage.server.fault("build-steps", "2", Some(1));
        stage.server.hold_builds(true);
        let mut command = stage.command_of(&program(major, &headers, "run_onnx.cpp").join("drive"));
        let mut child = command.args(files).arg("1").spawn().expect("it starts");
        stage.server.wait_until("a step", |events| events.contains(&Event::Step(0)));
        // Meanwhile another process comes, asks and goes.
        stage.server.fault("operator", "ReduceMean", Some(1));
        let other = [model(stage.dir()), stage.dir().join("in"), stage.dir().join("out-2")];
        let mut refused = stage.command_of(&program(major, &headers, "run_onnx.cpp").join("drive"));
        assert!(!refused.args(other).arg("1").output().expect("it starts").status.success());
        assert!(child.try_wait().expect("ours").is_none(), "it goes on though it is held");
        stage.server.hold_builds(false);
        assert!(child.wait().expect("ours").success());
        let steps = stage.server.events().iter().filter(|e| matches!(e, Event::Step(_))).count();
        assert_eq!(steps, 2, "as many as were ordered");
        let events = stage.server.events();
        let at = |wanted: Event| events.iter().position(|e| *e == wanted);
        assert!(at(Event::Released) < at(Event::Step(1)), "{events:?}");
    }
}
