//! `[commands]`: what may be ordered over MQTT, as typed and as used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resolve::Resolver;

/// Orders over MQTT.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandsFile {}

/// Orders over MQTT.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Commands {}

impl Commands {
    pub(super) fn resolve(_section: &str, _typed: &CommandsFile, _r: &mut Resolver<'_>) -> Self {
        Self {}
    }

    pub(super) fn typed(&self) -> CommandsFile {
        CommandsFile {}
    }
}
