//! Reads a configuration file: the only part of `config` that touches the disk.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::Deserialize;
use toml::de::DeTable;

use super::error::{ConfigError, ConfigErrors};
use super::file::ConfigFile;
use super::resolve::{Findings, ReadSecret, Surroundings, resolve, unknown_profile};
use super::walk::{Walk, line_ends, line_of};
use super::{Config, profile, schema};

/// No configuration that a person keeps is larger; a device file or a video is.
const MAX_BYTES: u64 = 1 << 20;
/// A password and its newline.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// A configuration, and what its owner should know about it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is allowed but hardly meant, one sentence each.
    pub warnings: Vec<String>,
}

/// Reads, checks and resolves a file.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn load(path: &Path, around: &Surroundings) -> Result<Loaded, ConfigErrors> {
    let whole = |problem: String| ConfigErrors {
        file: path.to_owned(),
        errors: vec![ConfigError { key: String::new(), line: None, problem }],
    };
    let bytes = read_at_most(path, MAX_BYTES)
        .map_err(|e| whole(format!("cannot be read: {e}; name the right file with --config FILE")))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let byte = e.utf8_error().valid_up_to();
        whole(format!("is not UTF-8 text (byte {byte}); save it as UTF-8"))
    })?;
    let read = |path: &Path| {
        let bytes = read_at_most(path, MAX_SECRET_BYTES)?;
        String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8 text"))
    };
    let mut loaded = parse(&text, around, &read).map_err(|errors| ConfigErrors { file: path.to_owned(), errors })?;
    if loaded.1 && std::fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o004 != 0) {
        loaded.0.warnings.push(format!(
            "{} holds a password and everybody may read it; chmod o-r it, or use password_file or ${{credential:NAME}}",
            path.display()
        ));
    }
    Ok(loaded.0)
}

/// The configuration of an empty file.
///
/// # Errors
/// When the surroundings alone are at fault: a host whose name cannot be a device's, for one.
pub fn defaults(around: &Surroundings) -> Result<Config, ConfigErrors> {
    let no_file = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
    parse("", around, &no_file)
        .map(|(loaded, _)| loaded.config)
        .map_err(|errors| ConfigErrors { file: "the defaults".into(), errors })
}

/// Checks and resolves a text; also tells whether a password stands in it.
pub(super) fn parse(
    text: &str,
    around: &Surroundings,
    read: ReadSecret<'_>,
) -> Result<(Loaded, bool), Vec<ConfigError>> {
    let (document, broken) = DeTable::parse_recoverable(text);
    if !broken.is_empty() {
        // What follows a slip of syntax is guesswork; the slips themselves are told all at once.
        let ends = line_ends(text);
        let errors = broken.iter().map(|e| ConfigError {
            key: String::new(),
            line: e.span().map(|s| line_of(&ends, s.start)),
            problem: format!("is not TOML here: {}", e.message()),
        });
        return Err(errors.collect());
    }
    let schema = schema::root();
    let mut walk = Walk::new(text);
    let typed = walk.table(document.get_ref(), &schema, "");
    let (file, mut errors) = with_profile(typed, &mut walk);
    let inline = has_inline_password(&file);
    let (config, Findings { errors: found, warnings }) = resolve(&file, around, read);
    let told: BTreeSet<String> = errors.iter().map(|e| e.key.clone()).collect();
    for mut e in found.into_iter().filter(|e| !told.contains(&e.key)) {
        e.line = line_of_key(&walk, &e.key);
        errors.push(e);
    }
    errors.sort_by_key(|e| e.line);
    if errors.is_empty() { Ok((Loaded { config, warnings }, inline)) } else { Err(errors) }
}

fn with_profile(typed: toml::Table, walk: &mut Walk) -> (ConfigFile, Vec<ConfigError>) {
    let mut errors = std::mem::take(&mut walk.errors);
    let under = match typed.get("profile").and_then(toml::Value::as_str) {
        None => toml::Table::new(),
        Some(name) => match profile::text(name) {
            // A unit test loads every profile.
            Some(text) => text.parse().expect("built-in profiles are valid TOML"),
            None => {
                let known: Vec<_> = profile::PROFILES.iter().map(|(n, _)| *n).collect();
                errors.push(ConfigError { line: walk.lines.get("profile").copied(), ..unknown_profile(name, &known) });
                toml::Table::new()
            }
        },
    };
    let file = ConfigFile::deserialize(toml::Value::Table(profile::merged(under, typed))).unwrap_or_else(|_| {
        // The walk leaves nothing that the types refuse; should they ever differ, the file is refused without quoting it.
        let problem = "does not fit, though no single key is wrong; please report this file's keys".to_owned();
        errors.push(ConfigError { key: String::new(), line: None, problem });
        ConfigFile::default()
    });
    (file, errors)
}

/// A key's line, or, for one that is missing, its section's.
fn line_of_key(walk: &Walk, key: &str) -> Option<usize> {
    walk.lines.get(key).or_else(|| walk.lines.get(key.rsplit_once('.')?.0)).copied()
}

fn has_inline_password(file: &ConfigFile) -> bool {
    let inline = |p: &Option<String>| p.as_deref().is_some_and(|p| !p.starts_with("${credential:"));
    let in_url = |url: &Option<String>| url.as_deref().is_some_and(super::redact::has_credential);
    let mqtt = inline(&file.mqtt.password) || in_url(&file.mqtt.broker);
    mqtt || file.camera.values().any(|c| inline(&c.password) || in_url(&c.source))
}

fn read_at_most(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("larger than {limit} bytes")));
    }
    Ok(bytes)
}
