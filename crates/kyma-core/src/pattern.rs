//! Regular expressions as queries write them: the `regex` crate's syntax, with RE2's leniencies.

use std::sync::Mutex;

use regex::{Regex, RegexBuilder};

use crate::error::{Error, Result};
use crate::limits::REGEX_BYTES_MAX;

/// Expressions that are kept: what runs at a time.
const KEPT: usize = 16;
/// Expressions compiled last, the newest at the end. A query asks for its own once per batch.
static COMPILED: Mutex<Vec<(String, Regex)>> = Mutex::new(Vec::new());

/// Compiles an expression of the `regex` crate's syntax, or says what is wrong with it. Expressions used lately are kept.
pub fn compile(pattern: &str) -> Result<Regex> {
    // A lock that a panic poisoned holds what it held before.
    let lock = || COMPILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let take = |kept: &mut Vec<(String, Regex)>| {
        let at = kept.iter().position(|(known, _)| known == pattern)?;
        Some(kept.remove(at))
    };
    let known = take(&mut lock());
    let (name, compiled) = match known {
        Some(known) => known,
        None => (pattern.to_owned(), compile_anew(pattern)?),
    };
    let mut kept = lock();
    take(&mut kept);
    if kept.len() == KEPT {
        kept.remove(0);
    }
    kept.push((name, compiled.clone()));
    Ok(compiled)
}

fn compile_anew(pattern: &str) -> Result<Regex> {
    let build = |pattern: &str| {
        RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX).nest_limit(100).build()
    };
    build(pattern).or_else(|error| build(&lenient(pattern)).map_err(|_| error)).map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => Error::exhausted(
            "function.regex_too_large",
            format!("the regular expression is too large: compiled bytes over {limit}, pattern={pattern}"),
        ),
        error => {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Error::invalid(
                "function.regex",
                format!("the regular expression is not valid: {reason}, pattern={pattern}"),
            )
            .hint("the syntax is that of RE2 and Rust's regex crate: no look-around, no back references")
        }
    })
}

/// Escapes what RE2 takes literally and the `regex` crate does not: a `{` that repeats nothing, `\Q...\E`, `\"`-like escapes.
fn lenient(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            '\\' if after.starts_with('Q') => {
                let quoted = &after[1..];
                let end = quoted.find("\\E").unwrap_or(quoted.len());
                out.push_str(&regex::escape(&quoted[..end]));
                rest = quoted.get(end + 2..).unwrap_or("");
                continue;
            }
            '\\' => {
                let next = after.chars().next();
                match next {
                    Some(next) if !next.is_ascii_alphanumeric() && !next.is_ascii_punctuation() => out.push(next),
                    Some(next) => {
                        out.push('\\');
                        out.push(next);
                    }
                    None => out.push_str("\\\\"),
                }
                rest = next.map_or("", |next| &after[next.len_utf8()..]);
                continue;
            }
            '{' if !is_repetition(after) => out.push_str("\\{"),
            c => out.push(c),
        }
        rest = after;
    }
    out
}

fn is_repetition(after: &str) -> bool {
    let Some(end) = after.find('}') else { return false };
    let body = &after[..end];
    body.starts_with(|c: char| c.is_ascii_digit()) && body.bytes().all(|byte| byte.is_ascii_digit() || byte == b',')
}
