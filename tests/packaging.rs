//! What a clone of the repository holds: licences, documents whose links lead somewhere, scripts that a shell accepts.
//! How the scripts behave belongs to the scripts' own run in scripts/test.sh.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of documents").flatten() {
        let path = entry.path();
        if path.is_dir() {
            documents(&path, found);
        } else if path.extension().is_some_and(|e| e == "md") {
            found.push(path);
        }
    }
}

/// Targets of `[text](target)`, code blocks left out.
fn links(text: &str) -> Vec<String> {
    let mut in_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let ends = line.match_indices("](").filter_map(|(at, _)| line[at + 2..].split_once(')'));
        found.extend(ends.map(|(target, _)| target.to_owned()));
    }
    found
}

/// Links of a document that lead to a file which is not there.
fn dead_links(document: &Path, text: &str) -> Vec<String> {
    let folder = document.parent().expect("a document lies in a folder");
    links(text)
        .into_iter()
        .filter(|target| !target.contains("://") && !target.starts_with('#') && !target.starts_with("mailto:"))
        .filter(|target| !folder.join(target.split('#').next().unwrap_or_default()).exists())
        .collect()
}

#[test]
fn every_link_of_every_document_leads_to_a_file() {
    let mut all = vec![Path::new(ROOT).join("README.md"), Path::new(ROOT).join("CONTRIBUTING.md")];
    documents(&Path::new(ROOT).join("docs"), &mut all);
    for document in all {
        let text = std::fs::read_to_string(&document).expect("a document");
        assert_eq!(dead_links(&document, &text), Vec::<String>::new(), "in {}", document.display());
    }
}

#[test]
fn a_link_that_leads_nowhere_is_noticed() {
    let text = "[there](Cargo.toml) [gone](nowhere.md#part) [out](https://example.org)\n```\n[code](x)\n```\n";
    assert_eq!(dead_links(&Path::new(ROOT).join("README.md"), text), ["nowhere.md"].map(|s| format!("{s}#part")));
}

#[test]
fn both_licences_that_the_package_names_are_there() {
    assert!(read("Cargo.toml").contains("license = \"MIT OR Apache-2.0\""));
    assert!(read("LICENSE-MIT").contains("Permission is hereby granted, free of charge"));
    assert!(read("LICENSE-APACHE").contains("Version 2.0, January 2004"));
}

#[test]
fn the_readme_opens_with_the_two_commands() {
    let readme = read("README.md");
    let opening: String = readme.lines().take(20).collect::<Vec<_>>().join("\n");
    assert!(opening.contains("scripts/demo.sh"), "{opening}");
    assert!(opening.contains("scripts/test.sh"), "{opening}");
}

fn scripts() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(ROOT).join("scripts")).expect("scripts/");
    entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "sh")).collect()
}

/// What other scripts read instead of running it says so in its head.
fn is_sourced(script: &Path) -> bool {
    std::fs::read_to_string(script).expect("a script").lines().take(4).any(|line| line.contains(". Sourced"))
}

#[test]
fn every_script_is_executable_and_parses() {
    for script in scripts().into_iter().chain([Path::new(ROOT).join(".ci/run")]) {
        let mode = std::fs::metadata(&script).expect("a script").permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{} is not executable", script.display());
        let done = Command::new("bash").arg("-n").arg(&script).output().expect("bash runs");
        assert!(done.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn a_script_asked_for_help_explains_itself_and_does_nothing_else() {
    for script in scripts().iter().filter(|script| !is_sourced(script)) {
        let name = script.display();
        let done = Command::new(script).arg("--help").output().expect("the script runs");
        assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
        assert!(String::from_utf8_lossy(&done.stdout).contains("Usage: "), "{name}");
        let done = Command::new(script).arg("--no-such-option").output().expect("the script runs");
        assert_eq!(done.status.code(), Some(64), "{name}");
        assert!(String::from_utf8_lossy(&done.stderr).contains("--no-such-option"), "{name}");
    }
}

#[test]
fn the_program_needs_no_library_of_nvidias_nor_of_cplusplus() {
    let out = std::process::Command::new("readelf").arg("-d").arg(env!("CARGO_BIN_EXE_peregrine")).output();
    let text =
        String::from_utf8_lossy(&out.expect("readelf, of binutils, is there wherever a linker is").stdout).into_owned();
    let needed: Vec<_> = text.lines().filter(|line| line.contains("(NEEDED)")).collect();
    assert!(needed.iter().any(|line| line.contains("libc.so")), "{text}");
    for stranger in ["nvinfer", "nvonnx", "cuda", "stdc++"] {
        assert!(!needed.iter().any(|line| line.contains(stranger)), "{stranger}: {needed:?}");
    }
}

#[test]
fn the_package_brings_every_plugin_that_the_scripts_install() {
    let lib = read("scripts/lib.sh");
    let run = lib.lines().find_map(|l| l.strip_prefix("PACKAGES_RUN=(")?.strip_suffix(')')).expect("PACKAGES_RUN");
    let manifest: toml::Table = read("Cargo.toml").parse().expect("TOML");
    let deb = &manifest["package"]["metadata"]["deb"];
    let depends = deb["depends"].as_array().expect("a list").iter().filter_map(toml::Value::as_str);
    let recommends = deb["recommends"].as_str().expect("text").split(',');
    let named: Vec<_> = depends.chain(recommends).filter_map(|entry| entry.split_whitespace().next()).collect();
    for package in run.split_whitespace() {
        assert!(named.contains(&package), "{package} is neither in depends nor in recommends: {named:?}");
    }
}
