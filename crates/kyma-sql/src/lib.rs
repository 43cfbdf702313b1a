//! SQL text to a plan that carries the statement.
