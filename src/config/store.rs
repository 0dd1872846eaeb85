//! `[store]`: what is kept of events on disk, as typed and as used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resolve::Resolver;

/// Events on disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreFile {}

/// Events on disk.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Store {}

impl Store {
    pub(super) fn resolve(_section: &str, _typed: &StoreFile, _r: &mut Resolver<'_>) -> Self {
        Self {}
    }

    pub(super) fn typed(&self) -> StoreFile {
        StoreFile {}
    }
}
