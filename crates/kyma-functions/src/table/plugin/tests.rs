//! Kernels against the slow, obvious way, on random data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringViewArray};
use kyma_core::{Schema, Type, Value};
use kyma_plan::table::{Plugin, TableFunction};
use proptest::prelude::*;

use crate::table::{TableCall, table};
use crate::{EvalContext, array_value};

/// The rows that a kernel gives.
fn run(name: &'static str, inputs: &[(Schema, Vec<ArrayRef>)], args: Vec<Value>, out: &Schema) -> Vec<Vec<Value>> {
    let schemas: Vec<Schema> = inputs.iter().map(|(schema, _)| schema.clone()).collect();
    let batch = |(schema, columns): &(Schema, Vec<ArrayRef>)| RecordBatch::try_new(schema.arrow(), columns.clone());
    let batches: Vec<RecordBatch> = inputs.iter().map(batch).collect::<Result<_, _>>().unwrap();
    let context = EvalContext { now: 0 };
    let call = TableCall { inputs: &batches, schemas: &schemas, out, context: &context };
    let found = table(&TableFunction::Plugin(Plugin { name, args }), &call).unwrap();
    let cell = |row: usize, at: usize| array_value(&**found.column(at), row, out.columns()[at].ty);
    (0..found.num_rows()).map(|row| (0..out.len()).map(|at| cell(row, at)).collect()).collect()
}

fn longs(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn texts(values: impl IntoIterator<Item = String>) -> ArrayRef {
    Arc::new(StringViewArray::from_iter_values(values))
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Long(number) => *number,
        other => panic!("no long: {other:?}"),
    }
}

/// Ids at times, as the plugins over activity take them.
fn events(found: &[(i64, i64)]) -> (Schema, Vec<ArrayRef>) {
    let schema = Schema::from([("id", Type::Long), ("t", Type::Long)]);
    (schema, vec![longs(found.iter().map(|event| event.0)), longs(found.iter().map(|event| event.1))])
}

fn some_events() -> impl Strategy<Value = Vec<(i64, i64)>> {
    proptest::collection::vec((0_i64..5, 0_i64..40), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn windows_slide(found in some_events(), start in 0_i64..20, length in 0_i64..20, back in 1_i64..12, bin in 1_i64..6) {
        let end = start + length;
        let out = Schema::from([("t", Type::Long), ("Count", Type::Long), ("Dcount", Type::Long)]);
        let args = [start, end, back, bin].map(Value::Long).to_vec();
        let fast = run("sliding_window_counts", &[events(&found)], args, &out);
        let mut slow = Vec::new();
        for at in (start..=end).step_by(bin as usize) {
            let inside = |t: i64| t >= at + bin - back && t < at + bin && t >= start - back && t <= end;
            let ids: Vec<i64> = found.iter().filter(|event| inside(event.1)).map(|event| event.0).collect();
            let distinct: BTreeSet<i64> = ids.iter().copied().collect();
            if !ids.is_empty() {
                slow.push([at, ids.len() as i64, distinct.len() as i64].map(Value::Long).to_vec());
            }
        }
        prop_assert_eq!(fast, slow);
    }

    #[test]
    fn sessions_begin_after_a_pause(found in some_events(), bin in 1_i64..6, back in 1_i64..8) {
        let out = Schema::from([("t", Type::Long), ("count_sessions", Type::Long)]);
        let args = vec![Value::Long(0), Value::Long(100), Value::Long(bin), Value::Long(back)];
        let fast = run("session_count", &[events(&found)], args, &out);
        let mut slow: BTreeMap<i64, i64> = BTreeMap::new();
        for id in 0..5 {
            let times: BTreeSet<i64> = found.iter().filter(|event| event.0 == id).map(|event| event.1).collect();
            for t in &times {
                if !times.iter().any(|before| before < t && t - before < back) {
                    *slow.entry(t.div_euclid(bin) * bin).or_default() += 1;
                }
            }
        }
        let slow: Vec<Vec<Value>> = slow.into_iter().map(|(t, count)| vec![Value::Long(t), Value::Long(count)]).collect();
        prop_assert_eq!(fast, slow);
    }

    #[test]
    fn ids_are_active_in_periods(found in some_events(), start in 0_i64..10, back in 1_i64..15, period in 1_i64..4, least in 1_i64..4) {
        let (end, bin) = (start + 20, 3);
        let out = Schema::from([("t", Type::Long), ("dcount", Type::Long)]);
        let args = [start, end, back, period, least, bin].map(Value::Long).to_vec();
        let fast = run("active_users_count", &[events(&found)], args, &out);
        let mut slow = Vec::new();
        // An id counts once a period, at its first event of that period.
        let kept: BTreeMap<(i64, i64), i64> = found
            .iter()
            .filter(|(_, t)| *t >= start - back && *t <= end)
            .fold(BTreeMap::new(), |mut kept, (id, t)| {
                let first = kept.entry((*id, (t - start).div_euclid(period))).or_insert(*t);
                *first = (*first).min(*t);
                kept
            });
        for at in (start..=end).step_by(bin as usize) {
            let active = (0..5).filter(|id| {
                let inside = |t: i64| t >= at + bin - back && t < at + bin;
                kept.iter().filter(|((who, _), t)| who == id && inside(**t)).count() as i64 >= least
            });
            let active = active.count() as i64;
            if active > 0 {
                slow.push(vec![Value::Long(at), Value::Long(active)]);
            }
        }
        prop_assert_eq!(fast, slow);
    }

    #[test]
    fn baskets_hold_every_frequent_combination(rows in proptest::collection::vec((0_u8..3, 0_u8..3, 0_u8..2), 1..40), percent in 5_u32..60) {
        let threshold = f64::from(percent) / 100.0;
        let input = Schema::from([("a", Type::String), ("b", Type::String), ("c", Type::String)]);
        let column = |pick: fn(&(u8, u8, u8)) -> u8| texts(rows.iter().map(|row| format!("v{}", pick(row))));
        let columns = vec![column(|row| row.0), column(|row| row.1), column(|row| row.2)];
        let fixed = [("SegmentId", Type::Long), ("Count", Type::Long), ("Percent", Type::Real)];
        let out: Schema = fixed
            .into_iter()
            .map(|(name, ty)| kyma_core::Column::new(name, ty))
            .chain(input.columns().iter().cloned())
            .collect();
        let args = vec![Value::Real(threshold), Value::Null(Type::Long)];
        let fast = run("basket", &[(input, columns)], args, &out);
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => panic!("no text: {other:?}"),
        };
        let fast: BTreeSet<(Vec<String>, i64)> =
            fast.iter().map(|row| (row[3..].iter().map(text).collect(), number(&row[1]))).collect();
        let least = (threshold * rows.len() as f64).ceil().max(1.0) as i64;
        let mut slow = BTreeSet::new();
        for mask in 1..8_u8 {
            let mut counts: BTreeMap<Vec<String>, i64> = BTreeMap::new();
            for row in &rows {
                let part = |at: u8, value: u8| if mask >> at & 1 == 1 { format!("v{value}") } else { String::new() };
                *counts.entry(vec![part(0, row.0), part(1, row.1), part(2, row.2)]).or_default() += 1;
            }
            slow.extend(counts.into_iter().filter(|(_, count)| *count >= least));
        }
        prop_assert_eq!(fast, slow);
    }

    #[test]
    fn addresses_find_their_networks(
        nets in proptest::collection::vec((any::<u32>(), 0_u32..=32), 0..12),
        addresses in proptest::collection::vec(any::<u32>(), 0..20),
        near in proptest::collection::vec(0_usize..12, 0..20),
        keeps in any::<bool>(),
    ) {
        let shown = |address: u32| std::net::Ipv4Addr::from(address).to_string();
        // Some addresses lie next to a network, or nothing would ever be found.
        let close = near.iter().filter_map(|at| nets.get(*at)).map(|(address, _)| address ^ 1);
        let addresses: Vec<u32> = addresses.iter().copied().chain(close).collect();
        let facts = Schema::from([("n", Type::Long), ("ip", Type::String)]);
        let lookup = Schema::from([("m", Type::Long), ("net", Type::String)]);
        let inputs = [
            (facts, vec![longs(0..addresses.len() as i64), texts(addresses.iter().map(|a| shown(*a)))]),
            (lookup, vec![longs(0..nets.len() as i64), texts(nets.iter().map(|(a, bits)| format!("{}/{bits}", shown(*a))))]),
        ];
        let out = Schema::from([("n", Type::Long), ("m", Type::Long)]);
        let mut fast = run("ip_lookup", &inputs, vec![Value::Long(0), Value::Bool(keeps)], &out);
        let mut slow = Vec::new();
        for (n, address) in addresses.iter().enumerate() {
            let mask = |bits: u32| if bits == 0 { 0 } else { u32::MAX << (32 - bits) };
            let hits = nets.iter().enumerate().filter(|(_, (net, bits))| (net ^ address) & mask(*bits) == 0);
            let before = slow.len();
            slow.extend(hits.map(|(m, _)| vec![Value::Long(n as i64), Value::Long(m as i64)]));
            if keeps && slow.len() == before {
                slow.push(vec![Value::Long(n as i64), Value::Null(Type::Long)]);
            }
        }
        let key = |row: &Vec<Value>| format!("{row:?}");
        fast.sort_by_key(key);
        slow.sort_by_key(key);
        prop_assert_eq!(fast, slow);
    }

    #[test]
    fn rows_near_a_hit_are_kept(hits in proptest::collection::vec(any::<bool>(), 0..60), before in 0_i64..5, after in 0_i64..5) {
        let input = Schema::from([("n", Type::Long), ("hit", Type::Bool)]);
        let columns: Vec<ArrayRef> = vec![longs(0..hits.len() as i64), Arc::new(BooleanArray::from(hits.clone()))];
        let args = vec![Value::Long(before), Value::Long(after)];
        let fast = run("rows_near", &[(input, columns)], args, &Schema::from([("n", Type::Long)]));
        let near = |row: i64| (row - after..=row + before).any(|at| usize::try_from(at).is_ok_and(|at| hits.get(at) == Some(&true)));
        let slow: Vec<Vec<Value>> = (0..hits.len() as i64).filter(|row| near(*row)).map(|row| vec![Value::Long(row)]).collect();
        prop_assert_eq!(fast, slow);
    }
}

#[test]
fn sequences_keep_to_their_times() {
    let input = Schema::from([("t", Type::Long), ("a", Type::Bool), ("b", Type::Bool), ("who", Type::String)]);
    let rows = [
        (1, true, false, "x"),
        (2, false, true, "y"),
        (3, false, true, "x"),
        (10, true, false, "x"),
        (20, false, true, "x"),
    ];
    let flags = |pick: fn(&(i64, bool, bool, &str)) -> bool| -> ArrayRef {
        Arc::new(BooleanArray::from(rows.iter().map(pick).collect::<Vec<bool>>()))
    };
    let who = texts(rows.iter().map(|row| row.3.to_owned()));
    let columns = vec![longs(rows.iter().map(|row| row.0)), flags(|row| row.1), flags(|row| row.2), who];
    let out = Schema::from([("who", Type::String), ("a_t", Type::Long), ("b_t", Type::Long), ("Duration", Type::Long)]);
    let args = vec![Value::Long(5), Value::Long(5), Value::Long(2)];
    let found = run("sequence_detect", &[(input, columns)], args, &out);
    // The second beginning of x ends too late, and y has none.
    assert_eq!(found, [vec![Value::String("x".to_owned()), Value::Long(1), Value::Long(3), Value::Long(2)]]);
}
