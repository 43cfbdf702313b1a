//! The typed, language-neutral plan: what a query means, before anyone decides how to run it.
//!
//! Start with [`node::Plan`] (relations) and [`expr::Expr`] (scalars). A language implements
//! [`frontend::QueryFrontend`]: text and schemas in, plan and [`diagnostic::Diagnostic`]s out. [`functions`] holds the
//! signatures that frontends type-check against and that `kyma-functions` has kernels for.
//!
//! This crate must not know about any language's syntax, the catalog, files or DataFusion.

pub mod command;
pub mod diagnostic;
pub mod expr;
pub mod external;
pub mod frontend;
pub mod functions;
pub mod graph;
pub mod node;
mod show;
pub mod table;

pub use command::{Command, PolicyOwner, Put, SchemaForm, StoreMode, Texts};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use expr::{AggregateCall, BinaryOp, Expr, ExprKind, WindowCall};
pub use frontend::{
    Parameter, PlanContext, Planned, Query, QueryFrontend, SchemaSource, Statement, StoredFunction, TableSchema,
    Visualization,
};
pub use node::{JoinKind, Node, Plan, SortKey};
