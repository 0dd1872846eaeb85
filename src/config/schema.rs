//! The JSON Schema of the file, made from its types: what `walk.rs` checks against and what editors complete from.
//!
//! Belongs here: the schema as a tree of JSON, and questions to it. Does not: the checks, the text of the reference.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::file::ConfigFile;

/// The schema of the whole file, each type in its place. TOML has no null, so an optional key is one that may be left out.
pub(super) fn root() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<ConfigFile>().to_value();
    without_null(&mut schema);
    schema
}

/// The texts that an enumeration allows; empty for anything else.
pub(super) fn choices(schema: &Value) -> Vec<&str> {
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let described = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let constants = described.filter_map(|v| v.get("const").and_then(Value::as_str));
    listed.chain(constants).collect()
}

/// "0..=1", "at least 1": the range of a number; None when it has no bounds of its own.
pub(super) fn range(schema: &Value) -> Option<(f64, f64)> {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    Some((bound("minimum")?, bound("maximum")?))
}

fn without_null(schema: &mut Value) {
    if let Value::Array(items) = schema {
        items.iter_mut().for_each(without_null);
    }
    let Value::Object(map) = schema else { return };
    map.values_mut().for_each(without_null);
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|t| t != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            map.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(listed)) = map.get_mut("enum") {
        listed.retain(|v| !v.is_null());
    }
    let Some(Value::Array(any)) = map.get_mut("anyOf") else { return };
    any.retain(|s| s.get("type").is_none_or(|t| t != "null"));
    if any.len() == 1
        && let Some(Value::Object(only)) = any.pop()
    {
        map.remove("anyOf");
        for (key, value) in only {
            map.entry(key).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_optional_key_has_its_plain_type_its_range_and_its_comment() {
        let root = root();
        let threads = &root["properties"]["detect"]["properties"]["threads"];
        assert_eq!(threads["type"], "integer", "{threads}");
        assert_eq!(range(threads), Some((0.0, 256.0)));
        assert!(threads["description"].as_str().is_some_and(|d| d.starts_with("Threads")));
        let engine = &root["properties"]["detect"]["properties"]["engine"];
        assert_eq!(choices(engine), ["auto", "int8", "tract", "tensorrt"], "{engine}");
        assert!(!root.to_string().contains("null"), "TOML has no null");
    }
}
