//! Between DataFusion's errors and ours.

use datafusion::error::DataFusionError;
use kyma_core::Error;

/// Our error, to travel through DataFusion.
pub(crate) fn to_df(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// DataFusion's error in our words; one of ours comes out as it went in.
pub(crate) fn from_df(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(inner) => match inner.downcast::<DataFusionError>() {
                Ok(nested) => from_df(*nested),
                Err(inner) => Error::internal("the query failed").because(inner),
            },
        },
        DataFusionError::ArrowError(inner, backtrace) => match *inner {
            arrow::error::ArrowError::ExternalError(inner) => from_df(DataFusionError::External(inner)),
            other => plain(&DataFusionError::ArrowError(Box::new(other), backtrace)),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => from_df(*inner),
        DataFusionError::Shared(shared) => match std::sync::Arc::try_unwrap(shared) {
            Ok(inner) => from_df(inner),
            Err(shared) => again(&shared),
        },
        DataFusionError::Collection(mut all) if !all.is_empty() => from_df(all.swap_remove(0)),
        other => plain(&other),
    }
}

/// A copy of an error that others hold too.
fn again(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => Error::new(ours.kind(), ours.code(), ours.message()),
            None => Error::internal(format!("the query failed: {inner}")),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => again(inner),
        DataFusionError::Shared(inner) => again(inner),
        other => plain(other),
    }
}

fn plain(error: &DataFusionError) -> Error {
    let text = error.message().into_owned();
    match error {
        DataFusionError::ResourcesExhausted(_) => exhausted(&text),
        DataFusionError::NotImplemented(_) => Error::invalid("query.not_supported", format!("not supported: {text}")),
        DataFusionError::Plan(_) | DataFusionError::SchemaError(..) | DataFusionError::SQL(..) => {
            Error::invalid("query.plan", text)
        }
        DataFusionError::Execution(_) | DataFusionError::ArrowError(..) => Error::invalid("query.execution", text),
        _ => Error::internal(format!("the query failed: {text}")),
    }
}

/// The query's memory is used up.
pub(crate) fn exhausted(detail: &str) -> Error {
    Error::exhausted("query.memory_exhausted", format!("the query needs more memory than it may have: {detail}"))
        .hint("filter earlier, summarize by fewer distinct values, or take fewer rows")
}
