//! A source file taken apart: its code, without comments and the modules of tests, and its strings.

/// A source file: what it says to the compiler, without comments; and what it says in strings.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) code: String,
    pub(crate) strings: Vec<String>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        let (code, strings) = without_test_modules(text);
        Source { path: path.to_owned(), text: text.to_owned(), code, strings }
    }

    /// Whether it is only compiled for tests.
    pub(crate) fn is_test(&self) -> bool {
        ["tests.rs", "/tests/", "tests/", "/contract/"].iter().any(|sign| match *sign {
            "tests.rs" => self.path.ends_with("/tests.rs"),
            "tests/" => self.path.starts_with("tests/"),
            sign => self.path.contains(sign),
        })
    }

    /// The room it belongs to: the first part of the path behind `root`.
    pub(crate) fn room(&self, root: &str) -> Option<&str> {
        self.path.strip_prefix(root)?.split(['/', '.']).next()
    }

    /// Identifiers that follow `start`, also those in braces: `crate::{a::x, b}` is `a::x` and `b`.
    pub(crate) fn behind(&self, start: &str) -> Vec<String> {
        let flat: String = self.code.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut found = Vec::new();
        for (at, _) in flat.match_indices(start) {
            let before = flat[..at].chars().next_back();
            if before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':') {
                expand("", &flat[at + start.len()..], &mut found);
            }
        }
        found
    }

    pub(crate) fn names(&self, word: &str) -> bool {
        let part = |c: char| c.is_alphanumeric() || c == '_';
        self.code.match_indices(word).any(|(at, _)| {
            !self.code[..at].chars().next_back().is_some_and(part)
                && !self.code[at + word.len()..].chars().next().is_some_and(part)
        })
    }
}

/// Takes one path, or a tree of them in braces, from the start of `text`; what is left behind it.
fn expand<'a>(prefix: &str, text: &'a str, found: &mut Vec<String>) -> &'a str {
    let end = text.find(|c: char| !c.is_alphanumeric() && !"_:".contains(c)).unwrap_or(text.len());
    let (path, mut rest) = text.split_at(end);
    let path = format!("{prefix}{path}");
    if !(rest.starts_with('{') && (path.is_empty() || path.ends_with("::"))) {
        found.push(path.trim_end_matches("::").to_owned());
        return rest;
    }
    rest = rest[1..].trim_start();
    while !rest.is_empty() && !rest.starts_with('}') {
        rest = expand(&path, rest, found);
        rest = rest.find([',', '}']).map_or("", |at| rest[at..].trim_start_matches(',').trim_start());
    }
    rest.strip_prefix('}').unwrap_or(rest)
}

/// The code without comments, with strings emptied and `#[cfg(test)] mod .. { }` left out; and the strings.
fn without_test_modules(text: &str) -> (String, Vec<String>) {
    let (code, strings) = lex(text);
    let (mut out, mut left, mut kept, mut taken) = (String::new(), code.as_str(), Vec::new(), 0);
    while let Some(at) = left.find("#[cfg(test)]\nmod ") {
        let (before, module) = left.split_at(at);
        let open = module.find(['{', ';']).unwrap_or(module.len());
        let mut depth = 0;
        let close = module[open..].find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0
        });
        let (skipped, rest) = module.split_at(open + close.map_or(module.len() - open, |close| close + 1));
        let in_it = |code: &str| code.matches('"').count() / 2;
        kept.extend_from_slice(&strings[taken..taken + in_it(before)]);
        taken += in_it(before) + in_it(skipped);
        out.push_str(before);
        left = rest;
    }
    kept.extend_from_slice(&strings[taken..]);
    out.push_str(left);
    (out, kept)
}

/// Comments out, strings out of the code (an empty pair of quotes stays for each).
fn lex(text: &str) -> (String, Vec<String>) {
    let (mut code, mut strings, mut rest) = (String::new(), Vec::new(), text);
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
        } else if let Some(length) = char_literal(rest) {
            code.push_str("' '");
            rest = &rest[length..];
        } else if let Some((content, length)) = string(rest, code.chars().next_back()) {
            code.push_str("\"\"");
            strings.push(content.to_owned());
            rest = &rest[length..];
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    (code, strings)
}

/// The length of a character such as `'"'`, as against a lifetime.
fn char_literal(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'')?;
    if let Some(escaped) = body.strip_prefix('\\') {
        let first = escaped.chars().next()?.len_utf8();
        return Some(2 + first + escaped[first..].find('\'')? + 1);
    }
    let length = body.chars().next()?.len_utf8();
    body[length..].starts_with('\'').then_some(length + 2)
}

/// The content and the length of a string at the start of `text`, raw or not.
fn string(text: &str, before: Option<char>) -> Option<(&str, usize)> {
    if before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
        && let Some(raw) = text.strip_prefix('r')
    {
        let hashes = raw.chars().take_while(|c| *c == '#').count();
        if let Some(content) = raw[hashes..].strip_prefix('"') {
            let end = content.find(&format!("\"{}", "#".repeat(hashes)))?;
            return Some((&content[..end], 1 + hashes + 1 + end + 1 + hashes));
        }
    }
    let content = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = content.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some((&content[..end], end + 2))
}
