//! `evaluate`: plugins whose columns are known while planning.
//!
//! A plan has a schema before it has rows, so `bag_unpack` needs its columns declared (`evaluate bag_unpack(d) : (a: long)`)
//! unless its input is constant.

use std::collections::{BTreeMap, HashSet};

use kyma_core::error::Span;
use kyma_core::{Schema, Type, Value};
use kyma_plan::table::{Plugin, PluginArg, TableFunction};
use kyma_plan::{Expr, ExprKind, Node, Plan};

use super::operators::{Columns, all_columns};
use super::{Bind, Binder, ScopeId, fail, fail_with_hint, fold, unsupported};
use crate::ast::{self, Call, Declared};

impl Binder<'_> {
    pub(super) fn evaluate(
        &mut self,
        input: Plan,
        call: &Call,
        declared: Option<&Declared>,
        scope: ScopeId,
        span: Span,
    ) -> Bind<Plan> {
        match call.name.text.as_str() {
            "narrow" => Ok(narrow(input, span)),
            "geo_line_lookup" => self.geo_line_lookup(input, call, scope, span),
            "geo_polygon_lookup" => self.geo_polygon_lookup(input, call, scope, span),
            "bag_unpack" => self.bag_unpack(input, call, declared, scope, span),
            other => unsupported(&format!("the plugin '{other}'"), span),
        }
    }

    fn bag_unpack(
        &mut self,
        input: Plan,
        call: &Call,
        declared: Option<&Declared>,
        scope: ScopeId,
        span: Span,
    ) -> Bind<Plan> {
        let Some(ast::ExprKind::Name(bag)) = call.args.first().map(|arg| &arg.value.kind) else {
            return fail("kql.arguments", "bag_unpack() needs a column", span);
        };
        let row = self.row(input.schema.clone(), scope);
        let bag = self.column_index(bag, span, &row)?;
        let prefix =
            match call.args.get(1).filter(|arg| arg.names.is_empty()).or_else(|| named(call, "OutputColumnPrefix")) {
                Some(arg) => match self.constant(&arg.value, scope)? {
                    Value::String(prefix) => prefix,
                    _ => return fail("kql.type", "the prefix is a string", arg.value.span),
                },
                None => String::new(),
            };
        let conflict = self.word_of(named(call, "columnsConflict"), scope)?.unwrap_or_else(|| "error".to_owned());
        let ignored: HashSet<String> = match named(call, "ignoredProperties") {
            Some(arg) => {
                let bound = self.constant(&arg.value, scope)?;
                let items = fold::array_elements(&Expr::literal(bound, span)).unwrap_or_default();
                items
                    .into_iter()
                    .filter_map(|item| if let Value::String(key) = item { Some(key) } else { None })
                    .collect()
            }
            None => HashSet::new(),
        };
        let keys: Vec<(String, Type)> = match declared {
            Some(declared) => declared
                .columns
                .iter()
                .filter(|column| input.schema.index_of(&column.name.text).is_none_or(|at| at == bag))
                .map(|column| (column.name.text.clone(), column.ty.unwrap_or(Type::Dynamic)))
                .collect(),
            None => match keys_of(&input, bag) {
                Some(keys) => keys.into_iter().filter(|(key, _)| !ignored.contains(key)).collect(),
                None => {
                    let hint = "declare them: evaluate bag_unpack(d) : (*, a: long, b: string)".to_owned();
                    let message = "the columns of bag_unpack() are not known before the query runs";
                    return fail_with_hint("kql.unknown_schema", message, span, Some(hint));
                }
            },
        };
        let keeps = declared.is_none_or(|declared| declared.star);
        let mut columns: Columns = all_columns(&input.schema, span);
        columns.retain(|(_, expr)| keeps && expr.kind != ExprKind::Column(bag));
        for (key, ty) in keys {
            let name = format!("{prefix}{key}");
            let base = Box::new(Expr::column(bag, Type::Dynamic, span));
            let key = key.strip_prefix(prefix.as_str()).filter(|_| declared.is_some()).unwrap_or(&key).to_owned();
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

    fn word_of(&mut self, arg: Option<&ast::Arg>, scope: ScopeId) -> Bind<Option<String>> {
        let Some(arg) = arg else { return Ok(None) };
        match self.constant(&arg.value, scope)? {
            Value::String(word) => Ok(Some(word)),
            _ => fail("kql.type", "expected a string", arg.value.span),
        }
    }
}

fn named<'c>(call: &'c Call, name: &str) -> Option<&'c ast::Arg> {
    call.args.iter().find(|arg| arg.names.first().is_some_and(|given| given.text.eq_ignore_ascii_case(name)))
}

/// Keys and types of the bags of a constant table, by key.
fn keys_of(input: &Plan, bag: usize) -> Option<BTreeMap<String, Type>> {
    let Node::Values(rows) = &input.node else { return None };
    let mut keys: BTreeMap<String, Type> = BTreeMap::new();
    for row in rows {
        let Value::Dynamic(json) = &row[bag] else { continue };
        let Ok(serde_json::Value::Object(members)) = serde_json::from_str(json) else { continue };
        for (key, value) in members {
            let Some(ty) = type_of(&value) else { continue };
            let merged = match keys.get(&key) {
                None => ty,
                Some(before) => merged_type(*before, ty),
            };
            keys.insert(key, merged);
        }
    }
    Some(keys)
}

fn type_of(value: &serde_json::Value) -> Option<Type> {
    Some(match value {
        serde_json::Value::Null => return None,
        serde_json::Value::Bool(_) => Type::Bool,
        serde_json::Value::Number(number) if number.is_f64() => Type::Real,
        serde_json::Value::Number(_) => Type::Long,
        serde_json::Value::String(_) => Type::String,
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

/// One row per cell: row number, column name, value as text.
fn narrow(input: Plan, span: Span) -> Plan {
    let schema = Schema::from([("Row", Type::Long), ("Column", Type::String), ("Value", Type::String)]);
    plugin("narrow", Vec::new(), vec![input], schema, span)
}

/// A plugin that a kernel computes.
fn plugin(name: &'static str, args: Vec<PluginArg>, inputs: Vec<Plan>, schema: Schema, span: Span) -> Plan {
    let function = Box::new(TableFunction::Plugin(Plugin { name, args }));
    Plan::new(Node::Table { function, inputs }, schema, span)
}
