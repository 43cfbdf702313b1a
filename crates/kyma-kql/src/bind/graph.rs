//! Graphs: `make-graph`, and the operators that change a graph or make a table of it.
//!
//! A graph is no table: it is a value of its own ([`Graph`]) that operators hand on until one makes a table of it. What
//! is put together on the way becomes one table function over the edges and the tables of nodes.

use std::rc::Rc;

use kyma_core::error::Span;
use kyma_core::{Column, Schema, Type};
use kyma_plan::graph::{self, GraphOutput, GraphQuery, GraphStep, NodeProperty};
use kyma_plan::table::TableFunction;
use kyma_plan::{Expr, Node, Plan, Statement as PlanStatement};

use super::matching::{Element, GraphRow};
use super::naming::Names;
use super::operators::keep_columns;
use super::recover::follows;
use super::{Bind, Binder, Binding, ScopeId, fail, fail_with_hint};
use crate::ast::graph::{GraphOperator, GraphTable, MakeGraph};
use crate::ast::{self, ExprKind, OperatorKind, Settings};
use crate::limits::{STACK_PIECE, STACK_RED_ZONE};

/// What an operator hands to the next.
#[allow(clippy::large_enum_variant)] // Short-lived.
pub(super) enum Piped {
    Table(Plan),
    Graph(Graph),
}

/// A graph that is still being put together.
#[derive(Debug, Clone)]
pub(super) struct Graph {
    /// The edges, then the tables of nodes.
    pub(super) inputs: Vec<Plan>,
    /// How it is made of them.
    pub(super) made: graph::Graph,
    /// The properties that its nodes have by now.
    pub(super) properties: Schema,
}

impl Graph {
    /// A table made of it. Columns of edges that nobody looks at are not even read.
    pub(super) fn ask(mut self, output: GraphOutput, columns: Vec<Column>, span: Span) -> Plan {
        let mut query = GraphQuery { graph: self.made, output };
        let width = query.graph.edges.len();
        let kept = query.narrow_edges();
        if kept.len() < width && !self.inputs.is_empty() {
            let edges = self.inputs.remove(0);
            self.inputs.insert(0, keep_columns(edges, &kept, span));
        }
        let function = Box::new(TableFunction::Graph(Box::new(query)));
        Plan::new(Node::Table { function, inputs: self.inputs }, Schema::new(columns), span)
    }

    fn with(mut self, step: GraphStep) -> Graph {
        self.made.steps.push(step);
        self
    }
}

pub(super) fn not_a_table<T>(span: Span) -> Bind<T> {
    let hint = Some("use graph-match, or graph-to-table, to make a table of it".to_owned());
    fail_with_hint("kql.type", "a graph stands where a table is wanted", span, hint)
}

pub(super) fn needs_graph<T>(word: &str, span: Span) -> Bind<T> {
    let hint = Some("make one with make-graph".to_owned());
    fail_with_hint("kql.type", format!("'{word}' needs a graph before it"), span, hint)
}

impl Binder<'_> {
    /// The table that this must be. After an error, an operator that made one of a graph may be what is missing.
    pub(super) fn table_of(&self, piped: Piped, span: Span) -> Bind<Plan> {
        match piped {
            Piped::Table(plan) => Ok(plan),
            Piped::Graph(_) if self.failed => follows(span),
            Piped::Graph(_) => not_a_table(span),
        }
    }

    /// A table or a graph.
    pub(super) fn piped(&mut self, expr: &ast::Expr, scope: ScopeId) -> Bind<Piped> {
        stacker::maybe_grow(STACK_RED_ZONE, STACK_PIECE, || self.piped_here(expr, scope))
    }

    fn piped_here(&mut self, expr: &ast::Expr, scope: ScopeId) -> Bind<Piped> {
        match &expr.kind {
            ExprKind::Pipeline(pipeline) => {
                let source = match self.piped(&pipeline.source, scope) {
                    Err(error) => Piped::Table(self.table_or_open(Err(error), pipeline.source.span)?),
                    Ok(source) => source,
                };
                let mut scope = scope;
                self.piped_label = self.label_of(&pipeline.source, scope);
                let piped = self.piped_through(source, &pipeline.operators, &mut scope);
                self.piped_label = None;
                piped
            }
            ExprKind::Name(name) => match self.lookup(name, scope) {
                Some(Binding::Graph(graph)) => {
                    let graph = Rc::clone(graph);
                    graph.inputs.iter().try_for_each(|input| self.count_plan(input))?;
                    Ok(Piped::Graph(Graph::clone(&graph)))
                }
                _ => self.table(expr, scope).map(Piped::Table),
            },
            _ => self.table(expr, scope).map(Piped::Table),
        }
    }

    /// Whether it reads as a graph.
    pub(super) fn gives_graph(&self, expr: &ast::Expr, scope: ScopeId) -> bool {
        match &expr.kind {
            ExprKind::Pipeline(pipeline) => match pipeline.operators.last().map(|operator| &operator.kind) {
                Some(OperatorKind::Graph(operator)) => operator.gives_graph(),
                Some(_) => false,
                None => self.gives_graph(&pipeline.source, scope),
            },
            ExprKind::Name(name) => matches!(self.lookup(name, scope), Some(Binding::Graph(_))),
            _ => false,
        }
    }

    /// What `let` names.
    pub(super) fn graph_binding(&mut self, value: &ast::Expr, scope: ScopeId) -> Bind<Binding> {
        Ok(match self.piped(value, scope)? {
            Piped::Table(plan) => Binding::Table { plan, label: None },
            Piped::Graph(graph) => Binding::Graph(Rc::new(graph)),
        })
    }

    pub(super) fn piped_operator(
        &mut self,
        piped: Piped,
        operator: &ast::Operator,
        scope: &mut ScopeId,
    ) -> Bind<Piped> {
        match (piped, &operator.kind) {
            (Piped::Table(edges), OperatorKind::Graph(GraphOperator::Make(make))) => {
                self.make_graph(edges, make, *scope, operator.span)
            }
            (Piped::Table(plan), _) => self.operator(plan, operator, scope).map(Piped::Table),
            (Piped::Graph(graph), OperatorKind::Graph(next)) => self.graph_operator(graph, next, *scope, operator.span),
            (Piped::Graph(_), OperatorKind::Unsupported(word)) if word.is_empty() => follows(operator.span),
            (Piped::Graph(_), _) => not_a_table(operator.span),
        }
    }

    fn graph_operator(&mut self, graph: Graph, operator: &GraphOperator, scope: ScopeId, span: Span) -> Bind<Piped> {
        Ok(match operator {
            GraphOperator::Make(_) => return not_a_table(span),
            GraphOperator::Match(found) => Piped::Table(self.graph_match(graph, found, scope, span)?),
            GraphOperator::ToTable(tables) => match tables.as_slice() {
                [table] => Piped::Table(self.graph_table(graph, table, span)?),
                _ => {
                    let message = "'graph-to-table' gives several tables only at the end of a query";
                    return fail("kql.unsupported", message, span);
                }
            },
            GraphOperator::MarkComponents(settings) => Piped::Graph(mark_components(graph, settings)?),
            GraphOperator::WhereNodes(predicate) => {
                let mut row = self.row(graph.properties.clone(), scope);
                row.graph = Some(Box::new(GraphRow::Element(Element::Node(graph.properties.len()))));
                let predicate = self.predicate(predicate, &mut row)?;
                Piped::Graph(graph.with(GraphStep::WhereNodes(predicate)))
            }
            GraphOperator::WhereEdges(predicate) => {
                let mut row = self.row(graph.made.edges.clone(), scope);
                row.graph = Some(Box::new(GraphRow::Element(Element::Edge)));
                let predicate = self.predicate(predicate, &mut row)?;
                Piped::Graph(graph.with(GraphStep::WhereEdges(predicate)))
            }
        })
    }

    fn make_graph(&mut self, edges: Plan, make: &MakeGraph, scope: ScopeId, span: Span) -> Bind<Piped> {
        let source = self.id_column(&edges, &make.source, scope)?;
        let target = self.id_column(&edges, &make.target, scope)?;
        same_ids(&source, &target)?;
        let (mut inputs, mut keys) = (vec![edges], Vec::new());
        for (table, key) in &make.nodes {
            let table = self.table(table, scope)?;
            let key = self.id_column(&table, key, scope)?;
            same_ids(&source, &key)?;
            inputs.push(table);
            keys.push(key);
        }
        let properties = match &make.node_id {
            Some(name) if !keys.is_empty() => {
                let message = "'with_node_id' stands only where no tables of nodes are given";
                return fail("kql.syntax", message, name.span);
            }
            Some(name) => {
                vec![NodeProperty { name: name.text.clone(), ty: source.ty, columns: Vec::new(), is_id: true }]
            }
            None => properties(inputs.get(1..).unwrap_or_default(), &keys),
        };
        let partition = match &make.partition {
            Some((column, _)) => Some(self.partition_columns(&inputs, column, scope)?),
            None => None,
        };
        let schema = properties.iter().map(|property| Column::new(&property.name, property.ty)).collect();
        let edges = inputs.first().map(|edges| edges.schema.clone()).unwrap_or_default();
        let made = graph::Graph { source, target, keys, partition, nodes: properties, edges, steps: Vec::new() };
        let made = Piped::Graph(Graph { inputs, made, properties: schema });
        let Some((_, body)) = &make.partition else { return Ok(made) };
        let mut scope = scope;
        match self.piped_through(made, body, &mut scope)? {
            Piped::Table(plan) => Ok(Piped::Table(plan)),
            Piped::Graph(_) => not_a_table(span),
        }
    }

    fn id_column(&mut self, table: &Plan, name: &ast::Name, scope: ScopeId) -> Bind<Expr> {
        let row = self.row(table.schema.clone(), scope);
        let index = self.column_index(&name.text, name.span, &row)?;
        let ty = table.schema.columns().get(index).map_or(Type::Dynamic, |column| column.ty);
        if ty == Type::Dynamic {
            let hint = Some("convert it, for example with tostring()".to_owned());
            return fail_with_hint("kql.type", "the id of a node cannot be a dynamic", name.span, hint);
        }
        Ok(Expr::column(index, ty, name.span))
    }

    fn partition_columns(&mut self, inputs: &[Plan], column: &ast::Name, scope: ScopeId) -> Bind<Vec<Expr>> {
        let mut columns: Vec<Expr> = Vec::new();
        for input in inputs {
            let row = self.row(input.schema.clone(), scope);
            let index = self.column_index(&column.text, column.span, &row)?;
            let ty = input.schema.columns().get(index).map_or(Type::Dynamic, |column| column.ty);
            if columns.first().is_some_and(|first| first.ty != ty) {
                let message = format!("the column '{}' has different types", column.text);
                return fail("kql.type", message, column.span);
            }
            columns.push(Expr::column(index, ty, column.span));
        }
        Ok(columns)
    }

    fn graph_table(&mut self, graph: Graph, table: &GraphTable, span: Span) -> Bind<Plan> {
        let known: &[&str] = if table.edges { &["with_source_id", "with_target_id"] } else { &["with_node_id"] };
        only_settings(&table.settings, known)?;
        let mut names = Names::default();
        let mut hashed = |setting: &str| -> Bind<Option<Column>> {
            let Some(name) = name_setting(&table.settings, setting)? else { return Ok(None) };
            Ok(Some(Column::new(names.unique(&name), Type::Long)))
        };
        let (first, second) = match table.edges {
            true => (hashed("with_source_id")?, hashed("with_target_id")?),
            false => (hashed("with_node_id")?, None),
        };
        let output = match table.edges {
            true => GraphOutput::Edges { source_hashed: first.is_some(), target_hashed: second.is_some() },
            false => GraphOutput::Nodes { hashed: first.is_some() },
        };
        let elements = if table.edges { graph.made.edges.clone() } else { graph.properties.clone() };
        let elements = elements.columns().iter().map(|column| Column::new(names.unique(&column.name), column.ty));
        let elements: Vec<Column> = elements.collect();
        if let Some(name) = &table.name {
            self.result_name = Some(name.text.clone());
        }
        Ok(graph.ask(output, first.into_iter().chain(second).chain(elements).collect(), span))
    }

    /// `graph-to-table nodes as N, edges as E` at the end of a statement: several results, and names for later ones.
    pub(super) fn graph_tables(
        &mut self,
        source: &ast::Expr,
        before: &[ast::Operator],
        tables: &[GraphTable],
        scope: &mut ScopeId,
        span: Span,
    ) -> Bind<Vec<PlanStatement>> {
        let source = self.piped(source, *scope)?;
        let mut inner = *scope;
        let Piped::Graph(graph) = self.piped_through(source, before, &mut inner)? else {
            return needs_graph("graph-to-table", span);
        };
        let mut results = Vec::new();
        for table in tables {
            graph.inputs.iter().try_for_each(|input| self.count_plan(input))?;
            let plan = self.graph_table(graph.clone(), table, span)?;
            if let Some(name) = &table.name {
                let binding = Binding::Table { plan: plan.clone(), label: None };
                *scope = self.declare(&name.text, binding, *scope);
            }
            results.push(PlanStatement { name: self.result_name.take(), plan, visualization: None });
        }
        Ok(results)
    }
}

/// Ids of one graph have one type: Kusto converts none.
fn same_ids(first: &Expr, other: &Expr) -> Bind<()> {
    if first.ty == other.ty {
        return Ok(());
    }
    let message = format!("ids of nodes have one type: found {} and {}", first.ty, other.ty);
    let hint = Some("convert one of them, for example with tostring()".to_owned());
    fail_with_hint("kql.type", message, other.span, hint)
}

/// Properties of the nodes of some tables, by name. A name with several types is no property.
fn properties(tables: &[Plan], keys: &[Expr]) -> Vec<NodeProperty> {
    let mut properties: Vec<NodeProperty> = Vec::new();
    let mut torn: Vec<String> = Vec::new();
    for (at, (table, key)) in tables.iter().zip(keys).enumerate() {
        for (index, column) in table.schema.columns().iter().enumerate() {
            let is_id = key.kind == kyma_plan::ExprKind::Column(index);
            match properties.iter_mut().find(|known| known.name == column.name) {
                Some(known) if known.ty == column.ty => {
                    known.is_id |= is_id;
                    if let Some(place) = known.columns.get_mut(at) {
                        *place = Some(index);
                    }
                }
                Some(_) => torn.push(column.name.clone()),
                None => {
                    let columns = (0..tables.len()).map(|other| (other == at).then_some(index)).collect();
                    properties.push(NodeProperty { name: column.name.clone(), ty: column.ty, columns, is_id });
                }
            }
        }
    }
    properties.retain(|property| !torn.contains(&property.name));
    properties
}

fn mark_components(graph: Graph, settings: &Settings) -> Bind<Graph> {
    only_settings(settings, &["kind", "with_component_id"])?;
    let strong = match name_setting(settings, "kind")?.as_deref() {
        None | Some("weak") => false,
        Some("strong") => true,
        Some(other) => {
            let message = format!("'{other}' is no kind of components");
            return bad_setting(settings, "kind", message, "use kind=weak or kind=strong");
        }
    };
    let mut names = Names::taken(graph.properties.columns().iter().map(|column| column.name.as_str()));
    let name = name_setting(settings, "with_component_id")?.unwrap_or_else(|| "ComponentId".to_owned());
    let column = Column::new(names.unique(&name), Type::Long);
    let mut graph = graph.with(GraphStep::MarkComponents { name: column.name.clone(), strong });
    graph.properties = graph.properties.columns().iter().cloned().chain([column]).collect();
    Ok(graph)
}

/// The name that a setting gives.
pub(super) fn name_setting(settings: &Settings, name: &str) -> Bind<Option<String>> {
    let Some((_, value)) = settings.iter().find(|(setting, _)| setting.text.eq_ignore_ascii_case(name)) else {
        return Ok(None);
    };
    match &value.kind {
        ExprKind::Name(text) | ExprKind::Literal(kyma_core::Value::String(text)) => Ok(Some(text.clone())),
        _ => fail("kql.syntax", format!("expected a name after '{name}='"), value.span),
    }
}

pub(super) fn bad_setting<T>(settings: &Settings, name: &str, message: String, hint: &str) -> Bind<T> {
    let found = settings.iter().find(|(setting, _)| setting.text.eq_ignore_ascii_case(name));
    let span = found.map(|(_, value)| value.span).unwrap_or_default();
    fail_with_hint("kql.syntax", message, span, Some(hint.to_owned()))
}

/// Refuses settings that are not known.
pub(super) fn only_settings(settings: &Settings, known: &[&str]) -> Bind<()> {
    let fits = |name: &str| name.starts_with("hint.") || known.iter().any(|known| known.eq_ignore_ascii_case(name));
    match settings.iter().find(|(name, _)| !fits(&name.text)) {
        Some((name, _)) => fail("kql.syntax", format!("unknown setting '{}'", name.text), name.span),
        None => Ok(()),
    }
}
