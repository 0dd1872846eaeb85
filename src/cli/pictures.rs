//! Still pictures for commands: found in folders, read, and told of when they are broken.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Failure;
use crate::types::RgbImage;

/// Endings of pictures that are taken from a folder.
const ENDINGS: [&str; 3] = ["jpg", "jpeg", "png"];

/// All pictures that were named, those of a folder by name.
pub(super) fn all(inputs: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut all = Vec::new();
    for input in inputs {
        let unreadable = |e: io::Error| Failure::Input(format!("{}: {e}", input.display()));
        if !std::fs::metadata(input).map_err(unreadable)?.is_dir() {
            all.push(input.clone());
            continue;
        }
        let entries = std::fs::read_dir(input).map_err(unreadable)?;
        let mut found: Vec<_> = entries.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>().map_err(unreadable)?;
        found.retain(|p| is_picture(p));
        if found.is_empty() {
            return Err(Failure::Input(format!(
                "{}: no picture ({}) in this folder",
                input.display(),
                ENDINGS.join(", ")
            )));
        }
        found.sort();
        all.append(&mut found);
    }
    Ok(all)
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    path.is_file() && ending.is_some_and(|e| ENDINGS.contains(&e.as_str()))
}

/// Reads a JPEG or PNG.
///
/// # Errors
/// When it cannot be read, is neither, or is cut short.
pub(super) fn read(path: &Path) -> anyhow::Result<RgbImage> {
    let bytes = std::fs::read(path)?;
    anyhow::ensure!(!is_cut_jpeg(&bytes), "the JPEG is cut short: its end is missing");
    let reader = image::ImageReader::new(io::Cursor::new(bytes)).with_guessed_format()?;
    let decoded = reader.decode().context("not a sound JPEG or PNG")?;
    let rgb = decoded.into_rgb8();
    Ok(RgbImage { width_px: rgb.width(), height_px: rgb.height(), data: rgb.into_raw() })
}

/// The decoder paints what is missing of a JPEG grey and says nothing, and a detector would find nothing there. A whole file has an end
/// marker behind its last scan; within a scan's data neither marker can stand.
fn is_cut_jpeg(bytes: &[u8]) -> bool {
    const START: [u8; 3] = [0xff, 0xd8, 0xff];
    let last = |marker: [u8; 2]| bytes.windows(2).rposition(|w| w == marker);
    bytes.starts_with(&START) && last([0xff, 0xd9]) < last([0xff, 0xda]).or(Some(0))
}

/// Tells of a picture that is left out.
pub(super) fn complain(path: &Path, e: &anyhow::Error) {
    // Where nobody hears it, the others go on all the same.
    _ = writeln!(io::stderr(), "peregrine: {}: {e:#}", path.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_pictures_by_name_and_an_empty_one_is_an_error() {
        let dir = tempfile::tempdir().expect("a folder");
        let empty = all(&[dir.path().to_owned()]).expect_err("refused").to_string();
        assert!(empty.contains("no picture"), "{empty}");
        for name in ["2.JPG", "1.png", "notes.txt"] {
            std::fs::write(dir.path().join(name), "").expect("written");
        }
        let found = all(&[dir.path().to_owned()]).expect("found");
        let names: Vec<_> = found.iter().filter_map(|p| p.file_name()).collect();
        assert_eq!(names, ["1.png", "2.JPG"]);
        assert!(matches!(all(&[dir.path().join("absent.jpg")]), Err(Failure::Input(_))));
    }
}
