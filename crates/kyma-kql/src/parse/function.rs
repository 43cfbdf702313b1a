//! The text of a stored function: parameters in brackets, a body in braces.

use kyma_core::{Column, Type};
use kyma_plan::{Diagnostic, Parameter};

use super::{Parsed, Parser};
use crate::ast::{ExprKind, Lambda};

/// What a parameter takes.
pub(crate) enum Shape {
    Scalar(Type),
    /// A table with these columns, and perhaps more.
    Table(Vec<Column>),
    /// `(*)`: any table.
    AnyTable,
}

/// Parameters by name, in order.
pub(crate) struct Signature(pub(crate) Vec<(String, Shape)>);

impl Signature {
    pub(crate) fn into_parameters(self) -> Vec<Parameter> {
        let parameter = |(name, shape)| match shape {
            Shape::Scalar(ty) => Parameter { name, ty: Some(ty), columns: Vec::new() },
            Shape::Table(columns) => Parameter { name, ty: None, columns },
            Shape::AnyTable => Parameter { name, ty: None, columns: Vec::new() },
        };
        self.0.into_iter().map(parameter).collect()
    }
}

/// Reads a function as it is called.
pub(crate) fn lambda(parameters: &str, body: &str) -> Result<Lambda, Vec<Diagnostic>> {
    let text = format!("{parameters} {body}");
    let mut parser = Parser::new(&text);
    let read = parser.whole_lambda();
    finish(parser, read)
}

/// Reads what a function takes.
pub(crate) fn signature(parameters: &str) -> Result<Signature, Vec<Diagnostic>> {
    let mut parser = Parser::new(parameters);
    let read = parser.signature();
    finish(parser, read)
}

/// An error that ends the reading only counts when none was recorded before: else it follows from that.
fn finish<T>(mut parser: Parser<'_>, read: Parsed<T>) -> Result<T, Vec<Diagnostic>> {
    match read {
        Ok(read) if parser.errors.is_empty() => Ok(read),
        Err(error) if parser.errors.is_empty() => Err(vec![*error]),
        _ => Err(std::mem::take(&mut parser.errors)),
    }
}

impl<'a> Parser<'a> {
    fn whole_lambda(&mut self) -> Parsed<Lambda> {
        let read = self.lambda(false)?;
        if !self.at_end() {
            return Err(self.unexpected("the end of the function"));
        }
        match read.kind {
            ExprKind::Lambda(lambda) => Ok(std::rc::Rc::unwrap_or_clone(lambda)),
            _ => Err(self.unexpected("a function")),
        }
    }

    fn signature(&mut self) -> Parsed<Signature> {
        self.expect("(")?;
        let params = self.list_until(")", |parser| {
            let name = parser.name()?.text;
            parser.expect(":")?;
            let shape = if !parser.is_punct("(") {
                Shape::Scalar(parser.ty()?)
            } else if parser.is_punct_at(1, "*") {
                parser.at += 2;
                parser.expect(")")?;
                Shape::AnyTable
            } else {
                let columns = parser.columns()?.into_iter();
                Shape::Table(columns.filter_map(|param| Some(Column::new(param.name.text, param.ty?))).collect())
            };
            if parser.eat("=") {
                parser.expr()?;
            }
            Ok((name, shape))
        })?;
        Ok(Signature(params))
    }
}
