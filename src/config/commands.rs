//! `[commands]`: what may be ordered over MQTT, as typed and as used.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resolve::Resolver;

/// Orders over MQTT.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandsFile {
    /// Whether orders are listened to. Whoever may publish at the broker can then give them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The orders that are obeyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<CommandName>>,
    /// Seconds that an order's time may differ from ours; older ones, and ones from the future, are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub window_secs: Option<u64>,
}

/// What can be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandName {
    /// A camera's detection is switched on or off.
    Detection,
    /// A picture of a camera is taken now.
    Snapshot,
    /// The configuration is read again.
    Reload,
}

impl CommandName {
    /// Every order.
    pub const ALL: [Self; 3] = [Self::Detection, Self::Snapshot, Self::Reload];

    /// The name in topics and in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Detection => "detection",
            Self::Snapshot => "snapshot",
            Self::Reload => "reload",
        }
    }
}

/// Orders over MQTT.
#[derive(Debug, Clone, PartialEq)]
pub struct Commands {
    /// Whether they are listened to.
    pub enabled: bool,
    /// Which are obeyed.
    pub allow: Vec<CommandName>,
    /// How far an order's time may be from ours.
    pub window: Duration,
}

impl Commands {
    pub(super) fn resolve(section: &str, typed: &CommandsFile, r: &mut Resolver<'_>) -> Self {
        let commands = Self {
            enabled: typed.enabled.unwrap_or(false),
            allow: typed.allow.clone().unwrap_or_else(|| CommandName::ALL.to_vec()),
            window: Duration::from_secs(typed.window_secs.unwrap_or(30)),
        };
        if commands.enabled && commands.allow.is_empty() {
            r.error(&format!("{section}.allow"), "empty, yet orders are listened to; name at least one");
        }
        commands
    }

    pub(super) fn typed(&self) -> CommandsFile {
        CommandsFile {
            enabled: Some(self.enabled),
            allow: Some(self.allow.clone()),
            window_secs: Some(self.window.as_secs()),
        }
    }
}
