//! Texts without credentials: addresses, and messages of libraries that quote addresses. Pure.

use crate::config::Secret;

const MASK: &str = "[hidden]";
/// Words in a query's key after which its value is nobody's business.
const SECRET_KEYS: [&str; 9] = ["pass", "pwd", "token", "secret", "auth", "key", "user", "login", "sign"];
/// Shorter secrets are not searched for outside of addresses: masking every "a" would give the password away rather than hide it.
const SHORTEST_SEARCHED: usize = 3;

/// A text in which no address shows its credentials and none of `secrets` appears.
pub(super) fn text(text: &str, secrets: &[Secret]) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, from_scheme) = rest.split_at(at);
        let address = &from_scheme[3..];
        let end = address.find(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>')).unwrap_or(address.len());
        clean += before;
        clean += "://";
        clean += &address_without_credentials(&address[..end]);
        rest = &address[end..];
    }
    clean += rest;
    for secret in secrets.iter().map(Secret::reveal).filter(|s| s.len() >= SHORTEST_SEARCHED) {
        clean = clean.replace(secret, MASK);
    }
    clean
}

/// `user:password@host/path?key=value` without the part before the last `@`, which a sloppy password may itself contain, and without
/// the values of telling keys.
fn address_without_credentials(address: &str) -> String {
    let (address, fragment) = address.split_once('#').map_or((address, ""), |(a, f)| (a, f));
    // An @ in the path is legal, but a password may hold "/" and "?" unescaped: hiding too much is the safe error.
    let (user, host_and_path) = address.rsplit_once('@').map_or(("", address), |(u, h)| (u, h));
    let mut clean = String::new();
    if !user.is_empty() || address.starts_with('@') {
        clean = format!("{MASK}@");
    }
    match host_and_path.split_once('?') {
        None => clean += host_and_path,
        Some((path, query)) => {
            clean += path;
            clean.push('?');
            clean += &query_without_secrets(query);
        }
    }
    if !fragment.is_empty() {
        // A password with "#" in it ends up here.
        clean += "#";
        clean += MASK;
    }
    clean
}

fn query_without_secrets(query: &str) -> String {
    let shown = query.split(['&', ';']).map(|pair| match pair.split_once('=') {
        Some((key, _)) if is_secret(key) => format!("{key}={MASK}"),
        Some(_) => pair.to_owned(),
        // A bare word in a query is as likely a token as anything else.
        None if pair.is_empty() => String::new(),
        None => MASK.to_owned(),
    });
    shown.collect::<Vec<_>>().join("&")
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_KEYS.iter().any(|word| key.contains(word)) || matches!(key.as_str(), "pw" | "p" | "u" | "sid" | "session")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nasty_addresses_lose_their_credentials_and_keep_their_host() {
        let cases = [
            ("rtsp://admin:hunter2@10.0.0.7:554/s1", "rtsp://[hidden]@10.0.0.7:554/s1"),
            ("rtsp://10.0.0.7/s1", "rtsp://10.0.0.7/s1"),
            ("rtsp://admin@10.0.0.7/s1", "rtsp://[hidden]@10.0.0.7/s1"),
            ("rtsp://:hunter2@10.0.0.7/", "rtsp://[hidden]@10.0.0.7/"),
            ("rtsp://admin:hunt@er2@10.0.0.7/s1", "rtsp://[hidden]@10.0.0.7/s1"),
            ("rtsp://admin:hunt/er2@10.0.0.7/s1", "rtsp://[hidden]@10.0.0.7/s1"),
            ("rtsp://admin:hunt?er2=1@10.0.0.7/s1", "rtsp://[hidden]@10.0.0.7/s1"),
            ("rtsp://admin:hunter2%40@[fe80::1]:554/s1", "rtsp://[hidden]@[fe80::1]:554/s1"),
            (
                "rtsp://admin:hunter2@cam/s?channel=1&Password=hunter2",
                "rtsp://[hidden]@cam/s?channel=1&Password=[hidden]",
            ),
            ("rtsps://cam/s?access_token=hunter2;channel=2", "rtsps://cam/s?access_token=[hidden]&channel=2"),
            ("rtsp://cam/s?user=admin&pwd=hunter2&subtype=0", "rtsp://cam/s?user=[hidden]&pwd=[hidden]&subtype=0"),
            ("rtsp://cam/s?hunter2", "rtsp://cam/s?[hidden]"),
            ("rtsp://cam/s#hunter2", "rtsp://cam/s#[hidden]"),
            ("open \"rtsp://a:hunter2@cam/s\" failed", "open \"rtsp://[hidden]@cam/s\" failed"),
            ("http://a:hunter2@x then rtsp://b:hunter2@y", "http://[hidden]@x then rtsp://[hidden]@y"),
            ("no address here", "no address here"),
            ("://", "://"),
        ];
        for (nasty, want) in cases {
            let got = text(nasty, &[]);
            assert_eq!(got, want);
            assert!(!got.contains("hunter2") && !got.contains("er2"), "{got}");
        }
    }

    #[test]
    fn a_known_secret_is_hidden_wherever_it_stands() {
        let secrets = [Secret::new("s3cret")];
        assert_eq!(text("user s3cret was refused (s3cret)", &secrets), "user [hidden] was refused ([hidden])");
    }
}
