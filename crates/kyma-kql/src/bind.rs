//! Syntax tree to typed plan: names are looked up, types checked, conversions made explicit.
//!
//! 1. Statements in order: `let` binds a value at once (tables and scalars) or keeps a function for its calls.
//! 2. A pipeline is bound operator by operator, each over the schema of the one before ([`operators`], [`summarize`],
//!    [`join`], [`expand`], [`series`]).
//! 3. Expressions are bound over a [`Row`]: [`expr`] (operators and members) and [`call`] (functions).
//!    Aggregates and functions over the ordered input are collected aside and replaced by columns.
//!
//! Columns hide names from `let`. Everything that copies plans or expressions counts them against a limit.

mod call;
mod cursor;
mod expand;
mod expr;
mod external;
mod facet;
mod find;
mod fold;
mod function;
mod graph;
mod join;
mod lambda;
mod matching;
mod naming;
mod nested;
mod operators;
mod partition;
pub(crate) mod plugin;
mod recover;
mod scan;
mod search;
mod series;
mod several;
mod sources;
mod summarize;

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use kyma_core::error::Span;
use kyma_core::{Schema, Type, Value};
use kyma_plan::frontend::Rows;
use kyma_plan::{
    AggregateCall, Diagnostic, Diagnostics, Expr, Node, Plan, PlanContext, Planned, Query, Statement as PlanStatement,
    Visualization, WindowCall,
};

use crate::ast::{self, Lambda, StatementKind};
use crate::limits::{
    ERRORS_MAX, EXPR_HEIGHT_MAX, PLAN_EXPRS_MAX, PLAN_HEIGHT_MAX, PLAN_NODES_MAX, STACK_PIECE, STACK_RED_ZONE,
};

pub(crate) use function::check;

/// What binding gives; the error ends its statement.
pub(crate) type Bind<T> = Result<T, Box<Diagnostic>>;

/// Place of a name in [`Binder::scopes`]; names known there are its own and those of its parents.
type ScopeId = usize;

/// No names.
const ROOT: ScopeId = usize::MAX;

#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // One per name of a query.
enum Binding {
    /// A value; `row` is the row that its columns belong to, if it uses any.
    Scalar {
        expr: Expr,
        row: usize,
    },
    /// A table, with the name that `withsource` gives its rows, if they have one.
    Table {
        plan: Plan,
        label: Option<String>,
    },
    Function {
        lambda: Rc<Lambda>,
        scope: ScopeId,
    },
    /// A graph, which stands where it is used.
    Graph(Rc<graph::Graph>),
    /// Databases that `macro-expand` goes through.
    Group(Rc<Vec<ast::Expr>>),
    /// What could not be bound; uses are not reported again.
    Poison,
}

struct Entry {
    name: String,
    binding: Binding,
    parent: ScopeId,
}

/// A value of either kind.
#[allow(clippy::large_enum_variant)] // Short-lived.
enum Bound {
    Scalar(Expr),
    Table(Plan),
}

/// What an expression is bound over.
struct Row {
    /// Columns by name; none for constants.
    schema: Schema,
    /// Columns of the row that is fed, after which come results of functions over the order.
    width: usize,
    /// Distinguishes rows, so that a column is not used over another one.
    id: usize,
    scope: ScopeId,
    /// `$left` or `$right`, when this is a side of a join.
    side: Option<&'static str>,
    /// Steps of a `scan`, whose rows are further columns, as many for each as the schema has.
    steps: Vec<String>,
    /// Aggregates met, when they are allowed.
    aggregates: Option<Aggregates>,
    /// Functions over the ordered input met, when they are allowed. Their results are columns after the row's.
    windows: Option<Vec<WindowCall>>,
    /// What is there beside columns when this is a match of a graph, or a node or an edge of one.
    graph: Option<Box<matching::GraphRow>>,
}

/// Aggregates of one `summarize`, whose results are columns after the keys.
struct Aggregates {
    calls: Vec<AggregateCall>,
    /// The column of the next result.
    next: usize,
    /// Names and types of the keys, which are the first columns of the result.
    keys: Vec<(String, Type)>,
}

pub(crate) struct Binder<'a> {
    context: &'a PlanContext<'a>,
    scopes: Vec<Entry>,
    errors: Vec<Diagnostic>,
    /// Whether there was an error, of which some follow from others and are not in `errors`.
    failed: bool,
    /// Columns whose values are errors.
    poisoned: HashSet<String>,
    /// Columns that the query seems to mean by unknown names.
    meant: Vec<String>,
    warnings: Vec<Diagnostic>,
    /// Databases by the names that `alias database` gives them.
    aliases: BTreeMap<String, String>,
    /// Names and patterns of the tables that may be read, after `restrict access to`.
    restricted: Option<Vec<String>>,
    visualization: Option<Visualization>,
    result_name: Option<String>,
    rows: usize,
    nodes: usize,
    exprs: usize,
    materialized: usize,
    call_depth: usize,
    /// Stored functions that are being bound, outermost first, each with its database.
    calling: Vec<(String, String)>,
    /// Stored functions that were read.
    functions: BTreeMap<(String, String), Rc<Lambda>>,
    /// Questions asked so far.
    asked: usize,
    /// The first question that has no answer yet.
    question: Option<Plan>,
    /// Names that a `macro-expand` around gives to a database, innermost last.
    entities: Vec<(String, ast::Expr)>,
    /// The label of the rows that the first operator of a pipeline is about to get.
    piped_label: Option<String>,
}

/// What the statements set to constants.
pub(crate) fn options(statements: &[ast::Statement], context: &PlanContext<'_>) -> BTreeMap<String, Value> {
    let mut binder = Binder::new(context, Vec::new());
    let mut option = |statement: &ast::Statement| match &statement.kind {
        StatementKind::Set(name, value) => Some((name.text.clone(), binder.option(name, value.as_ref()).ok()?)),
        _ => None,
    };
    statements.iter().filter_map(&mut option).collect()
}

/// Binds the statements of a text, which were read with these errors.
pub(crate) fn bind(
    statements: &[ast::Statement],
    errors: Vec<Diagnostic>,
    context: &PlanContext<'_>,
) -> Result<Planned, Diagnostics> {
    let mut binder = Binder::new(context, errors);
    let query = binder.query(statements);
    // What was found after it was asked may follow from it.
    if let Some(question) = binder.question {
        return Ok(Planned::Asks(question));
    }
    if binder.errors.is_empty() && (query.statements.is_empty() || binder.failed) {
        let message = "the query has no tabular statement";
        binder.errors.push(Diagnostic::error("kql.no_result", message, Span::default()));
    }
    if binder.errors.is_empty() {
        return Ok(Planned::Query(Query { warnings: binder.warnings, ..query }));
    }
    let mut errors = binder.errors;
    errors.sort_by_key(|error| error.span.start);
    errors.truncate(ERRORS_MAX);
    Err(Diagnostics(errors))
}

/// Refuses an expression that became too tall by what was put in for names.
fn check_height(expr: &Expr) -> Bind<()> {
    let mut stack = vec![(expr, 1)];
    while let Some((at, height)) = stack.pop() {
        if height > EXPR_HEIGHT_MAX {
            let message = format!("an expression is taller than the limit: limit={EXPR_HEIGHT_MAX}");
            return fail("kql.too_deep", message, expr.span);
        }
        stack.extend(at.children().into_iter().map(|child| (child, height + 1)));
    }
    Ok(())
}

/// Refuses a plan that became too tall by what was put in for names.
fn check_plan_height(plan: &Plan) -> Bind<()> {
    let mut stack = vec![(plan, 1)];
    while let Some((at, height)) = stack.pop() {
        if height > PLAN_HEIGHT_MAX {
            let message = format!("the query has more operators in a row than the limit: limit={PLAN_HEIGHT_MAX}");
            return fail("kql.too_long", message, plan.span);
        }
        stack.extend(at.inputs().into_iter().map(|input| (input, height + 1)));
    }
    Ok(())
}

/// An option among the names of a scope: no name of a query is spelled so.
fn setting_name(option: &str) -> String {
    format!("set {option}")
}

/// An error at a place.
fn fail<T>(code: &str, message: impl Into<String>, span: Span) -> Bind<T> {
    Err(Box::new(Diagnostic::error(code, message, span)))
}

fn fail_with_hint<T>(code: &str, message: impl Into<String>, span: Span, hint: Option<String>) -> Bind<T> {
    Err(Box::new(Diagnostic { hint, ..Diagnostic::error(code, message, span) }))
}

fn unsupported<T>(what: &str, span: Span) -> Bind<T> {
    fail("kql.unsupported", format!("{what} is not supported"), span)
}

/// The table or the pattern that `restrict access to` names; of another database too.
fn allowed_name(expr: &ast::Expr) -> Option<String> {
    match &expr.kind {
        ast::ExprKind::Name(name) | ast::ExprKind::Wildcard(name) => Some(name.clone()),
        ast::ExprKind::Member(_, name) => Some(name.text.clone()),
        ast::ExprKind::Star => Some("*".to_owned()),
        _ => None,
    }
}

impl<'a> Binder<'a> {
    fn new(context: &'a PlanContext<'a>, errors: Vec<Diagnostic>) -> Self {
        Binder {
            context,
            scopes: Vec::new(),
            failed: !errors.is_empty(),
            errors,
            poisoned: HashSet::new(),
            meant: Vec::new(),
            warnings: Vec::new(),
            aliases: BTreeMap::new(),
            restricted: None,
            visualization: None,
            result_name: None,
            rows: 0,
            nodes: 0,
            exprs: 0,
            materialized: 0,
            call_depth: 0,
            calling: Vec::new(),
            functions: BTreeMap::new(),
            asked: 0,
            question: None,
            entities: Vec::new(),
            piped_label: None,
        }
    }
}

impl Binder<'_> {
    fn query(&mut self, statements: &[ast::Statement]) -> Query {
        let mut query = Query { statements: Vec::new(), options: BTreeMap::new(), warnings: Vec::new() };
        let mut scope = ROOT;
        for statement in statements {
            let bound = match &statement.kind {
                StatementKind::Query(expr) => {
                    self.results(expr, &mut scope).map(|results| query.statements.extend(results))
                }
                StatementKind::Set(name, value) => self.option(name, value.as_ref()).map(|value| {
                    let expr = Expr::literal(value.clone(), statement.span);
                    scope = self.declare(&setting_name(&name.text), Binding::Scalar { expr, row: 0 }, scope);
                    query.options.insert(name.text.clone(), value);
                }),
                other => self.declaration(other, statement.span, &mut scope),
            };
            if let Err(error) = bound {
                self.report(*error);
            }
        }
        query
    }

    /// A statement that is not a query: adds to the scope.
    fn declaration(&mut self, statement: &StatementKind, span: Span, scope: &mut ScopeId) -> Bind<()> {
        match statement {
            StatementKind::Let(name, value) => {
                let binding = match self.let_value(value, *scope) {
                    Ok(Binding::Table { plan, .. }) => {
                        Binding::Table { plan, label: self.label_of_let(&name.text, value, *scope) }
                    }
                    Ok(binding) => binding,
                    Err(error) => {
                        self.report(*error);
                        Binding::Poison
                    }
                };
                *scope = self.declare(&name.text, binding, *scope);
                Ok(())
            }
            StatementKind::Parameters(params) => {
                for param in params {
                    let binding = match self.parameter(param, *scope) {
                        Ok(expr) => Binding::Scalar { expr, row: 0 },
                        Err(error) => {
                            self.report(*error);
                            Binding::Poison
                        }
                    };
                    *scope = self.declare(&param.name.text, binding, *scope);
                }
                Ok(())
            }
            StatementKind::Set(..) => Ok(()),
            StatementKind::Alias(name, database) => {
                let own = self.context.database.to_owned();
                let database = self.database_of(database, *scope)?.unwrap_or(own);
                self.aliases.insert(name.text.clone(), database);
                Ok(())
            }
            StatementKind::Restrict(names) => {
                self.restricted = Some(names.iter().filter_map(allowed_name).collect());
                Ok(())
            }
            StatementKind::Unsupported(word) => unsupported(&format!("'{word}'"), span),
            StatementKind::Query(_) => {
                fail("kql.syntax", "only the last statement of a function gives its result", span)
            }
        }
    }

    fn declare(&mut self, name: &str, binding: Binding, parent: ScopeId) -> ScopeId {
        self.scopes.push(Entry { name: name.to_owned(), binding, parent });
        self.scopes.len() - 1
    }

    /// The value that a `set` statement gave an option.
    fn setting(&self, option: &str, scope: ScopeId) -> Option<Value> {
        match self.lookup(&setting_name(option), scope)? {
            Binding::Scalar { expr, .. } => expr.as_literal().cloned(),
            _ => None,
        }
    }

    /// What `name` means in `scope`, and that scope's entry.
    fn lookup(&self, name: &str, scope: ScopeId) -> Option<&Binding> {
        let mut at = scope;
        while at != ROOT {
            let entry = &self.scopes[at];
            if entry.name == name {
                return Some(&entry.binding);
            }
            at = entry.parent;
        }
        None
    }

    fn names_in(&self, scope: ScopeId) -> Vec<&str> {
        let mut names = Vec::new();
        let mut at = scope;
        while at != ROOT {
            names.push(self.scopes[at].name.as_str());
            at = self.scopes[at].parent;
        }
        names
    }

    fn let_value(&mut self, value: &ast::Expr, scope: ScopeId) -> Bind<Binding> {
        if let ast::ExprKind::Lambda(lambda) = &value.kind {
            return Ok(Binding::Function { lambda: Rc::clone(lambda), scope });
        }
        if let ast::ExprKind::EntityGroup(members) = &value.kind {
            return Ok(Binding::Group(Rc::new(members.clone())));
        }
        if self.gives_graph(value, scope) {
            return self.graph_binding(value, scope);
        }
        let mut row = self.row(Schema::default(), scope);
        Ok(match self.value(value, &mut row)? {
            Bound::Scalar(expr) => {
                check_height(&expr)?;
                Binding::Scalar { expr, row: 0 }
            }
            Bound::Table(plan) => Binding::Table { plan, label: None },
        })
    }

    fn option(&mut self, name: &ast::Name, value: Option<&ast::Expr>) -> Bind<Value> {
        let Some(value) = value else { return Ok(Value::Bool(true)) };
        if let ast::ExprKind::Name(word) = &value.kind {
            return Ok(Value::String(word.clone()));
        }
        let mut row = self.row(Schema::default(), ROOT);
        let expr = self.scalar(value, &mut row)?;
        match expr.as_literal() {
            Some(value) => Ok(value.clone()),
            None => fail("kql.not_constant", format!("the option '{}' must be a constant", name.text), expr.span),
        }
    }

    /// The value given for a declared query parameter, or its default.
    fn parameter(&mut self, param: &ast::Param, scope: ScopeId) -> Bind<Expr> {
        let span = param.name.span;
        let ty = param.ty.unwrap_or(Type::Dynamic);
        if let Some(given) = self.context.parameters.get(&param.name.text) {
            let text = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
            return match fold::parameter_value(&text, given.is_string(), ty) {
                Some(value) => Ok(Expr::literal(value, span)),
                None => fail(
                    "kql.bad_parameter",
                    format!("the value of parameter '{}' is not a {ty}", param.name.text),
                    span,
                ),
            };
        }
        let Some(default) = &param.default else {
            return fail("kql.missing_parameter", format!("parameter '{}' has no value", param.name.text), span);
        };
        let mut row = self.row(Schema::default(), scope);
        let expr = self.scalar(default, &mut row)?;
        Ok(fold::convert(expr, ty))
    }

    /// The results of a query statement: several after `fork` and `graph-to-table`, whose names later statements know.
    fn results(&mut self, expr: &ast::Expr, scope: &mut ScopeId) -> Bind<Vec<PlanStatement>> {
        self.visualization = None;
        self.result_name = None;
        if let ast::ExprKind::Pipeline(pipeline) = &expr.kind
            && let Some((last, before)) = pipeline.operators.split_last()
        {
            match &last.kind {
                ast::OperatorKind::Fork(branches) => return self.fork(&pipeline.source, before, branches, *scope),
                ast::OperatorKind::Graph(ast::graph::GraphOperator::ToTable(tables)) if tables.len() > 1 => {
                    return self.graph_tables(&pipeline.source, before, tables, scope, last.span);
                }
                ast::OperatorKind::Facet { columns, with } => {
                    let source = self.table(&pipeline.source, *scope)?;
                    let input = self.pipeline_from(source, before, scope)?;
                    return self.facet(input, columns, with.as_deref(), scope, last.span);
                }
                _ => {}
            }
        }
        let mut row = self.constant_row(*scope);
        let plan = match self.value(expr, &mut row)? {
            Bound::Table(plan) => plan,
            // A scalar alone is a table of one cell.
            Bound::Scalar(value) => {
                let unit = Plan::new(Node::Unit, Schema::default(), value.span);
                let span = value.span;
                Plan::project(unit, vec![("print_0".to_owned(), value)], span)
            }
        };
        let visualization = self.visualization.take();
        Ok(vec![PlanStatement { name: self.result_name.take(), plan, visualization }])
    }

    fn fork(
        &mut self,
        source: &ast::Expr,
        before: &[ast::Operator],
        branches: &[(Option<ast::Name>, Vec<ast::Operator>)],
        scope: ScopeId,
    ) -> Bind<Vec<PlanStatement>> {
        let mut scope = scope;
        let source = self.table(source, scope)?;
        let shared = self.pipeline_from(source, before, &mut scope)?;
        let shared = self.materialize(shared);
        let mut results = Vec::new();
        for (name, operators) in branches {
            self.visualization = None;
            self.count_plan(&shared)?;
            let plan = self.pipeline_from(shared.clone(), operators, &mut scope)?;
            let name = name.as_ref().map(|name| name.text.clone()).or(self.result_name.take());
            results.push(PlanStatement { name, plan, visualization: self.visualization.take() });
        }
        Ok(results)
    }

    fn materialize(&mut self, plan: Plan) -> Plan {
        self.materialized += 1;
        let (schema, span) = (plan.schema.clone(), plan.span);
        Plan::new(Node::Materialize { id: self.materialized, input: Box::new(plan) }, schema, span)
    }

    /// The rows of a plan that the columns of what follows depend on.
    ///
    /// Until they are known, the statement ends here; it is bound again when they are.
    fn ask(&mut self, plan: Plan) -> Bind<Rows> {
        let known = self.context.answers.get(self.asked).cloned();
        self.asked += 1;
        if let Some(rows) = known {
            return Ok(rows);
        }
        if plan.is_fed() {
            let hint = "declare them, as in: evaluate bag_unpack(d) : (a: long, b: string)".to_owned();
            let message = "columns that depend on rows cannot be found inside a sub-pipeline";
            return fail_with_hint("kql.unknown_schema", message, plan.span, Some(hint));
        }
        if self.errors.is_empty() && self.question.is_none() {
            self.question = Some(plan);
        }
        recover::follows(Span::default())
    }

    fn row(&mut self, schema: Schema, scope: ScopeId) -> Row {
        self.rows += 1;
        Row {
            width: schema.len(),
            schema,
            id: self.rows,
            scope,
            side: None,
            steps: Vec::new(),
            aggregates: None,
            windows: None,
            graph: None,
        }
    }

    /// A row without columns.
    fn constant_row(&mut self, scope: ScopeId) -> Row {
        self.row(Schema::default(), scope)
    }

    /// A table or a scalar.
    fn value(&mut self, expr: &ast::Expr, row: &mut Row) -> Bind<Bound> {
        stacker::maybe_grow(STACK_RED_ZONE, STACK_PIECE, || self.value_here(expr, row))
    }

    fn value_here(&mut self, expr: &ast::Expr, row: &mut Row) -> Bind<Bound> {
        use ast::ExprKind;
        match &expr.kind {
            ExprKind::Pipeline(_) | ExprKind::Source(_) => self.table(expr, row.scope).map(Bound::Table),
            ExprKind::Name(name) if row.schema.index_of(name).is_none() && !row.is_variable(name) => {
                self.name_value(name, expr.span, row)
            }
            ExprKind::Call(call) => self.call(call, expr.span, row),
            ExprKind::Member(base, _) if self.is_database(base) => self.table(expr, row.scope).map(Bound::Table),
            _ => self.scalar(expr, row).map(Bound::Scalar),
        }
    }

    fn name_value(&mut self, name: &str, span: Span, row: &mut Row) -> Bind<Bound> {
        match self.lookup(name, row.scope) {
            Some(Binding::Table { .. } | Binding::Function { .. } | Binding::Graph(_)) => self.named(name, span, row),
            Some(_) => self.name(name, span, row).map(Bound::Scalar),
            None if row.schema.is_empty() && row.side.is_none() => self.stored(name, None, span).map(Bound::Table),
            None => self.name(name, span, row).map(Bound::Scalar),
        }
    }

    /// A name that `let` bound to a table or a function without parameters.
    fn named(&mut self, name: &str, span: Span, row: &mut Row) -> Bind<Bound> {
        match self.lookup(name, row.scope).cloned() {
            Some(Binding::Table { plan, .. }) => {
                self.count_plan(&plan)?;
                Ok(Bound::Table(plan))
            }
            Some(Binding::Function { lambda, scope }) => self.invoke(name, &lambda, scope, &[], None, span, row),
            // After an error, an operator that made a table of it may be what is missing.
            Some(Binding::Graph(_)) if !self.failed => graph::not_a_table(span),
            Some(Binding::Group(_)) => {
                fail("kql.type", format!("'{name}' is an entity group, which only macro-expand takes"), span)
            }
            _ => recover::follows(span),
        }
    }

    /// Counts a copy of a plan against the limits.
    fn count_plan(&mut self, plan: &Plan) -> Bind<()> {
        let mut stack = vec![plan];
        while let Some(plan) = stack.pop() {
            self.nodes += 1;
            stack.extend(plan.inputs());
        }
        self.check_nodes(plan.span)
    }

    fn check_nodes(&self, span: Span) -> Bind<()> {
        if self.nodes <= PLAN_NODES_MAX {
            return Ok(());
        }
        let message = format!("the query has more operators than the limit: limit={PLAN_NODES_MAX}");
        fail("kql.too_long", message, span)
    }

    /// Counts a copy of an expression against the limits.
    fn count_expr(&mut self, expr: &Expr) -> Bind<()> {
        let mut stack = vec![expr];
        while let Some(expr) = stack.pop() {
            self.exprs += 1;
            if self.exprs > PLAN_EXPRS_MAX {
                let message = format!("the query has more expressions than the limit: limit={PLAN_EXPRS_MAX}");
                return fail("kql.too_long", message, expr.span);
            }
            stack.extend(expr.children());
        }
        Ok(())
    }

    /// A constant whole number; less than none is none.
    fn count(&mut self, expr: &ast::Expr, scope: ScopeId) -> Bind<u64> {
        let value = self.constant(expr, scope)?;
        let number = match value {
            Value::Long(number) => Some(number),
            Value::Int(number) => Some(i64::from(number)),
            Value::Real(number) if number.fract() == 0.0 => Some(number as i64),
            _ => None,
        };
        match number {
            Some(count) => Ok(u64::try_from(count).unwrap_or(0)),
            None => fail("kql.type", "expected a whole number", expr.span),
        }
    }

    fn constant(&mut self, expr: &ast::Expr, scope: ScopeId) -> Bind<Value> {
        let mut row = self.constant_row(scope);
        let bound = self.scalar(expr, &mut row)?;
        match bound.as_literal() {
            Some(value) => Ok(value.clone()),
            None => fail("kql.not_constant", "expected a constant", expr.span),
        }
    }
}
