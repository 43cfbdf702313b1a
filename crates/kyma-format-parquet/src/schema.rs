//! kyma's types as Parquet's, and the Arrow types between them.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef, TimeUnit, TimestampNanosecondType};
use kyma_core::schema::{Column, Schema};
use kyma_core::types::{DECIMAL_PRECISION, DECIMAL_SCALE, Type};
use parquet::basic::{LogicalType, Repetition, TimeUnit as ParquetTimeUnit, Type as Physical};
use parquet::schema::types::{Type as ParquetType, TypePtr};

/// Name of the root of the file's schema; what most writers call it.
const ROOT: &str = "schema";

/// The file's schema: optional leaves in order.
pub(crate) fn parquet(schema: &Schema) -> parquet::errors::Result<TypePtr> {
    let mut leaves = Vec::with_capacity(schema.len());
    for column in schema.columns() {
        leaves.push(Arc::new(leaf(column)?));
    }
    Ok(Arc::new(ParquetType::group_type_builder(ROOT).with_fields(leaves).build()?))
}

fn leaf(column: &Column) -> parquet::errors::Result<ParquetType> {
    let (physical, logical, length) = match column.ty {
        Type::Bool => (Physical::BOOLEAN, None, -1),
        Type::Int => (Physical::INT32, None, -1),
        Type::Long | Type::Timespan => (Physical::INT64, None, -1),
        Type::Real => (Physical::DOUBLE, None, -1),
        Type::Decimal => {
            let (precision, scale) = (i32::from(DECIMAL_PRECISION), i32::from(DECIMAL_SCALE));
            (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::decimal(scale, precision)), 16)
        }
        Type::Datetime => (Physical::INT64, Some(LogicalType::timestamp(true, ParquetTimeUnit::NANOS)), -1),
        Type::Guid => (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Uuid), 16),
        Type::String => (Physical::BYTE_ARRAY, Some(LogicalType::String), -1),
        Type::Dynamic => (Physical::BYTE_ARRAY, Some(LogicalType::Json), -1),
    };
    let mut builder = ParquetType::primitive_type_builder(&column.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .with_length(length);
    if column.ty == Type::Decimal {
        builder = builder.with_precision(i32::from(DECIMAL_PRECISION)).with_scale(i32::from(DECIMAL_SCALE));
    }
    builder.build()
}

/// The Arrow schema that the file's decoder gives.
pub(crate) fn carriers(schema: &Schema) -> SchemaRef {
    let fields = schema.columns().iter().map(|column| Field::new(&column.name, carrier(column.ty), true));
    Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()))
}

/// The Arrow type that the file's decoder gives for `ty`: its own, but a time in UTC.
pub(crate) fn carrier(ty: Type) -> DataType {
    match ty {
        Type::Datetime => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        ty => ty.arrow(),
    }
}

/// A decoded array as kyma's own.
pub(crate) fn from_carrier(ty: Type, array: ArrayRef) -> ArrayRef {
    match ty {
        Type::Datetime => match array.as_primitive_opt::<TimestampNanosecondType>() {
            Some(times) => Arc::new(times.clone().with_timezone_opt(None::<Arc<str>>)),
            None => array,
        },
        _ => array,
    }
}
