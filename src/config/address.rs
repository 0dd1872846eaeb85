//! Camera sources and broker addresses: from what people type to what is opened, the credentials taken out on the way.
//!
//! Pure. Every message that quotes an address quotes it through [`redact::address`].

use std::path::PathBuf;

use url::Url;

use super::redact;

/// Where a camera's pictures come from, before the other keys of its section are looked at.
#[derive(Debug, PartialEq)]
pub(super) enum Place {
    Rtsp { url: String, login: Option<(String, String)> },
    File(PathBuf),
    V4l2(PathBuf),
    Csi(u32),
    Test(String),
}

/// A broker's address.
#[derive(Debug, PartialEq)]
pub(super) struct Broker {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    pub(super) login: Option<(String, String)>,
}

const SOURCES: &str =
    "write rtsp://HOST/PATH, rtsps://HOST/PATH, the path of a video file, v4l2:/dev/video0, csi:0 or test:PATTERN";

/// Reads a camera's `source`.
pub(super) fn camera(text: &str) -> Result<Place, String> {
    let bad = |why: &str| format!("{:?} {why}; {SOURCES}", redact::address(text));
    if let Some(device) = text.strip_prefix("v4l2:") {
        return if device.starts_with('/') { Ok(Place::V4l2(device.into())) } else { Err(bad("names no device")) };
    }
    if let Some(sensor) = text.strip_prefix("csi:") {
        return sensor.parse().map(Place::Csi).map_err(|_| bad("names no sensor"));
    }
    if let Some(pattern) = text.strip_prefix("test:") {
        let word = pattern.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let pattern = if pattern.is_empty() { "smpte" } else { pattern };
        return if word { Ok(Place::Test(pattern.to_owned())) } else { Err(bad("has an odd pattern")) };
    }
    if let Some(path) = text.strip_prefix("file://") {
        return if path.starts_with('/') { Ok(Place::File(path.into())) } else { Err(bad("is no absolute path")) };
    }
    match text.split_once("://") {
        Some(("rtsp" | "rtsps", _)) => {
            let (url, login) = opened(text).map_err(|why| bad(&why))?;
            Ok(Place::Rtsp { url: url.into(), login })
        }
        Some(_) => Err(bad("is of a kind that Peregrine does not open")),
        None if text.trim().is_empty() || text.contains('\0') => Err(bad("is no source")),
        None => Ok(Place::File(text.into())),
    }
}

/// Reads the `broker`.
pub(super) fn broker(text: &str) -> Result<Broker, String> {
    let bad = |why: &str| format!("{:?} {why}; write mqtt://HOST[:1883] or mqtts://HOST[:8883]", redact::address(text));
    let tls = match text.split_once("://") {
        Some(("mqtt", _)) => false,
        Some(("mqtts", _)) => true,
        _ => return Err(bad("is no broker")),
    };
    let (url, login) = opened(text).map_err(|why| bad(&why))?;
    if !matches!(url.path(), "" | "/") || url.query().is_some() {
        return Err(bad("has something after the port"));
    }
    let port = url.port().unwrap_or(if tls { 8883 } else { 1883 });
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    if port == 0 { Err(bad("has port 0")) } else { Ok(Broker { host, port, tls, login }) }
}

/// What the broker's address looks like without credentials.
pub(super) fn broker_url(host: &str, port: u16, tls: bool) -> String {
    let scheme = if tls { "mqtts" } else { "mqtt" };
    if host.contains(':') { format!("{scheme}://[{host}]:{port}") } else { format!("{scheme}://{host}:{port}") }
}

fn opened(text: &str) -> Result<(Url, Option<(String, String)>), String> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("has blanks in it".to_owned());
    }
    let mut url = Url::parse(text).map_err(|e| format!("is not an address ({e})"))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err("names no host".to_owned());
    }
    if url.path().contains('@') || url.query().is_some_and(|q| q.contains('@')) || url.fragment().is_some() {
        return Err(
            "has '@' or '#' after the host: write these as %40 and %23 in a password, or use `password`".to_owned()
        );
    }
    let login = (!url.username().is_empty() || url.password().is_some())
        .then(|| (decoded(url.username()), decoded(url.password().unwrap_or_default())));
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    cleared.map_err(|()| "has a login where none can be".to_owned())?;
    Ok((url, login))
}

/// `%40` → `@`; what is not a valid escape stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = |i: usize| tail.get(i).and_then(|b| char::from(*b).to_digit(16));
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                // Two hexadecimal digits are at most 255.
                bytes.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_leave_the_url_and_are_decoded() {
        let place = camera("rtsp://ad%40min:p%2Fw%25@cam.local:8554/h264?ch=1").expect("valid");
        let login = Some(("ad@min".to_owned(), "p/w%".to_owned()));
        assert_eq!(place, Place::Rtsp { url: "rtsp://cam.local:8554/h264?ch=1".to_owned(), login });
    }

    #[test]
    fn every_kind_of_source_is_told_apart() {
        assert_eq!(camera("v4l2:/dev/video0"), Ok(Place::V4l2("/dev/video0".into())));
        assert_eq!(camera("csi:1"), Ok(Place::Csi(1)));
        assert_eq!(camera("test:"), Ok(Place::Test("smpte".to_owned())));
        assert_eq!(camera("test:ball"), Ok(Place::Test("ball".to_owned())));
        assert_eq!(camera("/srv/a b.mp4"), Ok(Place::File("/srv/a b.mp4".into())));
        assert_eq!(camera("file:///srv/a.mp4"), Ok(Place::File("/srv/a.mp4".into())));
    }

    #[test]
    fn what_cannot_be_opened_is_refused_without_its_password() {
        for odd in [
            "http://u:hunter2@cam/",
            "rtsp://u:hunter2@",
            "rtsp://u:hun/ter2@cam/x",
            "rtsp://u:hunter2#@cam/x",
            "rtsp://u:hunter2 @cam/",
            "v4l2:0",
            "csi:front",
            "test:a!b",
            "",
            "rtsp:///x",
        ] {
            let why = camera(odd).expect_err(odd);
            assert!(!why.contains("ter2") && why.contains("write rtsp://"), "{why}");
        }
    }

    #[test]
    fn brokers_have_a_host_a_port_and_nothing_else() {
        let b = broker("mqtt://localhost").expect("valid");
        assert_eq!((b.host.as_str(), b.port, b.tls), ("localhost", 1883, false));
        let b = broker("mqtts://[::1]:9000/").expect("valid");
        assert_eq!((b.host.as_str(), b.port, b.tls), ("::1", 9000, true));
        assert_eq!(broker_url(&b.host, b.port, b.tls), "mqtts://[::1]:9000");
        for odd in ["localhost:1883", "mqtt://", "mqtt://h/topic", "mqtt://h:99999", "http://h", "mqtt://h:0"] {
            assert!(broker(odd).is_err(), "{odd}");
        }
    }
}
