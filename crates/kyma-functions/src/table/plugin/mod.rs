//! Kernels of `evaluate`, one file each.

mod narrow;

use arrow::array::{ArrayRef, RecordBatch};
use kyma_core::{Error, Result, Type, Value};
use kyma_plan::table::{Plugin, PluginArg};

use super::function::TableCall;
use crate::Arg;

/// The arguments of a plugin, over its first input.
pub(crate) struct PluginCall<'a> {
    plugin: &'a Plugin,
    /// Inputs and result.
    pub(crate) table: &'a TableCall<'a>,
}

type Kernel = fn(&PluginCall<'_>) -> Result<RecordBatch>;

static KERNELS: &[(&str, Kernel)] = &[("narrow", narrow::narrow)];

/// Computes a plugin.
pub(super) fn plugin(plugin: &Plugin, table: &TableCall<'_>) -> Result<RecordBatch> {
    let kernel = KERNELS.iter().find(|(name, _)| *name == plugin.name).map(|(_, kernel)| kernel);
    let kernel = kernel.ok_or_else(|| Error::internal(format!("the plugin has no kernel: {}", plugin.name)))?;
    kernel(&PluginCall { plugin, table })
}

#[allow(dead_code)] // The ways to an argument; not every one has a plugin that goes it.
impl PluginCall<'_> {
    fn get(&self, index: usize) -> Result<&PluginArg> {
        let lacks = || Error::internal(format!("{}() lacks an argument: index={index}", self.plugin.name));
        self.plugin.args.get(index).ok_or_else(lacks)
    }

    /// A constant argument.
    pub(crate) fn value(&self, index: usize) -> Result<&Value> {
        match self.get(index)? {
            PluginArg::Value(value) => Ok(value),
            PluginArg::Column(_) => Err(Error::internal(format!("{}() wants a constant", self.plugin.name))),
        }
    }

    /// A column of the first input, with its type.
    pub(crate) fn column(&self, index: usize) -> Result<(&ArrayRef, Type)> {
        let lacks = || Error::internal(format!("{}() wants a column: index={index}", self.plugin.name));
        let PluginArg::Column(at) = self.get(index)? else { return Err(lacks()) };
        let array = self.table.input(0)?.columns().get(*at).ok_or_else(lacks)?;
        let column = self.table.schemas.first().and_then(|schema| schema.columns().get(*at)).ok_or_else(lacks)?;
        Ok((array, column.ty))
    }

    /// An argument of either kind.
    pub(crate) fn arg(&self, index: usize) -> Result<Arg> {
        match self.get(index)? {
            PluginArg::Value(value) => Ok(Arg::Scalar(value.clone())),
            PluginArg::Column(_) => Ok(Arg::Array(ArrayRef::clone(self.column(index)?.0))),
        }
    }
}
