//! What other systems want of the same events: `[homeassistant]`, `[onvif]`, as typed and as used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resolve::Resolver;

/// Discovery for Home Assistant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HomeAssistantFile {}

/// Discovery for Home Assistant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HomeAssistant {}

impl HomeAssistant {
    pub(super) fn resolve(_section: &str, _typed: &HomeAssistantFile, _r: &mut Resolver<'_>) -> Self {
        Self {}
    }

    pub(super) fn typed(&self) -> HomeAssistantFile {
        HomeAssistantFile {}
    }
}

/// Events in the JSON form of ONVIF.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnvifFile {}

/// Events in the JSON form of ONVIF.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Onvif {}

impl Onvif {
    pub(super) fn resolve(_section: &str, _typed: &OnvifFile, _r: &mut Resolver<'_>) -> Self {
        Self {}
    }

    pub(super) fn typed(&self) -> OnvifFile {
        OnvifFile {}
    }
}
