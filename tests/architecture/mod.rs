//! The house rules, checked over the sources as text. Every rule is also shown a source that breaks it: a rule that cannot fail is none.

use std::path::Path;

use scan::Source;

mod rules;
mod scan;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Files below `folder` whose names end so, with their paths relative to the repository.
fn files(folder: &str, endings: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    collect(Path::new(ROOT), &Path::new(ROOT).join(folder), endings, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(root: &Path, folder: &Path, endings: &[&str], found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        // What git ignores: build outputs, virtual environments, fetched models.
        let ignored = matches!(name.as_str(), "target" | ".git" | ".venv" | ".cache" | "models-cache");
        if path.is_symlink() || ignored {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, endings, found);
        } else if endings.iter().any(|e| name.ends_with(e))
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            let path = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            found.push(Source { path, text });
        }
    }
}

fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

/// Sources of the crate; the test fails here when they are not found, since no rule could then be broken.
fn crate_sources() -> Vec<Source> {
    let sources = files("src", &[".rs"]);
    assert!(sources.iter().any(|s| s.path == "src/lib.rs"), "no sources under {ROOT}/src");
    sources
}

fn holds(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} broken:\n{}", complaints.len(), complaints.join("\n"));
}

type Rule = fn(&[Source]) -> Vec<String>;

/// Each source breaks the rule, and each complaint names the file.
fn catches(rule: Rule, broken: &[(&str, &str)]) {
    for (path, text) in broken {
        let complaints = rule(&[source(path, text)]);
        assert_eq!(complaints.len(), 1, "{path}: {text:?} gave {complaints:?}");
        assert!(complaints[0].starts_with(path), "{}", complaints[0]);
    }
}

/// None of these sources breaks the rule.
fn accepts(rule: Rule, fine: &[(&str, &str)]) {
    for (path, text) in fine {
        assert_eq!(rule(&[source(path, text)]), Vec::<String>::new(), "{path}: {text:?}");
    }
}

#[test]
fn no_module_imports_what_it_must_not_know() {
    holds(&rules::imports(&crate_sources()));
}

#[test]
fn an_import_that_breaks_the_rules_is_caught() {
    catches(
        rules::imports,
        &[
            ("src/types/frame.rs", "use crate::config::Camera;"),
            ("src/config/mod.rs", "use crate::runtime::Clock;"),
            ("src/track/mod.rs", "use crate::{types::Rect, detect::Nms};"),
            ("src/track/mod.rs", "fn f() { crate::publish::offer(); }"),
            ("src/track/kalman.rs", "use super::super::detect::Nms;"),
            ("src/track/mod.rs", "mod tests { use super::super::detect::Nms; }"),
            ("src/track/mod.rs", "use crate::infer::Engine;"),
            ("src/detect/mod.rs", "use crate::pipeline::Wire;"),
            ("src/main.rs", "fn main() { peregrine::app::run() }"),
            ("src/cli/bench.rs", "use crate::detect::Detector; use crate::track::Tracker;"),
            ("src/gadget/mod.rs", "fn f() {}"),
        ],
    );
}

#[test]
fn an_import_within_the_rules_is_accepted() {
    accepts(
        rules::imports,
        &[
            ("src/track/mod.rs", "use crate::types::{Rect, Track}; use crate::config; pub(crate) fn f() {}"),
            ("src/track/mod.rs", "mod tests { use super::*; use super::super::types::Rect; }"),
            ("src/track/mod.rs", "// crate::detect knows better\nconst A: &str = \"crate::detect::x\";"),
            ("src/track/mod.rs", "fn f<'a>(x: &'a str) -> char { '\"' } // crate::detect::x"),
            ("src/detect/mod.rs", "use crate::infer::Engine; use crate::pixels::Letterbox;"),
            ("src/pipeline.rs", "use crate::{detect, track, publish};"),
            ("src/config/mod.rs", "#[cfg(test)] mod tests {\n use crate::runtime::Clock;\n}"),
            ("src/config/tests.rs", "use crate::runtime::Clock;"),
            ("src/cli/bench.rs", "use crate::infer::Engine; use crate::detect::Detector;"),
        ],
    );
}

#[test]
fn each_outside_thing_has_one_home() {
    holds(&rules::homes(&crate_sources()));
}

#[test]
fn an_outside_thing_away_from_home_is_caught() {
    catches(
        rules::homes,
        &[
            ("src/ingest/launch.rs", "use gstreamer::prelude::ElementExt;"),
            ("src/ingest/mod.rs", "fn f() { gstreamer_app::AppSink::builder(); }"),
            ("src/publish/pace.rs", "use rumqttc::v5::AsyncClient;"),
            ("src/detect/mod.rs", "use tract_onnx::onnx;"),
            ("src/store/mod.rs", "fn f() { tokio::spawn(g()); }"),
            ("src/monitor/sensors.rs", "const ZONES: &str = \"/sys/class/thermal\";"),
            ("src/ingest/mod.rs", "use std::env;"),
            ("src/ingest/mod.rs", "use std::{env::var, fs};"),
            ("src/track/mod.rs", "fn f() { std::time::Instant::now(); }"),
            ("src/track/mod.rs", "fn f() { jiff::Timestamp::now(); }"),
            ("src/publish/mod.rs", "fn f() { std::thread::spawn(g); }"),
            ("src/publish/topics.rs", "fn f() { serde_json::json!({}); }"),
        ],
    );
}

#[test]
fn an_outside_thing_at_home_or_in_a_test_is_accepted() {
    accepts(
        rules::homes,
        &[
            ("src/ingest/gst/session.rs", "use gstreamer::prelude::ElementExt;"),
            ("src/publish/mqtt_v5.rs", "use rumqttc::v5::AsyncClient;"),
            ("src/runtime/clock.rs", "fn f() { Instant::now(); }"),
            ("src/runtime/environment.rs", "fn f() { std::env::var(\"A\"); }"),
            ("src/track/mod.rs", "#[cfg(test)] mod tests { fn f() { std::thread::sleep(d); } }"),
            ("src/ingest/mod.rs", "fn f() { std::env::consts::ARCH; }"),
        ],
    );
}

#[test]
fn pure_modules_take_everything_as_an_argument() {
    holds(&rules::purity(&crate_sources()));
    holds(&rules::empty_purity(&crate_sources()));
}

#[test]
fn a_pure_module_that_reaches_outside_is_caught() {
    catches(
        rules::purity,
        &[
            ("src/track/lifecycle.rs", "fn f() { log::warn!(\"lost\"); }"),
            ("src/track/mod.rs", "use crate::runtime::Clock;"),
            ("src/config/resolve.rs", "use std::fs;"),
            ("src/config/resolve.rs", "fn f() { std::net::TcpStream::connect(a); }"),
            ("src/config/resolve.rs", "fn f() { std::fs::read(p); }"),
            ("src/ingest/backoff.rs", "fn f() { Instant::now(); }"),
            ("src/detect/nms.rs", "use crate::telemetry::Metrics;"),
        ],
    );
    accepts(
        rules::purity,
        &[
            ("src/ingest/mod.rs", "fn f() { log::info!(\"open\"); }"),
            ("src/config/resolve.rs", "use std::net::SocketAddr; fn f() { log::LevelFilter::Info; }"),
        ],
    );
}

#[test]
fn unsafe_and_features_stay_where_they_are_looked_for() {
    holds(&rules::confined(&crate_sources()));
}

#[test]
fn unsafe_or_a_feature_elsewhere_is_caught() {
    catches(
        rules::confined,
        &[
            ("src/track/mod.rs", "fn f() { unsafe { g() } }"),
            ("src/pixels/mod.rs", "unsafe fn f() {}"),
            ("src/cli/mod.rs", "#[cfg(feature = \"tensorrt\")] mod t;"),
        ],
    );
    accepts(
        rules::confined,
        &[
            ("src/pixels/simd_avx2.rs", "fn f() { unsafe { g() } }"),
            ("src/infer/mod.rs", "#[cfg(feature = \"tensorrt\")] mod tensorrt;"),
            ("src/track/mod.rs", "// unsafe is not needed\n#[target_feature(enable = \"avx2\")] fn f() {}"),
        ],
    );
}

#[test]
fn files_have_a_head_a_length_and_nothing_left_undone() {
    let mut sources = crate_sources();
    sources.extend(files("tests", &[".rs"]));
    sources.extend(files("benches", &[".rs"]));
    holds(&rules::shape(&sources));
}

#[test]
fn a_file_out_of_shape_is_caught() {
    let long = format!("//! Long.\n{}", "\n".repeat(500));
    let long_main = format!("//! Long.\n{}", "\n".repeat(40));
    let note = format!("//! Head.\n// {}: later", concat!("TO", "DO"));
    catches(
        rules::shape,
        &[
            ("src/track/mod.rs", "fn f() {}"),
            ("src/track/mod.rs", &long),
            ("src/main.rs", &long_main),
            ("src/track/mod.rs", &note),
            ("src/track/mod.rs", "//! Head.\nfn f() { todo!() }"),
            ("tests/mqtt.rs", "//! Head.\n#[test] #[ignore] fn f() {}"),
            ("src/track/mod.rs", "//! Head.\nuse crate::types::*;"),
        ],
    );
    accepts(rules::shape, &[("src/track/mod.rs", "//! Head.\n#[cfg(test)] mod tests { use super::*; }")]);
}

#[test]
fn text_speaks_of_the_project_alone() {
    let endings =
        [".rs", ".md", ".toml", ".sh", ".py", ".service", ".conf", ".json", ".yml", ".yaml", ".bb", ".txt", "/run"];
    let files = files("", &endings);
    assert!(files.iter().any(|f| f.path == "Cargo.toml"), "nothing read under {ROOT}");
    holds(&rules::foreign(&files));
}

#[test]
fn a_developers_path_or_a_registrys_host_is_caught() {
    let path = format!("see {}main/notes", concat!("/wo", "rk/"));
    let host = format!("pip install -i https://{}/simple x", concat!("pypi", ".org"));
    catches(rules::foreign, &[("README.md", &path), ("scripts/test.sh", &host)]);
    accepts(rules::foreign, &[("README.md", "a network/path and \"$dir/work/x\" and some/work/there")]);
}
