//! Alerts, `[alert.NAME]`, as typed and as used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resolve::Resolver;

/// A rule that raises an alert.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertFile {}

/// A rule that raises an alert.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Alert {}

impl Alert {
    pub(super) fn resolve(_section: &str, _typed: &AlertFile, _r: &mut Resolver<'_>) -> Self {
        Self {}
    }

    pub(super) fn typed(&self) -> AlertFile {
        AlertFile {}
    }
}
