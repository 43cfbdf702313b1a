//! What is wrong with a query text, and where.

use std::fmt;

use kyma_core::error::{Error, Span};
use serde::{Deserialize, Serialize};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The query cannot run.
    Error,
    /// The query runs, perhaps not as meant.
    Warning,
}

/// One remark about a query text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Stable code, `kql.syntax` or `kql.unknown_column` for example.
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// A lower-case sentence.
    pub message: String,
    /// Bytes of the text that it speaks of.
    pub span: Span,
    /// What the user can do.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error with a stable code at a place.
    pub fn error(code: &str, message: impl Into<String>, span: Span) -> Self {
        Diagnostic { code: code.to_owned(), severity: Severity::Error, message: message.into(), span, hint: None }
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The message with its line and a caret line under the place, for terminals.
    pub fn render(&self, text: &str) -> String {
        let start = floor_boundary(text, self.span.start);
        let end = floor_boundary(text, self.span.end.max(start));
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line_number = text[..start].matches('\n').count() + 1;
        let column = text[line_start..start].chars().count();
        let width = text[start..end.min(line_end).max(start)].chars().count().max(1);
        let shown: String = text[line_start..line_end].replace('\t', " ");
        let gutter = format!("{line_number} | ");
        let pad = " ".repeat(gutter.chars().count() + column);
        let mut out = format!("{}: {}\n{gutter}{shown}\n{pad}{}", self.code, self.message, "^".repeat(width));
        if let Some(hint) = &self.hint {
            out.push_str(&format!("\nhint: {hint}"));
        }
        out
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// Everything wrong with a text; never empty when returned as an error.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<&str> = self.0.iter().map(|diagnostic| diagnostic.message.as_str()).collect();
        f.write_str(&messages.join("; "))
    }
}

impl std::error::Error for Diagnostics {}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Diagnostics(vec![diagnostic])
    }
}

impl From<Diagnostics> for Error {
    fn from(diagnostics: Diagnostics) -> Self {
        let first = diagnostics.0.first().cloned();
        let error = Error::invalid("query.invalid", diagnostics.to_string());
        match first {
            Some(Diagnostic { span, hint: Some(hint), .. }) => error.at(span).hint(hint),
            Some(Diagnostic { span, .. }) => error.at(span),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place() {
        let text = "Logs\n| wher Level == 1";
        let shown = Diagnostic::error("kql.syntax", "unknown operator 'wher'", Span::new(7, 11))
            .hint("did you mean 'where'?")
            .render(text);
        assert_eq!(
            shown,
            "kql.syntax: unknown operator 'wher'\n2 | | wher Level == 1\n      ^^^^\nhint: did you mean 'where'?"
        );
    }
}
