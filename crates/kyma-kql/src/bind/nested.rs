//! `top-nested`: its levels, each a key and an aggregate, with the name of all others where one is asked for.

use kyma_core::error::Span;
use kyma_core::{Column, Schema, Value};
use kyma_plan::node::TopNestedLevel;
use kyma_plan::{Node, Plan};

use super::naming::Names;
use super::{Bind, Binder, ScopeId, fold};
use crate::ast::Level;

impl Binder<'_> {
    pub(super) fn top_nested(&mut self, input: Plan, levels: &[Level], scope: ScopeId, span: Span) -> Bind<Plan> {
        let given = levels.iter().flat_map(|level| level.key.names.iter().chain(&level.by.names));
        let mut names = Names::declaring(given.map(|name| name.text.as_str()));
        let mut row = self.row(input.schema.clone(), scope);
        let (mut columns, mut bound) = (Vec::new(), Vec::new());
        for level in levels {
            let count = match &level.count {
                Some(count) => Some(self.count(count, scope)?),
                None => None,
            };
            let key = self.scalar(&level.key.value, &mut row)?;
            let key_name = names.of(level.key.names.first(), &level.key.value, &input.schema);
            let by = self.bare_aggregate(&level.by.value, &mut row)?;
            let by_name = match level.by.names.first() {
                Some(name) => names.unique(&name.text),
                None => names.unique(&format!("aggregated_{key_name}")),
            };
            let others = match &level.others {
                Some(others) => Some(fold::cell(&self.constant(others, scope)?, key.ty).unwrap_or(Value::Null(key.ty))),
                None => None,
            };
            columns.push(Column::new(key_name, key.ty));
            columns.push(Column::new(by_name, by.types[0]));
            bound.push(TopNestedLevel { count, key, by, ascending: level.ascending, others });
        }
        let node = Node::TopNested { input: Box::new(input), levels: bound };
        Ok(Plan::new(node, Schema::new(columns), span))
    }
}
