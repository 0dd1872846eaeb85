//! The ranges of small models, worked out by hand, and of real ones against the engine's own answers.

use std::path::PathBuf;

use super::*;
use crate::config::EngineChoice;
use crate::infer::{InputMut, Options, open};

fn tiny() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tiny_classifier.onnx"))
}

fn show(calibrator: &mut Calibrator, value: impl Fn(usize) -> f32) {
    calibrator.input().iter_mut().enumerate().for_each(|(i, v)| *v = value(i));
    calibrator.look().expect("ran");
}

#[test]
fn each_tensor_has_its_extremes_over_all_pictures_and_their_means() {
    let mut calibrator = Calibrator::open(&tiny(), 1).expect("opened");
    assert_eq!(calibrator.input_chw(), [3, 16, 16]);
    for value in [-100.0, 0.0, 400.0] {
        show(&mut calibrator, |i| if i == 0 { value + 1.0 } else { value });
    }
    let (found, left_out) = calibrator.finish();
    assert_eq!((found.images(), left_out), (3, vec![]));
    assert_eq!((found.range("images"), found.mean_range("images")), (Some((-100.0, 401.0)), Some((0.0, 101.0))));
    let near = |tensor: &str, want: (f32, f32)| {
        let (min, max) = found.range(tensor).expect("measured");
        assert!((min - want.0).abs() < 1e-2 && (max - want.1).abs() < 1e-2, "{tensor}: {min} {max}");
    };
    // The mean of the picture, a thousandth of it, and that added to [0.6, 0.4].
    near("type_mean", (-100.0, 400.0));
    near("type_bit", (-0.1, 0.4));
    near("type", (0.0, 1.0));
    near("color_mean4", (-100.0, 400.0));
    assert_eq!(found.range("type_small"), None, "weights are in the file already");
    assert_eq!(found.tensors(), 9);
}

#[test]
fn a_tensor_that_is_not_finite_is_left_out_and_named() {
    let mut calibrator = Calibrator::open(&tiny(), 1).expect("opened");
    for odd in [f32::NAN, 0.0] {
        show(&mut calibrator, |i| if i == 5 { odd } else { 1.0 });
    }
    let (found, left_out) = calibrator.finish();
    assert_eq!(found.tensors(), 0);
    assert!(left_out.len() == 9 && left_out.contains(&"images".to_owned()), "{left_out:?}");
}

#[test]
fn what_is_no_model_is_refused_by_name() {
    for path in ["/nonexistent/a.onnx", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")] {
        let told = Calibrator::open(Path::new(path), 1).err().expect("refused").to_string();
        assert!(told.contains(path), "{told}");
    }
}

#[test]
fn a_real_model_s_outputs_have_the_range_that_the_engine_gives_them() {
    for model in
        ["yolov8n_320.onnx", "yolov8n_320_int8.onnx", "efficientnet_lite0.onnx", "vehicle_attributes_0039.onnx"]
    {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/models")).join(model);
        if !path.is_file() {
            eprintln!("skipped: {} is not there", path.display());
            continue;
        }
        let picture = |i: usize| (i % 251) as f32 / 251.0;
        let mut engine = open(EngineChoice::Tract, &path, &Options::default()).expect("opened");
        let InputMut::F32Nchw(tensor) = engine.input(0) else { unreachable!("tract takes floats") };
        tensor.iter_mut().enumerate().for_each(|(i, v)| *v = picture(i));
        engine.run(1).expect("ran");
        let mut calibrator = Calibrator::open(&path, 2).expect("opened");
        show(&mut calibrator, picture);
        let (found, left_out) = calibrator.finish();
        assert!(left_out.is_empty(), "{left_out:?}");
        println!("{model}: {} tensors", found.tensors());
        assert!(found.tensors() > 20);
        for (i, output) in engine.shape().outputs.iter().enumerate() {
            let values = engine.output(i, 0);
            let most = values.iter().copied().fold(0.0, f32::max);
            let least = values.iter().copied().fold(0.0, f32::min);
            let (min, max) = found.range(&output.name).expect("measured");
            let close = |a: f32, b: f32| (a - b).abs() <= 1e-5 * most.max(-least);
            assert!(close(min, least) && close(max, most), "{model} {}: {min} {max}, not {least} {most}", output.name);
        }
    }
}
