//! The same events in the form of ONVIF: JSON over MQTT as its Core Specification defines it (`onvif-ej`), topics as its Analytics Service
//! Specification names them where it has a rule of the same meaning, under the alias `peregrine:` where it has none.
//!
//! Belongs here: topics and payloads of ONVIF, and what its properties need to know of events before. Does not: delivery. Pure.
//!
//! ONVIF tells some rules as properties: retained, true until told otherwise, deleted by an empty message. One property speaks for all
//! objects in a field, so [`Onvif`] remembers who is there. Showing it an event twice changes nothing.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::payload::{Kind, Message, Qos, rfc3339};
use super::topics;
use crate::types::{CameraId, Captured, Event, Stored, Subject, What};

/// What stands for the configuration of analytics: there is one.
const CONFIGURATION: &str = "peregrine";

type Place = (CameraId, String);
/// Tracks by their number, with the time at which they came.
type Present = BTreeMap<u64, Captured>;
/// Of one life of the daemon: what began in a life that was killed has no end, and the next one begins from nothing.
type PresentIn = BTreeMap<Place, (Uuid, Present)>;

/// Writes events in the form of ONVIF.
#[derive(Debug, Default)]
pub struct Onvif {
    inside: PresentIn,
    loitering: PresentIn,
}

/// A message, in the order of the specification's grammar.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    utc_time: String,
    source: Map<String, Value>,
    data: Map<String, Value>,
}

/// What an event is to ONVIF.
struct Told {
    /// The topic without its namespace.
    topic: &'static str,
    /// Names and values that tell this source from others, in the order in which the topic has them.
    source: Vec<(&'static str, String)>,
    /// None deletes the property.
    data: Option<Map<String, Value>>,
    property: bool,
}

impl Onvif {
    /// An event as ONVIF tells it; `device` and `prefix` make the beginning of its topic.
    pub fn render(&mut self, stored: &Stored, device: &str, prefix: &str) -> Message {
        let event = &stored.event;
        let told = self.told(event, stored.boot);
        let mut topic = format!("{}/onvif-ej/{}", topics::of_device(prefix, device), told.topic);
        for (n, (_, value)) in told.source.iter().enumerate() {
            topic.push_str(if n == 0 { "/&" } else { "/" });
            topic.push_str(&as_level(value));
        }
        let body = told.data.map_or_else(Vec::new, |data| {
            let source: Map<String, Value> =
                told.source.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            let body = Body { utc_time: rfc3339(event.at.wall), source, data };
            // Texts and trees of JSON always have a JSON form.
            serde_json::to_vec(&body).unwrap_or_default()
        });
        Message { topic, body, retain: told.property, qos: Qos::AtLeastOnce, kind: Kind::Onvif, expires_secs: None }
    }

    fn told(&mut self, event: &Event, boot: Uuid) -> Told {
        let who = event.subject.as_ref();
        match &event.what {
            What::Crossed { line, direction } => {
                let data = with(object(who), [("Direction", direction.as_str().into())]);
                rule("RuleEngine/LineDetector/Crossed", event, line, data, false)
            }
            What::Entered { zone } | What::Left { zone, .. } => self.field(event, boot, zone),
            What::Dwell { zone, .. } | What::DwellEnd { zone, .. } => self.loiterers(event, boot, zone),
            What::Occupancy { zone, count, .. } => {
                let data = of([("Count", (*count).into())]);
                rule("RuleEngine/CountAggregation/OccupancyCounter", event, zone, data, true)
            }
            What::Count { line, direction, class, total, .. } => {
                let data = of([("Count", (*total).into())]);
                let counter = format!("{line}.{direction}.{class}");
                rule("RuleEngine/CountAggregation/Counter", event, &counter, data, true)
            }
            What::Crowd { zone, count } | What::CrowdEnd { zone, count, .. } => {
                let is_crowd = matches!(event.what, What::Crowd { .. });
                let data = of([("State", is_crowd.into()), ("Count", (*count).into())]);
                rule("RuleEngine/peregrine:CrowdDetector/Crowd", event, zone, data, true)
            }
            What::Appeared => track("RuleEngine/peregrine:Track/Appeared", event, object(who)),
            What::Gone { .. } => track("RuleEngine/peregrine:Track/Gone", event, object(who)),
            What::Stopped => track("RuleEngine/peregrine:Track/Stopped", event, object(who)),
            What::Moving { .. } => track("RuleEngine/peregrine:Track/Moving", event, object(who)),
            What::AlertRaised { alert, severity, reason, .. } => {
                let data = of([("State", true.into()), ("Severity", json!(severity)), ("Reason", json!(reason))]);
                of_the_device("peregrine:Alert", "Alert", alert, data)
            }
            What::AlertCleared { alert, severity, reason, .. } => {
                let data = of([("State", false.into()), ("Severity", json!(severity)), ("Reason", json!(reason))]);
                of_the_device("peregrine:Alert", "Alert", alert, data)
            }
            What::Lost { count, alerts, reason } => {
                let data = of([("Count", (*count).into()), ("Alerts", (*alerts).into()), ("Reason", json!(reason))]);
                Told { topic: "peregrine:Events/Lost", source: Vec::new(), data: Some(data), property: false }
            }
            What::BudgetStep { level, levels, rung, step, reason, .. } => {
                let data = of([
                    ("Level", (*level).into()),
                    ("Levels", (*levels).into()),
                    ("Rung", json!(rung)),
                    ("Step", json!(step)),
                    ("Reason", json!(reason)),
                ]);
                // A property, so that who comes later knows what is given up.
                Told { topic: "peregrine:Budget/Step", source: Vec::new(), data: Some(data), property: true }
            }
        }
    }

    /// A field's property: true while somebody is in it.
    fn field(&mut self, event: &Event, boot: Uuid, zone: &str) -> Told {
        let came = matches!(event.what, What::Entered { .. });
        let present = present(&mut self.inside, event, boot, zone);
        update(present, event, came);
        let data = of([("IsInside", (!present.is_empty()).into()), ("ObjectId", ids(present).into())]);
        rule("RuleEngine/FieldDetector/ObjectsInside", event, zone, data, true)
    }

    /// A zone's property of who stays too long, there while somebody does.
    fn loiterers(&mut self, event: &Event, boot: Uuid, zone: &str) -> Told {
        let begins = matches!(event.what, What::Dwell { .. });
        let present = present(&mut self.loitering, event, boot, zone);
        update(present, event, begins);
        let since = present.values().min_by_key(|at| at.mono);
        let data = since.map(|at| of([("ObjectId", ids(present).into()), ("Since", json!(rfc3339(at.wall)))]));
        let told = rule("RuleEngine/LoiteringDetector/ObjectIsLoitering", event, zone, Map::new(), true);
        Told { data, ..told }
    }
}

/// Who is known to be there, by the life of the daemon that this event comes from.
fn present<'a>(all: &'a mut PresentIn, event: &Event, boot: Uuid, zone: &str) -> &'a mut Present {
    let camera = event.camera.clone().unwrap_or_else(|| CameraId::from(""));
    let (of, present) = all.entry((camera, zone.to_owned())).or_default();
    if *of != boot {
        (*of, *present) = (boot, Present::new());
    }
    present
}

fn update(present: &mut Present, event: &Event, came: bool) {
    let Some(subject) = &event.subject else { return };
    if came {
        present.entry(subject.track_id).or_insert(event.at);
    } else {
        present.remove(&subject.track_id);
    }
}

/// ONVIF's list of texts: values with spaces between.
fn ids(present: &Present) -> String {
    present.keys().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

fn rule(topic: &'static str, event: &Event, rule: &str, data: Map<String, Value>, property: bool) -> Told {
    let camera = event.camera.as_deref().unwrap_or_default().to_owned();
    let source =
        vec![("VideoSource", camera), ("AnalyticsConfiguration", CONFIGURATION.to_owned()), ("Rule", rule.to_owned())];
    Told { topic, source, data: Some(data), property }
}

fn track(topic: &'static str, event: &Event, data: Map<String, Value>) -> Told {
    let told = rule(topic, event, "", data, false);
    let source = told.source.into_iter().filter(|(name, _)| *name != "Rule").collect();
    Told { source, ..told }
}

fn of_the_device(topic: &'static str, name: &'static str, value: &str, data: Map<String, Value>) -> Told {
    Told { topic, source: vec![(name, value.to_owned())], data: Some(data), property: true }
}

fn of<const N: usize>(items: [(&str, Value); N]) -> Map<String, Value> {
    items.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn with<const N: usize>(mut data: Map<String, Value>, items: [(&str, Value); N]) -> Map<String, Value> {
    data.extend(of(items));
    data
}

fn object(subject: Option<&Subject>) -> Map<String, Value> {
    subject.map_or_else(Map::new, |s| of([("ObjectId", json!(s.track_id.to_string())), ("Class", json!(s.class))]))
}

/// A source's value as one level of a topic: what MQTT gives a meaning is left out, as ONVIF says.
fn as_level(value: &str) -> String {
    value.chars().filter(|c| !matches!(c, '#' | '+' | '/') && !c.is_control()).collect()
}

#[cfg(test)]
#[path = "onvif_tests.rs"]
mod tests;
