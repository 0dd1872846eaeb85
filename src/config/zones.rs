//! Zones and lines of a camera: `[camera.NAME.zone.NAME]`, `[camera.NAME.line.NAME]`, as typed and as used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resolve::Resolver;

/// A part of a camera's picture that is watched.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoneFile {}

/// A part of a camera's picture that is watched.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Zone {}

impl Zone {
    pub(super) fn resolve(_section: &str, _typed: &ZoneFile, _r: &mut Resolver<'_>) -> Self {
        Self {}
    }

    pub(super) fn typed(&self) -> ZoneFile {
        ZoneFile {}
    }
}

/// A line in a camera's picture whose crossings are told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LineFile {}

/// A line in a camera's picture whose crossings are told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Line {}

impl Line {
    pub(super) fn resolve(_section: &str, _typed: &LineFile, _r: &mut Resolver<'_>) -> Self {
        Self {}
    }

    pub(super) fn typed(&self) -> LineFile {
        LineFile {}
    }
}
