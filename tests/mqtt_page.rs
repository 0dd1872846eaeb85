//! docs/mqtt.md against what the program generates: every topic with its QoS and retention stands there, the tables of fields are those of
//! the schemas, and every example on the pages that it leads to fits its schema. `PEREGRINE_WRITE=1` writes the tables anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

fn docs(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(docs(file)).unwrap_or_else(|e| panic!("docs/{file}: {e}"))
}

fn parsed(file: &str) -> Value {
    serde_json::from_str(&read(file)).unwrap_or_else(|e| panic!("docs/{file}: {e}"))
}

/// Names of docs/schemas, without their ending.
fn schemas() -> BTreeSet<String> {
    let files = std::fs::read_dir(docs("schemas")).expect("docs/schemas");
    let names = files.map(|file| file.expect("readable").file_name().into_string().expect("UTF-8"));
    names.filter_map(|name| Some(name.strip_suffix(".schema.json")?.to_owned())).collect()
}

/// The fields of an object and of what stands in it, each with its path, its type and whether it is always there.
fn fields(schema: &Value, root: &Value, path: &str, rows: &mut Vec<String>) {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let place = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let resolved = resolve(field, root);
        let about = field["description"].as_str().or_else(|| resolved["description"].as_str()).unwrap_or_default();
        let (kind, inner) = described(field, root);
        let when = match required.contains(&name.as_str()) {
            true => "",
            false if kind.ends_with("or null") => "null or left out where there is none",
            false => "may be left out",
        };
        rows.push(format!("| `{place}` | {kind} | {when} | {} |", about.replace('\n', " ").replace('|', "\\|")));
        if let Some(inner) = inner {
            let place = if kind.contains("list") { format!("{place}[]") } else { place };
            fields(inner, root, &place, rows);
        }
    }
}

/// Follows a reference into `$defs`.
fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let name = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/"));
    name.map_or(schema, |name| &root["$defs"][name])
}

/// What a field is in words, and the object that it is or holds.
fn described<'a>(field: &'a Value, root: &'a Value) -> (String, Option<&'a Value>) {
    let field = resolve(field, root);
    if let Some(choices) = field["anyOf"].as_array() {
        let named = choices.iter().map(|choice| described(choice, root)).collect::<Vec<_>>();
        let inner = named.iter().find_map(|(_, inner)| *inner);
        return (named.into_iter().map(|(kind, _)| kind).collect::<Vec<_>>().join(" or "), inner);
    }
    let values = |key: &str| field[key].as_array().into_iter().flatten();
    let fixed = field.get("const").into_iter().chain(values("enum")).chain(values("oneOf").map(|one| &one["const"]));
    let fixed: Vec<_> = fixed.map(|value| format!("`{value}`")).collect();
    if !fixed.is_empty() {
        return (fixed.join(", "), None);
    }
    let types: Vec<&str> = match &field["type"] {
        Value::String(one) => vec![one],
        many => many.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
    };
    let word = |name: &&str| match (*name, field["format"].as_str()) {
        ("array", _) => format!("list of {}", described(&field["items"], root).0),
        ("string", Some("date-time")) => "time".to_owned(),
        ("string", Some("uuid")) => "UUID".to_owned(),
        ("object", _) if field["additionalProperties"].is_object() => {
            format!("object: names to {}", described(&field["additionalProperties"], root).0)
        }
        (name, _) => name.to_owned(),
    };
    let inner = match types.first() {
        Some(&"array") => described(&field["items"], root).1,
        Some(&"object") if field["additionalProperties"].is_object() => {
            described(&field["additionalProperties"], root).1
        }
        Some(&"object") => Some(field),
        _ => None,
    };
    (types.iter().map(word).collect::<Vec<_>>().join(" or "), inner)
}

fn table(schema: &str) -> String {
    let schema = parsed(&format!("schemas/{schema}.schema.json"));
    let mut rows = vec!["| field | type | if missing | meaning |".to_owned(), "| --- | --- | --- | --- |".to_owned()];
    fields(&schema, &schema, "", &mut rows);
    format!("\n{}\n\n", rows.join("\n"))
}

/// Which fields an event has by its kind.
fn kinds() -> String {
    let schema = parsed("schemas/event.schema.json");
    let mut rows = BTreeMap::new();
    for rule in schema["allOf"].as_array().expect("rules by kind") {
        let kind = rule["if"]["properties"]["event"]["const"].as_str().expect("a kind");
        let listed = rule["then"]["required"].as_array().expect("fields");
        let names = listed.iter().filter_map(Value::as_str).map(|name| format!("`{name}`"));
        rows.insert(kind, names.collect::<Vec<_>>().join(", "));
    }
    let kinds = schema["properties"]["event"]["enum"].as_array().expect("kinds").iter().filter_map(Value::as_str);
    let rows: String =
        kinds.map(|kind| format!("| `{kind}` | {} |\n", rows.get(kind).map_or("–", String::as_str))).collect();
    format!("\n| `event` | fields |\n| --- | --- |\n{rows}\n")
}

#[test]
fn the_tables_of_fields_are_those_of_the_schemas() {
    let mut text = read("mqtt.md");
    let tables = schemas().into_iter().map(|name| (format!("fields: {name}"), table(&name)));
    for (name, table) in tables.chain([("kinds".to_owned(), kinds())]) {
        let begin = format!("<!-- {name} -->\n");
        let from = text.find(&begin).unwrap_or_else(|| panic!("docs/mqtt.md has no {begin}")) + begin.len();
        let until = from + text[from..].find("<!-- end -->").expect("a table has an end");
        text.replace_range(from..until, &table);
    }
    if std::env::var_os("PEREGRINE_WRITE").is_some() {
        std::fs::write(docs("mqtt.md"), &text).expect("written");
    }
    assert!(text == read("mqtt.md"), "docs/mqtt.md is stale; run the tests once with PEREGRINE_WRITE=1");
}

#[test]
fn every_topic_stands_on_the_page_with_its_qos_and_retention() {
    let rows: BTreeMap<String, Vec<String>> = read("mqtt.md")
        .lines()
        .filter(|line| line.starts_with("| `<"))
        .map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>())
        .map(|cells| (cells[1].trim_matches('`').replace('<', "{").replace('>', "}"), cells))
        .collect();
    let api = parsed("asyncapi.json");
    let mut addresses = BTreeSet::new();
    for operation in api["operations"].as_object().expect("operations").values() {
        let channel = operation["channel"]["$ref"].as_str().and_then(|r| r.strip_prefix('#')).expect("a reference");
        let channel = api.pointer(channel).expect("it leads somewhere");
        let address = channel["address"].as_str().expect("an address");
        addresses.insert(address.to_owned());
        let cells = rows.get(address).unwrap_or_else(|| panic!("docs/mqtt.md has no row for {address}"));
        let mqtt = &operation["bindings"]["mqtt"];
        let qos = mqtt["qos"].to_string();
        assert!(cells[3].split(" / ").any(|word| word == qos), "{address}: {qos}, not {}", cells[3]);
        let retained = if mqtt["retain"].as_bool().expect("yes or no") { "yes" } else { "no" };
        assert!(cells[4].split(" / ").any(|word| word == retained), "{address}: {retained}, not {}", cells[4]);
        let message = channel["messages"].as_object().and_then(|m| m.keys().next()).expect("a message");
        if let Some(schema) = api["components"]["messages"][message]["payload"]["$ref"].as_str() {
            assert!(cells[6].contains(schema), "{address}: the row names no {schema}");
        }
    }
    assert_eq!(rows.into_keys().collect::<BTreeSet<_>>(), addresses, "a topic that there is not");
}

#[test]
fn every_example_fits_its_schema_and_every_schema_has_an_example() {
    let mut shown = BTreeSet::new();
    for page in ["mqtt.md", "commands.md"] {
        let text = read(page);
        for example in text.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default()) {
            let body: Value = serde_json::from_str(example).unwrap_or_else(|e| panic!("docs/{page}: {e} in {example}"));
            // What a message of ours is, it says itself; an order is not of ours.
            let name = body["type"].as_str().unwrap_or("command").replace('_', "-");
            let schema = parsed(&format!("schemas/{name}.schema.json"));
            let validator = jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema");
            let errors: Vec<String> = validator.iter_errors(&body).map(|e| e.to_string()).collect();
            assert!(errors.is_empty(), "docs/{page}: {errors:?} in {example}");
            shown.insert(name);
        }
    }
    assert_eq!(shown, schemas());
}
