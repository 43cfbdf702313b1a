//! Our scalar kernels as DataFusion functions: one wrapper for all of them.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, FieldRef};
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility, expr::ScalarFunction,
};
use kyma_core::{Error, Type, Value};
use kyma_functions::{Arg, Call, EvalContext};
use kyma_plan::BinaryOp;

use crate::df_adapter::error::to_df;
use crate::df_adapter::literal::{as_type, value_of};

/// Functions that give another value for every row.
const VOLATILE: [&str; 2] = ["rand", "new_guid"];

/// What a wrapped function computes.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// A function of the signature tables.
    Call { function: &'static str, types: Vec<Type> },
    /// An operator with Kusto's nulls.
    Binary { op: BinaryOp, left: Type, right: Type },
    /// `tostring`, `tolong`, ...
    Convert { from: Type },
    /// A member of a dynamic.
    Path { keys: Vec<String> },
    /// An element of a dynamic.
    Element { index: Type },
    /// `in` with Kusto's nulls: the value, then the list.
    In { ty: Type, ignore_case: bool },
    /// `in (tabular)`.
    InSet(Arc<ValueSet>),
    /// One result of an aggregate that gives several.
    Field(usize),
    /// A real as a key of a sort: both zeros are one, NaN is below (or above) every number.
    RealOrder { nan_low: bool },
    /// A real as a key of a join: the bits, where both zeros are one, and all NaNs.
    RealBits,
}

/// The values of `in (tabular)`.
#[derive(Debug)]
pub(crate) struct ValueSet {
    /// Distinguishes the sets of a query.
    pub(crate) id: usize,
    /// The type of the values.
    pub(crate) ty: Type,
    rows: std::collections::HashSet<OwnedRow>,
    ignore_case: bool,
}

impl ValueSet {
    /// The set of the values of `arrays`.
    pub(crate) fn new(id: usize, ty: Type, ignore_case: bool, arrays: &[ArrayRef]) -> Result<Self, Error> {
        let mut set = ValueSet { id, ty, rows: Default::default(), ignore_case };
        for array in arrays {
            let array = set.folded(array)?;
            let rows = set.converter()?.convert_columns(std::slice::from_ref(&array))?;
            set.rows.extend(rows.iter().enumerate().filter(|(at, _)| array.is_valid(*at)).map(|(_, row)| row.owned()));
        }
        Ok(set)
    }

    fn converter(&self) -> Result<RowConverter, Error> {
        Ok(RowConverter::new(vec![SortField::new(self.ty.arrow())])?)
    }

    fn folded(&self, array: &ArrayRef) -> Result<ArrayRef, Error> {
        let texts = match (self.ignore_case, array.as_string_view_opt()) {
            (true, Some(texts)) => texts,
            _ => return Ok(Arc::clone(array)),
        };
        Ok(Arc::new(texts.iter().map(|text| text.map(str::to_lowercase)).collect::<arrow::array::StringViewArray>()))
    }

    fn contains(&self, array: &ArrayRef) -> Result<ArrayRef, Error> {
        let array = self.folded(array)?;
        let rows = self.converter()?.convert_columns(std::slice::from_ref(&array))?;
        let found = rows.iter().enumerate().map(|(at, row)| array.is_valid(at) && self.rows.contains(&row.owned()));
        Ok(Arc::new(BooleanArray::from(found.collect::<Vec<bool>>())))
    }
}

/// The wrapper.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// What it computes.
    pub(crate) op: Op,
    /// The type of the result.
    pub(crate) out: Type,
    context: EvalContext,
    name: String,
    signature: Signature,
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.out == other.out && self.context == other.context
    }
}

impl Eq for Kernel {}

impl Hash for Kernel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.out.hash(state);
    }
}

impl Kernel {
    /// The call of `op` on `args`.
    pub(crate) fn call(op: Op, out: Type, context: EvalContext, args: Vec<Expr>) -> Expr {
        let volatility = match &op {
            Op::Call { function, .. } if VOLATILE.contains(function) => Volatility::Volatile,
            _ => Volatility::Immutable,
        };
        let name = format!("kyma.{}.{out}", name_of(&op));
        let signature = Signature::new(TypeSignature::UserDefined, volatility);
        let kernel = Kernel { op, out, context, name, signature };
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::from(kernel)), args))
    }

    fn eval(&self, args: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
        let arg = |at: usize, ty: Type| -> Result<Arg> {
            match args.get(at) {
                Some(ColumnarValue::Array(array)) => Ok(Arg::Array(as_type(Arc::clone(array), ty)?)),
                Some(ColumnarValue::Scalar(scalar)) => Ok(Arg::Scalar(value_of(scalar, ty)?)),
                None => Err(to_df(Error::internal("a function lacks an argument"))),
            }
        };
        let result = match &self.op {
            Op::Call { function, types } => {
                let args = types.iter().enumerate().map(|(at, ty)| arg(at, *ty)).collect::<Result<Vec<_>>>()?;
                let call = Call { args: &args, types, out: self.out, rows, context: &self.context };
                match kyma_functions::scalar(function) {
                    Some(kernel) => kernel.eval(&call),
                    None => Err(not_there(function)),
                }
            }
            Op::Binary { op, left, right } => {
                let (a, b) = (arg(0, *left)?, arg(1, *right)?);
                kyma_functions::binary(*op, (&a, *left), (&b, *right), self.out, rows)
            }
            Op::Convert { from } => kyma_functions::convert(&arg(0, *from)?, *from, self.out, rows),
            Op::Path { keys } => kyma_functions::path(&arg(0, Type::Dynamic)?.to_array(rows), keys),
            Op::Element { index } => kyma_functions::element(&arg(0, Type::Dynamic)?, (&arg(1, *index)?, *index), rows),
            Op::In { ty, ignore_case } => {
                let list = (1..args.len()).map(|at| arg(at, *ty)).collect::<Result<Vec<_>>>()?;
                kyma_functions::in_list((&arg(0, *ty)?, *ty), &list, *ignore_case, rows)
            }
            Op::InSet(set) => set.contains(&arg(0, set.ty)?.to_array(rows)),
            Op::Field(place) => field(args, *place, rows),
            Op::RealBits => Ok(real_bits(&arg(0, Type::Real)?.to_array(rows))),
            Op::RealOrder { nan_low } => Ok(real_order(&arg(0, Type::Real)?.to_array(rows), *nan_low)),
        };
        result.map_err(to_df)
    }
}

fn field(args: &[ColumnarValue], place: usize, rows: usize) -> Result<ArrayRef, Error> {
    let array = args.first().ok_or_else(|| Error::internal("a field of nothing"))?.to_array(rows);
    let array = array.map_err(crate::df_adapter::error::from_df)?;
    let fields = array.as_struct_opt().ok_or_else(|| Error::internal("a field of a scalar"))?;
    Ok(Arc::clone(fields.column(place)))
}

fn real_bits(reals: &ArrayRef) -> ArrayRef {
    let bits = |real: f64| if real.is_nan() { f64::NAN.to_bits() } else { (real + 0.0).to_bits() } as i64;
    match reals.as_primitive_opt::<arrow::datatypes::Float64Type>() {
        Some(reals) => Arc::new(reals.unary::<_, arrow::datatypes::Int64Type>(bits)),
        None => Arc::clone(reals),
    }
}

/// Sorts go by IEEE's total order, in which NaNs lie beyond the infinity of their sign.
fn real_order(reals: &ArrayRef, nan_low: bool) -> ArrayRef {
    let nan = f64::NAN.copysign(if nan_low { -1.0 } else { 1.0 });
    let key = |real: f64| if real.is_nan() { nan } else { real + 0.0 };
    match reals.as_primitive_opt::<arrow::datatypes::Float64Type>() {
        Some(reals) => Arc::new(reals.unary::<_, arrow::datatypes::Float64Type>(key)),
        None => Arc::clone(reals),
    }
}

fn not_there(function: &str) -> Error {
    Error::invalid("query.not_supported", format!("function is not supported yet: {function}"))
}

fn name_of(op: &Op) -> String {
    match op {
        Op::Call { function, types } => format!("{function}{types:?}"),
        Op::Binary { op, left, right } => format!("{op:?}_{left}_{right}"),
        Op::Convert { from } => format!("convert_{from}"),
        Op::Path { keys } => format!("path{keys:?}"),
        Op::Element { index } => format!("element_{index}"),
        Op::In { ty, ignore_case } => format!("in_{ty}_{ignore_case}"),
        Op::InSet(set) => format!("in_set_{}", set.id),
        Op::Field(place) => format!("field_{place}"),
        Op::RealBits => "real_bits".to_owned(),
        Op::RealOrder { nan_low } => format!("real_order_{nan_low}"),
    }
}

impl ScalarUDFImpl for Kernel {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.out.arrow())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(self.out.field(&self.name)))
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arg_types.to_vec())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let all_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        if all_scalar && self.signature.volatility != Volatility::Volatile {
            let one = self.eval(&args.args, 1)?;
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&one, 0)?));
        }
        Ok(ColumnarValue::Array(self.eval(&args.args, args.number_rows)?))
    }
}

/// The literal values of a list, where all are.
pub(crate) fn literal_values(list: &[kyma_plan::Expr]) -> Option<Vec<Value>> {
    list.iter().map(|item| item.as_literal().cloned()).collect()
}
