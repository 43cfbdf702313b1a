//! One error shape for everything that crosses a crate border.
//!
//! A [`Kind`] says what the caller can do next; the `code` is stable and documented; the message is
//! a lower-case sentence without its cause (that is `source()`).

use std::fmt;

/// The result of anything that can fail across a crate border.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The request is wrong; sending it again unchanged fails again.
    Invalid,
    /// The named thing does not exist.
    NotFound,
    /// The state changed underneath; read it again and retry.
    Conflict,
    /// A named limit was reached; ask for less, or later.
    Exhausted,
    /// A part that is needed does not answer; retry with backoff.
    Unavailable,
    /// The caller went away or asked to stop.
    Cancelled,
    /// Stored bytes are not what was written.
    Corrupt,
    /// A defect of kyma.
    Internal,
}

impl Kind {
    /// The kind in one word, as it is written down: in JSON and in labels of metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Invalid => "invalid",
            Kind::NotFound => "not_found",
            Kind::Conflict => "conflict",
            Kind::Exhausted => "exhausted",
            Kind::Unavailable => "unavailable",
            Kind::Cancelled => "cancelled",
            Kind::Corrupt => "corrupt",
            Kind::Internal => "internal",
        }
    }

    /// The HTTP status of this kind.
    pub const fn http_status(self) -> u16 {
        match self {
            Kind::Invalid => 400,
            Kind::NotFound => 404,
            Kind::Conflict => 409,
            Kind::Exhausted => 429,
            Kind::Unavailable => 503,
            Kind::Cancelled => 499,
            Kind::Corrupt | Kind::Internal => 500,
        }
    }

    /// The numeric gRPC status code of this kind.
    pub const fn grpc_code(self) -> i32 {
        match self {
            Kind::Invalid => 3,
            Kind::NotFound => 5,
            Kind::Conflict => 10,
            Kind::Exhausted => 8,
            Kind::Unavailable => 14,
            Kind::Cancelled => 1,
            Kind::Corrupt => 15,
            Kind::Internal => 13,
        }
    }
}

/// A half-open byte range of the text that an error speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// A span over `start..end`.
    pub const fn new(start: usize, end: usize) -> Self {
        Span { start, end }
    }

    /// The smallest span that covers both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// An error with a stable code, a sentence, a hint and, for texts, the place.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    code: &'static str,
    message: String,
    hint: Option<String>,
    span: Option<Span>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with a stable `code` such as `ingest.body_too_large`.
    pub fn new(kind: Kind, code: &'static str, message: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, code, message: message.into(), hint: None, span: None, source: None }))
    }

    /// The request is wrong.
    pub fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, code, message)
    }

    /// The named thing does not exist.
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, code, message)
    }

    /// The state changed underneath.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, code, message)
    }

    /// A named limit was reached.
    pub fn exhausted(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Exhausted, code, message)
    }

    /// A part that is needed does not answer.
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, code, message)
    }

    /// The caller went away or asked to stop.
    pub fn cancelled(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Cancelled, code, message)
    }

    /// Stored bytes are not what was written.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(Kind::Corrupt, "storage.corrupt", message)
    }

    /// A defect of kyma.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, "internal", message)
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the place in the user's text.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.0.span = Some(span);
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What the caller can do.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The sentence, without the cause.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What the user can do, if known.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The place in the user's text, if there is one.
    pub fn span(&self) -> Option<Span> {
        self.0.span
    }

    /// The sentence followed by every cause, for logs.
    pub fn chain(&self) -> String {
        let mut text = self.0.message.clone();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({}): {}", self.0.kind, self.0.code, self.chain())?;
        match &self.0.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as _)
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Error::internal("an arrow kernel failed").because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_names_every_cause() {
        let inner = Error::unavailable("store.unreachable", "the store does not answer");
        let outer = Error::internal("flush failed").because(inner);
        assert_eq!(outer.chain(), "flush failed: the store does not answer");
        assert_eq!(outer.kind(), Kind::Internal);
    }
}
