//! What other systems want of the same events: `[homeassistant]`, `[onvif]`, as typed and as used.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resolve::Resolver;
use super::walk::is_name;

/// Discovery for Home Assistant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HomeAssistantFile {
    /// Whether the device, its cameras, zones, lines and alerts are announced to Home Assistant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The first word of Home Assistant's discovery topics, as its MQTT integration has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery_prefix: Option<String>,
    /// Seconds between two messages about the health of the device and of each camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5, max = 3600))]
    pub health_secs: Option<u64>,
}

/// Discovery for Home Assistant.
#[derive(Debug, Clone, PartialEq)]
pub struct HomeAssistant {
    /// Whether anything is announced.
    pub enabled: bool,
    /// The first word of its topics.
    pub discovery_prefix: String,
    /// How often health is told.
    pub health_every: Duration,
}

impl HomeAssistant {
    pub(super) fn resolve(section: &str, typed: &HomeAssistantFile, r: &mut Resolver<'_>) -> Self {
        let discovery_prefix = typed.discovery_prefix.as_deref().unwrap_or("homeassistant");
        if !discovery_prefix.split('/').all(is_name) {
            r.error(
                &format!("{section}.discovery_prefix"),
                format!(
                    "{discovery_prefix:?} is no topic; write words of letters, digits, '-' and '_', with '/' between"
                ),
            );
        }
        Self {
            enabled: typed.enabled.unwrap_or(false),
            discovery_prefix: discovery_prefix.to_owned(),
            health_every: Duration::from_secs(typed.health_secs.unwrap_or(30)),
        }
    }

    pub(super) fn typed(&self) -> HomeAssistantFile {
        HomeAssistantFile {
            enabled: Some(self.enabled),
            discovery_prefix: Some(self.discovery_prefix.clone()),
            health_secs: Some(self.health_every.as_secs()),
        }
    }
}

/// Events in the JSON form of ONVIF.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnvifFile {
    /// Whether every event is published a second time, in the form that ONVIF defines for brokers (onvif-ej).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Events in the JSON form of ONVIF.
#[derive(Debug, Clone, PartialEq)]
pub struct Onvif {
    /// Whether they are published.
    pub enabled: bool,
}

impl Onvif {
    pub(super) fn resolve(_section: &str, typed: &OnvifFile, _r: &mut Resolver<'_>) -> Self {
        Self { enabled: typed.enabled.unwrap_or(false) }
    }

    pub(super) fn typed(&self) -> OnvifFile {
        OnvifFile { enabled: Some(self.enabled) }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Loaded, Surroundings};
    use super::*;
    use crate::config::load::parse;

    fn loaded(text: &str) -> Result<Loaded, String> {
        let no_secret = |_: &Path| Err(std::io::Error::other("none"));
        let parsed = parse(text, &Surroundings::default(), &no_secret);
        parsed.map(|(loaded, _)| loaded).map_err(|e| format!("{e:?}"))
    }

    #[test]
    fn nothing_is_announced_unless_it_is_asked_for() {
        let config = loaded("").expect("valid").config;
        assert!(!config.homeassistant.enabled && !config.onvif.enabled);
        let text = "[homeassistant]\nenabled = true\ndiscovery_prefix = \"ha/discovery\"\nhealth_secs = 60\n[onvif]\nenabled = true\n";
        let config = loaded(text).expect("valid").config;
        let expected = HomeAssistant {
            enabled: true,
            discovery_prefix: "ha/discovery".to_owned(),
            health_every: Duration::from_secs(60),
        };
        assert_eq!((config.homeassistant, config.onvif), (expected, Onvif { enabled: true }));
    }

    #[test]
    fn a_prefix_that_is_no_topic_and_an_interval_that_floods_are_refused_by_name() {
        for (text, key) in [
            ("discovery_prefix = \"ha/#\"", "homeassistant.discovery_prefix"),
            ("discovery_prefix = \"\"", "homeassistant.discovery_prefix"),
            ("health_secs = 1", "homeassistant.health_secs"),
        ] {
            let told = loaded(&format!("[homeassistant]\n{text}\n")).expect_err("a mistake");
            assert!(told.contains(key), "{told}");
        }
    }
}
