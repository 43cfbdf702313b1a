//! Kusto's functions in SQL, under their own names, where SQL has none of that name.
//!
//! A call is resolved against the signatures once its argument types are known, and becomes the same kernel call that KQL
//! makes, so that the pruners understand `has(message, 'error')` in SQL too.

use std::hash::{Hash, Hasher};

use arrow::datatypes::{DataType, FieldRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};
use kyma_core::Type;
use kyma_functions::EvalContext;
use kyma_plan::functions::{resolve_scalar, scalars};
use std::sync::Arc;

use crate::df_adapter::error::from_df;
use crate::df_adapter::scalar::{Kernel, Op};

/// Adds Kusto's functions to a session.
pub(crate) fn register(mut state: SessionState, now: i64) -> kyma_core::Result<SessionState> {
    let context = EvalContext { now };
    for function in scalars() {
        let taken = state.scalar_functions().contains_key(function.name)
            || state.aggregate_functions().contains_key(function.name)
            || state.window_functions().contains_key(function.name);
        if !taken {
            state.register_udf(Arc::new(ScalarUDF::from(SqlFunction::new(function.name, context)))).map_err(from_df)?;
        }
    }
    Ok(state)
}

/// A function whose types are not known yet.
#[derive(Debug)]
struct SqlFunction {
    name: &'static str,
    context: EvalContext,
    signature: Signature,
}

impl SqlFunction {
    fn new(name: &'static str, context: EvalContext) -> Self {
        SqlFunction { name, context, signature: Signature::new(TypeSignature::UserDefined, Volatility::Immutable) }
    }

    /// The types that arguments become, and the result's.
    fn resolve(&self, types: &[Type]) -> Result<(Vec<Type>, Type)> {
        let found = resolve_scalar(self.name, types);
        let found =
            found.map_err(|wrong| DataFusionError::Plan(format!("{} cannot take {types:?}: {wrong:?}", self.name)))?;
        Ok((found.args, found.ty))
    }
}

impl PartialEq for SqlFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for SqlFunction {}

impl Hash for SqlFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

fn nearest(types: &[DataType]) -> Vec<Type> {
    types.iter().map(Type::of_arrow).collect()
}

impl ScalarUDFImpl for SqlFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(nearest(arg_types).into_iter().map(Type::arrow).collect())
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.resolve(&nearest(arg_types))?.1.arrow())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<Type> = args.arg_fields.iter().map(|field| Type::of_field(field)).collect();
        Ok(Arc::new(self.resolve(&types)?.1.field(self.name)))
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let mut types = Vec::with_capacity(args.len());
        for arg in &args {
            let (_, field) = arg.to_field(info.schema())?;
            types.push(Type::of_field(&field));
        }
        let (wanted, out) = self.resolve(&types)?;
        let convert = |((arg, from), to): ((Expr, Type), Type)| match from == to {
            true => arg,
            false => Kernel::call(Op::Convert { from }, to, self.context, vec![arg]),
        };
        let args = args.into_iter().zip(types).zip(wanted.iter().copied()).map(convert).collect();
        let call = Op::Call { function: self.name, types: wanted };
        Ok(ExprSimplifyResult::Simplified(Kernel::call(call, out, self.context, args)))
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        datafusion::common::internal_err!("{} was not resolved", self.name)
    }
}
