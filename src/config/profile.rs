//! Profiles: values for a kind of device that stand under the owner's own. They are files of config/, built into the binary.

/// Every profile with its text.
pub(super) const PROFILES: [(&str, &str); 5] = [
    ("raspberry-pi-4", include_str!("../../config/raspberry-pi-4.toml")),
    ("raspberry-pi-5", include_str!("../../config/raspberry-pi-5.toml")),
    ("jetson-orin-nano", include_str!("../../config/jetson-orin-nano.toml")),
    ("jetson-xavier", include_str!("../../config/jetson-xavier.toml")),
    ("pc", include_str!("../../config/pc.toml")),
];

/// The text of a profile.
pub(super) fn text(name: &str) -> Option<&'static str> {
    PROFILES.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}

/// Puts `over` on top of `under`: tables key by key, everything else as a whole.
pub(super) fn merged(mut under: toml::Table, over: toml::Table) -> toml::Table {
    for (key, value) in over {
        let value = match (under.remove(&key), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => toml::Value::Table(merged(under, over)),
            (_, value) => value,
        };
        under.insert(key, value);
    }
    under
}
