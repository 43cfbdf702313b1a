//! The kernel against the obvious reading of the rules: whole rows in states, every expression over one row.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use kyma_core::error::Span;
use kyma_core::{Column, Schema, Type, Value};
use kyma_plan::table::{Scan, ScanColumn, ScanStep, StepOutput};
use kyma_plan::{BinaryOp, Expr, ExprKind};
use proptest::prelude::*;

use super::*;
use crate::eval::eval;
use crate::{EvalContext, array_value, value_to_array};

const CONTEXT: EvalContext = EvalContext { now: 0 };
/// Input: `n:long, s:string`; declared: `d:long = 7`.
const OF_STEP: usize = 3;

fn types() -> [Type; OF_STEP] {
    [Type::Long, Type::String, Type::Long]
}

fn column(at: usize) -> Expr {
    Expr::column(at, types()[at % OF_STEP], Span::default())
}

/// Column `at` of a step's row.
fn state(step: usize, at: usize) -> Expr {
    column(OF_STEP * (step + 1) + at)
}

fn long(value: i64) -> Expr {
    Expr::literal(Value::Long(value), Span::default())
}

fn compare(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    Expr::binary(op, left, right, Type::Bool)
}

fn call(function: &'static str, args: Vec<Expr>, ty: Type) -> Expr {
    Expr::call(function, args, ty, Span::default())
}

fn table(rows: &[(Option<i64>, &str)]) -> (RecordBatch, Schema) {
    let schema = Schema::from([("n", Type::Long), ("s", Type::String)]);
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.0)));
    let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values(rows.iter().map(|row| row.1)));
    (RecordBatch::try_new(schema.arrow(), vec![numbers, texts]).unwrap(), schema)
}

fn run(steps: &Scan, rows: &[(Option<i64>, &str)]) -> RecordBatch {
    let (input, schema) = table(rows);
    let out = Schema::from([("n", Type::Long), ("s", Type::String), ("d", Type::Long), ("id", Type::Long)]);
    scan(steps, &TableCall { inputs: &[input], schemas: &[schema], out: &out, context: &CONTEXT }).unwrap()
}

fn values(batch: &RecordBatch) -> Vec<Vec<Value>> {
    let types = [Type::Long, Type::String, Type::Long, Type::Long];
    let row = |row: usize| types.iter().enumerate().map(|(at, ty)| array_value(batch.column(at), row, *ty)).collect();
    (0..batch.num_rows()).map(row).collect()
}

fn steps_of(steps: Vec<(StepOutput, Expr, Option<Expr>)>) -> Scan {
    let step = |(at, (output, condition, assigned)): (usize, (StepOutput, Expr, Option<Expr>))| ScanStep {
        name: format!("s{at}"),
        output,
        condition,
        assignments: assigned.into_iter().map(|expr| (0, expr)).collect(),
    };
    Scan {
        partition: Vec::new(),
        declared: vec![ScanColumn { column: Column::new("d", Type::Long), default: Value::Long(7) }],
        match_id: true,
        steps: steps.into_iter().enumerate().map(step).collect(),
    }
}

/// The rules as they stand in the documentation of [`Scan`].
fn obvious(scan: &Scan, rows: &[(Option<i64>, &str)]) -> Vec<Vec<Value>> {
    type Rows = Vec<Option<Vec<Value>>>;
    type State = (Rows, i64, Option<Vec<Value>>);
    let value = |expr: &Expr, row: &[Value], declared: &Value, state: &Rows| {
        let absent = vec![Value::Null(Type::Long), Value::String(String::new()), Value::Long(7)];
        let mut all: Vec<Value> = row.to_vec();
        all.push(declared.clone());
        for step in 0..scan.steps.len() {
            all.extend(state.get(step).cloned().flatten().unwrap_or_else(|| absent.clone()));
        }
        let arrays: Vec<ArrayRef> = all.iter().map(|value| value_to_array(value, 1)).collect();
        array_value(&*eval(expr, &arrays, 1, &CONTEXT).unwrap().to_array(1), 0, expr.ty)
    };
    let (mut out, mut next) = (Vec::new(), 0);
    let mut states: Vec<Option<State>> = vec![None; scan.steps.len()];
    for (number, text) in rows {
        let row = vec![number.map_or(Value::Null(Type::Long), Value::Long), Value::String((*text).to_owned())];
        for at in (0..scan.steps.len()).rev() {
            let step = &scan.steps[at];
            let none = Rows::new();
            let holds = |state: &Rows| value(&step.condition, &row, &Value::Long(7), state) == Value::Bool(true);
            let promoted = at > 0 && states[at - 1].as_ref().is_some_and(|state| holds(&state.0));
            if promoted {
                let moved = states[at - 1].take();
                let ended = std::mem::replace(&mut states[at], moved);
                out.extend(ended.and_then(|ended| ended.2));
                out.extend(states[at].as_mut().and_then(|state| state.2.take()));
            } else {
                let active = states[at].is_some();
                if !(active || at == 0) || !holds(states[at].as_ref().map_or(&none, |state| &state.0)) {
                    continue;
                }
                if !active {
                    states[at] = Some((Rows::new(), next, None));
                    next += 1;
                }
            }
            let state = states[at].as_mut().unwrap();
            let declared = match step.assignments.first() {
                Some((_, expr)) => value(expr, &row, &Value::Long(7), &state.0),
                None => Value::Long(7),
            };
            let mut found = row.clone();
            found.push(declared);
            state.0.resize(at + 1, None);
            state.0[at] = Some(found.clone());
            found.push(Value::Long(state.1));
            match step.output {
                StepOutput::All => out.push(found),
                StepOutput::Last => state.2 = Some(found),
                StepOutput::None => {}
            }
        }
    }
    // What is held at the end: by the order of the rows, which the first column of such a test must tell apart.
    let mut held: Vec<Vec<Value>> = states.into_iter().flatten().filter_map(|state| state.2).collect();
    held.sort_by_key(|found| rows.iter().rposition(|row| matches(row, found)));
    out.extend(held);
    out
}

fn matches(row: &(Option<i64>, &str), found: &[Value]) -> bool {
    row.0.map_or(Value::Null(Type::Long), Value::Long) == found[0] && found[1] == Value::String(row.1.to_owned())
}

/// Conditions over the row, declared columns and states of steps up to `at`.
fn condition(at: usize) -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        (0..4_i64).prop_map(|n| compare(BinaryOp::Equal, column(0), long(n))),
        (0..4_i64, 0..=at).prop_map(|(n, step)| compare(
            BinaryOp::Less,
            Expr::binary(BinaryOp::Subtract, column(0), state(step, 0), Type::Long),
            long(n)
        )),
        (0..=at).prop_map(|step| compare(BinaryOp::Equal, column(1), state(step, 1))),
        (0..=at).prop_map(|step| compare(BinaryOp::NotEqual, call("toupper", vec![state(step, 1)], Type::String), {
            call("toupper", vec![column(1)], Type::String)
        })),
        (0..=at).prop_map(|step| call("isnull", vec![state(step, 0)], Type::Bool)),
        (0..=at).prop_map(|step| compare(BinaryOp::GreaterOrEqual, state(step, 2), column(2))),
        Just(Expr::literal(Value::Bool(true), Span::default())),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        let kinds = [ExprKind::And as fn(Vec<Expr>) -> ExprKind, ExprKind::Or];
        (proptest::collection::vec(inner.clone(), 1..3), 0..2_usize, any::<bool>()).prop_map(
            move |(parts, kind, not)| {
                let span = Span::default();
                let all = Expr { kind: kinds[kind](parts), ty: Type::Bool, span };
                if not { Expr { kind: ExprKind::Not(Box::new(all)), ty: Type::Bool, span } } else { all }
            },
        )
    })
}

fn assignment(at: usize) -> impl Strategy<Value = Option<Expr>> {
    prop_oneof![
        Just(None),
        (0..=at).prop_map(|step| Some(Expr::binary(BinaryOp::Add, column(0), state(step, 2), Type::Long))),
        (0..=at).prop_map(|step| Some(call(
            "iff",
            vec![call("isempty", vec![state(step, 1)], Type::Bool), column(0), state(step, 0)],
            Type::Long
        ))),
        (0..=at).prop_map(|step| Some(call("strlen", vec![state(step, 1)], Type::Long))),
    ]
}

fn step(at: usize) -> impl Strategy<Value = (StepOutput, Expr, Option<Expr>)> {
    let output = prop_oneof![Just(StepOutput::All), Just(StepOutput::Last), Just(StepOutput::None)];
    (output, condition(at), assignment(at))
}

proptest! {
    #[test]
    fn agrees_with_the_obvious(
        steps in (1..4_usize).prop_flat_map(|count| (0..count).map(step).collect::<Vec<_>>()),
        rows in proptest::collection::vec((proptest::option::weighted(0.9, 0..4_i64), "[abA]?"), 0..24),
    ) {
        let scan = steps_of(steps);
        // Rows are told apart by their text, for the order of what is held at the end.
        let texts: Vec<(Option<i64>, String)> =
            rows.iter().enumerate().map(|(at, (number, text))| (*number, format!("{text}{}", "é".repeat(at)))).collect();
        let rows: Vec<(Option<i64>, &str)> = texts.iter().map(|(number, text)| (*number, text.as_str())).collect();
        prop_assert_eq!(values(&run(&scan, &rows)), obvious(&scan, &rows));
    }
}

/// `a` begins, rows are added up, `z` ends.
fn sums() -> Scan {
    let text = |text: &str| Expr::literal(Value::String(text.to_owned()), Span::default());
    let begins = compare(BinaryOp::Equal, column(1), text("a"));
    let goes_on = compare(BinaryOp::NotEqual, column(1), text("z"));
    let ends = compare(BinaryOp::Equal, column(1), text("z"));
    let sum = |step: usize| Expr::binary(BinaryOp::Add, column(0), state(step, 2), Type::Long);
    steps_of(vec![
        (StepOutput::None, begins, Some(column(0))),
        (
            StepOutput::Last,
            goes_on,
            Some(call("iff", vec![call("isnull", vec![state(1, 0)], Type::Bool), sum(0), sum(1)], Type::Long)),
        ),
        (StepOutput::All, ends, Some(state(1, 2))),
    ])
}

#[test]
fn a_sequence_comes_out_as_its_steps_say() {
    let rows = [(Some(1), "a"), (Some(2), "x"), (Some(3), "y"), (Some(4), "z"), (Some(5), "x"), (Some(6), "a")];
    let long = |n| Value::Long(n);
    let text = |text: &str| Value::String(text.to_owned());
    assert_eq!(
        values(&run(&sums(), &rows)),
        [vec![long(3), text("y"), long(6), long(0)], vec![long(4), text("z"), long(6), long(0)]]
    );
}

#[test]
fn streams_are_scanned_alone() {
    let mut scan = steps_of(vec![(
        StepOutput::All,
        Expr::literal(Value::Bool(true), Span::default()),
        Some(Expr::binary(BinaryOp::Add, column(0), state(0, 2), Type::Long)),
    )]);
    scan.partition = vec![1];
    let rows = [(Some(1), "a"), (Some(10), "b"), (Some(2), "a"), (Some(20), "b")];
    let sums: Vec<(Value, Value)> =
        values(&run(&scan, &rows)).into_iter().map(|row| (row[2].clone(), row[3].clone())).collect();
    let pair = |sum, id| (Value::Long(sum), Value::Long(id));
    assert_eq!(sums, [pair(8, 0), pair(10, 0), pair(17, 1), pair(37, 1)]);
}

/// Measured by hand: `cargo test -p kyma-functions --release rows_per_second -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn rows_per_second() {
    let texts = ["a", "x", "y", "x", "z", "q", "x", "z"];
    let rows: Vec<(Option<i64>, &str)> =
        (0..1_000_000).map(|at| (Some(at), texts[at as usize % texts.len()])).collect();
    let started = Instant::now();
    let found = run(&sums(), &rows).num_rows();
    let seconds = started.elapsed().as_secs_f64();
    eprintln!("scan: {:.2} million rows/s, {found} matches", rows.len() as f64 / seconds / 1e6);
}
