//! Bytes of files elsewhere to rows: what `externaldata` reads.
//!
//! 1. Compressed bytes (gzip, told by their first bytes) are inflated, within a limit.
//! 2. Records become texts or JSON values, by the file's format.
//! 3. Each column is taken from its place or path and converted to its type; what does not convert is null.

use std::borrow::Cow;
use std::io::Read;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringViewArray};
use kyma_core::{Column, Error, Result, Schema, Type};
use kyma_functions::{Arg, convert, path};
use kyma_plan::external::{External, ExternalColumn, ExternalFormat};

/// How many times its compressed bytes a file may have.
const INFLATED_TIMES_MAX: u64 = 20;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZIP: [u8; 4] = *b"PK\x03\x04";

/// Records of a file.
enum Records {
    Fields(Vec<Vec<String>>),
    /// JSON texts.
    Objects(Vec<String>),
}

/// The rows of one file.
pub(crate) fn rows(
    external: &External,
    schema: &Schema,
    url: &str,
    bytes: &[u8],
    bytes_max: u64,
) -> Result<RecordBatch> {
    let bytes = inflated(bytes, url, bytes_max)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let name = url.split(['?', '#', ';']).next().unwrap_or(url);
    let format = external.format.or_else(|| ExternalFormat::of_file(name)).unwrap_or(ExternalFormat::Separated(b','));
    let records = records(format, bytes, url)?;
    let skipped = usize::from(external.ignore_first);
    let columns = external.columns.iter().zip(schema.columns());
    let (columns, count) = match &records {
        Records::Fields(records) => {
            let records = records.get(skipped..).unwrap_or_default();
            let columns = columns.map(|(from, column)| of_fields(records, from, column));
            (columns.collect::<Result<Vec<_>>>()?, records.len())
        }
        Records::Objects(objects) => {
            // Objects have no first record that names columns.
            let objects: ArrayRef = Arc::new(StringViewArray::from_iter_values(objects));
            let columns = columns.map(|(from, column)| of_objects(&objects, from, column));
            (columns.collect::<Result<Vec<_>>>()?, objects.len())
        }
    };
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    Ok(RecordBatch::try_new_with_options(schema.arrow(), columns, &options)?)
}

fn inflated<'a>(bytes: &'a [u8], url: &str, bytes_max: u64) -> Result<Cow<'a, [u8]>> {
    if bytes.starts_with(&ZIP) {
        return Err(
            Error::invalid("query.external_format", format!("zip archives are not read: url={url}")).hint("gzip is")
        );
    }
    if !bytes.starts_with(&GZIP) {
        return Ok(Cow::Borrowed(bytes));
    }
    let limit = bytes_max.saturating_mul(INFLATED_TIMES_MAX);
    let mut inflated = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(bytes).take(limit.saturating_add(1));
    reader
        .read_to_end(&mut inflated)
        .map_err(|error| Error::invalid("query.external_format", format!("not gzip: url={url}")).because(error))?;
    if inflated.len() as u64 > limit {
        let text = format!("a file elsewhere is too large when inflated: url={url}, limit={limit}");
        return Err(Error::exhausted("query.external_too_large", text));
    }
    Ok(Cow::Owned(inflated))
}

fn records(format: ExternalFormat, bytes: &[u8], url: &str) -> Result<Records> {
    let text = || String::from_utf8_lossy(bytes);
    Ok(match format {
        ExternalFormat::Lines => Records::Fields(text().lines().map(|line| vec![line.to_owned()]).collect()),
        ExternalFormat::Whole => Records::Fields(vec![vec![text().into_owned()]]),
        ExternalFormat::Separated(separator) => Records::Fields(separated(separator, bytes, url)?),
        ExternalFormat::Json => Records::Objects(objects(bytes, url)?),
    })
}

fn separated(separator: u8, bytes: &[u8], url: &str) -> Result<Vec<Vec<String>>> {
    let mut reader =
        csv::ReaderBuilder::new().delimiter(separator).has_headers(false).flexible(true).from_reader(bytes);
    let mut records = Vec::new();
    for record in reader.byte_records() {
        let record = record.map_err(|error| {
            Error::invalid("query.external_format", format!("a record cannot be read: url={url}")).because(error)
        })?;
        records.push(record.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect());
    }
    Ok(records)
}

fn objects(bytes: &[u8], url: &str) -> Result<Vec<String>> {
    let mut objects = Vec::new();
    for value in serde_json::Deserializer::from_slice(bytes).into_iter::<serde_json::Value>() {
        let value = value
            .map_err(|error| Error::invalid("query.external_format", format!("not JSON: url={url}")).because(error))?;
        match value {
            serde_json::Value::Array(items) => objects.extend(items.iter().map(ToString::to_string)),
            other => objects.push(other.to_string()),
        }
    }
    Ok(objects)
}

fn of_fields(records: &[Vec<String>], from: &ExternalColumn, column: &Column) -> Result<ArrayRef> {
    let texts = |place: usize| records.iter().map(move |record| record.get(place).map_or("", String::as_str));
    let texts: ArrayRef = match from {
        ExternalColumn::Default(place) | ExternalColumn::Place(place) => {
            Arc::new(StringViewArray::from_iter_values(texts(*place)))
        }
        ExternalColumn::Path(_) => Arc::new(StringViewArray::from_iter_values(records.iter().map(|_| ""))),
    };
    convert(&Arg::Array(texts), Type::String, column.ty, records.len())
}

fn of_objects(objects: &ArrayRef, from: &ExternalColumn, column: &Column) -> Result<ArrayRef> {
    let found = match from {
        ExternalColumn::Default(_) => path(objects, std::slice::from_ref(&column.name))?,
        ExternalColumn::Path(keys) => path(objects, keys)?,
        ExternalColumn::Place(_) => {
            let nothing: StringViewArray = objects.as_string_view().iter().map(|_| None::<&str>).collect();
            Arc::new(nothing)
        }
    };
    let rows = found.len();
    convert(&Arg::Array(found), Type::Dynamic, column.ty, rows)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use kyma_core::Value;
    use kyma_functions::array_value;

    fn external(ignore_first: bool, columns: Vec<ExternalColumn>) -> External {
        External { urls: Vec::new(), format: None, ignore_first, columns }
    }

    fn check(url: &str, bytes: &[u8], ignore_first: bool, expected: &[(i64, &str)]) {
        let schema = Schema::from([("n", Type::Long), ("s", Type::String)]);
        let columns = vec![ExternalColumn::Default(0), ExternalColumn::Default(1)];
        let batch = rows(&external(ignore_first, columns), &schema, url, bytes, 1_000).unwrap();
        let found: Vec<(Value, Value)> = (0..batch.num_rows())
            .map(|row| {
                let value = |at: usize, ty| array_value(batch.column(at), row, ty);
                (value(0, Type::Long), value(1, Type::String))
            })
            .collect();
        let expected: Vec<(Value, Value)> =
            expected.iter().map(|(n, s)| (Value::Long(*n), Value::String((*s).to_owned()))).collect();
        assert_eq!(found, expected, "{url}");
    }

    #[test]
    fn formats_by_name() {
        check("https://h/x.csv?k=1", b"n,s\n1,\"a,\"\"b\"\"\"\n2,c\r\n", true, &[(1, "a,\"b\""), (2, "c")]);
        check("https://h/x.tsv", b"1\ta\n2\tb", false, &[(1, "a"), (2, "b")]);
        check("https://h/x", b"\xef\xbb\xbf1,a", false, &[(1, "a")]);
        check("https://h/x.json", b"{\"s\":\"a\",\"n\":1}\n{\"n\":\"2\"}", false, &[(1, "a"), (2, "")]);
        check("https://h/x.multijson", b"[{\"n\":1,\n\"s\":\"a\"}]", false, &[(1, "a")]);
    }

    #[test]
    fn inflates_within_a_limit() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(b"1,a").unwrap();
        check("https://h/x.csv.gz", &encoder.finish().unwrap(), false, &[(1, "a")]);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&[b'a'; 30_000]).unwrap();
        let bytes = encoder.finish().unwrap();
        let schema = Schema::from([("s", Type::String)]);
        let columns = vec![ExternalColumn::Default(0)];
        let error = rows(&external(false, columns), &schema, "https://h/x.txt", &bytes, 1_000).unwrap_err();
        assert_eq!(error.code(), "query.external_too_large");
    }

    #[test]
    fn columns_by_path_and_place() {
        let schema = Schema::from([("x", Type::Long)]);
        let keys = vec!["a".to_owned(), "b".to_owned()];
        let by_path = external(false, vec![ExternalColumn::Path(keys)]);
        let batch = rows(&by_path, &schema, "https://h/x.json", b"{\"a\":{\"b\":7}}", 1_000).unwrap();
        assert_eq!(array_value(batch.column(0), 0, Type::Long), Value::Long(7));
        let by_place = external(false, vec![ExternalColumn::Place(2)]);
        let batch = rows(&by_place, &schema, "https://h/x.csv", b"1,2,3", 1_000).unwrap();
        assert_eq!(array_value(batch.column(0), 0, Type::Long), Value::Long(3));
    }
}
