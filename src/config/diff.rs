//! What a reload changes: which cameras come, go or are opened anew, and which sections only a restart can take over. Pure.

use super::{Camera, Config};

/// The difference of two configurations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Cameras to open.
    pub cameras_added: Vec<String>,
    /// Cameras to close: their section is gone, or they were switched off.
    pub cameras_removed: Vec<String>,
    /// Cameras to close and open with other settings.
    pub cameras_changed: Vec<String>,
    /// Sections that changed and stay as they were until the daemon is restarted.
    pub restart_needed: Vec<&'static str>,
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What has to be done to get from one configuration to the other. A camera that is switched off counts as absent.
pub fn diff(old: &Config, new: &Config) -> Changes {
    let mut changes = Changes { restart_needed: restart_needed(old, new), ..Changes::default() };
    for (name, camera) in enabled(new) {
        match old.cameras.get(name).filter(|c| c.enabled) {
            None => changes.cameras_added.push(name.clone()),
            Some(before) if before != camera => changes.cameras_changed.push(name.clone()),
            Some(_) => {}
        }
    }
    let gone = enabled(old).filter(|(name, _)| new.cameras.get(*name).is_none_or(|c| !c.enabled));
    changes.cameras_removed = gone.map(|(name, _)| name.clone()).collect();
    changes
}

fn enabled(config: &Config) -> impl Iterator<Item = (&String, &Camera)> {
    config.cameras.iter().filter(|(_, c)| c.enabled)
}

fn restart_needed(old: &Config, new: &Config) -> Vec<&'static str> {
    let sections = [
        ("device", old.device != new.device),
        ("paths", old.paths != new.paths),
        ("mqtt", old.mqtt != new.mqtt),
        ("publish", old.publish != new.publish),
        ("ingest", old.ingest != new.ingest),
        ("schedule", old.schedule != new.schedule),
        ("detect", old.detect != new.detect),
        ("attend", old.attend != new.attend),
        ("tensorrt", old.tensorrt != new.tensorrt),
        ("track", old.track != new.track),
        ("classify", old.classify != new.classify),
        ("alert", old.alerts != new.alerts),
        ("store", old.store != new.store),
        ("snapshots", old.snapshots != new.snapshots),
        ("homeassistant", old.homeassistant != new.homeassistant),
        ("onvif", old.onvif != new.onvif),
        ("commands", old.commands != new.commands),
        ("monitor", old.monitor != new.monitor),
        ("api", old.api != new.api),
        ("log", old.log != new.log),
    ];
    sections.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}
