//! How well people are found and followed in a real clip, scored by an outside library against ground truth.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{peregrine, shared};

/// A Python that has the scorers' packages: `scripts/test.sh` makes one and names it.
pub(crate) fn python() -> String {
    peregrine::runtime::environment::var("PEREGRINE_PYTHON").unwrap_or_else(|| "python3".to_owned())
}

/// Runs a scorer of ../shared/tools; its last line is JSON.
pub(crate) fn score(tool: &Path, args: &[&str]) -> serde_json::Value {
    let out = Command::new(python()).arg(tool).args(args).output().expect("python runs");
    let text = String::from_utf8_lossy(&out.stdout);
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {text}\n{}", String::from_utf8_lossy(&out.stderr)))
}

fn config(dir: &Path, more: &str) -> PathBuf {
    let file = dir.join("replay.toml");
    std::fs::write(&file, more).expect("written");
    file
}

#[test]
fn three_times_fewer_looks_at_vtest_cost_at_most_0_02_of_mota() {
    let Some(clip) = shared("data/video/vtest.avi") else { return };
    let Some(model) = shared("models/yolov8n_640_int8.onnx") else { return };
    let (Some(truth), Some(tool)) = (shared("data/mot/PETS09-S2L1/gt.txt"), shared("tools/eval_mot.py")) else {
        return;
    };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let settings = format!(
        "[detect]\nmodel = \"{}\"\nconfidence = 0.4\nclasses = [\"person\"]\n[attend]\nenabled = true\n",
        model.display()
    );
    let paths = [clip.clone(), config(dir.path(), &settings), dir.path().join("tracks.txt"), dir.path().join("lines")];
    let [clip, config, mot, lines] = &paths.map(|path| path.display().to_string());
    let out = peregrine(&["replay", clip, "--config", config, "--mot", mot, "--out", lines]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    // "795 frames: 243 inferred (1 in 3.27), …"
    let word = said.split(" inferred").next().and_then(|before| before.split_whitespace().last());
    let inferred: u32 = word.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{said}"));
    let score = score(&tool, &[&format!("vtest={},{mot}", truth.display())]);
    println!("vtest.avi, attention: {inferred} of 795 frames inferred: {score}");
    assert!(inferred * 3 <= 795, "{inferred} frames inferred");
    // Every frame looked at: 0.772.
    assert!(score["mota"].as_f64().expect("a number") >= 0.752, "{score}");
}

#[test]
fn people_on_vtest_are_tracked_with_a_mota_of_at_least_0_74() {
    let Some(clip) = shared("data/video/vtest.avi") else { return };
    let Some(model) = shared("models/yolov8n_640.onnx") else { return };
    let (Some(truth), Some(tool)) = (shared("data/mot/PETS09-S2L1/gt.txt"), shared("tools/eval_mot.py")) else {
        return;
    };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = config(
        dir.path(),
        &format!(
            "[detect]\nmodel = \"{}\"\nengine = \"tract\"\nconfidence = 0.4\nclasses = [\"person\"]\n[track]\nmax_age_frames = 10\n",
            model.display()
        ),
    );
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (mot, lines) = (path("tracks.txt"), path("messages.jsonl"));
    let out = peregrine(&[
        "replay",
        &clip.display().to_string(),
        "--config",
        &config.display().to_string(),
        "--mot",
        &mot,
        "--out",
        &lines,
    ]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let frames = std::fs::read_to_string(&mot)
        .expect("tracks")
        .lines()
        .filter_map(|l| l.split(',').next()?.parse::<u32>().ok())
        .max();
    assert_eq!(frames, Some(795), "every frame of the clip is played");
    let score = score(&tool, &[&format!("vtest={},{mot}", truth.display())]);
    let mota = score["mota"].as_f64().expect("a number");
    println!("vtest.avi: {score}");
    assert!(mota >= 0.74, "{score}");
}
