//! Orders over MQTT: which message is one, whether it is to be obeyed, and what is answered. Pure: the time is an argument.
//!
//! ```text
//! <prefix>/<device>/cmd/<name>  ─► judge ─┬─► an order, to be carried out ─► done ─┐
//!                                         └─► refused ─────────────────────────────┴─► <prefix>/<device>/cmd/<name>/result
//! ```
//!
//! An order is obeyed once. Brokers send a message again when an acknowledgement was lost, keep some for whoever subscribes later, and let
//! anybody record one and send it tomorrow: so retained messages are passed over, each order has an id that is good once, and a time that
//! must be near ours where our clock is right. How messages come and go belongs to `mqtt.rs`, who obeys to `app`.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use super::payload::{Kind, Message, Qos, SCHEMA, rfc3339};
use super::topics;
use crate::config::{self, CommandName};
use crate::types::{CameraId, Captured};

/// The longest order that is read. The longest that means something has some 200 bytes.
pub const LARGEST_ORDER_BYTES: usize = 4096;
/// Ids that are remembered. When all of them are young, no further order is taken: to forget one would be to obey it twice.
const MOST_IDS: usize = 1024;
const LONGEST_ID: usize = 64;

/// A message that came in on a topic that was subscribed to.
#[derive(Debug, Clone, Copy)]
pub struct Inbound<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its payload.
    pub body: &'a [u8],
    /// Whether the broker had kept it.
    pub retained: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Switch a camera's detection.
    Detection {
        /// Which camera.
        camera: CameraId,
        /// On or off.
        on: bool,
    },
    /// Take a picture now.
    Snapshot {
        /// Of which camera.
        camera: CameraId,
    },
    /// Read the configuration again.
    Reload,
}

/// An order that is to be carried out. Whoever does so says how it went with [`Accepted::done`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// What is to be done.
    pub order: Order,
    /// What the sender calls it.
    pub id: String,
    name: CommandName,
}

impl Accepted {
    /// The answer: it was carried out, or why it was not.
    pub fn done(&self, outcome: Result<(), String>) -> Answer {
        let refusal = outcome.err().map(|why| Refusal::new(Code::Failed, why));
        Answer { command: self.name.as_str().to_owned(), id: Some(self.id.clone()), refusal }
    }
}

/// What a message comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it is no order, or one that the broker kept.
    PassOver,
    /// It is not obeyed, and its sender is told why.
    Refuse(Answer),
    /// It is to be carried out.
    Obey(Accepted),
}

/// Why an order is not obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// There is no such command.
    UnknownCommand,
    /// The configuration does not allow it.
    NotAllowed,
    /// It is longer than an order may be.
    TooLarge,
    /// It cannot be read, or something is missing or wrong in it.
    BadOrder,
    /// There is no such camera.
    UnknownCamera,
    /// Its time is too far from ours, or before our start.
    OutOfTime,
    /// Its id was used before.
    Repeated,
    /// Too many orders came in a short time.
    Busy,
    /// It was tried and did not succeed.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    code: Code,
    message: String,
    known: Vec<String>,
}

impl Refusal {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), known: Vec::new() }
    }

    fn with(self, known: impl IntoIterator<Item = String>) -> Self {
        Self { known: known.into_iter().collect(), ..self }
    }
}

/// What an order's sender is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    command: String,
    id: Option<String>,
    refusal: Option<Refusal>,
}

impl Answer {
    /// Why the order was not obeyed; None when it was carried out.
    pub fn code(&self) -> Option<Code> {
        self.refusal.as_ref().map(|r| r.code)
    }

    /// Where the answer goes.
    pub fn topic(&self, prefix: &str, device: &str) -> String {
        topics::command_result(prefix, device, &self.command)
    }

    /// The answer as it is sent.
    pub fn message(&self, prefix: &str, device: &str, now: Captured) -> Message {
        Message {
            topic: self.topic(prefix, device),
            body: self.body(device, now),
            retain: false,
            qos: Qos::AtLeastOnce,
            kind: Kind::CommandResult,
            expires_secs: None,
        }
    }

    /// The answer as JSON, sent with QoS 1 and never retained.
    pub fn body(&self, device: &str, now: Captured) -> Vec<u8> {
        let body = ResultBody {
            schema: SCHEMA,
            r#type: "command_result",
            device,
            command: &self.command,
            id: self.id.as_deref(),
            ok: self.refusal.is_none(),
            error: self.refusal.as_ref().map(|r| ErrorBody { code: r.code, message: &r.message, known: &r.known }),
            at: rfc3339(now.wall),
            clock_synced: now.wall_synced,
        };
        serde_json::to_vec(&body).expect("a struct of strings and whole numbers")
    }
}

/// What became of an order, on `<prefix>/<device>/cmd/<name>/result`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "command-result")]
struct ResultBody<'a> {
    /// Version of this payload.
    #[schemars(extend("const" = SCHEMA))]
    schema: u32,
    /// What this message is.
    #[schemars(extend("const" = "command_result"))]
    r#type: &'static str,
    /// The device's name.
    device: &'a str,
    /// The command, as its topic named it.
    command: &'a str,
    /// The order's id; null where it could not be read.
    id: Option<&'a str>,
    /// Whether it was carried out.
    ok: bool,
    /// Why it was not; null where it was.
    error: Option<ErrorBody<'a>>,
    /// When this was said: RFC 3339, UTC, milliseconds.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// Whether the device's wall clock was synchronised then.
    clock_synced: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ErrorBody<'a> {
    /// For programs.
    code: Code,
    /// For people.
    message: &'a str,
    /// What there is in place of what was named: commands, cameras or fields.
    known: &'a [String],
}

/// An order, on `<prefix>/<device>/cmd/<name>`. Fields that the command does not know are refused.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(title = "command")]
#[serde(deny_unknown_fields)]
struct OrderBody {
    /// Version of this payload; 1 if left out.
    #[serde(default)]
    schema: Option<u32>,
    /// A name for the order that no other order has: 1 to 64 letters, digits and `._:-`, for instance a UUID. It is obeyed once.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9._:-]{1,64}$"))]
    id: String,
    /// When the order was given: RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    issued_at: String,
    /// With `detection` and `snapshot`: the camera's name.
    #[serde(default)]
    camera: Option<String>,
    /// With `detection`: whether it is to be on.
    #[serde(default)]
    on: Option<bool>,
}

/// The JSON Schemas of orders and answers, with the names of their files below docs/schemas.
pub fn schemas() -> [(&'static str, Schema); 2] {
    [("command.schema.json", schema_for!(OrderBody)), ("command-result.schema.json", schema_for!(ResultBody<'static>))]
}

/// Judges orders, and remembers which it let through.
#[derive(Debug)]
pub struct Judge {
    settings: config::Commands,
    topics: String,
    started: Captured,
    /// By id, when it was let through.
    ids: HashMap<String, Duration>,
    oldest_first: VecDeque<String>,
}

impl Judge {
    /// No order was given yet. Those from before `started` may have been obeyed by a former life, which remembers none of its ids here.
    pub fn new(settings: config::Commands, prefix: &str, device: &str, started: Captured) -> Self {
        let topics = topics::commands(prefix, device);
        Self { settings, topics, started, ids: HashMap::new(), oldest_first: VecDeque::new() }
    }

    /// What to subscribe to, with QoS 1; None when orders are not listened to. Answers lie a level deeper and do not come back.
    pub fn subscription(&self) -> Option<String> {
        self.settings.enabled.then(|| format!("{}+", self.topics))
    }

    /// What this message comes to. `cameras` are those that an order may name now.
    pub fn judge(&mut self, message: Inbound<'_>, cameras: &[CameraId], now: Captured) -> Verdict {
        let name = message.topic.strip_prefix(&self.topics).filter(|n| !n.is_empty() && !n.contains('/'));
        let (Some(name), true, false) = (name, self.settings.enabled, message.retained) else {
            return Verdict::PassOver;
        };
        let mut id = None;
        match self.examined(name, message.body, cameras, now, &mut id) {
            Ok(accepted) => Verdict::Obey(accepted),
            Err(refusal) => Verdict::Refuse(Answer { command: shortened(name), id, refusal: Some(refusal) }),
        }
    }

    /// The checks, the cheapest first; the id is remembered last, so that what is refused can be corrected and sent again.
    fn examined(
        &mut self,
        name: &str,
        body: &[u8],
        cameras: &[CameraId],
        now: Captured,
        id: &mut Option<String>,
    ) -> Result<Accepted, Refusal> {
        let name = self.allowed(name)?;
        let read = read(body)?;
        *id = Some(read.id.clone());
        let order = order(name, &read, cameras)?;
        self.in_time(&read.issued_at, now)?;
        self.once(&read.id, now.mono)?;
        Ok(Accepted { order, id: read.id, name })
    }

    fn allowed(&self, typed: &str) -> Result<CommandName, Refusal> {
        let names = |allowed: &[CommandName]| allowed.iter().map(|n| n.as_str().to_owned()).collect::<Vec<_>>();
        let Some(name) = CommandName::ALL.into_iter().find(|n| n.as_str() == typed) else {
            let message = format!("there is no command {:?}", shortened(typed));
            return Err(Refusal::new(Code::UnknownCommand, message).with(names(&self.settings.allow)));
        };
        if !self.settings.allow.contains(&name) {
            let message = format!("{typed} is not among commands.allow of the device's configuration");
            return Err(Refusal::new(Code::NotAllowed, message).with(names(&self.settings.allow)));
        }
        Ok(name)
    }

    /// A clock that is not right can judge nobody else's time; then the id alone protects.
    fn in_time(&self, issued_at: &str, now: Captured) -> Result<(), Refusal> {
        let issued = issued_at.parse::<jiff::Timestamp>().map_err(|_| {
            let message = format!("issued_at: {:?} is no time of RFC 3339", shortened(issued_at));
            Refusal::new(Code::BadOrder, message)
        })?;
        if !now.wall_synced {
            return Ok(());
        }
        let issued = SystemTime::from(issued);
        let apart = now.wall.duration_since(issued).unwrap_or_else(|early| early.duration());
        let window = self.settings.window;
        if apart > window {
            let message = format!(
                "issued_at is {} s away from the device's clock, more than {} s",
                apart.as_secs(),
                window.as_secs()
            );
            return Err(Refusal::new(Code::OutOfTime, message));
        }
        if self.started.wall_synced && issued < self.started.wall {
            return Err(Refusal::new(
                Code::OutOfTime,
                "issued_at is before the daemon's start; it may have been obeyed then",
            ));
        }
        Ok(())
    }

    fn once(&mut self, id: &str, now: Duration) -> Result<(), Refusal> {
        if self.ids.contains_key(id) {
            return Err(Refusal::new(Code::Repeated, "an order with this id was obeyed before; each needs its own"));
        }
        if self.oldest_first.len() >= MOST_IDS {
            // Twice the window: an order may have come from as far in the future as in the past.
            let must_be_kept = self.settings.window * 2;
            let oldest = self.oldest_first.front().and_then(|id| self.ids.get(id)).copied().unwrap_or_default();
            if now.saturating_sub(oldest) <= must_be_kept {
                return Err(Refusal::new(Code::Busy, "too many orders in a short time; send it again later"));
            }
            if let Some(id) = self.oldest_first.pop_front() {
                self.ids.remove(&id);
            }
        }
        self.ids.insert(id.to_owned(), now);
        self.oldest_first.push_back(id.to_owned());
        Ok(())
    }
}

fn read(body: &[u8]) -> Result<OrderBody, Refusal> {
    if body.len() > LARGEST_ORDER_BYTES {
        let message = format!("{} bytes; an order has {LARGEST_ORDER_BYTES} at most", body.len());
        return Err(Refusal::new(Code::TooLarge, message));
    }
    let fields = || ["schema", "id", "issued_at", "camera", "on"].map(str::to_owned);
    let read: OrderBody = serde_json::from_slice(body)
        .map_err(|e| Refusal::new(Code::BadOrder, shortened(&e.to_string())).with(fields()))?;
    if read.schema.is_some_and(|schema| schema != SCHEMA) {
        let message = format!("schema {} is not known", read.schema.unwrap_or_default());
        return Err(Refusal::new(Code::BadOrder, message).with([SCHEMA.to_string()]));
    }
    let is_id = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
    if read.id.is_empty() || read.id.len() > LONGEST_ID || !read.id.chars().all(is_id) {
        let message = format!("id: write 1 to {LONGEST_ID} letters, digits and \"._:-\"");
        return Err(Refusal::new(Code::BadOrder, message));
    }
    Ok(read)
}

fn order(name: CommandName, read: &OrderBody, cameras: &[CameraId]) -> Result<Order, Refusal> {
    let idle = |field: &str| Refusal::new(Code::BadOrder, format!("{field}: {} has none", name.as_str()));
    let camera = || {
        let known = || cameras.iter().map(ToString::to_string);
        let typed = read.camera.as_deref();
        let typed = typed.ok_or_else(|| Refusal::new(Code::BadOrder, "camera: missing").with(known()))?;
        let found = cameras.iter().find(|c| ***c == *typed).cloned();
        let message = || format!("there is no camera {:?}", shortened(typed));
        found.ok_or_else(|| Refusal::new(Code::UnknownCamera, message()).with(known()))
    };
    if name != CommandName::Detection && read.on.is_some() {
        return Err(idle("on"));
    }
    match name {
        CommandName::Detection => {
            let on = read.on.ok_or_else(|| Refusal::new(Code::BadOrder, "on: missing; write true or false"))?;
            Ok(Order::Detection { camera: camera()?, on })
        }
        CommandName::Snapshot => Ok(Order::Snapshot { camera: camera()? }),
        CommandName::Reload if read.camera.is_some() => Err(idle("camera")),
        CommandName::Reload => Ok(Order::Reload),
    }
}

/// An answer does not repeat at length what a stranger wrote.
fn shortened(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
