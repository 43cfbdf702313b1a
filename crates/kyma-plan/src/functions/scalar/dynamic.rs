//! Arrays, bags and sets in a dynamic.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{MANY, ScalarFunction, row};

/// Arrays, bags and sets in a dynamic.
pub(super) static TABLE: &[ScalarFunction] = &[
    row(
        "array_length",
        &["arraylength"],
        &[ToDynamic],
        (1, 1),
        Is(Type::Long),
        Numbered,
        "The number of elements; null for what is no array.",
    )
    .example("print array_length(dynamic([1, 2, 3]))"),
    row("array_concat", &[], &[ToDynamic], (1, MANY), Is(Type::Dynamic), Numbered, "The elements of all arrays.")
        .own_nulls()
        .example("print array_concat(dynamic([1, 2]), dynamic([3]))"),
    row(
        "array_iff",
        &["array_iif"],
        &[ToDynamic, Any],
        (3, 3),
        Is(Type::Dynamic),
        Numbered,
        "Element-wise choice between two arrays or values.",
    )
    .own_nulls()
    .example("print array_iff(dynamic([true, false, true]), dynamic([1, 2, 3]), dynamic([4, 5, 6]))"),
    row(
        "array_index_of",
        &[],
        &[ToDynamic, Any, Long],
        (2, 5),
        Is(Type::Long),
        Numbered,
        "Position of the n-th equal element from a start within a length; -1 if none.",
    )
    .own_nulls()
    .example(r#"print array_index_of(dynamic(["this", "is", "an", "example"]), "an")"#),
    row("array_reverse", &[], &[ToDynamic], (1, 1), Is(Type::Dynamic), Numbered, "The elements backwards.")
        .example("print array_reverse(dynamic([1, 2, 3]))"),
    row("array_rotate_left", &[], &[ToDynamic, Long], (2, 2), Is(Type::Dynamic), Numbered, "The elements rotated.")
        .example("print array_rotate_left(dynamic([1, 2, 3, 4, 5]), 2)"),
    row("array_rotate_right", &[], &[ToDynamic, Long], (2, 2), Is(Type::Dynamic), Numbered, "The elements rotated.")
        .example("print array_rotate_right(dynamic([1, 2, 3, 4, 5]), 2)"),
    row(
        "array_shift_left",
        &[],
        &[ToDynamic, Long, Any],
        (2, 3),
        Is(Type::Dynamic),
        Numbered,
        "The elements shifted, filled with a value.",
    )
    .example("print array_shift_left(dynamic([1, 2, 3, 4, 5]), 2, -1)"),
    row(
        "array_shift_right",
        &[],
        &[ToDynamic, Long, Any],
        (2, 3),
        Is(Type::Dynamic),
        Numbered,
        "The elements shifted, filled with a value.",
    )
    .example("print array_shift_right(dynamic([1, 2, 3, 4, 5]), 2)"),
    row(
        "array_slice",
        &[],
        &[ToDynamic, Long, Long],
        (3, 3),
        Is(Type::Dynamic),
        Numbered,
        "The elements from start to end, both inclusive.",
    )
    .example("print array_slice(dynamic([1, 2, 3, 4, 5]), 1, 3)"),
    row(
        "array_split",
        &[],
        &[ToDynamic, ToDynamic],
        (2, 2),
        Is(Type::Dynamic),
        Numbered,
        "The pieces before, between and after the positions.",
    )
    .example("print array_split(dynamic([1, 2, 3, 4, 5]), dynamic([1, 3]))"),
    row(
        "array_sort_asc",
        &[],
        &[ToDynamic, Any],
        (1, MANY),
        Is(Type::Dynamic),
        Numbered,
        "The elements in ascending order, nulls last.",
    )
    .example("print array_sort_asc(dynamic([3, 1, 2]))"),
    row(
        "array_sort_desc",
        &[],
        &[ToDynamic, Any],
        (1, MANY),
        Is(Type::Dynamic),
        Numbered,
        "The elements in descending order, nulls last.",
    )
    .example("print array_sort_desc(dynamic([3, 1, 2]))"),
    row("array_sum", &[], &[ToDynamic], (1, 1), Is(Type::Real), Numbered, "The sum of the elements.")
        .example("print array_sum(dynamic([1, 2, 3, 4]))"),
    row(
        "bag_has_key",
        &[],
        &[ToDynamic, Text],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether a bag has a key (or a `$.a.b` path).",
    )
    .example(r#"print bag_has_key(dynamic({"key1": {"inner": 1}}), "$.key1.inner")"#),
    row("bag_keys", &[], &[ToDynamic], (1, 1), Is(Type::Dynamic), Numbered, "The keys of a bag.")
        .example(r#"print bag_keys(dynamic({"a": 1, "b": 2}))"#),
    row(
        "bag_merge",
        &[],
        &[ToDynamic],
        (1, MANY),
        Is(Type::Dynamic),
        Numbered,
        "All keys of all bags; the first of equal ones counts.",
    )
    .own_nulls()
    .example(r#"print bag_merge(dynamic({"a": 1}), dynamic({"a": 2, "b": 3}))"#),
    row(
        "bag_pack",
        &["pack", "pack_dictionary"],
        &[Any],
        (2, MANY * 2),
        Is(Type::Dynamic),
        Numbered,
        "A bag of alternating keys and values.",
    )
    .own_nulls()
    .example(r#"print bag_pack("Level", "Information", "ProcessID", 1234)"#),
    row(
        "bag_remove_keys",
        &[],
        &[ToDynamic, ToDynamic],
        (2, 2),
        Is(Type::Dynamic),
        Numbered,
        "A bag without keys (or `$.a.b` paths).",
    )
    .example(r#"print bag_remove_keys(dynamic({"a": 1, "b": {"c": 2, "d": 3}}), dynamic(["a", "$.b.c"]))"#),
    row(
        "bag_set_key",
        &[],
        &[ToDynamic, Text, Any],
        (3, 3),
        Is(Type::Dynamic),
        Numbered,
        "A bag with a key (or a `$.a.b` path) set.",
    )
    .example(r#"print bag_set_key(dynamic({"a": 1}), "b", 2)"#),
    row(
        "bag_zip",
        &[],
        &[ToDynamic],
        (2, 2),
        Is(Type::Dynamic),
        Numbered,
        "A bag of an array of keys and one of values.",
    )
    .example(r#"print bag_zip(dynamic(["a", "b"]), dynamic([1, 2]))"#),
    row("pack_array", &[], &[Any], (0, 1024), Is(Type::Dynamic), Numbered, "An array of the values.")
        .own_nulls()
        .example(r#"print pack_array(1, "two", 3.0)"#),
    row(
        "pack_all",
        &["bag_pack_columns"],
        &[Any],
        (0, 4096),
        Is(Type::Dynamic),
        Numbered,
        "A bag of every column; frontends pass names and values alternating.",
    )
    .own_nulls()
    .example(r#"print a = 1, b = "two" | extend bag = pack_all()"#),
    row(
        "repeat",
        &[],
        &[Any, Long],
        (2, 2),
        Is(Type::Dynamic),
        Prefixed("repeat"),
        "An array of one value, many times.",
    )
    .own_nulls()
    .example("print repeat(1, 3)"),
    row("range", &[], &[Any], (2, 3), Is(Type::Dynamic), Numbered, "The values from start to stop by a step.")
        .example("print range(1, 10, 3)"),
    row(
        "set_difference",
        &[],
        &[ToDynamic],
        (1, MANY),
        Is(Type::Dynamic),
        Numbered,
        "Distinct elements of the first array that are in no other.",
    )
    .example("print set_difference(dynamic([1, 2, 3]), dynamic([2]))"),
    row(
        "set_equals",
        &[],
        &[ToDynamic],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether both arrays have the same distinct elements.",
    )
    .example("print set_equals(dynamic([1, 2]), dynamic([2, 1, 1]))"),
    row(
        "set_has_element",
        &[],
        &[ToDynamic, Any],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether the array has the element.",
    )
    .own_nulls()
    .example(r#"print set_has_element(dynamic(["this", "is"]), "is")"#),
    row(
        "set_intersect",
        &[],
        &[ToDynamic],
        (1, MANY),
        Is(Type::Dynamic),
        Numbered,
        "Distinct elements that all arrays have.",
    )
    .example("print set_intersect(dynamic([1, 2, 3]), dynamic([3, 2]))"),
    row("set_union", &[], &[ToDynamic], (1, MANY), Is(Type::Dynamic), Numbered, "Distinct elements of all arrays.")
        .example("print set_union(dynamic([1, 2]), dynamic([2, 3]))"),
    row(
        "jaccard_index",
        &[],
        &[ToDynamic],
        (2, 2),
        Is(Type::Real),
        Numbered,
        "Size of the intersection over size of the union.",
    )
    .example("print jaccard_index(dynamic([1, 2, 3]), dynamic([2, 3, 4]))"),
    row("treepath", &[], &[ToDynamic], (1, 1), Is(Type::Dynamic), Prefixed("tree"), "Every path of the value.")
        .example(r#"print treepath(dynamic({"a": [{"b": 1}]}))"#),
    row(
        "zip",
        &[],
        &[ToDynamic],
        (1, MANY),
        Is(Type::Dynamic),
        Numbered,
        "An array of arrays of the elements at equal places.",
    )
    .example("print zip(dynamic([1, 3, 5]), dynamic([2, 4, 6]))"),
];
