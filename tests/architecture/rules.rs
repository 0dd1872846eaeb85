//! The rules of docs/architecture.md as functions from sources to complaints. Each names file and line and says what would be right.
//! How source is taken apart belongs to `scan.rs`.

use super::scan::{Named, Source, parts, paths, roots, without_tests};

/// What every stage may use.
const GROUND: &[&str] = &["types", "config", "telemetry", "runtime", "pixels"];
/// A stage never names another one.
const STAGES: &[&str] = &[
    "ingest", "schedule", "attend", "detect", "track", "classify", "rules", "alerts", "store", "pictures", "publish",
    "monitor", "api",
];
/// The only modules that see several stages.
const WIRING: &[&str] = &["pipeline", "app"];
/// Commands that ask several stages what the device offers, and start none of them.
const ASKS_ALL: &str = "src/cli/probe.rs";

/// Which modules of the crate the module `name` may import beside itself; None for a module that the rules do not know.
fn may_import(name: &str) -> Option<Vec<&'static str>> {
    let allowed: Vec<&str> = match name {
        "types" => vec![],
        "config" | "runtime" | "pixels" => vec!["types"],
        "telemetry" => vec!["types", "runtime", "config"],
        "ring" => vec!["types", "telemetry", "runtime"],
        "infer" => GROUND.to_vec(),
        // Drawing for people knows nobody; only `replay` calls it.
        "annotate" => vec!["types", "pixels"],
        "plot" => vec![],
        "detect" | "classify" => [GROUND, &["infer"]].concat(),
        _ if STAGES.contains(&name) => GROUND.to_vec(),
        "pipeline" | "app" => [GROUND, &["infer", "ring"], STAGES, WIRING].concat(),
        "cli" => [GROUND, &["infer", "annotate", "plot"], STAGES, WIRING].concat(),
        "main.rs" => vec!["cli"],
        "lib.rs" => vec![],
        _ => return None,
    };
    Some(allowed)
}

/// The module of the crate's root that a file belongs to.
fn root_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let first = inside.split('/').next()?;
    Some(if matches!(first, "main.rs" | "lib.rs") { first } else { first.trim_end_matches(".rs") })
}

/// Rules 1 to 3: who may import whom.
pub(super) fn imports(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let Some(root) = root_of(&source.path) else { continue };
        let Some(allowed) = may_import(root) else {
            complaints
                .push(format!("{}: module `{root}` has no place in the rules; give it one in rules.rs", source.path));
            continue;
        };
        let code = parts(&source.text).code;
        let named = roots(source, &code);
        let product = if is_test_file(&source.path) { Vec::new() } else { roots(source, &without_tests(&code)) };
        for name in &named {
            // Tests need a clock and a pause, whatever they test.
            let for_a_test = name.text == "runtime" && !product.contains(name);
            let known = name.text == root || allowed.contains(&name.text.as_str()) || for_a_test;
            if !known && !name.text.starts_with(char::is_uppercase) {
                complaints.push(format!(
                    "{}:{}: `{root}` must not know `{}`; it may import {allowed:?}",
                    source.path, name.line, name.text
                ));
            }
        }
        let mut stages: Vec<&str> = named.iter().map(|n| n.text.as_str()).filter(|n| STAGES.contains(n)).collect();
        stages.sort_unstable();
        stages.dedup();
        if root == "cli" && stages.len() > 1 && source.path != ASKS_ALL {
            complaints
                .push(format!("{}: a command names one stage or the pipeline, this one names {stages:?}", source.path));
        }
    }
    complaints
}

/// A thing outside the crate, how its use is told, and the files that are its home (each a path's beginning).
struct Home {
    thing: &'static str,
    used: fn(&Named) -> bool,
    homes: &'static [&'static str],
}

const HOMES: &[Home] = &[
    Home {
        thing: "gstreamer",
        used: |p| p.segments[0].starts_with("gstreamer"),
        homes: &["src/ingest/gst", "src/annotate/gst_video.rs"],
    },
    Home { thing: "rumqttc", used: |p| p.segments[0] == "rumqttc", homes: &["src/publish/mqtt"] },
    Home { thing: "rustls", used: |p| p.segments[0] == "rustls", homes: &["src/publish/"] },
    Home { thing: "tract", used: |p| p.segments[0].starts_with("tract_"), homes: &["src/infer/tract"] },
    Home {
        thing: "a library loaded at run time",
        used: |p| p.segments[0] == "libloading",
        homes: &["src/infer/tensorrt/", "src/ingest/gst/nvmm/library.rs"],
    },
    Home { thing: "tokio", used: |p| p.segments[0] == "tokio", homes: &["src/publish/", "src/api/"] },
    Home { thing: "axum", used: |p| p.segments[0] == "axum", homes: &["src/api/"] },
    Home { thing: "the service manager", used: |p| p.segments[0] == "sd_notify", homes: &["src/runtime/notify.rs"] },
    Home { thing: "signals", used: |p| p.segments[0] == "signal_hook", homes: &["src/runtime/signals.rs"] },
    Home { thing: "the journal", used: |p| p.segments[0] == "systemd_journal_logger", homes: &["src/telemetry/"] },
    Home {
        thing: "the environment",
        used: |p| p.contains(&["std", "env"]) && !p.contains(&["env", "consts"]),
        homes: &["src/runtime/environment.rs", "src/cli/"],
    },
    Home { thing: "the clocks", used: reads_a_clock, homes: &["src/runtime/"] },
    Home { thing: "threads", used: starts_a_thread, homes: &["src/runtime/"] },
    Home {
        thing: "JSON",
        used: |p| p.segments[0] == "serde_json",
        homes: &[
            "src/publish/asyncapi",
            "src/publish/homeassistant/",
            "src/publish/onvif",
            "src/publish/payload",
            "src/publish/commands",
            "src/publish/schema",
            "src/store/",
            "src/api/",
            "src/cli/",
            "src/config/",
            "src/infer/calibration.rs",
            "src/monitor/found.rs",
        ],
    },
];

fn reads_a_clock(path: &Named) -> bool {
    ["Instant", "SystemTime", "Timestamp", "Zoned"].iter().any(|clock| path.contains(&[clock, "now"]))
}

fn starts_a_thread(path: &Named) -> bool {
    ["spawn", "sleep", "Builder", "scope"].iter().any(|call| path.contains(&["thread", call]))
}

/// Rule 4: one home for each outside thing. Tests may reach for the real thing.
pub(super) fn homes(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|s| !is_test_file(&s.path)) {
        let taken = parts(&source.text);
        for path in paths(&without_tests(&taken.code)) {
            for home in HOMES.iter().filter(|h| (h.used)(&path)) {
                if !home.homes.iter().any(|h| source.path.starts_with(h)) {
                    complaints.push(format!(
                        "{}:{}: {} belongs to {:?} alone",
                        source.path, path.line, home.thing, home.homes
                    ));
                }
            }
        }
        // A test's own folder of sensors is a temporary one, so a literal is wrong there too.
        for text in taken.strings.iter().filter(|t| t.text == "/sys" || t.text.starts_with("/sys/")) {
            if source.path != "src/monitor/sysfs.rs" {
                complaints.push(format!("{}:{}: /sys belongs to src/monitor/sysfs.rs alone", source.path, text.line));
            }
        }
    }
    complaints
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/") || path.starts_with("tests/")
}

/// Files whose functions depend on their arguments only (each a path's beginning).
const PURE: &[&str] = &[
    "src/pixels/",
    "src/plot/",
    "src/monitor/governor",
    "src/track/",
    "src/detect/yolo",
    "src/detect/nms",
    "src/classify/vote",
    "src/alerts/by_",
    "src/alerts/condition",
    "src/alerts/mod",
    "src/alerts/state",
    "src/schedule/",
    "src/attend/",
    "src/rules/",
    "src/store/crc",
    "src/store/index",
    "src/store/record",
    "src/ingest/backoff",
    "src/ingest/decoders",
    "src/ingest/launch",
    "src/config/redact",
    "src/ingest/watchdog",
    "src/publish/commands",
    "src/pictures/album",
    "src/pictures/blinds",
    "src/pictures/shelf",
    "src/pictures/still",
    "src/pictures/wishes",
    "src/pictures/worth",
    "src/monitor/pmic",
    "src/publish/alerts",
    "src/publish/blame",
    "src/publish/window",
    "src/publish/asyncapi",
    "src/publish/homeassistant/",
    "src/publish/onvif",
    "src/publish/outbox",
    "src/publish/states",
    "src/publish/flight",
    "src/publish/pace",
    "src/publish/payload",
    "src/publish/retry",
    "src/publish/topics",
    "src/publish/watch",
    "src/telemetry/fold",
    "src/config/address",
    "src/config/diff",
    "src/config/resolve",
    "src/runtime/silence",
    "src/pipeline/patience",
];

/// Entries of [`PURE`] that protect nothing, since no file is there.
pub(super) fn empty_purity(sources: &[Source]) -> Vec<String> {
    let is_empty = |p: &&&str| !sources.iter().any(|s| s.path.starts_with(**p));
    PURE.iter().filter(is_empty).map(|p| format!("{p}: no such file; PURE in rules.rs names it")).collect()
}

/// Rule 5: a pure module reads no clock, does no I/O and writes no log.
pub(super) fn purity(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|s| !is_test_file(&s.path) && PURE.iter().any(|p| s.path.starts_with(p))) {
        let code = without_tests(&parts(&source.text).code);
        for path in paths(&code) {
            let outside = ["fs", "process", "thread", "env"].iter().any(|m| path.starts_with(&["std", m]));
            // Addresses and log levels are data; sockets and log lines are not.
            let connects =
                ["TcpStream", "TcpListener", "UdpSocket", "ToSocketAddrs"].iter().any(|s| path.contains(&[s]));
            let writes =
                ["error", "warn", "info", "debug", "trace", "log"].iter().any(|m| path.starts_with(&["log", m]));
            if outside || connects || writes || reads_a_clock(&path) {
                let named = path.segments.join("::");
                complaints.push(format!("{}:{}: a pure module does not use {named}", source.path, path.line));
            }
        }
        for name in roots(source, &code).iter().filter(|n| matches!(n.text.as_str(), "runtime" | "telemetry")) {
            complaints.push(format!(
                "{}:{}: a pure module takes `{}`'s values as arguments",
                source.path, name.line, name.text
            ));
        }
    }
    complaints
}

/// Where `unsafe` may stand (each a path's beginning).
const UNSAFE: &[&str] =
    &["src/infer/tensorrt/", "src/infer/int8/", "src/pixels/simd", "src/ingest/gst", "src/monitor/vcio.rs"];

/// Rule 6: `unsafe` and `cfg(feature)` stay where they are looked for.
pub(super) fn confined(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let code = parts(&source.text).code;
        for (n, token) in code.iter().enumerate() {
            if token.text == "unsafe" && !UNSAFE.iter().any(|p| source.path.starts_with(p)) {
                complaints.push(format!("{}:{}: unsafe stands in {UNSAFE:?} only", source.path, token.line));
            }
            let before = n.checked_sub(2).map(|n| code[n].text.as_str());
            let conditional = token.text == "feature" && code.get(n + 1).is_some_and(|t| t.text == "=");
            if conditional && before.is_some() && source.path != "src/infer/mod.rs" {
                complaints
                    .push(format!("{}:{}: cfg(feature) stands in src/infer/mod.rs only", source.path, token.line));
            }
        }
    }
    complaints
}

/// How a file looks: its head, its length, nothing left undone, no globs outside tests.
pub(super) fn shape(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let lines = source.text.lines().count();
        let most = if source.path == "src/main.rs" { 40 } else { 500 };
        if lines > most {
            complaints.push(format!("{}: {lines} lines; at most {most}, look for the second idea in it", source.path));
        }
        if !source.text.starts_with("//!") {
            complaints.push(format!("{}: opens without `//!` (what belongs here, what does not)", source.path));
        }
        let taken = parts(&source.text);
        for (n, token) in taken.code.iter().enumerate() {
            let next = taken.code.get(n + 1).map(|t| t.text.as_str());
            let undone = matches!(token.text.as_str(), "todo" | "unimplemented") && next == Some("!");
            let ignored = token.text == "ignore" && n > 0 && taken.code[n - 1].text == "[";
            if undone || ignored {
                complaints.push(format!("{}:{}: `{}` is left undone", source.path, token.line, token.text));
            }
        }
        for note in taken.comments.iter().filter(|c| ["TODO", "FIXME", "XXX"].iter().any(|w| c.text.contains(w))) {
            complaints.push(format!("{}:{}: a comment describes what is there: {}", source.path, note.line, note.text));
        }
        if !is_test_file(&source.path) {
            for glob in
                paths(&without_tests(&taken.code)).iter().filter(|p| p.segments.last().is_some_and(|s| s == "*"))
            {
                complaints.push(format!("{}:{}: no globs: {}", source.path, glob.line, glob.segments.join("::")));
            }
        }
    }
    complaints
}

/// What must not stand in any text of the repository: paths of a developer's machine, and host names of package registries, which a
/// mirror would replace. Written in two halves, so that this file does not break its own rule.
const FOREIGN: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("static.crates", ".io"),
    concat!("index.crates", ".io"),
    concat!("files.pythonhosted", ".org"),
    concat!("pypi", ".org"),
    concat!("deb.debian", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("proxy.golang", ".org"),
];

/// Text anywhere in the repository speaks of the project alone.
pub(super) fn foreign(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        for (n, line) in file.text.lines().enumerate() {
            for word in FOREIGN.iter().filter(|w| stands_alone(line, w)) {
                complaints.push(format!("{}:{}: `{word}` belongs to one machine or registry", file.path, n + 1));
            }
        }
    }
    complaints
}

/// Whether the word begins where no path or name runs into it: "network/" and "$dir/work/" are somebody else's.
fn stands_alone(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '}' | ')')))
}
