//! Pruning of row groups by Bloom filters.
//!
//! 1. `columns` names the string and guid columns that a predicate compares for equality.
//! 2. The reader fetches their filters, for row groups that have candidates left.
//! 3. `can_match` evaluates the predicate: "certainly none", or "maybe".

use kyma_core::format::PruneRequest;
use kyma_core::predicate::{ColumnRef, CompareOp, Predicate, TextOp};
use kyma_core::schema::Schema;
use kyma_core::types::Type;
use kyma_core::value::Value;
use parquet::bloom_filter::Sbbf;

/// Places of the columns of `stored` whose filters say something about the request's predicate, ascending.
pub(crate) fn columns(request: &PruneRequest<'_>, stored: &Schema) -> Vec<usize> {
    let mut found = Vec::new();
    collect(request.predicate, request, stored, &mut found);
    found.sort_unstable();
    found.dedup();
    found
}

fn collect(predicate: &Predicate, request: &PruneRequest<'_>, stored: &Schema, found: &mut Vec<usize>) {
    match predicate {
        Predicate::And(parts) | Predicate::Or(parts) => {
            parts.iter().for_each(|part| collect(part, request, stored, found));
        }
        other => found.extend(equality(other).and_then(|(column, _)| place(column, request, stored))),
    }
}

/// Whether a row of the row group may make the predicate true; `filter` gives the filter of a column, if there is one.
pub(crate) fn can_match<'a>(
    predicate: &Predicate,
    request: &PruneRequest<'_>,
    stored: &Schema,
    filter: &impl Fn(usize) -> Option<&'a Sbbf>,
) -> bool {
    match predicate {
        Predicate::And(parts) => parts.iter().all(|part| can_match(part, request, stored, filter)),
        Predicate::Or(parts) => parts.iter().any(|part| can_match(part, request, stored, filter)),
        other => {
            let Some((column, values)) = equality(other) else { return true };
            let Some(at) = place(column, request, stored) else { return true };
            let (Some(filter), Some(column)) = (filter(at), stored.columns().get(at)) else { return true };
            values.into_iter().any(|value| may_hold(filter, column.ty, value, request.null_strings_are_empty))
        }
    }
}

/// One of the values that a column must equal.
#[derive(Clone, Copy)]
enum Needle<'a> {
    Text(&'a str),
    Guid(u128),
    /// What no filter can answer.
    Other,
}

impl<'a> From<&'a Value> for Needle<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::String(text) => Needle::Text(text),
            Value::Guid(guid) => Needle::Guid(*guid),
            _ => Needle::Other,
        }
    }
}

fn equality(predicate: &Predicate) -> Option<(&ColumnRef, Vec<Needle<'_>>)> {
    match predicate {
        Predicate::Compare { column, op: CompareOp::Equal, value } => Some((column, vec![value.into()])),
        Predicate::In { column, values } => Some((column, values.iter().map(Needle::from).collect())),
        Predicate::Text { column, op: TextOp::Equal, needle, case_sensitive: true } => {
            Some((column, vec![Needle::Text(needle)]))
        }
        _ => None,
    }
}

/// The place of a column that is stored, and read, as a string or a guid.
fn place(column: &ColumnRef, request: &PruneRequest<'_>, stored: &Schema) -> Option<usize> {
    let at = stored.index_of(&column.column).filter(|_| column.path.is_empty())?;
    let ty = stored.columns().get(at)?.ty;
    let is_same = request.schema.column(&column.column).is_some_and(|read| read.ty == ty);
    (is_same && matches!(ty, Type::String | Type::Guid)).then_some(at)
}

fn may_hold(filter: &Sbbf, ty: Type, needle: Needle<'_>, null_strings_are_empty: bool) -> bool {
    match (needle, ty) {
        // Nulls are in no filter.
        (Needle::Text(""), Type::String) if null_strings_are_empty => true,
        (Needle::Text(text), Type::String) => filter.check(text.as_bytes()),
        (Needle::Guid(guid), Type::Guid) => filter.check(guid.to_be_bytes().as_slice()),
        _ => true,
    }
}
