//! Rust source as the rules need it: code apart from comments and strings, and every path that the code names.
//! What is allowed belongs to `rules.rs`. No parser crate: the rules look at paths and words, which a scanner of this size gives.

/// One source file: its path relative to the repository, with `/`, and its text.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
}

/// A word or a punctuation mark of code, with its line, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
}

/// A file taken apart.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Code, without comments and literals.
    pub(super) code: Vec<Token>,
    /// What stands inside string literals.
    pub(super) strings: Vec<Token>,
    /// What stands in comments, the slashes included.
    pub(super) comments: Vec<Token>,
}

/// Takes source apart. Unfinished strings and comments reach to the end of the file.
pub(super) fn parts(text: &str) -> Parts {
    let chars: Vec<char> = text.chars().collect();
    let mut parts = Parts::default();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let end = piece_end(&chars, at);
        let piece: String = chars[at..end].iter().collect();
        let token = Token { text: piece.clone(), line };
        if piece.starts_with("//") || piece.starts_with("/*") {
            parts.comments.push(token);
        } else if is_string(&piece) {
            let inside = piece.trim_start_matches(['b', 'r', 'c', '#']).trim_matches(['"', '#']).to_owned();
            parts.strings.push(Token { text: inside, line });
        } else if !piece.starts_with('\'') && !piece.trim().is_empty() {
            parts.code.push(token);
        }
        line += piece.matches('\n').count();
        at = end;
    }
    parts
}

fn is_string(piece: &str) -> bool {
    piece.trim_start_matches(['b', 'r', 'c', '#']).starts_with('"')
}

/// Where the piece that begins at `at` ends: a comment, a literal, a word, `::`, or one character.
fn piece_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => find(chars, at, |c| c == '\n'),
        '/' if next == Some('*') => block_comment_end(chars, at),
        '"' => string_end(chars, at + 1),
        '\'' => quote_end(chars, at),
        ':' if next == Some(':') => at + 2,
        c if c.is_alphanumeric() || c == '_' => {
            let end = find(chars, at, |c| !(c.is_alphanumeric() || c == '_'));
            let prefix: String = chars[at..end].iter().collect();
            let hashes = chars[end..].iter().take_while(|c| **c == '#').count();
            let quoted = chars.get(end + hashes) == Some(&'"');
            match prefix.as_str() {
                "r" | "br" | "cr" if quoted => raw_string_end(chars, end + hashes + 1, hashes),
                "b" | "c" if quoted && hashes == 0 => string_end(chars, end + 1),
                "b" if chars.get(end) == Some(&'\'') => quote_end(chars, end),
                _ => end,
            }
        }
        _ => at + 1,
    }
}

fn find(chars: &[char], from: usize, stop: impl Fn(char) -> bool) -> usize {
    chars[from..].iter().position(|c| stop(*c)).map_or(chars.len(), |n| from + n)
}

fn block_comment_end(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

fn string_end(chars: &[char], from: usize) -> usize {
    let mut at = from;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

fn raw_string_end(chars: &[char], from: usize, hashes: usize) -> usize {
    (from..chars.len())
        .find(|at| chars[*at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes)
        .map_or(chars.len(), |at| at + 1 + hashes)
}

/// A character literal's end; a lifetime ends after its quote, and its name is read as a word.
fn quote_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => find(chars, at + 3, |c| c == '\'').saturating_add(1).min(chars.len()),
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}

/// A path that the code names, each group of a `use` tree spelt out: `use a::{b, c::d}` gives `a::b` and `a::c::d`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
}

impl Named {
    /// Whether the path begins with these segments.
    pub(super) fn starts_with(&self, prefix: &[&str]) -> bool {
        self.segments.len() >= prefix.len() && self.segments.iter().zip(prefix).all(|(a, b)| a == b)
    }

    /// Whether these segments stand in a row somewhere in the path.
    pub(super) fn contains(&self, row: &[&str]) -> bool {
        self.segments.windows(row.len()).any(|w| w.iter().zip(row).all(|(a, b)| a == b))
    }
}

/// Every path of at least two segments, and every single word of a `use` item.
pub(super) fn paths(code: &[Token]) -> Vec<Named> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let starts = is_word(&code[at]) && code.get(at + 1).is_some_and(|t| t.text == "::");
        at = if starts { tree(code, at, &[], &mut all) } else { at + 1 };
    }
    all
}

fn is_word(token: &Token) -> bool {
    token.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads one path or `use` tree that begins at `at`; returns where it ends.
fn tree(code: &[Token], mut at: usize, before: &[String], all: &mut Vec<Named>) -> usize {
    let mut segments = before.to_vec();
    let line = code[at].line;
    while let Some(token) = code.get(at) {
        if token.text == "{" {
            return group(code, at + 1, &segments, all);
        }
        if !is_word(token) && token.text != "*" {
            break;
        }
        segments.push(token.text.clone());
        at += 1;
        if code.get(at).is_none_or(|t| t.text != "::") {
            break;
        }
        at += 1;
    }
    all.push(Named { segments, line });
    at
}

fn group(code: &[Token], mut at: usize, before: &[String], all: &mut Vec<Named>) -> usize {
    while let Some(token) = code.get(at) {
        match token.text.as_str() {
            "}" => return at + 1,
            _ if is_word(token) || token.text == "*" || token.text == "{" => {
                at = tree(code, at, before, all);
                // `as name` follows the path and names nothing new.
                if code.get(at).is_some_and(|t| t.text == "as") {
                    at += 2;
                }
            }
            _ => at += 1,
        }
    }
    at
}

/// The code without what stands under `#[cfg(test)]`: rules about what the daemon does hold for the daemon.
pub(super) fn without_tests(code: &[Token]) -> Vec<Token> {
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < code.len() {
        if code[at..].iter().take(mark.len()).map(|t| t.text.as_str()).eq(mark) {
            at = item_end(code, at + mark.len());
        } else {
            kept.push(code[at].clone());
            at += 1;
        }
    }
    kept
}

/// After the item's closing brace, or after its semicolon when it has none.
fn item_end(code: &[Token], from: usize) -> usize {
    let mut depth = 0usize;
    for (n, token) in code[from..].iter().enumerate() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" if depth <= 1 => return from + n + 1,
            "}" => depth -= 1,
            ";" if depth == 0 => return from + n + 1,
            _ => {}
        }
    }
    code.len()
}

/// Which module of the crate's root each path leads to, with its line: `crate::x`, `peregrine::x`, and `super::` as far as it climbs.
pub(super) fn roots(source: &Source, code: &[Token]) -> Vec<Token> {
    let depth = module_depth(&source.path);
    let inline = inline_depths(code);
    paths(code)
        .iter()
        .filter_map(|path| {
            let head = path.segments[0].as_str();
            let climbed = path.segments.iter().take_while(|s| *s == "super").count();
            let nested = inline.iter().filter(|(from, to)| (*from..=*to).contains(&path.line)).count();
            let after = match head {
                "crate" | "peregrine" => path.segments.get(1),
                "super" if climbed == depth + nested => path.segments.get(climbed),
                _ => None,
            };
            after.map(|name| Token { text: name.clone(), line: path.line })
        })
        .collect()
}

/// How many modules stand between the crate's root and the file: `src/a/mod.rs` 1, `src/a/b.rs` 2, `src/lib.rs` 0.
fn module_depth(path: &str) -> usize {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let parts: Vec<&str> = inside.split('/').collect();
    match parts.last() {
        Some(&("mod.rs" | "lib.rs" | "main.rs")) => parts.len() - 1,
        _ => parts.len(),
    }
}

/// The lines from which to which each `mod name { … }` reaches.
fn inline_depths(code: &[Token]) -> Vec<(usize, usize)> {
    (0..code.len())
        .filter(|at| code[*at].text == "mod" && code.get(at + 2).is_some_and(|t| t.text == "{"))
        .map(|at| {
            let end = item_end(code, at);
            (code[at].line, code[end.min(code.len()) - 1].line)
        })
        .collect()
}
