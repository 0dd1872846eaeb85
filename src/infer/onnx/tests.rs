//! What a model file may be, and what is said of those that are not models.

use proptest::prelude::*;

use super::*;

/// One length-delimited protobuf field.
fn bytes_field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut len = content.len();
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend(content);
    out
}

fn number_field(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

fn dim(n: Option<u8>) -> Vec<u8> {
    bytes_field(1, &n.map_or_else(|| bytes_field(2, b"N"), |n| number_field(1, n)))
}

fn port(number: u8, name: &str, element: u8, dims: &[Option<u8>]) -> Vec<u8> {
    let shape: Vec<u8> = dims.iter().flat_map(|d| dim(*d)).collect();
    let tensor = [number_field(1, element), bytes_field(2, &shape)].concat();
    bytes_field(number, &[bytes_field(1, name.as_bytes()), bytes_field(2, &bytes_field(1, &tensor))].concat())
}

fn model(graph: &[u8]) -> Vec<u8> {
    let meta = [bytes_field(1, b"names"), bytes_field(2, b"{0: 'cat'}")].concat();
    [number_field(1, 8), bytes_field(7, graph), bytes_field(8, &number_field(2, 13)), bytes_field(14, &meta)].concat()
}

fn input_of(element: u8, dims: &[Option<u8>]) -> Result<ImageInput, OnnxError> {
    read(&model(&port(11, "images", element, dims)))?.image_input()
}

const GOOD: [Option<u8>; 4] = [None, Some(3), Some(64), Some(96)];

#[test]
fn inputs_outputs_and_metadata_are_read() {
    let graph = [port(11, "images", 1, &GOOD), port(12, "boxes", 1, &[Some(1), Some(84), None])].concat();
    let header = read(&model(&graph)).expect("a model");
    assert_eq!(header.image_input().expect("fits").chw, [3, 64, 96]);
    assert_eq!(header.outputs[0].dims, [Some(1), Some(84), None]);
    assert_eq!(header.metadata["names"], "{0: 'cat'}");
}

#[test]
fn a_weight_that_is_listed_as_an_input_is_none() {
    let weight = bytes_field(5, &bytes_field(8, b"w"));
    let graph = [port(11, "images", 1, &GOOD), port(11, "w", 1, &[Some(8)]), weight].concat();
    assert!(read(&model(&graph)).expect("a model").image_input().is_ok());
}

#[test]
fn weights_in_another_file_are_refused_by_name() {
    let weight = bytes_field(5, &[bytes_field(8, b"conv.w"), number_field(14, 1)].concat());
    let told = read(&model(&[port(11, "images", 1, &GOOD), weight].concat())).expect_err("refused").to_string();
    assert!(told.contains("conv.w") && told.contains("weights inside"), "{told}");
}

#[test]
fn inputs_that_are_no_picture_are_refused_with_what_was_found_and_what_is_needed() {
    for (element, dims, found) in [
        (10, GOOD.to_vec(), "float16 [?, 3, 64, 96]"),
        (1, vec![Some(1), Some(80)], "float32 [1, 80]"),
        (1, vec![Some(1), Some(3), None, None], "[1, 3, ?, ?]"),
        (1, vec![Some(8), Some(3), Some(64), Some(64)], "[8, 3, 64, 64]"),
    ] {
        let told = input_of(element, &dims).expect_err("refused").to_string();
        assert!(told.contains(found) && told.contains("needed is one float32 input"), "{told}");
    }
    let two = [port(11, "images", 1, &GOOD), port(11, "scale", 1, &[Some(1)])].concat();
    let told = read(&model(&two)).expect("a model").image_input().expect_err("refused").to_string();
    assert!(told.contains("2 inputs (images, scale)"), "{told}");
}

#[test]
fn files_that_are_something_else_are_called_by_their_name() {
    for (bytes, what) in [
        (b"".as_slice(), "empty"),
        (b"PK\x03\x04....", "ZIP"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"<!DOCTYPE html><html>", "text"),
        (b"\x1c\x00\x00\x00TFL3", "TensorFlow Lite"),
        (b"\xde\xad\xbe\xef", "de ad be ef"),
    ] {
        let told = read(bytes).expect_err("refused").to_string();
        assert!(told.contains("not an ONNX model") && told.contains(what), "{told}");
    }
}

#[test]
fn a_model_cut_anywhere_before_its_metadata_is_called_truncated() {
    let whole = model(&port(11, "images", 1, &GOOD));
    let metadata = bytes_field(14, &[bytes_field(1, b"names"), bytes_field(2, b"{0: 'cat'}")].concat()).len();
    for len in 2..whole.len() - metadata {
        assert!(matches!(read(&whole[..len]), Err(OnnxError::Damaged(_))), "cut at {len}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(header) = read(&bytes) {
            let _ = header.image_input();
        }
    }

    #[test]
    fn no_damage_to_a_model_makes_the_reader_panic(at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = model(&[port(11, "images", 1, &GOOD), port(12, "boxes", 1, &[Some(1), Some(84), None])].concat());
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(header) = read(&bytes) {
            let _ = header.image_input();
        }
    }
}
