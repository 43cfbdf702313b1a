//! Lines and spans of tasks that the engine starts belong to the query that they run for.

use std::any::Any;

use datafusion::common::runtime::{JoinSetTracer, set_join_set_tracer};
use futures::FutureExt;
use futures::future::BoxFuture;
use tracing::{Instrument, Span};

type Erased = Box<dyn Any + Send>;

struct InSpan;

impl JoinSetTracer for InSpan {
    fn trace_future(&self, task: BoxFuture<'static, Erased>) -> BoxFuture<'static, Erased> {
        task.in_current_span().boxed()
    }

    fn trace_block(&self, work: Box<dyn FnOnce() -> Erased + Send>) -> Box<dyn FnOnce() -> Erased + Send> {
        let span = Span::current();
        Box::new(move || span.in_scope(work))
    }
}

/// Must be called before the first query; further calls change nothing.
pub(crate) fn hand_down() {
    // An error says that it was called before.
    let _ = set_join_set_tracer(&InSpan);
}
