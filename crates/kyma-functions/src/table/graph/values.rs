//! Columns of a match's row.
//!
//! What is asked of single elements is computed once per element of the graph; a match only picks from it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, NullArray, UInt32Array};
use arrow::compute::take;
use kyma_core::dynamic::quote;
use kyma_core::{Result, Type};
use kyma_plan::Expr;
use kyma_plan::graph::{GraphMatch, MatchColumn, PathFold};

use super::TableCall;
use super::elements::Elements;
use super::matches::{Matches, Paths};
use super::plan::columns_of;
use crate::build;
use crate::eval::{eval, holds};
use crate::value::json_at;

/// How the columns of matches are made.
pub(super) struct Values<'a> {
    elements: &'a Elements,
    columns: Vec<Column>,
    /// By edge of the pattern, whether its paths were found from the right node.
    backwards: Vec<bool>,
}

enum Column {
    Node { variable: usize, values: ArrayRef },
    Edge { edge: usize, values: ArrayRef },
    NodeBag { variable: usize },
    EdgeBag { edge: usize },
    Bags { edge: usize },
    Map { edge: usize, inner: bool, values: ArrayRef, ty: Type },
    Fold { edge: usize, inner: bool, flags: Vec<bool>, all: bool },
}

impl<'a> Values<'a> {
    /// For these columns.
    pub(super) fn make(
        wanted: &GraphMatch,
        backwards: Vec<bool>,
        elements: &'a Elements,
        call: &TableCall<'_>,
    ) -> Result<Values<'a>> {
        let columns = wanted.columns.iter().map(|column| column_of(column, wanted, elements, call));
        Ok(Values { elements, columns: columns.collect::<Result<_>>()?, backwards })
    }

    /// The columns that an expression uses; others are there, but empty.
    pub(super) fn columns(&self, expr: &Expr, matches: &Matches, paths: &Paths) -> Result<Vec<ArrayRef>> {
        let used = columns_of(expr);
        let column = |(at, column): (usize, &Column)| match used.contains(&at) {
            true => self.column(column, matches, paths),
            false => Ok(Arc::new(NullArray::new(matches.len())) as ArrayRef),
        };
        self.columns.iter().enumerate().map(column).collect()
    }

    fn column(&self, column: &Column, matches: &Matches, paths: &Paths) -> Result<ArrayRef> {
        let elements = self.elements;
        let rows = matches.len();
        Ok(match column {
            Column::Node { variable, values } => {
                take(values, &UInt32Array::from(matches.nodes[*variable].clone()), None)?
            }
            Column::Edge { edge, values } => take(values, &UInt32Array::from(matches.edges[*edge].clone()), None)?,
            Column::NodeBag { variable } => {
                let mut bags = Bags::new(&elements.property_types, elements.properties());
                build::jsons(rows, |row| Some(bags.get(matches.nodes[*variable][row]).to_owned()))
            }
            Column::EdgeBag { edge } => {
                let mut bags = Bags::new(&elements.edge_types, &elements.edge_columns);
                build::jsons(rows, |row| Some(bags.get(matches.edges[*edge][row]).to_owned()))
            }
            Column::Bags { edge } => {
                let mut bags = Bags::new(&elements.edge_types, &elements.edge_columns);
                build::jsons(rows, |row| {
                    Some(array_of(&self.path(*edge, false, matches.edges[*edge][row], paths), |edge, out| {
                        out.push_str(bags.get(edge));
                    }))
                })
            }
            Column::Map { edge, inner, values, ty } => build::jsons(rows, |row| {
                Some(array_of(&self.path(*edge, *inner, matches.edges[*edge][row], paths), |element, out| {
                    out.push_str(&json_at(values.as_ref(), element as usize, *ty));
                }))
            }),
            Column::Fold { edge, inner, flags, all } => build::flags(rows, |row| {
                let decides = |element: u32| flags[element as usize] != *all;
                let found = self.members(*inner, matches.edges[*edge][row], paths).any(decides);
                found != *all
            }),
        })
    }

    /// The edges, or the nodes inside, of a path, last first as it was found.
    fn members(&self, inner: bool, path: u32, paths: &Paths) -> impl Iterator<Item = u32> {
        let links = paths.links(path).skip(usize::from(inner));
        links.map(move |link| if inner { link.node } else { link.edge })
    }

    /// The edges, or the nodes inside, of a path, from left to right in the pattern.
    fn path(&self, edge: usize, inner: bool, path: u32, paths: &Paths) -> Vec<u32> {
        let mut members: Vec<u32> = self.members(inner, path, paths).collect();
        if !self.backwards[edge] {
            members.reverse();
        }
        members
    }
}

fn column_of(column: &MatchColumn, wanted: &GraphMatch, elements: &Elements, call: &TableCall<'_>) -> Result<Column> {
    let nowhere = || kyma_core::Error::internal("a match names a column that is not there");
    Ok(match column {
        MatchColumn::Node { variable, column } => Column::Node {
            variable: *variable,
            values: elements.node_columns.get(*column).cloned().ok_or_else(nowhere)?,
        },
        MatchColumn::Edge { edge, column } => {
            Column::Edge { edge: *edge, values: elements.edge_columns.get(*column).cloned().ok_or_else(nowhere)? }
        }
        MatchColumn::NodeBag { variable } => Column::NodeBag { variable: *variable },
        MatchColumn::EdgeBag { edge } => {
            let is_path = wanted.edges.get(*edge).is_some_and(|edge| edge.length.is_some());
            if is_path { Column::Bags { edge: *edge } } else { Column::EdgeBag { edge: *edge } }
        }
        MatchColumn::Path { edge, inner_nodes, fold, expr } => {
            let (rows, count) = match inner_nodes {
                true => (&elements.node_columns, elements.nodes()),
                false => (&elements.edge_columns, elements.edges()),
            };
            let (edge, inner) = (*edge, *inner_nodes);
            match fold {
                PathFold::Map => {
                    let values = eval(expr, rows, count, call.context)?.to_array(count);
                    Column::Map { edge, inner, values, ty: expr.ty }
                }
                PathFold::All | PathFold::Any => {
                    let flags = holds(expr, rows, count, call.context)?;
                    Column::Fold { edge, inner, flags, all: *fold == PathFold::All }
                }
            }
        }
    })
}

/// A JSON array of elements.
fn array_of(elements: &[u32], mut put: impl FnMut(u32, &mut String)) -> String {
    let mut out = String::from("[");
    for (at, element) in elements.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        put(*element, &mut out);
    }
    out.push(']');
    out
}

/// Elements as bags, each made once.
struct Bags<'a> {
    types: &'a [(String, Type)],
    columns: &'a [ArrayRef],
    made: HashMap<u32, String>,
}

impl<'a> Bags<'a> {
    fn new(types: &'a [(String, Type)], columns: &'a [ArrayRef]) -> Bags<'a> {
        Bags { types, columns, made: HashMap::new() }
    }

    fn get(&mut self, element: u32) -> &str {
        let (types, columns) = (self.types, self.columns);
        self.made.entry(element).or_insert_with(|| bag(types, columns, element as usize))
    }
}

/// A row as a bag, without what is null or an empty string.
fn bag(types: &[(String, Type)], columns: &[ArrayRef], row: usize) -> String {
    let mut out = String::from("{");
    for ((name, ty), column) in types.iter().zip(columns) {
        let empty = column.as_string_view_opt().is_some_and(|texts| texts.is_valid(row) && texts.value(row).is_empty());
        if column.is_null(row) || empty {
            continue;
        }
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&quote(name));
        out.push(':');
        out.push_str(&json_at(column.as_ref(), row, *ty));
    }
    out.push('}');
    out
}
