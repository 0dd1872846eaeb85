//! The only home of `/dev/vcio`: questions to a Raspberry Pi's firmware. What its answers mean belongs to `pmic.rs` and `throttle.rs`.
//!
//! In a recorded tree `dev/vcio` is a folder, with the answer to each command in a file of its name.

#![allow(unsafe_code, reason = "the firmware is reached by one ioctl")]

use std::fs::File;
use std::io;

use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

use super::sysfs::{self, Tree};

/// `_IOWR(100, 0, char *)`: hands over a message and takes the answer in its place.
const PROPERTY: Opcode = opcode::read_write::<*mut std::ffi::c_char>(100, 0);
/// The tag of a question in words.
const GET_GENCMD_RESULT: u32 = 0x0003_0080;
/// The tag of the flags of throttling.
const GET_THROTTLED: u32 = 0x0003_0046;
/// Room for the words of a question and of its answer; those of `pmic_read_adc` are a little more than 1 KiB.
const TEXT_BYTES: usize = 4096;
/// What the firmware writes into the message's second word, and the bit that it sets in the length of a tag that it has answered.
const ANSWERED: u32 = 0x8000_0000;
/// What there is; the first one takes questions in words only, and exists with newer kernels.
const DEVICES: [&str; 2] = ["vcio_gencmd", "vcio"];

/// Asks in words, e.g. `pmic_read_adc`.
pub(super) fn command(tree: &Tree, words: &str) -> io::Result<String> {
    let device = tree.dev("vcio");
    if device.is_dir() {
        return sysfs::read(&device.join(words));
    }
    // The value begins with a code for errors; text follows.
    let mut value = [0u32; 1 + TEXT_BYTES / 4];
    for (word, bytes) in value[1..].iter_mut().zip(words.as_bytes().chunks(4)) {
        let mut four = [0; 4];
        four[..bytes.len()].copy_from_slice(bytes);
        *word = u32::from_ne_bytes(four);
    }
    let device = DEVICES.iter().find_map(|name| File::open(tree.dev(name)).ok());
    ask(&device.map_or_else(|| File::open(tree.dev("vcio")), Ok)?, GET_GENCMD_RESULT, TEXT_BYTES, &mut value)?;
    if value[0] != 0 {
        return Err(io::Error::other(format!("the firmware answers {words} with error {}", value[0])));
    }
    let bytes: Vec<u8> = value[1..].iter().flat_map(|word| word.to_ne_bytes()).take_while(|b| *b != 0).collect();
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the firmware answers no text"))
}

/// Asks for the flags of throttling, and clears none of them.
pub(super) fn throttled(tree: &Tree) -> io::Result<u32> {
    let device = tree.dev("vcio");
    if device.is_dir() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut value = [0u32];
    ask(&File::open(device)?, GET_THROTTLED, 4, &mut value)?;
    Ok(value[0])
}

/// A message of one tag: its whole size, 0 for a question, the tag, the room for its value, the length of the question, the value, 0 for
/// the end. `room_bytes` is what the tag calls its room, which for a command leaves out the code for errors.
fn ask(device: &File, tag: u32, room_bytes: usize, value: &mut [u32]) -> io::Result<()> {
    const MOST: usize = 7 + TEXT_BYTES / 4;
    let words = 6 + value.len();
    debug_assert!(words <= MOST, "no tag has a larger value");
    let mut message = [0u32; MOST];
    message[0] = (words * 4) as u32;
    message[2] = tag;
    message[3] = room_bytes as u32;
    message[5..5 + value.len()].copy_from_slice(value);
    // SAFETY: the driver takes a pointer to a message whose first word is its size in bytes, reads and writes within that size, and keeps
    // nothing. The size is that of a part of `message`, which lives until the call returns. On a file that is not the driver's the call
    // fails: 100 is its number among ioctls.
    unsafe { ioctl(device, Updater::<PROPERTY, [u32; MOST]>::new(&mut message)) }?;
    if message[1] != ANSWERED && message[4] & ANSWERED == 0 {
        return Err(io::Error::other("the firmware refuses the question"));
    }
    value.copy_from_slice(&message[5..5 + value.len()]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_file_that_is_not_the_firmware_gives_an_error_and_a_recorded_answer_is_read() {
        assert!(ask(&File::open("/dev/null").expect("there"), GET_THROTTLED, 4, &mut [0]).is_err());
        assert!(throttled(&Tree::at(Path::new("/nonexistent"))).is_err());
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(dir.path().join("dev/vcio")).expect("made");
        std::fs::write(dir.path().join("dev/vcio/pmic_read_adc"), "EXT5V_V volt(24)=5.0V\n").expect("written");
        let tree = Tree::at(dir.path());
        assert_eq!(command(&tree, "pmic_read_adc").expect("read"), "EXT5V_V volt(24)=5.0V");
        assert!(command(&tree, "get_camera").is_err());
    }
}
