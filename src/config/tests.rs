//! What an owner relies on: every mistake is told at once and in place, no secret is shown, the reference is current.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::load::parse;
use super::*;

fn around() -> Surroundings {
    Surroundings {
        hostname: Some("gate.example".to_owned()),
        credentials_dir: None,
        processors: 4,
        secrets: Secrets::All,
    }
}

fn no_secret(path: &Path) -> io::Result<String> {
    Err(io::Error::new(io::ErrorKind::NotFound, format!("no file {}", path.display())))
}

fn resolved(text: &str) -> Loaded {
    parse(text, &around(), &no_secret).unwrap_or_else(|e| panic!("{e:?}\n{text}")).0
}

fn refused(text: &str) -> Vec<String> {
    parse(text, &around(), &no_secret).expect_err("a mistake").iter().map(ToString::to_string).collect()
}

/// The stored text is current; PEREGRINE_WRITE=1 makes it so.
fn assert_current(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name);
    if crate::runtime::environment::var("PEREGRINE_WRITE").is_some() {
        std::fs::write(&path, text).expect("written");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "config/{name} is stale; run the tests with PEREGRINE_WRITE=1");
}

#[test]
fn an_empty_file_is_valid_and_says_that_there_is_no_camera() {
    let loaded = resolved("");
    assert_eq!(loaded.config.device.name, "gate");
    assert_eq!(loaded.config.mqtt.client_id, "peregrine-gate");
    assert_eq!(loaded.config.detect.threads, 4);
    assert!(loaded.warnings[0].contains("no camera"), "{:?}", loaded.warnings);
}

#[test]
fn every_mistake_is_told_at_once_with_its_line_and_what_would_be_right() {
    let errors = refused(concat!(
        "[mqtt]\nbroker = \"localhost\"\nkeep_alive_secs = 0\ncert_file = \"/c\"\n",
        "[detect]\nengine = \"tensort\"\nthreads = \"four\"\n",
        "[camera.front]\nsorce = \"rtsp://c/\"\n[camera.\"a b\"]\nsource = \"test:\"\n[camara.x]\n[track]\niou = nan\n",
    ));
    let told = errors.join("\n");
    for part in [
        "line 2: mqtt.broker: \"localhost\" is no broker; write mqtt://",
        "line 3: mqtt.keep_alive_secs: 0 is out of range; write a value from 1 to 3600",
        "line 4: mqtt.cert_file: set, yet the broker is spoken to without TLS",
        "line 6: detect.engine: \"tensort\" is not known; write one of \"auto\"",
        "did you mean \"tensorrt\"?",
        "line 7: detect.threads: a whole number expected, found a text",
        "line 9: camera.front.sorce: unknown key, did you mean \"source\"?",
        "line 8: camera.front.source: missing",
        "line 10: camera.\"a b\": a name has 1 to 64 letters",
        "camara: unknown key, did you mean \"camera\"?",
        "line 14: track.iou: nan is out of range",
    ] {
        assert!(told.contains(part), "{part:?} is not told:\n{told}");
    }
    assert_eq!(errors.len(), 10, "{told}");
}

#[test]
fn a_slip_of_syntax_is_told_with_its_line_and_without_its_text() {
    let errors = refused("[mqtt]\npassword = \"hunter2\n");
    assert!(errors[0].starts_with("line 2: is not TOML here"), "{errors:?}");
    assert!(!errors.join("").contains("hunter2"));
}

#[test]
fn credentials_in_a_url_are_taken_out_and_never_shown() {
    let loaded = resolved("[camera.a]\nsource = \"rtsp://u%20ser:hunter2@h:554/x\"\n");
    let Source::Rtsp { url, login: Some(login), .. } = &loaded.config.cameras["a"].source else { panic!("RTSP") };
    assert_eq!(
        (url.as_str(), login.username.as_str(), login.password.reveal()),
        ("rtsp://h:554/x", "u ser", "hunter2")
    );
    assert!(!format!("{:?}", loaded.config).contains("hunter2"));
    let printed = render(&loaded.config);
    assert!(!printed.contains("hunter2") && printed.contains("[hidden]"), "{printed}");
    let errors =
        refused("[camera.a]\nsource = \"http://u:hunter2@h/x\"\npassword = 3\n[mqtt]\nbroker = \"x://u:hunter2@h\"\n");
    assert!(!errors.join("").contains("hunter2"), "{errors:?}");
}

#[test]
fn secrets_come_from_files_and_credentials_and_a_missing_one_is_named() {
    let around = Surroundings { credentials_dir: Some(PathBuf::from("/run/c")), ..around() };
    let read = |path: &Path| match path.to_str() {
        Some("/run/c/cam") => Ok("from-credential\n".to_owned()),
        Some("/etc/pw") => Ok("from-file\r\n".to_owned()),
        _ => no_secret(path),
    };
    let text = concat!(
        "[mqtt]\nusername = \"u\"\npassword_file = \"/etc/pw\"\n",
        "[camera.a]\nsource = \"rtsp://h/\"\nusername = \"v\"\npassword = \"${credential:cam}\"\n"
    );
    let (loaded, inline) = parse(text, &around, &read).expect("valid");
    assert!(!inline, "no password stands in the file");
    assert_eq!(loaded.config.mqtt.login.expect("login").password.reveal(), "from-file");
    let Source::Rtsp { login: Some(login), .. } = &loaded.config.cameras["a"].source else { panic!("a login") };
    assert_eq!(login.password.reveal(), "from-credential");

    let told = refused(concat!(
        "[mqtt]\nusername = \"u\"\npassword = \"${credential:../x}\"\n",
        "[camera.a]\nsource = \"rtsp://h/\"\nusername = \"v\"\npassword = \"${credential:cam}\"\n",
        "[camera.b]\nsource = \"rtsp://h/\"\nusername = \"v\"\npassword = \"x\"\npassword_file = \"/y\"\n",
        "[camera.c]\nsource = \"rtsp://h/\"\nusername = \"v\"\npassword_file = \"/nowhere\"\n",
        "[camera.d]\nsource = \"rtsp://h/\"\npassword = \"x\"\n",
    ))
    .join("\n");
    for part in [
        "mqtt.password: no such credential can be",
        "camera.a.password: the credential \"cam\" is asked for, but the service has none",
        "camera.b.password_file: set beside `password`",
        "camera.c.password_file: /nowhere cannot be read",
        "camera.d.username: missing; a password needs a user name",
    ] {
        assert!(told.contains(part), "{part:?} is not told:\n{told}");
    }
}

#[test]
fn a_command_that_uses_no_secret_does_not_ask_for_one() {
    let text = "[mqtt]\nusername = \"u\"\npassword = \"${credential:mqtt}\"\n\
                [camera.a]\nsource = \"rtsp://h/\"\nusername = \"v\"\npassword_file = \"/nowhere\"\n";
    let nothing = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
    let wrong = |secrets| match parse(text, &Surroundings { secrets, ..around() }, &nothing) {
        Ok((loaded, _)) => {
            loaded.warnings.into_iter().map(|w| w.split(':').next().unwrap_or_default().to_owned()).collect()
        }
        Err(errors) => errors.into_iter().map(|e| e.key).collect::<Vec<_>>(),
    };
    assert_eq!(wrong(Secrets::All), ["mqtt.password", "camera.a.password_file"]);
    assert_eq!(wrong(Secrets::InFiles), ["camera.a.password_file"]);
    assert_eq!(wrong(Secrets::None), [""; 0]);
    let (loaded, _) =
        parse(&text.replace("password_file", "#"), &Surroundings { secrets: Secrets::InFiles, ..around() }, &nothing)
            .expect("valid");
    assert!(loaded.warnings.iter().any(|w| w.contains("\"mqtt\" was not looked at")), "{:?}", loaded.warnings);
}

#[test]
fn a_camera_says_how_often_it_is_looked_at_and_how_much_of_the_engine_it_may_claim() {
    let loaded = resolved(concat!(
        "[schedule]\nwindow_ms = 0\nmax_batch = 4\ntarget_p95_ms = 80\n",
        "[camera.gate]\nsource = \"test:\"\nfps = 10\ndetect_fps = 2.5\npriority = \"high\"\nmax_age_ms = 300\n",
        "[camera.yard]\nsource = \"test:\"\nfps = 5\ndetect_fps = 6\n",
    ));
    let (schedule, gate) = (&loaded.config.schedule, &loaded.config.cameras["gate"]);
    assert_eq!((schedule.window, schedule.max_batch), (Duration::ZERO, 4));
    assert_eq!(schedule.target_p95, Duration::from_millis(80));
    assert_eq!((gate.detect_fps, gate.priority), (Some(2.5), Priority::High));
    assert_eq!(gate.max_age, Some(Duration::from_millis(300)));
    let yard = &loaded.config.cameras["yard"];
    assert_eq!((yard.priority, yard.max_age), (Priority::Medium, None));
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert!(loaded.warnings[0].starts_with("camera.yard.detect_fps: has no effect"), "{:?}", loaded.warnings);
    let told = refused(concat!(
        "[schedule]\nwindow_ms = 11\nmax_batch = 0\n",
        "[camera.a]\nsource = \"test:\"\npriority = \"hig\"\ndetect_fps = 0\nmax_age_ms = 5\n",
    ))
    .join("\n");
    for part in [
        "schedule.window_ms: 11 is out of range; write a value from 0 to 10",
        "schedule.max_batch: 0 is out of range",
        "camera.a.priority: \"hig\" is not known",
        "did you mean \"high\"?",
        "camera.a.detect_fps: 0 is out of range",
        "camera.a.max_age_ms: 5 is out of range",
    ] {
        assert!(told.contains(part), "{part:?} is not told:\n{told}");
    }
}

#[test]
fn zones_and_lines_that_cannot_be_drawn_are_refused_with_what_would_be_right() {
    let told = refused(concat!(
        "[camera.a]\nsource = \"test:\"\n",
        "[camera.a.zone.none]\n",
        "[camera.a.zone.two]\npoints = [[0.1, 0.1], [0.2, 0.2]]\n",
        "[camera.a.zone.pixels]\npoints = [[10, 20], [300, 20], [300, 200]]\n",
        "[camera.a.zone.odd]\npoints = [[0.1, 0.2, 0.3], [0.5, 0.2], [0.5, 0.9]]\n",
        "[camera.a.zone.bow]\npoints = [[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.8]]\n",
        "[camera.a.zone.even]\npoints = [[0.1, 0.1], [0.5, 0.5], [0.5, 0.1], [0.1, 0.5]]\n",
        "[camera.a.zone.text]\npoints = \"0.1,0.1\"\n",
        "[camera.a.zone.nan]\npoints = [[nan, 0.1], [0.5, 0.5], [0.5, 0.1]]\n",
        "[camera.a.zone.thin]\npoints = [[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]\n",
        "[camera.a.zone.crowd]\npoints = [[0.1, 0.2], [0.5, 0.2], [0.5, 0.9]]\ncrowd_count = 3\nanchor = \"middle\"\n",
        "[camera.a.line.still]\npoints = [[0.1, 0.1], [0.1, 0.1]]\n",
        "[camera.a.line.back]\npoints = [[0.1, 0.1], [0.9, 0.1], [0.5, 0.1]]\n",
        "[camera.a.line.same]\npoints = [[0.1, 0.1], [0.9, 0.1]]\ndirections = [\"in\", \"in\"]\nclasses = [\"\"]\n",
        "[camera.a.line.three]\npoints = [[0.1, 0.1], [0.9, 0.1]]\ndirections = [\"a\", \"b\", \"c\"]\n",
    ))
    .join("\n");
    for part in [
        "camera.a.zone.none.points: missing; write points as fractions of the picture",
        "camera.a.zone.two.points: 2 points; at least 3 are needed",
        "camera.a.zone.pixels.points: point 1 is [10, 20]; points are fractions of the picture, from 0 to 1, not pixels",
        "camera.a.zone.odd.points: point 1 has 3 numbers; write two, [x, y]",
        "camera.a.zone.bow.points: sides 1 and 3 cross or touch",
        "camera.a.zone.even.points: sides 1 and 3 cross or touch",
        "camera.a.zone.text.points: a list expected ([[…, …], …]), found a text",
        "camera.a.zone.nan.points[0][0]: nan is no number to reckon with",
        "camera.a.zone.thin.points: all points lie on one line",
        "camera.a.zone.crowd.crowd_secs: missing; crowd_count is set",
        "camera.a.zone.crowd.anchor: \"middle\" is not known; write one of \"bottom_center\"",
        "camera.a.line.still.points: point 2 is the same as the one before it",
        "camera.a.line.back.points: sides 1 and 2 cross or touch",
        "camera.a.line.same.directions: both are \"in\"",
        "camera.a.line.same.classes: \"\" is empty or named twice",
        "camera.a.line.three.directions: 3 names; a line has two directions",
    ] {
        assert!(told.contains(part), "{part:?} is not told:\n{told}");
    }
}

#[test]
fn zones_and_lines_are_taken_as_written() {
    let text = concat!(
        "[camera.a]\nsource = \"test:\"\nappearances = true\nstopped_secs = 2.5\n",
        "[camera.a.zone.door]\npoints = [[0.1, 0.2], [0.5, 0.2], [0.5, 1], [0.1, 0.2]]\ndwell_secs = 30\n",
        "[camera.a.line.gate]\npoints = [[0, 0.5], [1, 0.5]]\ncount_secs = 60\n",
    );
    let config = resolved(text).config;
    let camera = &config.cameras["a"];
    assert!(camera.appearances && camera.stopped == Some(Duration::from_millis(2500)));
    let door = &camera.zones["door"];
    assert_eq!(door.points, [(0.1, 0.2), (0.5, 0.2), (0.5, 1.0)], "the first corner stands once");
    assert_eq!((door.dwell, door.settle), (Some(Duration::from_secs(30)), Duration::from_millis(500)));
    let gate = &camera.lines["gate"];
    assert_eq!(gate.directions, ["in", "out"]);
    assert_eq!(gate.count_every, Some(Duration::from_secs(60)));
    assert_eq!(resolved(&render(&config)).config, config, "what is printed means the same");
}

#[test]
fn two_cameras_cannot_share_a_device_unless_one_is_off() {
    let text = "[camera.a]\nsource = \"v4l2:/dev/video0\"\n[camera.b]\nsource = \"v4l2:/dev/video0\"\n";
    assert!(refused(text)[0].contains("camera.b.source: /dev/video0 is camera \"a\"'s already"));
    resolved(&format!("{text}enabled = false\n"));
}

#[test]
fn a_profile_stands_under_the_owners_values_and_an_unknown_one_is_refused() {
    for (name, _) in profile::PROFILES {
        resolved(&format!("profile = \"{name}\"\n"));
    }
    let pi = resolved("profile = \"raspberry-pi-4\"\n[detect]\nthreads = 2\n").config.detect;
    assert_eq!((pi.model.as_str(), pi.threads), ("yolov8n_320_int8", 2));
    assert!(
        refused("profile = \"raspberry-pi-6\"\n")[0].starts_with("line 1: profile: \"raspberry-pi-6\" is not known")
    );
}

#[test]
fn a_reload_tells_which_cameras_change_and_what_needs_a_restart() {
    let old =
        resolved("[camera.a]\nsource = \"test:\"\n[camera.b]\nsource = \"test:\"\n[camera.c]\nsource = \"test:\"\n");
    let new = resolved(concat!(
        "[log]\nlevel = \"debug\"\n[camera.a]\nsource = \"test:\"\n[camera.b]\nsource = \"test:ball\"\n",
        "[camera.c]\nsource = \"test:\"\nenabled = false\n[camera.d]\nsource = \"csi:0\"\n"
    ));
    let changes = diff(&old.config, &new.config);
    assert_eq!(changes.cameras_added, ["d"]);
    assert_eq!(changes.cameras_removed, ["c"]);
    assert_eq!(changes.cameras_changed, ["b"]);
    assert_eq!(changes.restart_needed, ["log"]);
    assert!(diff(&old.config, &old.config).is_empty());
}

#[test]
fn the_reference_is_current_and_means_what_an_empty_file_means() {
    assert_current("default.toml", &reference());
    assert_eq!(resolved(&reference()).config, resolved("").config);
    let uncommented: String = reference()
        .lines()
        .filter(|l| !l.starts_with("# ") && !l.starts_with("#:") && !l.starts_with("#profile"))
        .map(|l| l.trim_start_matches('#').to_owned() + "\n")
        .collect();
    let table: toml::Table = uncommented.parse().expect("TOML also with its examples");
    for (section, schema) in schema::root()["properties"].as_object().expect("sections") {
        let named = schema.get("additionalProperties").filter(|s| s.is_object());
        let keys = named.unwrap_or(schema)["properties"].as_object();
        for key in keys.into_iter().flat_map(|k| k.keys()) {
            let section = match section.as_str() {
                "camera" => &table["camera"]["front"],
                "classify" => &table["classify"]["vehicle"],
                "alert" => &table["alert"]["intruder"],
                other => &table[other],
            };
            assert!(section.get(key).is_some(), "{key} is missing in the reference");
        }
    }
}

#[test]
fn the_json_schema_is_current_and_accepts_the_reference() {
    assert_current("config.schema.json", &json_schema());
    let schema: serde_json::Value = serde_json::from_str(&json_schema()).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let as_json = |text: &str| serde_json::to_value(text.parse::<toml::Table>().expect("TOML")).expect("JSON");
    assert!(validator.is_valid(&as_json(&reference())));
    assert!(!validator.is_valid(&as_json("[detect]\nthreads = -1\n")));
    assert!(!validator.is_valid(&as_json("[detect]\nthread = 1\n")));
    assert!(!validator.is_valid(&as_json("[camera.\"a b\"]\n")));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let e = load(Path::new("/nonexistent/peregrine.toml"), &around()).expect_err("no such file");
    assert!(e.to_string().contains("/nonexistent/peregrine.toml: 1 error\n  cannot be read"), "{e}");
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("p.toml");
    std::fs::write(&path, [b'a', 0xff]).expect("written");
    assert!(load(&path, &around()).expect_err("not text").to_string().contains("not UTF-8 text (byte 1)"));
}

#[test]
fn a_password_that_everybody_may_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("p.toml");
    std::fs::write(&path, "[mqtt]\nusername = \"u\"\npassword = \"hunter2\"\n").expect("written");
    for (mode, warned) in [(0o644, true), (0o640, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
        let warnings = load(&path, &around()).expect("valid").warnings;
        assert_eq!(warnings.iter().any(|w| w.contains("everybody may read it")), warned, "{mode:o}: {warnings:?}");
        assert!(!warnings.join("").contains("hunter2"));
    }
}

#[test]
fn files_that_are_deep_or_long_are_refused_and_not_died_of() {
    let deep = format!("a = {}", "[".repeat(200_000));
    let dotted = format!("{}b = 1", "a.".repeat(200_000));
    let long: String = (0..20_000).map(|i| format!("k{i} = 1\n")).collect();
    for text in [deep, dotted, long] {
        assert!(!refused(&text).is_empty());
    }
}

fn word() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_-]{1,12}"
}

fn logins() -> impl Strategy<Value = Option<Login>> {
    proptest::option::of(("[^\\$\\x00-\\x1f]{1,8}", "[^\\$\\x00-\\x1f]{0,12}"))
        .prop_map(|l| l.map(|(username, password)| Login { username, password: Secret::new(password) }))
}

fn sources() -> impl Strategy<Value = Source> {
    prop_oneof![
        (word(), 1u16.., any::<bool>(), logins(), 0u64..60_000).prop_map(|(path, port, tcp, login, ms)| Source::Rtsp {
            url: format!("rtsp://cam.example:{}/{path}", if port == 554 { 555 } else { port }),
            transport: if tcp { Transport::Tcp } else { Transport::Udp },
            login,
            latency: Duration::from_millis(ms),
        }),
        ("[a-z /\"'\\\\]{1,12}", any::<bool>())
            .prop_map(|(p, repeat)| Source::File { path: PathBuf::from(format!("/srv/{p}.mp4")), repeat }),
        Just(Source::Csi { sensor: 7 }),
        word().prop_map(|w| Source::Test { pattern: format!("p{}", w.replace('_', "-")) }),
    ]
}

fn priorities() -> impl Strategy<Value = Priority> {
    prop_oneof![Just(Priority::Low), Just(Priority::Medium), Just(Priority::High)]
}

prop_compose! {
    fn configs()(
        name in word(), models in "/[^\\x00]{0,12}", login in logins(), tls in any::<bool>(), keep in 1u64..3600,
        hz in 0.0f64..120.0, iou in 0.0f32..=1.0, confidence in proptest::option::of(0.0f32..=1.0), threads in 1usize..256,
        classes in proptest::collection::vec(".{0,8}", 0..3), sources in proptest::collection::btree_map(word(), sources(), 0..4),
        port in 1u16.., window in 0u64..=10, batch in 1usize..=64, priority in priorities(), rate in proptest::option::of(0.1f64..=240.0),
        age in proptest::option::of(10u64..=60_000),
    ) -> Config {
        let mut config = resolved("").config;
        config.device.name = name;
        config.paths.models = models.into();
        config.mqtt.login = login;
        config.mqtt.port = port;
        config.mqtt.host = if tls { "::1".to_owned() } else { "broker".to_owned() };
        config.mqtt.tls = tls.then(|| Tls { ca_file: Some("/ca".into()), client: None });
        config.mqtt.keep_alive = Duration::from_secs(keep);
        config.publish.detections_hz = hz;
        config.track.iou = iou;
        config.detect = Detect { confidence, threads, classes, ..config.detect };
        config.schedule = Schedule { window: Duration::from_millis(window), max_batch: batch, ..config.schedule };
        let asks = |c| Camera { detect_fps: rate, priority, max_age: age.map(Duration::from_millis), ..c };
        let camera = |source| asks(Camera::of(source));
        let mut cameras: BTreeMap<String, Camera> = sources.into_iter().map(|(n, s)| (n, camera(s))).collect();
        let mut seen = false;
        cameras.retain(|_, c| !matches!(c.source, Source::Csi { .. }) || !std::mem::replace(&mut seen, true));
        config.cameras = cameras;
        config
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_rendered_resolves_to_the_same(config in configs()) {
        let file = render::typed(&config, render::Show { password: |s| s.reveal().to_owned(), url: str::to_owned });
        let text = toml::to_string(&file).expect("TOML");
        let (again, _) = parse(&text, &around(), &no_secret).map_err(|e| TestCaseError::fail(format!("{e:?}\n{text}")))?;
        prop_assert_eq!(again.config, config);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(\\[{0,2}(mqtt|camera\\.a|detect|x)\\]{0,2}\n|(source|broker|threads|iou|password|engine) = (-?[0-9_]{1,30}|nan|true|\"[^\"]{0,20}\"|\\{\\}|\\[1, \"a\"\\]|1979-05-27)\n|.{0,20}\n){0,8}") {
        let _ = parse(&text, &around(), &no_secret);
    }

    #[test]
    fn no_address_makes_it_panic_or_shows_its_password(user in "[a-z]{0,4}", tail in ".{0,10}", scheme in "(rtsp|rtsps|http|mqtt|v4l2:|csi:)") {
        let text = format!("{scheme}://{user}:hunter2{tail}@host/x");
        if let Err(why) = address::camera(&text) {
            prop_assert!(!why.contains("hunter2"), "{}", why);
        }
        if let Err(why) = address::broker(&text) {
            prop_assert!(!why.contains("hunter2"), "{}", why);
        }
    }
}

#[test]
fn a_token_in_a_query_is_used_and_never_shown() {
    let loaded = resolved("[camera.a]\nsource = \"rtsp://h/s?hunter2&sid=hunter2\"\n");
    let Source::Rtsp { url, .. } = &loaded.config.cameras["a"].source else { panic!("an RTSP source") };
    assert_eq!(url, "rtsp://h/s?hunter2&sid=hunter2");
    let shown = format!("{:?}\n{}", loaded.config, render(&loaded.config));
    assert!(shown.contains("rtsp://h/s?[hidden]&sid=[hidden]") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_budget_gives_up_what_is_the_programs_own_unless_more_is_allowed() {
    let budget = resolved("[budget]\nmax_celsius = 80\n").config.budget;
    assert_eq!((budget.max_celsius, budget.max_watts, budget.is_set()), (Some(80.0), None, true));
    assert_eq!(budget.order, Saving::OWN);
    assert!(!resolved("").config.budget.is_set());
    let all = "[budget]\nmax_watts = 15\norder = [\"interval\", \"nvpmodel\"]\nmay_set = [\"nvpmodel\"]\n";
    assert_eq!(resolved(all).config.budget.order, [Saving::Interval, Saving::Nvpmodel]);
}

#[test]
fn a_budget_that_cannot_be_kept_or_may_not_be_is_refused() {
    for (typed, told) in [
        ("order = [\"nvpmodel\"]", "line 2: budget.order: \"nvpmodel\" changes the system beyond this program"),
        ("order = [\"rates\", \"interval\", \"rates\"]", "line 2: budget.order: \"rates\" stands in it twice"),
        ("order = []\nmax_watts = 9", "line 2: budget.order: empty, yet there is a limit"),
        ("order = [\"intervall\"]", "did you mean \"interval\"?"),
        ("may_set = [\"model\"]", "\"model\" is not known; write one of \"nvpmodel\", \"cpu_governor\""),
        ("max_celsius = 300", "budget.max_celsius: 300 is out of range"),
        ("max_watts = -1", "budget.max_watts: -1 is out of range"),
        ("target_p99_ms = nan", "budget.target_p99_ms: nan is out of range"),
    ] {
        let errors = refused(&format!("[budget]\n{typed}\n")).join("\n");
        assert!(errors.contains(told), "{typed}: {errors}");
    }
    let warnings = resolved("[budget]\nmay_set = [\"cpu_governor\"]\n").warnings.join("\n");
    assert!(warnings.contains("budget.may_set: allows what is not in `order`"), "{warnings}");
}
