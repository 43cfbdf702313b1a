use std::sync::Arc;

use arrow::array::Int64Array;
use proptest::prelude::*;

use super::*;
use crate::array_value;

fn longs(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

/// Every aggregate has a kernel, and every kernel is an aggregate.
#[test]
fn kernels_match_signatures() {
    for function in kyma_plan::functions::aggregates() {
        let count = function.min_args.max(1);
        let types: Vec<Type> = (0..function.min_args)
            .map(|at| {
                function.params.get(at).or(function.params.last()).map_or(Type::Long, |class| match class {
                    kyma_plan::functions::Class::Bool => Type::Bool,
                    kyma_plan::functions::Class::Real => Type::Real,
                    kyma_plan::functions::Class::ToDynamic => Type::Dynamic,
                    _ => Type::Long,
                })
            })
            .collect();
        let constants = vec![Some(Value::Real(50.0)); count];
        let made = aggregate(function.name, &types, &constants, &[Type::Long]);
        assert!(made.is_ok(), "{}: {:?}", function.name, made.err());
    }
}

#[track_caller]
fn check(function: &str, types: &[Type], args: &[ArrayRef], constants: &[Option<Value>], out: Type, expected: Value) {
    let mut made = aggregate(function, types, constants, &[out]).unwrap();
    let rows = args.first().map_or(3, |array| array.len());
    made.update(args, &vec![0; rows], 1).unwrap();
    let found = made.finish(Emit::All).unwrap();
    assert_eq!(array_value(found[0].as_ref(), 0, out), expected, "{function}");
}

#[test]
fn results() {
    let values = longs(&[Some(3), None, Some(1), Some(3)]);
    let long = [Type::Long];
    let one = [values.clone()];
    check("count", &[], &[], &[], Type::Long, Value::Long(3));
    check("sum", &long, &one, &[None], Type::Long, Value::Long(7));
    check("min", &long, &one, &[None], Type::Long, Value::Long(1));
    check("max", &long, &one, &[None], Type::Long, Value::Long(3));
    check("avg", &long, &one, &[None], Type::Real, Value::Real(7.0 / 3.0));
    check("dcount", &long, &one, &[None], Type::Long, Value::Long(2));
    check("make_list", &long, &one, &[None], Type::Dynamic, Value::Dynamic("[3,1,3]".into()));
    check("make_set", &long, &one, &[None], Type::Dynamic, Value::Dynamic("[3,1]".into()));
    check("make_list_with_nulls", &long, &one, &[None], Type::Dynamic, Value::Dynamic("[3,null,1,3]".into()));
    check("binary_all_or", &long, &one, &[None], Type::Long, Value::Long(3));
    let texts = |items: [&str; 2]| -> ArrayRef { Arc::new(arrow::array::StringViewArray::from_iter_values(items)) };
    let arrays = [texts(["[1,\"a\",null]", "[\"a\",2]"])];
    let union = Value::Dynamic("[1,\"a\",2]".into());
    check("make_set", &[Type::Dynamic], &arrays, &[None], Type::Dynamic, union);
    let list = Value::Dynamic("[1,\"a\",\"a\",2]".into());
    check("make_list", &[Type::Dynamic], &arrays, &[None], Type::Dynamic, list);
    let half = [None, Some(Value::Long(50))];
    let two = [values.clone(), longs(&[Some(50); 4])];
    check("percentile", &[Type::Long, Type::Long], &two, &half, Type::Long, Value::Long(3));
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), Some(true), None, Some(false)]));
    check("sumif", &[Type::Long, Type::Bool], &[values, flags.clone()], &[None, None], Type::Long, Value::Long(3));
    check("countif", &[Type::Bool], &[flags], &[None], Type::Long, Value::Long(2));
}

#[test]
fn nothing() {
    let none = [longs(&[])];
    check("sum", &[Type::Long], &none, &[None], Type::Long, Value::Long(0));
    check("min", &[Type::Long], &none, &[None], Type::Long, Value::Null(Type::Long));
    check("make_set", &[Type::Long], &none, &[None], Type::Dynamic, Value::Dynamic("[]".into()));
    check("arg_max", &[Type::Long], &none, &[None], Type::Long, Value::Null(Type::Long));
    let reals: [ArrayRef; 1] = [Arc::new(arrow::array::Float64Array::from(Vec::<f64>::new()))];
    check("stdev", &[Type::Real], &reals, &[None], Type::Real, Value::Real(0.0));
}

#[test]
fn arg_max_carries_the_row() {
    let types = [Type::Long, Type::String];
    let mut made = aggregate("arg_max", &types, &[None, None], &types).unwrap();
    let texts = crate::build::texts(3, |row| ["a", "b", "c"][row]);
    made.update(&[longs(&[Some(1), Some(9), Some(9)]), texts], &[0, 0, 0], 1).unwrap();
    let found = made.finish(Emit::All).unwrap();
    assert_eq!(array_value(found[0].as_ref(), 0, Type::Long), Value::Long(9));
    assert_eq!(array_value(found[1].as_ref(), 0, Type::String), Value::String("b".into()));
}

#[test]
fn schema_of_values() {
    let values = [r#"{"x":1,"y":3.5}"#, r#"{"x":"s","z":[1,2]}"#, r#"{"y":{"w":"z"},"t":["a"],"z":["f"]}"#];
    let column = crate::build::jsons(3, |row| Some(values[row]));
    let expected = r#"{"x":["long","string"],"y":[{"w":"string"},"double"],"z":{"`indexer`":["long","string"]},"t":{"`indexer`":"string"}}"#;
    check("buildschema", &[Type::Dynamic], &[column], &[None], Type::Dynamic, Value::Dynamic(expected.into()));
}

#[test]
fn estimates_are_near() {
    let many = longs(&(0..200_000).map(Some).collect::<Vec<_>>());
    let groups = vec![0; 200_000];
    let mut dcount = aggregate("dcount", &[Type::Long], &[None], &[Type::Long]).unwrap();
    dcount.update(std::slice::from_ref(&many), &groups, 1).unwrap();
    let Value::Long(count) = array_value(dcount.finish(Emit::All).unwrap()[0].as_ref(), 0, Type::Long) else {
        panic!()
    };
    assert!((count - 200_000).abs() < 5_000, "{count}");
    let constants = [None, Some(Value::Long(95))];
    let mut percentile = aggregate("percentile", &[Type::Long, Type::Long], &constants, &[Type::Long]).unwrap();
    percentile.update(&[many.clone(), many], &groups, 1).unwrap();
    let Value::Long(p95) = array_value(percentile.finish(Emit::All).unwrap()[0].as_ref(), 0, Type::Long) else {
        panic!()
    };
    assert!((p95 - 190_000).abs() < 1_000, "{p95}");
}

/// Rows as (group, value); what one run over all rows gives.
fn whole(function: &str, rows: &[(usize, Option<i64>)], constants: &[Option<Value>], out: Type) -> Vec<Value> {
    let mut made = aggregate(function, &types_of(constants), constants, &[out]).unwrap();
    feed(made.as_mut(), rows, constants.len());
    let found = made.finish(Emit::All).unwrap();
    (0..GROUPS).map(|group| array_value(found[0].as_ref(), group, out)).collect()
}

const GROUPS: usize = 3;

fn types_of(constants: &[Option<Value>]) -> Vec<Type> {
    vec![Type::Long; constants.len()]
}

fn feed(made: &mut dyn Aggregate, rows: &[(usize, Option<i64>)], args: usize) {
    let values = longs(&rows.iter().map(|(_, value)| *value).collect::<Vec<_>>());
    let groups: Vec<usize> = rows.iter().map(|(group, _)| *group).collect();
    made.update(&vec![values; args], &groups, GROUPS).unwrap();
}

proptest! {
    #[test]
    fn partial_states_merge_to_the_whole(
        rows in prop::collection::vec((0..GROUPS, prop::option::of(-20_i64..20)), 0..60),
        split in 0..60_usize,
    ) {
        let split = split.min(rows.len());
        for (function, constants, out) in [
            ("count", vec![], Type::Long),
            ("sum", vec![None], Type::Long),
            ("min", vec![None], Type::Long),
            ("max", vec![None], Type::Long),
            ("dcount", vec![None], Type::Long),
            ("count_distinct", vec![None], Type::Long),
            ("make_list", vec![None], Type::Dynamic),
            ("make_set", vec![None], Type::Dynamic),
            ("arg_max", vec![None], Type::Long),
            ("take_any", vec![None], Type::Long),
            ("percentile", vec![None, Some(Value::Long(30))], Type::Long),
            ("binary_all_xor", vec![None], Type::Long),
        ] {
            let mut last = aggregate(function, &types_of(&constants), &constants, &[out]).unwrap();
            for part in [&rows[..split], &rows[split..]] {
                let mut partial = aggregate(function, &types_of(&constants), &constants, &[out]).unwrap();
                feed(partial.as_mut(), part, constants.len());
                let state = partial.state(Emit::All).unwrap();
                prop_assert_eq!(state.iter().map(|array| array.data_type().clone()).collect::<Vec<_>>(), partial.state_types());
                last.merge(&state, &[0, 1, 2], GROUPS).unwrap();
            }
            let found = last.finish(Emit::All).unwrap();
            let found: Vec<Value> = (0..GROUPS).map(|group| array_value(found[0].as_ref(), group, out)).collect();
            prop_assert_eq!(found, whole(function, &rows, &constants, out), "{}", function);
        }
    }
}

#[test]
fn sketches_merge_as_they_count() {
    let values = longs(&(0..300).map(|at| Some(at % 100)).collect::<Vec<_>>());
    for (whole, merged, read) in [("hll", "hll_merge", "dcount_hll"), ("tdigest", "merge_tdigest", "rank_tdigest")] {
        // Three groups of a hundred rows each.
        let mut made = aggregate(whole, &[Type::Long], &[None], &[Type::Dynamic]).unwrap();
        made.update(std::slice::from_ref(&values), &(0..300).map(|row| row / 100).collect::<Vec<_>>(), 3).unwrap();
        let parts = made.finish(Emit::All).unwrap().remove(0);
        let mut all = aggregate(merged, &[Type::Dynamic], &[None], &[Type::Dynamic]).unwrap();
        all.update(&[parts], &[0, 0, 0], 1).unwrap();
        let state = all.state(Emit::All).unwrap();
        let mut again = aggregate(merged, &[Type::Dynamic], &[None], &[Type::Dynamic]).unwrap();
        again.merge(&state, &[0], 1).unwrap();
        let sketch = again.finish(Emit::All).unwrap().remove(0);
        let sketch = crate::Arg::Scalar(array_value(sketch.as_ref(), 0, Type::Dynamic));
        let (args, types, out) = match read {
            "dcount_hll" => (vec![sketch], vec![Type::Dynamic], Type::Long),
            _ => (vec![sketch, crate::Arg::Scalar(Value::Long(49))], vec![Type::Dynamic, Type::Long], Type::Real),
        };
        let context = crate::EvalContext { now: 0 };
        let call = crate::Call { args: &args, types: &types, out, rows: 1, context: &context };
        let found = crate::scalar(read).unwrap().eval(&call).unwrap();
        let expected = if read == "dcount_hll" { Value::Long(100) } else { Value::Real(150.0) };
        assert_eq!(array_value(found.as_ref(), 0, out), expected, "{read}");
    }
}

#[test]
fn no_values_no_sketch() {
    for function in ["hll", "tdigest", "hll_merge", "merge_tdigest"] {
        let ty = if function.contains("merge") { Type::Dynamic } else { Type::Long };
        let mut made = aggregate(function, &[ty], &[None], &[Type::Dynamic]).unwrap();
        made.update(&[arrow::array::new_null_array(&ty.arrow(), 1)], &[0], 1).unwrap();
        let found = made.finish(Emit::All).unwrap();
        assert_eq!(array_value(found[0].as_ref(), 0, Type::Dynamic), Value::Null(Type::Dynamic), "{function}");
    }
}
