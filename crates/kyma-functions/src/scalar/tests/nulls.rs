//! Functions give null for a null argument unless their row says that they look at nulls themselves.

use kyma_plan::functions::{Class, Nulls};

use super::*;

/// A value that most functions take at a place of this class, and whether the place has nulls at all.
fn sample(class: Class) -> (Value, bool) {
    match class {
        // A string is never null.
        Class::Text | Class::String => (s("a"), false),
        Class::Bool => (b(true), true),
        Class::Number | Class::Real => (r(0.5), true),
        Class::Datetime => (t("2024-01-01"), true),
        Class::Timespan => (span("01:00:00"), true),
        Class::Dynamic | Class::ToDynamic => (d("[1,2]"), true),
        Class::Guid => (Value::Guid(1), true),
        Class::Any | Class::Integral | Class::Long | Class::Summable => (l(1), true),
    }
}

#[test]
fn nulls_propagate_unless_said_otherwise() {
    let mut wrong = Vec::new();
    // Rows of the `geo` family say what they do with nulls in their own tests.
    let rows = kyma_plan::functions::scalars().filter(|row| !row.name.starts_with("geo_"));
    for row in rows.filter(|row| row.nulls == Nulls::Propagate) {
        let classes: Vec<Class> =
            (0..row.min_args).filter_map(|at| row.params.get(at).or(row.params.last()).copied()).collect();
        for at in 0..classes.len() {
            let mut args: Vec<Value> = classes.iter().map(|class| sample(*class).0).collect();
            if !sample(classes[at]).1 {
                continue;
            }
            args[at] = Value::Null(args[at].ty());
            // What a sample is no good argument for says nothing of nulls.
            let Ok(found) = call(row.name, &args) else { continue };
            if !found.is_null() && found != s("") {
                wrong.push(format!("{}({args:?}) is {found:?}", row.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} give a value for null:\n{}", wrong.len(), wrong.join("\n"));
}
