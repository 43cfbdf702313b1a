//! Our aggregates as DataFusion functions: one wrapper, grouped from the start.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, StructArray, UInt32Array};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, TypeSignature, Volatility,
    utils::format_state_name,
};
use kyma_core::{Type, Value};
use kyma_functions::{Aggregate, Emit};

use crate::df_adapter::error::to_df;
use crate::df_adapter::literal::as_type;

/// The wrapper.
#[derive(Debug)]
pub(crate) struct KernelAggregate {
    function: &'static str,
    arg_types: Vec<Type>,
    constants: Vec<Option<Value>>,
    out: Vec<Type>,
    name: String,
    signature: Signature,
}

impl KernelAggregate {
    /// `function` over arguments of these types, of which some are constants.
    pub(crate) fn new(
        function: &'static str,
        arg_types: Vec<Type>,
        constants: Vec<Option<Value>>,
        out: Vec<Type>,
    ) -> Self {
        let name = format!("kyma.{function}{arg_types:?}{constants:?}{out:?}");
        let signature = Signature::new(TypeSignature::UserDefined, Volatility::Immutable);
        KernelAggregate { function, arg_types, constants, out, name, signature }
    }

    fn make(&self) -> Result<Box<dyn Aggregate>> {
        kyma_functions::aggregate(self.function, &self.arg_types, &self.constants, &self.out).map_err(to_df)
    }

    fn groups(&self) -> Result<Groups> {
        let out = self.out.clone();
        Ok(Groups { inner: self.make()?, arg_types: self.arg_types.clone(), out, ungrouped: Vec::new() })
    }
}

/// The Arrow type that carries the results: the one, or a struct of them.
fn carrier(out: &[Type]) -> DataType {
    match out {
        [one] => one.arrow(),
        several => DataType::Struct(fields(several)),
    }
}

fn fields(out: &[Type]) -> Fields {
    out.iter().enumerate().map(|(at, ty)| ty.field(format!("o{at}"))).collect()
}

impl PartialEq for KernelAggregate {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for KernelAggregate {}

impl Hash for KernelAggregate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl AggregateUDFImpl for KernelAggregate {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(carrier(&self.out))
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arg_types.to_vec())
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let types = self.make()?.state_types();
        let field = |(at, ty): (usize, DataType)| -> FieldRef {
            Arc::new(Field::new(format_state_name(args.name, &format!("s{at}")), ty, true))
        };
        Ok(types.into_iter().enumerate().map(field).collect())
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One(parking_lot::Mutex::new(self.groups()?))))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.groups()?))
    }

    fn order_sensitivity(&self) -> datafusion::logical_expr::utils::AggregateOrderSensitivity {
        datafusion::logical_expr::utils::AggregateOrderSensitivity::Insensitive
    }
}

/// Every group of one aggregate.
struct Groups {
    inner: Box<dyn Aggregate>,
    arg_types: Vec<Type>,
    out: Vec<Type>,
    ungrouped: Vec<usize>,
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups").field("out", &self.out).finish_non_exhaustive()
    }
}

impl Groups {
    fn args(&self, values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        values.iter().zip(&self.arg_types).map(|(array, ty)| as_type(Arc::clone(array), *ty)).collect()
    }

    fn results(&self, mut arrays: Vec<ArrayRef>) -> Result<ArrayRef> {
        match arrays.len() {
            1 => Ok(arrays.remove(0)),
            _ => Ok(Arc::new(StructArray::try_new(fields(&self.out), arrays, None)?)),
        }
    }

    /// The one group, for each of `rows` rows.
    fn one_group(&mut self, rows: usize) -> Vec<usize> {
        let mut groups = std::mem::take(&mut self.ungrouped);
        groups.resize(rows, 0);
        groups
    }
}

fn emit(to: EmitTo) -> Emit {
    match to {
        EmitTo::All => Emit::All,
        EmitTo::First(count) => Emit::First(count),
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        let args = self.args(values)?;
        let Some(filter) = filter else { return self.inner.update(&args, groups, total).map_err(to_df) };
        let kept: Vec<u32> = (0..filter.len()).filter(|at| filter_holds(filter, *at)).map(|at| at as u32).collect();
        let groups: Vec<usize> = kept.iter().map(|at| groups[*at as usize]).collect();
        let rows = UInt32Array::from(kept);
        let args = args.iter().map(|array| arrow::compute::take(array, &rows, None)).collect::<Result<Vec<_>, _>>()?;
        self.inner.update(&args, &groups, total).map_err(to_df)
    }

    fn evaluate(&mut self, to: EmitTo) -> Result<ArrayRef> {
        let arrays = self.inner.finish(emit(to)).map_err(to_df)?;
        self.results(arrays)
    }

    fn state(&mut self, to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit(to)).map_err(to_df)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.inner.merge(values, groups, total).map_err(to_df)
    }

    fn convert_to_state(&self, _values: &[ArrayRef], _filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        datafusion::common::not_impl_err!("a row is no state of {self:?}")
    }

    fn size(&self) -> usize {
        self.inner.bytes()
    }
}

fn filter_holds(filter: &BooleanArray, at: usize) -> bool {
    use arrow::array::Array;
    filter.is_valid(at) && filter.value(at)
}

/// An aggregate without groups: one group.
#[derive(Debug)]
struct One(parking_lot::Mutex<Groups>);

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let groups = self.0.get_mut();
        let rows = values.first().map_or(0, |array| array.len());
        let ungrouped = groups.one_group(rows);
        let result = GroupsAccumulator::update_batch(groups, values, &ungrouped, None, 1);
        groups.ungrouped = ungrouped;
        result
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let groups = self.0.get_mut();
        let ungrouped = groups.one_group(states.first().map_or(0, |array| array.len()));
        let result = GroupsAccumulator::merge_batch(groups, states, &ungrouped, 1);
        groups.ungrouped = ungrouped;
        result
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let groups = self.0.get_mut();
        groups.touch()?;
        let array = GroupsAccumulator::evaluate(groups, EmitTo::All)?;
        ScalarValue::try_from_array(&array, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let groups = self.0.get_mut();
        groups.touch()?;
        let arrays = GroupsAccumulator::state(groups, EmitTo::All)?;
        arrays.iter().map(|array| ScalarValue::try_from_array(array, 0)).collect()
    }

    fn size(&self) -> usize {
        self.0.lock().inner.bytes()
    }
}

impl Groups {
    /// Makes the one group exist when no row came.
    fn touch(&mut self) -> Result<()> {
        let none: Vec<ArrayRef> = self.arg_types.iter().map(|ty| arrow::array::new_empty_array(&ty.arrow())).collect();
        self.inner.update(&none, &[], 1).map_err(to_df)
    }
}
