//! `externaldata`: rows of files elsewhere. Whether the node may fetch them is known only when it runs.

use kyma_core::error::Span;
use kyma_core::{Column, Schema, Type, Value};
use kyma_plan::external::{External, ExternalColumn, ExternalFormat};
use kyma_plan::{Node, Plan};

use super::naming::Names;
use super::{Bind, Binder, ScopeId, fail, fail_with_hint};
use crate::ast::{self, ExprKind, Param, Settings};

impl Binder<'_> {
    pub(super) fn external(
        &mut self,
        params: &[Param],
        urls: &[ast::Expr],
        settings: &Settings,
        scope: ScopeId,
        span: Span,
    ) -> Bind<Plan> {
        let mut names = Names::default();
        let schema: Schema = params
            .iter()
            .map(|param| Column::new(names.unique(&param.name.text), param.ty.unwrap_or(Type::Dynamic)))
            .collect();
        if schema.is_empty() {
            return fail("kql.syntax", "externaldata needs columns", span);
        }
        let mut addresses = Vec::with_capacity(urls.len());
        for url in urls {
            match self.constant(url, scope)? {
                Value::String(address) => addresses.push(address),
                _ => return fail("kql.type", "a URL is a string", url.span),
            }
        }
        if addresses.is_empty() {
            return fail("kql.syntax", "externaldata needs a URL", span);
        }
        let (mut format, mut ignore_first, mut mapping) = (None, false, None);
        for (name, value) in settings {
            let text = self.setting_text(value, scope)?;
            match name.text.to_ascii_lowercase().as_str() {
                "format" => format = Some(format_named(&text, value.span)?),
                "ignorefirstrecord" => ignore_first = text.eq_ignore_ascii_case("true"),
                "ingestionmapping" => mapping = Some(mapping_of(&text, value.span)?),
                // Others say how a cluster stores or unpacks, and are read past as it does.
                _ => {}
            }
        }
        let columns = schema.columns().iter().enumerate().map(|(at, column)| {
            let mapped = mapping.iter().flatten().find(|(name, _)| *name == column.name).map(|(_, from)| from.clone());
            mapped.unwrap_or(ExternalColumn::Default(at))
        });
        let external = External { urls: addresses, format, ignore_first, columns: columns.collect() };
        Ok(Plan::new(Node::External(Box::new(external)), schema, span))
    }

    fn setting_text(&mut self, value: &ast::Expr, scope: ScopeId) -> Bind<String> {
        if let ExprKind::Name(word) = &value.kind
            && self.lookup(word, scope).is_none()
        {
            return Ok(word.clone());
        }
        Ok(match self.constant(value, scope)? {
            Value::String(text) | Value::Dynamic(text) => text,
            Value::Bool(truth) => truth.to_string(),
            Value::Long(number) => number.to_string(),
            _ => String::new(),
        })
    }
}

fn format_named(name: &str, span: Span) -> Bind<ExternalFormat> {
    match ExternalFormat::named(name) {
        Some(format) => Ok(format),
        None => {
            let hint = Some(format!("formats that are read: {}", ExternalFormat::NAMES.join(", ")));
            fail_with_hint("kql.unsupported", format!("the format '{name}' is not supported"), span, hint)
        }
    }
}

/// `[{"Column": "a", "Properties": {"Path": "$.x"}}]`, or with `column`, `path`, `ordinal` in the entry itself.
fn mapping_of(text: &str, span: Span) -> Bind<Vec<(String, ExternalColumn)>> {
    let bad = || fail("kql.syntax", "the ingestion mapping is a JSON array of columns", span);
    let Ok(serde_json::Value::Array(entries)) = serde_json::from_str(text) else { return bad() };
    let mut columns = Vec::with_capacity(entries.len());
    for entry in &entries {
        let member = |name: &str| member(entry, name).or_else(|| member(entry.get("Properties")?, name));
        let Some(name) = member("column").and_then(|name| name.as_str().map(str::to_owned)) else { return bad() };
        let path = member("path").and_then(|path| path.as_str().map(str::to_owned));
        let ordinal = member("ordinal").and_then(|at| match &at {
            serde_json::Value::String(text) => text.parse().ok(),
            other => other.as_u64().and_then(|at| usize::try_from(at).ok()),
        });
        let from = match (path, ordinal) {
            (Some(path), _) => match keys_of(&path) {
                Some(keys) => ExternalColumn::Path(keys),
                None => return fail("kql.unsupported", format!("the path '{path}' is not supported"), span),
            },
            (None, Some(at)) => ExternalColumn::Place(at),
            (None, None) => continue,
        };
        columns.push((name, from));
    }
    Ok(columns)
}

/// A member of an object, whatever the case of its name.
fn member(object: &serde_json::Value, name: &str) -> Option<serde_json::Value> {
    object.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
}

/// The keys of `$.a.b`, `$['a']['b']`.
fn keys_of(path: &str) -> Option<Vec<String>> {
    let mut rest = path.strip_prefix('$')?;
    let mut keys = Vec::new();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("['").or_else(|| rest.strip_prefix("[\"")) {
            let end = quoted.find(['\'', '"'])?;
            keys.push(quoted[..end].to_owned());
            rest = quoted[end + 1..].strip_prefix(']')?;
            continue;
        }
        let plain = rest.strip_prefix('.')?;
        let end = plain.find(['.', '[']).unwrap_or(plain.len());
        if end == 0 {
            return None;
        }
        keys.push(plain[..end].to_owned());
        rest = &plain[end..];
    }
    (!keys.is_empty()).then_some(keys)
}
