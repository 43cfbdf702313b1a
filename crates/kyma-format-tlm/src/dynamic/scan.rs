//! Cuts compact JSON into leaves. Strict: what it accepts is valid JSON without white space between tokens.

use std::borrow::Cow;

use kyma_core::dynamic::{self, DEPTH_MAX};

use super::paths::{PathId, Paths};

/// What a leaf can be shredded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An integer that prints as it was written.
    Long,
    /// A real that prints as it was written.
    Real,
    /// `true` or `false`.
    Bool,
    /// A string that quotes as it was written.
    Text,
    /// An array.
    Array,
    /// `null`, though a path reads it like nothing at all.
    Null,
    /// `{}`, or another spelling: kept as text.
    Other,
    /// A whole row that could not be taken apart.
    Raw,
}

/// A value that is not a non-empty object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaf {
    /// Where it is.
    pub(crate) path: PathId,
    /// What it can become.
    pub(crate) kind: Kind,
    /// Its first byte in the row's text.
    pub(crate) start: u32,
    /// One past its last byte.
    pub(crate) end: u32,
}

/// Numbers of one scan.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    text: &'a str,
    at: usize,
    paths: &'a mut Paths,
    leaves: &'a mut Vec<Leaf>,
    objects: &'a mut Vec<PathId>,
    has_duplicates: bool,
}

/// What a scan found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// The leaves are the value.
    Leaves,
    /// Valid JSON, every path numbered, but some object has a key twice.
    Duplicates,
    /// Not compact JSON, too deep, or too many paths; nothing is known.
    Opaque,
}

/// Appends the leaves of `text`, the value at `base`, to `leaves` and the paths of its non-empty objects to `objects`.
pub(crate) fn scan(
    text: &str,
    base: PathId,
    paths: &mut Paths,
    leaves: &mut Vec<Leaf>,
    objects: &mut Vec<PathId>,
) -> Scanned {
    if u32::try_from(text.len()).is_err() {
        return Scanned::Opaque;
    }
    let mut scan = Scan { text, at: 0, paths, leaves, objects, has_duplicates: false };
    match scan.value(base, 0) {
        Some(()) if scan.at < text.len() => Scanned::Opaque,
        Some(()) if scan.has_duplicates => Scanned::Duplicates,
        Some(()) => Scanned::Leaves,
        None => Scanned::Opaque,
    }
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    fn value(&mut self, path: PathId, depth: usize) -> Option<()> {
        let start = self.at;
        let kind = match self.peek()? {
            b'{' if !self.text[start..].starts_with("{}") => return self.object(path, depth + 1),
            b'{' => {
                self.at += 2;
                Kind::Other
            }
            b'"' => self.text_kind()?,
            b't' => {
                self.word("true")?;
                Kind::Bool
            }
            b'f' => {
                self.word("false")?;
                Kind::Bool
            }
            b'-' | b'0'..=b'9' => self.number_kind()?,
            b'n' => {
                self.word("null")?;
                Kind::Null
            }
            _ => {
                self.skip(depth)?;
                Kind::Array
            }
        };
        self.leaves.push(Leaf { path, kind, start: start as u32, end: self.at as u32 });
        Some(())
    }

    fn object(&mut self, path: PathId, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.objects.push(path);
        self.eat(b'{')?;
        let object = self.paths.next_object();
        loop {
            let key = self.key()?;
            self.eat(b':')?;
            let child = self.paths.intern(path, &key)?;
            self.has_duplicates |= !self.paths.mark(child, object);
            self.value(child, depth)?;
            match self.peek()? {
                b',' => self.at += 1,
                _ => break,
            }
        }
        self.eat(b'}')
    }

    fn key(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at;
        let has_escapes = self.string()?;
        let raw = &self.text[start..self.at];
        if has_escapes {
            sonic_rs::from_str::<String>(raw).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(&raw[1..raw.len() - 1]))
        }
    }

    fn text_kind(&mut self) -> Option<Kind> {
        let start = self.at;
        let has_escapes = self.string()?;
        if !has_escapes {
            return Some(Kind::Text);
        }
        let raw = &self.text[start..self.at];
        let text = sonic_rs::from_str::<String>(raw).ok()?;
        Some(if dynamic::quote(&text) == raw { Kind::Text } else { Kind::Other })
    }

    /// Skips a string; says whether it has escapes.
    fn string(&mut self) -> Option<bool> {
        self.eat(b'"')?;
        let mut has_escapes = false;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    has_escapes = true;
                    self.at += 1;
                    self.escape()?;
                }
                byte if byte < 0x20 => return None,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(has_escapes)
    }

    fn escape(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                let digits = self.text.as_bytes().get(self.at + 1..self.at + 5)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                self.at += 5;
            }
            _ => return None,
        }
        Some(())
    }

    fn number_kind(&mut self) -> Option<Kind> {
        let start = self.at;
        let is_integer = self.number()?;
        let raw = &self.text[start..self.at];
        if is_integer {
            let fits = raw != "-0" && raw.parse::<i64>().is_ok();
            return Some(if fits { Kind::Long } else { Kind::Other });
        }
        let is_canonical = raw.parse::<f64>().is_ok_and(|real| real.is_finite() && real_text(real) == raw);
        Some(if is_canonical { Kind::Real } else { Kind::Other })
    }

    /// Skips a number; says whether it has neither fraction nor exponent.
    fn number(&mut self) -> Option<bool> {
        let mut is_integer = true;
        if self.peek()? == b'-' {
            self.at += 1;
        }
        match self.peek()? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
            is_integer = false;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
            is_integer = false;
        }
        Some(is_integer)
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// The elements of the array that the text is: where each starts, and one past its end.
    fn elements(&mut self, out: &mut Vec<(u32, u32)>) -> Option<()> {
        self.eat(b'[')?;
        if self.peek()? == b']' {
            return self.eat(b']');
        }
        loop {
            let start = self.at as u32;
            self.skip(0)?;
            out.push((start, self.at as u32));
            match self.peek()? {
                b',' => self.at += 1,
                _ => return self.eat(b']'),
            }
        }
    }

    /// Skips any value: the inside of arrays.
    fn skip(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'n' => self.word("null"),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'"' => self.string().map(|_| ()),
            b'[' => self.skip_members(depth + 1, b'[', b']'),
            b'{' => self.skip_members(depth + 1, b'{', b'}'),
            _ => self.number().map(|_| ()),
        }
    }

    fn skip_members(&mut self, depth: usize, open: u8, close: u8) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.eat(open)?;
        if self.peek()? == close {
            return self.eat(close);
        }
        loop {
            if open == b'{' {
                self.string()?;
                self.eat(b':')?;
            }
            self.skip(depth)?;
            match self.peek()? {
                b',' => self.at += 1,
                _ => return self.eat(close),
            }
        }
    }
}

/// Appends where the elements of the JSON array `text` are; false when it is none.
pub(crate) fn elements(text: &str, out: &mut Vec<(u32, u32)>) -> bool {
    let (mut paths, mut leaves, mut objects) = (Paths::new(0), Vec::new(), Vec::new());
    let mut scan =
        Scan { text, at: 0, paths: &mut paths, leaves: &mut leaves, objects: &mut objects, has_duplicates: false };
    scan.elements(out).is_some() && scan.at == text.len()
}

/// How a shredded real prints.
pub(crate) fn real_text(real: f64) -> String {
    sonic_rs::to_string(&real).unwrap_or_default()
}
