//! `graph-match` and `graph-shortest-paths`: patterns, and expressions over what they bind.
//!
//! A match is a row whose columns are asked for by the expressions: `a.name` adds the column of that property, a second
//! `a.name` uses it again. Inside `map`, `all` and `any` an expression is bound over the elements of a path instead.

use kyma_core::error::Span;
use kyma_core::{Column, Schema, Type, Value};
use kyma_plan::graph::{Cycles, GraphMatch, GraphOutput, MatchColumn, PathFold, PatternEdge, Shortest};
use kyma_plan::{Expr, ExprKind, Plan};

use super::graph::{Graph, bad_setting, name_setting, only_settings};
use super::naming::{Names, name_of};
use super::operators::explicit;
use super::{Bind, Binder, Row, ScopeId, fail, fail_with_hint, unsupported};
use crate::ast;

/// What a row has beside columns.
pub(super) enum GraphRow {
    Match(Match),
    Element(Element),
}

/// A node, which has as many properties, or an edge.
#[derive(Debug, Clone, Copy)]
pub(super) enum Element {
    Node(usize),
    Edge,
}

/// A match of a pattern.
pub(super) struct Match {
    variables: Vec<(String, Variable)>,
    properties: Schema,
    edges: Schema,
    /// Columns asked for so far.
    columns: Vec<MatchColumn>,
    /// Whether this is `where`.
    filters: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    Node(usize),
    Edge(usize),
    Path(usize),
}

/// A column of a node's row after its properties, by the function that gives it.
fn node_function(name: &str) -> Option<(usize, Type)> {
    match name {
        "node_id" => Some((0, Type::String)),
        "node_degree_in" => Some((1, Type::Long)),
        "node_degree_out" => Some((2, Type::Long)),
        _ => None,
    }
}

impl Row {
    fn matched(&self) -> Option<&Match> {
        match self.graph.as_deref() {
            Some(GraphRow::Match(matched)) => Some(matched),
            _ => None,
        }
    }

    fn matched_mut(&mut self) -> Option<&mut Match> {
        match self.graph.as_deref_mut() {
            Some(GraphRow::Match(matched)) => Some(matched),
            _ => None,
        }
    }

    /// Whether a pattern has this variable.
    pub(super) fn is_variable(&self, name: &str) -> bool {
        self.matched().is_some_and(|matched| matched.find(name).is_some())
    }

    /// The whole of what a variable binds: a bag, or an array of bags.
    pub(super) fn variable(&mut self, name: &str, span: Span) -> Option<Expr> {
        let matched = self.matched_mut()?;
        let column = match matched.find(name)? {
            Variable::Node(variable) => MatchColumn::NodeBag { variable },
            Variable::Edge(edge) | Variable::Path(edge) => MatchColumn::EdgeBag { edge },
        };
        Some(matched.column(column, Type::Dynamic, span))
    }
}

impl Match {
    /// A variable; a node before an edge of the same name.
    fn find(&self, name: &str) -> Option<Variable> {
        let mut named = self.variables.iter().filter(|(known, _)| known == name).map(|(_, variable)| *variable);
        let first = named.next()?;
        Some(named.find(|variable| matches!(variable, Variable::Node(_))).unwrap_or(first))
    }

    /// A column of the match's row.
    fn column(&mut self, column: MatchColumn, ty: Type, span: Span) -> Expr {
        let known = self.columns.iter().position(|known| *known == column);
        let index = known.unwrap_or_else(|| {
            self.columns.push(column);
            self.columns.len() - 1
        });
        Expr::column(index, ty, span)
    }
}

/// The variables of a pattern while it is read.
#[derive(Default)]
struct Pattern {
    nodes: Vec<Option<String>>,
    edges: Vec<PatternEdge>,
    variables: Vec<(String, Variable)>,
}

impl Pattern {
    /// The node variable of this name; a new one without a name.
    fn node(&mut self, name: Option<&ast::Name>) -> usize {
        let known = name.and_then(|name| self.nodes.iter().position(|known| known.as_ref() == Some(&name.text)));
        known.unwrap_or_else(|| {
            let at = self.nodes.len();
            self.nodes.push(name.map(|name| name.text.clone()));
            self.variables.extend(name.map(|name| (name.text.clone(), Variable::Node(at))));
            at
        })
    }

    /// Whether every node variable is reached from the first along edges.
    fn is_connected(&self) -> bool {
        let mut reached = vec![false; self.nodes.len()];
        let mut open = vec![0];
        while let Some(at) = open.pop() {
            let Some(seen) = reached.get_mut(at) else { continue };
            if std::mem::replace(seen, true) {
                continue;
            }
            open.extend(self.edges.iter().filter(|edge| edge.left == at).map(|edge| edge.right));
            open.extend(self.edges.iter().filter(|edge| edge.right == at).map(|edge| edge.left));
        }
        reached.into_iter().all(|seen| seen)
    }
}

impl Binder<'_> {
    pub(super) fn graph_match(
        &mut self,
        graph: Graph,
        written: &ast::graph::GraphMatch,
        scope: ScopeId,
        span: Span,
    ) -> Bind<Plan> {
        let (cycles, shortest) = modes(written)?;
        if shortest.is_some() && written.sequences.len() > 1 {
            return fail("kql.syntax", "'graph-shortest-paths' takes one sequence", span);
        }
        let pattern = self.pattern(&written.sequences, scope, span)?;
        let mut row = self.row(Schema::default(), scope);
        row.graph = Some(Box::new(GraphRow::Match(Match {
            variables: pattern.variables,
            properties: graph.properties.clone(),
            edges: graph.made.edges.clone(),
            columns: Vec::new(),
            filters: true,
        })));
        let mut conditions = Vec::new();
        if let Some(predicate) = &written.predicate {
            conjuncts(self.predicate(predicate, &mut row)?, &mut conditions);
        }
        if let Some(matched) = row.matched_mut() {
            matched.filters = false;
        }
        let mut names = Names::declaring(explicit(&written.project));
        let (mut columns, mut project) = (Vec::new(), Vec::new());
        for arg in &written.project {
            if arg.tuple {
                return unsupported("a list of names in the 'project' of a graph", arg.value.span);
            }
            let expr = self.scalar(&arg.value, &mut row)?;
            let name = match (arg.names.first(), match_name(&arg.value, &row)) {
                (Some(name), _) => names.unique(&name.text),
                (None, Some(name)) => names.unique(&name),
                (None, None) => names.number(),
            };
            columns.push(Column::new(name, expr.ty));
            project.push(expr);
        }
        let seen = row.matched_mut().map(|matched| std::mem::take(&mut matched.columns)).unwrap_or_default();
        let output = GraphOutput::Match(GraphMatch {
            nodes: pattern.nodes.len(),
            edges: pattern.edges,
            cycles,
            shortest,
            columns: seen,
            conditions,
            project,
        });
        Ok(graph.ask(output, columns, span))
    }

    fn pattern(&mut self, sequences: &[ast::graph::Sequence], scope: ScopeId, span: Span) -> Bind<Pattern> {
        let mut pattern = Pattern::default();
        for sequence in sequences {
            let mut nodes = sequence.nodes.iter();
            let mut left = pattern.node(nodes.next().and_then(Option::as_ref));
            for (edge, node) in sequence.edges.iter().zip(nodes) {
                let right = pattern.node(node.as_ref());
                self.pattern_edge(&mut pattern, edge, (left, right), scope)?;
                left = right;
            }
        }
        if !pattern.is_connected() {
            let hint = Some("let the sequences share a node, or join two matches".to_owned());
            return fail_with_hint("kql.unsupported", "the sequences of a pattern must be connected", span, hint);
        }
        Ok(pattern)
    }

    fn pattern_edge(
        &mut self,
        pattern: &mut Pattern,
        edge: &ast::graph::Edge,
        (left, right): (usize, usize),
        scope: ScopeId,
    ) -> Bind<()> {
        let length = match &edge.length {
            Some((least, most)) => Some((self.path_length(least, scope)?, self.path_length(most, scope)?)),
            None => None,
        };
        if length.is_some_and(|(least, most)| least > most) {
            return fail("kql.syntax", "the least length of a path is more than its most", edge.span);
        }
        let at = pattern.edges.len();
        pattern.edges.push(PatternEdge { left, right, direction: edge.direction, length });
        let Some(name) = &edge.name else { return Ok(()) };
        let taken =
            |(known, variable): &(String, Variable)| *known == name.text && !matches!(variable, Variable::Node(_));
        if pattern.variables.iter().any(taken) {
            return fail("kql.syntax", format!("the edge '{}' is named twice", name.text), name.span);
        }
        let variable = if length.is_some() { Variable::Path(at) } else { Variable::Edge(at) };
        pattern.variables.push((name.text.clone(), variable));
        Ok(())
    }

    fn path_length(&mut self, expr: &ast::Expr, scope: ScopeId) -> Bind<u32> {
        match u32::try_from(self.count(expr, scope)?) {
            Ok(length) if length < u32::MAX => Ok(length),
            _ => fail("kql.type", "the length of a path is too large", expr.span),
        }
    }

    /// `variable.name`; `None` when it is no variable of a pattern.
    pub(super) fn property(
        &mut self,
        variable: &str,
        name: &ast::Name,
        span: Span,
        row: &mut Row,
    ) -> Option<Bind<Expr>> {
        let matched = row.matched_mut()?;
        let variable = matched.find(variable)?;
        let schema = if matches!(variable, Variable::Node(_)) { &matched.properties } else { &matched.edges };
        let Some(column) = schema.index_of(&name.text) else {
            return Some(self.unknown_property(schema, name));
        };
        let ty = schema.columns().get(column).map_or(Type::Dynamic, |column| column.ty);
        Some(Ok(match variable {
            Variable::Node(variable) => matched.column(MatchColumn::Node { variable, column }, ty, span),
            Variable::Edge(edge) => matched.column(MatchColumn::Edge { edge, column }, ty, span),
            Variable::Path(_) if matched.filters => {
                let hint = Some("use all(), any() or map() over the path".to_owned());
                let message = "a path has no single value to compare";
                return Some(fail_with_hint("kql.type", message, span, hint));
            }
            Variable::Path(edge) => {
                let expr = Expr::column(column, ty, span);
                let whole = MatchColumn::Path { edge, inner_nodes: false, fold: PathFold::Map, expr };
                matched.column(whole, Type::Dynamic, span)
            }
        }))
    }

    fn unknown_property<T>(&self, schema: &Schema, name: &ast::Name) -> Bind<T> {
        let known = schema.columns().iter().map(|column| column.name.as_str());
        let near = kyma_plan::functions::nearest(&name.text, known).map(|near| format!("did you mean '{near}'?"));
        fail_with_hint("kql.unknown_column", format!("unknown property '{}'", name.text), name.span, near)
    }

    /// A graph function; `None` when the row is none of a graph, or the function another one.
    pub(super) fn graph_call(&mut self, name: &str, call: &ast::Call, span: Span, row: &mut Row) -> Bind<Option<Expr>> {
        match row.graph.as_deref() {
            None => Ok(None),
            Some(GraphRow::Element(element)) => element_call(name, *element, call, span),
            Some(GraphRow::Match(_)) => self.match_call(name, call, span, row),
        }
    }

    fn match_call(&mut self, name: &str, call: &ast::Call, span: Span, row: &mut Row) -> Bind<Option<Expr>> {
        let folded = match name {
            "all" => Some(PathFold::All),
            "any" => Some(PathFold::Any),
            "map" => Some(PathFold::Map),
            _ => None,
        };
        if let Some(folded) = folded {
            return self.path_call(name, folded, call, span, row).map(Some);
        }
        if name == "inner_nodes" {
            return fail("kql.syntax", "inner_nodes() stands only in all(), any() and map()", span);
        }
        if node_function(name).is_none() && name != "labels" {
            return Ok(None);
        }
        let variable = match call.args.as_slice() {
            [ast::Arg { value: ast::Expr { kind: ast::ExprKind::Name(variable), .. }, .. }] => Some(variable),
            _ => None,
        };
        let Some(matched) = row.matched_mut() else { return Ok(None) };
        let found = variable.and_then(|variable| matched.find(variable));
        match (found, node_function(name)) {
            (Some(_), None) => Ok(Some(no_labels(span))),
            (Some(Variable::Node(variable)), Some((after, ty))) => {
                let column = matched.properties.len() + after;
                Ok(Some(matched.column(MatchColumn::Node { variable, column }, ty, span)))
            }
            _ => fail("kql.arguments", format!("{name}() takes a variable of the pattern"), span),
        }
    }

    /// `all(path, condition)`, `any(inner_nodes(path), condition)`, `map(path, expression)`.
    fn path_call(&mut self, name: &str, fold: PathFold, call: &ast::Call, span: Span, row: &mut Row) -> Bind<Expr> {
        let [path, body] = call.args.as_slice() else {
            return fail("kql.arguments", format!("{name}() takes a path and an expression"), span);
        };
        let (path, inner_nodes) = path_of(&path.value);
        let found = path.and_then(|path| row.matched().and_then(|matched| matched.find(path)));
        let (Some(Variable::Path(edge)), Some(matched)) = (found, row.matched()) else {
            let hint = Some("name an edge of variable length, as in -[e*1..3]->".to_owned());
            return fail_with_hint("kql.arguments", format!("{name}() takes a path of the pattern"), span, hint);
        };
        let (schema, element) = match inner_nodes {
            true => (matched.properties.clone(), Element::Node(matched.properties.len())),
            false => (matched.edges.clone(), Element::Edge),
        };
        let mut inner = self.row(schema, row.scope);
        inner.graph = Some(Box::new(GraphRow::Element(element)));
        let (expr, ty) = match fold {
            PathFold::Map => (self.scalar(&body.value, &mut inner)?, Type::Dynamic),
            PathFold::All | PathFold::Any => (self.predicate(&body.value, &mut inner)?, Type::Bool),
        };
        let Some(matched) = row.matched_mut() else { return fail("kql.type", "no path here", span) };
        Ok(matched.column(MatchColumn::Path { edge, inner_nodes, fold, expr }, ty, span))
    }
}

/// The variable in `path` or `inner_nodes(path)`, and which it was.
fn path_of(expr: &ast::Expr) -> (Option<&str>, bool) {
    match &expr.kind {
        ast::ExprKind::Name(name) => (Some(name), false),
        ast::ExprKind::Call(call) if call.name.text == "inner_nodes" && call.base.is_none() => {
            let name = match call.args.as_slice() {
                [ast::Arg { value: ast::Expr { kind: ast::ExprKind::Name(name), .. }, .. }] => Some(name.as_str()),
                _ => None,
            };
            (name, true)
        }
        _ => (None, false),
    }
}

/// `node_id()`, `node_degree_in()`, `labels()` of the element at hand.
fn element_call(name: &str, element: Element, call: &ast::Call, span: Span) -> Bind<Option<Expr>> {
    let known = node_function(name);
    if known.is_none() && name != "labels" {
        return Ok(None);
    }
    if !call.args.is_empty() {
        return fail("kql.arguments", format!("{name}() takes no argument here"), span);
    }
    match (known, element) {
        (None, _) => Ok(Some(no_labels(span))),
        (Some((after, ty)), Element::Node(properties)) => Ok(Some(Expr::column(properties + after, ty, span))),
        (Some(_), Element::Edge) => fail("kql.type", format!("{name}() is of nodes, not of edges"), span),
    }
}

/// Only stored graphs have labels.
fn no_labels(span: Span) -> Expr {
    Expr::literal(Value::Dynamic("[]".to_owned()), span)
}

/// The conditions that `and` joins.
fn conjuncts(expr: Expr, out: &mut Vec<Expr>) {
    match expr.kind {
        ExprKind::And(parts) => parts.into_iter().for_each(|part| conjuncts(part, out)),
        _ => out.push(expr),
    }
}

fn modes(written: &ast::graph::GraphMatch) -> Bind<(Cycles, Option<Shortest>)> {
    let settings = &written.settings;
    let known: &[&str] = if written.shortest { &["output", "cycles"] } else { &["cycles"] };
    only_settings(settings, known)?;
    let cycles = match name_setting(settings, "cycles")?.as_deref() {
        None | Some("unique_edges") => Cycles::UniqueEdges,
        Some("all") => Cycles::All,
        Some("none") => Cycles::None,
        Some(other) => {
            let message = format!("'{other}' is no way to treat cycles");
            return bad_setting(settings, "cycles", message, "use cycles=unique_edges, all or none");
        }
    };
    if !written.shortest {
        return Ok((cycles, None));
    }
    match name_setting(settings, "output")?.as_deref() {
        None | Some("any") => Ok((Cycles::None, Some(Shortest::Any))),
        Some("all") => Ok((Cycles::None, Some(Shortest::All))),
        Some(other) => {
            let message = format!("'{other}' is no output of shortest paths");
            bad_setting(settings, "output", message, "use output=any or output=all")
        }
    }
}

/// The name that an expression over a match gives its column.
fn match_name(expr: &ast::Expr, row: &Row) -> Option<String> {
    let matched = row.matched()?;
    match &expr.kind {
        // What has no properties has no name either.
        ast::ExprKind::Name(name) => {
            let is_bare = matches!(matched.find(name), Some(Variable::Node(_))) && matched.properties.is_empty();
            (!is_bare).then(|| name.clone())
        }
        ast::ExprKind::Call(call) => {
            let name = call.name.text.as_str();
            let first = call.args.first().map(|arg| &arg.value);
            match name {
                "map" => {
                    let (path, inner) = path_of(first?);
                    let path = if inner { format!("inner_nodes_{}", path?) } else { path?.to_owned() };
                    let schema = if inner { &matched.properties } else { &matched.edges };
                    let element = call.args.get(1).and_then(|arg| name_of(&arg.value, schema));
                    Some(format!("{path}_{}", element.as_deref().unwrap_or("Column")))
                }
                "all" | "any" => {
                    let (path, inner) = path_of(first?);
                    Some(format!("{name}_{}{}", if inner { "inner_nodes_" } else { "" }, path?))
                }
                "node_id" | "node_degree_in" | "node_degree_out" | "labels" => match &first?.kind {
                    ast::ExprKind::Name(variable) => Some(format!("{name}_{variable}")),
                    _ => None,
                },
                _ => name_of(expr, &Schema::default()),
            }
        }
        _ => name_of(expr, &Schema::default()),
    }
}
