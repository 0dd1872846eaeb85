//! `peregrine model`: the models directory beside the manifest. `list` shows, `verify` compares checksums, `fetch` downloads,
//! `calibrate` and `build` have files of their own.

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use anyhow::Context;
use clap::{Args as ClapArgs, Subcommand};

use super::model_choice::{ModelsDir, config_failure};
use super::{Failure, build, calibrate, output};
use crate::infer::Kind;
use crate::infer::catalog::sha256_of;
use crate::infer::manifest::{Manifest, ModelEntry, Source};
use crate::types::names::did_you_mean;

/// Lists, verifies, fetches, calibrates and builds models
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    dir: ModelsDir,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show the models that the manifest knows and whether they are here
    List,
    /// Compare the files that are here with the manifest's checksums
    Verify {
        /// Names from the manifest, which must then be here [default: all that are here]
        names: Vec<String>,
    },
    /// Download models, or say how to get them
    Fetch {
        /// Names from the manifest
        #[arg(required = true)]
        names: Vec<String>,
        /// Accept the licences shown; without it licences such as the AGPL are asked about
        #[arg(long)]
        accept_licence: bool,
    },
    Calibrate(calibrate::Args),
    Build(build::Args),
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let dir = args.dir.path();
    let manifest = || Manifest::load(&dir).map_err(config_failure);
    match &args.what {
        What::List => list(&manifest()?, &dir),
        What::Verify { names } => verify(&manifest()?, &dir, names),
        What::Fetch { names, accept_licence } => {
            let manifest = manifest()?;
            let known = names.iter().map(|n| entry(&manifest, n).map(|e| (n, e))).collect::<Result<Vec<_>, _>>()?;
            known.into_iter().try_for_each(|(name, entry)| fetch(name, entry, &dir, *accept_licence))
        }
        What::Calibrate(args) => calibrate::run(args, &dir),
        What::Build(args) => build::run(args, &dir),
    }
}

fn say(line: &str) -> Result<(), Failure> {
    output::say(&format!("{line}\n"))
}

fn list(manifest: &Manifest, dir: &Path) -> Result<(), Failure> {
    say(&format!("models in {}\n", dir.display()))?;
    let width = manifest.model.keys().map(String::len).max().unwrap_or(0);
    for (name, m) in &manifest.model {
        let is_here = if dir.join(&m.file).is_file() { "here" } else { "-" };
        let kind = match m.kind {
            Kind::Detector => "detector",
            Kind::Classifier => "classifier",
        };
        let size_mb = m.size_bytes as f64 / 1e6;
        say(&format!("{name:width$}  {is_here:4}  {kind:10}  {size_mb:5.1} MB  {:10}  {}", m.licence, m.about))?;
    }
    Ok(())
}

fn verify(manifest: &Manifest, dir: &Path, names: &[String]) -> Result<(), Failure> {
    if !dir.is_dir() {
        return Err(Failure::Input(format!("{}: no such folder; name the models' with --models DIR", dir.display())));
    }
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for name in names {
        if !dir.join(&entry(manifest, name)?.file).is_file() {
            say(&format!("absent  {name}"))?;
            wrong.push(name.as_str());
        }
    }
    let is_asked = |name: &String| names.is_empty() || names.contains(name);
    for (name, m) in manifest.model.iter().filter(|(name, _)| is_asked(name)) {
        let path = dir.join(&m.file);
        if !path.is_file() {
            continue;
        }
        seen += 1;
        let found = sha256_of(&path).map_err(config_failure)?;
        if found == m.sha256 {
            say(&format!("good    {name}"))?;
        } else {
            say(&format!("WRONG   {name}: {} has sha256 {found}, the manifest {}", path.display(), m.sha256))?;
            wrong.push(name);
        }
    }
    if seen == 0 && wrong.is_empty() {
        say(&format!("{}: none of the manifest's models is here", dir.display()))?;
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Failure::Config(format!("not as the manifest says: {}", wrong.join(", "))))
    }
}

fn entry<'a>(manifest: &'a Manifest, name: &str) -> Result<&'a ModelEntry, Failure> {
    manifest.model.get(name).ok_or_else(|| {
        let hint = did_you_mean(name, manifest.model.keys().map(String::as_str));
        Failure::Usage(format!("the manifest has no model \"{name}\"{hint}"))
    })
}

fn fetch(name: &str, m: &ModelEntry, dir: &Path, is_accepted: bool) -> Result<(), Failure> {
    let target = dir.join(&m.file);
    if target.is_file() && sha256_of(&target).map_err(config_failure)? == m.sha256 {
        say(&format!("{name}: {} is here already", target.display()))?;
        return Ok(());
    }
    say(&format!("{name}: {} ({:.1} MB), licence {}", m.about, m.size_bytes as f64 / 1e6, m.licence))?;
    if !is_accepted && needs_consent(&m.licence) && !ask(&m.licence)? {
        return Err(Failure::Usage(format!("{name}: its licence was not accepted")));
    }
    let mut failed = Vec::new();
    for source in &m.source {
        match source {
            Source::Url { url } => match download(url, &target, &m.sha256) {
                Ok(()) => {
                    say(&format!("{name}: {} is here", target.display()))?;
                    return Ok(());
                }
                Err(e) => failed.push(format!("{e:#}")),
            },
            Source::Crate { name: package, version, member, .. } => {
                failed.push(format!("{member} of crate {package} {version}: `scripts/fetch-models.sh` gets it"));
            }
            Source::Deb { package, member } => {
                failed.push(format!("{member} of Debian package {package}: `scripts/fetch-models.sh` gets it"));
            }
            Source::Manual { how } => failed.push(how.clone()),
        }
    }
    Err(Failure::Work(anyhow::anyhow!("{name} was not fetched:\n  {}", failed.join("\n  "))))
}

/// Licences that ask something of whoever runs the model for others.
fn needs_consent(licence: &str) -> bool {
    !["MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0"].contains(&licence)
}

/// Asks on a terminal; where nobody can answer it is an error that names the option.
fn ask(licence: &str) -> Result<bool, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::Usage(format!("the licence {licence} must be accepted: say --accept-licence")));
    }
    say(&format!("Do you accept the licence {licence} for these weights? [y/N]"))?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).context("stdin")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Downloads beside the target, compares, and only then gives the file its name.
fn download(url: &str, target: &Path, sha256: &str) -> anyhow::Result<()> {
    anyhow::ensure!(url.starts_with("https://"), "{url}: only https addresses are fetched");
    if let Some(dir) = target.parent() {
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    let part = PathBuf::from(format!("{}.part", target.display()));
    let status = Process::new("curl")
        .args(["--fail", "--location", "--proto", "=https", "--silent", "--show-error", "--retry", "2", "--output"])
        .arg(&part)
        .args(["--", url])
        .status()
        .context("curl could not be started; is it installed?")?;
    let taken = if status.success() { install(&part, target, sha256) } else { Err(anyhow::anyhow!("curl: {status}")) };
    if taken.is_err() {
        // What is left is of no use, and its absence is no further error.
        let _ = std::fs::remove_file(&part);
    }
    taken.with_context(|| url.to_owned())
}

fn install(part: &Path, target: &Path, sha256: &str) -> anyhow::Result<()> {
    let found = sha256_of(part)?;
    anyhow::ensure!(found == sha256, "what came has sha256 {found}, the manifest {sha256}");
    std::fs::rename(part, target).with_context(|| target.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn manifest_with_abc(dir: &Path) -> Manifest {
        let text = format!(
            "[model.abc]\nfile = \"abc.onnx\"\nsha256 = \"{ABC}\"\nsize_bytes = 3\nlicence = \"AGPL-3.0\"\nkind = \"detector\"\n\
             head = \"yolov8\"\nlabels = [\"a\"]\nsource = [{{ kind = \"manual\", how = \"write it yourself\" }}]\n"
        );
        std::fs::write(dir.join("manifest.toml"), text).expect("written");
        Manifest::load(dir).expect("sound")
    }

    #[test]
    fn a_file_with_another_checksum_is_found_out_and_a_named_one_must_be_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let manifest = manifest_with_abc(dir.path());
        let named = ["abc".to_owned()];
        assert!(verify(&manifest, dir.path(), &[]).is_ok(), "what is absent is not wrong");
        assert!(verify(&manifest, dir.path(), &named).is_err());
        std::fs::write(dir.path().join("abc.onnx"), "abc").expect("written");
        assert!(verify(&manifest, dir.path(), &named).is_ok());
        std::fs::write(dir.path().join("abc.onnx"), "abd").expect("written");
        let told = verify(&manifest, dir.path(), &[]).expect_err("found out").to_string();
        assert!(told.contains("abc"), "{told}");
    }

    #[test]
    fn an_agpl_model_is_not_fetched_without_consent_and_by_hand_it_is_told_how() {
        let dir = tempfile::tempdir().expect("a folder");
        let manifest = manifest_with_abc(dir.path());
        let told = fetch("abc", &manifest.model["abc"], dir.path(), true).expect_err("by hand").to_string();
        assert!(told.contains("write it yourself"), "{told}");
        assert!(needs_consent("AGPL-3.0") && !needs_consent("Apache-2.0"));
    }

    #[test]
    fn what_was_downloaded_gets_its_name_only_with_the_right_checksum() {
        let dir = tempfile::tempdir().expect("a folder");
        let (part, target) = (dir.path().join("a.part"), dir.path().join("a.onnx"));
        std::fs::write(&part, "abd").expect("written");
        assert!(install(&part, &target, ABC).is_err() && !target.exists());
        std::fs::write(&part, "abc").expect("written");
        install(&part, &target, ABC).expect("right");
        assert!(target.is_file() && !part.exists());
    }

    #[test]
    fn only_https_is_fetched() {
        let dir = tempfile::tempdir().expect("a folder");
        let told = download("http://example.org/a", &dir.path().join("a"), ABC).expect_err("refused").to_string();
        assert!(told.contains("https"), "{told}");
    }
}
