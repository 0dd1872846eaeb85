//! Walks a parsed file beside the schema and tells everything that does not fit: unknown keys, wrong types, values out of range.
//! What does not fit is left out of the tree that goes on, so that the rest can still be checked.
//!
//! Belongs here: what a single key may hold. Does not: what two keys mean together (see `resolve.rs`).

use crate::types::names::edits;
use std::collections::BTreeMap;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::schema::{choices, range};

/// What a walk found.
pub(super) struct Walk {
    /// Where each line ends.
    ends: Vec<usize>,
    /// What does not fit.
    pub(super) errors: Vec<ConfigError>,
    /// The line of every key in the file.
    pub(super) lines: BTreeMap<String, usize>,
}

impl Walk {
    pub(super) fn new(text: &str) -> Self {
        Self { ends: line_ends(text), errors: Vec::new(), lines: BTreeMap::new() }
    }

    /// The part of a table that fits the schema.
    pub(super) fn table(&mut self, table: &DeTable<'_>, schema: &Json, path: &str) -> toml::Table {
        let known = schema.get("properties").and_then(Json::as_object);
        let named = schema.get("additionalProperties").filter(|s| s.is_object());
        let of_names = schema.get("propertyNames").is_some();
        let mut fits = toml::Table::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let path = join(path, name);
            self.lines.insert(path.clone(), line_of(&self.ends, key.span().start));
            let kept = match (known.and_then(|k| k.get(name)), named) {
                (Some(schema), _) => self.value(value, schema, &path),
                (None, Some(_)) if of_names && !is_name(name) => {
                    self.fault(&path, "a name has 1 to 64 letters, digits, '-' and '_'".to_owned());
                    None
                }
                (None, Some(schema)) => self.value(value, schema, &path),
                (None, None) => {
                    self.fault(&path, unknown(name, known.into_iter().flat_map(|k| k.keys().map(String::as_str))));
                    None
                }
            };
            if let Some(kept) = kept {
                fits.insert(name.to_owned(), kept);
            }
        }
        fits
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, schema: &Json, path: &str) -> Option<toml::Value> {
        let kind = schema.get("type").and_then(Json::as_str).unwrap_or("string");
        match (kind, value.get_ref()) {
            ("object", DeValue::Table(table)) => Some(toml::Value::Table(self.table(table, schema, path))),
            ("array", DeValue::Array(items)) => {
                let schema = schema.get("items").unwrap_or(&Json::Null);
                let numbered = items.iter().enumerate();
                let fits = numbered.filter_map(|(i, v)| self.value(v, schema, &format!("{path}[{i}]"))).collect();
                Some(toml::Value::Array(fits))
            }
            ("boolean", DeValue::Boolean(b)) => Some(toml::Value::Boolean(*b)),
            ("string", DeValue::String(s)) => self.string(s, schema, path),
            ("integer", DeValue::Integer(i)) => {
                let number = i64::from_str_radix(i.as_str(), i.radix()).ok();
                self.in_range(number.map(|n| n as f64), i.as_str(), schema, path)?;
                number.map(toml::Value::Integer)
            }
            ("number", DeValue::Integer(i)) => {
                let number = i64::from_str_radix(i.as_str(), i.radix()).ok().map(|n| n as f64);
                self.in_range(number, i.as_str(), schema, path).map(toml::Value::Float)
            }
            ("number", DeValue::Float(f)) => {
                let number = f.as_str().parse().ok();
                self.in_range(number, f.as_str(), schema, path).map(toml::Value::Float)
            }
            (kind, other) => {
                let hint = if schema.get("enum").or(schema.get("oneOf")).is_some() {
                    format!(", one of {}", quoted(&choices(schema)))
                } else {
                    example(kind, schema).to_owned()
                };
                self.fault(path, format!("{} expected{hint}, found {}", article(kind), article(other.type_str())));
                None
            }
        }
    }

    fn string(&mut self, text: &str, schema: &Json, path: &str) -> Option<toml::Value> {
        let choices = choices(schema);
        if !choices.is_empty() && !choices.contains(&text) {
            let problem = format!("{text:?} is not known; write one of {}", quoted(&choices));
            self.fault(path, problem + &did_you_mean(text, choices.iter().copied()));
            return None;
        }
        if schema.get("pattern").is_some() && !is_name(text) {
            self.fault(path, format!("{text:?} is not a name; write 1 to 64 letters, digits, '-' and '_'"));
            return None;
        }
        Some(toml::Value::String(text.to_owned()))
    }

    fn in_range(&mut self, number: Option<f64>, typed: &str, schema: &Json, path: &str) -> Option<f64> {
        let Some((low, high)) = range(schema) else {
            let finite = number.filter(|n| n.is_finite());
            if finite.is_none() {
                self.fault(path, format!("{typed} is no number to reckon with"));
            }
            return finite;
        };
        let fits = number.filter(|n| (low..=high).contains(n));
        if fits.is_none() {
            self.fault(path, format!("{typed} is out of range; write a value from {low} to {high}"));
        }
        fits
    }

    fn fault(&mut self, path: &str, problem: String) {
        let line = self.lines.get(path.split('[').next().unwrap_or(path)).copied();
        self.errors.push(ConfigError { key: path.to_owned(), line, problem });
    }
}

/// Where the lines of a text end: what [`line_of`] searches, so that a long file with many keys is not read once for each of them.
pub(super) fn line_ends(text: &str) -> Vec<usize> {
    text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i).collect()
}

/// The line of a byte, from 1.
pub(super) fn line_of(ends: &[usize], byte: usize) -> usize {
    ends.partition_point(|&end| end < byte) + 1
}

/// Whether this may name a device, a camera or a classifier.
pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// `, did you mean "x"?` where one of the known words is near.
pub(super) fn did_you_mean<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> String {
    // A word may be one third wrong and still be meant; shorter ones by one letter.
    let near = known.map(|k| (distance(word, k), k)).min().filter(|(d, k)| *d <= (k.len() / 3).max(1));
    near.map_or_else(String::new, |(_, k)| format!(", did you mean \"{k}\"?"))
}

fn unknown<'k>(name: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    let guess = did_you_mean(name, known.clone());
    if guess.is_empty() {
        let all: Vec<_> = known.collect();
        return format!("unknown key; known here: {}", all.join(", "));
    }
    format!("unknown key{guess}")
}

fn join(path: &str, name: &str) -> String {
    let name = if is_name(name) { name.to_owned() } else { format!("{:?}", shortened(name)) };
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

fn shortened(name: &str) -> String {
    name.chars().take(80).collect()
}

fn article(kind: &str) -> &'static str {
    match kind {
        "object" | "table" => "a table",
        "array" => "a list",
        "boolean" => "true or false",
        "string" => "a text",
        "integer" => "a whole number",
        "number" | "float" => "a number",
        _ => "a date",
    }
}

fn example(kind: &str, schema: &Json) -> &'static str {
    match kind {
        "object" => " ([section])",
        "array" if schema.pointer("/items/type") == Some(&Json::from("array")) => " ([[…, …], …])",
        "array" if schema.pointer("/items/type") == Some(&Json::from("string")) => " ([\"…\", \"…\"])",
        "string" => " (\"…\")",
        _ => "",
    }
}

fn quoted(choices: &[&str]) -> String {
    choices.iter().map(|c| format!("{c:?}")).collect::<Vec<_>>().join(", ")
}

/// How far apart two words are; words that nobody could have meant are infinitely far.
fn distance(a: &str, b: &str) -> usize {
    // Nobody mistypes a key into something this long; the table below stays small whatever the file holds.
    if a.len() > 100 {
        return usize::MAX;
    }
    let letters = |word: &str| word.chars().collect::<Vec<_>>();
    edits(&letters(a), &letters(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_a_stranger_is_not() {
        let keys = ["source", "codec", "transport"];
        assert_eq!(did_you_mean("sorce", keys.into_iter()), ", did you mean \"source\"?");
        assert_eq!(did_you_mean("colour", keys.into_iter()), "");
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn lines_are_counted_from_one() {
        assert_eq!(line_of(&line_ends("a\nb\nc"), 0), 1);
        assert_eq!(line_of(&line_ends("a\nb\nc"), 4), 3);
    }
}
