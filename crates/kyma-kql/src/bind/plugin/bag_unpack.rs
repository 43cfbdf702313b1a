//! `bag_unpack`: the members of a bag as columns.
//!
//! Columns are those declared, else those that the bags of the rows have, which are asked for. Each is a member of the bag, so that
//! paths that a table stores apart are read alone.

use std::collections::{BTreeMap, HashSet};

use kyma_core::error::Span;
use kyma_core::{Schema, Type, Value};
use kyma_plan::node::MvExpandColumn;
use kyma_plan::{BinaryOp, Expr, ExprKind, Node, Plan};

use super::{Use, bare_name, check_columns, named};
use crate::bind::expr::resolved;
use crate::bind::operators::{Columns, all_columns};
use crate::bind::{Bind, Binder, fail, fail_with_hint, fold};

pub(super) fn bag_unpack(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let ignored = ignored(binder, &of)?;
    let Use { input, call, declared, scope, span } = of;
    let row = binder.row(input.schema.clone(), scope);
    let bag = binder.column_index(bare_name(call, 0, span)?, span, &row)?;
    let prefix = call.args.get(1).filter(|arg| arg.names.is_empty()).or_else(|| named(call, "OutputColumnPrefix"));
    let prefix = binder.word_of(prefix, scope)?.unwrap_or_default();
    let conflict = binder.word_of(named(call, "columnsConflict"), scope)?.unwrap_or_else(|| "error".to_owned());
    let keys: Vec<(String, Type)> = match declared {
        Some(declared) => declared
            .columns
            .iter()
            .filter(|column| input.schema.index_of(&column.name.text).is_none_or(|at| at == bag))
            .map(|column| (column.name.text.clone(), column.ty.unwrap_or(Type::Dynamic)))
            .collect(),
        None => {
            let rows = binder.ask(keys_of(&input, bag, span)?)?;
            types_by_key(rows).into_iter().filter(|(key, _)| !ignored.contains(key)).collect()
        }
    };
    check_columns(keys.len(), span)?;
    let keeps = declared.is_none_or(|declared| declared.star);
    let mut columns: Columns = all_columns(&input.schema, span);
    columns.retain(|(_, expr)| keeps && expr.kind != ExprKind::Column(bag));
    for (key, ty) in keys {
        let (name, key) = match declared {
            Some(_) => (key.clone(), key.strip_prefix(prefix.as_str()).unwrap_or(&key).to_owned()),
            None => (format!("{prefix}{key}"), key),
        };
        let base = Box::new(Expr::column(bag, Type::Dynamic, span));
        let member = Expr { kind: ExprKind::Path { base, keys: vec![key] }, ty: Type::Dynamic, span }.convert(ty);
        match columns.iter().position(|(existing, _)| *existing == name) {
            None => columns.push((name, member)),
            Some(at) if conflict == "replace_source" => columns[at].1 = member,
            Some(_) if conflict == "keep_source" => {}
            Some(_) => {
                let hint = Some("give columnsConflict='replace_source' or a prefix".to_owned());
                return fail_with_hint("kql.duplicate_column", format!("the column '{name}' exists"), span, hint);
            }
        }
    }
    Ok(Plan::project(input, columns, span))
}

fn ignored(binder: &mut Binder<'_>, of: &Use<'_>) -> Bind<HashSet<String>> {
    let Some(arg) = named(of.call, "ignoredProperties") else { return Ok(HashSet::new()) };
    let bound = binder.constant(&arg.value, of.scope)?;
    let items = fold::array_elements(&Expr::literal(bound, of.span)).unwrap_or_default();
    Ok(items.into_iter().filter_map(|item| if let Value::String(key) = item { Some(key) } else { None }).collect())
}

/// The distinct keys of the bags in a column, with the types of their values.
fn keys_of(input: &Plan, bag: usize, span: Span) -> Bind<Plan> {
    let ty = input.schema.columns().get(bag).map_or(Type::Dynamic, |column| column.ty);
    if ty != Type::Dynamic {
        return fail("kql.type", format!("bag_unpack() needs a dynamic, not a {ty}"), span);
    }
    let dynamic = || Expr::column(0, Type::Dynamic, span);
    let bags = Plan::project(input.clone(), vec![("bag".to_owned(), Expr::column(bag, ty, span))], span);
    let kind = resolved("gettype", vec![dynamic()], span)?;
    let is_bag = Expr::literal(Value::String("dictionary".to_owned()), span);
    let bags = Plan::filter(bags, Expr::binary(BinaryOp::Equal, kind, is_bag, Type::Bool));
    let schema = bags.schema.clone();
    let columns = vec![MvExpandColumn { index: 0, ty: Type::Dynamic }];
    let node =
        Node::MvExpand { input: Box::new(bags), columns, item_index: None, bags_as_arrays: true, row_limit: None };
    let pairs = Plan::new(node, schema, span);
    let part = |at: i64| {
        let index = Box::new(Expr::literal(Value::Long(at), span));
        Expr { kind: ExprKind::Element { base: Box::new(dynamic()), index }, ty: Type::Dynamic, span }
    };
    let keys = vec![part(0).convert(Type::String), resolved("gettype", vec![part(1)], span)?];
    let schema = Schema::from([("key", Type::String), ("type", Type::String)]);
    Ok(Plan::new(Node::Aggregate { input: Box::new(pairs), keys, aggregates: Vec::new() }, schema, span))
}

fn types_by_key(rows: Vec<Vec<Value>>) -> BTreeMap<String, Type> {
    let mut types: BTreeMap<String, Type> = BTreeMap::new();
    for row in rows {
        let [Value::String(key), Value::String(kind)] = &row[..] else { continue };
        let Some(ty) = type_of(kind) else { continue };
        let merged = types.get(key).map_or(ty, |before| merged_type(*before, ty));
        types.insert(key.clone(), merged);
    }
    types
}

/// The type that `gettype()` names; none of a null.
fn type_of(kind: &str) -> Option<Type> {
    Some(match kind {
        "null" => return None,
        "bool" => Type::Bool,
        "long" | "int" => Type::Long,
        "double" | "real" => Type::Real,
        "string" => Type::String,
        _ => Type::Dynamic,
    })
}

fn merged_type(a: Type, b: Type) -> Type {
    match (a, b) {
        (a, b) if a == b => a,
        (Type::Long, Type::Real) | (Type::Real, Type::Long) => Type::Real,
        _ => Type::Dynamic,
    }
}
