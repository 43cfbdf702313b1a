//! `ipv4_lookup` and `ipv6_lookup`: rows joined with networks by a kernel.

use kyma_core::{Column, Type, Value};
use kyma_plan::{Expr, Plan};

use super::{Use, arg_at, bare_name, column, kernel, named};
use crate::ast;
use crate::bind::expr::resolved;
use crate::bind::naming::Names;
use crate::bind::operators::Columns;
use crate::bind::{Bind, Binder, fail};

pub(super) fn ip_lookup(binder: &mut Binder<'_>, of: Use<'_>) -> Bind<Plan> {
    let Use { input, call, scope, span, .. } = of;
    let networks = binder.table(&arg_at(call, 0, span)?.value, scope)?;
    let mut row = binder.row(input.schema.clone(), scope);
    let address = binder.scalar(&arg_at(call, 1, span)?.value, &mut row)?;
    let address = resolved("tostring", vec![address], span)?;
    let network_row = binder.row(networks.schema.clone(), scope);
    let network = binder.column_index(bare_name(call, 2, span)?, span, &network_row)?;
    let mut keeps = binder.flag_of(named(call, "return_unmatched"), scope)?;
    let mut extra = Vec::new();
    for arg in call.args.iter().skip(3).filter(|arg| arg.names.is_empty()) {
        match &arg.value.kind {
            ast::ExprKind::Name(name) => extra.push(name.as_str()),
            // The flag may stand in its place, unnamed.
            _ => keeps = binder.flag_of(Some(arg), scope)?.or(keeps),
        }
    }
    let mut ours: Columns = (0..input.schema.len()).filter_map(|at| column(&input.schema, at, span)).collect();
    ours.push(("$address".to_owned(), address));
    let mut dropped = Vec::new();
    let mut their_keys = Columns::new();
    for name in extra {
        let (left, right) = (binder.column_index(name, span, &row)?, binder.column_index(name, span, &network_row)?);
        let (left, right) = (&input.schema.columns()[left].ty, (right, networks.schema.columns()[right].ty));
        if *left != right.1 {
            return fail("kql.type", format!("the column '{name}' has another type in the table of networks"), span);
        }
        let at = ours.len();
        ours.push((format!("$key{at}"), Expr::column(binder.column_index(name, span, &row)?, *left, span)));
        their_keys.push((format!("$key{at}"), Expr::column(right.0, right.1, span)));
        dropped.push(right.0);
    }
    let kept: Vec<usize> = (0..networks.schema.len()).filter(|at| !dropped.contains(at)).collect();
    let mut theirs: Columns = kept.iter().filter_map(|at| column(&networks.schema, *at, span)).collect();
    let ty = networks.schema.columns().get(network).map_or(Type::String, |column| column.ty);
    let network = resolved("tostring", vec![Expr::column(network, ty, span)], span)?;
    theirs.push(("$network".to_owned(), network));
    let keys = their_keys.len();
    theirs.extend(their_keys);
    let mut names = Names::default();
    let columns = input.schema.columns().iter().chain(kept.iter().map(|at| &networks.schema.columns()[*at]));
    let out = columns.map(|column| Column::new(names.unique(&column.name), column.ty)).collect();
    let args = vec![Value::Long(i64::try_from(keys).unwrap_or_default()), Value::Bool(keeps.unwrap_or(false))];
    let inputs = vec![Plan::project(input, ours, span), Plan::project(networks, theirs, span)];
    Ok(kernel("ip_lookup", inputs, args, out, span))
}
