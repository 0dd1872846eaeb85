//! Values of the command's options, from text.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub(super) fn latency(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let secs = match (f64::from_str(number.trim()), unit) {
        (Ok(n), "ms") => Some(n / 1e3),
        (Ok(n), "s") => Some(n),
        _ => None,
    };
    let secs = secs.filter(|s| (0.001..=60.0).contains(s));
    secs.map(Duration::from_secs_f64)
        .ok_or_else(|| "needed is a time from 1ms to 60s, such as 100ms or 0.2s".to_owned())
}

pub(in crate::cli) fn rate(text: &str) -> Result<f64, String> {
    let fps = text.parse().ok().filter(|n| (0.1..=1000.0).contains(n));
    fps.ok_or_else(|| "needed is a number of frames a second from 0.1 to 1000".to_owned())
}

pub(super) fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok().filter(|n| (0.0..=50.0).contains(n));
    percent.ok_or_else(|| "needed is a number from 0 to 50".to_owned())
}

pub(super) fn size(text: &str) -> Result<(u32, u32), String> {
    let side = |t: &str| t.parse().ok().filter(|n| (16..=8192).contains(n));
    let sides = text.split_once('x').and_then(|(w, h)| Some((side(w)?, side(h)?)));
    sides.ok_or_else(|| "needed are a width and a height from 16 to 8192, such as 1280x720".to_owned())
}

pub(super) fn svg(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let is_other = path.extension().is_some_and(|ending| !ending.eq_ignore_ascii_case("svg"));
    if is_other { Err("plots are SVG: needed is a name that ends in .svg".to_owned()) } else { Ok(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_has_a_unit_and_can_be_kept() {
        assert_eq!(latency("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(latency("0.25s"), Ok(Duration::from_millis(250)));
        for odd in ["100", "ms", "-5ms", "0s", "100us", "1h", "nans", "infs", "", "61s"] {
            assert!(latency(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn sizes_rates_and_percents_are_checked() {
        assert_eq!(size("640x360"), Ok((640, 360)));
        assert!(["640", "x", "0x0", "640x99999", "axb"].into_iter().all(|odd| size(odd).is_err()));
        assert_eq!(rate("7.5"), Ok(7.5));
        assert!(["0", "-1", "nan", "inf", "x"].into_iter().all(|odd| rate(odd).is_err()));
        assert!(percent("0.5").is_ok() && percent("51").is_err() && percent("nan").is_err());
    }

    #[test]
    fn a_plot_of_another_kind_is_not_promised() {
        assert_eq!(svg("a/load.svg"), Ok(PathBuf::from("a/load.svg")));
        assert!(svg("/dev/stdout").is_ok() && svg("load.SVG").is_ok());
        assert!(svg("load.png").is_err_and(|e| e.contains("SVG")));
    }
}
