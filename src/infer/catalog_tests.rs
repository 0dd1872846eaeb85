//! What an owner of models relies on when naming one.

use proptest::prelude::*;

use super::*;

fn shared_models() -> Option<PathBuf> {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/models"));
    if !dir.is_dir() {
        eprintln!("skipped: {} is not there", dir.display());
        return None;
    }
    Some(dir)
}

#[test]
fn an_unknown_name_is_refused_with_the_name_that_was_meant() {
    let told = card("yolov8n_32O", Path::new("/nonexistent")).expect_err("refused").to_string();
    assert!(told.contains("yolov8n_320") && told.contains("model list"), "{told}");
}

#[test]
fn a_known_model_without_its_file_says_where_it_should_be_and_how_to_get_it() {
    let told = card("yolov8n_640", Path::new("/nonexistent")).expect_err("refused").to_string();
    assert!(told.contains("/nonexistent/yolov8n_640.onnx") && told.contains("model fetch yolov8n_640"), "{told}");
}

#[test]
fn every_file_is_found_by_its_name_and_by_its_contents_under_any_name() {
    let Some(dir) = shared_models() else { return };
    let by_name = card("yolov8n_320", &dir).expect("found");
    assert_eq!((by_name.kind, by_name.classes.len(), by_name.note.as_deref()), (Kind::Detector, 80, None));
    let elsewhere = tempfile::tempdir().expect("a folder");
    let copy = elsewhere.path().join("renamed.onnx");
    std::fs::copy(dir.join("yolov8n_320.onnx"), &copy).expect("copied");
    let by_contents = card(&copy.to_string_lossy(), Path::new("/nonexistent")).expect("found");
    assert_eq!(by_contents, ModelCard { path: copy, ..by_name });
}

#[test]
fn a_file_that_the_manifest_does_not_know_brings_its_own_class_names() {
    let Some(dir) = shared_models() else { return };
    let elsewhere = tempfile::tempdir().expect("a folder");
    let copy = elsewhere.path().join("mine.onnx");
    let mut bytes = std::fs::read(dir.join("yolov8n_320.onnx")).expect("read");
    // An unknown field at the end (number 100, varint 1) changes the checksum and nothing else.
    bytes.extend([0xa0, 0x06, 0x01]);
    std::fs::write(&copy, bytes).expect("written");
    let card = card(&copy.to_string_lossy(), &dir).expect("a card");
    assert_eq!((card.name.as_str(), card.classes.name(9), card.classes.len()), ("mine", "traffic light", 80));
    assert!(card.note.expect("says so").contains("not in the manifest"));
}

#[test]
fn a_classifier_has_its_heads_with_labels() {
    let Some(dir) = shared_models() else { return };
    let vehicle = card("vehicle_attributes_0039", &dir).expect("found");
    let heads: Vec<_> = vehicle.heads.iter().map(|h| (h.name.as_str(), h.labels.len())).collect();
    assert_eq!(heads, [("color", 7), ("type", 4)]);
    assert_eq!(vehicle.input.normalise.order, ChannelOrder::Bgr);
    assert_eq!(card("efficientnet_lite0", &dir).expect("found").heads[0].labels.len(), 1000);
}

#[test]
fn a_label_file_that_is_nowhere_is_named() {
    let Some(dir) = shared_models() else { return };
    let alone = tempfile::tempdir().expect("a folder");
    std::fs::copy(dir.join("efficientnet_lite0.onnx"), alone.path().join("efficientnet_lite0.onnx")).expect("copied");
    let told = card("efficientnet_lite0", alone.path()).expect_err("refused").to_string();
    assert!(told.contains("ilsvrc2012.txt") && told.contains("efficientnet_lite0"), "{told}");
}

#[test]
fn class_names_are_read_as_python_writes_them() {
    let names = python_names(r#"{0: 'person', 1: "driver's door", 2: 'a\'b, {c}: d'}"#).expect("names");
    assert_eq!(names, ["person", "driver's door", "a'b, {c}: d"]);
    assert_eq!(python_names("{}"), Some(vec![]));
    for odd in ["", "{", "{1: 'a'}", "{0: a}", "{0: 'a", "{0 'a'}", "[0]", "{0: 'a\\"] {
        assert_eq!(python_names(odd), None, "{odd}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_of_class_names_panic(text in "[{}0-9:'\",\\\\a-zé ]{0,40}") {
        let _ = python_names(&text);
        let _ = python_names(&format!("{{{text}}}"));
    }
}
