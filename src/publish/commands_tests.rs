//! What a sender of orders relies on, and what a stranger cannot do: each order is obeyed once, near its time, or answered with the reason.

use std::time::UNIX_EPOCH;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const TOPIC: &str = "site/gate/cmd/detection";
const STARTED: u64 = 1_790_000_000;

fn at(secs: u64) -> Captured {
    let wall = UNIX_EPOCH + Duration::from_secs(STARTED + secs);
    Captured { mono: Duration::from_secs(secs), wall, wall_synced: true }
}

fn judge() -> Judge {
    let settings =
        config::Commands { enabled: true, allow: CommandName::ALL.to_vec(), window: Duration::from_secs(30) };
    Judge::new(settings, "site", "gate", at(0))
}

fn stamp(secs: u64) -> String {
    rfc3339(at(secs).wall)
}

fn detection(id: &str, secs: u64) -> String {
    json!({"id": id, "issued_at": stamp(secs), "camera": "front", "on": false}).to_string()
}

fn say(judge: &mut Judge, topic: &str, body: &str, secs: u64) -> Verdict {
    let cameras: [CameraId; 2] = ["front".into(), "yard".into()];
    judge.judge(Inbound { topic, body: body.as_bytes(), retained: false }, &cameras, at(secs))
}

fn answer(verdict: Verdict) -> Value {
    let Verdict::Refuse(answer) = verdict else { panic!("refused, not {verdict:?}") };
    serde_json::from_slice(&answer.body("gate", at(0))).expect("JSON")
}

fn refused(topic: &str, body: &str) -> Value {
    answer(say(&mut judge(), topic, body, 100))
}

#[test]
fn an_order_is_understood_obeyed_and_answered() {
    let mut judge = judge();
    let Verdict::Obey(accepted) = say(&mut judge, TOPIC, &detection("a-1", 100), 101) else { panic!("obeyed") };
    assert_eq!(accepted.order, Order::Detection { camera: "front".into(), on: false });
    let done = accepted.done(Ok(()));
    assert_eq!(done.topic("site", "gate"), "site/gate/cmd/detection/result");
    let body: Value = serde_json::from_slice(&done.body("gate", at(101))).expect("JSON");
    let want = json!({"schema": 1, "type": "command_result", "device": "gate", "command": "detection", "id": "a-1",
                      "ok": true, "error": null, "at": stamp(101), "clock_synced": true});
    assert_eq!(body, want);
    let failed = accepted.done(Err("the camera is being closed".to_owned()));
    assert_eq!(failed.code(), Some(Code::Failed));

    let snapshot = json!({"schema": 1, "id": "a-2", "issued_at": stamp(100), "camera": "yard"}).to_string();
    let Verdict::Obey(accepted) = say(&mut judge, "site/gate/cmd/snapshot", &snapshot, 101) else { panic!("obeyed") };
    assert_eq!(accepted.order, Order::Snapshot { camera: "yard".into() });
    let reload = json!({"id": "a-3", "issued_at": stamp(100)}).to_string();
    let Verdict::Obey(accepted) = say(&mut judge, "site/gate/cmd/reload", &reload, 101) else { panic!("obeyed") };
    assert_eq!(accepted.order, Order::Reload);
}

#[test]
fn orders_are_not_listened_to_unless_that_is_switched_on() {
    let settings = config::Commands { enabled: false, ..judge().settings };
    let mut deaf = Judge::new(settings, "site", "gate", at(0));
    assert_eq!(deaf.subscription(), None);
    assert_eq!(say(&mut deaf, TOPIC, &detection("a", 100), 100), Verdict::PassOver);
    assert_eq!(judge().subscription().as_deref(), Some("site/gate/cmd/+"));
}

#[test]
fn what_the_broker_kept_and_what_is_no_order_is_passed_over() {
    let mut judge = judge();
    let body = detection("a", 100);
    let kept = Inbound { topic: TOPIC, body: body.as_bytes(), retained: true };
    assert_eq!(judge.judge(kept, &["front".into()], at(100)), Verdict::PassOver);
    for topic in ["site/gate/cmd/detection/result", "site/gate/cmd/", "site/gate/status", "site/yard/cmd/detection", ""]
    {
        assert_eq!(say(&mut judge, topic, &body, 100), Verdict::PassOver, "{topic}");
    }
    assert!(matches!(say(&mut judge, TOPIC, &body, 100), Verdict::Obey(_)), "the kept one did not use up its id");
}

#[test]
fn an_order_that_comes_again_is_not_obeyed_again() {
    let mut judge = judge();
    assert!(matches!(say(&mut judge, TOPIC, &detection("a", 100), 100), Verdict::Obey(_)));
    let again = answer(say(&mut judge, TOPIC, &detection("a", 101), 101));
    assert_eq!((&again["ok"], &again["error"]["code"], &again["id"]), (&json!(false), &json!("repeated"), &json!("a")));
}

#[test]
fn an_order_that_was_refused_can_be_corrected_and_sent_again() {
    let mut judge = judge();
    let wrong = detection("a", 100).replace("front", "fornt");
    assert_eq!(answer(say(&mut judge, TOPIC, &wrong, 100))["error"]["code"], "unknown_camera");
    assert!(matches!(say(&mut judge, TOPIC, &detection("a", 100), 100), Verdict::Obey(_)));
}

#[test]
fn orders_from_too_long_ago_too_far_ahead_or_before_the_start_are_refused() {
    let mut judge = judge();
    for (issued, now, fits) in [(100, 131, false), (131, 100, false), (100, 130, true), (130, 100, true)] {
        let verdict = say(&mut judge, TOPIC, &detection(&format!("{issued}-{now}"), issued), now);
        match (fits, verdict) {
            (true, Verdict::Obey(_)) => {}
            (false, Verdict::Refuse(answer)) => assert_eq!(answer.code(), Some(Code::OutOfTime)),
            (_, other) => panic!("{issued} at {now}: {other:?}"),
        }
    }
    let mut body: Value = serde_json::from_str(&detection("early", 0)).expect("JSON");
    body["issued_at"] = json!(rfc3339(UNIX_EPOCH + Duration::from_secs(STARTED - 1)));
    let early = answer(say(&mut judge, TOPIC, &body.to_string(), 5));
    assert_eq!(early["error"]["code"], "out_of_time");
    assert!(early["error"]["message"].as_str().is_some_and(|m| m.contains("before the daemon's start")), "{early}");
}

#[test]
fn a_clock_that_was_never_set_judges_no_time_and_still_no_id_counts_twice() {
    let mut judge = judge();
    let now = Captured { wall: UNIX_EPOCH + Duration::from_secs(60), wall_synced: false, ..at(5) };
    let body = detection("a", 100);
    let message = Inbound { topic: TOPIC, body: body.as_bytes(), retained: false };
    assert!(matches!(judge.judge(message, &["front".into()], now), Verdict::Obey(_)));
    assert!(matches!(judge.judge(message, &["front".into()], now), Verdict::Refuse(_)));
}

#[test]
fn what_is_wrong_with_an_order_is_said_with_what_there_is() {
    let unknown = refused("site/gate/cmd/detect", &detection("a", 100));
    assert_eq!((&unknown["error"]["code"], &unknown["command"]), (&json!("unknown_command"), &json!("detect")));
    assert_eq!(unknown["error"]["known"], json!(["detection", "snapshot", "reload"]));
    let camera = refused(TOPIC, &detection("a", 100).replace("front", "x"));
    assert_eq!(camera["error"]["known"], json!(["front", "yard"]));
    let good: Value = serde_json::from_str(&detection("a", 100)).expect("JSON");
    let cases = [("", "EOF"), ("[1]", "invalid"), ("{\"id\": 3}", "invalid type"), ("{\"id\": \"a\"}", "issued_at")];
    for (body, part) in cases {
        let told = refused(TOPIC, body);
        let message = told["error"]["message"].as_str().expect("text");
        assert!(told["error"]["code"] == "bad_order" && message.contains(part), "{body}: {told}");
    }
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body.to_string()
    };
    let changes = [
        ("on", Value::Null, "on: missing"),
        ("camera", Value::Null, "camera: missing"),
        ("onn", json!(true), "unknown field `onn`"),
        ("schema", json!(2), "schema 2 is not known"),
        ("id", json!(""), "id: write"),
        ("id", json!("a b"), "id: write"),
        ("id", json!("x".repeat(65)), "id: write"),
        ("issued_at", json!("yesterday"), "no time of RFC 3339"),
    ];
    for (field, value, part) in changes {
        let told = refused(TOPIC, &with(field, value));
        assert!(told["error"]["message"].as_str().is_some_and(|m| m.contains(part)), "{field}: {told}");
    }
    let idle =
        refused("site/gate/cmd/reload", &json!({"id": "a", "issued_at": stamp(100), "camera": "front"}).to_string());
    assert_eq!(idle["error"]["message"], "camera: reload has none");
}

#[test]
fn an_order_that_the_configuration_does_not_allow_is_refused() {
    let settings = config::Commands { allow: vec![CommandName::Snapshot], ..judge().settings };
    let mut judge = Judge::new(settings, "site", "gate", at(0));
    let told = answer(say(&mut judge, TOPIC, &detection("a", 100), 100));
    assert_eq!((&told["error"]["code"], &told["error"]["known"]), (&json!("not_allowed"), &json!(["snapshot"])));
}

#[test]
fn what_is_too_long_is_not_even_read() {
    let told = refused(TOPIC, &format!("{{\"id\":\"{}\"}}", "x".repeat(LARGEST_ORDER_BYTES)));
    assert_eq!((&told["error"]["code"], &told["id"]), (&json!("too_large"), &Value::Null));
    let deep = "[".repeat(LARGEST_ORDER_BYTES);
    assert_eq!(refused(TOPIC, &deep)["error"]["code"], "bad_order");
}

#[test]
fn a_flood_of_orders_makes_none_of_them_good_twice() {
    let mut judge = judge();
    for n in 0..MOST_IDS {
        assert!(matches!(say(&mut judge, TOPIC, &detection(&n.to_string(), 100), 100), Verdict::Obey(_)), "{n}");
    }
    assert_eq!(answer(say(&mut judge, TOPIC, &detection("new", 100), 101))["error"]["code"], "busy");
    assert_eq!(answer(say(&mut judge, TOPIC, &detection("0", 100), 101))["error"]["code"], "repeated");
    assert!(
        matches!(say(&mut judge, TOPIC, &detection("new", 161), 161), Verdict::Obey(_)),
        "the oldest may be forgotten"
    );
    assert_eq!(judge.ids.len(), MOST_IDS);
}

#[test]
fn a_time_with_an_offset_is_the_same_time() {
    let body = json!({"id": "ha", "issued_at": "2026-09-21T20:53:20.123456+02:00", "camera": "front", "on": true});
    let issued = "2026-09-21T18:53:20Z".parse::<jiff::Timestamp>().expect("a time");
    let now = Captured { wall: SystemTime::from(issued), ..at(1000) };
    let mut judge = Judge::new(judge().settings, "site", "gate", Captured { wall: UNIX_EPOCH, ..at(0) });
    let text = body.to_string();
    let message = Inbound { topic: TOPIC, body: text.as_bytes(), retained: false };
    assert!(matches!(judge.judge(message, &["front".into()], now), Verdict::Obey(_)));
}

#[test]
fn orders_and_answers_are_as_their_schemas_say() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
    let mut validators = Vec::new();
    for (name, schema) in schemas() {
        let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
        if crate::runtime::environment::var("PEREGRINE_WRITE").is_some() {
            std::fs::write(folder.join(name), &text).expect("written");
        }
        let stored = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(stored == text, "docs/schemas/{name} is stale; run the tests with PEREGRINE_WRITE=1");
        let schema: Value = serde_json::from_str(&text).expect("JSON");
        validators.push(jsonschema::validator_for(&schema).expect("a schema"));
    }
    let [orders, answers] = validators.as_slice() else { panic!("two") };
    let order: Value = serde_json::from_str(&detection("a", 1)).expect("JSON");
    assert!(orders.is_valid(&order) && !orders.is_valid(&json!({"id": "a"})));
    for told in [refused(TOPIC, ""), refused(TOPIC, &detection("a", 0)), refused("site/gate/cmd/x", "")] {
        assert!(answers.is_valid(&told), "{told}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_message_makes_it_panic_or_answer_elsewhere(name in ".{0,200}", body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut judge = judge();
        let topic = format!("site/gate/cmd/{name}");
        match judge.judge(Inbound { topic: &topic, body: &body, retained: false }, &["front".into()], at(1)) {
            Verdict::PassOver => prop_assert!(name.is_empty() || name.contains('/')),
            Verdict::Refuse(answer) => {
                let topic = answer.topic("site", "gate");
                prop_assert_eq!(topic.matches('/').count(), 4);
                prop_assert!(topic.starts_with("site/gate/cmd/") && topic.ends_with("/result"));
                prop_assert!(!topic.contains(['+', '#', '\0']) && answer.body("gate", at(1)).len() < 4096);
            }
            Verdict::Obey(accepted) => prop_assert!(false, "{accepted:?}"),
        }
    }
}
