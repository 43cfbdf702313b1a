//! Nodes and edges as numbers.
//!
//! Nodes are numbered in the order of the tables of nodes, then by their first edge, source before target. The first row
//! with an id is the node, whole. Null is an id, and for strings the same one as `""`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::interleave;
use arrow::row::{Row, RowConverter, Rows, SortField};
use kyma_core::{Error, Result, Type, Value};
use kyma_plan::Expr;
use kyma_plan::graph::{Direction, Graph, NodeProperty};

use super::TableCall;
use crate::eval::eval;
use crate::limits::GRAPH_ELEMENTS_MAX;
use crate::{Arg, build, convert, value_to_array};

/// The elements of a graph.
pub(super) struct Elements {
    /// Names and types of the properties, which are the first columns of `node_columns`.
    pub(super) property_types: Vec<(String, Type)>,
    /// The row of a node: its properties, its id as a string, how many edges come in, how many go out.
    pub(super) node_columns: Vec<ArrayRef>,
    /// Ids by node.
    node_ids: ArrayRef,
    /// Their type.
    pub(super) id_type: Type,
    /// Names and types of the columns of edges.
    pub(super) edge_types: Vec<(String, Type)>,
    /// The row of an edge.
    pub(super) edge_columns: Vec<ArrayRef>,
    /// The node where each edge starts.
    pub(super) sources: Vec<u32>,
    /// The node where each edge ends.
    pub(super) targets: Vec<u32>,
    /// Edges by the node where they start, and by the node where they end.
    leaving: Lists,
    arriving: Lists,
}

/// Numbers of edges by node.
struct Lists {
    /// Where each node's list starts, and at last the end.
    starts: Vec<u32>,
    edges: Vec<u32>,
}

impl Lists {
    fn of(nodes: usize, ends: &[u32]) -> Lists {
        let mut starts = vec![0_u32; nodes + 1];
        for end in ends {
            starts[*end as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut edges = vec![0_u32; ends.len()];
        for (edge, end) in ends.iter().enumerate() {
            let place = &mut next[*end as usize];
            edges[*place as usize] = edge as u32;
            *place += 1;
        }
        Lists { starts, edges }
    }

    fn get(&self, node: u32) -> &[u32] {
        let node = node as usize;
        &self.edges[self.starts[node] as usize..self.starts[node + 1] as usize]
    }

    fn counts(&self) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(self.starts.windows(2).map(|ends| i64::from(ends[1] - ends[0]))))
    }
}

impl Elements {
    /// Makes a graph of the inputs.
    pub(super) fn make(graph: &Graph, call: &TableCall<'_>) -> Result<Elements> {
        let tables = graph.keys.len();
        // The lists of ids: one per table of nodes, then sources and targets.
        let mut ids = Vec::with_capacity(tables + 2);
        let mut partitions = Vec::with_capacity(tables + 2);
        let inputs = graph.keys.iter().enumerate().map(|(at, key)| (at + 1, key));
        for (input, expr) in inputs.chain([(0, &graph.source), (0, &graph.target)]) {
            ids.push(without_null_texts(over(expr, input, call)?));
            if let Some(partition) = graph.partition.as_ref().and_then(|exprs| exprs.get(input)) {
                partitions.push(without_null_texts(over(partition, input, call)?));
            }
        }
        let numbered = Numbered::of(&ids, &partitions)?;
        let (sources, targets) = match &numbered.numbers[..] {
            [.., sources, targets] => (sources.clone(), targets.clone()),
            _ => return Err(Error::internal("a graph lacks the ends of its edges")),
        };
        let nodes = numbered.places.len();
        let edge_columns = call.input(0)?.columns().to_vec();
        let properties =
            graph.nodes.iter().map(|property| property_column(property, &ids, &numbered.places, tables, call));
        Elements::finish(
            graph.nodes.iter().map(|property| (property.name.clone(), property.ty)).collect(),
            properties.collect::<Result<Vec<_>>>()?,
            (gather(&ids, &numbered.places)?, graph.source.ty, nodes),
            graph.edges.columns().iter().map(|column| (column.name.clone(), column.ty)).collect(),
            edge_columns,
            (sources, targets),
        )
    }

    /// A graph of its parts; `ids` are with their type and how many there are.
    pub(super) fn finish(
        property_types: Vec<(String, Type)>,
        properties: Vec<ArrayRef>,
        ids: (ArrayRef, Type, usize),
        edge_types: Vec<(String, Type)>,
        edge_columns: Vec<ArrayRef>,
        ends: (Vec<u32>, Vec<u32>),
    ) -> Result<Elements> {
        let ((node_ids, id_type, nodes), (sources, targets)) = (ids, ends);
        let (leaving, arriving) = (Lists::of(nodes, &sources), Lists::of(nodes, &targets));
        let mut node_columns = properties;
        node_columns.push(convert(&Arg::Array(Arc::clone(&node_ids)), id_type, Type::String, nodes)?);
        node_columns.extend([arriving.counts(), leaving.counts()]);
        Ok(Elements {
            property_types,
            node_columns,
            node_ids,
            id_type,
            edge_types,
            edge_columns,
            sources,
            targets,
            leaving,
            arriving,
        })
    }

    pub(super) fn nodes(&self) -> usize {
        self.node_ids.len()
    }

    pub(super) fn edges(&self) -> usize {
        self.sources.len()
    }

    pub(super) fn ids(&self) -> &ArrayRef {
        &self.node_ids
    }

    pub(super) fn properties(&self) -> &[ArrayRef] {
        &self.node_columns[..self.property_types.len()]
    }

    /// The edges that can be walked from a node, with the nodes they lead to. An edge from a node to itself can be walked
    /// either way, and comes twice where the direction does not count.
    pub(super) fn near(&self, node: u32, direction: Direction) -> impl Iterator<Item = (u32, u32)> {
        let along: &[u32] = if direction == Direction::Left { &[] } else { self.leaving.get(node) };
        let against: &[u32] = if direction == Direction::Right { &[] } else { self.arriving.get(node) };
        let along = along.iter().map(|edge| (*edge, self.targets[*edge as usize]));
        along.chain(against.iter().map(|edge| (*edge, self.sources[*edge as usize])))
    }
}

/// The numbers of nodes by list of ids, and where each node is first found: its list and its row there.
struct Numbered {
    numbers: Vec<Vec<u32>>,
    places: Vec<(usize, usize)>,
}

impl Numbered {
    fn of(ids: &[ArrayRef], partitions: &[ArrayRef]) -> Result<Numbered> {
        let lists = (0..ids.len()).map(|at| partitions.get(at).into_iter().chain(ids.get(at)).cloned().collect());
        let lists: Vec<Vec<ArrayRef>> = lists.collect();
        let fields = lists.iter().take(1).flatten().map(|array| SortField::new(array.data_type().clone())).collect();
        let converter = RowConverter::new(fields)?;
        let rows = lists.iter().map(|list| Ok(converter.convert_columns(list)?)).collect::<Result<Vec<Rows>>>()?;
        let mut known: HashMap<Row<'_>, u32> = HashMap::new();
        let (mut numbers, mut places) = (vec![Vec::new(); rows.len()], Vec::new());
        let mut number = |list: usize, row: usize| -> Result<u32> {
            let Some(rows) = rows.get(list) else { return Ok(0) };
            if let Some(number) = known.get(&rows.row(row)) {
                return Ok(*number);
            }
            if places.len() >= GRAPH_ELEMENTS_MAX {
                return Err(too_large());
            }
            let number = places.len() as u32;
            known.insert(rows.row(row), number);
            places.push((list, row));
            Ok(number)
        };
        let edges = rows.last().map_or(0, Rows::num_rows);
        if edges >= GRAPH_ELEMENTS_MAX {
            return Err(too_large());
        }
        // Tables of nodes one after the other, then edge by edge.
        let tables = rows.len().saturating_sub(2);
        for (list, (rows, numbers)) in rows.iter().zip(&mut numbers).enumerate().take(tables) {
            for row in 0..rows.num_rows() {
                numbers.push(number(list, row)?);
            }
        }
        for row in 0..edges {
            for (list, numbers) in numbers.iter_mut().enumerate().skip(tables) {
                numbers.push(number(list, row)?);
            }
        }
        Ok(Numbered { numbers, places })
    }
}

fn too_large() -> Error {
    let text = format!("the graph has more nodes or edges than the limit: limit={GRAPH_ELEMENTS_MAX}");
    Error::exhausted("query.graph_too_large", text).hint("filter edges and nodes before make-graph")
}

/// An expression over an input.
fn over(expr: &Expr, input: usize, call: &TableCall<'_>) -> Result<ArrayRef> {
    let batch = call.input(input)?;
    Ok(eval(expr, batch.columns(), batch.num_rows(), call.context)?.to_array(batch.num_rows()))
}

/// A null string is `""`.
fn without_null_texts(array: ArrayRef) -> ArrayRef {
    match array.as_string_view_opt() {
        Some(texts) if texts.null_count() > 0 => {
            build::texts(texts.len(), |row| if texts.is_null(row) { "" } else { texts.value(row) })
        }
        _ => array,
    }
}

/// The values at places in lists.
fn gather(lists: &[ArrayRef], places: &[(usize, usize)]) -> Result<ArrayRef> {
    let arrays: Vec<&dyn Array> = lists.iter().map(AsRef::as_ref).collect();
    Ok(interleave(&arrays, places)?)
}

fn property_column(
    property: &NodeProperty,
    ids: &[ArrayRef],
    places: &[(usize, usize)],
    tables: usize,
    call: &TableCall<'_>,
) -> Result<ArrayRef> {
    let missing = value_to_array(&Value::Null(property.ty), 1);
    let mut lists = Vec::with_capacity(ids.len());
    let mut given = Vec::with_capacity(ids.len());
    for (list, ids) in ids.iter().enumerate() {
        let column = property.columns.get(list).copied().flatten();
        let column = match (list < tables, column) {
            (true, Some(column)) => call.input(list + 1)?.columns().get(column),
            (false, _) if property.is_id => Some(ids),
            _ => None,
        };
        given.push(column.is_some());
        lists.push(Arc::clone(column.unwrap_or(&missing)));
    }
    let row_of = |(list, row): &(usize, usize)| (*list, if given[*list] { *row } else { 0 });
    let places: Vec<(usize, usize)> = places.iter().map(row_of).collect();
    gather(&lists, &places)
}
