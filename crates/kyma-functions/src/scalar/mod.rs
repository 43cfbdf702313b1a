//! Scalar functions, one file and one table per family, as in `kyma_plan::functions`.

mod compress;
mod conversion;
mod datetime;
mod digest;
mod dynamic;
mod encode;
mod format;
mod geo;
mod hash;
mod logic;
mod math;
pub(crate) mod network;
mod parse;
mod principal;
mod punycode;
mod series;
mod set;
mod special;
mod text;
mod texttest;
mod units;
mod user_agent;
mod zone;

use std::collections::HashMap;
use std::sync::LazyLock;

use arrow::array::ArrayRef;
use kyma_core::Result;

use crate::{Arg, Call, ScalarKernel, array_value, value_to_array};

/// A row of a family's table.
#[derive(Debug)]
pub(crate) struct Kernel {
    name: &'static str,
    eval: fn(&Call<'_>) -> Result<ArrayRef>,
    /// Equal arguments give equal results, so constants are computed once.
    pure: bool,
}

pub(crate) const fn kernel(name: &'static str, eval: fn(&Call<'_>) -> Result<ArrayRef>) -> Kernel {
    Kernel { name, eval, pure: true }
}

pub(crate) const fn impure(name: &'static str, eval: fn(&Call<'_>) -> Result<ArrayRef>) -> Kernel {
    Kernel { name, eval, pure: false }
}

impl ScalarKernel for Kernel {
    fn eval(&self, call: &Call<'_>) -> Result<ArrayRef> {
        let constant = call.args.iter().all(|arg| matches!(arg, Arg::Scalar(_)));
        if self.pure && constant && call.rows != 1 {
            let one = (self.eval)(&Call { rows: 1, ..*call })?;
            return Ok(value_to_array(&array_value(one.as_ref(), 0, call.out), call.rows));
        }
        (self.eval)(call)
    }
}

static TABLES: &[&[Kernel]] = &[
    texttest::KERNELS,
    logic::KERNELS,
    conversion::KERNELS,
    text::KERNELS,
    encode::KERNELS,
    compress::KERNELS,
    punycode::KERNELS,
    format::KERNELS,
    datetime::KERNELS,
    dynamic::KERNELS,
    set::KERNELS,
    math::KERNELS,
    special::KERNELS,
    units::KERNELS,
    network::KERNELS,
    parse::KERNELS,
    hash::KERNELS,
    geo::KERNELS,
    series::KERNELS,
    series::decompose::KERNELS,
    series::filter::KERNELS,
    series::fit::KERNELS,
    series::fourier::KERNELS,
    series::outliers::KERNELS,
    series::periods::KERNELS,
    digest::KERNELS,
    principal::KERNELS,
    user_agent::KERNELS,
    zone::KERNELS,
];

static BY_NAME: LazyLock<HashMap<&'static str, &'static Kernel>> =
    LazyLock::new(|| TABLES.iter().flat_map(|table| table.iter()).map(|kernel| (kernel.name, kernel)).collect());

/// The kernel of the scalar function with this canonical name.
pub fn scalar(name: &str) -> Option<&'static dyn ScalarKernel> {
    BY_NAME.get(name).map(|kernel| *kernel as &'static dyn ScalarKernel)
}

#[cfg(test)]
mod tests;
