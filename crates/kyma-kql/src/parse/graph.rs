//! Graph operators: `make-graph` and those that stand on a graph.

use kyma_plan::Diagnostic;
use kyma_plan::graph::Direction;

use super::{Parsed, Parser};
use crate::ast::graph::{Edge, GraphMatch, GraphOperator, GraphTable, MakeGraph, Sequence};
use crate::ast::{Expr, Name};

impl Parser<'_> {
    /// The graph operator that `word` begins, if it is one; the word has been read.
    pub(super) fn graph_operator(&mut self, word: &str) -> Parsed<Option<GraphOperator>> {
        Ok(Some(match word {
            "make-graph" => GraphOperator::Make(self.make_graph()?),
            "graph-match" => GraphOperator::Match(self.graph_match(false)?),
            "graph-shortest-paths" => GraphOperator::Match(self.graph_match(true)?),
            "graph-to-table" => GraphOperator::ToTable(self.list(Self::graph_table)?),
            "graph-mark-components" => GraphOperator::MarkComponents(self.settings()),
            "graph-where-nodes" => GraphOperator::WhereNodes(self.expr()?),
            "graph-where-edges" => GraphOperator::WhereEdges(self.expr()?),
            _ => return Ok(None),
        }))
    }

    /// `source --> target [with table on id, ...] [with_node_id=name] [partitioned-by column (...)]`.
    fn make_graph(&mut self) -> Parsed<MakeGraph> {
        let source = self.name()?;
        let arrow = self.span();
        self.expect("-")?;
        self.expect("-")?;
        if !self.eat(">") {
            let error = Diagnostic::error("kql.unsupported", "graphs without directions are not supported", arrow);
            return Err(Box::new(error.hint("make it with '-->', and match edges either way with '--'")));
        }
        let target = self.name()?;
        let mut made = MakeGraph { source, target, nodes: Vec::new(), node_id: None, partition: None };
        loop {
            if self.eat_word("with_node_id") {
                self.expect("=")?;
                made.node_id = Some(self.name()?);
            } else if self.eat_word("with") {
                made.nodes = self.list(Self::node_table)?;
            } else if matches!(self.hyphenated(), Some((word, _)) if word.eq_ignore_ascii_case("partitioned-by")) {
                self.at += 3;
                let column = self.name()?;
                self.expect("(")?;
                made.partition = Some((column, self.sub_pipeline(")")?));
            } else {
                return Ok(made);
            }
        }
    }

    fn node_table(&mut self) -> Parsed<(Expr, Name)> {
        let table = self.table_ref()?;
        self.expect_word("on")?;
        Ok((table, self.name()?))
    }

    fn graph_match(&mut self, shortest: bool) -> Parsed<GraphMatch> {
        let settings = self.settings();
        let sequences = self.list(Self::sequence)?;
        let predicate = if self.eat_word("where") { Some(self.expr()?) } else { None };
        self.expect_word("project")?;
        Ok(GraphMatch { shortest, settings, sequences, predicate, project: self.named_list()? })
    }

    fn sequence(&mut self) -> Parsed<Sequence> {
        let start = self.span();
        let mut nodes = vec![self.pattern_node()?];
        let mut edges = Vec::new();
        while self.is_punct("-") || self.is_punct("<") {
            self.count_operator()?;
            edges.push(self.pattern_edge()?);
            nodes.push(self.pattern_node()?);
        }
        Ok(Sequence { nodes, edges, span: self.span_from(start) })
    }

    fn pattern_node(&mut self) -> Parsed<Option<Name>> {
        self.expect("(")?;
        let name = if self.is_punct(")") { None } else { Some(self.name()?) };
        self.expect(")")?;
        Ok(name)
    }

    /// `--`, `-->`, `<--`, `-[e]-`, `-[e]->`, `<-[e*1..3]-`.
    fn pattern_edge(&mut self) -> Parsed<Edge> {
        let start = self.span();
        let left = self.eat("<");
        self.expect("-")?;
        let (mut name, mut length) = (None, None);
        if self.eat("[") {
            if !self.is_punct("]") && !self.is_punct("*") {
                name = Some(self.name()?);
            }
            if self.eat("*") {
                let least = self.additive()?;
                self.expect("..")?;
                length = Some((least, self.additive()?));
            }
            self.expect("]")?;
        }
        self.expect("-")?;
        let direction = if left {
            Direction::Left
        } else if self.eat(">") {
            Direction::Right
        } else {
            Direction::Any
        };
        Ok(Edge { name, direction, length, span: self.span_from(start) })
    }

    fn graph_table(&mut self) -> Parsed<GraphTable> {
        let edges = self.is_word("edges");
        if !edges && !self.is_word("nodes") {
            return Err(self.unexpected("'nodes' or 'edges'"));
        }
        self.advance();
        let mut table = GraphTable { edges, name: None, settings: Vec::new() };
        loop {
            let settings = self.settings();
            if self.eat_word("as") {
                table.name = Some(self.name()?);
            } else if settings.is_empty() {
                return Ok(table);
            }
            table.settings.extend(settings);
        }
    }
}
