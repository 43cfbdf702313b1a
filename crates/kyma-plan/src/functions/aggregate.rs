//! Aggregate functions.
//!
//! Rules that the tables cannot say, for frontends: `arg_max(x, a, b)` names its results `x, a, b`; `percentile(x, 95)` is
//! `percentile_x_95` and `percentiles(x, 50, 95)` has one such result per percentage; `take_any(a, b)` gives one result per
//! argument (`any_a` for `any`, `a` for `take_any`).

mod statistic;

use kyma_core::Type;

use super::AggregateFunction;
use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::scalar::row;

/// `int` counts as `long`.
fn promoted(args: &[Type]) -> Type {
    match args.first() {
        Some(Type::Int) | None => Type::Long,
        Some(&ty) => ty,
    }
}

/// Means of times are times, of all else `real`.
fn mean(args: &[Type]) -> Type {
    match args.first() {
        Some(&ty @ (Type::Datetime | Type::Timespan | Type::Decimal)) => ty,
        _ => Type::Real,
    }
}

/// Every table.
pub(super) static TABLES: &[&[AggregateFunction]] = &[TABLE, statistic::TABLE];

static TABLE: &[AggregateFunction] = &[
    row("count", &[], &[], (0, 0), Is(Type::Long), Prefixed("count"), "The number of rows.")
        .own_nulls()
        .example("range x from 1 to 10 step 1 | summarize count()"),
    row(
        "countif",
        &[],
        &[Bool],
        (1, 1),
        Is(Type::Long),
        Prefixed("countif"),
        "The number of rows for which the predicate is true.",
    )
    .example("range x from 1 to 10 step 1 | summarize countif(x % 2 == 0)"),
    row("sum", &[], &[Summable], (1, 1), Rule(promoted), Prefixed("sum"), "The sum; 0 over no values.")
        .example("range x from 1 to 10 step 1 | summarize sum(x)"),
    row(
        "sumif",
        &[],
        &[Summable, Bool],
        (2, 2),
        Rule(promoted),
        Prefixed("sumif"),
        "The sum over rows for which the predicate is true.",
    )
    .example("range x from 1 to 10 step 1 | summarize sumif(x, x > 5)"),
    row("min", &[], &[Any], (1, 1), Arg(0), Prefixed("min"), "The smallest value.")
        .example("range x from 1 to 10 step 1 | summarize min(x)"),
    row(
        "minif",
        &[],
        &[Any, Bool],
        (2, 2),
        Arg(0),
        Prefixed("minif"),
        "The smallest value of rows for which the predicate is true.",
    )
    .example("range x from 1 to 10 step 1 | summarize minif(x, x > 5)"),
    row("max", &[], &[Any], (1, 1), Arg(0), Prefixed("max"), "The largest value.")
        .example("range x from 1 to 10 step 1 | summarize max(x)"),
    row(
        "maxif",
        &[],
        &[Any, Bool],
        (2, 2),
        Arg(0),
        Prefixed("maxif"),
        "The largest value of rows for which the predicate is true.",
    )
    .example("range x from 1 to 10 step 1 | summarize maxif(x, x < 5)"),
    row("avg", &[], &[Summable], (1, 1), Rule(mean), Prefixed("avg"), "The mean of the values that are not null.")
        .example("range x from 1 to 10 step 1 | summarize avg(x)"),
    row(
        "avgif",
        &[],
        &[Summable, Bool],
        (2, 2),
        Rule(mean),
        Prefixed("avgif"),
        "The mean over rows for which the predicate is true.",
    )
    .example("range x from 1 to 10 step 1 | summarize avgif(x, x > 5)"),
    row(
        "dcount",
        &[],
        &[Any, Long],
        (1, 2),
        Is(Type::Long),
        Prefixed("dcount"),
        "About how many distinct values there are.",
    )
    .example("range x from 1 to 10 step 1 | summarize dcount(x % 3)"),
    row(
        "dcountif",
        &[],
        &[Any, Bool, Long],
        (2, 3),
        Is(Type::Long),
        Prefixed("dcountif"),
        "About how many distinct values rows with a true predicate have.",
    )
    .example("range x from 1 to 10 step 1 | summarize dcountif(x % 3, x > 5)"),
    row(
        "count_distinct",
        &[],
        &[Any],
        (1, 1),
        Is(Type::Long),
        Prefixed("count_distinct"),
        "How many distinct values there are.",
    )
    .example("range x from 1 to 10 step 1 | summarize count_distinct(x % 3)"),
    row(
        "count_distinctif",
        &[],
        &[Any, Bool],
        (2, 2),
        Is(Type::Long),
        Prefixed("count_distinctif"),
        "How many distinct values rows with a true predicate have.",
    )
    .example("range x from 1 to 10 step 1 | summarize count_distinctif(x % 3, x > 5)"),
    row(
        "make_list",
        &["makelist"],
        &[Any, Long],
        (1, 2),
        Is(Type::Dynamic),
        Prefixed("list"),
        "An array of the values that are not null, up to a size.",
    )
    .example("range x from 1 to 10 step 1 | summarize make_list(x, 3)"),
    row(
        "make_list_if",
        &[],
        &[Any, Bool, Long],
        (2, 3),
        Is(Type::Dynamic),
        Prefixed("list"),
        "An array of the values of rows with a true predicate.",
    )
    .example("range x from 1 to 10 step 1 | summarize make_list_if(x, x > 5)"),
    row(
        "make_list_with_nulls",
        &[],
        &[Any],
        (1, 1),
        Is(Type::Dynamic),
        Prefixed("list"),
        "An array of all values, nulls included.",
    )
    .own_nulls()
    .example("range x from 1 to 10 step 1 | summarize make_list_with_nulls(iff(x > 5, x, long(null)))"),
    row(
        "make_set",
        &["makeset"],
        &[Any, Long],
        (1, 2),
        Is(Type::Dynamic),
        Prefixed("set"),
        "An array of the distinct values, up to a size.",
    )
    .example("range x from 1 to 10 step 1 | summarize make_set(x % 3)"),
    row(
        "make_set_if",
        &[],
        &[Any, Bool, Long],
        (2, 3),
        Is(Type::Dynamic),
        Prefixed("set"),
        "An array of the distinct values of rows with a true predicate.",
    )
    .example("range x from 1 to 10 step 1 | summarize make_set_if(x % 3, x > 5)"),
    row(
        "make_bag",
        &["make_dictionary"],
        &[ToDynamic, Long],
        (1, 2),
        Is(Type::Dynamic),
        Prefixed("bag"),
        "All keys of all bags.",
    )
    .example(r#"range x from 1 to 10 step 1 | summarize make_bag(bag_pack(strcat("key", x), x))"#),
    row(
        "make_bag_if",
        &[],
        &[ToDynamic, Bool, Long],
        (2, 3),
        Is(Type::Dynamic),
        Prefixed("bag"),
        "All keys of the bags of rows with a true predicate.",
    )
    .example(r#"range x from 1 to 10 step 1 | summarize make_bag_if(bag_pack(strcat("key", x), x), x > 8)"#),
    row(
        "arg_max",
        &["argmax"],
        &[Any],
        (1, 1024),
        Arg(0),
        FirstArgument,
        "The row where the first argument is largest: that, and the further arguments there.",
    )
    .example("range x from 1 to 10 step 1 | summarize arg_max(x % 7, x)"),
    row(
        "arg_min",
        &["argmin"],
        &[Any],
        (1, 1024),
        Arg(0),
        FirstArgument,
        "The row where the first argument is smallest: that, and the further arguments there.",
    )
    .example("range x from 1 to 10 step 1 | summarize arg_min(-x, x)"),
    row(
        "take_any",
        &[],
        &[Any],
        (1, 1024),
        Arg(0),
        FirstArgument,
        "A value of some row (not null where there is one).",
    )
    .example("range x from 1 to 10 step 1 | summarize take_any(x)"),
    row("take_anyif", &[], &[Any, Bool], (2, 2), Arg(0), FirstArgument, "A value of some row with a true predicate.")
        .example("range x from 1 to 10 step 1 | summarize take_anyif(x, x > 5)"),
    row("any", &[], &[Any], (1, 1024), Arg(0), Prefixed("any"), "As `take_any`, under its older name.")
        .example("range x from 1 to 10 step 1 | summarize any(x)"),
    row("anyif", &[], &[Any, Bool], (2, 2), Arg(0), Prefixed("anyif"), "As `take_anyif`, under its older name.")
        .example("range x from 1 to 10 step 1 | summarize anyif(x, x > 5)"),
    row("binary_all_and", &[], &[Long], (1, 1), Is(Type::Long), FirstArgument, "Bits that all values have.")
        .example("range x from 1 to 10 step 1 | summarize binary_all_and(x)"),
    row("binary_all_or", &[], &[Long], (1, 1), Is(Type::Long), FirstArgument, "Bits that some value has.")
        .example("range x from 1 to 10 step 1 | summarize binary_all_or(x)"),
    row(
        "binary_all_xor",
        &[],
        &[Long],
        (1, 1),
        Is(Type::Long),
        FirstArgument,
        "Bits that an odd number of values has.",
    )
    .example("range x from 1 to 10 step 1 | summarize binary_all_xor(x)"),
    row(
        "buildschema",
        &[],
        &[ToDynamic],
        (1, 1),
        Is(Type::Dynamic),
        Prefixed("schema"),
        "The smallest schema that admits all values.",
    )
    .example(r#"range x from 1 to 10 step 1 | summarize buildschema(bag_pack("a", x))"#),
];
