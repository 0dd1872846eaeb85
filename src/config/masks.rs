//! Privacy masks of a camera, `[camera.NAME.mask.NAME]`, and pictures of events, `[snapshots]`, as typed and as used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resolve::Resolver;

/// A part of a camera's picture that nobody is to see.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskFile {}

/// A part of a camera's picture that nobody is to see.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mask {}

impl Mask {
    pub(super) fn resolve(_section: &str, _typed: &MaskFile, _r: &mut Resolver<'_>) -> Self {
        Self {}
    }

    pub(super) fn typed(&self) -> MaskFile {
        MaskFile {}
    }
}

/// Pictures of events.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotsFile {}

/// Pictures of events.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshots {}

impl Snapshots {
    pub(super) fn resolve(_section: &str, _typed: &SnapshotsFile, _r: &mut Resolver<'_>) -> Self {
        Self {}
    }

    pub(super) fn typed(&self) -> SnapshotsFile {
        SnapshotsFile {}
    }
}
