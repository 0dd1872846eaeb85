//! `[monitor]`: how often the board's sensors are read, as typed and as used.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resolve::Resolver;

/// Sensors of the board.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MonitorFile {
    /// Seconds between two looks at the board's sensors; each look is published (telemetry).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub every_secs: Option<u64>,
    /// Temperature sensors that are not to be believed, by the names that `peregrine probe` shows, such as an input to which nothing is
    /// connected. They are not told, and no limit is kept by them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [["nct6775/AUXTIN0"]]))]
    pub ignore_sensors: Option<Vec<String>>,
    /// For tests: the folder under which /sys, /proc, /etc, /var and /dev are looked for, such as a tree that was recorded on another board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sysfs_root: Option<String>,
}

/// Sensors of the board.
#[derive(Debug, Clone, PartialEq)]
pub struct Monitor {
    /// How often they are read.
    pub every: Duration,
    /// Names of temperature sensors that are not believed.
    pub ignore_sensors: Vec<String>,
    /// Where /sys and the like are.
    pub sysfs_root: PathBuf,
}

impl Default for Monitor {
    fn default() -> Self {
        Self { every: Duration::from_secs(10), ignore_sensors: Vec::new(), sysfs_root: PathBuf::from("/") }
    }
}

impl Monitor {
    pub(super) fn resolve(section: &str, typed: &MonitorFile, r: &mut Resolver<'_>) -> Self {
        let by_default = Self::default();
        let sysfs_root = typed.sysfs_root.as_ref().map_or(by_default.sysfs_root, PathBuf::from);
        if !sysfs_root.is_absolute() {
            let told = sysfs_root.display();
            r.error(
                &format!("{section}.sysfs_root"),
                format!("\"{told}\" is no path from the root on; write e.g. \"/\""),
            );
        }
        Self {
            every: typed.every_secs.map_or(by_default.every, Duration::from_secs),
            ignore_sensors: typed.ignore_sensors.clone().unwrap_or_default(),
            sysfs_root,
        }
    }

    pub(super) fn typed(&self) -> MonitorFile {
        MonitorFile {
            every_secs: Some(self.every.as_secs()),
            ignore_sensors: Some(self.ignore_sensors.clone()),
            sysfs_root: Some(self.sysfs_root.display().to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Surroundings;
    use super::*;
    use crate::config::load::parse;

    fn loaded(text: &str) -> Result<Monitor, String> {
        let no_secret = |_: &Path| Err(std::io::Error::other("none"));
        let parsed = parse(text, &Surroundings::default(), &no_secret);
        parsed.map(|(loaded, _)| loaded.config.monitor).map_err(|e| format!("{e:?}"))
    }

    #[test]
    fn sensors_are_those_of_this_device_unless_a_tree_is_named_and_read_at_most_once_a_second() {
        assert_eq!(loaded(""), Ok(Monitor::default()));
        let want = Monitor {
            every: Duration::from_secs(2),
            ignore_sensors: vec!["nct6775/AUXTIN0".to_owned()],
            sysfs_root: "/tmp/nano".into(),
        };
        let text = "[monitor]\nevery_secs = 2\nignore_sensors = [\"nct6775/AUXTIN0\"]\nsysfs_root = \"/tmp/nano\"\n";
        assert_eq!(loaded(text), Ok(want));
        for (text, key) in [("every_secs = 0", "monitor.every_secs"), ("sysfs_root = \"tree\"", "monitor.sysfs_root")] {
            let told = loaded(&format!("[monitor]\n{text}\n")).expect_err("a mistake");
            assert!(told.contains(key), "{told}");
        }
    }
}
