//! The whole program on a GPU that stands in: what is found there is what is found on the CPU, engines are built once, and whatever is
//! missing or fails is told.

use std::path::Path;
use std::process::Output;

use super::support::Stage;
use crate::support::{Broker, Daemon, data, shared};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Any picture: a frame of a test pattern as PNG.
fn picture(stage: &Stage) -> String {
    let path = stage.dir().join("picture.png");
    let pixel = |x: u32, y: u32| image::Rgb([(x * 3) as u8, (y * 5) as u8, (x * y) as u8]);
    image::RgbImage::from_fn(97, 61, pixel).save(&path).expect("written");
    path.display().to_string()
}

fn detect(stage: &Stage, model: &Path, engine: &str, more: &[&str]) -> Output {
    let mut command = stage.command();
    command.args(["detect", &picture(stage), "--conf", "0.1", "--engine", engine]).arg("--model").arg(model);
    command.arg("--state").arg(stage.dir().join("state")).args(more).output().expect("it starts")
}

/// What was found, on the GPU or else; it has to work.
fn found(out: &Output) -> String {
    assert!(out.status.success(), "{}", text(&out.stderr));
    text(&out.stdout)
}

fn engine_file(stage: &Stage) -> std::path::PathBuf {
    let files = std::fs::read_dir(stage.dir().join("state/engines")).expect("listed").flatten().map(|e| e.path());
    let mut engines = files.filter(|f| f.extension().is_some_and(|e| e == "engine"));
    let first = engines.next().expect("an engine");
    assert!(engines.next().is_none(), "one engine a model");
    first
}

#[test]
fn what_is_found_on_the_gpu_is_what_is_found_on_the_cpu_and_an_engine_is_built_once() {
    let model = data("tiny_detector.onnx");
    for major in [10, 11] {
        let Some(stage) = Stage::new(major) else { continue };
        for gpu in ["compute=87", "compute=87\nintegrated=1", "compute=72\nintegrated=1\nversion=10020", "compute=90"] {
            stage.gpu(gpu);
            let on_gpu = found(&detect(&stage, &model, "tensorrt", &[]));
            assert_eq!(on_gpu, found(&detect(&stage, &model, "tract", &[])), "TensorRT {major}, {gpu}");
            assert_eq!(on_gpu, found(&detect(&stage, &model, "auto", &[])), "auto takes the GPU");
            std::fs::remove_dir_all(stage.dir().join("state")).expect("removed");
        }
        assert_eq!(stage.builds().len(), 4, "one for each GPU, none for the second run");
        assert_eq!(stage.complaints(), [""; 0]);
    }
}

#[test]
fn an_engine_that_was_cut_changed_or_made_elsewhere_is_built_anew_and_that_is_told() {
    let Some(stage) = Stage::new(10) else { return };
    stage.gpu("compute=87");
    let model = data("tiny_detector.onnx");
    let wanted = found(&detect(&stage, &model, "tensorrt", &[]));
    let file = engine_file(&stage);
    let whole = std::fs::read(&file).expect("read");
    for (builds, spoilt) in [(2, &whole[..whole.len() / 2]), (3, b"rubbish".as_slice()), (4, b"")] {
        std::fs::write(&file, spoilt).expect("written");
        let out = detect(&stage, &model, "tensorrt", &[]);
        assert_eq!(found(&out), wanted);
        assert_eq!(stage.builds().len(), builds);
        assert!(text(&out.stderr).contains(".engine"), "{}", text(&out.stderr));
    }
    // Another TensorRT, and another GPU.
    let other = stage
        .command()
        .env("PEREGRINE_STANDIN_VERSION", "100300")
        .args(["model", "build"])
        .arg(&model)
        .arg("--state")
        .arg(stage.dir().join("state"))
        .output()
        .expect("it starts");
    assert!(other.status.success(), "{}", text(&other.stderr));
    assert!(text(&other.stderr).contains("made for \"tensorrt: 10.16"), "{}", text(&other.stderr));
    assert_eq!((stage.builds().len(), engine_file(&stage)), (5, file));
    assert_eq!(stage.complaints(), [""; 0]);
}

#[test]
fn a_batch_larger_than_the_plans_is_run_in_parts() {
    let Some(stage) = Stage::new(10) else { return };
    stage.gpu("compute=87");
    let args = "bench --engine tensorrt --threads 1 --batch 1..5 --seconds 0.05 --json --model";
    let mut command = stage.command();
    let out = command.args(args.split(' ')).arg(data("tiny_detector.onnx")).arg("--state").arg(stage.dir()).output();
    let out = out.expect("it starts");
    let report: serde_json::Value =
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&out.stderr)));
    assert_eq!((report["engine"].as_str(), report["runs"].as_array().map(Vec::len)), (Some("tensorrt"), Some(5)));
    assert_eq!(stage.complaints(), [""; 0]);
}

#[test]
fn what_is_missing_or_refused_is_told_by_name() {
    let Some(stage) = Stage::new(10) else { return };
    let model = data("tiny_detector.onnx");
    let refused = |what: &str, words: &[&str]| {
        let out = detect(&stage, &model, "tensorrt", &[]);
        let told = text(&out.stderr);
        assert_eq!(out.status.code(), Some(78), "{what}: {told}");
        assert!(words.iter().all(|w| told.contains(w)), "{what}: {told}");
        found(&detect(&stage, &model, "auto", &[]));
    };
    refused("no driver", &["no NVIDIA driver"]);
    stage.gpu("devices=0");
    refused("no GPU", &["no GPU"]);
    stage.gpu("init=999");
    refused("a driver that does not start", &["no NVIDIA driver", "999"]);
    stage.gpu("devices=1");
    stage.server.fault("operator", "ReduceMean", None);
    refused("an operator", &["node", "ReduceMean"]);
    stage.server.heal("operator");
    stage.server.fault("build-out-of-memory-above", "0", None);
    refused("no memory to build", &["out of GPU memory", "MB are free"]);
    stage.server.heal("build-out-of-memory-above");
    stage.server.fault("context-out-of-memory-above", "0", None);
    refused("no memory to run", &["out of GPU memory", "MB are free"]);
    stage.server.heal("context-out-of-memory-above");
    let second = text(&detect(&stage, &model, "tensorrt", &["--device", "1"]).stderr);
    assert!(second.contains("there is no GPU 1; this device has 1"), "{second}");
    stage.remove_library("libnvonnxparser.so.10");
    std::fs::remove_dir_all(stage.dir().join("state")).expect("removed");
    refused("no parser", &["no engine can be built here"]);
    stage.remove_library("libnvinfer.so.10");
    refused("no TensorRT", &["no TensorRT", "apt install"]);
}

#[test]
fn floats_become_8_bits_on_pictures_which_are_needed_once() {
    let Some(stage) = Stage::new(10) else { return };
    stage.gpu("compute=87");
    picture(&stage);
    let build = |more: &[&str]| {
        let mut command = stage.command();
        command.args(["model", "build", "--precision", "int8"]).arg(data("tiny_detector.onnx"));
        command.arg("--state").arg(stage.dir().join("state")).args(more).output().expect("it starts")
    };
    let without = build(&[]);
    assert!(text(&without.stderr).contains("take pictures to measure on"), "{}", text(&without.stderr));
    found(&build(&["--images", &stage.dir().display().to_string()]));
    std::fs::remove_file(engine_file(&stage)).expect("removed");
    found(&build(&[]));
    let told: Vec<_> = stage.builds().iter().map(|b| b.settings["calibration"].clone()).collect();
    let [measured, cached] = told.as_slice() else { panic!("{told:?}") };
    assert!(measured.starts_with("1 batches") && !measured.ends_with("greatest 0"), "{measured}");
    assert!(cached.starts_with("cached"), "{cached}");
    assert_eq!(stage.complaints(), [""; 0]);
}

#[test]
fn pictures_that_cannot_be_read_are_left_out_and_the_last_batch_is_filled() {
    let Some(stage) = Stage::new(10) else { return };
    stage.gpu("compute=87");
    let model = super::computing::model(stage.dir());
    let folder = stage.dir().join("pictures");
    std::fs::create_dir(&folder).expect("made");
    let build = |batch: &str| {
        let mut command = stage.command();
        command.args(["model", "build", "--precision", "int8", "--batch", batch, "--images"]).arg(&folder).arg(&model);
        command.arg("--state").arg(stage.dir().join("state")).output().expect("it starts")
    };
    std::fs::write(folder.join("0.png"), "no picture").expect("written");
    let refused = build("2");
    assert!(!refused.status.success() && text(&refused.stderr).contains("none of these can be read"), "{refused:?}");
    assert!(stage.builds().is_empty(), "nothing is begun in vain");
    for name in ["1.png", "3.png", "4.png"] {
        std::fs::copy(picture(&stage), folder.join(name)).expect("copied");
    }
    std::fs::write(folder.join("2.png"), "no picture either").expect("written");
    for batch in ["1", "2", "8"] {
        found(&build(batch));
    }
    let told: Vec<_> = stage.builds().iter().map(|b| b.settings["calibration"].clone()).collect();
    let batches: Vec<_> = told.iter().filter_map(|t| t.split_once(" batches").map(|(n, _)| n)).collect();
    assert_eq!(batches, ["3", "2", "1"], "three pictures: {told:?}");
    assert_eq!(stage.complaints(), [""; 0]);
}

#[test]
fn a_board_that_copies_by_itself_is_given_up_too_when_it_hangs() {
    let Some(stage) = Stage::new(10) else { return };
    let nano = "compute=53\nintegrated=1\nversion=10020";
    stage.gpu(nano);
    let broker = Broker::start();
    let mut heard = broker.subscribe("peregrine/gate/#");
    let mut daemon = Daemon::start_by(stage.command(), &config(&stage, &broker, "workers_per_device = 1"));
    daemon.running();
    heard.first("detections by the GPU", |m| m.topic.ends_with("detections"));
    stage.gpu(&format!("{nano}\nhang=1"));
    let degraded = heard.next("the GPU is lost", |m| m.body["state"] == "degraded" && m.body["engine"] == "tract");
    assert!(
        degraded.body["reason"].as_str().is_some_and(|r| r.contains("did not answer within")),
        "{:?}",
        degraded.body
    );
    daemon.process.signal("TERM");
    assert!(daemon.process.ends_within(std::time::Duration::from_secs(10)).success());
}

#[test]
fn what_a_configuration_names_is_built_ahead_as_the_daemon_runs_it() {
    let Some(stage) = Stage::new(10) else { return };
    stage.gpu("compute=87\ndevices=2");
    stage.server.fault("dla-cores", "2", None);
    let file = stage.dir().join("peregrine.toml");
    let text_of = |dla: u32| {
        let (detector, classifier) = (data("tiny_detector.onnx"), data("tiny_classifier.onnx"));
        format!(
            "[paths]\nstate = \"{}\"\n[detect]\nmodel = \"{}\"\n[classify.vehicle]\nmodel = \"{}\"\n\
             [tensorrt]\ndevices = [0, 1]\ndla_core = {dla}\n[camera.a]\nsource = \"test:\"\n",
            stage.dir().display(),
            detector.display(),
            classifier.display()
        )
    };
    let build = |dla: u32| {
        std::fs::write(&file, text_of(dla)).expect("written");
        stage.command().args(["model", "build", "--config"]).arg(&file).output().expect("it starts")
    };
    let told = found(&build(1));
    assert!(
        ["tiny_detector: ready on GPU 0", "tiny_classifier: ready on GPU 1"].iter().all(|line| told.contains(line)),
        "{told}"
    );
    let cores: Vec<_> = stage.builds().iter().map(|b| b.settings["dla_core"].clone()).collect();
    // The two GPUs that stand in have different names; of the same kind they would share their engines.
    assert!(cores.len() == 4 && cores.iter().all(|core| core == "1"), "{cores:?}");
    let refused = text(&build(7).stderr);
    assert!(refused.contains("there is no DLA core 7; this GPU has 2"), "{refused}");
}

#[test]
fn whoever_started_the_daemon_is_asked_for_patience_while_an_engine_is_built() {
    let Some(stage) = Stage::new(10) else { return };
    stage.gpu("compute=87");
    let socket = stage.dir().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&socket).expect("bound");
    manager.set_read_timeout(Some(std::time::Duration::from_secs(30))).expect("set");
    let broker = Broker::start();
    let mut program = stage.command();
    program.env("NOTIFY_SOCKET", &socket);
    stage.server.hold_builds(true);
    let mut daemon = Daemon::start_by(program, &config(&stage, &broker, ""));
    let until = |word: &str| loop {
        let mut bytes = [0; 4096];
        let len = manager.recv(&mut bytes).unwrap_or_else(|e| panic!("no {word}: {e}"));
        let said = text(&bytes[..len]);
        if said.contains(word) {
            return said;
        }
    };
    let asked = until("EXTEND_TIMEOUT_USEC=");
    assert!(asked.contains("building an engine for") && asked.contains("tiny_detector.onnx"), "{asked}");
    stage.server.hold_builds(false);
    until("READY=1");
    daemon.process.signal("TERM");
    assert!(daemon.process.ends_within(std::time::Duration::from_secs(10)).success());
}

#[test]
fn a_gpu_without_8_bits_computes_in_floats_and_says_so() {
    let Some(stage) = Stage::new(10) else { return };
    stage.gpu("compute=53\nintegrated=1\nversion=10020");
    let out = detect(&stage, &data("tiny_detector.onnx"), "tensorrt", &["--precision", "int8"]);
    found(&out);
    assert!(text(&out.stderr).contains("in 16-bit floats: this GPU has no 8-bit products"), "{}", text(&out.stderr));
}

#[test]
fn real_pictures_and_a_real_model_give_the_same_boxes() {
    let (Some(model), Some(pictures)) = (shared("models/yolov8n_320.onnx"), shared("data/coco/val/images")) else {
        return;
    };
    let Some(stage) = Stage::new(10) else { return };
    stage.gpu("compute=87");
    let mut files: Vec<_> = std::fs::read_dir(pictures).expect("listed").flatten().map(|e| e.path()).collect();
    files.sort();
    let run = |engine: &str| {
        let mut command = stage.command();
        command.args(["detect", "--engine", engine, "--model"]).arg(&model).arg("--state").arg(stage.dir());
        found(&command.args(files.iter().take(6)).output().expect("it starts"))
    };
    assert_eq!(run("tensorrt"), run("tract"));
}

fn config(stage: &Stage, broker: &Broker, more: &str) -> String {
    format!(
        "[device]\nname = \"gate\"\n[paths]\nstate = \"{}\"\n[mqtt]\nbroker = \"{}\"\n[detect]\nmodel = \"{}\"\n\
         engine = \"tensorrt\"\nconfidence = 0.1\n[tensorrt]\nretry_secs = 1\n{more}\n\
         [camera.a]\nsource = \"test:ball\"\nfps = 20\n[camera.b]\nsource = \"test:smpte\"\nfps = 20\n",
        stage.dir().display(),
        broker.url(),
        data("tiny_detector.onnx").display(),
    )
}

#[test]
fn a_gpu_that_fails_is_stood_in_for_and_comes_back() {
    let Some(stage) = Stage::new(10) else { return };
    stage.gpu("compute=87");
    let broker = Broker::start();
    let mut heard = broker.subscribe("peregrine/gate/#");
    let mut daemon = Daemon::start_by(stage.command(), &config(&stage, &broker, ""));
    daemon.running();
    let is_engine = |m: &crate::support::Message, state: &str| m.topic.contains("/engine/") && m.body["state"] == state;
    heard.first("detections by the GPU", |m| m.topic.ends_with("detections"));
    heard.first("the engine is well", |m| is_engine(m, "ok") && m.body["engine"] == "tensorrt");
    stage.gpu("compute=87\nfault_launch=1");
    // Two workers are lost one after the other.
    let degraded = heard.next("the GPU is lost", |m| is_engine(m, "degraded") && m.body["engine"] == "tract");
    assert!(degraded.body["reason"].as_str().is_some_and(|r| r.contains("ILLEGAL_ADDRESS")), "{:?}", degraded.body);
    heard.next("detections by the CPU", |m| m.topic.ends_with("detections"));
    stage.gpu("compute=87\nfault_launch=0");
    heard.next("the GPU is back", |m| is_engine(m, "ok") && m.body["engine"] == "tensorrt");
    heard.next("detections by the GPU", |m| m.topic.ends_with("detections"));
    daemon.process.signal("TERM");
    assert!(daemon.process.ends_within(std::time::Duration::from_secs(10)).success());
    assert_eq!(stage.builds().len(), 1, "workers and retries share the engine");
}

#[test]
fn two_gpus_take_from_the_same_cameras() {
    let Some(stage) = Stage::new(10) else { return };
    stage.gpu("compute=87\ndevices=2");
    let broker = Broker::start();
    let mut heard = broker.subscribe("peregrine/gate/#");
    let mut daemon =
        Daemon::start_by(stage.command(), &config(&stage, &broker, "devices = [0, 1]\nworkers_per_device = 1"));
    daemon.running();
    for camera in ["a", "b"] {
        heard.first("detections", |m| m.topic.ends_with("detections") && m.topic.contains(&format!("/{camera}/")));
    }
    // A GPU that does not draw meets no fault.
    let is_engine = |m: &crate::support::Message, state: &str| m.topic.contains("/engine/") && m.body["state"] == state;
    for gpu in [0, 1] {
        stage.gpu(&format!("compute=87\ndevices=2\nfault_launch=1\nfault_device={gpu}"));
        heard.next("this GPU is lost", |m| {
            let reason = m.body["reason"].as_str().unwrap_or_default();
            is_engine(m, "degraded") && reason.contains(&format!("GPU {gpu} ("))
        });
        stage.gpu("compute=87\ndevices=2\nfault_launch=0");
        heard.next("both are well", |m| is_engine(m, "ok"));
    }
    daemon.process.signal("TERM");
    assert!(daemon.process.ends_within(std::time::Duration::from_secs(10)).success());
    // What lives in a context that is gone is left to it.
    let complaints: Vec<_> = stage.complaints().into_iter().filter(|c| !c.ends_with("left at the end")).collect();
    assert_eq!(complaints, [""; 0]);
}

#[test]
fn a_gpu_that_does_not_answer_is_stood_in_for() {
    let Some(stage) = Stage::new(10) else { return };
    stage.gpu("compute=87");
    let broker = Broker::start();
    let mut heard = broker.subscribe("peregrine/gate/#");
    let mut daemon = Daemon::start_by(stage.command(), &config(&stage, &broker, ""));
    daemon.running();
    heard.first("detections by the GPU", |m| m.topic.ends_with("detections"));
    stage.gpu("compute=87\nhang=1");
    let degraded = heard.next("the GPU is lost", |m| m.body["state"] == "degraded" && m.body["engine"] == "tract");
    assert!(
        degraded.body["reason"].as_str().is_some_and(|r| r.contains("did not answer within")),
        "{:?}",
        degraded.body
    );
    heard.next("detections by the CPU", |m| m.topic.ends_with("detections"));
    daemon.process.signal("TERM");
    assert!(daemon.process.ends_within(std::time::Duration::from_secs(10)).success());
}

#[test]
fn a_start_that_builds_an_engine_is_ended_as_promptly_as_a_daemon_that_runs() {
    let Some(stage) = Stage::new(10) else { return };
    stage.gpu("compute=87");
    let broker = Broker::start();
    stage.server.hold_builds(true);
    let mut daemon = Daemon::start_by(stage.command(), &config(&stage, &broker, ""));
    daemon.process.line("the build", |line| line.contains("building an engine for"));
    daemon.process.signal("TERM");
    assert!(daemon.process.ends_within(std::time::Duration::from_secs(10)).success());
    // Dropped without it, the stand-in would hold builds for ever.
    stage.server.hold_builds(false);
}

#[test]
fn a_gpu_without_room_at_the_start_is_told_and_tried_again() {
    for engine in ["auto", "tensorrt"] {
        let Some(stage) = Stage::new(10) else { return };
        stage.gpu("compute=87");
        stage.server.fault("context-out-of-memory-above", "0", None);
        let broker = Broker::start();
        let mut heard = broker.subscribe("peregrine/gate/#");
        let config = config(&stage, &broker, "").replace("engine = \"tensorrt\"", &format!("engine = \"{engine}\""));
        let mut daemon = Daemon::start_by(stage.command(), &config);
        let is_engine = |m: &crate::support::Message| m.topic.contains("/engine/");
        let first = heard.first("what runs the model", is_engine);
        assert_eq!((first.body["state"].as_str(), first.body["engine"].as_str()), (Some("degraded"), Some("tract")));
        assert!(first.body["reason"].as_str().is_some_and(|r| r.contains("out of GPU memory")), "{:?}", first.body);
        heard.next("detections by the CPU", |m| m.topic.ends_with("detections"));
        stage.server.heal("context-out-of-memory-above");
        heard.next("the GPU has room", |m| is_engine(m) && m.body["state"] == "ok" && m.body["engine"] == "tensorrt");
        daemon.process.signal("TERM");
        assert!(daemon.process.ends_within(std::time::Duration::from_secs(10)).success());
    }
}

#[test]
fn a_worker_without_a_gpu_is_left_out_where_another_has_one() {
    let Some(stage) = Stage::new(10) else { return };
    stage.gpu("compute=87\ndevices=1");
    let broker = Broker::start();
    let mut heard = broker.subscribe("peregrine/gate/#");
    let config = config(&stage, &broker, "devices = [0, 1]\nworkers_per_device = 1");
    let mut daemon = Daemon::start_by(stage.command(), &config.replace("engine = \"tensorrt\"", "engine = \"auto\""));
    let told = daemon.process.line("who is left out", |line| line.contains("without worker 1"));
    assert!(told.contains("there is no GPU 1"), "{told}");
    daemon.running();
    let detected = |m: &crate::support::Message| m.topic.ends_with("detections");
    heard.first("detections", detected);
    assert_eq!(daemon.metric("peregrine_engine_workers{stage=\"detect\",model=\"tiny_detector\"}"), Some(1.0));
    daemon.process.signal("TERM");
    assert!(daemon.process.ends_within(std::time::Duration::from_secs(10)).success());
}
