//! Texts taken apart.

use arrow::array::ArrayRef;
use kyma_core::{Error, Result};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value as Json, json};

use super::dynamic::key_path;
use super::{Kernel, kernel};
use crate::{Call, build, json as helpers};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("parse_url", |call| each(call, |text| Some(parse_url(text)))),
    kernel("parse_urlquery", |call| {
        each(call, |text| Some(json!({"Query Parameters": query_parameters(text.strip_prefix('?').unwrap_or(text))})))
    }),
    kernel("parse_path", |call| each(call, |text| Some(parse_path(text)))),
    kernel("parse_csv", |call| each(call, |text| Some(parse_csv(text)))),
    kernel("parse_xml", |call| each(call, parse_xml)),
    kernel("parse_version", parse_version),
    kernel("parse_command_line", parse_command_line),
    kernel("extract_json", extract_json),
];

fn each(call: &Call<'_>, function: impl Fn(&str) -> Option<Json>) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    Ok(build::jsons(call.rows, |row| function(texts.get(row)).map(|value| value.to_string())))
}

fn parse_url(text: &str) -> Json {
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (text, query) = text.split_once('?').unwrap_or((text, ""));
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        None => ("", ""),
    };
    let slash = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(slash);
    let (credentials, server) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (server, ""),
    };
    json!({
        "Scheme": scheme, "Host": host, "Port": port, "Path": path, "Username": user, "Password": password,
        "Query Parameters": query_parameters(query), "Fragment": fragment,
    })
}

/// Parameters with a name and a value, decoded.
fn query_parameters(query: &str) -> Json {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let mut parameters = Map::new();
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !key.is_empty() && !value.is_empty() {
            parameters.insert(decode(key), Json::String(decode(value)));
        }
    }
    Json::Object(parameters)
}

fn parse_path(text: &str) -> Json {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let rest = if scheme.is_empty() { rest } else { rest.trim_start_matches('/') };
    let root = match rest.as_bytes() {
        [drive, b':', ..] if drive.is_ascii_alphabetic() => &rest[..2],
        [b'\\', b'\\', ..] => {
            let host = &rest[2..];
            &rest[..2 + host.find(['\\', '/']).unwrap_or(host.len())]
        }
        _ => "",
    };
    let (path, stream) = match rest[root.len()..].rfind(':') {
        Some(at) => (&rest[..root.len() + at], &rest[root.len() + at + 1..]),
        None => (rest, ""),
    };
    let cut = path.rfind(['\\', '/']);
    let (directory, file) = cut.map_or(("", path), |at| (&path[..at], &path[at + 1..]));
    let parent = directory.rsplit(['\\', '/']).next().unwrap_or("");
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    json!({
        "Scheme": scheme, "RootPath": root, "DirectoryPath": directory, "DirectoryName": parent,
        "Filename": file, "Extension": extension, "AlternateDataStreamName": stream,
    })
}

/// The fields of the first record; quotes are doubled inside quotes.
fn parse_csv(text: &str) -> Json {
    let mut fields = Vec::new();
    let mut field = String::new();
    let (mut quoted, mut chars) = (false, text.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(Json::String(std::mem::take(&mut field))),
            '\r' if !quoted && chars.peek() == Some(&'\n') => break,
            '\n' if !quoted => break,
            c => field.push(c),
        }
    }
    fields.push(Json::String(field));
    Json::Array(fields)
}

/// Up to four numbers of at most eight digits: `1.2.3.40` orders by its parts. Kusto's number is 10^18 times as large, which
/// no decimal of ours holds: the smallest digit of ours is that of the last part.
fn parse_version(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    build::decimals(call.rows, |row| {
        let parts: Vec<&str> = texts.get(row).trim().split('.').collect();
        if parts.len() > 4 {
            return None;
        }
        let mut value: i128 = 0;
        for at in 0..4 {
            let part = match parts.get(at) {
                Some(part) if part.len() <= 8 && !part.is_empty() => part.parse::<u32>().ok()?,
                Some(_) => return None,
                None => 0,
            };
            value = value.checked_mul(100_000_000)?.checked_add(i128::from(part))?;
        }
        Some(value)
    })
}

/// Windows' rules: blanks separate, quotes join, `2n` backslashes before a quote are n.
fn parse_command_line(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, kinds) = (call.texts(0)?, call.texts(1)?);
    build::try_jsons(call.rows, |row| {
        let kind = kinds.get(row);
        if !kind.eq_ignore_ascii_case("windows") {
            return Err(Error::invalid("function.argument", format!("unknown kind of command line: kind={kind}"))
                .hint("use \"windows\""));
        }
        let text = texts.get(row);
        let args = command_line(text);
        Ok((!args.is_empty()).then(|| super::text::quoted(args.iter().map(String::as_str))))
    })
}

fn command_line(text: &str) -> Vec<String> {
    let (mut args, mut current, mut open, mut quoted, mut slashes) = (Vec::new(), String::new(), false, false, 0);
    for c in text.chars() {
        match c {
            '\\' => slashes += 1,
            '"' => {
                current.extend(std::iter::repeat_n('\\', slashes / 2));
                match slashes % 2 {
                    1 => current.push('"'),
                    _ => quoted = !quoted,
                }
                (slashes, open) = (0, true);
            }
            c => {
                current.extend(std::iter::repeat_n('\\', slashes));
                open |= slashes > 0;
                slashes = 0;
                if !c.is_whitespace() || quoted {
                    current.push(c);
                    open = true;
                } else if open {
                    args.push(std::mem::take(&mut current));
                    open = false;
                }
            }
        }
    }
    current.extend(std::iter::repeat_n('\\', slashes));
    if open || slashes > 0 {
        args.push(current);
    }
    args
}

/// `extract_json("$.a.b[0]", text)`.
fn extract_json(call: &Call<'_>) -> Result<ArrayRef> {
    let (paths, texts) = (call.texts(0)?, call.texts(1)?);
    Ok(build::texts(call.rows, |row| {
        let found = || {
            let mut at = &helpers::parse(texts.get(row))?;
            for key in key_path(paths.get(row)) {
                at = match (at, key.parse::<usize>()) {
                    (Json::Array(items), Ok(index)) => items.get(index)?,
                    _ => at.get(&key)?,
                };
            }
            Some(helpers::plain(at))
        };
        found().unwrap_or_default()
    }))
}

/// Deepest nesting of elements.
const XML_DEPTH_MAX: usize = 64;

/// An XML document as bags: attributes as `@name`, text of a mixed element as `#text`, repeated elements as arrays.
fn parse_xml(text: &str) -> Option<Json> {
    let mut reader = Xml { rest: text.trim_start_matches('\u{feff}') };
    reader.skip_misc();
    let (name, value) = reader.element(0)?;
    Some(Json::Object(Map::from_iter([(name, value)])))
}

struct Xml<'t> {
    rest: &'t str,
}

impl<'t> Xml<'t> {
    fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take_until(&mut self, end: &str) -> Option<&'t str> {
        let (before, after) = self.rest.split_once(end)?;
        self.rest = after;
        Some(before)
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Blanks, declarations, comments and document types.
    fn skip_misc(&mut self) {
        loop {
            self.skip_space();
            let skipped = if self.take("<?") {
                self.take_until("?>")
            } else if self.take("<!--") {
                self.take_until("-->")
            } else if self.take("<!DOCTYPE") {
                self.take_until(">")
            } else {
                None
            };
            if skipped.is_none() {
                return;
            }
        }
    }

    fn name(&mut self) -> Option<String> {
        let end = self.rest.find(|c: char| c.is_whitespace() || "=/><".contains(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!name.is_empty()).then(|| name.to_owned())
    }

    fn element(&mut self, depth: usize) -> Option<(String, Json)> {
        if depth > XML_DEPTH_MAX || !self.take("<") {
            return None;
        }
        let name = self.name()?;
        let mut members = Map::new();
        loop {
            self.skip_space();
            if self.take("/>") {
                return Some((
                    name,
                    if members.is_empty() { Json::String(String::new()) } else { Json::Object(members) },
                ));
            }
            if self.take(">") {
                break;
            }
            let attribute = self.name()?;
            self.skip_space();
            if !self.take("=") {
                return None;
            }
            self.skip_space();
            let quote = if self.take("\"") {
                "\""
            } else if self.take("'") {
                "'"
            } else {
                return None;
            };
            let value = unescape(self.take_until(quote)?);
            members.insert(format!("@{attribute}"), Json::String(value));
        }
        let mut content = String::new();
        loop {
            if self.take("<![CDATA[") {
                content.push_str(self.take_until("]]>")?);
            } else if self.take("<!--") {
                self.take_until("-->")?;
            } else if self.take("</") {
                let closing = self.take_until(">")?;
                if closing.trim() != name {
                    return None;
                }
                break;
            } else if self.rest.starts_with('<') {
                let (child, value) = self.element(depth + 1)?;
                insert_child(&mut members, child, value);
            } else {
                let end = self.rest.find('<')?;
                content.push_str(&unescape(&self.rest[..end]));
                self.rest = &self.rest[end..];
            }
        }
        let trimmed = content.trim();
        if members.is_empty() {
            return Some((name, Json::String(trimmed.to_owned())));
        }
        if !trimmed.is_empty() {
            members.insert(String::from("#text"), Json::String(trimmed.to_owned()));
        }
        Some((name, Json::Object(members)))
    }
}

fn insert_child(members: &mut Map<String, Json>, name: String, value: Json) {
    match members.get_mut(&name) {
        Some(Json::Array(items)) => items.push(value),
        Some(one) => *one = Json::Array(vec![one.take(), value]),
        None => _ = members.insert(name, value),
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(';').filter(|end| *end <= 10);
        let decoded = end.and_then(|end| match &rest[1..end] {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            code => match code.strip_prefix("#x") {
                Some(hex) => u32::from_str_radix(hex, 16).ok().and_then(char::from_u32),
                None => code.strip_prefix('#').and_then(|code| code.parse().ok()).and_then(char::from_u32),
            },
        });
        match (decoded, end) {
            (Some(c), Some(end)) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            _ => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}
