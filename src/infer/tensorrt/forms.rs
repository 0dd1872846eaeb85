//! Which of a model's files TensorRT is given, and in which numbers it computes. A model may stand in up to three files side by side:
//! `m.onnx` in floats, `m_int8.onnx` with the unsigned scales that a CPU wants, `m_int8.tensorrt.onnx` with the symmetric ones that
//! TensorRT wants.
//!
//! Belongs here: the choice. Does not: reading (the caller says which files there are), building.

use std::path::{Path, PathBuf};

use crate::config::Precision;
use crate::infer::onnx::graph::{Graph, Tensor};

/// What of 8 bits a model's file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scales {
    /// Floats alone.
    None,
    /// Symmetric ones, as TensorRT takes them.
    Symmetric,
    /// Others; TensorRT refuses the file. Which tensor shows it.
    Unsigned(String),
}

/// What can be computed on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Abilities {
    /// Products of 8-bit numbers.
    pub int8: bool,
    /// Products of 16-bit floats that gain time over 32-bit ones.
    pub fp16: bool,
    /// Whether TensorRT (from 11 on) computes in the numbers that the file has, and in no others: nothing is calibrated, and floats of
    /// 32 bits stay what they are.
    pub obeys_file: bool,
}

impl Abilities {
    /// Of a GPU of this compute capability, with this major of TensorRT. The Nano (5.3) and the TX2 (6.2) have no 8-bit products.
    pub(super) fn of(compute: (u32, u32), tensorrt_major: u32) -> Self {
        Self {
            int8: compute >= (6, 1) && compute != (6, 2),
            fp16: compute >= (5, 3) && compute != (6, 1),
            obeys_file: tensorrt_major >= 11,
        }
    }
}

/// What is to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    /// The file.
    pub file: PathBuf,
    /// What is computed in which numbers.
    pub numbers: Numbers,
    /// What whoever chose otherwise should hear.
    pub remark: Option<String>,
}

/// In which numbers an engine computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// 8 bits by the file's own scales, 16 elsewhere.
    Int8Scaled,
    /// 8 bits by a calibration's scales, 16 elsewhere.
    Int8Calibrated,
    /// 16-bit floats.
    Fp16,
    /// 32-bit floats.
    Fp32,
}

impl Numbers {
    /// A word for file names and people.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Int8Scaled => "int8",
            Self::Int8Calibrated => "int8-calibrated",
            Self::Fp16 => "fp16",
            Self::Fp32 => "fp32",
        }
    }
}

/// What of 8 bits a graph says.
pub(super) fn scales(graph: &Graph<'_>) -> Scales {
    let mut found = Scales::None;
    for node in graph.nodes.iter().filter(|n| n.op == "QuantizeLinear" || n.op == "DequantizeLinear") {
        let zero = node.input(2).and_then(|name| graph.constants.get(name));
        // Without a zero point, codes are unsigned by ONNX's default where they are made; where they are read, they are what they are.
        let is_symmetric = match zero {
            Some(zero) => is_zero(zero),
            None => node.op == "DequantizeLinear",
        };
        if !is_symmetric {
            return Scales::Unsigned(node.output().to_owned());
        }
        found = Scales::Symmetric;
    }
    found
}

fn is_zero(zero: &Tensor<'_>) -> bool {
    !zero.is_uint8() && zero.ints().is_some_and(|values| values.iter().all(|v| *v == 0))
}

/// The file with symmetric scales that belongs to a model: of floats the one that a conversion writes.
fn symmetric_sibling(model: &Path, scales: &Scales) -> PathBuf {
    let stem = model.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    let int8 = if *scales == Scales::None { "_int8" } else { "" };
    model.with_file_name(format!("{stem}{int8}.tensorrt.onnx"))
}

/// The file in floats that belongs to a model with scales, if its name tells.
pub(super) fn float_sibling(model: &Path) -> Option<PathBuf> {
    let name = model.file_name()?.to_str()?;
    let stem = name.strip_suffix(".tensorrt.onnx").or_else(|| name.strip_suffix(".onnx"))?;
    Some(model.with_file_name(format!("{}.onnx", stem.strip_suffix("_int8")?)))
}

/// What the owner wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    /// In which numbers.
    pub numbers: Precision,
    /// Whether a deep learning accelerator is to compute. Before TensorRT 11 it takes no scales from a file.
    pub on_dla: bool,
}

/// Chooses. `is_file` says what is there.
pub(super) fn choose(
    model: &Path,
    scales: &Scales,
    wish: Wish,
    can: Abilities,
    is_file: &dyn Fn(&Path) -> bool,
) -> Result<Form, String> {
    let (asked, no_scales) = (wish.numbers, wish.on_dla && !can.obeys_file);
    if wish.on_dla && asked == Precision::Fp32 {
        return Err(
            "tensorrt.dla_core: an accelerator computes in 8 or 16 bits, not in 32 (tensorrt.precision)".to_owned()
        );
    }
    let beside = Some(symmetric_sibling(model, scales)).filter(|f| *scales != Scales::Symmetric && is_file(f));
    let symmetric = if *scales == Scales::Symmetric { Some(model.to_owned()) } else { beside.clone() };
    let float = match scales {
        Scales::None => Some(model.to_owned()),
        Scales::Symmetric | Scales::Unsigned(_) => float_sibling(model).filter(|f| is_file(f)),
    };
    let name = model.display();
    let has_fp16 = can.fp16 && !can.obeys_file;
    let numbers = if has_fp16 && asked != Precision::Fp32 { Numbers::Fp16 } else { Numbers::Fp32 };
    let word = if numbers == Numbers::Fp16 { "in 16-bit floats" } else { "in 32-bit floats" };
    let in_floats = |why: Option<String>| {
        let file = float.clone().ok_or_else(|| needs_floats(model))?;
        Ok(Form { file, numbers, remark: why.map(|why| format!("{name}: {word}: {why}")) })
    };
    let wants_scales = asked == Precision::Int8 || (asked == Precision::Auto && *scales != Scales::None);
    match symmetric {
        _ if wants_scales && !can.int8 => in_floats(Some("this GPU has no 8-bit products".to_owned())),
        Some(file) if wants_scales && !no_scales => Ok(Form { file, numbers: Numbers::Int8Scaled, remark: None }),
        _ if asked == Precision::Int8 => match float {
            Some(file) if !can.obeys_file => Ok(Form { file, numbers: Numbers::Int8Calibrated, remark: None }),
            _ => Err(format!(
                "8 bits need symmetric scales in the file, which {name} has not: {}",
                converts(model, scales)
            )),
        },
        _ if wants_scales && no_scales => in_floats(Some("the accelerator takes no scales from a file".to_owned())),
        _ if wants_scales && float.is_none() => Err(unsigned(model, scales)),
        _ if wants_scales => {
            in_floats(Some(format!("no 8-bit form for TensorRT is beside it; {}", converts(model, scales))))
        }
        _ if asked != Precision::Fp32 && can.fp16 && !has_fp16 => {
            in_floats(Some("this TensorRT computes in the file's own numbers".to_owned()))
        }
        _ if asked == Precision::Fp16 && !has_fp16 => in_floats(Some("this GPU gains nothing by less".to_owned())),
        // Who names a model in floats gets floats, and hears of what he may have meant.
        _ if asked == Precision::Auto
            && let Some(file) = beside =>
        {
            in_floats(Some(format!(
                "{} is there for 8 bits: name it, or set the precision to fp16 or int8",
                file.display()
            )))
        }
        _ => in_floats(None),
    }
}

fn converts(model: &Path, scales: &Scales) -> String {
    format!("scripts/convert_models.py writes {}", symmetric_sibling(model, scales).display())
}

fn needs_floats(model: &Path) -> String {
    let beside = float_sibling(model).map(|f| format!(" beside it as {}", f.display())).unwrap_or_default();
    format!("{} has scales for 8 bits; to compute in floats the model itself is needed{beside}", model.display())
}

fn unsigned(model: &Path, scales: &Scales) -> String {
    let shown = if let Scales::Unsigned(tensor) = scales { tensor.as_str() } else { "" };
    let (name, converts) = (model.display(), converts(model, scales));
    format!("{name} has unsigned scales (\"{shown}\"), which TensorRT does not take: {converts}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIN: Abilities = Abilities { int8: true, fp16: true, obeys_file: false };

    fn form(model: &str, scales: &Scales, asked: Precision, can: Abilities, files: &[&str]) -> Result<Form, String> {
        let wish = Wish { numbers: asked, on_dla: false };
        choose(Path::new(model), scales, wish, can, &|f| files.iter().any(|name| Path::new(name) == f))
    }

    fn chosen(form: Result<Form, String>) -> (String, Numbers, bool) {
        let form = form.expect("chosen");
        (form.file.display().to_string(), form.numbers, form.remark.is_some())
    }

    #[test]
    fn a_model_for_the_cpu_is_taken_from_its_sibling() {
        let unsigned = Scales::Unsigned("x".to_owned());
        let both = ["/m/y_int8.tensorrt.onnx", "/m/y.onnx"];
        let of = |asked, files: &[&str]| form("/m/y_int8.onnx", &unsigned, asked, ORIN, files);
        let int8 = ("/m/y_int8.tensorrt.onnx".to_owned(), Numbers::Int8Scaled, false);
        assert_eq!(chosen(of(Precision::Auto, &both)), int8);
        assert_eq!(chosen(of(Precision::Int8, &both)), int8);
        assert_eq!(chosen(of(Precision::Fp16, &both)), ("/m/y.onnx".to_owned(), Numbers::Fp16, false));
        assert_eq!(chosen(of(Precision::Fp32, &both)), ("/m/y.onnx".to_owned(), Numbers::Fp32, false));
        let plain = of(Precision::Auto, &both[1..]).expect("chosen");
        assert_eq!((plain.file.as_path(), plain.numbers), (Path::new("/m/y.onnx"), Numbers::Fp16));
        assert!(plain.remark.is_some_and(|r| r.contains("convert_models.py writes /m/y_int8.tensorrt.onnx")));
        let told = of(Precision::Auto, &[]).expect_err("nothing that TensorRT takes");
        assert!(told.contains("unsigned scales") && told.contains("/m/y_int8.tensorrt.onnx"), "{told}");
        assert!(of(Precision::Fp16, &[]).expect_err("no floats").contains("/m/y.onnx"));
    }

    #[test]
    fn a_gpu_without_8_bits_computes_in_floats_and_says_so() {
        let nano = Abilities::of((5, 3), 8);
        assert!(!nano.int8 && nano.fp16 && !nano.obeys_file);
        let files = ["/m/y.onnx"];
        for asked in [Precision::Auto, Precision::Int8] {
            let form = form("/m/y_int8.tensorrt.onnx", &Scales::Symmetric, asked, nano, &files).expect("chosen");
            assert_eq!((form.file.as_path(), form.numbers), (Path::new("/m/y.onnx"), Numbers::Fp16));
            assert!(form.remark.is_some_and(|r| r.contains("in 16-bit floats: this GPU has no 8-bit products")));
        }
        let told = form("/m/y_int8.tensorrt.onnx", &Scales::Symmetric, Precision::Auto, nano, &[]).expect_err("none");
        assert!(told.contains("/m/y.onnx"), "{told}");
        // Floats were meant; nothing fell back.
        let plain = form("/m/y.onnx", &Scales::None, Precision::Auto, nano, &[]).expect("chosen");
        assert_eq!((plain.numbers, plain.remark), (Numbers::Fp16, None));
    }

    #[test]
    fn floats_are_calibrated_only_when_8_bits_are_asked_for_and_tensorrt_can() {
        let of = |asked, can| form("/m/y.onnx", &Scales::None, asked, can, &[]);
        assert_eq!(chosen(of(Precision::Auto, ORIN)), ("/m/y.onnx".to_owned(), Numbers::Fp16, false));
        assert_eq!(chosen(of(Precision::Int8, ORIN)), ("/m/y.onnx".to_owned(), Numbers::Int8Calibrated, false));
        let told = of(Precision::Int8, Abilities { obeys_file: true, ..ORIN }).expect_err("11 does not calibrate");
        assert!(told.contains("scripts/convert_models.py writes /m/y_int8.tensorrt.onnx"), "{told}");
        let beside = |asked| form("/m/y.onnx", &Scales::None, asked, ORIN, &["/m/y_int8.tensorrt.onnx"]);
        let int8 = ("/m/y_int8.tensorrt.onnx".to_owned(), Numbers::Int8Scaled, false);
        assert_eq!(chosen(beside(Precision::Int8)), int8);
        assert_eq!(chosen(beside(Precision::Auto)).1, Numbers::Fp16, "who names floats gets floats");
        let remark = beside(Precision::Auto).expect("chosen").remark;
        assert!(remark.is_some_and(|r| r.contains("/m/y_int8.tensorrt.onnx is there for 8 bits")), "and hears of it");
        assert_eq!(beside(Precision::Fp16).expect("chosen").remark, None);
    }

    #[test]
    fn where_the_file_decides_floats_stay_what_they_are_and_the_owner_hears_of_it() {
        let can = Abilities::of((8, 7), 11);
        for asked in [Precision::Auto, Precision::Fp16] {
            let form = form("/m/y.onnx", &Scales::None, asked, can, &[]).expect("chosen");
            assert_eq!(form.numbers, Numbers::Fp32);
            assert!(form.remark.is_some_and(|r| r.contains("the file's own numbers")), "{asked:?}");
        }
        let plain = form("/m/y.onnx", &Scales::None, Precision::Fp32, can, &[]).expect("chosen");
        assert_eq!((plain.numbers, plain.remark), (Numbers::Fp32, None), "asked for");
    }

    #[test]
    fn an_accelerator_takes_floats_and_calibrations_and_no_scales_of_a_file() {
        let of = |numbers, can| {
            let wish = Wish { numbers, on_dla: true };
            choose(Path::new("/m/y_int8.tensorrt.onnx"), &Scales::Symmetric, wish, can, &|f| {
                f == Path::new("/m/y.onnx")
            })
        };
        let auto = of(Precision::Auto, ORIN).expect("chosen");
        assert_eq!((auto.file.as_path(), auto.numbers), (Path::new("/m/y.onnx"), Numbers::Fp16));
        assert!(auto.remark.is_some_and(|r| r.contains("takes no scales")));
        assert_eq!(of(Precision::Int8, ORIN).expect("chosen").numbers, Numbers::Int8Calibrated);
        assert!(of(Precision::Fp32, ORIN).expect_err("not in 32 bits").contains("8 or 16 bits"));
        assert_eq!(of(Precision::Auto, Abilities::of((8, 7), 11)).expect("chosen").numbers, Numbers::Int8Scaled);
    }

    #[test]
    fn the_generations_of_gpus_can_what_they_can() {
        let can = |compute| (Abilities::of(compute, 10).int8, Abilities::of(compute, 10).fp16);
        assert_eq!([(5, 3), (6, 2)].map(can), [(false, true); 2], "Nano, TX2");
        assert_eq!([(7, 2), (8, 7), (9, 0), (11, 0)].map(can), [(true, true); 4], "Xavier, Orin, Hopper, Thor");
        assert_eq!(can((6, 1)), (true, false), "desktop Pascal");
    }
}
