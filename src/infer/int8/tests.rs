//! Whole models: hostile ones are refused, right ones give the same bytes from every kernel and any number of threads.

use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use proptest::{collection, sample};

use super::super::onnx::OnnxError;
use super::super::onnx::graph::graph;
use super::budget::Budget;
use super::{Compiled, Settings, kernel};
use written::{Attr, Model};

mod drawn;
mod written;

fn compiled(file: &[u8], kernel: &str, threads: usize) -> Result<Compiled, String> {
    let graph = graph(file).map_err(|e| e.to_string())?;
    let input = graph.header.image_input().map_err(|e| e.to_string())?;
    let settings = Settings { input_chw: input.chw, threads, slots: 1, kernel: Some(kernel), ranges: &|_| None };
    Compiled::new(&graph, &settings)
}

/// The values of every exit, by name, for a picture of noise.
fn outputs(compiled: &mut Compiled) -> Vec<(String, Vec<f32>)> {
    let (codes, ..) = compiled.image(0);
    codes.iter_mut().enumerate().for_each(|(i, code)| *code = (i.wrapping_mul(2_654_435_761) >> 7) as u8);
    compiled.run(0);
    let values = |exit: &super::Exit| {
        let mut out = vec![0.0; exit.dims.iter().product()];
        compiled.values(exit, &mut out);
        (exit.name.clone(), out)
    };
    compiled.exits().iter().map(values).collect()
}

/// A picture as codes, "x", to begin a model with.
fn picture(chw: [i64; 3]) -> Model {
    let mut model = Model::of_picture(chw);
    model.rounded("images", "x", 1.0 / 255.0, 0);
    model
}

/// A convolution of one output and one tap over `inputs` channels, rounded.
fn conv(model: &mut Model, from: &str, to: &str, inputs: usize, attributes: &[(&str, Attr)]) {
    let [weights, sums] = ["w", "sums"].map(|part| format!("{to}.{part}"));
    model.floats(&weights, &[1, inputs as i64, 1, 1], &vec![0.5; inputs]);
    model.node("Conv", &[from, &weights], &sums, attributes);
    model.rounded(&sums, to, 0.02, 3);
}

/// What is said of a model whose tensor `last` goes into a convolution that makes the output.
fn ending(mut model: Model, last: &str, inputs: usize) -> Result<Compiled, String> {
    conv(&mut model, last, "y", inputs, &[]);
    model.output("y");
    compiled(&model.file(), "scalar", 1)
}

fn refusal(result: Result<Compiled, String>, word: &str) {
    match result {
        Ok(_) => panic!("compiled; expected a refusal that says {word:?}"),
        Err(told) => assert!(told.contains(word), "{told}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_kernel_and_any_number_of_threads_give_the_same_values(dice in collection::vec(any::<u8>(), 50..600)) {
        let file = drawn::model(drawn::Dice::new(&dice, false));
        let mut oracle = compiled(&file, "scalar", 1).map_err(proptest::test_runner::TestCaseError::fail)?;
        prop_assert!(oracle.refused().is_empty(), "{:?}", oracle.refused());
        let expected = outputs(&mut oracle);
        prop_assert!(!expected.is_empty());
        for kernel in kernel::all() {
            for threads in [1, 2, 3] {
                let mut other = compiled(&file, kernel.name(), threads).map_err(proptest::test_runner::TestCaseError::fail)?;
                prop_assert_eq!(&outputs(&mut other), &expected, "{} with {} threads", kernel.name(), threads);
            }
        }
    }

    #[test]
    fn no_damage_to_a_model_makes_it_panic(
        dice in collection::vec(any::<u8>(), 50..400),
        damage in collection::vec((any::<sample::Index>(), any::<u8>()), 1..4),
        is_wild: bool,
    ) {
        let mut file = drawn::model(drawn::Dice::new(&dice, is_wild));
        for (at, byte) in damage {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Ok(mut compiled) = compiled(&file, "scalar", 1) {
            outputs(&mut compiled);
        }
    }
}

#[test]
fn a_tensor_that_is_resized_again_and_again_is_refused_in_time() {
    let mut model = picture([3, 8, 8]);
    model.floats("factors", &[4], &[1.0, 1.0, 64.0, 64.0]);
    let mut from = "x".to_owned();
    for i in 0..12 {
        let to = format!("r{i}");
        let mode =
            [("coordinate_transformation_mode", Attr::Text("asymmetric")), ("nearest_mode", Attr::Text("floor"))];
        model.node("Resize", &[&from, "", "factors"], &to, &mode);
        from = to;
    }
    refusal(ending(model, &from, 3), "too large");
}

#[test]
fn a_sum_of_a_sum_of_a_sum_takes_no_more_time_than_it_has_terms() {
    let mut model = picture([3, 8, 8]);
    model.node("MaxPool", &["x"], "a0", &[("kernel_shape", Attr::Ints(vec![1, 1]))]);
    for i in 0..60 {
        let [from, to] = [i, i + 1].map(|i| format!("a{i}"));
        model.node("Add", &[&from, &from], &to, &[]);
    }
    model.floats("w", &[1, 3, 1, 1], &[0.5; 3]);
    model.node("Conv", &["a60", "w"], "sums", &[]);
    model.rounded("sums", "y", 1e16, 0);
    model.output("y");
    assert_eq!(compiled(&model.file(), "scalar", 1).map(|c| c.refused().len()), Ok(0));
}

#[test]
fn a_chain_of_pools_without_end_is_refused_and_not_followed_to_the_end_of_the_stack() {
    for (length, is_taken) in [(100, true), (20_000, false)] {
        let mut model = picture([3, 8, 8]);
        for i in 0..length {
            let [from, to] = [i, i + 1].map(|i| if i == 0 { "x".to_owned() } else { format!("p{i}") });
            model.node("MaxPool", &[&from], &to, &[("kernel_shape", Attr::Ints(vec![1, 1]))]);
        }
        let result = ending(model, &format!("p{length}"), 3);
        if is_taken { assert!(result.is_ok()) } else { refusal(result, "follow each other") }
    }
}

#[test]
fn a_concatenation_that_doubles_each_time_is_refused() {
    let mut model = picture([3, 1, 1]);
    let mut from = "x".to_owned();
    for i in 0..40 {
        let to = format!("c{i}");
        model.node("Concat", &[&from, &from], &to, &[("axis", Attr::Int(1))]);
        from = to;
    }
    refusal(ending(model, &from, 3), "too large");
}

#[test]
fn a_border_counts_as_memory() {
    // 8192 channels of one pixel are 8 kB; with a border of 64 they are 136 MB.
    let mut model = picture([8192, 1, 1]);
    for i in 0..9 {
        let to = format!("p{i}");
        model.node("MaxPool", &["x"], &format!("{to}.of"), &[("kernel_shape", Attr::Ints(vec![1, 1]))]);
        model.rounded(&format!("{to}.of"), &to, 0.5 + i as f32, 0);
        conv(&mut model, &to, &format!("{to}.conv"), 8192, &[("pads", Attr::Ints(vec![64; 4]))]);
        model.output(&format!("{to}.conv"));
    }
    refusal(compiled(&model.file(), "scalar", 1), "bytes");
}

#[test]
fn filters_count_as_large_as_they_are_packed_and_for_each_layer_that_has_them() {
    let mut model = picture([8192, 1, 1]);
    // Several outputs for each channel: not one filter for each, so that they would be written out with zeros.
    model.floats("w", &[65536, 1, 1, 1], &vec![0.5; 65536]);
    model.node("Conv", &["x", "w"], "sums", &[("group", Attr::Int(8192))]);
    model.rounded("sums", "y", 0.1, 0);
    model.output("y");
    refusal(compiled(&model.file(), "scalar", 1), "weights");
    let mut budget = Budget::default();
    let taken = (0..20).take_while(|_| budget.weigh(8192, 1, 4096).is_ok()).count();
    assert_eq!(taken, 8);
}

#[test]
fn tables_of_channels_are_counted() {
    let mut model = picture([8192, 1, 1]);
    model.floats("factors", &[1, 8192, 1, 1], &(0..8192).map(|i| 1.0 + i as f32 / 8192.0).collect::<Vec<_>>());
    let mut from = "x".to_owned();
    for i in 0..100 {
        let to = format!("m{i}");
        model.node("Mul", &[&from, "factors"], &to, &[]);
        from = to;
    }
    refusal(ending(model, &from, 8192), "tables");
}

#[test]
fn an_average_over_more_pixels_than_32_bits_can_sum_is_refused() {
    let mut model = picture([1, 4096, 4096]);
    model.node("GlobalAveragePool", &["x"], "mean", &[]);
    refusal(ending(model, "mean", 1), "32 bits");
}

#[test]
fn a_picture_that_is_wanted_in_two_steps_is_refused() {
    let mut model = picture([3, 8, 8]);
    model.rounded("images", "z", 0.5, 7);
    conv(&mut model, "x", "a", 3, &[]);
    model.output("a");
    refusal(ending(model, "z", 3), "two steps");
}

#[test]
fn a_filter_with_gaps_reads_pictures_of_three_channels() {
    let mut model = picture([3, 9, 9]);
    model.floats("w", &[1, 3, 1, 2], &[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    model.node("Conv", &["x", "w"], "sums", &[("dilations", Attr::Ints(vec![1, 2]))]);
    model.rounded("sums", "y", 1.0 / 255.0, 0);
    model.output("y");
    let mut found = compiled(&model.file(), "scalar", 1).expect("compiled");
    let (row, pixel) = {
        let (codes, row, pixel, ..) = found.image(0);
        codes.iter_mut().enumerate().for_each(|(i, c)| *c = (i % 251) as u8);
        (row, pixel)
    };
    found.run(0);
    let mut values = vec![0.0; 63];
    found.values(&found.exits()[0], &mut values);
    // The third channel, two pixels to the right.
    let expected = |y: usize, x: usize| ((y * row + (x + 2) * pixel + 2) % 251) as f32 / 255.0;
    for (i, value) in values.iter().enumerate() {
        assert!((value - expected(i / 7, i % 7)).abs() < 1e-6, "{i}: {value}");
    }
}

#[test]
fn a_convolution_that_is_added_to_a_pool_of_itself_does_not_wait_for_itself() {
    let mut model = picture([3, 9, 9]);
    conv(&mut model, "x", "a", 3, &[]);
    let pool = [("kernel_shape", Attr::Ints(vec![3, 3])), ("pads", Attr::Ints(vec![1; 4]))];
    model.node("MaxPool", &["a"], "pooled", &pool);
    model.node("Add", &["a", "pooled"], "sum", &[]);
    model.rounded("sum", "y", 0.04, 3);
    model.output("y");
    assert_eq!(compiled(&model.file(), "scalar", 1).map(|c| c.refused().len()), Ok(0));
}

#[test]
fn a_slice_with_a_list_longer_than_a_tensor_has_sides_is_refused() {
    let mut model = picture([3, 8, 8]);
    for (name, value) in [("starts", 0), ("ends", 8), ("axes", 2)] {
        model.int64s(name, &[value; 900]);
    }
    model.node("Slice", &["x", "starts", "ends", "axes"], "s", &[]);
    refusal(ending(model, "s", 3), "lengths");
}

#[test]
fn numbers_that_are_none_are_refused() {
    for scale in [f32::NAN, f32::INFINITY, 0.0, -0.1, 1e-40] {
        let mut model = Model::of_picture([3, 8, 8]);
        model.rounded("images", "x", scale, 0);
        assert!(ending(model, "x", 3).is_err(), "{scale}");
    }
    for number in [f32::NAN, f32::INFINITY] {
        let mut model = picture([3, 8, 8]);
        conv(&mut model, "x", "a", 3, &[]);
        conv(&mut model, "x", "b", 3, &[]);
        model.floats("factor", &[], &[number]);
        model.node("Mul", &["b", "factor"], "odd", &[]);
        model.node("Add", &["a", "odd"], "sum", &[]);
        model.rounded("sum", "y", 0.1, 0);
        model.output("y");
        // Refused or taken for zeros, but by all kernels alike.
        let said = |kernel: &str| compiled(&model.file(), kernel, 1).map(|mut c| outputs(&mut c));
        kernel::all().iter().for_each(|k| assert_eq!(said(k.name()), said("scalar"), "{number}"));
    }
}

#[test]
fn weights_in_another_file_are_refused_wherever_they_stand() {
    use written::{bytes, number};
    let tensor = [number(1, 4), number(2, 1), bytes(8, b"secret"), number(14, 1)].concat();
    let attribute = [bytes(1, b"value"), bytes(5, &tensor), number(20, 4)].concat();
    let node = [bytes(2, b"w"), bytes(4, b"Constant"), bytes(5, &attribute)].concat();
    let file = [number(1, 8), bytes(7, &bytes(1, &node)), bytes(8, &number(2, 13))].concat();
    let told = graph(&file).expect_err("refused");
    assert_eq!(told, OnnxError::External { tensor: "secret".to_owned() });
}

#[test]
fn a_file_of_nothing_but_empty_operations_is_refused() {
    let graph_of = |field: &[u8], n: usize| {
        let file =
            [written::number(1, 8), written::bytes(7, &field.repeat(n)), written::bytes(8, &written::number(2, 13))]
                .concat();
        graph(&file).map(|g| g.nodes.len())
    };
    let empty = written::bytes(1, &[]);
    assert_eq!(graph_of(&empty, 1000), Ok(1000));
    assert!(matches!(graph_of(&empty, 100_000), Err(OnnxError::Damaged(_))));
    let many_names = written::bytes(1, &written::bytes(1, &[]).repeat(500_000));
    assert!(matches!(graph_of(&many_names, 1), Err(OnnxError::Damaged(_))));
}

#[test]
fn a_bias_is_not_added_to_sums_that_leave_without_it() {
    let mut model = picture([3, 8, 8]);
    model.floats("w", &[1, 3, 1, 1], &[0.5; 3]);
    model.floats("bias", &[1, 1, 1, 1], &[1.0]);
    model.node("Conv", &["x", "w"], "sums", &[]);
    model.node("Identity", &["sums"], "same", &[]);
    model.node("Add", &["same", "bias"], "more", &[]);
    model.rounded("more", "a", 0.02, 0);
    model.rounded("sums", "b", 0.02, 0);
    for name in ["a", "b"] {
        model.output(name);
    }
    refusal(compiled(&model.file(), "scalar", 1), "range of same");
}

/// A convolution from codes to codes as a file for processors has it, or as one for TensorRT: signed codes, weights that its reader rounds.
fn convolved(is_symmetric: bool) -> Vec<u8> {
    let mut model = Model::of_picture([3, 8, 8]);
    let round = |model: &mut Model, from: &str, to: &str, scale: f32| {
        if is_symmetric { model.rounded_signed(from, to, scale) } else { model.rounded(from, to, scale, 128) }
    };
    round(&mut model, "images", "x", 1.0 / 127.0);
    let steps = [0.01, 0.5];
    let codes: Vec<i8> = (0..2 * 3 * 9).map(|i| (i * 37 % 255 - 127) as i8).collect();
    model.floats("step", &[2], &steps);
    model.int8s("none", &[2], &[0, 0]);
    let along = [("axis", Attr::Int(0))];
    if is_symmetric {
        let floats: Vec<f32> = codes.iter().enumerate().map(|(i, &c)| f32::from(c) * steps[i / 27]).collect();
        model.floats("floats", &[2, 3, 3, 3], &floats);
        model.node("QuantizeLinear", &["floats", "step", "none"], "codes", &along);
    } else {
        model.int8s("codes", &[2, 3, 3, 3], &codes);
    }
    model.node("DequantizeLinear", &["codes", "step", "none"], "w", &along);
    model.node("Conv", &["x", "w"], "sums", &[("pads", Attr::Ints(vec![1; 4]))]);
    round(&mut model, "sums", "y", 0.25);
    model.output("y");
    model.file()
}

#[test]
fn signed_codes_and_weights_still_to_be_rounded_give_the_same_bits_as_unsigned_ones() {
    for kernel in kernel::all() {
        let values =
            |is_symmetric| outputs(&mut compiled(&convolved(is_symmetric), kernel.name(), 1).expect("compiled"));
        let (signed, unsigned) = (values(true), values(false));
        assert_eq!(signed, unsigned, "{}", kernel.name());
        let first = signed[0].1[0];
        assert!(signed[0].1.iter().any(|&v| v != first), "all are {first}");
    }
}

#[test]
fn constants_rounded_otherwise_than_they_are_read_are_refused() {
    for (zero, step_of_reader, word) in [(None, "step", "signed bytes"), (Some("none"), "other", "another step")] {
        let mut model = picture([3, 8, 8]);
        model.floats("step", &[], &[0.1]);
        model.floats("other", &[], &[0.2]);
        model.int8s("none", &[], &[0]);
        model.floats("floats", &[1, 3, 1, 1], &[0.5; 3]);
        let inputs: Vec<&str> = ["floats", "step"].into_iter().chain(zero).collect();
        model.node("QuantizeLinear", &inputs, "codes", &[]);
        model.node("DequantizeLinear", &["codes", step_of_reader, "none"], "w", &[]);
        model.node("Conv", &["x", "w"], "sums", &[]);
        model.rounded("sums", "y", 0.1, 0);
        model.output("y");
        refusal(compiled(&model.file(), "scalar", 1), word);
    }
}
