//! packaging/: manual pages and shells' completions are what the command line says. `PEREGRINE_WRITE=1` writes them anew.

use std::collections::BTreeMap;
use std::path::Path;

use clap_complete::Shell;

/// Manual pages and completions by their paths under packaging/.
fn generated() -> BTreeMap<String, String> {
    let dir = tempfile::tempdir().expect("a folder");
    clap_mangen::generate_to(peregrine::cli::command(), dir.path()).expect("manual pages");
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir.path()).expect("manual pages") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        all.insert(format!("man/{name}"), std::fs::read_to_string(&path).expect("a page"));
    }
    for (shell, name) in [(Shell::Bash, "peregrine.bash"), (Shell::Zsh, "_peregrine"), (Shell::Fish, "peregrine.fish")]
    {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut peregrine::cli::command(), "peregrine", &mut text);
        all.insert(format!("completions/{name}"), String::from_utf8(text).expect("UTF-8"));
    }
    all
}

fn stored(folder: &Path, names: &str) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder.join(names)).into_iter().flatten();
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (format!("{names}/{name}"), std::fs::read_to_string(&path).expect("text"))
    };
    entries.map(read).collect()
}

#[test]
fn manual_pages_and_completions_are_what_the_command_line_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let wanted = generated();
    let mut there = stored(&folder, "man");
    there.extend(stored(&folder, "completions"));
    if std::env::var_os("PEREGRINE_WRITE").is_some() {
        for gone in there.keys().filter(|name| !wanted.contains_key(*name)) {
            std::fs::remove_file(folder.join(gone)).expect("removed");
        }
        for (name, text) in &wanted {
            std::fs::create_dir_all(folder.join(name).parent().expect("a folder")).expect("made");
            std::fs::write(folder.join(name), text).expect("written");
        }
        return;
    }
    let stale: Vec<_> =
        wanted.keys().chain(there.keys()).filter(|name| wanted.get(*name) != there.get(*name)).collect();
    assert!(stale.is_empty(), "stale: {stale:?}; run the tests once with PEREGRINE_WRITE=1");
}

/// Names of a command and of all below it, as the pages are called.
fn names(command: &clap::Command, above: &str) -> Vec<String> {
    let name = if above.is_empty() { command.get_name().to_owned() } else { format!("{above}-{}", command.get_name()) };
    let below = command.get_subcommands().flat_map(|c| names(c, &name)).collect::<Vec<_>>();
    [name].into_iter().chain(below).collect()
}

#[test]
fn every_command_has_a_page_that_says_what_it_does() {
    let pages = stored(&Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging"), "man");
    for name in names(&peregrine::cli::command(), "") {
        let page = pages.get(&format!("man/{name}.1")).unwrap_or_else(|| panic!("{name} has no page"));
        let words = page.split(".SH DESCRIPTION\n").nth(1).and_then(|rest| rest.split(".SH").next());
        assert!(words.is_some_and(|words| words.split_whitespace().count() > 3), "{name}: {words:?}");
    }
}
