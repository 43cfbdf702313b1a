//! Kusto's ten scalar types and the one Arrow type that carries each.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use arrow::datatypes::{DataType, Field, TimeUnit};
use serde::{Deserialize, Serialize};

/// Arrow field metadata key that carries a column's kyma type (`dynamic` and `string` share an Arrow type).
pub const TYPE_METADATA_KEY: &str = "kyma.type";

/// Precision of `decimal`: `Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE)`.
pub const DECIMAL_PRECISION: u8 = 38;
/// Digits after the point of `decimal`.
pub const DECIMAL_SCALE: i8 = 18;

/// A column's or expression's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// 32-bit signed integer.
    Int,
    /// 64-bit signed integer.
    Long,
    /// 64-bit IEEE float.
    Real,
    /// 128-bit decimal, 18 digits after the point.
    Decimal,
    /// Nanoseconds since the epoch (shown in 100 ns ticks, as Kusto does).
    Datetime,
    /// Nanoseconds.
    Timespan,
    /// 128-bit identifier.
    Guid,
    /// UTF-8 text. In KQL a string is never null: null reads as `""`.
    String,
    /// JSON value. Carried as compact JSON text; Arrow null is Kusto's `dynamic(null)`.
    Dynamic,
}

impl Type {
    /// Every type, in declaration order.
    pub const ALL: [Type; 10] = [
        Type::Bool,
        Type::Int,
        Type::Long,
        Type::Real,
        Type::Decimal,
        Type::Datetime,
        Type::Timespan,
        Type::Guid,
        Type::String,
        Type::Dynamic,
    ];

    /// Kusto's name of the type.
    pub const fn name(self) -> &'static str {
        match self {
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Long => "long",
            Type::Real => "real",
            Type::Decimal => "decimal",
            Type::Datetime => "datetime",
            Type::Timespan => "timespan",
            Type::Guid => "guid",
            Type::String => "string",
            Type::Dynamic => "dynamic",
        }
    }

    /// The .NET name that the Kusto v1 wire calls `DataType`.
    pub const fn dotnet_name(self) -> &'static str {
        match self {
            Type::Bool => "SByte",
            Type::Int => "Int32",
            Type::Long => "Int64",
            Type::Real => "Double",
            Type::Decimal => "SqlDecimal",
            Type::Datetime => "DateTime",
            Type::Timespan => "TimeSpan",
            Type::Guid => "Guid",
            Type::String => "String",
            Type::Dynamic => "Object",
        }
    }

    /// The Arrow type that carries values of this type in memory.
    pub fn arrow(self) -> DataType {
        match self {
            Type::Bool => DataType::Boolean,
            Type::Int => DataType::Int32,
            Type::Long => DataType::Int64,
            Type::Real => DataType::Float64,
            Type::Decimal => DataType::Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE),
            Type::Datetime => DataType::Timestamp(TimeUnit::Nanosecond, None),
            Type::Timespan => DataType::Duration(TimeUnit::Nanosecond),
            Type::Guid => DataType::FixedSizeBinary(16),
            Type::String | Type::Dynamic => DataType::Utf8View,
        }
    }

    /// A nullable Arrow field of this type, tagged with [`TYPE_METADATA_KEY`].
    pub fn field(self, name: impl Into<String>) -> Field {
        let metadata = HashMap::from([(TYPE_METADATA_KEY.to_owned(), self.name().to_owned())]);
        Field::new(name, self.arrow(), true).with_metadata(metadata)
    }

    /// The kyma type of an Arrow field: its tag if it has one, else the nearest type.
    pub fn of_field(field: &Field) -> Type {
        let tagged = field.metadata().get(TYPE_METADATA_KEY).and_then(|name| name.parse().ok());
        tagged.unwrap_or_else(|| Type::of_arrow(field.data_type()))
    }

    /// The nearest type of an untagged Arrow type; what has no scalar shape is `dynamic`.
    pub fn of_arrow(data_type: &DataType) -> Type {
        match data_type {
            DataType::Boolean => Type::Bool,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => Type::Int,
            DataType::Int64 | DataType::UInt32 | DataType::UInt64 => Type::Long,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Type::Real,
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
                Type::Decimal
            }
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Type::Datetime,
            DataType::Duration(_) | DataType::Interval(_) | DataType::Time32(_) | DataType::Time64(_) => Type::Timespan,
            DataType::FixedSizeBinary(16) => Type::Guid,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Type::String,
            DataType::Dictionary(_, values) => Type::of_arrow(values),
            _ => Type::Dynamic,
        }
    }

    /// `int`, `long`, `real` or `decimal`.
    pub const fn is_numeric(self) -> bool {
        matches!(self, Type::Int | Type::Long | Type::Real | Type::Decimal)
    }

    /// `int` or `long`.
    pub const fn is_integral(self) -> bool {
        matches!(self, Type::Int | Type::Long)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Type {
    type Err = ();

    /// Parses Kusto's names and their aliases (`double`, `date`, `time`, `boolean`, `uuid`, ...).
    fn from_str(name: &str) -> Result<Self, ()> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "bool" | "boolean" => Type::Bool,
            "int" | "int32" => Type::Int,
            "long" | "int64" => Type::Long,
            "real" | "double" | "float" => Type::Real,
            "decimal" => Type::Decimal,
            "datetime" | "date" => Type::Datetime,
            "timespan" | "time" => Type::Timespan,
            "guid" | "uuid" | "uniqueid" => Type::Guid,
            "string" => Type::String,
            "dynamic" => Type::Dynamic,
            _ => return Err(()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_keeps_its_type() {
        for ty in Type::ALL {
            assert_eq!(Type::of_field(&ty.field("c")), ty);
            assert_eq!(ty.name().parse(), Ok(ty));
        }
    }
}
