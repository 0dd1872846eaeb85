//! Templates that Home Assistant makes orders from: its switches and buttons send what `docs/mqtt.md` says of `cmd/<name>`.
//! Which entities have them is `entities.rs`; what becomes of an order is `publish/commands.rs`.

use super::entities::in_quotes;

/// An order's id, unlike every other one's, and when it was given: what every order has.
const HEAD: &str = "'id': 'homeassistant-' ~ (utcnow().timestamp() * 1000000) | int, 'issued_at': utcnow().isoformat()";

/// Reads the configuration again.
pub(super) fn reload() -> String {
    order("")
}

/// Takes a picture of a camera now.
pub(super) fn snapshot(camera: &str) -> String {
    order(&format!(", 'camera': '{}'", in_quotes(camera)))
}

/// Switches a camera's detection; `value` is what the switch would send by itself: "on" or "off".
pub(super) fn detection(camera: &str) -> String {
    order(&format!(", 'camera': '{}', 'on': value == 'on'", in_quotes(camera)))
}

fn order(more: &str) -> String {
    format!("{{{{ {{{HEAD}{more}}} | to_json }}}}")
}
