//! The rows as a user of Parquet or ClickHouse would store them: nested scalars as columns `k8s.pod`, arrays as JSON text.

use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::writer::FileWriter;
use kyma_core::Type;
use kyma_core::format::ReadColumn;
use kyma_core::predicate::ColumnRef;

use crate::rows::{Mixed, build, members};

/// A dynamic column with more paths stays JSON text.
const PATHS_MAX: usize = 1_000;
const BATCH_ROWS: usize = 65_536;

/// Flat rows.
#[derive(Debug)]
pub(crate) struct Flat {
    pub(crate) schema: SchemaRef,
    /// How TLM is asked for the same columns.
    pub(crate) paths: Vec<ReadColumn>,
    rows: RecordBatch,
}

/// Flattens batches of one schema.
pub(crate) fn flatten<'a>(batches: impl Iterator<Item = &'a RecordBatch>) -> Result<Flat> {
    let batches: Vec<&RecordBatch> = batches.collect();
    let schema = batches.first().context("no rows")?.schema();
    let rows = arrow::compute::concat_batches(&schema, batches)?;
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    let mut paths = Vec::new();
    for (field, array) in schema.fields().iter().zip(rows.columns()) {
        let ty = Type::of_field(field);
        let parts = if ty == Type::Dynamic { parts_of(field.name(), array)? } else { None };
        let Some(parts) = parts else {
            columns.push((field.name().clone(), plain(array)?));
            paths.push(ReadColumn::column(field.name(), ty));
            continue;
        };
        for (part, values) in parts.schema().fields().iter().zip(parts.columns()) {
            let keys: Vec<String> = part.name().split(SEPARATOR).skip(1).map(str::to_owned).collect();
            let ty = if keys.is_empty() { Type::Dynamic } else { Type::of_field(part) };
            paths.push(ReadColumn { source: ColumnRef::path(field.name(), keys), ty });
            columns.push((part.name().replace(SEPARATOR, "."), plain(values)?));
        }
    }
    distinct_names(&mut columns);
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(name, array.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let rows = RecordBatch::try_new(schema.clone(), columns.into_iter().map(|(_, array)| array).collect())?;
    Ok(Flat { schema, paths, rows })
}

/// Between the keys of a path while dots in keys must not be mistaken for steps.
const SEPARATOR: char = '\u{1f}';

/// The scalars and arrays inside a dynamic column; `None` when there are too many.
fn parts_of(name: &str, array: &ArrayRef) -> Result<Option<RecordBatch>> {
    let column = array.as_string_view();
    let mut walk = |row: usize, visit: &mut dyn FnMut(&str, &str)| match column.is_null(row) {
        true => Ok(()),
        false => leaves(&mut name.to_owned(), column.value(row), visit),
    };
    let parts = build(column.len(), &mut walk, Mixed::Text)?;
    Ok((parts.num_columns() <= PATHS_MAX).then_some(parts))
}

/// Calls `visit` with the path and raw value of everything in `json` that is no object.
fn leaves(path: &mut String, json: &str, visit: &mut dyn FnMut(&str, &str)) -> Result<()> {
    if !json.starts_with('{') {
        visit(path, json);
        return Ok(());
    }
    let length = path.len();
    let mut outcome = Ok(());
    members(json, &mut |key, raw| {
        path.push(SEPARATOR);
        path.push_str(key);
        let inner = leaves(path, raw, visit);
        path.truncate(length);
        if outcome.is_ok() {
            outcome = inner;
        }
    })?;
    outcome
}

/// Types that every rival reads.
fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(if *array.data_type() == DataType::Utf8View { cast(array, &DataType::Utf8)? } else { array.clone() })
}

fn distinct_names(columns: &mut [(String, ArrayRef)]) {
    let mut seen = std::collections::HashSet::new();
    for (name, _) in columns {
        while !seen.insert(name.clone()) {
            name.push('_');
        }
    }
}

impl Flat {
    /// Writes the rows as an Arrow file.
    #[expect(clippy::disallowed_methods, reason = "a benchmark's own file for other programs, nothing of the engine's")]
    pub(crate) fn write(&self, path: &str) -> Result<()> {
        let file = std::fs::File::create(path).with_context(|| path.to_owned())?;
        let mut writer = FileWriter::try_new_buffered(file, &self.schema)?;
        for start in (0..self.rows.num_rows()).step_by(BATCH_ROWS) {
            writer.write(&self.rows.slice(start, BATCH_ROWS.min(self.rows.num_rows() - start)))?;
        }
        Ok(writer.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringViewArray;

    #[test]
    fn nested_values_become_columns() {
        let json = StringViewArray::from(vec![Some(r#"{"a":{"b.c":1},"d":[2]}"#), None, Some("\"x\"")]);
        let field = Type::Dynamic.field("k");
        let rows = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::new(json)]).unwrap();
        let flat = flatten([&rows].into_iter()).unwrap();
        let names: Vec<_> = flat.schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["k.a.b.c", "k.d", "k"]);
        assert_eq!(flat.paths[0].source.path, ["a", "b.c"]);
    }
}
