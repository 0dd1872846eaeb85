//! Texts without credentials: addresses as they are typed, and messages of libraries that quote addresses. The only place that decides what
//! of an address may be shown. Pure.

use super::Secret;

const MASK: &str = "[hidden]";
/// Words that tell of a secret when a "=" follows: some cameras want the login in the path.
const TELLING: [&str; 9] = ["pass", "pwd", "token", "secret", "auth", "key", "user", "login", "sign"];
/// Shorter secrets are not searched for outside of addresses: masking every "a" would give the password away rather than hide it.
const SHORTEST_SEARCHED: usize = 3;

/// A text in which no address shows its credentials and none of `secrets` appears.
pub fn redacted(text: &str, secrets: &[Secret]) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, from_scheme) = rest.split_at(at);
        let quoted = &from_scheme[3..];
        let end = quoted.find(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>')).unwrap_or(quoted.len());
        clean += before;
        clean += "://";
        clean += &after_scheme(&quoted[..end]);
        rest = &quoted[end..];
    }
    clean += rest;
    for secret in secrets.iter().map(Secret::reveal).filter(|s| s.len() >= SHORTEST_SEARCHED) {
        clean = clean.replace(secret, MASK);
    }
    clean
}

/// A text that is an address as a whole, blanks and quotes included, without user, password, the values of its query and its fragment.
pub(super) fn address(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", after_scheme(rest)),
        None => path(text),
    }
}

/// Whether a typed address holds what is surely a credential. A query such as `channel=1` is hidden as well, but is none.
pub(super) fn has_credential(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    (rest.len() < text.len() && rest.contains('@')) || rest.split(['/', '?', '&', ';']).any(|p| telling(p).is_some())
}

fn after_scheme(address: &str) -> String {
    let (user, address) = address.rsplit_once('@').map_or((None, address), |(user, rest)| (Some(user), rest));
    // The "@" may stand in a password typed with such characters as well as in a query: nothing is sure to be the host.
    if user.is_some_and(|user| user.contains(['/', '?', '#'])) {
        return MASK.to_owned();
    }
    let (address, fragment) = address.split_once('#').map_or((address, ""), |(a, f)| (a, f));
    let (place, query) = address.split_once('?').map_or((address, None), |(p, q)| (p, Some(q)));
    let mut clean = if user.is_some() { format!("{MASK}@") } else { String::new() };
    clean += &path(place);
    if let Some(query) = query {
        clean.push('?');
        clean += &without_values(query);
    }
    if !fragment.is_empty() {
        clean += "#";
        clean += MASK;
    }
    clean
}

/// Every value goes: which of them a camera takes for a login is known to its maker alone. So does a bare word, which may be a token.
fn without_values(query: &str) -> String {
    let shown = query.split(['&', ';']).map(|pair| match pair.split_once('=') {
        Some((key, _)) => format!("{key}={MASK}"),
        None if pair.is_empty() => String::new(),
        None => MASK.to_owned(),
    });
    shown.collect::<Vec<_>>().join("&")
}

/// Hides the rest of a part of the path after `password=` and the like.
fn path(text: &str) -> String {
    let part = |part: &str| telling(part).map_or_else(|| part.to_owned(), |at| format!("{}{MASK}", &part[..at]));
    text.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Where the value begins that follows a telling word.
fn telling(part: &str) -> Option<usize> {
    // ASCII case only, so that positions in both are the same.
    let lower = part.to_ascii_lowercase();
    let word = TELLING.iter().filter_map(|word| lower.find(word)).min()?;
    Some(word + lower[word..].find('=')? + 1)
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
            ("rtsp://admin:hunt/er2@10.0.0.7/s1", "rtsp://[hidden]"),
            ("rtsp://admin:hunt?er2=1@10.0.0.7/s1", "rtsp://[hidden]"),
            ("rtsp://admin:hunter2%40@[fe80::1]:554/s1", "rtsp://[hidden]@[fe80::1]:554/s1"),
            (
                "rtsp://admin:hunter2@cam/s?channel=1&Password=hunter2",
                "rtsp://[hidden]@cam/s?channel=[hidden]&Password=[hidden]",
            ),
            ("rtsps://cam/s?access_token=hunter2;channel=2", "rtsps://cam/s?access_token=[hidden]&channel=[hidden]"),
            (
                "rtsp://cam/s?user=admin&pwd=hunter2&subtype=0",
                "rtsp://cam/s?user=[hidden]&pwd=[hidden]&subtype=[hidden]",
            ),
            ("rtsp://cam/s?hunter2", "rtsp://cam/s?[hidden]"),
            ("rtsp://cam/s?t=hunt@er2", "rtsp://[hidden]"),
            ("rtsp://cam/s?x=1&sig=hunter2", "rtsp://cam/s?x=[hidden]&sig=[hidden]"),
            ("rtsp://h/user=a_password=hunter2_channel=1.sdp", "rtsp://h/user=[hidden]"),
            ("rtsp://admin:hunter2#x@cam/s", "rtsp://[hidden]"),
            ("rtsp://cam/s#hunter2", "rtsp://cam/s#[hidden]"),
            ("open \"rtsp://a:hunter2@cam/s\" failed", "open \"rtsp://[hidden]@cam/s\" failed"),
            ("http://a:hunter2@x then rtsp://b:hunter2@y", "http://[hidden]@x then rtsp://[hidden]@y"),
            ("no address here", "no address here"),
            ("://", "://"),
        ];
        for (nasty, want) in cases {
            let got = redacted(nasty, &[]);
            assert_eq!(got, want);
            assert!(!got.contains("hunter2") && !got.contains("er2"), "{got}");
        }
    }

    #[test]
    fn a_known_secret_is_hidden_wherever_it_stands() {
        let secrets = [Secret::new("s3cret")];
        assert_eq!(redacted("user s3cret was refused (s3cret)", &secrets), "user [hidden] was refused ([hidden])");
    }

    #[test]
    fn a_typed_address_is_hidden_past_its_blanks() {
        assert_eq!(address("rtsp://u:hun ter2@cam/s"), "rtsp://[hidden]@cam/s");
        assert_eq!(address("rtsp://cam/s?t=hun \"ter2"), "rtsp://cam/s?t=[hidden]");
        assert_eq!(address("/srv/a b.mp4"), "/srv/a b.mp4");
    }

    #[test]
    fn an_ordinary_query_is_no_credential() {
        assert!(!has_credential("rtsp://cam/s?channel=1") && !has_credential("/srv/a@b.mp4"));
        for address in ["rtsp://u:p@cam/s", "rtsp://cam/s?Token=x", "rtsp://h/user=a_password=x"] {
            assert!(has_credential(address), "{address}");
        }
    }
}
