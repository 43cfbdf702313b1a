//! Scalar, aggregate, window and table kernels: Arrow arrays in, arrays out, with Kusto's meaning of null, case and time.
//!
//! Start with [`Call`] and [`scalar`]; operators are in [`operators`], conversions in [`convert`](mod@convert), aggregates
//! in [`aggregate`](mod@aggregate), functions over the ordered input in [`window`](mod@window), and whole operators such as
//! `mv-expand` in [`table`]. Signatures are in `kyma_plan::functions`; a test holds the two together.
//!
//! A string is never null here: an Arrow null of a string column reads as `""`, and no kernel gives a null string.
//!
//! This crate must not know about plans beyond signatures, about DataFusion, or about where rows come from.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::ArrayRef;
use kyma_core::{Result, Type, Value};

pub mod aggregate;
mod build;
pub mod convert;
pub mod eval;
mod json;
pub mod limits;
pub mod operators;
mod pattern;
mod scalar;
pub mod table;
mod value;
mod view;
pub mod window;

pub use aggregate::{Aggregate, Emit, aggregate};
pub use convert::convert;
pub use operators::{binary, element, in_list, path};
pub use scalar::scalar;
pub use value::{array_value, value_to_array};
pub use window::window;

/// What a kernel may know of the query around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvalContext {
    /// The time of the query, one for all of it, in nanoseconds.
    pub now: i64,
}

/// An argument: one value per row, or one for all.
#[derive(Debug, Clone)]
pub enum Arg {
    /// One value per row, of the Arrow type of its [`Type`].
    Array(ArrayRef),
    /// The same value for every row.
    Scalar(Value),
}

impl Arg {
    /// The value per row.
    pub fn to_array(&self, rows: usize) -> ArrayRef {
        match self {
            Arg::Array(array) => Arc::clone(array),
            Arg::Scalar(value) => value_to_array(value, rows),
        }
    }

    /// The value, if it is the same for every row.
    pub fn as_scalar(&self) -> Option<&Value> {
        match self {
            Arg::Array(_) => None,
            Arg::Scalar(value) => Some(value),
        }
    }
}

/// One call of a scalar function over a batch.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Arguments.
    pub args: &'a [Arg],
    /// Their types.
    pub types: &'a [Type],
    /// The type of the result.
    pub out: Type,
    /// How many values the result has.
    pub rows: usize,
    /// The query around.
    pub context: &'a EvalContext,
}

/// A scalar function.
pub trait ScalarKernel: Send + Sync + Debug {
    /// Gives `call.rows` values of the Arrow type of `call.out`.
    fn eval(&self, call: &Call<'_>) -> Result<ArrayRef>;
}
